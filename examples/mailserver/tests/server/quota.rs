//! A quota for all accounts, and one in the passwd-file.

use crate::client::Client;
use crate::process::Server;
use crate::serve::{Site, write_secret};

const ACCOUNTS: &str = "ops@example.org:{PLAIN}x\n\
    joe@example.org:{PLAIN}x::::::userdb_quota_rule=*:messages=1\n\
    jane@example.net:{PLAIN}x\n";

/// SETQUOTA (RFC 9208): by the accounts that the configuration names, and by nobody else.
#[test]
fn limits_are_set_by_those_who_may() {
    let site = Site::new("[quota]\ngrace = \"0\"\nset_by = [\"ops@example.org\"]\n");
    write_secret(&site.path("passwd"), ACCOUNTS);
    let server = Server::serve(&site.config(), site.listeners());
    let log_in = |user: &str| {
        let mut imap = Client::over_tls(&server.address("imap, TLS"));
        imap.line();
        (imap.command("a", &format!("LOGIN {user} x")), imap)
    };
    let (capabilities, mut jane) = log_in("jane@example.net");
    assert!(capabilities.contains(" QUOTA ") && !capabilities.contains("QUOTASET"), "{capabilities}");
    jane.command("b", "STATUS INBOX (MESSAGES)");
    let refused = jane.command("c", "SETQUOTA #user/jane@example.net (STORAGE 9999)");
    assert!(refused.contains("c NO [NOPERM]"), "{refused}");
    let (capabilities, mut ops) = log_in("ops@example.org");
    assert!(capabilities.contains(" QUOTASET "), "{capabilities}");
    let told = ops.command("b", "SETQUOTA #user/jane@example.net (STORAGE 5 MESSAGE 1)");
    assert!(told.contains("* QUOTA #user/jane@example.net (STORAGE 0 5 MESSAGE 0 1)"), "{told}");
    let told = jane.command("d", "GETQUOTA #user/jane@example.net");
    assert!(told.contains("(STORAGE 0 5 MESSAGE 0 1)"), "{told}");
    // There was no limit for all, and what is said of deliveries holds all the same.
    ops.command("c", "SETQUOTA #user/jane@example.net (STORAGE 1)");
    let mut smtp = Client::to(&server.address("smtp, STARTTLS"));
    smtp.hello();
    smtp.expect("MAIL FROM:<me@elsewhere.example> SIZE=2200", "250 ");
    smtp.expect("RCPT TO:<jane@example.net>", "452 4.2.2 ");
    let told = jane.command("e", "GETMETADATA \"\" /shared/admin");
    assert!(told.contains("(/shared/admin \"mailto:"), "{told}");
    server.stop();
}

// DSK-08
#[test]
fn one_recipient_is_full() {
    for (over, full) in [("later", "452 4.2.2 "), ("refuse", "552 5.2.2 ")] {
        let site = Site::new(&format!("[quota]\nstorage = \"2k\"\ngrace = \"0\"\nover = \"{over}\"\n"));
        write_secret(&site.path("passwd"), ACCOUNTS);
        let server = Server::serve(&site.config(), site.listeners());
        let mut smtp = Client::to(&server.address("smtp, STARTTLS"));
        smtp.hello();
        assert!(smtp.message("me@elsewhere.example", "joe@example.org", "first").starts_with("250 "));
        smtp.expect("MAIL FROM:<me@elsewhere.example>", "250 ");
        smtp.expect("RCPT TO:<joe@example.org>", full);
        smtp.expect("RCPT TO:<jane@example.net>", "250 ");
        smtp.expect("RSET", "250 ");
        // By what is announced: jane has the general limit.
        smtp.expect("MAIL FROM:<me@elsewhere.example> SIZE=3000", "250 ");
        smtp.expect("RCPT TO:<jane@example.net>", full);
        smtp.expect("RSET", "250 ");
        // Nothing was announced, and all of it comes.
        let refused = smtp.message("me@elsewhere.example", "jane@example.net", &"x".repeat(900).repeat(3));
        assert!(refused.starts_with(full), "{refused}");
        assert!(smtp.message("me@elsewhere.example", "jane@example.net", "short").starts_with("250 "));
        server.stop();
    }
}
