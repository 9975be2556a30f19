//! Mail that is sent on to other addresses, and bounces that come back.

use std::fs;

use crate::client::Client;
use crate::process::{Server, eventually, run};
use crate::sending::{far_site, near_site};
use crate::serve::{Site, write_secret};

const FORWARD: &str =
    "\n[forward]\naliases = \"aliases\"\nsrs_domain = \"srs.example.org\"\nsrs_secrets = \"secrets\"\n";

fn site(far: &Server, aliases: &str) -> Site {
    let site = near_site(far, FORWARD);
    fs::write(site.path("aliases"), aliases).unwrap();
    write_secret(&site.path("secrets"), "a secret of some length\n");
    site
}

/// A stranger, who logs in nowhere.
fn stranger(server: &Server) -> Client {
    let mut client = Client::to(&server.address("smtp, STARTTLS"));
    client.hello();
    client
}

fn send(client: &mut Client, from: &str, to: &str) {
    client.expect(&format!("MAIL FROM:<{from}>"), "250 ");
    client.expect(&format!("RCPT TO:<{to}>"), "250 ");
    client.expect("DATA", "354 ");
    client.expect("Subject: hello\r\n\r\nhello\r\n.", "250 ");
}

#[test]
fn an_alias_sends_on_and_bounces_find_back() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let near = site(&far_server, "info: ann@example.com\njoe: \\joe, ann@example.com\n");
    let server = Server::serve(&near.config(), near.listeners());
    let mut client = stranger(&server);
    send(&mut client, "eve@example.com", "info@example.org");
    eventually("her mail", || far.mail("ann@example.com").len() == 1);
    let mail = &far.mail("ann@example.com")[0];
    assert!(mail.contains("Delivered-To: info@example.org"), "{mail}");
    let start = mail.find("SRS0=").expect("the sender is rewritten");
    let ours: String = mail[start..].chars().take_while(|c| *c != '>').collect();
    assert!(ours.ends_with("=example.com=eve@srs.example.org"), "{ours}");

    send(&mut client, "eve@example.com", "joe@example.org");
    eventually("her second mail", || far.mail("ann@example.com").len() == 2);
    eventually("his own copy", || near.mail("joe@example.org").len() == 1);

    // A bounce, for somebody who is there.
    let ours = ours.replace("=eve@", "=ann@");
    client.expect("MAIL FROM:<>", "250 ");
    client.expect(&format!("RCPT TO:<{ours}>"), "550 5.1.1 ");
    client.expect("RCPT TO:<anybody@srs.example.org>", "550 5.1.1 ");
    client.expect("RCPT TO:<ann@example.com>", "550 5.7.1 ");
    client.expect("RSET", "250 ");
    send(&mut client, "ann@example.com", "info@example.org");
    eventually("her third mail", || far.mail("ann@example.com").len() == 3);
    let all = far.mail("ann@example.com");
    let from_ann = all.iter().find_map(|mail| mail.find("=example.com=ann@").map(|end| (mail, end))).unwrap();
    let start = from_ann.0[..from_ann.1].rfind("SRS0=").unwrap();
    let ours: String = from_ann.0[start..].chars().take_while(|c| *c != '>').collect();
    client.expect("MAIL FROM:<eve@example.com>", "250 ");
    client.expect(&format!("RCPT TO:<{ours}>"), "550 5.7.1 this address takes bounces and nothing else");
    client.expect("RSET", "250 ");
    send(&mut client, "", &ours);
    eventually("the bounce", || far.mail("ann@example.com").len() == 4);

    client.expect("MAIL FROM:<eve@example.com>", "250 ");
    client.expect("RCPT TO:<info@example.org>", "250 ");
    client.expect("DATA", "354 ");
    client.expect("Delivered-To: info@example.org\r\n\r\nhello\r\n.", "550 5.4.6 ");
    // Whoever only says so is none of ours.
    send(&mut client, "joe@example.org", "info@example.org");
    eventually("her fifth mail", || far.mail("ann@example.com").len() == 5);
    assert!(far.mail("ann@example.com").iter().any(|mail| mail.contains("=example.org=joe@srs.example.org")));
}

#[test]
fn check_tells_what_is_wrong_with_the_files() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let near = site(&far_server, "info ann@example.com\n");
    let (_, told, code) = run(&["check", "--config", near.config().to_str().unwrap()]);
    assert!(code == 1 && told.contains("aliases: line 1: not a name, a colon and addresses"), "{told}");
}
