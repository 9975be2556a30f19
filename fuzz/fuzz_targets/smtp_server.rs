//! The SMTP and LMTP server: any client, any cuts, all laws.
#![no_main]

#[path = "../../smtp-proto/tests/server_subject/mod.rs"]
mod server_subject;

use libfuzzer_sys::fuzz_target;
use pillarbox_core::{dialog, laws};
use server_subject::ServerSubject;

const CONFIGURATIONS: [&str; 9] = [
    "protocol=smtp",
    "starttls auth=PLAIN,LOGIN auth_without_tls message_size_max=100 recipients_max=2",
    "tls auth=PLAIN,LOGIN auth_required sasl_line_max=512",
    "bare_newlines=reject errors_soft=2 errors_hard=5 junk_commands_max=3",
    "protocol=lmtp",
    "message_size_max=60 refused_size_max=0 field_size_max=30 header_size_max=50 fields_max=3 received_max=1",
    "binary_mime smtputf8 dsn message_size_max=100",
    "tls xclient xforward etrn expn require_tls deliver_by=60 mt_priority=p tell_limits mails_max=4 recipient_domains_max=2 mail_parameters=X-A",
    "submission future_release=60 deliver_by=0 stress xclient",
];

fuzz_target!(|data: &[u8]| {
    let Some((choice, commands)) = data.split_first() else { return };
    let chosen = CONFIGURATIONS[usize::from(*choice) % CONFIGURATIONS.len()];
    let mut options = laws::Options::default();
    options.config = dialog::parse("fuzz", &format!("cfg: {chosen}\n")).expect("it is a dialog").config(1);
    options.max_unread = 64 * 1024;
    // A command takes at least two octets, and its reply less than 100.
    options.max_output = 1024 + 50 * data.len();
    options.cuts = 2;
    if let Err(broken) = laws::check_bytes(ServerSubject::default, commands, &options) {
        panic!("{broken}");
    }
});
