//! Section 6: what IMAP shows of a message, from its octets.

use std::hint::black_box;

use mail_parser::MessageParser;
use pillarbox_imap::message::{Limits, Structure, write_body, write_envelope};

use crate::measure::{Case, Scale};
use crate::report::Goal;
use crate::sample;

pub fn cases() -> Vec<Case> {
    let raw = sample::large();
    let len = raw.len();
    let limits = Limits::default();
    let mut out = Vec::new();
    let same = raw.clone();
    let parser = MessageParser::default();
    vec![Case {
        section: 6,
        name: "ENVELOPE and BODYSTRUCTURE of 50 KB",
        scale: Scale::Octets(len),
        ours: Box::new(move || {
            out.clear();
            let raw = black_box(&raw[..]);
            write_envelope(raw, &limits, &mut out);
            write_body(&Structure::parse(raw, &limits), raw, &limits, true, &mut out);
            assert!(!black_box(&out).is_empty());
        }),
        peer: Some((
            "mail-parser 0.11.9",
            Box::new(move || {
                let message = parser.parse(black_box(&same[..])).expect("it is a message");
                assert_eq!(black_box(&message).parts.len(), 5);
            }),
        )),
        goals: vec![Goal::AtLeast(500e6)],
        note: "the peer decodes bodies and headers too, and writes nothing: other work, shown for scale",
    }]
}
