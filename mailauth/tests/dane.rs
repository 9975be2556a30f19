//! DANE for SMTP (RFC 6698, RFC 7671, RFC 7672).

use std::cell::RefCell;

use pillarbox_auth::RingCrypto;
use pillarbox_auth::dane::{
    self, ChainMatch, Dane, Host, HostLookup, InsecureMx, NextHop, Security, Tlsa, Unusable, judge_chain, usable,
};
use pillarbox_auth::tls_rpt::FailureType;
use pillarbox_core::crypto::{Crypto, HashAlgorithm};
use pillarbox_core::dns::{
    DnsAnswer, DnsMachine, DnsOutcome, DnsStep, FixedZone, Name, Question, QuestionId, Record, RecordKind, Validation,
};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn tlsa(usage: u8, selector: u8, matching: u8, data: &[u8]) -> Record {
    Record::Tlsa { usage, selector, matching, data: data.into() }
}

fn a(last: u8) -> Record {
    Record::A([192, 0, 2, last].into())
}

/// A signed zone and one that is not: a name below `signed` is secure, an alias only if all of its chain is.
struct Zones {
    zone: FixedZone,
    asked: RefCell<Vec<String>>,
}

impl Zones {
    fn new(records: &[(&str, Record)], failing: &[&str]) -> Self {
        let zone = records.iter().fold(FixedZone::new(), |zone, (name, record)| zone.with(name, record.clone()));
        Zones { zone: failing.iter().fold(zone, |zone, name| zone.failing(name)), asked: RefCell::default() }
    }

    fn answer(&self, question: &Question) -> DnsAnswer {
        self.asked.borrow_mut().push(format!("{} {}", question.name, question.kind));
        let answer = self.zone.answer(question);
        let is_signed = |name: &Name| name.labels().last() == Some("signed");
        let is_secure = match &answer.outcome {
            DnsOutcome::Found(set) => is_signed(&question.name) && is_signed(set.owner()),
            _ => is_signed(&question.name),
        };
        answer.with_validation(if is_secure { Validation::Validated } else { Validation::NotValidated })
    }

    /// What was asked for beside addresses.
    fn asked_about_records(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        asked.iter().filter(|asked| asked.ends_with("TLSA") || asked.ends_with("CNAME")).cloned().collect()
    }

    /// Runs the look-up with the answers forwards and backwards.
    fn look_up(&self, hop: &NextHop) -> Host {
        let run = |newest_first: bool| {
            let mut lookup = HostLookup::new(hop.clone());
            let mut open = Vec::new();
            loop {
                match lookup.poll() {
                    DnsStep::Ask(question) => open.push(question),
                    DnsStep::Done(host) => return host,
                    DnsStep::Wait => {
                        let question = if newest_first { open.pop().unwrap() } else { open.remove(0) };
                        lookup.answer(question.id, self.answer(&question));
                        // A second answer, and one to nothing, change nothing.
                        lookup.answer(question.id, DnsAnswer::try_later());
                        lookup.answer(QuestionId(99), DnsAnswer::try_later());
                    }
                }
            }
        };
        let host = run(false);
        self.asked.borrow_mut().clear();
        assert_eq!(run(true), host);
        host
    }
}

fn hop(host: &str, domain: &str) -> NextHop {
    NextHop::new(name(host), name(domain), Validation::Validated)
}

fn names(security: &Security) -> Vec<&str> {
    match security {
        Security::Dane(dane) => dane.names.iter().map(Name::as_str).collect(),
        other => panic!("{other}"),
    }
}

const DIGEST: [u8; 32] = [7; 32];

#[test]
fn a_secure_host() {
    let zones = Zones::new(
        &[
            ("mx.signed", a(1)),
            ("mx.signed", a(2)),
            ("mx.signed", Record::Aaaa("2001:db8::1".parse().unwrap())),
            ("_25._tcp.mx.signed", tlsa(3, 1, 1, &DIGEST)),
            ("_25._tcp.mx.signed", tlsa(1, 1, 1, &DIGEST)),
            ("_26._tcp.mx.signed", tlsa(2, 0, 1, &DIGEST)),
        ],
        &[],
    );
    let host = zones.look_up(&hop("mx.signed", "example.signed"));
    assert_eq!(host.addresses.len(), 3);
    assert_eq!(names(&host.security), ["mx.signed", "example.signed"]);
    assert_eq!(host.security.to_string(), "1 usable TLSA records of mx.signed");
    let Security::Dane(Dane { records, .. }) = host.security else { unreachable!() };
    assert_eq!(records, [Tlsa::new(&tlsa(3, 1, 1, &DIGEST)).unwrap()]);

    // The domain is an alias; another port.
    let mut aliased = hop("mx.signed", "example.signed");
    aliased.expanded_domain = Some(name("other.signed"));
    aliased.port = 26;
    assert_eq!(names(&zones.look_up(&aliased).security), ["mx.signed", "example.signed", "other.signed"]);
}

#[test]
fn what_is_not_secure_is_not_used() {
    let records = [("mx.plain", a(1)), ("_25._tcp.mx.plain", tlsa(3, 1, 1, &DIGEST))];
    // Zones that are not signed often fail at these questions, so they are not asked.
    let zones = Zones::new(&records, &["_25._tcp.mx.plain"]);
    assert_eq!(zones.look_up(&hop("mx.plain", "example.signed")).security, Security::Opportunistic);
    assert_eq!(*zones.asked.borrow(), ["mx.plain A", "mx.plain AAAA"]);

    // A resolver that does not validate says nothing about anything.
    let unknown = FixedZone::new().with("mx.signed", a(1)).with("_25._tcp.mx.signed", tlsa(3, 1, 1, &DIGEST));
    let host = pillarbox_core::dns::run(&mut HostLookup::new(hop("mx.signed", "example.signed")), &unknown);
    assert_eq!(host.security, Security::Opportunistic);

    // Secure addresses, and an alias to records that are not secure.
    let zones = Zones::new(
        &[
            ("mx.signed", a(1)),
            ("_25._tcp.mx.signed", Record::Cname(name("tlsa.plain"))),
            ("tlsa.plain", tlsa(3, 1, 1, &DIGEST)),
        ],
        &[],
    );
    assert_eq!(zones.look_up(&hop("mx.signed", "example.signed")).security, Security::Opportunistic);
}

#[test]
fn a_host_without_records_or_with_unusable_ones() {
    let none = Zones::new(&[("mx.signed", a(1))], &[]);
    assert_eq!(none.look_up(&hop("mx.signed", "example.signed")).security, Security::Opportunistic);
    let unusable = [tlsa(0, 0, 1, &DIGEST), tlsa(1, 1, 1, &DIGEST), tlsa(3, 2, 1, &DIGEST), tlsa(3, 1, 3, &DIGEST)];
    let unusable = unusable.map(|record| ("_25._tcp.mx.signed", record));
    let zones = Zones::new(&[&[("mx.signed", a(1))][..], &unusable].concat(), &[]);
    assert_eq!(zones.look_up(&hop("mx.signed", "example.signed")).security, Security::EncryptOnly);
}

#[test]
fn a_failed_look_up_is_no_absence() {
    let records = [("mx.signed", a(1)), ("_25._tcp.mx.signed", tlsa(3, 1, 1, &DIGEST))];
    let zones = Zones::new(&records[..1], &["_25._tcp.mx.signed"]);
    assert_eq!(zones.look_up(&hop("mx.signed", "example.signed")).security, Security::Later);
    let zones = Zones::new(&[], &["mx.signed"]);
    assert_eq!(zones.look_up(&hop("mx.signed", "example.signed")).security, Security::Later);
    // One kind of address is enough to go on.
    let zones = Zones::new(&records, &["mx.signed"]);
    assert_eq!(names(&zones.look_up(&hop("mx.signed", "example.signed")).security), ["mx.signed", "example.signed"]);
    let zones = Zones::new(&[], &[]);
    let host = zones.look_up(&hop("mx.signed", "example.signed"));
    assert_eq!((host.addresses.len(), host.security), (0, Security::Unreachable));
}

#[test]
fn a_secure_alias_has_two_chances() {
    let chain = [("mx.signed", Record::Cname(name("host.signed"))), ("host.signed", a(1))];
    let with = |records: &[(&'static str, Record)]| [&chain[..], records].concat();
    let at_both = [("_25._tcp.mx.signed", tlsa(2, 0, 1, &DIGEST)), ("_25._tcp.host.signed", tlsa(2, 0, 1, &DIGEST))];
    let hop = hop("mx.signed", "example.signed");
    assert_eq!(names(&Zones::new(&with(&at_both), &[]).look_up(&hop).security), ["host.signed", "example.signed"]);
    // The alias alone has records.
    assert_eq!(names(&Zones::new(&with(&at_both[..1]), &[]).look_up(&hop).security), ["mx.signed", "example.signed"]);
    // The first look-up fails, so the second is not even tried.
    let zones = Zones::new(&with(&at_both[..1]), &["_25._tcp.host.signed"]);
    assert_eq!(zones.look_up(&hop).security, Security::Later);
    assert_eq!(zones.asked_about_records(), ["_25._tcp.host.signed TLSA"]);
    // Records that are shared do not change the name that certificates need.
    let shared =
        [("_25._tcp.host.signed", Record::Cname(name("_dane.signed"))), ("_dane.signed", tlsa(2, 0, 1, &DIGEST))];
    assert_eq!(names(&Zones::new(&with(&shared), &[]).look_up(&hop).security), ["host.signed", "example.signed"]);
}

#[test]
fn a_secure_alias_for_an_insecure_host() {
    let records = [
        ("mx.signed", Record::Cname(name("host.plain"))),
        ("host.plain", a(1)),
        ("_25._tcp.mx.signed", tlsa(3, 1, 1, &DIGEST)),
        ("_25._tcp.host.plain", tlsa(3, 1, 1, &DIGEST)),
    ];
    let zones = Zones::new(&records, &[]);
    assert_eq!(names(&zones.look_up(&hop("mx.signed", "example.signed")).security), ["mx.signed", "example.signed"]);
    assert_eq!(zones.asked_about_records(), ["mx.signed CNAME", "_25._tcp.mx.signed TLSA"]);
    let plain = [("mx.plain", Record::Cname(name("host.plain"))), records[1].clone()];
    let zones = Zones::new(&plain, &["_25._tcp.mx.plain"]);
    assert_eq!(zones.look_up(&hop("mx.plain", "example.signed")).security, Security::Opportunistic);
}

#[test]
fn an_insecure_mx_record() {
    let zones = Zones::new(&[("mx.signed", a(1)), ("_25._tcp.mx.signed", tlsa(2, 0, 1, &DIGEST))], &[]);
    for validation in [Validation::NotValidated, Validation::Unknown] {
        let mut hop = NextHop::new(name("mx.signed"), name("example.plain"), validation);
        // Only the host's own name counts: the domain's could be anybody's.
        assert_eq!(names(&zones.look_up(&hop).security), ["mx.signed"]);
        hop.insecure_mx = InsecureMx::Ignore;
        assert_eq!(zones.look_up(&hop).security, Security::Opportunistic);
    }
}

#[test]
fn patience_ends() {
    for answered in 0..3 {
        let zones = Zones::new(&[("mx.signed", a(1)), ("_25._tcp.mx.signed", tlsa(2, 0, 1, &DIGEST))], &[]);
        let mut lookup = HostLookup::new(hop("mx.signed", "example.signed"));
        let mut open = Vec::new();
        for _ in 0..answered {
            while let DnsStep::Ask(question) = lookup.poll() {
                open.push(question);
            }
            let question = open.remove(0);
            lookup.answer(question.id, zones.answer(&question));
        }
        lookup.give_up();
        let host = match lookup.poll() {
            DnsStep::Done(host) => host,
            step => panic!("{step:?}"),
        };
        assert_eq!(host.security, Security::Later);
        assert_eq!(lookup.poll(), DnsStep::Wait);
    }
}

/// A look-up whose questions are answered one by one, by their kinds.
struct Stepped {
    lookup: HostLookup,
    open: Vec<Question>,
    host: Option<Host>,
}

impl Stepped {
    fn new(host: &str) -> Self {
        let mut stepped =
            Stepped { lookup: HostLookup::new(hop(host, "example.signed")), open: Vec::new(), host: None };
        stepped.go_on();
        stepped
    }

    fn go_on(&mut self) {
        loop {
            match self.lookup.poll() {
                DnsStep::Ask(question) => self.open.push(question),
                DnsStep::Done(host) => self.host = Some(host),
                DnsStep::Wait => return,
            }
        }
    }

    fn answer(&mut self, kind: RecordKind, answer: impl FnOnce(Name) -> DnsAnswer) {
        let at = self.open.iter().position(|question| question.kind == kind).expect("it is asked for");
        let question = self.open.remove(at);
        self.lookup.answer(question.id, answer(question.name));
        self.go_on();
    }

    fn so_far(&self) -> Option<(usize, Security)> {
        self.lookup.so_far().map(|host| (host.addresses.len(), host.security))
    }
}

fn found(record: Record, is_secure: bool) -> impl FnOnce(Name) -> DnsAnswer {
    let validation = if is_secure { Validation::Validated } else { Validation::NotValidated };
    move |owner| DnsAnswer::found(owner, [(60, record)]).with_validation(validation)
}

fn aaaa() -> Record {
    Record::Aaaa("2001:db8::1".parse().unwrap())
}

// RFC 8305 §3
#[test]
fn one_kind_of_addresses_is_enough_to_begin_with() {
    for (first, second, records) in
        [(RecordKind::A, RecordKind::Aaaa, [a(1), aaaa()]), (RecordKind::Aaaa, RecordKind::A, [aaaa(), a(1)])]
    {
        let [one, other] = records;
        let mut host = Stepped::new("mx.plain");
        assert_eq!(
            host.open.iter().map(|question| question.kind).collect::<Vec<_>>(),
            [RecordKind::Aaaa, RecordKind::A]
        );
        assert_eq!(host.so_far(), None);
        host.answer(first, found(one, false));
        assert_eq!(host.so_far(), Some((1, Security::Opportunistic)));
        assert!(host.lookup.awaits(second) && !host.lookup.awaits(first));
        host.answer(second, found(other, false));
        assert_eq!((host.host.unwrap().addresses.len(), host.lookup.so_far()), (2, None));
    }
    // No address, or an answer that failed: nothing to begin with.
    for answer in [DnsAnswer::no_data(), DnsAnswer::try_later()] {
        let mut host = Stepped::new("mx.plain");
        host.answer(RecordKind::Aaaa, |_| answer);
        assert_eq!((host.so_far(), host.lookup.awaits(RecordKind::Aaaa)), (None, false));
        host.answer(RecordKind::A, found(a(1), false));
        assert_eq!(host.host.unwrap().security, Security::Opportunistic);
    }
}

// RFC 7672 §2.2: nothing begins before it is known whether there are records.
#[test]
fn secure_addresses_wait_for_their_records() {
    let mut host = Stepped::new("mx.signed");
    host.answer(RecordKind::A, found(a(1), true));
    assert_eq!(host.so_far(), None);
    host.answer(RecordKind::Tlsa, found(tlsa(3, 1, 1, &DIGEST), true));
    assert!(matches!(host.so_far(), Some((1, Security::Dane(_)))), "{:?}", host.so_far());
    host.answer(RecordKind::Aaaa, |_| DnsAnswer::try_later());
    assert_eq!(names(&host.host.unwrap().security), ["mx.signed", "example.signed"]);
    // An alias is looked at before its target counts as one without records.
    let mut host = Stepped::new("mx.signed");
    host.answer(RecordKind::Aaaa, |_| found(aaaa(), false)(name("host.plain")));
    assert_eq!(host.so_far(), None);
    host.answer(RecordKind::Cname, |_| found(Record::Cname(name("host.plain")), false)(name("mx.signed")));
    assert_eq!(host.so_far(), Some((1, Security::Opportunistic)));
}

// Whatever came first, the better answer counts: nobody gets around DANE by being quick.
#[test]
fn a_secure_answer_counts_though_it_is_the_later() {
    for fails in [false, true] {
        let mut host = Stepped::new("mx.signed");
        host.answer(RecordKind::A, found(a(1), false));
        assert_eq!(host.so_far(), Some((1, Security::Opportunistic)));
        host.answer(RecordKind::Aaaa, found(aaaa(), true));
        assert_eq!(host.so_far(), None);
        let records = found(tlsa(3, 1, 1, &DIGEST), true);
        host.answer(RecordKind::Tlsa, |owner| if fails { DnsAnswer::try_later() } else { records(owner) });
        let host = host.host.unwrap();
        assert_eq!((host.addresses.len(), matches!(host.security, Security::Dane(_))), (2, !fails));
        assert_eq!(host.security == Security::Later, fails);
    }
    // An insecure one never takes its place.
    let mut host = Stepped::new("mx.signed");
    host.answer(RecordKind::Aaaa, found(aaaa(), true));
    host.answer(RecordKind::A, found(a(1), false));
    assert_eq!(host.so_far(), None);
    host.answer(RecordKind::Tlsa, |_| DnsAnswer::try_later());
    assert_eq!(host.host.unwrap().security, Security::Later);
}

// A server that never answers at AAAA does not make its host one without addresses.
#[test]
fn patience_ends_with_what_there_is() {
    let mut host = Stepped::new("mx.plain");
    host.answer(RecordKind::A, found(a(1), false));
    host.lookup.give_up();
    host.go_on();
    assert_eq!(host.host.unwrap().security, Security::Opportunistic);
    let mut host = Stepped::new("mx.signed");
    host.answer(RecordKind::A, found(a(1), true));
    host.lookup.give_up();
    host.go_on();
    assert_eq!(host.host.unwrap().security, Security::Later);
}

#[test]
fn a_host_whose_name_has_no_room_for_a_port() {
    let long = format!("{0}.{0}.{0}.{1}.signed", "a".repeat(63), "b".repeat(50));
    let zones = Zones::new(&[(&long, a(1))], &[]);
    assert_eq!(zones.look_up(&hop(&long, "example.signed")).security, Security::Opportunistic);
}

#[test]
fn many_addresses_are_cut_off() {
    let records: Vec<_> = (0..=255).map(|last| ("mx.plain", a(last))).collect();
    assert_eq!(Zones::new(&records, &[]).look_up(&hop("mx.plain", "example.signed")).addresses.len(), 50);
}

#[test]
fn where_dane_is_required() {
    let zones = Zones::new(&[("mx.signed", a(1)), ("_25._tcp.mx.signed", tlsa(3, 1, 1, &DIGEST))], &[]);
    assert!(zones.look_up(&hop("mx.signed", "example.signed")).security.required().is_ok());
    assert_eq!(Security::EncryptOnly.required(), Err(FailureType::TlsaInvalid));
    assert_eq!(Security::Later.required(), Err(FailureType::DnssecInvalid));
    assert_eq!(Security::Opportunistic.required(), Err(FailureType::DaneRequired));
}

#[test]
fn records_that_can_be_used() {
    for (record, error) in [
        (a(1), Unusable::Kind),
        (tlsa(0, 0, 1, &DIGEST), Unusable::Usage(0)),
        (tlsa(1, 0, 1, &DIGEST), Unusable::Usage(1)),
        (tlsa(4, 0, 1, &DIGEST), Unusable::Usage(4)),
        (tlsa(3, 2, 1, &DIGEST), Unusable::Selector(2)),
        (tlsa(3, 1, 3, &DIGEST), Unusable::Matching(3)),
        (tlsa(3, 1, 1, &DIGEST[1..]), Unusable::Length),
        (tlsa(3, 1, 2, &DIGEST), Unusable::Length),
        (tlsa(3, 1, 0, &[]), Unusable::Length),
    ] {
        assert_eq!(Tlsa::new(&record), Err(error));
    }
    // The stronger digest outdoes the weaker of the same thing, and nothing else.
    let records = [
        tlsa(3, 1, 1, &DIGEST),
        tlsa(3, 1, 2, &[8; 64]),
        tlsa(3, 1, 0, b"key"),
        tlsa(3, 0, 1, &DIGEST),
        tlsa(2, 1, 1, &DIGEST),
    ];
    let used: Vec<_> = usable(&records).iter().map(|record| record.to_string()[..5].to_owned()).collect();
    assert_eq!(used, ["3 1 2", "3 1 0", "3 0 1", "2 1 1"]);
    assert_eq!(usable(std::iter::repeat_n(&records[1], 1000)).len(), 100);
}

/// A chain of three certificates, the host's first, and the public key of each.
struct Chain {
    certificates: Vec<Vec<u8>>,
    keys: Vec<Vec<u8>>,
}

impl Chain {
    fn new() -> Self {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData as _};
        let key = || KeyPair::generate().unwrap();
        let params = |name: &str| CertificateParams::new([name.to_owned()]).unwrap();
        let authority = |name: &str| {
            let mut params = params(name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let (root_key, middle_key, leaf_key) = (key(), key(), key());
        let root = authority("root.example").self_signed(&root_key).unwrap();
        let keys = [&leaf_key, &middle_key, &root_key].map(|key| key.subject_public_key_info()).into();
        let issuer = Issuer::new(authority("root.example"), root_key);
        let middle = authority("middle.example").signed_by(&middle_key, &issuer).unwrap();
        let issuer = Issuer::new(authority("middle.example"), middle_key);
        let leaf = params("another.example").signed_by(&leaf_key, &issuer).unwrap();
        Chain { certificates: [leaf, middle, root].map(|certificate| certificate.der().to_vec()).into(), keys }
    }

    fn judge(&self, records: &[Record]) -> ChainMatch {
        let chain: Vec<_> = self.certificates.iter().map(Vec::as_slice).collect();
        judge_chain(&usable(records), &chain, &RingCrypto)
    }
}

fn part(whole: &[u8], matching: u8) -> Vec<u8> {
    match matching {
        0 => whole.to_vec(),
        1 => RingCrypto.digest(HashAlgorithm::Sha256, whole).unwrap(),
        _ => RingCrypto.digest(HashAlgorithm::Sha512, whole).unwrap(),
    }
}

#[test]
fn the_key_in_real_certificates() {
    let chain = Chain::new();
    for (certificate, key) in chain.certificates.iter().zip(&chain.keys) {
        assert_eq!(dane::subject_public_key_info(certificate), Ok(&key[..]));
    }
}

#[test]
fn a_chain_is_judged() {
    let chain = Chain::new();
    for matching in 0..3 {
        for selector in 0..2 {
            let parts = if selector == 0 { &chain.certificates } else { &chain.keys };
            let data: Vec<_> = parts.iter().map(|whole| part(whole, matching)).collect();
            // The name in it is another; it does not count.
            assert_eq!(chain.judge(&[tlsa(3, selector, matching, &data[0])]), ChainMatch::EndEntity);
            // An authority is no host, and the host no authority.
            assert_eq!(chain.judge(&[tlsa(3, selector, matching, &data[1])]), ChainMatch::Mismatch);
            let is_whole = (selector, matching) == (0, 0);
            assert_eq!(chain.judge(&[tlsa(2, selector, matching, &data[0])]) == ChainMatch::Mismatch, !is_whole);
            for (place, data) in data.iter().enumerate().skip(1) {
                let ChainMatch::TrustAnchors(anchors) = chain.judge(&[tlsa(2, selector, matching, data)]) else {
                    panic!("{selector} {matching} {place}");
                };
                assert_eq!(anchors.len(), 1);
                assert_eq!((anchors[0].place, &anchors[0].certificate), (Some(place), &chain.certificates[place]));
            }
        }
    }
    let wrong = [tlsa(3, 1, 1, &DIGEST), tlsa(2, 0, 1, &DIGEST), tlsa(2, 0, 0, b"no certificate")];
    assert_eq!(chain.judge(&wrong), ChainMatch::Mismatch);
    assert_eq!(chain.judge(&[]), ChainMatch::Mismatch);
    assert_eq!(judge_chain(&usable(&wrong), &[], &RingCrypto), ChainMatch::Mismatch);
    // Next to a wrong one, the right one counts.
    let both = [tlsa(3, 1, 1, &DIGEST), tlsa(3, 1, 1, &part(&chain.keys[0], 1))];
    assert_eq!(chain.judge(&both), ChainMatch::EndEntity);
}

#[test]
fn authorities_of_a_chain_and_of_a_record() {
    let mut chain = Chain::new();
    let root = chain.certificates.pop().unwrap();
    // Not in the chain: only the record that holds it whole can tell it.
    assert_eq!(chain.judge(&[tlsa(2, 0, 1, &part(&root, 1)), tlsa(2, 1, 0, &chain.keys[2])]), ChainMatch::Mismatch);
    let ChainMatch::TrustAnchors(anchors) = chain.judge(&[
        tlsa(2, 0, 0, &root),
        tlsa(2, 0, 1, &part(&chain.certificates[1], 1)),
        tlsa(2, 1, 1, &part(&chain.keys[1], 1)),
    ]) else {
        panic!("mismatch");
    };
    assert_eq!(anchors.iter().map(|anchor| anchor.place).collect::<Vec<_>>(), [Some(1), None]);
    assert_eq!(anchors[1].certificate, root);
    // A digest of an authority at the end of a chain that nobody would build.
    let mut long = chain.certificates[..1].to_vec();
    long.resize(1000, chain.certificates[1].clone());
    long.push(root.clone());
    let long: Vec<_> = long.iter().map(Vec::as_slice).collect();
    assert_eq!(judge_chain(&usable([&tlsa(2, 0, 1, &part(&root, 1))]), &long, &RingCrypto), ChainMatch::Mismatch);
}

#[test]
fn a_broken_certificate_has_no_key() {
    let mut chain = Chain::new();
    chain.certificates[0].truncate(100);
    assert_eq!(chain.judge(&[tlsa(3, 1, 1, &part(&chain.keys[0], 1))]), ChainMatch::Mismatch);
    assert_eq!(chain.judge(&[tlsa(3, 0, 1, &part(&chain.certificates[0], 1))]), ChainMatch::EndEntity);
}

proptest! {
    #[test]
    fn any_octets_as_a_certificate(octets in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..400, flip in any::<u8>()) {
        let _ = dane::subject_public_key_info(&octets);
        let mut certificate = Chain::new().certificates.remove(0);
        let at = cut % certificate.len();
        certificate[at] ^= flip;
        if let Ok(key) = dane::subject_public_key_info(&certificate) {
            prop_assert!(key.len() < certificate.len());
        }
    }

    /// Whatever is answered, in which order ever, the look-up ends after at most six questions.
    #[test]
    fn any_answers(answers in prop::collection::vec((0_u8..6, any::<bool>(), any::<bool>()), 8)) {
        let mut lookup = HostLookup::new(hop("mx.signed", "example.signed"));
        let mut open = Vec::new();
        let mut asked = 0;
        let mut answers = answers.into_iter();
        loop {
            match lookup.poll() {
                DnsStep::Ask(question) => {
                    asked += 1;
                    open.push(question);
                }
                DnsStep::Done(host) => {
                    prop_assert!(!matches!(host.security, Security::Dane(_)) || !host.addresses.is_empty());
                    break;
                }
                DnsStep::Wait => {
                    let (kind, is_secure, last) = answers.next().expect("no more than six questions");
                    let question = if last { open.pop().unwrap() } else { open.remove(0) };
                    let record = match question.kind {
                        RecordKind::Tlsa => tlsa(3, 1, 1, &DIGEST),
                        RecordKind::Cname => Record::Cname(name("host.signed")),
                        _ => a(1),
                    };
                    let answer = match kind {
                        0 => DnsAnswer::no_data(),
                        1 => DnsAnswer::no_such_name(),
                        2 => DnsAnswer::try_later(),
                        3 => DnsAnswer::found(name("host.signed"), [(60, record)]),
                        4 => DnsAnswer::found(question.name.clone(), [(60, Record::txt("another kind"))]),
                        _ => DnsAnswer::found(question.name.clone(), [(60, record)]),
                    };
                    let validation = if is_secure { Validation::Validated } else { Validation::NotValidated };
                    lookup.answer(question.id, answer.with_validation(validation));
                }
            }
        }
        prop_assert!(asked <= 6);
    }
}
