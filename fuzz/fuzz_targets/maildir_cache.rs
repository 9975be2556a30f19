//! The cache file of a mailbox: whatever it holds, what is read of it was written there for that very message, and what is put
//! into it afterwards comes back.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use pillarbox_fs::{Fs, SimulatedFs};
use pillarbox_maildir::{Access, Mailbox, Maildir, Options, Pieces, Store, Uid};

const KIND: u8 = 16;
const MESSAGES: usize = 3;
/// The first octets of the input say what is written before the rest of it.
const PREFIX: usize = 4;

fn truth(uid: Uid) -> Pieces {
    let mut pieces = Pieces::new();
    pieces.insert(KIND, b"", format!("of {uid}").as_bytes());
    pieces
}

fuzz_target!(|data: &[u8]| {
    let fs = SimulatedFs::new();
    let mut options = Options::from_system();
    options.seed = 1;
    let store = Store::new(fs.clone(), options);
    let maildir = Maildir::create(&store, "/m").expect("it is empty");
    for n in 0..MESSAGES {
        let path = format!("/m/cur/{n}.x:2,");
        fs.create(Path::new(&path)).expect("it is new").write(b"Subject: x\n\n").expect("there is room");
    }
    let mut mailbox = Mailbox::open(&maildir, Access::ReadWrite).expect("nothing is wrong");
    let uids: Vec<Uid> = mailbox.messages().map(|message| message.uid).collect();
    let pieces: Vec<_> = uids.iter().map(|uid| (*uid, truth(*uid))).collect();
    mailbox.remember(&pieces);
    let file = Path::new("/m/pillarbox-cache");
    let mut bytes = fs.read(file, 1 << 20).expect("it was written");
    if let Some((places, rest)) = data.split_first_chunk::<PREFIX>() {
        // Behind what is good, over what is good, or in place of it.
        let at = (usize::from(places[0]) << 8 | usize::from(places[1])) % (bytes.len() + 1);
        match places[2] % 3 {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..(at + rest.len()).min(bytes.len()))),
            _ => {}
        }
        let at = at.min(bytes.len());
        bytes.splice(at..at, rest.iter().copied());
    }
    fs.unlink(file).expect("it is there");
    fs.create(file).expect("it is gone").write(&bytes).expect("there is room");

    for mut mailbox in [mailbox, Mailbox::open(&maildir, Access::ReadOnly).expect("nothing is wrong")] {
        for found in mailbox.cached(&uids).into_iter().flatten() {
            // A checksum of four octets can be made to fit; what is read is whole all the same.
            assert!(found.iter().all(|piece| found.find(piece.kind, piece.name).is_some()));
        }
        mailbox.remember(&pieces);
        let cached = mailbox.cached(&uids);
        for (uid, found) in uids.iter().zip(&cached) {
            let found = found.as_ref().expect("it was put there just now");
            assert_eq!(found.find(KIND, b""), truth(*uid).find(KIND, b""));
        }
    }
});
