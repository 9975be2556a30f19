//! All methods over one message: whatever the message, the session and the DNS say, the verdict depends neither on cuts of the
//! message nor on the order of the answers, giving up ends it at any time, and what is written reads back.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use pillarbox_auth::RingCrypto;
use pillarbox_auth::authres::AuthenticationResults;
use pillarbox_auth::dmarc::SeveralAuthors;
use pillarbox_auth::inbound::{Config, Inbound, Verdicts};
use pillarbox_core::address::ReversePath;
use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsStep, Name, Question, Record, RecordKind};
use pillarbox_fuzz::cut;

/// Questions that one message may have at most.
const QUESTIONS_MAX: usize = 11 + 2 * 125 + 16 + 17 + 5 * 9;

fuzz_target!(|data: &[u8]| {
    let Some((&[flags, turn, stop], rest)) = data.split_first_chunk() else { return };
    // Name in HELO, path of MAIL, texts of the DNS, and the message, one behind the other.
    let mut parts = rest.splitn(4, |octet| *octet == 0);
    let [helo, path, texts, message] = [(); 4].map(|()| parts.next().unwrap_or_default());
    let texts = texts.split(|octet| *octet == 1).collect::<Vec<_>>();
    let (message, pieces) = cut(message);

    let mut config = Config::new("mx.example");
    config.received_spf = flags & 1 > 0;
    config.trusted_sealers.push("b.example".parse().expect("a name"));
    config.open_questions_max = usize::from(flags >> 4);
    if flags & 2 > 0 {
        config.dmarc.several_authors = SeveralAuthors::StrictestPolicy;
    }
    let config = Arc::new(config);
    let begin = || {
        let mut inbound = Inbound::new(Arc::new(RingCrypto), config.clone(), 1_700_000_000);
        inbound.connect(if flags & 4 > 0 { [192, 0, 2, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1_u16].into() });
        inbound.helo(&String::from_utf8_lossy(helo));
        match ReversePath::take(path, true) {
            Ok((path, _)) => inbound.mail_from(&path),
            Err(_) if flags & 8 > 0 => inbound.mail_from(&ReversePath::Null),
            Err(_) => {}
        }
        inbound
    };

    let mut whole = begin();
    whole.write(message);
    whole.finish();
    let expected = run(&mut whole, &texts, 0);
    check(&expected, message);

    let mut cut = begin();
    for piece in pieces {
        cut.write(piece);
        if turn & 1 > 0 {
            while let DnsStep::Ask(question) = cut.poll() {
                cut.answer(question.id, answer(&question, &texts));
            }
        }
    }
    cut.finish();
    assert_eq!(told(&run(&mut cut, &texts, usize::from(turn))), told(&expected));

    // Given up after some octets and answers.
    let mut given_up = begin();
    given_up.write(&message[..message.len().min(usize::from(stop) * 4)]);
    for _ in 0..stop % 8 {
        if let DnsStep::Ask(question) = given_up.poll() {
            given_up.answer(question.id, answer(&question, &texts));
        }
    }
    given_up.give_up();
    let DnsStep::Done(verdicts) = given_up.poll() else { panic!("it goes on") };
    check(&verdicts, message);
});

/// What others may see.
fn told(verdicts: &Verdicts) -> String {
    format!("{:?}{:?}{}", verdicts.refusal(), verdicts.forged, verdicts.header_fields())
}

fn run(inbound: &mut Inbound, texts: &[&[u8]], turn: usize) -> Verdicts {
    let (mut open, mut asked) = (Vec::<Question>::new(), 0);
    loop {
        match inbound.poll() {
            DnsStep::Ask(question) => {
                open.push(question);
                asked += 1;
                assert!(asked <= QUESTIONS_MAX, "{asked} questions");
            }
            DnsStep::Wait => {
                assert!(!open.is_empty(), "it waits for nothing");
                let question = open.swap_remove(turn % open.len());
                inbound.answer(question.id, answer(&question, texts));
            }
            DnsStep::Done(verdicts) => return verdicts,
        }
    }
}

/// An answer that depends on the question alone.
fn answer(question: &Question, texts: &[&[u8]]) -> DnsAnswer {
    let sum = question
        .name
        .as_str()
        .bytes()
        .fold(question.kind as usize, |sum, octet| sum.wrapping_mul(31).wrapping_add(usize::from(octet)));
    let text = texts[sum % texts.len()];
    let name = || Name::parse(str::from_utf8(text).unwrap_or("a.example")).unwrap_or_else(|_| question.name.clone());
    let record = match (question.kind, text.first()) {
        (_, None) => return DnsAnswer::no_such_name(),
        (_, Some(b'!')) => return DnsAnswer::try_later(),
        (_, Some(b'?')) => return DnsAnswer::no_data(),
        (RecordKind::A, _) => Record::A([192, 0, 2, 1].into()),
        (RecordKind::Aaaa, _) => Record::Aaaa([0, 0, 0, 0, 0, 0, 0, 1].into()),
        (RecordKind::Mx, _) => Record::mx(1, name()),
        (RecordKind::Ptr, _) => Record::Ptr(name()),
        _ => Record::txt(text),
    };
    DnsAnswer::found(question.name.clone(), [(60, record)])
}

fn check(verdicts: &Verdicts, message: &[u8]) {
    let results = verdicts.authentication_results();
    let fields = verdicts.header_fields();
    let field = results.to_field();
    assert!(fields.starts_with(&field));
    let value = field.split_once(':').expect("a field has a colon").1;
    assert_eq!(AuthenticationResults::parse(value.as_bytes()).as_ref(), Ok(&results));
    for line in fields.split_terminator("\r\n") {
        assert!(line.len() <= 998 && !line.contains(['\r', '\n', '\0']) && !line.trim().is_empty(), "{line:?}");
    }
    let explanation = verdicts.explanation().to_string();
    assert!(!explanation.contains(|c: char| c.is_control() && c != '\n'), "{explanation:?}");
    let mut end = 0;
    for place in &verdicts.forged {
        assert!(place.start >= end && place.start < place.end && place.end <= message.len());
        end = place.end;
    }
}
