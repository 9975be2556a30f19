//! The IMAP parsers: no octets are too odd for a command, and what was parsed of sets and names is what was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillarbox_imap::command::row_of;
use pillarbox_imap::types::{Flag, MailboxName, NameEncoding, Separator, SequenceSet, Uid, UidSet};
use pillarbox_imap::wire::parse::{append_head, append_message, name, tag};

fuzz_target!(|data: &[u8]| {
    if let Some((tag, rest)) = tag(data) {
        assert!(data.starts_with(tag.as_bytes()));
        let (name, arguments) = name(rest);
        assert_eq!([name, arguments].concat(), rest);
        let _ = row_of(name);
        let _ = append_head(arguments);
    }
    let _ = append_message(data);
    if let Some(set) = SequenceSet::parse(data).filter(|set| !set.names_saved()) {
        let resolved = set.resolve(1000);
        assert!(resolved.windows(2).all(|pair| pair[0].end() + 1 < *pair[1].start()), "{resolved:?}");
        let uids: UidSet =
            resolved.iter().filter_map(|range| Some(Uid::new(*range.start())?..=Uid::new(*range.end())?)).collect();
        let again = SequenceSet::parse(uids.to_string().as_bytes()).expect("what was written can be read");
        assert_eq!(again.resolve(1000), resolved);
    }
    for separator in [Separator::Slash, Separator::Dot] {
        for encoding in [NameEncoding::ModifiedUtf7, NameEncoding::Utf8] {
            if let Ok(name) = MailboxName::from_wire(data, separator, encoding) {
                let wire = name.to_wire(separator, encoding).expect("a name that came over the wire can go back");
                assert_eq!(MailboxName::from_wire(wire.as_bytes(), separator, encoding), Ok(name));
            }
        }
    }
    if let Some(flag) = core::str::from_utf8(data).ok().and_then(Flag::parse) {
        assert_eq!(Flag::parse(flag.as_str()), Some(flag));
    }
});
