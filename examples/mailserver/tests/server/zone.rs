//! A name server on loopback that answers from a zone.

use std::net::UdpSocket;
use std::thread;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, MX, PTR, TXT};
use hickory_proto::rr::{Name as WireName, RData, Record as WireRecord, RecordType};
use pillarbox::mailcore::dns::{DnsOutcome, FixedZone, Question, QuestionId, Record, RecordKind};

/// Octets of one string of a TXT record.
const STRING_MAX: usize = 255;

/// Serves a zone until the process ends; gives what a configuration says to have it asked.
pub fn serve(zone: FixedZone) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            if let Ok(query) = Message::from_vec(&buffer[..length]) {
                // Whoever does not wait for it any more does not need it.
                let _ = socket.send_to(&answer(&zone, &query).to_vec().unwrap(), peer);
            }
        }
    });
    format!("\n[dns]\nservers = [\"{address}\"]\n")
}

fn answer(zone: &FixedZone, query: &Message) -> Message {
    let question = &query.queries[0];
    let kind = match question.query_type() {
        RecordType::A => Some(RecordKind::A),
        RecordType::AAAA => Some(RecordKind::Aaaa),
        RecordType::MX => Some(RecordKind::Mx),
        RecordType::TXT => Some(RecordKind::Txt),
        RecordType::PTR => Some(RecordKind::Ptr),
        RecordType::TLSA => Some(RecordKind::Tlsa),
        _ => None,
    };
    let mut response = Message::response(query.metadata.id, OpCode::Query);
    response.metadata.recursion_available = true;
    response.add_queries(query.queries.iter().cloned());
    let name = question.name().to_ascii();
    let outcome = match (name.trim_end_matches('.').parse(), kind) {
        (Ok(name), Some(kind)) => zone.answer(&Question::new(QuestionId(0), name, kind)).outcome,
        _ => DnsOutcome::NoData,
    };
    match outcome {
        DnsOutcome::Found(set) => {
            let data = set.records().iter().map(wire);
            response.add_answers(data.map(|data| WireRecord::from_rdata(question.name().clone(), 60, data)));
        }
        DnsOutcome::NoSuchName => response.metadata.response_code = ResponseCode::NXDomain,
        DnsOutcome::TryLater => response.metadata.response_code = ResponseCode::ServFail,
        _ => {}
    }
    response
}

fn wire(record: &Record) -> RData {
    let name = |text: &str| WireName::from_ascii(format!("{text}.")).unwrap();
    match record {
        Record::A(address) => RData::A(A(*address)),
        Record::Mx { preference, exchange } => RData::MX(MX::new(*preference, name(exchange.as_str()))),
        Record::Txt(text) => RData::TXT(TXT::from_bytes(text.chunks(STRING_MAX).collect())),
        Record::Ptr(target) => RData::PTR(PTR(name(target.as_str()))),
        other => panic!("{other:?} is not served here"),
    }
}
