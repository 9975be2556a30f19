//! Signatures on what users send, and seals on what is sent on.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use pillarbox::crypto::RingCrypto;
use pillarbox::mailauth::arc::{ArcResult, Sealer, Verifier};
use pillarbox::mailauth::dkim::{DomainKey, KeyRecord, Policy, SignOptions, read_private_key};
use pillarbox::mailcore::crypto::Crypto as _;
use pillarbox::mailcore::dns::{self, FixedZone, Record};

use crate::authentication::{send, stranger, world};
use crate::process::{Server, eventually, run};
use crate::sending::{far_site, logged_in, near_site};
use crate::serve::{Site, write_secret};
use crate::zone;

/// Ed25519 keys that OpenSSL made.
const ONE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
const TWO: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIKwqJn2QVnYAzW4MRsCkVpNvXj4Dhc8q5Q5kGH8dLc5l\n-----END PRIVATE KEY-----\n";

fn domain_key(pem: &str, domain: &str, selector: &str) -> DomainKey {
    let key = RingCrypto.load_key(&read_private_key(pem.as_bytes()).unwrap()).unwrap();
    DomainKey::new(domain.parse().unwrap(), selector.parse().unwrap(), key.into())
}

fn with_key(zone: FixedZone, pem: &str, domain: &str, selector: &str) -> FixedZone {
    let record = KeyRecord::text(domain_key(pem, domain, selector).key.public_key()).unwrap();
    zone.with(&format!("{selector}._domainkey.{domain}"), Record::txt(record))
}

fn our_zone() -> FixedZone {
    let zone = with_key(world(), ONE, "example.org", "one");
    let zone = with_key(zone, TWO, "example.org", "two").with("_dmarc.example.org", Record::txt("v=DMARC1; p=reject"));
    with_key(zone, TWO, "lists.example", "sel")
}

/// Another server that checks what comes, for example.com.
fn judging_far(authentication: &str) -> (Site, Server) {
    let far = far_site();
    let text = fs::read_to_string(far.config()).unwrap();
    let more = format!("\n[authentication]\ndmarc = \"honour\"\n{authentication}{}", zone::serve(our_zone()));
    fs::write(far.config(), format!("{text}{more}")).unwrap();
    let server = Server::serve(&far.config(), far.listeners());
    (far, server)
}

const SIGN: &str = "\n[[sign]]\ndomain = \"example.org\"\nselector = \"one\"\nkey_file = \"one.pem\"\n";

fn near(far: &Server, more: &str) -> Site {
    let near = near_site(far, more);
    write_secret(&near.path("one.pem"), ONE);
    write_secret(&near.path("two.pem"), TWO);
    fs::write(near.path("aliases"), "info: ann@example.com\n").unwrap();
    near
}

#[test]
fn what_users_send_is_signed_and_passes_elsewhere() {
    let (far, far_server) = judging_far("");
    let near = near(&far_server, &format!("{SIGN}{}", SIGN.replace("one", "two")));
    let mut server = Server::serve(&near.config(), near.listeners());
    let mut client = logged_in(&server);
    let from = "From: joe@example.org";
    assert!(send(&mut client, "joe@example.org", "ann@example.com", from).starts_with("250 "));
    eventually("her mail", || far.mail("ann@example.com").len() == 1);
    let mail = far.mail("ann@example.com").remove(0);
    assert_eq!(mail.matches("dkim=pass header.d=example.org").count(), 2, "{mail}");
    assert!(mail.contains("dmarc=pass header.from=example.org"), "{mail}");
    let signature = mail.find("DKIM-Signature: ").unwrap();
    assert!(mail[signature..].contains("\nReceived: from client.example"), "on top of what we wrote: {mail}");
    // A stranger is none of ours.
    let mut other = stranger(&server);
    assert!(send(&mut other, "joe@example.org", "joe@example.org", from).starts_with("250 "));
    assert!(!near.mail("joe@example.org")[0].contains("DKIM-Signature"));

    // Another key is read; one that everybody may use is not, and the one from before signs on.
    let told = "read the certificate, the accounts and the keys again";
    write_secret(&near.path("one.pem"), TWO);
    fs::set_permissions(near.path("one.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    server.signal("HUP");
    assert!(server.prints("one.pem holds secrets, but everybody may use it"), "{}", server.output);
    assert!(send(&mut client, "joe@example.org", "ann@example.com", from).starts_with("250 "));
    eventually("her second mail", || far.mail("ann@example.com").len() == 2);
    assert!(far.mail("ann@example.com").iter().all(|mail| mail.matches("dkim=pass").count() == 2));
    fs::set_permissions(near.path("one.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    server.signal("HUP");
    assert!(server.prints(told), "{}", server.output);
    assert!(send(&mut client, "joe@example.org", "ann@example.com", from).starts_with("250 "));
    eventually("her third mail", || far.mail("ann@example.com").len() == 3);
    let wrong = far.mail("ann@example.com").into_iter().filter(|mail| mail.contains("dkim=fail"));
    assert_eq!(wrong.count(), 1, "the key is another than the DNS says");
    server.stop();
}

const FORWARD: &str = "\n[forward]\naliases = \"aliases\"\nsrs_domain = \"srs.example.org\"\nsrs_secrets = \"secrets\"\n\
    seal_domain = \"example.org\"\nseal_selector = \"one\"\nseal_key_file = \"one.pem\"\n";

fn forwarding(far: &Server, authentication: &str) -> Site {
    let dns = zone::serve(our_zone());
    let near = near(far, &format!("{FORWARD}\n[authentication]\n{authentication}{dns}"));
    write_secret(&near.path("secrets"), "a secret of some length\n");
    near
}

#[test]
fn what_is_sent_on_is_sealed_and_believed_where_we_are_trusted() {
    let (far, far_server) = judging_far("trusted_sealers = [\"example.org\"]\n");
    let (strict, strict_server) = judging_far("");
    for (far, server, is_trusted) in [(&far, &far_server, true), (&strict, &strict_server, false)] {
        let near = forwarding(server, "authserv_id = \"results.example.org\"\n");
        let mut server = Server::serve(&near.config(), near.listeners());
        let mut client = stranger(&server);
        // SPF of the author passes here alone, as the sender is rewritten.
        let from = "From: eve@client.example";
        assert!(send(&mut client, "eve@client.example", "info@example.org", from).starts_with("250 "));
        if !is_trusted {
            assert!(server.prints("550 5.7.1 refused by the DMARC policy of client.example"), "{}", server.output);
            server.stop();
            assert!(far.mail("ann@example.com").is_empty());
            continue;
        }
        eventually("her mail", || far.mail("ann@example.com").len() == 1);
        let mail = far.mail("ann@example.com").remove(0);
        for part in [
            "arc=pass (set 1 by example.org)",
            "(trusted_forwarder makes none of reject)",
            "ARC-Seal: i=1; a=ed25519-sha256;",
            "ARC-Authentication-Results: i=1; results.example.org; ",
            "spf=pass smtp.mailfrom=client.example;",
            "dmarc=pass header.from=client.example policy.dmarc=reject\n",
        ] {
            assert!(mail.contains(part), "{part} in\n{mail}");
        }
        server.stop();
    }
}

/// A chain that was whole when it came goes on; of one that was broken the seal says so.
#[test]
fn a_chain_goes_on() {
    // Nobody here has the last word.
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let near = forwarding(&far_server, "");
    let server = Server::serve(&near.config(), near.listeners());
    let message = "From: eve@client.example\r\nSubject: hello\r\n\r\nhello\r\n";
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let key = domain_key(TWO, "lists.example", "sel");
    let mut sealer = Sealer::new(Arc::new(RingCrypto), key, SignOptions::default(), now);
    sealer.write(message.as_bytes());
    let sealed = sealer.finish(ArcResult::None, "lists.example; dmarc=pass header.from=client.example").unwrap();
    let mut client = stranger(&server);
    for (fields, cv) in
        [(sealed.clone(), ArcResult::Pass), (sealed.replace("dmarc=pass", "dmarc=fail"), ArcResult::Fail)]
    {
        let before = far.mail("ann@example.com");
        let header = format!("{fields}From: eve@client.example");
        assert!(send(&mut client, "eve@client.example", "info@example.org", &header).starts_with("250 "));
        eventually("her mail", || far.mail("ann@example.com").len() == before.len() + 1);
        let mail = far.mail("ann@example.com").into_iter().find(|mail| !before.contains(mail)).unwrap();
        let unfolded = mail.replace("\n\t", " ").replace("\n ", " ");
        let word = format!("cv={}", cv.as_str());
        assert!(unfolded.lines().any(|line| line.starts_with("ARC-Seal: i=2;") && line.contains(&word)), "{mail}");
        let mut verifier = Verifier::new(Arc::new(RingCrypto), Policy::default(), now);
        verifier.write(mail.replace('\n', "\r\n").as_bytes());
        verifier.finish();
        assert_eq!(dns::run(&mut verifier, &our_zone()).result, cv, "{mail}");
    }
    server.stop();
}

// ARC-05: what is no more than claimed to be from somebody gets no signature of theirs, and no pass.
#[test]
fn what_fails_is_sealed_as_a_failure() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let near = forwarding(&far_server, "");
    let text = fs::read_to_string(near.config()).unwrap();
    fs::write(near.config(), format!("{text}{SIGN}")).unwrap();
    let server = Server::serve(&near.config(), near.listeners());
    let mut client = stranger(&server);
    let from = "From: joe@example.org";
    assert!(send(&mut client, "eve@client.example", "info@example.org", from).starts_with("250 "));
    eventually("her mail", || far.mail("ann@example.com").len() == 1);
    let mail = far.mail("ann@example.com").remove(0);
    let results = &mail[mail.find("ARC-Authentication-Results: i=1; mail.example.org; ").unwrap()..];
    assert!(results.contains("dmarc=fail") && !mail.contains("DKIM-Signature"), "{mail}");
    server.stop();
}

#[test]
fn check_tells_of_a_seal_that_is_half_said() {
    let far = far_site();
    let far_server = Server::serve(&far.config(), far.listeners());
    let near = forwarding(&far_server, "");
    let text = fs::read_to_string(near.config()).unwrap();
    fs::write(near.config(), text.replace("seal_selector = \"one\"\n", "")).unwrap();
    let (_, told, code) = run(&["check", "--config", near.config().to_str().unwrap()]);
    assert!(code == 1 && told.contains("`seal_domain`, `seal_selector` and `seal_key_file` need each other"), "{told}");
}
