//! Address fields, read tolerantly (RFC 5322 §3.4, §4.4).

use alloc::vec::Vec;

use super::lex::{Lexer, is_atext, unquote_comment};

/// One entry of an address field, as ENVELOPE lists them.
///
/// What is missing from a broken mailbox is told with the words that Dovecot uses there (`MISSING_MAILBOX`,
/// `MISSING_DOMAIN`, `SYNTAX_ERROR`): NIL in its place would mean a group (RFC 9051 §7.5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// A mailbox.
    Mailbox {
        /// The display name, or the comment that stands in for it; encoded words are not decoded.
        name: Option<Vec<u8>>,
        /// The source route of an obsolete address, `@a,@b`.
        route: Option<Vec<u8>>,
        /// The local part without quoting.
        mailbox: Vec<u8>,
        /// The domain, or a literal in brackets.
        host: Vec<u8>,
    },
    /// A group begins; its name.
    GroupStart(Vec<u8>),
    /// The group ends.
    GroupEnd,
}

/// Reads the value of an address field. Total: what is no address is skipped up to the next comma. At most `max` entries
/// are read (and the end of a group that is then open).
///
/// ```
/// use pillarbox_imap::message::{Address, addresses};
///
/// let list = addresses(b"Team: a@example.com (Ann), <@x:b@example.com>;", 100);
/// assert_eq!(list.len(), 4);
/// assert_eq!(list[0], Address::GroupStart(b"Team".to_vec()));
/// assert_eq!(
///     list[1],
///     Address::Mailbox { name: Some(b"Ann".to_vec()), route: None, mailbox: b"a".to_vec(), host: b"example.com".to_vec() }
/// );
/// ```
pub fn addresses(value: &[u8], max: usize) -> Vec<Address> {
    let mut reader = Reader { lexer: Lexer::new(value), list: Vec::new(), in_group: false };
    reader.lexer.skip_cfws();
    while reader.list.len() < max && reader.lexer.peek().is_some() {
        reader.entry();
    }
    if reader.in_group {
        reader.list.push(Address::GroupEnd);
    }
    reader.list
}

const MISSING_MAILBOX: &[u8] = b"MISSING_MAILBOX";
const MISSING_DOMAIN: &[u8] = b"MISSING_DOMAIN";
const SYNTAX_ERROR: &[u8] = b"SYNTAX_ERROR";

struct Reader<'b> {
    lexer: Lexer<'b>,
    list: Vec<Address>,
    in_group: bool,
}

/// Words before one of the characters that tell what they are.
#[derive(Default)]
struct Words {
    /// With one space between words.
    phrase: Vec<u8>,
    /// Without spaces, as in a local part.
    joined: Vec<u8>,
    /// Whether they are one word, or words with dots between, so that they can be a local part.
    is_local_part: bool,
    any: bool,
}

impl Reader<'_> {
    /// Reads one entry and what separates it from the next.
    fn entry(&mut self) {
        match self.lexer.peek() {
            Some(b',') => return self.separator(),
            Some(b';') => {
                self.lexer.bump();
                if core::mem::take(&mut self.in_group) {
                    self.list.push(Address::GroupEnd);
                }
                return self.lexer.skip_cfws();
            }
            _ => {}
        }
        self.lexer.take_comment();
        let words = self.words();
        match self.lexer.peek() {
            Some(b':') if words.any && !self.in_group => {
                self.lexer.bump();
                self.lexer.skip_cfws();
                self.list.push(Address::GroupStart(words.phrase));
                self.in_group = true;
                return;
            }
            Some(b'<') => self.angle_address(words),
            Some(b'@') if words.is_local_part => {
                self.lexer.bump();
                self.lexer.skip_cfws();
                let host = self.domain();
                let name = self.comment();
                self.mailbox(name, None, words.joined, host);
            }
            _ => match self.comment() {
                Some(name) => self.mailbox(Some(name), None, words.joined, Vec::new()),
                None if words.is_local_part => self.mailbox(None, None, words.joined, Vec::new()),
                None if words.any => self.mailbox(Some(words.phrase), None, Vec::new(), Vec::new()),
                // Not an address at all.
                None => {}
            },
        }
        self.skip_rest();
    }

    /// `<` [route] local-part `@` domain `>`
    fn angle_address(&mut self, words: Words) {
        self.lexer.bump();
        self.lexer.skip_cfws();
        let mut route = None;
        if self.lexer.peek() == Some(b'@') {
            route = Some(self.route());
        }
        let local = self.words();
        let mut host = Vec::new();
        if local.is_local_part && self.lexer.take(b'@') {
            self.lexer.skip_cfws();
            host = self.domain();
        }
        if !self.lexer.take(b'>') || (local.any && !local.is_local_part) {
            host = SYNTAX_ERROR.to_vec();
            self.lexer.run(|b| b != b'>' && b != b',');
            self.lexer.take(b'>');
        }
        let mailbox = if local.is_local_part { local.joined } else { local.phrase };
        let name = (!words.phrase.is_empty()).then_some(words.phrase);
        self.mailbox(name, route, mailbox, host);
        self.lexer.skip_cfws();
    }

    // RFC 5322 §4.4: obs-route.
    fn route(&mut self) -> Vec<u8> {
        let mut route = Vec::new();
        loop {
            match self.lexer.peek() {
                Some(b'@') => {
                    self.lexer.bump();
                    self.lexer.skip_cfws();
                    route.extend_from_slice(if route.is_empty() { b"@" } else { b",@" });
                    route.extend_from_slice(&self.domain());
                }
                Some(b',') => {
                    self.lexer.bump();
                    self.lexer.skip_cfws();
                }
                _ => {
                    self.lexer.take(b':');
                    self.lexer.skip_cfws();
                    return route;
                }
            }
        }
    }

    fn words(&mut self) -> Words {
        let mut words = Words::default();
        // Whether a dot stands between the last word and the next.
        let mut dotted = true;
        loop {
            let start = words.joined.len();
            let ends_with_dot = match self.lexer.peek() {
                Some(b'"') => {
                    self.lexer.quoted_string(&mut words.joined);
                    false
                }
                Some(b) if is_atext(b) || b == b'.' => {
                    let atom = self.lexer.run(|b| is_atext(b) || b == b'.');
                    words.joined.extend_from_slice(atom);
                    dotted |= b == b'.';
                    atom.ends_with(b".")
                }
                _ => return words,
            };
            words.is_local_part = dotted && (words.is_local_part || !words.any);
            dotted = ends_with_dot;
            if !words.phrase.is_empty() {
                words.phrase.push(b' ');
            }
            words.phrase.extend_from_slice(&words.joined[start..]);
            words.any = true;
            self.lexer.skip_cfws();
        }
    }

    /// A domain without its comments and spaces; empty if there is none.
    fn domain(&mut self) -> Vec<u8> {
        let mut domain = Vec::new();
        if self.lexer.peek() == Some(b'[') {
            domain.extend(self.lexer.run(|b| b != b']').iter().filter(|b| !b.is_ascii_whitespace()));
            if self.lexer.take(b']') {
                domain.push(b']');
            }
            self.lexer.skip_cfws();
            return domain;
        }
        loop {
            let label = self.lexer.run(is_atext);
            domain.extend_from_slice(label);
            self.lexer.skip_cfws();
            if label.is_empty() || !self.lexer.take(b'.') {
                return domain;
            }
            domain.push(b'.');
            self.lexer.skip_cfws();
        }
    }

    fn comment(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        unquote_comment(self.lexer.take_comment()?, &mut name);
        (!name.is_empty()).then_some(name)
    }

    fn mailbox(&mut self, name: Option<Vec<u8>>, route: Option<Vec<u8>>, mailbox: Vec<u8>, host: Vec<u8>) {
        let or = |value: Vec<u8>, missing: &[u8]| if value.is_empty() { missing.to_vec() } else { value };
        let (mailbox, host) = (or(mailbox, MISSING_MAILBOX), or(host, MISSING_DOMAIN));
        self.list.push(Address::Mailbox { name, route, mailbox, host });
    }

    fn separator(&mut self) {
        self.lexer.bump();
        self.lexer.skip_cfws();
    }

    /// Skips what follows an entry and is none of its business.
    fn skip_rest(&mut self) {
        loop {
            self.lexer.skip_cfws();
            match self.lexer.peek() {
                None | Some(b';') => return,
                Some(b',') => return self.separator(),
                Some(b'"') => self.lexer.quoted_string(&mut Vec::new()),
                Some(_) => self.lexer.bump(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    /// `name|route|mailbox|host`, `name:` and `;`, with commas between.
    fn written(value: &str) -> String {
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let or_dash = |octets: &Option<Vec<u8>>| octets.as_deref().map_or("-".into(), text);
        let list = addresses(value.as_bytes(), 100).into_iter().map(|address| match address {
            Address::Mailbox { name, route, mailbox, host } => {
                [or_dash(&name), or_dash(&route), text(&mailbox), text(&host)].join("|")
            }
            Address::GroupStart(name) => text(&name) + ":",
            Address::GroupEnd => ";".into(),
        });
        list.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn forms() {
        for (value, expected) in [
            ("", ""),
            (" , ,", ""),
            ("a@b", "-|-|a|b"),
            ("a@b (Ann \\(A\\))", "Ann (A)|-|a|b"),
            ("(not a name) a@b", "-|-|a|b"),
            ("Ann B. <a@b>, \"C \\\"D\\\"\" <c@d>", "Ann B.|-|a|b, C \"D\"|-|c|d"),
            ("\"\" <a@b>", "-|-|a|b"),
            ("\"a b\"@c", "-|-|a b|c"),
            ("a . b @ c . d", "-|-|a.b|c.d"),
            ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete|-|pete|silly.test"),
            ("<@x,@y:a@b>", "-|@x,@y|a|b"),
            ("<a@[192.0.2.1]>", "-|-|a|[192.0.2.1]"),
            ("Group: a@b, c@d;", "Group:, -|-|a|b, -|-|c|d, ;"),
            ("Undisclosed recipients:;", "Undisclosed recipients:, ;"),
            ("one: a@b; two: c@d", "one:, -|-|a|b, ;, two:, -|-|c|d, ;"),
            ("postmaster", "-|-|postmaster|MISSING_DOMAIN"),
            ("Mailer Daemon", "Mailer Daemon|-|MISSING_MAILBOX|MISSING_DOMAIN"),
            ("Mailer Daemon <>", "Mailer Daemon|-|MISSING_MAILBOX|MISSING_DOMAIN"),
            ("<two words@b>", "-|-|two words|SYNTAX_ERROR"),
            ("<a@b", "-|-|a|SYNTAX_ERROR"),
            ("a@b junk, c@d", "-|-|a|b, -|-|c|d"),
            ("\"never closed, a@b", "-|-|never closed, a@b|MISSING_DOMAIN"),
            ("a@b (never closed, c@d", "never closed, c@d|-|a|b"),
            ("a\\", "-|-|a|MISSING_DOMAIN"),
            ("folded\r\n name <a@b>,\r\n\tc@d", "folded name|-|a|b, -|-|c|d"),
        ] {
            assert_eq!(written(value), expected, "{value}");
        }
    }

    #[test]
    fn what_is_beyond_the_limit_is_left_out() {
        assert_eq!(addresses(b"a@b, c@d, e@f", 2).len(), 2);
        assert_eq!(addresses(b"g: a@b, c@d;", 2).last(), Some(&Address::GroupEnd));
    }
}
