//! Which octets of a message a FETCH item names.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// What stands between the brackets of `BODY[...]` (`section` in RFC 9051 §9).
///
/// ```
/// use pillarbox_imap::message::{Section, SectionText};
///
/// // BODY[2.1.HEADER.FIELDS (From "X y")]
/// let section = Section {
///     path: vec![2, 1],
///     text: SectionText::HeaderFields { names: vec!["From".into(), "X y".into()], not: false },
/// };
/// assert_eq!(section.to_string(), "2.1.HEADER.FIELDS (From \"X y\")");
/// assert_eq!(Section::default().to_string(), "");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Section {
    /// Part numbers from the outside in, each at least 1; empty for the message itself.
    pub path: Vec<u32>,
    /// What of that part.
    pub text: SectionText,
}

/// What of a part is meant (`section-text` in RFC 9051 §9).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SectionText {
    /// Everything: of the message its header and text, of a part its body without the MIME header.
    #[default]
    Full,
    /// `HEADER`: the header of the message, or of the message in a message/rfc822 part, with its empty line.
    Header,
    /// `HEADER.FIELDS (..)` or `HEADER.FIELDS.NOT (..)`: some of the fields, then an empty line.
    HeaderFields {
        /// The names, compared without case.
        names: Vec<String>,
        /// Whether the named fields are left out (`.NOT`) instead of taken.
        not: bool,
    },
    /// `TEXT`: the body of the message, or of the message in a message/rfc822 part.
    Text,
    /// `MIME`: the MIME header of a part with its empty line. Needs a part number.
    Mime,
}

impl fmt::Display for Section {
    /// As IMAP spells it, without the brackets. Names that are neither atom nor plain quoted string become literals, so
    /// that a name with a line end in it cannot end the response that repeats it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, number) in self.path.iter().enumerate() {
            write!(f, "{}{number}", if index == 0 { "" } else { "." })?;
        }
        if !self.path.is_empty() && self.text != SectionText::Full {
            f.write_str(".")?;
        }
        match &self.text {
            SectionText::Full => Ok(()),
            SectionText::Header => f.write_str("HEADER"),
            SectionText::Text => f.write_str("TEXT"),
            SectionText::Mime => f.write_str("MIME"),
            SectionText::HeaderFields { names, not } => {
                f.write_str(if *not { "HEADER.FIELDS.NOT (" } else { "HEADER.FIELDS (" })?;
                for (index, name) in names.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { " " })?;
                    write_astring(name, f)?;
                }
                f.write_str(")")
            }
        }
    }
}

fn write_astring(name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // RFC 9051 §9: atom-specials, of which `]` may stand in an astring.
    let atom = |b: u8| b.is_ascii_graphic() && !b"(){%*\"\\".contains(&b);
    if !name.is_empty() && name.bytes().all(atom) {
        f.write_str(name)
    } else if name.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        f.write_str("\"")?;
        for c in name.chars() {
            write!(f, "{}{c}", if matches!(c, '"' | '\\') { "\\" } else { "" })?;
        }
        f.write_str("\"")
    } else {
        write!(f, "{{{}}}\r\n{name}", name.len())
    }
}
