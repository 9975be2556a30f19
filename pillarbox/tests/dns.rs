//! The resolver against a name server on loopback that the test runs itself.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::tlsa::{CertUsage, Matching, Selector};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA, TLSA, TXT};
use hickory_proto::rr::{Name as WireName, RData, Record as WireRecord, RecordType};
use pillarbox::dns::{StubConfig, StubResolver};
use pillarbox::mailauth::dane::{HostLookup, NextHop, Security};
use pillarbox::parts::{Resolver as _, resolve};
use pillarbox::testing::SteppedClock;
use pillarbox_core::dns::{DnsAnswer, DnsOutcome, Name, Question, QuestionId, Record, RecordKind, Validation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
}

/// What a server was asked: how, the name in small letters, the type, and whether the DO bit was set.
type Asked = Vec<(Transport, String, RecordType, bool)>;

/// What a server does with a question: octets to send, or nothing.
type Script = dyn Fn(&Message, Transport) -> Option<Vec<u8>> + Send + Sync;

struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Asked>>,
}

impl Server {
    async fn start(script: impl Fn(&Message, Transport) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = tcp.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let script: Arc<Script> = Arc::new(script);
        let reply = {
            let asked = asked.clone();
            move |octets: &[u8], transport| {
                let query = Message::from_vec(octets).unwrap();
                let question = &query.queries[0];
                let name = question.name().to_string().to_lowercase();
                let wants_dnssec = query.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
                asked.lock().unwrap().push((transport, name, question.query_type(), wants_dnssec));
                script(&query, transport)
            }
        };
        let udp_reply = reply.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, peer) = udp.recv_from(&mut buffer).await.unwrap();
                if let Some(octets) = udp_reply(&buffer[..length], Transport::Udp) {
                    udp.send_to(&octets, peer).await.unwrap();
                }
            }
        });
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = tcp.accept().await.unwrap();
                let reply = reply.clone();
                tokio::spawn(async move {
                    while let Ok(length) = stream.read_u16().await {
                        let mut buffer = vec![0; length.into()];
                        stream.read_exact(&mut buffer).await.unwrap();
                        if let Some(octets) = reply(&buffer, Transport::Tcp) {
                            stream.write_u16(octets.len().try_into().unwrap()).await.unwrap();
                            stream.write_all(&octets).await.unwrap();
                        }
                    }
                });
            }
        });
        Server { address, asked }
    }

    fn asked(&self) -> Asked {
        self.asked.lock().unwrap().clone()
    }

    fn config(&self) -> StubConfig {
        StubConfig::new([self.address])
    }

    fn resolver(&self) -> StubResolver {
        StubResolver::new(self.config(), Arc::new(SteppedClock::new()))
    }
}

fn wire(name: &str) -> WireName {
    WireName::from_ascii(format!("{}.", name.trim_end_matches('.'))).unwrap()
}

fn record(name: &str, ttl: u32, data: RData) -> WireRecord {
    WireRecord::from_rdata(wire(name), ttl, data)
}

fn a(last: u8) -> RData {
    RData::A(A::new(192, 0, 2, last))
}

fn cname(target: &str) -> RData {
    RData::CNAME(CNAME(wire(target)))
}

/// A response to a query with these answers.
fn response(query: &Message, answers: impl IntoIterator<Item = WireRecord>) -> Message {
    let mut response = Message::response(query.metadata.id, OpCode::Query);
    response.metadata.recursion_available = true;
    response.metadata.recursion_desired = true;
    response.add_queries(query.queries.iter().cloned());
    response.add_answers(answers);
    response
}

fn failure(query: &Message, code: ResponseCode) -> Message {
    let mut response = response(query, []);
    response.metadata.response_code = code;
    response
}

fn soa(name: &str, minimum: u32) -> WireRecord {
    record(name, 900, RData::SOA(SOA::new(wire("ns.example"), wire("admin.example"), 1, 1, 1, 1, minimum)))
}

fn octets(message: &Message) -> Option<Vec<u8>> {
    Some(message.to_vec().unwrap())
}

fn question(name: &str, kind: RecordKind) -> Question {
    Question::new(QuestionId(0), name.parse().unwrap(), kind)
}

async fn ask(resolver: &StubResolver, name: &str, kind: RecordKind) -> DnsAnswer {
    resolver.resolve(&question(name, kind)).await
}

fn found(owner: &str, records: impl IntoIterator<Item = (u32, Record)>) -> DnsAnswer {
    DnsAnswer::found(owner.parse().unwrap(), records)
}

#[tokio::test]
async fn every_kind_of_record() {
    let server = Server::start(|query, _| {
        let question = &query.queries[0];
        let data = match question.query_type() {
            RecordType::A => a(1),
            RecordType::AAAA => RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
            RecordType::MX => RData::MX(MX::new(10, wire("MX.example.org"))),
            RecordType::TXT => RData::TXT(TXT::from_bytes(vec![b"a\xff", b"", b"b"])),
            RecordType::PTR => RData::PTR(PTR(wire("host.example.org"))),
            RecordType::CNAME => cname("target.example.org"),
            RecordType::TLSA => {
                RData::TLSA(TLSA::new(CertUsage::DaneEe, Selector::Unassigned(7), Matching::Sha256, vec![1, 2]))
            }
            other => panic!("{other}"),
        };
        octets(&response(query, [WireRecord::from_rdata(question.name().clone(), 300, data)]))
    })
    .await;
    let resolver = server.resolver();
    for (kind, data) in [
        (RecordKind::A, Record::A([192, 0, 2, 1].into())),
        (RecordKind::Aaaa, Record::Aaaa("2001:db8::1".parse().unwrap())),
        (RecordKind::Mx, Record::mx(10, "mx.example.org".parse().unwrap())),
        (RecordKind::Txt, Record::txt(b"a\xffb")),
        (RecordKind::Ptr, Record::Ptr("host.example.org".parse().unwrap())),
        (RecordKind::Cname, Record::Cname("target.example.org".parse().unwrap())),
        (RecordKind::Tlsa, Record::Tlsa { usage: 3, selector: 7, matching: 1, data: vec![1, 2] }),
    ] {
        assert_eq!(ask(&resolver, "_25._tcp.example.org", kind).await, found("_25._tcp.example.org", [(300, data)]));
    }
    // Nothing was asked twice, nor for anything else; without trust in the server, not for DNSSEC either.
    assert_eq!(server.asked().len(), 7);
    assert!(server.asked().iter().all(|(transport, name, _, wants_dnssec)| {
        (*transport, &**name, *wants_dnssec) == (Transport::Udp, "_25._tcp.example.org.", false)
    }));
}

#[tokio::test]
async fn absences_and_failures_are_told_apart() {
    let server = Server::start(|query, _| {
        let name = query.queries[0].name().to_string();
        let message = match name.trim_end_matches(".example.") {
            "empty" => {
                let mut message = response(query, []);
                message.add_authority(soa("example", 60));
                message
            }
            "bare" => response(query, []),
            "missing" => failure(query, ResponseCode::NXDomain),
            "broken" => failure(query, ResponseCode::ServFail),
            "refused" => failure(query, ResponseCode::Refused),
            "odd" => failure(query, ResponseCode::NotImp),
            "referral" => {
                let mut message = response(query, []);
                message.add_authority(record("example", 60, RData::NS(NS(wire("ns.example")))));
                message
            }
            "alias-to-missing" => {
                let mut message = response(query, [record(&name, 60, cname("missing.example"))]);
                message.metadata.response_code = ResponseCode::NXDomain;
                message.add_authority(soa("example", 60));
                message
            }
            "alias-to-empty" => {
                let mut message = response(query, [record(&name, 60, cname("empty.example"))]);
                message.add_authority(soa("example", 60));
                message
            }
            other => panic!("{other}"),
        };
        octets(&message)
    })
    .await;
    let resolver = server.resolver();
    for (name, outcome) in [
        ("empty", DnsOutcome::NoData),
        ("bare", DnsOutcome::NoData),
        ("alias-to-empty", DnsOutcome::NoData),
        ("missing", DnsOutcome::NoSuchName),
        ("alias-to-missing", DnsOutcome::NoSuchName),
        ("broken", DnsOutcome::TryLater),
        ("refused", DnsOutcome::TryLater),
        ("odd", DnsOutcome::TryLater),
        ("referral", DnsOutcome::TryLater),
    ] {
        assert_eq!(ask(&resolver, &format!("{name}.example"), RecordKind::A).await.outcome, outcome, "{name}");
    }
}

#[tokio::test]
async fn the_word_of_a_trusted_server() {
    let server = Server::start(|query, _| {
        let question = &query.queries[0];
        let mut message = response(query, [WireRecord::from_rdata(question.name().clone(), 300, a(1))]);
        message.metadata.authentic_data = question.name().to_string().starts_with("signed");
        octets(&message)
    })
    .await;
    let mut config = server.config();
    config.trust_ad = true;
    let trusting = StubResolver::new(config, Arc::new(SteppedClock::new()));
    for (name, trusted) in [("signed.example", Validation::Validated), ("plain.example", Validation::NotValidated)] {
        assert_eq!(ask(&trusting, name, RecordKind::A).await.validation, trusted);
        // Out of the cache, too.
        assert_eq!(ask(&trusting, name, RecordKind::A).await.validation, trusted);
        assert_eq!(ask(&server.resolver(), name, RecordKind::A).await.validation, Validation::Unknown);
    }
    let wants_dnssec: Vec<_> = server.asked().into_iter().map(|(.., wants_dnssec)| wants_dnssec).collect();
    assert_eq!(wants_dnssec, [true, false, true, false]);
}

#[tokio::test]
async fn an_answer_that_was_cut_off_is_asked_for_again_by_tcp() {
    let server = Server::start(|query, transport| {
        let question = &query.queries[0];
        let text = RData::TXT(TXT::from_bytes(vec![&[b'x'; 255][..]; 40]));
        let whole = response(query, [WireRecord::from_rdata(question.name().clone(), 300, text)]);
        if transport == Transport::Tcp {
            return octets(&whole);
        }
        let mut cut = response(query, []);
        cut.metadata.truncation = true;
        octets(&cut)
    })
    .await;
    let resolver = server.resolver();
    let answer = ask(&resolver, "long.example", RecordKind::Txt).await;
    assert_eq!(answer.records().next().unwrap().text().unwrap().len(), 10_200);
    let transports: Vec<_> = server.asked().into_iter().map(|(transport, ..)| transport).collect();
    assert_eq!(transports, [Transport::Udp, Transport::Tcp]);
}

#[tokio::test]
async fn a_silent_server_is_waited_for_until_patience_ends() {
    let server = Server::start(|_, _| None).await;
    let clock = SteppedClock::new();
    let resolver = Arc::new(StubResolver::new(server.config(), Arc::new(clock.clone())));
    let task = tokio::spawn({
        let resolver = resolver.clone();
        async move { ask(&resolver, "slow.example", RecordKind::A).await }
    });
    // Five seconds, twice.
    clock.sleeper(Duration::from_secs(10)).await;
    clock.advance(Duration::from_secs(10));
    assert_eq!(task.await.unwrap(), DnsAnswer::try_later());
    // The failure is kept for five seconds.
    clock.advance(Duration::from_secs(4));
    assert_eq!(ask(&resolver, "slow.example", RecordKind::A).await, DnsAnswer::try_later());
}

#[tokio::test]
async fn the_next_server_is_asked_where_one_fails() {
    let broken = Server::start(|query, _| octets(&failure(query, ResponseCode::ServFail))).await;
    let good = Server::start(|query, _| octets(&response(query, [record("a.example", 60, a(1))]))).await;
    let config = StubConfig::new([broken.address, good.address]);
    let resolver = StubResolver::new(config, Arc::new(SteppedClock::new()));
    let answer = found("a.example", [(60, Record::A([192, 0, 2, 1].into()))]);
    assert_eq!(ask(&resolver, "a.example", RecordKind::A).await, answer);
    resolver.clear_cache();
    // From then on the good one is first.
    assert_eq!(ask(&resolver, "a.example", RecordKind::A).await, answer);
    assert_eq!((broken.asked().len(), good.asked().len()), (1, 2));

    let none = StubResolver::new(StubConfig::new([]), Arc::new(SteppedClock::new()));
    assert_eq!(ask(&none, "a.example", RecordKind::A).await, DnsAnswer::try_later());
}

#[tokio::test]
async fn answers_are_kept_for_their_time() {
    let server = Server::start(|query, _| {
        let name = query.queries[0].name().to_string();
        let mut message = response(query, []);
        match name.trim_end_matches(".example.") {
            "found" => {
                message.add_answers([record(&name, 300, a(1)), record(&name, 100, a(2))]);
            }
            "brief" => {
                message.add_answer(record(&name, 0, a(1)));
            }
            "long" => {
                message.add_answer(record(&name, 1_000_000, a(1)));
            }
            // An alias lives shorter than its target.
            "alias" => {
                message.add_answers([record(&name, 10, cname("target.example")), record("target.example", 300, a(1))]);
            }
            "absent" => {
                message.add_authority(soa("example", 50));
            }
            "absent-for-long" => {
                message.add_authority(soa("example", 800));
            }
            "absent-without-soa" => {}
            "missing" => {
                message.metadata.response_code = ResponseCode::NXDomain;
                message.add_authority(soa("example", 60));
            }
            "broken" => message.metadata.response_code = ResponseCode::ServFail,
            other => panic!("{other}"),
        }
        octets(&message)
    })
    .await;
    for (name, kept) in [
        ("found", 100),
        ("brief", 0),
        ("long", 86_400),
        ("alias", 10),
        ("absent", 50),
        ("absent-for-long", 800),
        ("absent-without-soa", 0),
        ("missing", 60),
        ("broken", 5),
    ] {
        let clock = SteppedClock::new();
        let resolver = StubResolver::new(server.config(), Arc::new(clock.clone()));
        let name = format!("{name}.example");
        server.asked.lock().unwrap().clear();
        let first = ask(&resolver, &name, RecordKind::A).await;
        assert!(first.ttl().is_none_or(|ttl| ttl == kept), "{name} {first:?}");
        if kept > 0 {
            clock.advance(Duration::from_secs(u64::from(kept) - 1));
            let second = ask(&resolver, &name.to_uppercase(), RecordKind::A).await;
            assert_eq!(server.asked().len(), 1, "{name}");
            assert!(second.ttl().is_none_or(|ttl| ttl == 1), "{name} {second:?}");
            clock.advance(Duration::from_secs(1));
        }
        ask(&resolver, &name, RecordKind::A).await;
        assert_eq!(server.asked().len(), 2, "{name}");
    }
}

/// `n3.example` is an alias of `n2.example` and so on; `n0.example` has an address.
fn chain(from: u32) -> Vec<WireRecord> {
    let links = (1..=from).rev().map(|n| record(&format!("n{n}.example"), 60, cname(&format!("N{}.example", n - 1))));
    links.chain([record("n0.example", 60, a(1))]).collect()
}

#[tokio::test]
async fn aliases_are_followed_to_a_limit() {
    let server = Server::start(|query, _| {
        let name = query.queries[0].name().to_string();
        let length = name.trim_start_matches(['n', 'N']).split('.').next().unwrap().parse().unwrap();
        octets(&response(query, chain(length)))
    })
    .await;
    let resolver = server.resolver();
    for length in [0, 1, 8] {
        let answer = ask(&resolver, &format!("n{length}.example"), RecordKind::A).await;
        assert_eq!(answer, found("n0.example", [(60, Record::A([192, 0, 2, 1].into()))]));
    }
    for length in [9, 20] {
        assert_eq!(ask(&resolver, &format!("n{length}.example"), RecordKind::A).await, DnsAnswer::try_later());
    }
}

#[tokio::test]
async fn an_alias_without_its_target_is_followed() {
    let server = Server::start(|query, _| {
        let name = query.queries[0].name().to_string().to_lowercase();
        let (data, authentic) = match &*name {
            "start.example." => (cname("middle.example"), true),
            "middle.example." => (cname("end.example"), false),
            "end.example." => (a(1), true),
            // Two names that are aliases of each other, one answer at a time.
            "ping.example." => (cname("pong.example"), true),
            _ => (cname("ping.example"), true),
        };
        let mut message = response(query, [record(&name, 60, data)]);
        message.metadata.authentic_data = authentic;
        octets(&message)
    })
    .await;
    let mut config = server.config();
    config.trust_ad = true;
    let resolver = StubResolver::new(config, Arc::new(SteppedClock::new()));
    let expected = found("end.example", [(60, Record::A([192, 0, 2, 1].into()))]);
    // One part of the way is not secure, so the end is not.
    let answer = ask(&resolver, "start.example", RecordKind::A).await;
    assert_eq!(answer, expected.with_validation(Validation::NotValidated));
    assert_eq!(server.asked().len(), 3);
    assert_eq!(ask(&resolver, "ping.example", RecordKind::A).await.outcome, DnsOutcome::TryLater);
    assert_eq!(server.asked().len(), 3 + 9);
}

#[tokio::test]
async fn answers_that_are_too_much_or_no_use() {
    let server = Server::start(|query, transport| {
        let name = query.queries[0].name().to_string();
        let text = |size: usize| RData::TXT(TXT::from_bytes(vec![&[b'x'; 255][..]; size / 255]));
        let answers: Vec<_> = match name.trim_end_matches(".example.") {
            "hundred" => (0..100).map(|last| record(&name, 60, a(last))).collect(),
            "more" => (0..101).map(|last| record(&name, 60, a(last))).collect(),
            "thousand" => (0..1000).map(|n| record(&name, 60, RData::MX(MX::new(n, wire("mx.example"))))).collect(),
            "text" => vec![record(&name, 60, text(32_640))],
            "texts" => vec![record(&name, 60, text(20_400)), record(&name, 60, text(20_655))],
            "loop" => vec![record(&name, 60, cname("loop.example"))],
            "others" => vec![record("elsewhere.example", 60, a(1))],
            "dot" => {
                let odd = WireName::from_labels([&b"a.b"[..], b"example"]).unwrap();
                vec![record(&name, 60, RData::MX(MX::new(1, odd)))]
            }
            "dots" => {
                let odd = WireName::from_labels([&b"a.b"[..], b"example"]).unwrap();
                let exchanges = [odd.clone(), wire("mx.example"), odd];
                exchanges.map(|exchange| record(&name, 60, RData::MX(MX::new(1, exchange)))).to_vec()
            }
            "null" => vec![record(&name, 60, RData::MX(MX::new(0, WireName::root())))],
            other => panic!("{other}"),
        };
        let whole = response(query, answers).to_vec().unwrap();
        if transport == Transport::Udp && whole.len() > 1232 {
            let mut cut = response(query, []);
            cut.metadata.truncation = true;
            return octets(&cut);
        }
        Some(whole)
    })
    .await;
    let resolver = server.resolver();
    for (name, kind, records) in [
        ("hundred", RecordKind::A, Some(100)),
        ("more", RecordKind::A, None),
        ("thousand", RecordKind::Mx, None),
        ("text", RecordKind::Txt, Some(1)),
        ("texts", RecordKind::Txt, None),
        ("loop", RecordKind::A, None),
        ("dot", RecordKind::Mx, None),
        ("dots", RecordKind::Mx, Some(1)),
        ("null", RecordKind::Mx, Some(1)),
    ] {
        let answer = ask(&resolver, &format!("{name}.example"), kind).await;
        assert_eq!(answer.records().count(), records.unwrap_or(0), "{name}");
        assert_eq!(answer.outcome == DnsOutcome::TryLater, records.is_none(), "{name}");
    }
    assert_eq!(ask(&resolver, "others.example", RecordKind::A).await.outcome, DnsOutcome::NoData);
}

#[tokio::test]
async fn octets_that_are_no_response() {
    let server = Server::start(|query, _| {
        let name = query.queries[0].name().to_string();
        let good = response(query, [record("good.example", 60, a(1))]).to_vec().unwrap();
        Some(match name.trim_end_matches(".example.") {
            "short" => good[..20].to_vec(),
            // The name of the answer points at itself.
            "pointer" => {
                let question = response(query, []).to_vec().unwrap();
                let at = u16::try_from(question.len()).unwrap();
                let mut octets =
                    [&question[..], &(0xc000 | at).to_be_bytes(), &[0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]]
                        .concat();
                octets[7] = 1;
                octets
            }
            _ => good,
        })
    })
    .await;
    // Such octets are thrown away as if they had not come, so it is the clock that ends the wait.
    for name in ["short.example", "pointer.example"] {
        let clock = SteppedClock::new();
        let resolver = StubResolver::new(server.config(), Arc::new(clock.clone()));
        let asking = ask(&resolver, name, RecordKind::A);
        let time = async {
            clock.sleeper(Duration::from_secs(10)).await;
            clock.advance(Duration::from_secs(10));
            std::future::pending().await
        };
        let answer = tokio::select! {
            answer = asking => answer,
            answer = time => answer,
        };
        assert_eq!(answer.outcome, DnsOutcome::TryLater, "{name}");
        assert_eq!(ask(&resolver, "good.example", RecordKind::A).await.records().count(), 1);
    }
}

/// The whole way: a machine of mail authentication, this resolver, a server.
#[tokio::test]
async fn dane_by_a_trusted_server_only() {
    let server = Server::start(|query, _| {
        let question = &query.queries[0];
        let data = match question.query_type() {
            RecordType::A => Some(a(1)),
            RecordType::TLSA => {
                Some(RData::TLSA(TLSA::new(CertUsage::DaneEe, Selector::Spki, Matching::Sha256, vec![7; 32])))
            }
            _ => None,
        };
        let answers = data.map(|data| WireRecord::from_rdata(question.name().clone(), 60, data));
        let mut message = response(query, answers);
        message.add_authority(soa("example", 60));
        message.metadata.authentic_data = true;
        octets(&message)
    })
    .await;
    let hop = || {
        let name = |text: &str| text.parse::<Name>().unwrap();
        NextHop::new(name("mx.example"), name("example"), Validation::Validated)
    };
    let mut config = server.config();
    config.trust_ad = true;
    let trusting = StubResolver::new(config, Arc::new(SteppedClock::new()));
    let host = resolve(HostLookup::new(hop()), &trusting).await;
    assert!(matches!(host.security, Security::Dane(dane) if dane.records.len() == 1));
    // Anybody can set that bit.
    let host = resolve(HostLookup::new(hop()), &server.resolver()).await;
    assert_eq!(host.security, Security::Opportunistic);
}
