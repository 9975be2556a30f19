//! What is printed: conversations with explanations, and never a secret.

use std::io::Write;

use crate::client::{Client, base64, connect};
use crate::process::Server;

const PASSWORD: &str = "Canary-Zq9";

/// Log in, or try to, in every way there is and some that there are not. Secrets cross the line in each.
fn use_secrets(server: &Server) {
    let plain = base64(&format!("\0you@localhost\0{PASSWORD}"));
    let wrong = base64(&format!("\0you@localhost\0{PASSWORD}x"));
    let (user, password) = (base64("you@localhost"), base64(PASSWORD));

    let submissions = server.address("submission, TLS");
    let submission = |lines: &[&str]| {
        let mut client = Client::over_tls(&submissions);
        client.hello();
        for line in lines {
            client.ask(line);
        }
    };
    submission(&[&format!("AUTH PLAIN {plain}")]);
    submission(&[&format!("auth plain {wrong}")]);
    submission(&["AUTH PLAIN", &plain]);
    submission(&["AUTH LOGIN", &user, &password]);
    submission(&[&format!("AUTH LOGIN {user}"), &password]);
    submission(&[&format!("AUTH CRAM-MD5 {plain}")]);
    submission(&[&format!("AUTH PLAIN {plain} more")]);
    submission(&[&format!(" AUTH PLAIN {plain}")]);
    submission(&[&format!("AUTH\tPLAIN {plain}")]);
    submission(&[&format!("AUTH={plain}")]);
    submission(&["AUTH LOGIN", &user, "*"]);
    // Without waiting for the prompts.
    let mut client = Client::over_tls(&submissions);
    client.hello();
    client.send(&format!("AUTH LOGIN\r\n{user}\r\n{password}"));
    client.reply();
    client.send("QUIT");
    client.rest();
    // Where it is not offered.
    for service in ["submission, STARTTLS", "smtp, STARTTLS", "lmtp"] {
        let mut client = Client::to(&server.address(service));
        client.hello();
        client.ask(&format!("AUTH PLAIN {plain}"));
    }

    let imaps = server.address("imap, TLS");
    let imap = || {
        let mut client = Client::over_tls(&imaps);
        client.line();
        client
    };
    imap().command("a", &format!("LOGIN you@localhost {PASSWORD}"));
    imap().command("a", &format!("login \"you@localhost\" \"{PASSWORD}x\""));
    imap().command("a", &format!("LOGIN {PASSWORD}"));
    for wrong in [" a LOGIN u", "a  LOGIN u", "a\tLOGIN u", "LOGIN u", "AUTHENTICATE PLAIN"] {
        let mut client = imap();
        client.send(&format!("{wrong} {PASSWORD}"));
        client.line();
    }
    imap().command("a", &format!("AUTHENTICATE PLAIN {plain}"));
    imap().command("a", &format!("AUTHENTICATE CRAM-MD5 {plain}"));
    imap().command("a", &format!("LOGIN {{13+}}\r\nyou@localhost {{{}+}}\r\n{PASSWORD}", PASSWORD.len()));
    let mut client = imap();
    client.send("a LOGIN you@localhost {10}");
    assert!(client.line().starts_with('+'));
    client.send(PASSWORD);
    assert!(client.line().starts_with("a OK"));
    let mut client = imap();
    client.send("a AUTHENTICATE PLAIN");
    assert!(client.line().starts_with('+'));
    client.send(&plain);
    assert!(client.line().starts_with("a OK"));
    let mut client = Client::to(&server.address("imap, STARTTLS"));
    client.line();
    client.command("a", &format!("LOGIN you@localhost {PASSWORD}"));
    client.command("b", &format!("AUTHENTICATE PLAIN {plain}"));
}

/// OPS-10: secrets are searched for in all that is printed, with and without the dialog.
#[test]
fn no_secret_is_printed() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("d");
    // The first start prints the password in lines to copy, since it was given; the later ones do not know it.
    Server::trial(&dir, &["--password", PASSWORD]).stop();
    for args in [&[][..], &["--show-dialog"]] {
        let server = Server::trial(&dir, args);
        use_secrets(&server);
        let output = server.stop();
        assert_eq!(output.contains("C: AUTH PLAIN <hidden>"), !args.is_empty(), "{output}");
        assert!(output.contains("you@localhost logged in"));
        for canary in [PASSWORD, &base64(PASSWORD), &base64(&format!("\0you@localhost\0{PASSWORD}"))[..20]] {
            let found = output.lines().find(|line| line.contains(canary));
            assert_eq!(found, None, "{args:?}");
        }
    }
}

#[test]
fn a_conversation_is_explained() {
    let tmp = tempfile::tempdir().unwrap();
    let server = Server::trial(&tmp.path().join("d"), &["--password", "x", "--show-dialog"]);
    let mut smtp = Client::to(&server.address("smtp, STARTTLS"));
    smtp.hello();
    smtp.message("me@example.org", "you@localhost", "the canary sings");
    smtp.expect("QUIT", "221 ");
    let mut imap = Client::over_tls(&server.address("imap, TLS"));
    imap.line();
    imap.command("a", "LOGIN you@localhost x");
    imap.command("b", "SELECT INBOX");
    imap.command("c", "UID FETCH 1 (FLAGS)");
    imap.command("d", "LOGOUT");
    let output = server.stop();
    let explained = |line: &str, note: &str| {
        let found = output.lines().any(|printed| printed.contains(line) && printed.ends_with(&format!("# {note}")));
        assert!(found, "{line} # {note} in\n{output}");
    };
    explained("C: EHLO client.example", "who the client is; what can you do?");
    explained("S: 250-PIPELINING", "commands may be sent without waiting");
    explained("C: MAIL FROM:<me@example.org>", "a message begins; if it fails, tell this address");
    explained("octets>", "counted, not shown");
    explained("C: a LOGIN <hidden>", "log in");
    explained("S: * 1 EXISTS", "messages in the mailbox");
    explained("C: c UID FETCH 1 (FLAGS)", "show me this of these messages (by lasting numbers)");
    // One column for who, one for what, one for why.
    let columns: Vec<usize> = output.lines().filter_map(|line| line.find("C: ").filter(|at| *at < 30)).collect();
    assert!(columns.len() > 8 && columns.iter().all(|at| *at == columns[0]), "{output}");
    assert!(!output.contains("the canary sings"), "messages are counted, not shown");
}

/// INJ-05: what a peer sends cannot begin a line of its own or move a cursor.
#[test]
fn a_peer_cannot_write_into_the_log() {
    let tmp = tempfile::tempdir().unwrap();
    let server = Server::trial(&tmp.path().join("d"), &["--password", "x", "--show-dialog"]);
    let mut socket = connect(&server.address("smtp, STARTTLS"));
    socket.write_all(b"EHLO x\x1b[2J\rsmtp[9] faked\r\nQUIT \xff\xfe\x00\r\n").unwrap();
    Client::new(socket).rest();
    let mut imap = Client::over_tls(&server.address("imap, TLS"));
    imap.line();
    imap.command("a", "LOGIN \"x\x1b]0;faked\x07\u{202e}\" pw");
    imap.command("b", &format!("LOGIN \"x from 192.0.2.1 for y{}\" pw", "z".repeat(1000)));
    let output = server.stop();
    assert!(output.contains(r"\u{1b}[2J\rsmtp[9] faked"), "{output}");
    // OPS-09: the address is ours, whatever the name looks like.
    assert!(output.contains("login refused from 127.0.0.1 for x from 192.0.2.1 for yzz"), "{output}");
    assert!(output.lines().all(|line| !line.contains("login refused") || line.len() < 150), "{output}");
    assert!(!output.contains(['\x1b', '\r', '\0', '\u{202e}', '\u{7}']), "{output:?}");
}
