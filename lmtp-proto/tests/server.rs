//! The LMTP server as dialog files tell it, and by the laws of machines.

#[path = "../../smtp-proto/tests/server_subject/mod.rs"]
mod server_subject;

use pillarbox_core::dialog::{parse, play_dir};
use pillarbox_core::laws::{Options, check_order, seeds, torture};
use server_subject::ServerSubject;

const DIALOGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogs");

fn options() -> Options {
    let mut options = Options::default();
    options.config = parse("options", "cfg: protocol=lmtp\n").expect("it is in the grammar").config(1);
    options.max_unread = 64 * 1024;
    options.max_output = 512 * 1024;
    options
}

#[test]
fn dialogs() {
    play_dir(DIALOGS, ServerSubject::default);
}

#[test]
fn mutated_dialogs() {
    torture(ServerSubject::default, &seeds(DIALOGS), 500, &options()).unwrap();
}

#[test]
fn one_reply_for_each_command() {
    let commands: [&[u8]; 5] =
        [b"NOOP\r\n", b"MAIL FROM:<>\r\n", b"RCPT TO:<a@b.example>\r\n", b"RSET\r\n", b"QUIT\r\n"];
    let final_replies = |output: &[u8]| output.split(|b| *b == b'\n').filter(|line| line.get(3) == Some(&b' ')).count();
    check_order(ServerSubject::default, &commands, final_replies, &options()).unwrap();
}
