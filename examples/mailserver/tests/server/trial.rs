//! `mailserver try`.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::client::{Client, base64};
use crate::process::{Server, eventually, free_port_base, mailserver, run};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The contents of the messages that are new in a Maildir.
fn new_messages(maildir: &Path) -> Vec<String> {
    let Ok(folder) = fs::read_dir(maildir.join("new")) else { return Vec::new() };
    folder.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

#[test]
fn the_first_start_makes_everything_and_the_second_keeps_it() {
    let tmp = tempfile::tempdir().unwrap();
    // A folder whose name means something to the shell and to templates.
    let dir = tmp.path().join("it's {new}");
    let server = Server::trial(&dir, &[]);
    let address = |service| server.address(service);
    for service in ["smtp, STARTTLS", "submission, STARTTLS", "submission, TLS", "imap, STARTTLS", "imap, TLS"] {
        assert!(address(service).starts_with("127.0.0.1:"));
    }
    assert_eq!(address("lmtp"), format!("unix:{}", dir.canonicalize().unwrap().join("lmtp").display()));
    let password_line = |output: &str| {
        let line = output.lines().find(|line| line.starts_with("password")).map(str::to_owned);
        line.unwrap().trim_start_matches("password").trim().to_owned()
    };
    let password = password_line(&server.output);
    assert_eq!(password.len(), 16);
    for client in ["swaks --server", "curl --insecure", "openssl s_client"] {
        assert!(server.output.contains(client), "{}", server.output);
    }

    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join("tls/key.pem")), 0o600);
    assert_eq!(mode(&dir.join("passwd")), 0o600);
    let stored = fs::read_to_string(dir.join("passwd")).unwrap();
    assert!(stored.starts_with("you@localhost:{ARGON2ID}$argon2id$"), "{stored}");
    assert!(!stored.contains(&password));

    let log_in = |server: &Server| {
        let mut imap = Client::over_tls(&server.address("imap, TLS"));
        imap.line();
        imap.command("a", &format!("LOGIN you@localhost {password}"))
    };
    assert!(log_in(&server).contains("a OK"));
    let key = fs::read(dir.join("tls/key.pem")).unwrap();
    server.stop();
    assert!(!dir.join("lmtp").exists(), "the socket is taken away");

    let server = Server::trial(&dir, &[]);
    assert_eq!(password_line(&server.output), "as before (--password PW sets another)");
    assert_eq!(fs::read_to_string(dir.join("passwd")).unwrap(), stored);
    assert_eq!(fs::read(dir.join("tls/key.pem")).unwrap(), key);
    assert!(log_in(&server).contains("a OK"));
    assert!(!server.stop().contains(&password), "it is printed once");
}

#[test]
fn a_password_can_be_given() {
    let tmp = tempfile::tempdir().unwrap();
    let server = Server::trial(&tmp.path().join("d"), &["--password", "correct horse"]);
    assert!(server.output.contains("--auth-password 'correct horse'"), "{}", server.output);
    assert!(!fs::read_to_string(tmp.path().join("d/passwd")).unwrap().contains("correct"));
    let mut client = Client::over_tls(&server.address("submission, TLS"));
    client.hello();
    client.expect(&format!("AUTH PLAIN {}", base64("\0you@localhost\0correct horse")), "235 ");
}

#[test]
fn a_port_that_is_taken_is_told() {
    let tmp = tempfile::tempdir().unwrap();
    let base = free_port_base();
    let _taken = TcpListener::bind(("127.0.0.1", base + 143)).unwrap();
    let dir = tmp.path().join("d");
    let (stdout, stderr, code) =
        run(&["try", "--dir", dir.to_str().unwrap(), "--port-base", &base.to_string(), "--password", "x"]);
    let told = format!("cannot listen on 127.0.0.1:{}: another program does", base + 143);
    assert!(stderr.starts_with(&told), "{stderr}");
    assert!(stderr.contains("--port-base"), "{stderr}");
    assert_eq!((stdout.as_str(), code), ("", 1));
    assert!(!dir.join("lmtp").exists());
}

#[test]
fn two_servers_do_not_share_a_folder() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("d");
    let server = Server::trial(&dir, &["--password", "x"]);
    let base = free_port_base().to_string();
    let (_, stderr, code) = run(&["try", "--dir", dir.to_str().unwrap(), "--port-base", &base]);
    assert!(stderr.contains("lmtp: another program does"), "{stderr}");
    assert_eq!(code, 1);
    assert!(Client::to(&server.address("lmtp")).reply().starts_with("220 "), "the first one goes on");
}

#[test]
fn a_server_that_was_killed_starts_again() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("d");
    let server = Server::trial(&dir, &["--password", "x"]);
    server.signal("KILL");
    server.end();
    assert!(dir.join("lmtp").exists(), "nobody took the socket away");
    let server = Server::trial(&dir, &[]);
    assert!(Client::to(&server.address("lmtp")).reply().starts_with("220 "));
}

#[test]
fn wrong_command_lines_end_with_2() {
    for args in [
        &["try", "--port-base", "65000"][..],
        &["try", "--password", ""],
        &["try", "--pasword", "x"],
        &["serve"],
        &["check"],
        &[],
    ] {
        let (stdout, stderr, code) = run(args);
        assert_eq!((stdout.as_str(), code), ("", 2), "{args:?}");
        assert!(stderr.contains("--help") || stderr.contains("Usage:"), "{args:?}: {stderr}");
    }
    let (stdout, _, code) = run(&["serve", "--help"]);
    assert!(stdout.contains("SIGHUP") && code == 0, "{stdout}");
}

#[test]
fn a_message_lands_and_is_read() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = tmp.path().join("d");
    let mut server = Server::trial(&dir, &["--password", "x"]);
    let maildir = dir.join("mail/localhost/you/Maildir");
    let mut smtp = Client::to(&server.address("smtp, STARTTLS"));
    smtp.hello();
    let accepted = smtp.message("me@example.org", "you@localhost", "the canary sings");
    assert!(accepted.starts_with("250 "), "{accepted}");
    // At once: the reply means that it is there.
    let found = new_messages(&maildir);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("Return-Path: <me@example.org>\n")
            || found[0].starts_with("Return-Path: <me@example.org>\r\n")
    );
    assert!(found[0].contains("the canary sings"));
    assert!(server.prints("from <me@example.org> to <you@localhost>"), "it tells of the message");

    let mut imap = Client::over_tls(&server.address("imap, TLS"));
    imap.line();
    imap.command("a", "LOGIN you@localhost x");
    assert!(imap.command("b", "SELECT INBOX").contains("* 1 EXISTS"));
    assert!(imap.command("c", "FETCH 1 BODY[TEXT]").contains("the canary sings"));
    let output = server.stop();
    assert!(!output.contains("the canary sings"), "content is nobody's business");
}

#[test]
fn sessions_are_told_goodbye() {
    let tmp = tempfile::tempdir().unwrap();
    let server = Server::trial(&tmp.path().join("d"), &["--password", "x"]);
    let mut smtp = Client::to(&server.address("smtp, STARTTLS"));
    smtp.hello();
    let mut lmtp = Client::to(&server.address("lmtp"));
    lmtp.reply();
    let mut imap = Client::to(&server.address("imap, STARTTLS"));
    imap.line();
    let mut reader = Client::over_tls(&server.address("imap, TLS"));
    reader.line();
    reader.command("a", "LOGIN you@localhost x");
    reader.command("b", "SELECT INBOX");
    server.signal("TERM");
    assert!(smtp.rest().starts_with("421 "));
    assert!(lmtp.rest().starts_with("421 "));
    assert!(imap.rest().starts_with("* BYE "));
    assert!(reader.rest().starts_with("* BYE "));
    let (output, status) = server.end();
    assert_eq!(status.code(), Some(0));
    assert!(output.ends_with("stopping: saying goodbye to the sessions\nstopped\n"), "{output}");
}

#[test]
fn closing_the_terminal_stops_a_try() {
    let tmp = tempfile::tempdir().unwrap();
    let server = Server::trial(&tmp.path().join("d"), &["--password", "x"]);
    server.signal("HUP");
    let (output, status) = server.end();
    assert_eq!(status.code(), Some(0), "{output}");
}

#[test]
fn nobody_needs_to_read_what_it_prints() {
    let tmp = tempfile::tempdir().unwrap();
    let base = free_port_base();
    let mut command = mailserver();
    command.arg("try").arg("--dir").arg(tmp.path().join("d")).args(["--show-dialog", "--password", "x"]);
    command.args(["--port-base", &base.to_string()]);
    // The reading end is closed at once, as by `| head`.
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let smtp = format!("127.0.0.1:{}", base + 25);
    eventually("listening", || std::net::TcpStream::connect(&smtp).is_ok());
    let mut smtp = Client::to(&smtp);
    smtp.hello();
    assert!(smtp.message("me@example.org", "you@localhost", "hello").starts_with("250 "));
    child.kill().unwrap();
    child.wait().unwrap();
}
