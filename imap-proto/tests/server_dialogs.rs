//! The server session as dialog files tell it.

mod server_subject;

use pillarbox_core::dialog::play_dir;
use server_subject::ImapSubject;

#[test]
fn dialogs() {
    play_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogs"), ImapSubject::default);
}
