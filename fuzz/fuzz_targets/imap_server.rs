//! The IMAP server: any client, any cuts, all laws.
#![no_main]

#[path = "../../imap-proto/tests/server_subject/mod.rs"]
mod server_subject;

use libfuzzer_sys::fuzz_target;
use pillarbox_core::{dialog, laws};
use server_subject::ImapSubject;

const CONFIGURATIONS: [&str; 6] = [
    "starttls auth=PLAIN,LOGIN",
    "bad_before_login=1000 bad_after_login=1000 append_size_max=1000",
    "line_max=60 literal_max=10 literals_max=3 literals_size_max=20 skip_max=50",
    "separator=. messages=10 output_high_water=100",
    "with=UNAUTHENTICATE without=LITERAL+ bad_after_login=1000 append_messages_max=3",
    "modseq=10 messages=10 pending_flags_max=2 bad_after_login=1000",
];

/// Most of a session lies behind a login; what the fuzzer makes up begins there, unless its first byte says otherwise.
const LOGIN: &[u8] = b"a LOGIN joe secret\r\nb SELECT INBOX\r\n";

/// The same for a client of IMAP4rev2 that comes back.
const ENABLED: &[u8] = b"a LOGIN joe secret\r\nb ENABLE IMAP4rev2 UTF8=ACCEPT QRESYNC\r\nc SELECT INBOX (QRESYNC (1 5))\r\n";

fuzz_target!(|data: &[u8]| {
    let Some((choice, commands)) = data.split_first() else { return };
    let chosen = CONFIGURATIONS[usize::from(*choice) % CONFIGURATIONS.len()];
    let first = match *choice {
        0..96 => LOGIN,
        96..192 => ENABLED,
        _ => &[][..],
    };
    let mut options = laws::Options::default();
    options.config = dialog::Config::of_text(chosen).expect("it is in the grammar");
    options.max_unread = 65_536 + (1 << 20);
    // The shortest commands take some ten octets, and a FETCH of ten messages with all items brings 4 KiB.
    options.max_output = 4096 + 4096 * data.len();
    options.cuts = 2;
    if let Err(broken) = laws::check_bytes(ImapSubject::default, &[first, commands].concat(), &options) {
        panic!("{broken}");
    }
});
