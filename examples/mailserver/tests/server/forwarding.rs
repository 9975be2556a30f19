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

#[test]
fn check_tells_of_an_alias_that_is_also_a_route() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let near = site(&far_server, "ann@example.com: joe\n");
    let text = fs::read_to_string(near.config()).unwrap();
    let route = "\n[[route]]\nrecipients = [\"ann@example.com\"]\nto = \"mx\"\n";
    fs::write(near.config(), format!("{text}{route}")).unwrap();
    for command in ["check", "serve"] {
        let (_, told, code) = run(&[command, "--config", near.config().to_str().unwrap()]);
        assert!(code == 1 && told.contains("aliases: ") && told.contains("ann@example.com"), "{command}: {told}");
    }
}

#[test]
fn aliases_and_secrets_are_read_again() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let near = site(&far_server, "info: ann@example.com\n");
    let mut server = Server::serve(&near.config(), near.listeners());
    let mut client = stranger(&server);
    client.expect("MAIL FROM:<eve@example.com>", "250 ");
    client.expect("RCPT TO:<new@example.org>", "550 ");
    client.expect("RSET", "250 ");
    fs::write(near.path("aliases"), "new: ann@example.com\n").unwrap();
    server.signal("HUP");
    assert!(server.prints("read the certificate, the accounts and the aliases again"), "{}", server.output);
    send(&mut client, "eve@example.com", "new@example.org");
    eventually("her mail", || far.mail("ann@example.com").len() == 1);
    client.expect("MAIL FROM:<eve@example.com>", "250 ");
    client.expect("RCPT TO:<info@example.org>", "550 ");
    client.expect("RSET", "250 ");
    // What cannot be read leaves what was there.
    fs::write(near.path("aliases"), "new ann@example.com\n").unwrap();
    server.signal("HUP");
    assert!(server.prints("aliases: line 1: not a name, a colon and addresses"), "{}", server.output);
    send(&mut client, "eve@example.com", "new@example.org");
    eventually("her second mail", || far.mail("ann@example.com").len() == 2);
    server.stop();
}

// DSN-08, DSN-09
#[test]
fn an_alias_tells_no_stranger_of_anything() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let near = site(&far_server, "info: nobody@example.com\nlost: gone, away\njoe: \\joe\n");
    let text = fs::read_to_string(near.config()).unwrap();
    fs::write(near.config(), text.replace("[forward]\n", "[forward]\nbounces_to = \"ops@example.org\"\n")).unwrap();
    let server = Server::serve(&near.config(), near.listeners());
    let mut client = stranger(&server);
    // All that it leads to is known to be nobody.
    client.expect("MAIL FROM:<ann@example.com>", "250 ");
    client.expect("RCPT TO:<lost@example.org>", "550 5.1.1 the alias leads to nobody");
    client.expect("RSET", "250 ");
    send(&mut client, "ann@example.com", "joe@example.org");
    eventually("his mail", || near.mail("joe@example.org").len() == 1);
    // What only the next server knows is told to somebody here.
    send(&mut client, "ann@example.com", "info@example.org");
    eventually("the notice", || near.mail("ops@example.org").len() == 1);
    let notice = &near.mail("ops@example.org")[0];
    assert!(notice.contains("nobody@example.com"), "{notice}");
    assert!(far.mail("ann@example.com").is_empty(), "whoever was named as the sender hears nothing");
    server.stop();
}
