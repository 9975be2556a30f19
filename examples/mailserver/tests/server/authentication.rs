//! Mail of strangers, checked by whom it comes from.

use std::fs;

use pillarbox::mailcore::dns::{FixedZone, Record};

use crate::client::Client;
use crate::process::{Server, eventually};
use crate::sending::{far_site, logged_in, near_site};
use crate::serve::Site;
use crate::zone;

/// Domains whose mail comes from here (`client.example`) and from elsewhere.
pub fn world() -> FixedZone {
    FixedZone::new()
        .with("client.example", Record::txt("v=spf1 ip4:127.0.0.1 -all"))
        .with("_dmarc.client.example", Record::txt("v=DMARC1; p=reject"))
        .with("_dmarc.bank.example", Record::txt("v=DMARC1; p=reject"))
        .with("_dmarc.shop.example", Record::txt("v=DMARC1; p=quarantine"))
        .failing("_dmarc.slow.example")
}

fn site(authentication: &str) -> (Site, Server) {
    let site = Site::new(&format!("\n[authentication]\n{authentication}{}", zone::serve(world())));
    let server = Server::serve(&site.config(), site.listeners());
    (site, server)
}

/// Somebody who says where they are from.
pub fn stranger(server: &Server) -> Client {
    let mut client = Client::to(&server.address("smtp, STARTTLS"));
    assert!(client.reply().starts_with("220 "));
    assert!(client.ask("EHLO client.example").starts_with("250"));
    client
}

/// Sends a message with this From field, and gives the reply to its end.
pub fn send(client: &mut Client, from: &str, to: &str, header: &str) -> String {
    client.expect(&format!("MAIL FROM:<{from}>"), "250 ");
    client.expect(&format!("RCPT TO:<{to}>"), "250 ");
    client.expect("DATA", "354 ");
    client.ask(&format!("{header}\r\nSubject: hello\r\n\r\nhello\r\n."))
}

/// The messages in the mailbox for junk.
fn junk(site: &Site, account: &str) -> Vec<String> {
    let (user, domain) = account.split_once('@').unwrap();
    let folder = site.path(&format!("mail/{domain}/{user}/Maildir/.Junk/new"));
    let files = fs::read_dir(folder).into_iter().flatten();
    files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

const JOE: &str = "joe@example.org";
const FORGED: &str = "Authentication-Results: MAIL.example.org; dmarc=pass\r\n";
const OTHERS: &str = "Authentication-Results: other.example; dmarc=pass";

#[test]
fn what_was_found_stands_on_top_and_nothing_is_refused() {
    let (site, server) = site("received_spf = true\n");
    let mut client = stranger(&server);
    let header = format!("{FORGED}{OTHERS}\r\nFrom: eve@client.example");
    assert!(send(&mut client, "eve@client.example", JOE, &header).starts_with("250 "));
    let mail = site.mail(JOE).remove(0);
    let top = "Return-Path: <eve@client.example>\nDelivered-To: joe@example.org\n\
        Authentication-Results: mail.example.org;\n\tiprev=permerror policy.iprev=127.0.0.1;\n\
        \tspf=pass smtp.mailfrom=client.example;\n\tspf=pass smtp.helo=client.example;\n\tdkim=none;\n\tarc=none;\n\
        \tdmarc=pass header.from=client.example policy.dmarc=reject\nReceived-SPF: pass ";
    assert!(mail.starts_with(top), "{mail}");
    assert!(!mail.contains("MAIL.example.org") && mail.contains(OTHERS), "{mail}");
    // What fails is taken all the same, and told.
    for author in ["bank.example", "shop.example"] {
        let reply = send(&mut client, "eve@client.example", "ops@example.org", &format!("From: eve@{author}"));
        assert!(reply.starts_with("250 "), "{reply}");
    }
    let told = site.mail("ops@example.org").concat();
    assert!(told.contains("local_policy makes none of reject") && told.contains("makes none of quarantine"), "{told}");
    assert!(junk(&site, "ops@example.org").is_empty() && !told.contains("X-Spam"));
    let output = server.stop();
    assert!(output.contains("checked: mail.example.org; ") && output.contains("dmarc=fail"), "{output}");
    assert!(!output.contains("TROUBLE"), "{output}");
}

// DMC-01, DSN-01
#[test]
fn what_a_domain_wants_refused_is_refused_in_the_session() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let dns = zone::serve(world());
    let near = near_site(&far_server, &format!("\n[authentication]\ndmarc = \"honour\"\n{dns}"));
    let server = Server::serve(&near.config(), near.listeners());
    let mut client = stranger(&server);
    let reply = send(&mut client, "eve@client.example", JOE, "From: boss@bank.example");
    assert_eq!(reply, "550 5.7.1 refused by the DMARC policy of bank.example");
    let reply = send(&mut client, "", JOE, "From: boss@bank.example, eve@client.example");
    assert_eq!(reply, "550 5.7.1 the author cannot be told: authors in several domains");
    // Kept apart, and marked.
    assert!(send(&mut client, "eve@client.example", JOE, "From: boss@shop.example").starts_with("250 "));
    assert_eq!((site_inbox(&near), junk(&near, JOE).len()), (0, 1));
    let mail = junk(&near, JOE).remove(0);
    let top = "Return-Path: <eve@client.example>\nDelivered-To: joe@example.org\nX-Spam: Yes\nAuthentication-Results: ";
    assert!(mail.starts_with(top), "{mail}");
    // A mark of theirs is nothing.
    assert!(
        send(&mut client, "eve@client.example", JOE, "X-Spam: Yes\r\nFrom: eve@client.example").starts_with("250 ")
    );
    assert_eq!((site_inbox(&near), junk(&near, JOE).len()), (1, 1));
    let output = server.stop();
    assert!(!output.contains("notice"), "{output}");
    assert!(far.mail("ann@example.com").is_empty());
}

fn site_inbox(site: &Site) -> usize {
    site.mail(JOE).len()
}

// RFC 9989 §7.4
#[test]
fn mail_to_be_refused_can_be_kept_apart_also_behind_an_alias() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let dns = zone::serve(world());
    let more = format!("\n[forward]\naliases = \"aliases\"\n\n[authentication]\ndmarc = \"quarantine\"\n{dns}");
    let near = near_site(&far_server, &more);
    fs::write(near.path("aliases"), "joe: \\joe, ann@example.com\n").unwrap();
    let server = Server::serve(&near.config(), near.listeners());
    let mut client = stranger(&server);
    assert!(send(&mut client, "eve@client.example", JOE, "From: boss@bank.example").starts_with("250 "));
    eventually("the copy that stays", || junk(&near, JOE).len() == 1);
    assert!(junk(&near, JOE)[0].contains("local_policy makes quarantine of reject"));
    assert!(near.mail(JOE).is_empty());
    let reply = send(&mut client, "", JOE, "Sender: boss@bank.example");
    assert_eq!(reply, "550 5.7.1 the author cannot be told: no From field");
    server.stop();
}

#[test]
fn a_mark_without_a_mailbox_for_it() {
    let (site, server) = site("dmarc = \"honour\"\nquarantine = \"header\"\nauthserv_id = \"results.example.org\"\n");
    let mut client = stranger(&server);
    let header = format!("{FORGED}Authentication-Results: results.example.org; spf=pass\r\nFrom: boss@shop.example");
    assert!(send(&mut client, "eve@client.example", JOE, &header).starts_with("250 "));
    let mail = site.mail(JOE).remove(0);
    assert!(mail.contains("\nX-Spam: Yes\nAuthentication-Results: results.example.org;\n"), "{mail}");
    assert_eq!(mail.matches("Authentication-Results").count(), 1, "neither of our names is theirs to write: {mail}");
    server.stop();
}

// DMC-09, DNS-03
#[test]
fn what_cannot_be_looked_up_is_taken_or_put_off_and_never_a_pass() {
    for (choice, replies) in [("accept", "250 "), ("later", "451 4.7.1 ")] {
        let (site, server) = site(&format!("dmarc = \"honour\"\ntemporary_errors = \"{choice}\"\n"));
        let mut client = stranger(&server);
        let reply = send(&mut client, "eve@client.example", JOE, "From: eve@slow.example");
        assert!(reply.starts_with(replies), "{choice}: {reply}");
        match choice {
            "accept" => assert!(site.mail(JOE)[0].contains("dmarc=temperror"), "{:?}", site.mail(JOE)),
            _ => assert!(site.mail(JOE).is_empty()),
        }
        server.stop();
    }
}

#[test]
fn users_and_hosts_of_ours_are_not_checked_and_forge_nothing() {
    let listener = "[[listener]]\nprotocol = \"smtp\"\naddress = \"127.0.0.1:0\"\nrelay_from = [\"127.0.0.0/8\"]\n";
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let dns = zone::serve(world());
    let near = near_site(&far_server, &format!("{listener}\n[authentication]\ndmarc = \"honour\"\n{dns}"));
    let server = Server::serve(&near.config(), near.listeners() + 1);
    let mut user = logged_in(&server);
    assert!(send(&mut user, JOE, "ops@example.org", &format!("{FORGED}From: {JOE}")).starts_with("250 "));
    let mut printer = Client::to(&server.address("smtp"));
    printer.hello();
    let reply = send(&mut printer, JOE, "ops@example.org", &format!("{FORGED}From: me@bank.example"));
    assert!(reply.starts_with("250 "), "{reply}");
    // LMTP comes from a server that has looked at it.
    let mut lmtp = Client::to(&server.address("lmtp"));
    drop((lmtp.reply(), lmtp.ask("LHLO me")));
    let reply = send(&mut lmtp, JOE, "jane@example.net", &format!("{FORGED}From: me@bank.example"));
    assert!(reply.starts_with("250 "), "{reply}");
    for mail in near.mail("ops@example.org") {
        assert!(!mail.contains("Authentication-Results"), "{mail}");
    }
    assert!(near.mail("jane@example.net")[0].contains("MAIL.example.org"));
    server.stop();
}

#[test]
fn a_server_of_ours_that_has_checked_it_is_believed() {
    let (site, server) = site("dmarc = \"honour\"\ntrusted = [\"127.0.0.0/8\"]\n");
    let mut client = stranger(&server);
    let header = format!("{FORGED}From: boss@bank.example");
    assert!(send(&mut client, "eve@client.example", JOE, &header).starts_with("250 "));
    let mail = site.mail(JOE).remove(0);
    assert!(mail.contains("\nReceived: ") && mail.contains(FORGED.trim_end()), "{mail}");
    assert_eq!(mail.matches("Authentication-Results").count(), 1, "{mail}");
    server.stop();
}
