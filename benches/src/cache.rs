//! Section 7 too: what FETCH needs of many messages, out of the cache and out of the messages.

use std::fs;
use std::path::Path;
use std::time::Instant;

use pillarbox_fs::RealFs;
use pillarbox_imap::message::{self, Limits, Structure};
use pillarbox_maildir::{Access, Mailbox, Maildir, Options, Pieces, Store, Uid};

use crate::report::{Peer, Quantity, Row, Spread, Unit};
use crate::sample;

/// As many as the driver asks for at a time.
const AT_ONCE: usize = 32;
const ENVELOPE: u8 = 16;
const STRUCTURE: u8 = 17;

pub fn row(dir: &Path, quick: bool) -> Row {
    let (count, rounds) = if quick { (1000, 3) } else { (10_000, 9) };
    let folder = tempfile::tempdir_in(dir).expect("a place to work in");
    let store = Store::new(RealFs, Options::from_system());
    let maildir = Maildir::create(&store, folder.path().join("Maildir")).expect("a Maildir");
    let text = sample::small();
    for number in 0..count {
        let seconds = 1_700_000_000 + number;
        let name = format!("cur/{seconds}.M{number:06}P4711.mx,S={},W={0}:2,S", text.len());
        fs::write(maildir.path().join(name), &text).expect("there is room");
    }
    let open = || Mailbox::open(&maildir, Access::ReadWrite).expect("it opens");
    let mut mailbox = open();
    let uids: Vec<_> = mailbox.messages().map(|message| message.uid).collect();
    for some in uids.chunks(AT_ONCE) {
        let pieces = some.iter().map(|uid| {
            let (envelope, body) = computed(&mut mailbox, *uid);
            let mut pieces = Pieces::new();
            assert!(pieces.insert(ENVELOPE, b"", &envelope) && pieces.insert(STRUCTURE, b"", &body));
            (*uid, pieces)
        });
        let pieces: Vec<_> = pieces.collect();
        mailbox.remember(&pieces);
    }
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let mut mailbox = open();
        let mut octets = 0;
        let start = Instant::now();
        for pieces in uids.chunks(AT_ONCE).flat_map(|some| mailbox.cached(some)) {
            let pieces = pieces.expect("it was kept");
            let len = |kind| pieces.find(kind, b"").map_or(0, <[u8]>::len);
            octets += len(ENVELOPE) + len(STRUCTURE);
        }
        with.push(start.elapsed().as_nanos() as f64);
        let start = Instant::now();
        for uid in &uids {
            let (envelope, body) = computed(&mut mailbox, *uid);
            octets -= envelope.len() + body.len();
        }
        without.push(start.elapsed().as_nanos() as f64);
        assert_eq!(octets, 0, "both say the same");
    }
    let quantity = |samples| Quantity { unit: Unit::Nanoseconds, spread: Spread::of(samples) };
    Row {
        section: 7,
        name: format!("ENVELOPE and BODYSTRUCTURE of {count} messages"),
        ratio: Some(Spread::of(with.iter().zip(&without).map(|(with, without)| without / with).collect())),
        ours: quantity(with),
        allocations: None,
        peer: Some(Peer { name: "without the cache", quantity: quantity(without), allocations: None }),
        goals: vec![],
        note: "2 KB each, in the system's memory; with the first look through the cache file".into(),
    }
}

fn computed(mailbox: &mut Mailbox, uid: Uid) -> (Vec<u8>, Vec<u8>) {
    let mut reader = mailbox.read(uid).expect("it is there");
    let mut octets = vec![0; usize::try_from(reader.len()).expect("it is small")];
    reader.read_at(0, &mut octets).expect("it is there");
    let (limits, mut envelope, mut body) = (Limits::default(), Vec::new(), Vec::new());
    message::write_envelope(&octets, &limits, &mut envelope);
    message::write_body(&Structure::parse(&octets, &limits), &octets, &limits, true, &mut body);
    (envelope, body)
}
