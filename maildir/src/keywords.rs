//! `dovecot-keywords`: which keyword each letter in a file name stands for.

use crate::Flags;

/// The keywords of a mailbox: up to 26, each with its letter.
///
/// ```
/// use pillarbox_maildir::Keywords;
///
/// let keywords = Keywords::default();
/// assert_eq!(keywords.name(0), None);
/// assert_eq!(keywords.find("$Junk"), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keywords([Option<String>; 26]);

/// What a keyword may be long; IMAP sets no limit and Dovecot's is 50.
const LEN_MAX: usize = 255;

impl Keywords {
    /// How many letters there are.
    pub(crate) const LETTERS: usize = 26;

    /// The keyword with this number; 0 is letter `a`.
    pub fn name(&self, number: u8) -> Option<&str> {
        self.0.get(usize::from(number))?.as_deref()
    }

    /// The number of a keyword. Keywords do not differ by case (RFC 9051 §2.3.2).
    pub fn find(&self, name: &str) -> Option<u8> {
        let same = |known: &Option<String>| known.as_ref().is_some_and(|known| known.eq_ignore_ascii_case(name));
        self.0.iter().position(same).map(|n| n as u8)
    }

    /// The letters that stand for something else there.
    pub(crate) fn differing(&self, other: &Keywords) -> Flags {
        let differ = |number: &u8| self.name(*number) != other.name(*number);
        (0..26).filter(differ).filter_map(Flags::keyword).fold(Flags::NONE, |all, flag| all | flag)
    }

    /// Numbers and names, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &str)> {
        self.0.iter().zip(0u8..).filter_map(|(name, number)| Some((number, name.as_deref()?)))
    }

    /// The number of a keyword, a new one if need be; `None` if all letters are taken or the name is none.
    pub(crate) fn find_or_add(&mut self, name: &str) -> Option<u8> {
        if let Some(number) = self.find(name) {
            return Some(number);
        }
        if !is_keyword(name) {
            return None;
        }
        let free = self.0.iter().position(Option::is_none)?;
        self.0[free] = Some(name.to_owned());
        Some(free as u8)
    }

    /// Gives a number a name; false if it has one, or the name is none or has a number.
    pub(crate) fn give(&mut self, number: u8, name: &str) -> bool {
        let free = self.name(number).is_none() && self.find(name).is_none() && is_keyword(name);
        if let Some(place) = self.0.get_mut(usize::from(number)).filter(|_| free) {
            *place = Some(name.to_owned());
            return true;
        }
        false
    }

    /// Lines that are none are passed over: the worst that can come of it is a keyword without a name.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut keywords = Keywords::default();
        for line in String::from_utf8_lossy(bytes).lines() {
            let Some((number, name)) = line.split_once(' ') else { continue };
            if let Ok(number @ 0..=25) = number.parse::<usize>()
                && is_keyword(name)
                && keywords.0[number].is_none()
                && keywords.find(name).is_none()
            {
                keywords.0[number] = Some(name.to_owned());
            }
        }
        keywords
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        self.iter().flat_map(|(number, name)| format!("{number} {name}\n").into_bytes()).collect()
    }
}

/// An atom, which is what goes into a FLAGS response without harm (RFC 9051 §9, flag-keyword).
fn is_keyword(name: &str) -> bool {
    let atom = |octet: u8| {
        octet.is_ascii_graphic() && !matches!(octet, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
    };
    !name.is_empty() && name.len() <= LEN_MAX && name.bytes().all(atom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_found_given_and_written() {
        let mut keywords = Keywords::parse(b"0 $Forwarded\n2 work\nx y\n99 z\n2 again\n3 WORK\n4 b(d\n5\n");
        assert_eq!(keywords.iter().collect::<Vec<_>>(), [(0, "$Forwarded"), (2, "work")]);
        assert_eq!(keywords.find("$forwarded"), Some(0));
        assert_eq!(keywords.find_or_add("Work"), Some(2));
        assert_eq!(keywords.find_or_add("new"), Some(1));
        assert_eq!(keywords.find_or_add("a b"), None);
        assert_eq!(keywords.find_or_add("a\r\nb"), None);
        assert_eq!(keywords.encode(), b"0 $Forwarded\n1 new\n2 work\n");
        for n in 3..26 {
            assert_eq!(keywords.find_or_add(&format!("k{n}")), Some(n));
        }
        assert_eq!(keywords.find_or_add("one-more"), None);
        assert_eq!(Keywords::parse(&keywords.encode()), keywords);
    }
}
