//! SASL exchanges, both sides against each other and against hostile peers.

use std::num::NonZeroU32;
use std::sync::Arc;

use pillarbox_core::sasl::{
    Choice, ClientExchange, ClientPolicy, Credentials, Mechanism, Progress, SaslError, ScramAnswer, ScramKeys,
    ServerExchange, decode_initial_response, decode_response, encode,
};
use pillarbox_core::{Secret, SeededRandom, TlsFacts};
use proptest::prelude::*;

mod ring_crypto;
use ring_crypto::RingCrypto;

const ALL: [Mechanism; 10] = [
    Mechanism::Plain,
    Mechanism::Login,
    Mechanism::ScramSha1,
    Mechanism::ScramSha1Plus,
    Mechanism::ScramSha256,
    Mechanism::ScramSha256Plus,
    Mechanism::External,
    Mechanism::OAuthBearer,
    Mechanism::XOAuth2,
    Mechanism::Anonymous,
];

fn tls(exporter: u8) -> TlsFacts {
    let mut tls = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
    tls.exporter = Some([exporter; 32]);
    tls.peer_certificate = Some(b"certificate".to_vec());
    tls
}

/// The server's answer to a question for keys: those of the password `pencil`, or a decoy.
fn answer(user: &str, mechanism: &Mechanism, seed: u64) -> ScramAnswer {
    let (hash, iterations) = (mechanism.scram_hash().unwrap(), NonZeroU32::new(4096).unwrap());
    let keys = match user {
        "joe" | "jöe" => ScramKeys::derive(&RingCrypto, hash, iterations, b"0123456789abcdef", &"pencil".into()),
        _ => ScramKeys::decoy(&RingCrypto, hash, iterations, 16, &b"secret"[..].into(), user),
    };
    ScramAnswer::new(keys.unwrap(), Arc::new(RingCrypto), &mut SeededRandom::new(seed))
}

fn choose(mechanism: &Mechanism, offered: &[Mechanism], credentials: &Credentials, tls: Option<&TlsFacts>) -> Choice {
    let mut policy = ClientPolicy::default();
    policy.mechanisms = vec![mechanism.clone()];
    policy.choose(offered, credentials, tls).unwrap_or_else(|| panic!("{mechanism} fits"))
}

fn client(choice: &Choice, credentials: Credentials, seed: u64) -> ClientExchange {
    ClientExchange::with_crypto(choice, credentials, Arc::new(RingCrypto), &mut SeededRandom::new(seed)).unwrap()
}

/// Runs both sides against each other; the last progress of the server, and what the client thinks of its yes.
fn run(
    mechanism: &Mechanism,
    credentials: Credentials,
    (client_tls, server_tls): (TlsFacts, TlsFacts),
    with_initial: bool,
) -> (Progress, Result<(), SaslError>) {
    let choice = choose(mechanism, &ALL, &credentials, Some(&client_tls));
    let mut client = client(&choice, credentials, 1);
    let mut server = ServerExchange::among(&ALL, mechanism, Some(&server_tls)).unwrap();
    let initial = if with_initial { client.initial_response() } else { None };
    let mut progress = server.start(initial.as_ref().map(|message| &message.expose()[..]));
    loop {
        progress = match progress {
            Progress::Challenge(challenge) => server.respond(client.respond(&challenge).unwrap().expose()),
            Progress::NeedsKeys { user, .. } => server.keys(answer(&user, mechanism, 2)),
            end => return (end, client.finish()),
        }
    }
}

fn credentials_for(mechanism: &Mechanism) -> Credentials {
    match mechanism {
        Mechanism::External => Credentials::external("ann"),
        Mechanism::Anonymous => Credentials::anonymous("visitor@example.org"),
        Mechanism::OAuthBearer | Mechanism::XOAuth2 => Credentials::bearer("joe", "token"),
        _ => Credentials::plain("", "joe", "pencil"),
    }
}

#[test]
fn both_sides_agree() {
    for mechanism in &ALL {
        if *mechanism == Mechanism::Anonymous {
            continue;
        }
        for with_initial in [true, false] {
            let (progress, believed) = run(mechanism, credentials_for(mechanism), (tls(1), tls(1)), with_initial);
            let Progress::Credentials(credentials) = progress else { panic!("{mechanism}: {progress:?}") };
            assert_eq!(believed, Ok(()), "{mechanism}");
            match credentials {
                Credentials::Plain { authentication_id, password, .. } => {
                    assert_eq!((&*authentication_id, &**password.expose()), ("joe", "pencil"));
                }
                Credentials::Proven { authentication_id, .. } => assert_eq!(authentication_id, "joe"),
                Credentials::Bearer { authorization_id, token, .. } => {
                    assert_eq!((&*authorization_id, &**token.expose()), ("joe", "token"));
                }
                Credentials::External { authorization_id, .. } => assert_eq!(authorization_id, "ann"),
                other => panic!("{other:?}"),
            }
        }
    }
    let mut visitor = ClientExchange::new(&Mechanism::Anonymous, credentials_for(&Mechanism::Anonymous)).unwrap();
    let mut server = ServerExchange::new(&Mechanism::Anonymous).unwrap();
    let progress = server.start(Some(visitor.initial_response().unwrap().expose()));
    assert!(matches!(
        progress,
        Progress::Credentials(Credentials::Anonymous { trace, .. }) if trace == "visitor@example.org"
    ));
}

/// ATH-09
#[test]
fn wrong_passwords_and_unknown_names_look_the_same() {
    for mechanism in ALL.iter().filter(|mechanism| mechanism.scram_hash().is_some()) {
        for (name, password) in [("joe", "pencils"), ("ann", "pencil"), ("joe", "Pencil")] {
            let (progress, believed) = run(mechanism, Credentials::plain("", name, password), (tls(1), tls(1)), true);
            assert!(matches!(&progress, Progress::Refused { authentication_id } if authentication_id == name));
            assert_eq!(believed, Err(SaslError::ServerProof));
        }
    }
}

/// ATH-09: somebody stands between the two, with a TLS connection to each.
#[test]
fn a_proof_for_another_connection() {
    for mechanism in [Mechanism::ScramSha1Plus, Mechanism::ScramSha256Plus] {
        let (progress, _) = run(&mechanism, credentials_for(&mechanism), (tls(1), tls(2)), true);
        assert!(matches!(progress, Progress::Refused { .. }), "{mechanism}: {progress:?}");
    }
}

/// ATH-09: the first message says `y,,` though a PLUS is on offer, or binds where it cannot, or does not where it must.
#[test]
fn downgrades() {
    let tls = tls(1);
    let start = |mechanisms: &[Mechanism], mechanism: &Mechanism, message: &str| {
        ServerExchange::among(mechanisms, mechanism, Some(&tls)).unwrap().start(Some(message.as_bytes()))
    };
    let (bare, both) = ([Mechanism::ScramSha256], [Mechanism::ScramSha256, Mechanism::ScramSha256Plus]);
    for (mechanisms, mechanism, header, taken) in [
        (&both[..], &both[0], "n,,", true),
        (&both, &both[0], "y,,", false),
        (&both, &both[0], "p=tls-exporter,,", false),
        (&both, &both[1], "p=tls-exporter,,", true),
        (&both, &both[1], "n,,", false),
        (&both, &both[1], "y,,", false),
        (&both, &both[1], "p=tls-unique,,", false),
        (&both, &both[1], "p=tls-server-end-point,,", false),
        (&bare, &bare[0], "n,,", true),
        (&bare, &bare[0], "y,,", true),
        (&bare, &bare[0], "p=tls-exporter,,", false),
    ] {
        match start(mechanisms, mechanism, &format!("{header}n=joe,r=abc")) {
            Progress::NeedsKeys { .. } => assert!(taken, "{mechanism} {header}"),
            Progress::Failed(SaslError::ChannelBinding) => assert!(!taken, "{mechanism} {header}"),
            other => panic!("{mechanism} {header}: {other:?}"),
        }
    }
    // Without an exporter there is nothing to bind to.
    assert!(!Mechanism::ScramSha256Plus.is_possible(Some(&TlsFacts::new("TLSv1.2", "x"))));
    assert!(!Mechanism::External.is_possible(Some(&TlsFacts::new("TLSv1.3", "x"))));
    let refused = ServerExchange::among(&both, &Mechanism::ScramSha256Plus, None);
    assert_eq!(refused.unwrap_err(), SaslError::UnknownMechanism);
    let refused = ServerExchange::among(&bare, &Mechanism::Plain, None);
    assert_eq!(refused.unwrap_err(), SaslError::UnknownMechanism);
    let mut unbound = ServerExchange::new(&Mechanism::ScramSha256Plus).unwrap();
    let progress = unbound.start(Some(b"p=tls-exporter,,n=joe,r=abc"));
    assert!(matches!(progress, Progress::Failed(SaslError::ChannelBinding)));
}

/// What a client says about the offer: `y` only where it could bind and saw no PLUS at all.
#[test]
fn the_flag_follows_the_offer() {
    let credentials = Credentials::plain("", "joe", "pencil");
    let tls = tls(1);
    let header = |mechanism: &Mechanism, offered: &[Mechanism], tls: Option<&TlsFacts>| {
        let choice = choose(mechanism, offered, &credentials, tls);
        let first = client(&choice, credentials.clone(), 1).initial_response().unwrap();
        String::from_utf8(first.into_exposed()).unwrap().split_once(",,").unwrap().0.to_owned()
    };
    let (bare, both) = ([Mechanism::ScramSha256], [Mechanism::ScramSha256, Mechanism::ScramSha256Plus]);
    assert_eq!(header(&Mechanism::ScramSha256, &bare, None), "n");
    assert_eq!(header(&Mechanism::ScramSha256, &bare, Some(&tls)), "y");
    assert_eq!(header(&Mechanism::ScramSha256, &both, Some(&tls)), "n");
    assert_eq!(header(&Mechanism::ScramSha256Plus, &both, Some(&tls)), "p=tls-exporter");
}

/// ATH-09: what one exchange proved is worth nothing in another.
#[test]
fn replayed_and_changed_messages() {
    let mechanism = Mechanism::ScramSha256;
    let credentials = Credentials::plain("", "joe", "pencil");
    let choice = choose(&mechanism, &ALL, &credentials, Some(&tls(1)));
    let mut client = client(&choice, credentials, 1);
    let first = client.initial_response().unwrap();
    let begin = |seed| {
        let mut server = ServerExchange::new(&mechanism).unwrap();
        assert!(matches!(server.start(Some(first.expose())), Progress::NeedsKeys { .. }));
        let Progress::Challenge(challenge) = server.keys(answer("joe", &mechanism, seed)) else { panic!("challenge") };
        (server, challenge)
    };
    let (mut server, challenge) = begin(2);
    let last = client.respond(&challenge).unwrap();
    let last = std::str::from_utf8(last.expose()).unwrap();
    // The server's nonce is another one, though the client's is reused.
    let (mut another, _) = begin(3);
    assert!(matches!(another.respond(last.as_bytes()), Progress::Refused { .. }));
    assert!(matches!(another.respond(last.as_bytes()), Progress::Failed(SaslError::OutOfOrder)));
    let proof = last.split_once(",p=").unwrap().1;
    for (changed, what) in [
        (last.replacen("r=", "r=x", 1), "the nonce"),
        (last.replacen("c=biws", "c=eSws", 1), "the flag"),
        (last.replacen("c=biws", "c=bixhPWFubiw=", 1), "the authorization identity"),
        (last.replacen(",p=", ",x=y,p=", 1), "an extension"),
        (last.replace(proof, "AAAA"), "a short proof"),
        (last.replace(proof, &encode(&[0; 32])), "an empty proof"),
        (last.replace(proof, &encode(&[0; 64])), "a long proof"),
    ] {
        let (mut server, _) = begin(2);
        assert!(matches!(server.respond(changed.as_bytes()), Progress::Refused { .. }), "{what}");
    }
    for malformed in ["", "c=biws", "r=x,c=biws,p=AAAA", "c=biws,r=x,p=A", "c=,r=x,p=AAAA", "c=biws,r=x,m=1,p=AAAA"] {
        let (mut server, _) = begin(2);
        let progress = server.respond(malformed.as_bytes());
        assert!(matches!(progress, Progress::Failed(SaslError::Malformed)), "{malformed}: {progress:?}");
    }
    assert!(matches!(server.respond(last.as_bytes()), Progress::Challenge(text) if text.starts_with(b"v=")));
    assert!(matches!(server.respond(b"more"), Progress::Failed(SaslError::Malformed)));
}

#[test]
fn questions_and_answers_out_of_order() {
    let mut server = ServerExchange::new(&Mechanism::ScramSha256).unwrap();
    assert!(matches!(server.keys(answer("joe", &Mechanism::ScramSha256, 1)), Progress::Failed(SaslError::OutOfOrder)));
    let mut server = ServerExchange::new(&Mechanism::ScramSha256).unwrap();
    assert!(matches!(server.start(Some(b"n,,n=joe,r=abc")), Progress::NeedsKeys { .. }));
    assert!(matches!(server.respond(b"c=biws,r=abc,p=AAAA"), Progress::Failed(SaslError::OutOfOrder)));
    let mut server = ServerExchange::new(&Mechanism::ScramSha256).unwrap();
    assert!(matches!(server.start(Some(b"n,,n=joe,r=abc")), Progress::NeedsKeys { .. }));
    let other_hash = answer("joe", &Mechanism::ScramSha1, 1);
    assert!(matches!(server.keys(other_hash), Progress::Failed(SaslError::Unsupported)));
    assert!(matches!(
        ServerExchange::new(&Mechanism::Plain).unwrap().keys(answer("joe", &Mechanism::ScramSha256, 1)),
        Progress::Failed(SaslError::OutOfOrder)
    ));
}

/// ATH-04
#[test]
fn the_authorization_identity_is_kept_apart() {
    for mechanism in [Mechanism::Plain, Mechanism::ScramSha256, Mechanism::ScramSha256Plus] {
        let asked = Credentials::plain("a,n=n", "joe", "pencil");
        let (progress, _) = run(&mechanism, asked, (tls(1), tls(1)), true);
        let Progress::Credentials(credentials) = progress else { panic!("{mechanism}: {progress:?}") };
        assert_eq!((credentials.authorization_id(), credentials.authentication_id()), (Some("a,n=n"), "joe"));
    }
    let (progress, _) = run(&Mechanism::XOAuth2, Credentials::bearer("ann", "token"), (tls(1), tls(1)), true);
    let Progress::Credentials(credentials) = progress else { panic!("{progress:?}") };
    assert_eq!((credentials.authorization_id(), credentials.authentication_id()), (Some("ann"), ""));
}

/// RFC 4013 §3, RFC 5802 §5.1
#[test]
fn names_and_passwords_are_prepared() {
    // o and a combining diaeresis; a soft hyphen.
    let (progress, _) =
        run(&Mechanism::ScramSha256, Credentials::plain("", "jo\u{308}e", "pen\u{ad}cil"), (tls(1), tls(1)), true);
    let Progress::Credentials(credentials) = progress else { panic!("{progress:?}") };
    assert_eq!(credentials.authentication_id(), "jöe");
    let new = |name, password| {
        let credentials = Credentials::plain("", name, password);
        let choice = choose(&Mechanism::ScramSha256, &ALL, &credentials, None);
        let random = &mut SeededRandom::new(1);
        ClientExchange::with_crypto(&choice, credentials, Arc::new(RingCrypto), random).map(drop)
    };
    assert_eq!(new("jo\u{7}e", "x"), Err(SaslError::Unprepared));
    assert_eq!(new("joe", "\u{627}1"), Err(SaslError::Unprepared));
    assert_eq!(new("joe", "\u{ad}"), Err(SaslError::Empty));
    let mut server = ServerExchange::new(&Mechanism::ScramSha256).unwrap();
    let progress = server.start(Some("n,,n=jo\u{7}e,r=abc".as_bytes()));
    assert!(matches!(progress, Progress::Failed(SaslError::Unprepared)));
}

/// RFC 7628 §4.1
#[test]
fn the_example_of_oauthbearer() {
    let line = b"bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQzAWF1dGg9QmVhcmVyI\
        HZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB";
    let message = decode_initial_response(line).unwrap();
    let mut server = ServerExchange::new(&Mechanism::OAuthBearer).unwrap();
    let Progress::Credentials(credentials) = server.start(Some(&message)) else { panic!("refused") };
    let Credentials::Bearer { authorization_id, token, host, port, .. } = &credentials else {
        panic!("{credentials:?}")
    };
    assert_eq!(authorization_id, "user@example.com");
    assert!(token.same_as(b"vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="));
    assert_eq!((host.as_deref(), *port), (Some("server.example.com"), Some(143)));
    assert!(matches!(server.respond(b"\x01"), Progress::Failed(SaslError::OutOfOrder)));
    // The client's message is the same octet for octet.
    let mut client = ClientExchange::new(&Mechanism::OAuthBearer, credentials).unwrap();
    assert_eq!(*client.initial_response().unwrap().expose(), message);
}

/// RFC 7628 §3.2.3, §4.3
#[test]
fn a_token_that_is_no_good() {
    for (mechanism, error, dummy) in [
        (Mechanism::OAuthBearer, &br#"{"status":"invalid_token"}"#[..], &b"\x01"[..]),
        (Mechanism::XOAuth2, br#"{"status":"401","schemes":"bearer"}"#, b""),
    ] {
        let mut client = ClientExchange::new(&mechanism, Credentials::bearer("joe", "token")).unwrap();
        let mut server = ServerExchange::new(&mechanism).unwrap();
        assert!(server.clone().refuse().is_none());
        let progress = server.start(Some(client.initial_response().unwrap().expose()));
        assert!(matches!(progress, Progress::Credentials(_)));
        let challenge = server.refuse().unwrap();
        assert_eq!(challenge, error);
        serde_json::from_slice::<serde_json::Value>(challenge).unwrap();
        assert_eq!(client.respond(challenge).unwrap().expose(), dummy);
        assert_eq!(client.respond(challenge).unwrap_err(), SaslError::OutOfOrder);
    }
    let mut server = ServerExchange::new(&Mechanism::Plain).unwrap();
    let _ = server.start(Some(b"\0joe\0x"));
    assert!(server.refuse().is_none());
}

/// RFC 4616 §4
#[test]
fn the_examples_of_plain() {
    let (progress, _) =
        run(&Mechanism::Plain, Credentials::plain("Ursel", "Kurt", "xipj3plmq"), (tls(1), tls(1)), true);
    let Progress::Credentials(credentials) = progress else { panic!("{progress:?}") };
    assert_eq!((credentials.authorization_id(), credentials.authentication_id()), (Some("Ursel"), "Kurt"));
    let mut server = ServerExchange::new(&Mechanism::Plain).unwrap();
    assert!(matches!(server.start(Some(b"\0tim\0tanstaaftanstaaf")), Progress::Credentials(_)));
}

/// ATH-01: what an AUTH PLAIN can hold.
#[test]
fn what_is_wrong_with_plain_and_the_reply() {
    let twenty_kilobytes = vec![b'A'; 20_480];
    for (line, reply) in [
        (&b"not base64!"[..], "501 5.5.2"),
        (b"AGpvZQ==", "501 5.5.2"),
        (b"AAAA", "501 5.5.2"),
        (b"AABwYXNz", "535 5.7.8"),
        (b"AGr/AHBhc3M=", "501 5.5.2"),
        (&twenty_kilobytes, "500 5.5.6"),
    ] {
        let error = match decode_response(line) {
            Err(error) => error,
            Ok(message) => match ServerExchange::new(&Mechanism::Plain).unwrap().start(Some(&message)) {
                Progress::Failed(error) => error,
                other => panic!("{other:?}"),
            },
        };
        assert!(error.reply().to_string().starts_with(reply), "{error}: {}", error.reply());
    }
}

/// ATH-03: an exchange holds nothing but itself. It is dropped at each step, often.
#[test]
fn exchanges_that_end_in_the_middle() {
    let crypto = Arc::new(RingCrypto);
    let keys = ScramKeys::decoy(
        &RingCrypto,
        Mechanism::ScramSha256.scram_hash().unwrap(),
        NonZeroU32::new(4096).unwrap(),
        16,
        &b"x"[..].into(),
        "joe",
    );
    let keys = keys.unwrap();
    for count in 0..100_000_u64 {
        let mut server = ServerExchange::new(&ALL[count as usize % ALL.len()]).unwrap();
        if count % 2 == 0 {
            continue;
        }
        if let Progress::NeedsKeys { .. } = server.start(Some(b"n,,n=joe,r=abc")) {
            let answer = ScramAnswer::new(keys.clone(), crypto.clone(), &mut SeededRandom::new(count));
            let _ = server.keys(answer);
        }
    }
    // Nobody holds the cryptography any more.
    assert_eq!(Arc::strong_count(&crypto), 1);
}

/// ATH-12, ATH-14
#[test]
fn nothing_secret_is_shown() {
    for mechanism in &ALL {
        if *mechanism == Mechanism::Anonymous {
            continue;
        }
        let credentials = match mechanism {
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => Credentials::bearer("joe", "pencil"),
            other => credentials_for(other),
        };
        let choice = choose(mechanism, &ALL, &credentials, Some(&tls(b'E')));
        let mut client = client(&choice, credentials, 1);
        let mut server = ServerExchange::among(&ALL, mechanism, Some(&tls(b'E'))).unwrap();
        let mut shown = format!("{choice:?}");
        let mut progress = server.start(None);
        loop {
            shown += &format!("{client:?} {server:?} {progress:?}");
            progress = match progress {
                Progress::Challenge(challenge) => {
                    let response = client.respond(&challenge).unwrap();
                    shown += &format!("{response:?}");
                    server.respond(response.expose())
                }
                Progress::NeedsKeys { user, .. } => server.keys(answer(&user, mechanism, 2)),
                _ => break,
            };
        }
        let bytes = |text: &[u8]| format!("{text:?}").trim_matches(['[', ']']).to_owned();
        for secret in ["pencil".to_owned(), bytes(b"pencil"), bytes(b"EEEE")] {
            assert!(!shown.contains(&secret), "{mechanism}: {shown}");
        }
    }
}

#[test]
fn the_best_mechanism_is_chosen() {
    let plain = Credentials::plain("", "joe", "pencil");
    let policy = ClientPolicy::default();
    let tls = tls(1);
    let chosen = |offered: &[Mechanism], credentials: &Credentials, tls: Option<&TlsFacts>| {
        policy.choose(offered, credentials, tls).map(|choice| choice.mechanism().clone())
    };
    assert_eq!(chosen(&ALL, &plain, Some(&tls)), Some(Mechanism::ScramSha256Plus));
    assert_eq!(chosen(&ALL, &plain, None), Some(Mechanism::ScramSha256));
    assert_eq!(chosen(&ALL[..3], &plain, None), Some(Mechanism::ScramSha1));
    assert_eq!(chosen(&ALL[..2], &plain, None), None);
    assert_eq!(chosen(&ALL[..2], &plain, Some(&tls)), Some(Mechanism::Plain));
    assert_eq!(chosen(&ALL[1..2], &plain, Some(&tls)), Some(Mechanism::Login));
    assert_eq!(chosen(&ALL[1..2], &Credentials::plain("ann", "joe", "x"), Some(&tls)), None);
    assert_eq!(chosen(&ALL, &Credentials::bearer("joe", "x"), Some(&tls)), Some(Mechanism::OAuthBearer));
    assert_eq!(chosen(&[Mechanism::XOAuth2], &Credentials::bearer("", "x"), Some(&tls)), None);
    assert_eq!(chosen(&ALL, &Credentials::bearer("joe", "x"), None), None);
    assert_eq!(chosen(&ALL, &Credentials::external(""), Some(&tls)), Some(Mechanism::External));
    assert_eq!(chosen(&ALL, &Credentials::external(""), None), None);
    assert_eq!(chosen(&ALL, &Credentials::anonymous("x"), Some(&tls)), None);
    let mut loopback = ClientPolicy::default();
    loopback.clear_text_without_tls = true;
    assert_eq!(loopback.choose(&ALL[..2], &plain, None).unwrap().mechanism(), &Mechanism::Plain);
}

proptest! {
    /// Whatever a client says, an exchange comes to an end and nobody panics.
    #[test]
    fn any_octets_end_a_server_exchange(
        index in 0..ALL.len(),
        first in message(),
        second in message(),
        third in message(),
    ) {
        let mechanism = &ALL[index];
        let mut exchange = ServerExchange::among(&ALL, mechanism, Some(&tls(1))).unwrap();
        let mut messages = [&second, &third].into_iter();
        let mut progress = exchange.start(Some(&first));
        loop {
            progress = match progress {
                Progress::NeedsKeys { user, hash } => {
                    let keys = ScramKeys::decoy(&RingCrypto, hash, NonZeroU32::MIN, 4, &b"x"[..].into(), &user);
                    exchange.keys(ScramAnswer::new(keys.unwrap(), Arc::new(RingCrypto), &mut SeededRandom::new(1)))
                }
                Progress::Challenge(_) => match messages.next() {
                    Some(message) => exchange.respond(message),
                    None => break,
                },
                Progress::Credentials(credentials) => {
                    let proven = matches!(credentials, Credentials::Proven { .. });
                    prop_assert!(!proven, "nobody has the password of a decoy");
                    break;
                }
                _ => break,
            };
        }
    }

    /// Whatever a server says, a client does not panic, and believes nothing that was not proved.
    #[test]
    fn any_octets_end_a_client_exchange(
        index in 0..ALL.len() - 1,
        challenges in prop::collection::vec(message(), 0..4),
    ) {
        let mechanism = &ALL[index];
        let credentials = credentials_for(mechanism);
        let choice = choose(mechanism, &ALL, &credentials, Some(&tls(1)));
        let mut client = client(&choice, credentials, 1);
        for challenge in &challenges {
            let _ = client.respond(challenge);
        }
        if mechanism.scram_hash().is_some() {
            prop_assert_eq!(client.finish(), Err(SaslError::ServerProof));
        }
    }

    #[test]
    fn tokens_come_through(name in "[a-z@,=.]{0,12}", token in "[!-~]{1,40}") {
        let mut client = ClientExchange::new(&Mechanism::OAuthBearer, Credentials::bearer(name.clone(), token.clone()));
        let message = client.as_mut().unwrap().initial_response().unwrap();
        let progress = ServerExchange::new(&Mechanism::OAuthBearer).unwrap().start(Some(message.expose()));
        let Progress::Credentials(Credentials::Bearer { authorization_id, token: told, .. }) = progress else {
            panic!("{progress:?}")
        };
        prop_assert_eq!(authorization_id, name);
        prop_assert!(told.same_as(token.as_bytes()));
    }
}

/// Octets that look like something now and then.
fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "(n|y|p=tls-exporter),(a=[a-z]{0,3})?,n=[a-z=,23CD]{0,6},r=[!-~]{0,8}(,[a-z]=x)?".prop_map(String::into_bytes),
        "c=(biws|[A-Za-z=]{0,8}),r=[!-~]{0,8},p=[A-Za-z0-9+/=]{0,44}".prop_map(String::into_bytes),
        "r=[!-~]{0,8},s=[A-Za-z=]{0,8},i=[0-9]{1,5}".prop_map(String::into_bytes),
        "n,(a=x)?,\x01(host=x\x01)?auth=Bearer [a-z]{0,3}\x01\x01".prop_map(String::into_bytes),
        "user=[a-z]{0,3}\x01auth=Bearer [a-z]{0,3}\x01\x01".prop_map(String::into_bytes),
        "[ev]=[A-Za-z+/=]{0,44}".prop_map(String::into_bytes),
    ]
}

/// The keys of an answer decide whether it is another one, and nothing of them is shown.
#[test]
fn answers_are_compared() {
    let one = answer("joe", &Mechanism::ScramSha256, 1);
    assert_eq!(one, answer("joe", &Mechanism::ScramSha256, 1));
    assert_ne!(one, answer("joe", &Mechanism::ScramSha256, 2));
    assert_ne!(one, answer("joe", &Mechanism::ScramSha1, 1));
    assert_ne!(one, answer("ann", &Mechanism::ScramSha256, 1));
    let password = Secret::from("pencil");
    assert!(!format!("{one:?} {password:?}").contains("pencil"));
}
