//! Writing the field.

use alloc::string::String;
use core::fmt::{self, Write};

use pillarbox_core::address::{Domain, LocalPart};

use super::{AuthenticationResults, MethodResult, Text};

/// RFC 5322 §2.1.1: lines should not be longer than this.
const WIDTH: usize = 78;
/// RFC 5322 §2.1.1: and must not be longer than this.
const WIDTH_MAX: usize = 998;

impl AuthenticationResults {
    /// The whole field with its line end, folded at 78 octets where its values have a place for that.
    pub fn to_field(&self) -> String {
        const NAME: &str = "Authentication-Results:";
        let mut field = String::with_capacity(256);
        field.push_str(NAME);
        let mut field = self.render(field, NAME.len(), WIDTH);
        field.push_str("\r\n");
        field
    }

    /// What stands behind the name of the field, from the space on and without the line end (`authres-payload`), for other
    /// fields that hold the same. `column` is how many octets stand on the line before it.
    pub fn to_payload(&self, column: usize) -> String {
        self.render(String::new(), column, WIDTH)
    }

    /// Adds the payload to `out`.
    fn render(&self, out: String, column: usize, width: usize) -> String {
        let mut line = Folder { out, word: String::with_capacity(64), column, width };
        line.word(&format_args!("{};", Quoted(&self.authserv_id)));
        if self.results.is_empty() {
            line.word(&"none");
        }
        for (index, result) in self.results.iter().enumerate() {
            line.next_result();
            write_result(&mut line, result);
            if index + 1 < self.results.len() {
                line.out.push(';');
            }
        }
        line.out
    }
}

impl fmt::Display for AuthenticationResults {
    /// The value of the field on one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(String::new(), 0, usize::MAX).trim_start())
    }
}

fn write_result(line: &mut Folder, result: &MethodResult) {
    match result.version {
        Some(version) => line.word(&format_args!("{}/{version}={}", result.method, result.result)),
        None => line.word(&format_args!("{}={}", result.method, result.result)),
    }
    if let Some(comment) = &result.comment {
        line.word(&Comment(comment));
    }
    if let Some(reason) = &result.reason {
        line.word(&format_args!("reason={}", Quoted(reason)));
    }
    for property in &result.properties {
        line.pair(&format_args!("{}.{}=", property.kind, property.name), &PropertyValue(&property.value));
    }
}

/// Puts words on lines.
struct Folder {
    out: String,
    /// The word that is being put on a line: its length must be known first.
    word: String,
    /// Octets on the line.
    column: usize,
    width: usize,
}

impl Folder {
    /// Begins the line of a result.
    fn next_result(&mut self) {
        if self.width < usize::MAX {
            self.out.push_str("\r\n\t");
            self.column = 1;
        }
    }

    /// Adds a word, after a space unless it begins the line.
    fn word(&mut self, word: &dyn fmt::Display) {
        self.write_word(word);
        self.place_word();
    }

    /// Writes a word down, to be placed.
    fn write_word(&mut self, word: &dyn fmt::Display) {
        self.word.clear();
        // Writing to a String cannot fail.
        let _ = write!(self.word, "{word}");
    }

    /// Places the word that was written down.
    fn place_word(&mut self) {
        let word = core::mem::take(&mut self.word);
        self.place(&word);
        self.word = word;
    }

    fn place(&mut self, word: &str) {
        // One octet is left for a `;`.
        let fits = |column: usize, piece: &str| column.saturating_add(piece.len()) < self.width;
        if !self.out.ends_with('\t') {
            let (gap, column) = if fits(self.column + 1, word) { (" ", self.column + 1) } else { ("\r\n\t ", 2) };
            self.out.push_str(gap);
            self.column = column;
        }
        if fits(self.column, word) {
            self.column += word.len();
            return self.out.push_str(word);
        }
        // It is too long for any line: it may go on behind a space in its quotes or parentheses, and the space stays what it
        // is. A space beside another is no such place, as no line shall end in one or consist of them.
        let mut start = 0;
        for (at, _) in word.match_indices(' ').filter(|(at, _)| is_alone(word, *at)) {
            self.piece(&word[start..at]);
            start = at;
        }
        self.piece(&word[start..]);
    }

    /// Adds a part of a word, on a line of its own if it begins with a space and does not fit on this one.
    fn piece(&mut self, piece: &str) {
        if piece.starts_with(' ') && self.column.saturating_add(piece.len()) >= self.width {
            self.out.push_str("\r\n");
            self.column = 0;
        }
        self.out.push_str(piece);
        self.column += piece.len();
    }

    /// Adds a name that ends in `=`, and its value, in one word if a line has room for that.
    fn pair(&mut self, name: &dyn fmt::Display, value: &dyn fmt::Display) {
        self.write_word(&format_args!("{name}{value}"));
        if self.word.len() + 4 <= WIDTH_MAX {
            return self.place_word();
        }
        self.word(name);
        self.word(value);
    }
}

fn is_alone(word: &str, at: usize) -> bool {
    let octets = word.as_bytes();
    at > 0 && octets[at - 1] != b' ' && octets.get(at + 1).is_some_and(|next| *next != b' ')
}

/// A text as `value` of RFC 2045 §5.1: a token, or a quoted string.
struct Quoted<'a>(&'a Text);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_token(self.0.as_str()) {
            return f.write_str(self.0.as_str());
        }
        f.write_char('"')?;
        escape(f, self.0.as_str(), |c| matches!(c, '"' | '\\'))?;
        f.write_char('"')
    }
}

/// A text as `pvalue`: a mailbox stands without quotes around it (RFC 8601 §2.2).
struct PropertyValue<'a>(&'a Text);

impl fmt::Display for PropertyValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.as_str();
        // Most values are tokens, which is seen sooner.
        if is_token(text) || is_identity(text) { f.write_str(text) } else { Quoted(self.0).fmt(f) }
    }
}

/// A text as a comment (RFC 5322 §3.2.2).
struct Comment<'a>(&'a Text);

impl fmt::Display for Comment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('(')?;
        escape(f, self.0.as_str(), |c| matches!(c, '(' | ')' | '\\'))?;
        f.write_char(')')
    }
}

fn escape(f: &mut fmt::Formatter<'_>, text: &str, special: impl Fn(char) -> bool) -> fmt::Result {
    let mut written = 0;
    for (at, _) in text.match_indices(special) {
        f.write_str(&text[written..at])?;
        f.write_char('\\')?;
        written = at;
    }
    f.write_str(&text[written..])
}

/// RFC 2045 §5.1
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| TOKEN_OCTETS[usize::from(octet)])
}

static TOKEN_OCTETS: [bool; 256] = {
    let mut octets = [false; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        octets[octet as usize] = octet.is_ascii_graphic();
        octet += 1;
    }
    let special = b"()<>@,;:\\\"/[]?=";
    let mut at = 0;
    while at < special.len() {
        octets[special[at] as usize] = false;
        at += 1;
    }
    octets
};

/// `[[local-part] "@"] domain-name` with the domain of RFC 6376 §3.5: two labels or more.
fn is_identity(text: &str) -> bool {
    // No domain holds an `@`.
    let (local, domain) = text.rsplit_once('@').map_or((None, text), |(local, domain)| (Some(local), domain));
    let is_domain_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.') || !c.is_ascii();
    let is_domain = domain.contains('.') && domain.chars().all(is_domain_char) && Domain::parse_utf8(domain).is_ok();
    is_domain && local.is_none_or(|local| local.is_empty() || LocalPart::parse_utf8(local).is_ok())
}

#[cfg(test)]
mod tests {
    use super::super::{Keyword, Property};
    use super::*;
    use alloc::string::ToString;

    fn written(value: &str) -> String {
        PropertyValue(&Text::new(value)).to_string()
    }

    #[test]
    fn quotes_where_the_grammar_asks_for_it() {
        for bare in [
            "example.org",
            "joe@example.org",
            "@example.org",
            "SRS0=ab=cd=example.org=joe@example.net",
            r#""joe doe"@example.org"#,
            "用户@例子.example",
            "abc+def",
        ] {
            assert_eq!(written(bare), bare);
        }
        for (value, quoted) in [
            ("", r#""""#),
            ("legit.example(.attacker", r#""legit.example(.attacker""#),
            ("a; spf=pass", r#""a; spf=pass""#),
            (r#"a" b\"#, r#""a\" b\\""#),
            ("2001:db8::1", r#""2001:db8::1""#),
            ("joe@[192.0.2.1]", r#""joe@[192.0.2.1]""#),
            ("joe@host", r#""joe@host""#),
            ("a b@example.org", r#""a b@example.org""#),
            ("a\r\n b", r#""a?? b""#),
            ("a/b=", r#""a/b=""#),
            (r#""open@example.org"#, r#""\"open@example.org""#),
        ] {
            assert_eq!(written(value), quoted);
        }
        assert_eq!(Comment(&Text::new(r"a (b) \c")).to_string(), r"(a \(b\) \\c)");
    }

    #[test]
    fn one_line_and_none() {
        let none = AuthenticationResults::new("mx.example.org");
        assert_eq!(none.to_field(), "Authentication-Results: mx.example.org; none\r\n");
        let results = none
            .with(MethodResult::new(Keyword::SPF, Keyword::fixed("none")).comment("no record"))
            .with(MethodResult::new(Keyword::ARC, Keyword::fixed("pass")).with(Property::smtp(Keyword::HELO, "a b")));
        assert_eq!(results.to_string(), r#"mx.example.org; spf=none (no record); arc=pass smtp.helo="a b""#);
    }

    #[test]
    fn long_texts_fold_at_their_spaces_and_nowhere_else() {
        let words = "words and more ".repeat(20);
        let spaces = " ".repeat(490);
        let solid = "\"".repeat(490);
        for text in [words.trim_end(), &words, &spaces, &solid, &"a  ".repeat(100)] {
            let results = AuthenticationResults::new("a").with(
                MethodResult::new(Keyword::SPF, Keyword::fixed("pass"))
                    .comment(text)
                    .reason(text)
                    .with(Property::header(Keyword::fixed("property"), text)),
            );
            let field = results.to_field();
            for line in field.trim_end_matches("\r\n").split("\r\n") {
                assert!(line.len() <= 998, "{} octets: {line:?}", line.len());
                assert!(!line.trim().is_empty() && !line.ends_with(' '), "{line:?} of {field:?}");
                assert!(line.len() <= 78 || !line.contains("words"), "{} octets: {line:?}", line.len());
            }
            let value = field.split_once(':').unwrap().1;
            assert_eq!(AuthenticationResults::parse(value.as_bytes()).as_ref(), Ok(&results));
        }
    }
}
