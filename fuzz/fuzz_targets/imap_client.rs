//! The IMAP client: any server, any cuts, all laws.
#![no_main]

#[path = "../../imap-proto/tests/client_subject/mod.rs"]
mod client_subject;

use client_subject::Client;
use libfuzzer_sys::fuzz_target;
use pillarbox_core::{dialog, laws};

const CONFIGURATIONS: [&str; 6] = [
    "script",
    "script response=1024 output=1024",
    "script login implicit-tls",
    "script login starttls=required",
    "script login login-in-clear starttls=never",
    "script compress enable=UTF8=ACCEPT",
];

/// Most of a session lies behind the greeting; what the fuzzer makes up begins there, unless its first byte says otherwise.
const GREETING: &[u8] = b"* PREAUTH [CAPABILITY IMAP4rev1 LITERAL+ IDLE] hi\r\n";

fuzz_target!(|data: &[u8]| {
    let Some((choice, responses)) = data.split_first() else { return };
    let chosen = CONFIGURATIONS[usize::from(*choice) % CONFIGURATIONS.len()];
    let greeting = if *choice < 128 { GREETING } else { b"" };
    let mut options = laws::Options::default();
    options.config =
        dialog::parse("fuzz", &format!("cfg: side=client {chosen}\nEOF\n")).expect("it is a dialog").config(1);
    options.max_unread = 2 << 20;
    options.max_output = 65_536 + 4096;
    options.cuts = 2;
    if let Err(broken) = laws::check_bytes(Client::default, &[greeting, responses].concat(), &options) {
        panic!("{broken}");
    }
});
