//! Sections 8 and 9: signatures of DKIM; SPF, DMARC and what is written of them.

use std::hint::black_box;
use std::sync::Arc;

use mail_auth::common::crypto::{RsaKey, Sha256};
use mail_auth::common::headers::{HeaderWriter as _, Writer};
use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::dkim::DkimSigner;
use mail_auth::dkim::canonicalize::BodyHasher;
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{AuthenticatedMessage, SpfOutput};
use pillarbox_auth::RingCrypto;
use pillarbox_auth::authres::{AuthenticationResults, Keyword, MethodResult, Property};
use pillarbox_auth::dkim::{
    BodyCanonicalizer, Canonicalization, DkimResult, DomainKey, KeyRecord, Policy, SignOptions, Signer, Verifier,
    read_private_key,
};
use pillarbox_auth::dmarc::{
    Check as DmarcCheck, Config, DkimInput, DmarcResult, Evidence, Record as DmarcRecord, SpfIdentity, SpfInput,
    Verification,
};
use pillarbox_auth::from::{self, Authors};
use pillarbox_auth::spf::{Check as SpfCheck, Client, Limits, Outcome, Record as SpfRecord, SpfResult};
use pillarbox_core::address::ReversePath;
use pillarbox_core::crypto::{Crypto as _, PrivateKeyDer, SigningKey};
use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsStep, Name, Record};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents};
use rustls_pki_types::PrivatePkcs8KeyDer;

use crate::auth_peer::{Texts, Zone, authenticator, ready};
use crate::measure::{Case, Scale};
use crate::report::Goal;

const PEER: &str = "mail-auth 0.13.3";
const BARE: &str = "ring 0.17, bare";
/// At most 1.5 times the bare cost.
const NEAR_BARE: Goal = Goal::TimesPeer(0.667);

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, body) in [
        ("relaxed form, base64", base64()),
        ("relaxed form, text", text()),
        ("relaxed form, indented HTML", html()),
        ("relaxed form, tables with tabs", tabs()),
        ("relaxed form, two spaces after each word", spaces()),
    ] {
        cases.push(canonicalization(name, body));
    }
    let keys = Keys::read();
    for (name, body) in
        [("verify, text", text()), ("verify, indented HTML", html()), ("verify, two spaces after each word", spaces())]
    {
        cases.push(keys.verify_beside_bare(name, &body));
    }
    cases.push(keys.sign_beside_bare("sign, text", &text()));
    cases.push(keys.sign_beside_bare("sign, indented HTML", &html()));
    cases.push(keys.verify_beside_peer("verify, text, beside the peer", &text()));
    cases.push(keys.verify_beside_peer("verify, HTML, beside the peer", &html()));
    cases.push(keys.sign_beside_peer("sign, text, beside the peer", &text()));
    cases.push(spf(
        "SPF: three questions, twelve terms",
        Texts::ParsedEachTime,
        vec![Goal::AtMost(3000.0), Goal::TimesPeer(3.0)],
        "answers shared, records parsed each time; ours keeps a trace",
    ));
    cases.push(spf(
        "SPF: the same, records parsed before",
        Texts::ParsedOnce,
        vec![Goal::TimesPeer(3.0)],
        "both caches hold the records parsed",
    ));
    cases.extend([dmarc_record(), dmarc(), results(&keys)]);
    cases
}

/// What one read from a socket or a file brings.
const SLICE: usize = 16 * 1024;
const BODY: usize = 50 * 1024;

fn repeated(lines: &[&str]) -> Vec<u8> {
    let block = lines.concat();
    block.repeat(BODY / block.len()).into_bytes()
}

fn base64() -> Vec<u8> {
    repeated(&["iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9\r\n"])
}

fn text() -> Vec<u8> {
    repeated(&[
        "Dear all,\r\n\r\nthis is what the quarter came to, in words and in numbers. There is more in the\r\n",
        "picture below; whoever was there when it was taken may say who is in it, as most of us\r\n",
        "do not know.  (Two of them are said to have left before the cake came.)\r\n\r\n",
    ])
}

fn html() -> Vec<u8> {
    repeated(&[
        "<table width=\"600\" cellpadding=\"0\" cellspacing=\"0\" border=\"0\">\r\n",
        "    <tr>\r\n",
        "        <td align=\"left\" style=\"font-family: Arial, sans-serif; font-size: 14px\">\r\n",
        "            <a href=\"https://news.example.org/c/17?u=4711\" style=\"color: #336699\">\r\n",
        "                <b>The quarter</b> in words and numbers\r\n",
        "            </a>\r\n",
        "        </td>\r\n",
        "    </tr>\r\n",
        "</table>\r\n",
    ])
}

fn tabs() -> Vec<u8> {
    repeated(&[
        "1017\t2026-11-20\tExample Ltd.\t17.50\t\tpaid\r\n",
        "1018\t2026-11-21\tSomebody else\t4.00\t\topen\r\n",
    ])
}

fn spaces() -> Vec<u8> {
    repeated(&["this  is  what  the  quarter  came  to,  in  words  and  in  numbers  \r\n"])
}

/// A digest that does nothing with what it gets.
struct Nothing;

impl Writer for Nothing {
    fn write(&mut self, octets: &[u8]) {
        black_box(octets);
    }
}

fn canonicalization(name: &'static str, body: Vec<u8>) -> Case {
    let same = body.clone();
    Case {
        section: 8,
        name,
        scale: Scale::Octets(body.len()),
        ours: Box::new(move || {
            let mut canonicalizer = BodyCanonicalizer::new(Canonicalization::Relaxed);
            for slice in black_box(&body[..]).chunks(SLICE) {
                canonicalizer.write(slice, |run| _ = black_box(run));
            }
            canonicalizer.finish(|run| _ = black_box(run));
        }),
        peer: Some((
            PEER,
            Box::new(move || {
                let mut hasher = BodyHasher::new(Nothing, mail_auth::dkim::Canonicalization::Relaxed, 0);
                for slice in black_box(&same[..]).chunks(SLICE) {
                    hasher.write(slice);
                }
                black_box(&hasher);
            }),
        )),
        goals: vec![Goal::AtLeast(2e9)],
        note: "50 KB in slices of 16 KiB, without a hash",
    }
}

const HEADER: &str = "Received: from client.example.com (client.example.com [198.51.100.7])\r\n\
    \tby mx.example.net with ESMTPS id 4Xyz12345; Fri, 20 Nov 2026 09:12:33 +0000\r\n\
    From: Joe Smith <joe@example.org>\r\nTo: Ann Jones <ann@example.net>\r\nSubject: The quarter\r\n\
    Date: Fri, 20 Nov 2026 10:12:31 +0100\r\nMessage-ID: <20261120091231.12345@example.org>\r\nMIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";
const NOW: u64 = 1_795_000_000;

/// One key of 2048 bits, in all hands.
struct Keys {
    crypto: Arc<RingCrypto>,
    pkcs8: Vec<u8>,
    ours: Arc<dyn SigningKey>,
    /// What the DNS says.
    record: &'static str,
}

impl Keys {
    fn read() -> Self {
        let pem = include_bytes!("../../mailauth/tests/messages/rsa2048.pem");
        let key = read_private_key(pem).expect("the file is a key");
        let ours = RingCrypto.load_key(&key).expect("the key is right");
        let record = KeyRecord::text(ours.public_key()).expect("the key is for DKIM").leak();
        let (PrivateKeyDer::Pkcs8(der) | PrivateKeyDer::Pkcs1(der)) = key else { unreachable!("there are two kinds") };
        Keys { crypto: Arc::new(RingCrypto), pkcs8: der.expose().clone(), ours: ours.into(), record }
    }

    fn pair(&self) -> RsaKeyPair {
        RsaKeyPair::from_pkcs8(&self.pkcs8).expect("the key is right")
    }

    fn domain_key(&self) -> DomainKey {
        DomainKey::new(name("example.org"), name("sel"), self.ours.clone())
    }

    fn signed(&self, body: &[u8]) -> Vec<u8> {
        let message = [HEADER.as_bytes(), body].concat();
        let mut signer = Signer::new(self.crypto.clone(), vec![self.domain_key()], SignOptions::default(), NOW);
        signer.write(&message);
        [signer.finish().expect("it can be signed").as_bytes(), &message].concat()
    }

    /// All of it, with the reading of the key.
    fn verify(&self, message: Vec<u8>) -> impl FnMut() + 'static {
        let crypto = self.crypto.clone();
        let answer = DnsAnswer::found(name("sel._domainkey.example.org"), [(3600, Record::txt(self.record))]);
        move || {
            let mut verifier = Verifier::new(crypto.clone(), Policy::default(), NOW);
            for slice in black_box(&message[..]).chunks(SLICE) {
                verifier.write(slice);
            }
            verifier.finish();
            let verification = run(&mut verifier, |_| answer.clone());
            assert_eq!(verification.signatures[0].result, DkimResult::Pass);
        }
    }

    fn verify_beside_bare(&self, name: &'static str, body: &[u8]) -> Case {
        let message = self.signed(body);
        let header = HEADER.as_bytes();
        let signature = self.ours.sign(header).expect("it can be signed");
        let public = RsaPublicKeyComponents::<Vec<u8>>::from(self.pair().public());
        let same = message.clone();
        Case {
            section: 8,
            name,
            scale: Scale::Operations(1),
            ours: Box::new(self.verify(message)),
            peer: Some((
                BARE,
                Box::new(move || {
                    black_box(ring::digest::digest(&ring::digest::SHA256, black_box(&same)));
                    let verified = public.verify(&RSA_PKCS1_2048_8192_SHA256, black_box(header), &signature);
                    assert!(verified.is_ok());
                }),
            )),
            goals: vec![NEAR_BARE],
            note: "50 KB, RSA of 2048 bits; bare: SHA-256 over the message as it is, one verification over its header",
        }
    }

    fn sign(&self, message: Vec<u8>) -> impl FnMut() + 'static {
        let (crypto, keys) = (self.crypto.clone(), vec![self.domain_key()]);
        move || {
            let mut signer = Signer::new(crypto.clone(), keys.clone(), SignOptions::default(), NOW);
            for slice in black_box(&message[..]).chunks(SLICE) {
                signer.write(slice);
            }
            assert!(signer.finish().is_ok());
        }
    }

    fn sign_beside_bare(&self, name: &'static str, body: &[u8]) -> Case {
        let message = [HEADER.as_bytes(), body].concat();
        let same = message.clone();
        let pair = self.pair();
        let mut signature = vec![0; pair.public().modulus_len()];
        Case {
            section: 8,
            name,
            scale: Scale::Operations(1),
            ours: Box::new(self.sign(message)),
            peer: Some((
                BARE,
                Box::new(move || {
                    black_box(ring::digest::digest(&ring::digest::SHA256, black_box(&same)));
                    let header = black_box(HEADER.as_bytes());
                    let signed = pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), header, &mut signature);
                    assert!(signed.is_ok());
                }),
            )),
            goals: vec![NEAR_BARE],
            note: "the same",
        }
    }

    fn verify_beside_peer(&self, name: &'static str, body: &[u8]) -> Case {
        let message = self.signed(body);
        let same = message.clone();
        let authenticator = authenticator();
        let zone = Zone::new(Texts::ParsedEachTime).with_text("sel._domainkey.example.org", self.record);
        Case {
            section: 8,
            name,
            scale: Scale::Operations(1),
            ours: Box::new(self.verify(message)),
            peer: Some((
                PEER,
                Box::new(move || {
                    let message = AuthenticatedMessage::parse(black_box(&same)).expect("it is a message");
                    let outputs = ready(authenticator.verify_dkim(zone.ask(&message)));
                    assert_eq!(outputs[0].result(), &mail_auth::DkimResult::Pass);
                }),
            )),
            goals: vec![],
            note: "50 KB, RSA of 2048 bits; ours in slices, the peer on the whole message",
        }
    }

    fn sign_beside_peer(&self, name: &'static str, body: &[u8]) -> Case {
        let message = [HEADER.as_bytes(), body].concat();
        let same = message.clone();
        let key =
            RsaKey::<Sha256>::from_key_der(PrivatePkcs8KeyDer::from(&self.pkcs8[..]).into()).expect("the key is right");
        // What ours signs of what there is.
        let signer = DkimSigner::from_key(key).domain("example.org").selector("sel").headers([
            "From",
            "Subject",
            "Date",
            "Message-ID",
            "To",
            "MIME-Version",
            "Content-Type",
            "Content-Transfer-Encoding",
        ]);
        Case {
            section: 8,
            name,
            scale: Scale::Operations(1),
            ours: Box::new(self.sign(message)),
            peer: Some((
                PEER,
                Box::new(move || {
                    let signature = signer.sign(black_box(&same)).expect("it can be signed");
                    black_box(signature.to_header());
                }),
            )),
            goals: vec![],
            note: "",
        }
    }
}

const SPF: &str = "v=spf1 ip4:192.0.2.0/28 ip6:2001:db8:17::/48 a:mail.example.org include:_spf.example.net ~all";
const SPF_INCLUDED: &str = "v=spf1 ip4:203.0.113.0/25 ip4:203.0.113.128/26 ip6:2001:db8:25:4000::/52 \
    ip4:192.0.2.64/27 ip4:192.0.2.96/27 ip4:198.51.100.0/24 ip6:2001:db8:4860::/36 ~all";
const DMARC: &str = "v=DMARC1; p=quarantine; sp=reject; adkim=r; aspf=r; fo=1; pct=100; \
    rua=mailto:dmarc@reports.example.net,mailto:a@example.org; ruf=mailto:f@example.org";
const CLIENT: [u8; 4] = [198, 51, 100, 7];

fn spf(name: &'static str, texts: Texts, goals: Vec<Goal>, note: &'static str) -> Case {
    let names = [self::name("example.org"), self::name("mail.example.org"), self::name("_spf.example.net")];
    let records = [Record::txt(SPF), Record::A([192, 0, 2, 129].into()), Record::txt(SPF_INCLUDED)];
    let answers = std::array::from_fn(|at| {
        let answer = DnsAnswer::found(names[at].clone(), [(3600, records[at].clone())]);
        let record = match texts {
            Texts::ParsedEachTime => None,
            Texts::ParsedOnce => SpfRecord::from_answer(&answer),
        };
        Known { name: names[at].clone(), answer, record }
    });
    let client = Client::new(CLIENT.into(), "client.example.com");
    let (path, _) = ReversePath::take(b"<joe@example.org>", false).expect("it is a path");
    let zone = Zone::new(texts)
        .with_text("example.org", SPF)
        .with_address("mail.example.org", [192, 0, 2, 129].into())
        .with_text("_spf.example.net", SPF_INCLUDED);
    let authenticator = authenticator();
    Case {
        section: 9,
        name,
        scale: Scale::Operations(1),
        ours: Box::new(move || {
            let outcome = check_spf(&client, black_box(&path), &answers);
            assert_eq!(outcome.result, SpfResult::Pass);
        }),
        peer: Some((
            PEER,
            Box::new(move || {
                let about = SpfParameters::verify_mail_from(
                    CLIENT.into(),
                    "client.example.com",
                    "mx.example.net",
                    black_box("joe@example.org"),
                );
                let output = ready(authenticator.verify_spf(zone.ask(about)));
                assert_eq!(black_box(output).result(), mail_auth::SpfResult::Pass);
            }),
        )),
        goals,
        note,
    }
}

/// An answer that is kept, and the record that was found in it when it came, if records are parsed then.
struct Known {
    name: Name,
    answer: DnsAnswer,
    record: Option<SpfRecord>,
}

/// The answers are in a short list, in which the peer's are, too. They are lent.
fn check_spf(client: &Client, path: &ReversePath<'_>, answers: &[Known; 3]) -> Outcome {
    let mut check = SpfCheck::mail_from(client, path, Limits::default());
    loop {
        match check.poll() {
            DnsStep::Ask(ref question) => {
                let known = answers.iter().find(|known| known.name == question.name);
                let Known { answer, record, .. } = known.expect("all that is asked for is there");
                if !record.as_ref().is_some_and(|record| check.answer_record(question.id, record)) {
                    check.answer_ref(question.id, answer);
                }
            }
            DnsStep::Wait => unreachable!("every question was answered"),
            DnsStep::Done(outcome) => return outcome,
        }
    }
}

fn dmarc_record() -> Case {
    Case {
        section: 9,
        name: "DMARC record",
        scale: Scale::Operations(1),
        ours: Box::new(|| {
            let record = DmarcRecord::parse(black_box(DMARC.as_bytes()));
            assert!(black_box(record).is_ok());
        }),
        peer: Some((
            PEER,
            Box::new(|| {
                let record = mail_auth::dmarc::Dmarc::parse(black_box(DMARC.as_bytes()));
                assert!(black_box(record).is_ok());
            }),
        )),
        goals: vec![],
        note: "",
    }
}

fn dmarc() -> Case {
    let authors = Authors::read(HEADER.as_bytes(), &from::Limits::default());
    let config = Config::default();
    let answer = DnsAnswer::found(name("_dmarc.example.org"), [(3600, Record::txt(DMARC))]);
    let zone = Zone::new(Texts::ParsedEachTime).with_text("_dmarc.example.org", DMARC);
    let authenticator = authenticator();
    let spf = SpfOutput::new("example.org".into()).with_result(mail_auth::SpfResult::Pass);
    Case {
        section: 9,
        name: "DMARC: one question, SPF passed",
        scale: Scale::Operations(1),
        ours: Box::new(move || {
            let mut check = DmarcCheck::new(black_box(&authors), &config);
            let spf = SpfInput::new(SpfIdentity::MailFrom, Verification::Pass, name("example.org"));
            let dkim = DkimInput::new(Verification::Fail, name("example.net"));
            check.supply(Evidence::new(Some(spf), vec![dkim]));
            let outcome = run(&mut check, |_| answer.clone());
            assert_eq!(outcome.result, DmarcResult::Pass);
        }),
        peer: Some((
            PEER,
            Box::new(move || {
                let message = AuthenticatedMessage {
                    from: vec![black_box("joe@example.org").to_owned()],
                    ..AuthenticatedMessage::default()
                };
                let about = DmarcParameters {
                    message: &message,
                    dkim_output: &[],
                    dkim2_output: None,
                    rfc5321_mail_from_domain: "example.org",
                    spf_output: &spf,
                };
                let output = ready(authenticator.verify_dmarc(zone.ask(about)));
                assert_eq!(output.spf_result(), &mail_auth::DmarcResult::Pass);
            }),
        )),
        goals: vec![],
        note: "ours walks as RFC 9989 says and keeps a trace",
    }
}

fn results(keys: &Keys) -> Case {
    let message = keys.signed(b"Is dinner ready?\r\n").leak();
    let message = &*Box::leak(Box::new(AuthenticatedMessage::parse(message).expect("it is a message")));
    let authenticator = authenticator();
    let zone = Zone::new(Texts::ParsedEachTime)
        .with_text("sel._domainkey.example.org", keys.record)
        .with_text("_dmarc.example.org", DMARC);
    let zone = &*Box::leak(Box::new(zone));
    let dkim = ready(authenticator.verify_dkim(zone.ask(message)));
    let spf = SpfOutput::new("example.org".into()).with_result(mail_auth::SpfResult::Pass);
    let about = DmarcParameters {
        message,
        dkim_output: &dkim,
        dkim2_output: None,
        rfc5321_mail_from_domain: "example.org",
        spf_output: &spf,
    };
    let dmarc = ready(authenticator.verify_dmarc(zone.ask(about)));
    let domain = name("example.org");
    Case {
        section: 9,
        name: "Authentication-Results, three methods",
        scale: Scale::Operations(1),
        ours: Box::new(move || {
            const PASS: Keyword = Keyword::fixed("pass");
            let header = |name, value: &dyn std::fmt::Display| Property::header(Keyword::fixed(name), value);
            let domain = black_box(&domain);
            let results = AuthenticationResults::new("mx.example.net")
                .with(
                    MethodResult::new(Keyword::DKIM, PASS)
                        .with(header("d", domain))
                        .with(header("s", &"sel"))
                        .with(header("b", &"AbCdEf12")),
                )
                .with(MethodResult::new(Keyword::SPF, PASS).with(Property::smtp(Keyword::MAILFROM, "joe@example.org")))
                .with(MethodResult::new(Keyword::DMARC, PASS).with(header("from", domain)));
            assert!(black_box(results.to_field()).ends_with("\r\n"));
        }),
        peer: Some((
            PEER,
            Box::new(move || {
                let field = mail_auth::AuthenticationResults::new("mx.example.net")
                    .with_dkim_results(black_box(&dkim), "example.org")
                    .with_spf_mailfrom_result(&spf, CLIENT.into(), "joe@example.org", "client.example.com")
                    .with_dmarc_result(&dmarc)
                    .to_header();
                assert!(black_box(field).ends_with("\r\n"));
            }),
        )),
        goals: vec![],
        note: "ours from typed results that can be parsed again, the peer straight into text",
    }
}

/// Runs a machine whose answers are there.
fn run<M: DnsMachine>(machine: &mut M, mut answer: impl FnMut(&Name) -> DnsAnswer) -> M::Output {
    loop {
        match machine.poll() {
            DnsStep::Ask(question) => machine.answer(question.id, answer(&question.name)),
            DnsStep::Wait => unreachable!("every question was answered"),
            DnsStep::Done(output) => return output,
        }
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("it is a name")
}
