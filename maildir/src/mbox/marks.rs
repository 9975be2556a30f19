//! The fields that say in an mbox what a Maildir says in the names of files.

use crate::Flags;

/// The flags and keywords of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The flags; of these an mbox has seen, answered, flagged, deleted and draft.
    pub flags: Flags,
    /// The keywords, none twice.
    pub keywords: Vec<String>,
}

/// A field that is not the message's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Status,
    XStatus,
    XKeywords,
    /// Numbers, which are given anew.
    Numbers,
    /// In UW-imapd's note to itself.
    Internal,
    ContentLength,
    Export,
}

const FIELDS: [(&str, Field); 8] = [
    ("Status", Field::Status),
    ("X-Status", Field::XStatus),
    ("X-Keywords", Field::XKeywords),
    ("X-UID", Field::Numbers),
    ("X-IMAPbase", Field::Numbers),
    ("X-IMAP", Field::Internal),
    ("Content-Length", Field::ContentLength),
    ("X-Pillarbox-Export", Field::Export),
];

/// So much of a line is enough to know its name.
pub(super) const NAME_MAX: usize = 64;

/// What stands at the beginning of a line in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// One of those that are not the message's; where its value begins.
    Ours(Field, usize),
    /// A field of the message's, or what cannot be told from one in so many octets.
    Field,
    /// More of the field before.
    Folded,
    /// No field: the body begins.
    Text,
}

impl Start {
    /// `line` may be cut behind [`NAME_MAX`] octets.
    pub(super) fn of(line: &[u8]) -> Start {
        match line.first() {
            Some(b' ' | b'\t') => return Start::Folded,
            // Some programs put the From_ line of an earlier delivery there.
            Some(b'>') if line.starts_with(b">From ") => return Start::Field,
            _ => {}
        }
        let name_end = line.iter().position(|octet| !octet.is_ascii_graphic() || *octet == b':').unwrap_or(line.len());
        let blank_end = line[name_end..].iter().position(|octet| !matches!(octet, b' ' | b'\t'));
        let colon = blank_end.map(|blanks| name_end + blanks);
        match colon {
            // RFC 5322 §4.5: blanks may stand before the colon.
            Some(colon) if line[colon] == b':' && name_end > 0 => {
                let ours = FIELDS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(&line[..name_end]));
                ours.map_or(Start::Field, |(_, field)| Start::Ours(*field, colon + 1))
            }
            None if name_end > 0 && line.len() >= NAME_MAX => Start::Field,
            _ => Start::Text,
        }
    }
}

/// In `X-Status`, and the first in `Status`.
const LETTERS: [(u8, Flags); 4] =
    [(b'A', Flags::ANSWERED), (b'F', Flags::FLAGGED), (b'D', Flags::DELETED), (b'T', Flags::DRAFT)];
/// More words than any mailbox has letters for.
const KEYWORDS_MAX: usize = 100;

impl Marks {
    /// Takes in the value of a field.
    pub(super) fn take(&mut self, field: Field, value: &[u8]) {
        match field {
            Field::Status if value.contains(&b'R') => self.flags |= Flags::SEEN,
            Field::XStatus => {
                let set = LETTERS.iter().filter(|(letter, _)| value.contains(letter));
                set.for_each(|(_, flag)| self.flags |= *flag);
            }
            Field::XKeywords => {
                for word in value.split(|octet| octet.is_ascii_whitespace() || *octet == b',') {
                    let Ok(word) = std::str::from_utf8(word) else { continue };
                    let known = self.keywords.iter().any(|known| known.eq_ignore_ascii_case(word));
                    if !word.is_empty() && !known && self.keywords.len() < KEYWORDS_MAX {
                        self.keywords.push(word.to_owned());
                    }
                }
            }
            _ => {}
        }
    }

    /// The fields as they are written.
    pub(super) fn encode(&self) -> String {
        // O: a client has seen that it is there.
        let mut out = format!("Status: {}O\n", if self.flags.contains(Flags::SEEN) { "R" } else { "" });
        let letters = LETTERS.iter().filter(|(_, flag)| self.flags.contains(*flag));
        let letters: String = letters.map(|(letter, _)| char::from(*letter)).collect();
        if !letters.is_empty() {
            out.push_str(&format!("X-Status: {letters}\n"));
        }
        if !self.keywords.is_empty() {
            out.push_str(&format!("X-Keywords: {}\n", self.keywords.join(" ")));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_lines_begin() {
        for (line, start) in [
            ("Status: RO", Start::Ours(Field::Status, 7)),
            ("x-status : A", Start::Ours(Field::XStatus, 10)),
            ("Statusx: RO", Start::Field),
            ("Subject:", Start::Field),
            ("Subject", Start::Text),
            (" Status: RO", Start::Folded),
            (">From a", Start::Field),
            (">>From a", Start::Text),
            (": x", Start::Text),
            ("a b: c", Start::Text),
            ("", Start::Text),
        ] {
            assert_eq!(Start::of(line.as_bytes()), start, "{line}");
        }
        assert_eq!(Start::of(&[b'a'; NAME_MAX]), Start::Field);
    }

    #[test]
    fn fields_both_ways() {
        let mut marks = Marks::default();
        marks.take(Field::Status, b" RO");
        marks.take(Field::XStatus, b" AFTD");
        marks.take(Field::XKeywords, b" $NotJunk,$Forwarded  work WORK \xff");
        let all = Flags::SEEN | Flags::ANSWERED | Flags::FLAGGED | Flags::DRAFT | Flags::DELETED;
        assert_eq!(
            (marks.flags, &marks.keywords[..]),
            (all, &["$NotJunk", "$Forwarded", "work"].map(String::from)[..])
        );
        assert_eq!(marks.encode(), "Status: RO\nX-Status: AFDT\nX-Keywords: $NotJunk $Forwarded work\n");
        assert_eq!(Marks::default().encode(), "Status: O\n");
    }
}
