//! The SMTP and LMTP client: any server, any cuts, all laws; and each message is settled once.
#![no_main]

#[path = "../../smtp-proto/tests/client_subject/mod.rs"]
mod client_subject;

use client_subject::Client;
use libfuzzer_sys::fuzz_target;
use pillarbox_core::{dialog, laws};

const CONFIGURATIONS: [&str; 11] = [
    "starttls=never",
    "starttls=offered",
    "starttls=required",
    "protocol=lmtp",
    "login login-in-clear",
    "login crypto",
    "login crypto implicit-tls exporter",
    "login=token implicit-tls",
    "chunking chunk=512",
    "chunking chunk=512 protocol=lmtp",
    "chunking no-pipelining output=1024",
];

fuzz_target!(|data: &[u8]| {
    let Some((choice, replies)) = data.split_first() else { return };
    let chosen = CONFIGURATIONS[usize::from(*choice) % CONFIGURATIONS.len()];
    let mut options = laws::Options::default();
    options.config =
        dialog::parse("fuzz", &format!("cfg: side=client {chosen}\nEOF\n")).expect("it is a dialog").config(1);
    options.max_unread = 2048;
    options.max_output = 65_536;
    options.cuts = 2;
    if let Err(broken) = laws::check_bytes(Client::default, replies, &options) {
        panic!("{broken}");
    }
});
