//! The IMAP parsers: no octets are too odd for a command, and what was parsed of commands, sets and names is what was written.
#![no_main]

#[path = "../../imap-proto/tests/command_print/mod.rs"]
mod command_print;

use libfuzzer_sys::fuzz_target;
use pillarbox_imap::command::row_of;
use pillarbox_imap::types::{Flag, MailboxName, NameEncoding, Separator, SequenceSet, Uid, UidSet};
use pillarbox_imap::wire::frame::{FrameLimits, Framed, Framer};
use pillarbox_imap::wire::parse::{append_head, append_message, command, name, tag};

fuzz_target!(|data: &[u8]| {
    if let Some((tag, rest)) = tag(data) {
        assert!(data.starts_with(tag.as_bytes()));
        let (name, arguments) = name(rest);
        assert_eq!([name, arguments].concat(), rest);
        let _ = row_of(name);
        let _ = append_head(arguments);
    }
    if let Some(line) = framed(data)
        && let Ok(read) = command(line)
        && let Some(written) = command_print::print(&read)
    {
        assert_eq!(framed(&written), Some(&written[..]), "what was written is one command");
        let again = command(&written).expect("what was written can be read");
        assert_eq!(command_print::print(&again).as_deref(), Some(&written[..]), "{read:?}");
        assert_eq!(row_of(read.row.name.as_bytes()).map(|row| row.name), Some(again.row.name));
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

/// The command at the front, with its literals.
fn framed(octets: &[u8]) -> Option<&[u8]> {
    let (mut framer, limits) = (Framer::new(), FrameLimits::AFTER_LOGIN);
    loop {
        match framer.frame(octets, &limits) {
            Framed::Command { len } => return octets.get(..len),
            Framed::Literal { header, len } if framer.accept(header, len, &limits) => {}
            _ => return None,
        }
    }
}
