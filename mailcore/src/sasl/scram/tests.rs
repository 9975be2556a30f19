//! The examples of the RFCs, with their nonces.

use alloc::string::ToString;

use super::super::{Choice, ClientExchange, Credentials, Mechanism, Progress, ServerExchange, choice::Channel};
use super::*;
use crate::SeededRandom;
use crate::tests_crypto::RingCrypto;

struct Example {
    mechanism: Mechanism,
    client_nonce: &'static str,
    server_nonce: &'static str,
    salt: &'static str,
    messages: [&'static str; 4],
}

/// RFC 5802 §5
const SHA_1: Example = Example {
    mechanism: Mechanism::ScramSha1,
    client_nonce: "fyko+d2lbbFgONRv9qkxdawL",
    server_nonce: "3rfcNHYJY1ZVvWVs7j",
    salt: "QSXCR+Q6sek8bf92",
    messages: [
        "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ],
};

/// RFC 7677 §3
const SHA_256: Example = Example {
    mechanism: Mechanism::ScramSha256,
    client_nonce: "rOprNGfwEbeRWgbNEkqO",
    server_nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
    messages: [
        "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ],
};

#[test]
fn servers_say_what_the_examples_say() {
    for Example { mechanism, server_nonce, salt, messages, .. } in [SHA_1, SHA_256] {
        let mut exchange = ServerExchange::new(&mechanism).unwrap();
        let Progress::NeedsKeys { user, hash } = exchange.start(Some(messages[0].as_bytes())) else { panic!("keys") };
        assert_eq!(user, "user");
        let iterations = NonZeroU32::new(4096).unwrap();
        let salt = message::decode(salt).unwrap();
        let keys = ScramKeys::derive(&RingCrypto, hash, iterations, &salt, &"pencil".into()).unwrap();
        let answer = ScramAnswer { keys, nonce: server_nonce.to_string(), crypto: Arc::new(RingCrypto) };
        let Progress::Challenge(first) = exchange.keys(answer) else { panic!("challenge") };
        assert_eq!(first, messages[1].as_bytes());
        let Progress::Challenge(last) = exchange.respond(messages[2].as_bytes()) else { panic!("the proof is good") };
        assert_eq!(last, messages[3].as_bytes());
        let Progress::Credentials(Credentials::Proven { authentication_id, authorization_id }) = exchange.respond(b"")
        else {
            panic!("credentials")
        };
        assert_eq!((&*authentication_id, &*authorization_id), ("user", ""));
    }
}

#[test]
fn clients_say_what_the_examples_say() {
    for Example { mechanism, client_nonce, messages, .. } in [SHA_1, SHA_256] {
        let hash = mechanism.scram_hash().unwrap();
        let identity = ("", "user", &Secret::from("pencil"));
        let random = &mut SeededRandom::new(1);
        let mut client = Client::new(hash, &Channel::Unbound, identity, Arc::new(RingCrypto), random).unwrap();
        client.use_nonce(client_nonce);
        assert_eq!(client.initial_response().unwrap(), messages[0].as_bytes());
        assert_eq!(client.respond(messages[1].as_bytes()).unwrap(), messages[2].as_bytes());
        assert!(!client.is_proven());
        assert_eq!(client.respond(messages[3].as_bytes()).unwrap(), b"");
        assert!(client.is_proven());
    }
}

/// ATH-09, the client's side: RFC 5802 §5.1.
#[test]
fn hostile_servers() {
    let choice = Choice { mechanism: Mechanism::ScramSha256, channel: Channel::Unbound };
    let client = || {
        let credentials = Credentials::plain("", "user", "pencil");
        let random = &mut SeededRandom::new(1);
        let mut client = ClientExchange::with_crypto(&choice, credentials, Arc::new(RingCrypto), random).unwrap();
        let first = client.initial_response().unwrap();
        let first = String::from_utf8(first.into_exposed()).unwrap();
        (client, first.split_once("r=").unwrap().1.to_string())
    };
    let salt_and = |iterations: &str| alloc::format!("s=W22ZaJ0SNY7soEsUEjb6gQ==,i={iterations}");
    let (_, own) = client();
    for (first, error) in [
        (alloc::format!("r=x{own},{}", salt_and("4096")), SaslError::Malformed),
        (alloc::format!("r={own},{}", salt_and("4096")), SaslError::Malformed),
        (alloc::format!("r={},{}", &own[1..], salt_and("4096")), SaslError::Malformed),
        (alloc::format!("r={own}x,{}", salt_and("1")), SaslError::Iterations),
        (alloc::format!("r={own}x,{}", salt_and("4095")), SaslError::Iterations),
        (alloc::format!("r={own}x,{}", salt_and("1000001")), SaslError::Iterations),
        (alloc::format!("r={own}x,{}", salt_and("4294967296")), SaslError::Iterations),
        (alloc::format!("m=x,r={own}x,{}", salt_and("4096")), SaslError::Malformed),
    ] {
        let (mut client, _) = client();
        assert_eq!(client.respond(first.as_bytes()).unwrap_err(), error, "{first}");
        assert_eq!(client.finish(), Err(SaslError::ServerProof));
        assert_eq!(client.respond(first.as_bytes()).unwrap_err(), SaslError::OutOfOrder);
    }
    let good = alloc::format!("r={own}x,{}", salt_and("4096"));
    for (last, error) in [
        (&b""[..], SaslError::Malformed),
        (b"v=", SaslError::Malformed),
        (b"v=AAAA", SaslError::ServerProof),
        (b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", SaslError::ServerProof),
        (b"e=invalid-proof", SaslError::Denied),
    ] {
        let (mut client, _) = client();
        client.respond(good.as_bytes()).unwrap();
        // A server that says yes before it has proved anything.
        assert_eq!(client.finish(), Err(SaslError::ServerProof));
        assert_eq!(client.respond(last).unwrap_err(), error, "{}", last.escape_ascii());
        assert_eq!(client.finish(), Err(SaslError::ServerProof));
    }
}

#[test]
fn keys_are_read_and_written() {
    let text = "4096,Y0oxOuC0gd561s1pY1DnjQ==,SnRVIVnohuSC2XR0LWCKdtA649MwRDiELfS7HcM8JJ0=,oeIH9Xgn0KxCi358fndd0OOtvrKB3TuLrZg4RIqxDqg=";
    let keys = ScramKeys::parse(HashAlgorithm::Sha256, text).unwrap();
    // Made by `doveadm pw -s SCRAM-SHA-256 -p pencil` of Dovecot 2.3.19.
    assert!(keys.matches(&RingCrypto, &"pencil".into()));
    assert!(!keys.matches(&RingCrypto, &"pencils".into()));
    assert!(!keys.matches(&RingCrypto, &"".into()));
    assert!(!keys.clone().into_decoy().matches(&RingCrypto, &"pencil".into()));
    let salt = message::decode("8k2gtBP6A6wfpkkvKJC8Mw==").unwrap();
    let derived = ScramKeys::derive(&RingCrypto, HashAlgorithm::Sha1, keys.iterations(), &salt, &"pencil".into());
    let dovecot = "4096,8k2gtBP6A6wfpkkvKJC8Mw==,i4swl3a/Gsp4YeJBYxyES/cY8VE=,qDZJPxq2c2a0a8CG24nb27SKYuE=";
    assert_eq!(derived.unwrap().to_text().expose(), dovecot);
    for wrong in [
        "",
        "4096",
        "0,AAAA,SnRVIVnohuSC2XR0LWCKdtA649MwRDiELfS7HcM8JJ0=,oeIH9Xgn0KxCi358fndd0OOtvrKB3TuLrZg4RIqxDqg=",
        "+4096,AAAA,SnRVIVnohuSC2XR0LWCKdtA649MwRDiELfS7HcM8JJ0=,oeIH9Xgn0KxCi358fndd0OOtvrKB3TuLrZg4RIqxDqg=",
        "4096,,SnRVIVnohuSC2XR0LWCKdtA649MwRDiELfS7HcM8JJ0=,oeIH9Xgn0KxCi358fndd0OOtvrKB3TuLrZg4RIqxDqg=",
        "4096,AAAA,i4swl3a/Gsp4YeJBYxyES/cY8VE=,qDZJPxq2c2a0a8CG24nb27SKYuE=",
    ] {
        assert!(ScramKeys::parse(HashAlgorithm::Sha256, wrong).is_none(), "{wrong}");
    }
    assert!(ScramKeys::parse(HashAlgorithm::Sha256, &alloc::format!("{text},x")).is_none());
    let shown = alloc::format!("{keys:?}");
    assert_eq!(shown, "ScramKeys { hash: Sha256, iterations: 4096, .. }");
}

#[test]
fn decoys_stay_the_same() {
    let iterations = NonZeroU32::new(4096).unwrap();
    let decoy = |secret: &[u8], name| {
        ScramKeys::decoy(&RingCrypto, HashAlgorithm::Sha256, iterations, 40, &secret.into(), name).unwrap()
    };
    let (one, again) = (decoy(b"secret", "joe"), decoy(b"secret", "joe"));
    assert_eq!(one.salt(), again.salt());
    assert_eq!(one.salt().len(), 40);
    assert_ne!(one.salt(), decoy(b"secret", "ann").salt());
    assert_ne!(one.salt(), decoy(b"another", "joe").salt());
}
