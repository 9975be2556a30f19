//! Mail for elsewhere: who may send it, where it goes, and what comes back.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use crate::client::Client;
use crate::process::{Server, eventually, run};
use crate::serve::{Site, plain, write_secret};

/// Another server, for example.com, with the account `ann`.
pub fn far_site() -> Site {
    let site = Site::new("");
    let text = fs::read_to_string(site.config()).unwrap();
    let text = text
        .replace("[\"example.org\", \"example.net\"]", "[\"example.com\"]")
        .replace("ops@example.org", "ann@example.com")
        .replace("mail.example.org", "mx.example.com");
    fs::write(site.config(), text).unwrap();
    write_secret(&site.path("passwd"), "ann@example.com:{PLAIN}x\n");
    site
}

/// A server whose mail for elsewhere goes to another one.
pub fn near_site(far: &Server, more: &str) -> Site {
    let far = far.address("smtp, STARTTLS");
    Site::new(&format!(
        "{more}\n[queue]\nfolder = \"queue\"\n\n[[route]]\nrecipients = [\"*\"]\nto = \"smtp://{far}\"\ntls = \"none\"\n"
    ))
}

pub fn logged_in(server: &Server) -> Client {
    let mut client = Client::over_tls(&server.address("submission, TLS"));
    client.hello();
    client.expect(&format!("AUTH PLAIN {}", plain("joe@example.org", "pässword")), "235 ");
    client
}

pub fn send(client: &mut Client, to: &[&str], subject: &str) {
    client.expect("MAIL FROM:<joe@example.org>", "250 ");
    for to in to {
        client.expect(&format!("RCPT TO:<{to}>"), "250 ");
    }
    client.expect("DATA", "354 ");
    client.expect(&format!("From: joe@example.org\r\nSubject: {subject}\r\n\r\nhello\r\n."), "250 ");
}

#[test]
fn users_send_to_everybody_and_each_gets_it_once() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let near = near_site(&far_server, "");
    let mut server = Server::serve(&near.config(), near.listeners());
    let mut client = logged_in(&server);
    send(&mut client, &["ann@example.com"], "to her alone");
    send(&mut client, &["jane@example.net"], "to her here");
    assert_eq!(near.mail("jane@example.net").len(), 1, "what is only for accounts here is there at once");
    send(&mut client, &["ops@example.org", "ann@example.com"], "to both");
    eventually("her mail", || far.mail("ann@example.com").len() == 2);
    eventually("his mail", || near.mail("ops@example.org").len() == 1);
    assert!(server.prints("to ann@example.com: delivered by [127.0.0.1]"), "it tells of each recipient");
    let output = server.stop();
    assert!(!output.contains("TROUBLE"), "{output}");
    assert_eq!((far.mail("ann@example.com").len(), near.mail("ops@example.org").len()), (2, 1));
}

#[test]
fn mail_leaves_from_the_address_that_was_set() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let to = far_server.address("smtp, STARTTLS");
    let near = Site::new(&format!(
        "[queue]\nfolder = \"queue\"\nsource = [\"127.0.0.2\"]\n\n[[route]]\nrecipients = [\"*\"]\nto = \"smtp://{to}\"\ntls = \"none\"\n"
    ));
    let server = Server::serve(&near.config(), near.listeners());
    send(&mut logged_in(&server), &["ann@example.com"], "from there");
    eventually("her mail", || far.mail("ann@example.com").len() == 1);
    let mail = &far.mail("ann@example.com")[0];
    assert!(mail.contains("[127.0.0.2]"), "{mail}");
    server.stop();
}

#[test]
fn who_reports_on_tls_keeps_what_was_counted() {
    let site = Site::new(
        "[queue]\nfolder = \"queue\"\n\n[tls_reports]\nfolder = \"tls-reports\"\norganization_name = \"Example\"\n\
         sender_address = \"tls-reports@example.org\"\n",
    );
    let config = site.config();
    let (stdout, stderr, code) = run(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!((stdout, stderr.as_str(), code), (format!("{}: fine\n", config.display()), "", 0));
    assert!(!site.path("tls-reports").exists(), "a look changes nothing");
    let server = Server::serve(&config, site.listeners());
    eventually("the folder", || site.path("tls-reports").is_dir());
    let output = server.stop();
    assert!(!output.contains("TROUBLE"), "{output}");
}

#[test]
fn what_cannot_be_delivered_comes_back_into_the_mailbox() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let near = near_site(&far_server, "");
    let server = Server::serve(&near.config(), near.listeners());
    send(&mut logged_in(&server), &["nobody@example.com"], "in vain");
    eventually("the notice", || near.mail("joe@example.org").len() == 1);
    let notice = &near.mail("joe@example.org")[0];
    for line in
        ["Return-Path: <>", "multipart/report", "nobody@example.com", "550 5.1.1 no such mailbox here", "in vain"]
    {
        assert!(notice.contains(line), "{line} in\n{notice}");
    }
    server.stop();
}

/// RLY: nobody else sends anything elsewhere, however it is written.
#[test]
fn strangers_send_nothing_elsewhere() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let near = near_site(&far_server, "");
    let server = Server::serve(&near.config(), near.listeners());
    for (service, from) in ["smtp, STARTTLS", "lmtp"]
        .iter()
        .flat_map(|it| ["me@elsewhere.example", "joe@example.org", ""].map(|from| (*it, from)))
    {
        let mut client = Client::to(&server.address(service));
        match service {
            "lmtp" => drop((client.reply(), client.ask("LHLO me"))),
            _ => drop(client.hello()),
        }
        client.expect(&format!("MAIL FROM:<{from}>"), "250 ");
        for (to, reply) in [
            ("ann@example.com", "550 5.7.1 "),
            ("ann@EXAMPLE.com.", "501 "),
            ("@example.org:ann@example.com", "550 5.7.1 "),
            ("ann%example.com@example.org", "550 5.1.1 "),
            ("\"ann@example.com\"@example.org", "550 5.1.1 "),
            ("ann@example.com@example.org", "501 "),
            ("example.com!ann@example.org", "550 5.1.1 "),
            ("ann@[127.0.0.1]", "550 5.7.1 "),
            ("postmaster@mail.example.org", "550 5.7.1 "),
        ] {
            client.expect(&format!("RCPT TO:<{to}>"), reply);
        }
    }
    // A user sends as nobody else.
    let mut client = logged_in(&server);
    client.expect("MAIL FROM:<ops@example.org>", "553 5.7.1 ");
    server.stop();
    assert!(far.mail("ann@example.com").is_empty());
}

#[test]
fn hosts_of_ours_send_without_a_login() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let listener = "[[listener]]\nprotocol = \"smtp\"\naddress = \"127.0.0.1:0\"\nrelay_from = [\"127.0.0.0/8\"]\n";
    let near = near_site(&far_server, listener);
    let server = Server::serve(&near.config(), near.listeners() + 1);
    let mut client = Client::to(&server.address("smtp"));
    client.hello();
    send(&mut client, &["ann@example.com"], "from the printer");
    eventually("her mail", || far.mail("ann@example.com").len() == 1);
    let mut client = Client::to(&server.address("smtp, STARTTLS"));
    client.hello();
    client.expect("MAIL FROM:<joe@example.org>", "250 ");
    client.expect("RCPT TO:<ann@example.com>", "550 5.7.1 ");
    server.stop();
}

#[test]
fn without_a_queue_nothing_is_sent() {
    let site = Site::new("");
    let server = Server::serve(&site.config(), site.listeners());
    let mut client = logged_in(&server);
    client.expect("MAIL FROM:<joe@example.org>", "250 ");
    client.expect("RCPT TO:<ann@example.com>", "550 5.7.1 this server has no route to other servers");
    client.expect("RCPT TO:<jane@example.net>", "250 ");
    server.stop();
}

#[test]
fn what_waits_is_sent_after_the_next_start() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let near = near_site(&far_server, "");
    let text = fs::read_to_string(near.config())
        .unwrap()
        .replace("folder = \"queue\"", "folder = \"queue\"\nretry_first = \"1s\"");
    // A port that nobody listens on.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let wrong = text.replace(&far_server.address("smtp, STARTTLS"), &closed.to_string());
    fs::write(near.config(), wrong).unwrap();
    let mut server = Server::serve(&near.config(), near.listeners());
    send(&mut logged_in(&server), &["ann@example.com"], "later");
    assert!(server.prints("to ann@example.com: delayed"), "{}", server.output);
    server.signal("KILL");
    server.end();
    // Whether the attempt was written down before the end or not, the next one comes soon.
    fs::write(near.config(), text).unwrap();
    let server = Server::serve(&near.config(), near.listeners());
    eventually("her mail", || far.mail("ann@example.com").len() == 1);
    server.stop();
}

#[test]
fn two_servers_do_not_share_a_queue() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let near = near_site(&far_server, "");
    let server = Server::serve(&near.config(), near.listeners());
    let config = near.config();
    let (stdout, stderr, code) = run(&["serve", "--config", config.to_str().unwrap()]);
    let queue = near.path("queue");
    let told = format!("cannot open the queue {}: another server has it open\n", queue.display());
    assert_eq!((stdout.as_str(), stderr, code), ("", told, 1));
    server.stop();
}

#[test]
fn passwords_that_cannot_be_read_are_told_before_the_start() {
    let site = Site::new(
        "[queue]\nfolder = \"queue\"\n\n[[route]]\nrecipients = [\"*\"]\nto = \"smtp://you@smtp.example.net\"\n\
         password_env = \"NO_SUCH_VARIABLE_HERE\"\n",
    );
    let config = site.config();
    for command in ["check", "serve"] {
        let (_, stderr, code) = run(&[command, "--config", config.to_str().unwrap()]);
        let told = "cannot read the environment variable NO_SUCH_VARIABLE_HERE: environment variable not found\n";
        assert_eq!((stderr.as_str(), code), (told, 1), "{command}");
        let mut latin = Command::new(env!("CARGO_BIN_EXE_mailserver"));
        latin.args([command, "--config", config.to_str().unwrap()]);
        let ended = latin.env("NO_SUCH_VARIABLE_HERE", OsStr::from_bytes(b"s3cret\xe9")).output().unwrap();
        let told = "cannot read the environment variable NO_SUCH_VARIABLE_HERE: it is not UTF-8\n";
        assert_eq!(
            (String::from_utf8_lossy(&ended.stderr).as_ref(), ended.status.code()),
            (told, Some(1)),
            "{command}"
        );
    }
    assert!(!site.path("queue").exists());
}
