//! TLS as a stranger meets it, other protocols at our doors, and certificates that change.

use std::fs;
use std::io::{Read, Write};

use rustls::ProtocolVersion;

use crate::client::{Client, connect, tls};
use crate::process::Server;
use crate::serve::{Site, write_certificate};

/// STL-08
#[test]
fn clear_text_at_a_tls_port_is_not_greeted() {
    let tmp = tempfile::tempdir().unwrap();
    let server = Server::trial(&tmp.path().join("d"), &["--password", "x"]);
    for service in ["submission, TLS", "imap, TLS"] {
        for talk in ["EHLO client.example", "a LOGIN you@localhost x"] {
            let mut client = Client::to(&server.address(service));
            client.send(talk);
            let told = client.rest();
            assert!(!told.contains("220") && !told.contains("OK") && told.len() < 20, "{service}: {told:?}");
        }
    }
}

/// XPR-03
#[test]
fn who_asks_for_another_protocol_is_refused() {
    let tmp = tempfile::tempdir().unwrap();
    let server = Server::trial(&tmp.path().join("d"), &["--password", "x"]);
    for (service, ours, other) in [("submission, TLS", "smtp", "imap"), ("imap, TLS", "imap", "smtp")] {
        let address = server.address(service);
        for alpn in [&["h2", "http/1.1"][..], &[other]] {
            let mut stream = tls(connect(&address), alpn);
            let error = stream.read(&mut [0; 10]).unwrap_err().to_string();
            assert!(error.contains("NoApplicationProtocol"), "{error}");
        }
        for alpn in [&[][..], &[ours], &["h2", ours]] {
            let mut stream = tls(connect(&address), alpn);
            let mut greeting = [0; 4];
            stream.read_exact(&mut greeting).unwrap();
            assert!([*b"220 ", *b"* OK"].contains(&greeting));
            assert_eq!(stream.conn.alpn_protocol(), (!alpn.is_empty()).then_some(ours.as_bytes()));
            assert_eq!(stream.conn.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        }
    }
}

/// STL-01, STL-02: what came behind STARTTLS in clear text has no effect.
#[test]
fn commands_behind_starttls_are_not_run() {
    let tmp = tempfile::tempdir().unwrap();
    let server = Server::trial(&tmp.path().join("d"), &["--password", "x"]);
    for (service, lines) in [
        ("submission, STARTTLS", "EHLO c\r\nSTARTTLS\r\nRSET\r\nRSET\r\n"),
        ("imap, STARTTLS", "a STARTTLS\r\nb LOGIN you@localhost x\r\n"),
    ] {
        let mut client = Client::to(&server.address(service));
        client.line();
        client.send(lines.trim_end());
        let told = client.rest();
        assert!(!told.contains("b OK") && !told.contains("250 2.0.0"), "{told}");
    }
}

/// XPR-01, XPR-02
#[test]
fn other_protocols_are_closed_at_once() {
    let tmp = tempfile::tempdir().unwrap();
    let server = Server::trial(&tmp.path().join("d"), &["--password", "x"]);
    let post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<you@localhost>\r\n";
    let get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    for service in ["smtp, STARTTLS", "submission, STARTTLS", "lmtp"] {
        for talk in [get, post, "\x16\x03\x01\x02\x00\x01\x00\x01\u{1}\r\n", "SSH-2.0-Go\r\n"] {
            let mut client = Client::to(&server.address(service));
            client.reply();
            client.send(talk.trim_end());
            let told = client.rest();
            assert!(told.lines().count() <= 1 && !told.starts_with('2'), "{service}: {talk:?}: {told}");
        }
    }
    for talk in [get, post] {
        let mut client = Client::to(&server.address("imap, STARTTLS"));
        client.line();
        client.send(talk.trim_end());
        let told = client.rest();
        assert!(told.lines().count() <= 2 && !told.contains("OK"), "{talk:?}: {told}");
    }
}

/// OPS-07
#[test]
fn a_new_certificate_is_used_after_sighup_and_a_broken_one_never() {
    let site = Site::new("");
    let mut server = Server::serve(&site.config(), site.listeners());
    let imaps = server.address("imap, TLS");
    let serving = || {
        let mut stream = tls(connect(&imaps), &[]);
        stream.read_exact(&mut [0; 4]).unwrap();
        (stream.conn.peer_certificates().unwrap()[0].to_vec(), stream)
    };
    let (first, mut old_session) = serving();

    write_certificate(&site.path("cert.pem"), &site.path("key.pem"));
    assert_eq!(serving().0, first, "nobody told it yet");
    server.signal("HUP");
    assert!(server.prints("read the certificate and the accounts again"));
    let (second, _) = serving();
    assert_ne!(second, first);
    // Who is there stays.
    old_session.write_all(b"a NOOP\r\n").unwrap();
    let mut told = Vec::new();
    while !String::from_utf8_lossy(&told).contains("a OK") {
        let mut octets = [0; 100];
        let n = old_session.read(&mut octets).unwrap();
        assert!(n > 0);
        told.extend_from_slice(&octets[..n]);
    }

    // A key that does not fit: half of a renewal.
    write_certificate(&site.path("other.pem"), &site.path("key.pem"));
    server.signal("HUP");
    assert!(server.prints("the key is not that of the certificate"));
    assert!(server.prints("what was read before is used on"));
    assert_eq!(serving().0, second);
    fs::remove_file(site.path("cert.pem")).unwrap();
    server.signal("HUP");
    assert!(server.prints("cannot read the certificate"));
    assert_eq!(serving().0, second);
    server.stop();
}

/// STL-09: tickets of one service are not good at another. The client would resume if it could.
#[test]
fn sessions_are_not_resumed_across_services() {
    use std::sync::Arc;

    use rustls::HandshakeKind;
    use rustls::pki_types::ServerName;

    let tmp = tempfile::tempdir().unwrap();
    let server = Server::trial(&tmp.path().join("d"), &["--password", "x"]);
    let config: Arc<rustls::ClientConfig> = crate::client::trusting_config(&[]);
    let kind = |service| {
        let name = ServerName::try_from("localhost").unwrap();
        let connection = rustls::ClientConnection::new(config.clone(), name).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, connect(&server.address(service)));
        // Reading the greeting takes in the tickets that come before it.
        stream.read_exact(&mut [0; 4]).unwrap();
        stream.conn.handshake_kind().unwrap()
    };
    assert_eq!(kind("submission, TLS"), HandshakeKind::Full);
    assert_eq!(kind("submission, TLS"), HandshakeKind::Resumed, "or the rest would prove nothing");
    assert_eq!(kind("imap, TLS"), HandshakeKind::Full);
}

#[test]
fn starttls_works() {
    let site = Site::new("");
    let server = Server::serve(&site.config(), site.listeners());
    let mut socket = connect(&server.address("submission, STARTTLS"));
    let ask = |socket: &mut std::net::TcpStream, line: &str, end: &str| {
        socket.write_all(line.as_bytes()).unwrap();
        let mut told = Vec::new();
        while !String::from_utf8_lossy(&told).contains(end) {
            let mut octet = [0];
            socket.read_exact(&mut octet).unwrap();
            told.push(octet[0]);
        }
    };
    ask(&mut socket, "", "220 mail.example.org ESMTP\r\n");
    ask(&mut socket, "EHLO c\r\n", "250 STARTTLS\r\n");
    ask(&mut socket, "STARTTLS\r\n", "220 2.0.0 Go ahead with TLS\r\n");
    let mut client = Client::after_starttls(socket);
    client.expect("NOOP", "250");
    let told = client.ask("EHLO c");
    assert!(told.contains("AUTH PLAIN LOGIN") && !told.contains("STARTTLS"), "{told}");
    client.expect("QUIT", "221 ");
}
