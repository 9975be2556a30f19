//! The beginning of what a message says (PREVIEW, RFC 8970).

use alloc::string::String;
use alloc::vec::Vec;

use super::html::HtmlText;
use super::{ContentType, Decoder, Encoding, Limits, Part, PartKind, Structure, charset};

/// RFC 8970 §3.3: so many characters.
const CHARACTERS_MAX: usize = 200;

/// So many octets of a part are looked at. Style sheets in front of the text of HTML come to a hundred thousand.
const LOOKED_AT_MAX: usize = 256 << 10;

/// Octets that are decoded at a time.
const PIECE: usize = 4096;

/// The beginning of a message's text, at most 200 characters in one line; empty if it has none to be shown, such as one that is
/// encrypted.
///
/// It is that of the first part that is text, and no attachment: of several forms of the same the plain one, unless it is blank.
/// Lines that quote another message are left out where there are others. Of a part 256 KiB are looked at.
///
/// ```
/// use pillarbox_imap::message::{Limits, Structure, preview};
///
/// let raw = b"Content-Type: text/html; charset=utf-8\r\n\r\n<style>p {}</style><p>Hello,</p>\r\n<p>it's caf&eacute; time";
/// let limits = Limits::default();
/// assert_eq!(preview(&Structure::parse(raw, &limits), raw, &limits), "Hello, it's café time");
/// ```
pub fn preview(structure: &Structure, raw: &[u8], limits: &Limits) -> String {
    let mut forms = Vec::new();
    find_forms(structure, raw, limits, 0, &mut forms);
    forms.sort_by_key(|form| !form.is_plain);
    let texts = forms.iter().filter_map(|form| {
        let part = structure.parts().get(form.index)?;
        Some(text_of(part, &part.content_type(raw, limits), raw))
    });
    // A plain form that is blank is none.
    texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
}

/// A form of the text that is shown.
struct Form {
    index: usize,
    is_plain: bool,
}

/// Finds the forms of the text that is shown, in their order. Structures are at most 200 deep.
fn find_forms(structure: &Structure, raw: &[u8], limits: &Limits, index: usize, forms: &mut Vec<Form>) {
    let Some(part) = structure.parts().get(index) else { return };
    let content_type = part.content_type(raw, limits);
    match part.kind() {
        PartKind::Text if is_attached(part, raw) => {}
        PartKind::Text => forms.push(Form { index, is_plain: !content_type.is("text", "html") }),
        // Both of its parts are for programs.
        PartKind::Multipart if !content_type.is("multipart", "encrypted") => {
            let (before, is_alternative) = (forms.len(), content_type.is("multipart", "alternative"));
            for child in structure.children(index) {
                find_forms(structure, raw, limits, child, forms);
                if !is_alternative && forms.len() > before {
                    break;
                }
            }
        }
        _ => {}
    }
}

fn is_attached(part: &Part, raw: &[u8]) -> bool {
    let mut fields = pillarbox_core::header::Fields::new(raw.get(part.header()).unwrap_or_default());
    fields.find(|field| field.name_is("content-disposition")).is_some_and(|field| {
        let value = field.value.trim_ascii_start();
        value.get(..10).is_some_and(|word| word.eq_ignore_ascii_case(b"attachment"))
    })
}

fn text_of(part: &Part, content_type: &ContentType, raw: &[u8]) -> String {
    let body = raw.get(part.body()).unwrap_or_default();
    let body = &body[..body.len().min(LOOKED_AT_MAX)];
    let encoding = part.encoding(raw);
    if encoding == Encoding::Unknown {
        return String::new();
    }
    let mut transfer = Decoder::new(encoding);
    let mut characters = charset(content_type.parameter("charset")).new_decoder();
    let mut collected = Collected::default();
    let mut html = content_type.is("text", "html").then(HtmlText::new);
    let (mut octets, mut text) = (Vec::new(), String::new());
    let mut pieces = body.chunks(PIECE).peekable();
    while let Some(piece) = pieces.next() {
        octets.clear();
        text.clear();
        transfer.decode(piece, &mut octets);
        let last = pieces.peek().is_none();
        if last {
            transfer.finish(&mut octets);
        }
        text.reserve(characters.max_utf8_buffer_length(octets.len()).unwrap_or(0));
        // There is room for all of it.
        let _ = characters.decode_to_string(&octets, &mut text, last);
        match &mut html {
            Some(html) => html.read(&text, |c| collected.push(c)),
            None => {
                let _ = text.chars().all(|c| collected.push_of_lines(c));
            }
        }
        if collected.is_full() {
            break;
        }
    }
    collected.finish()
}

/// Characters of a preview: spaces drawn together, and nothing that is not to be seen.
#[derive(Default)]
struct Collected {
    text: String,
    count: usize,
    /// What others said, which is shown if nothing else is there.
    quoted: String,
    quoted_count: usize,
    /// The line that is read: it has begun, and it quotes.
    in_line: bool,
    in_quote: bool,
}

impl Collected {
    fn is_full(&self) -> bool {
        self.count >= CHARACTERS_MAX
    }

    /// Adds a character of running text; false once there are enough.
    fn push(&mut self, c: char) -> bool {
        add(&mut self.text, &mut self.count, c);
        !self.is_full()
    }

    /// The same for text in lines, of which those that begin with `>` are quotations.
    fn push_of_lines(&mut self, c: char) -> bool {
        if !self.in_line && !c.is_whitespace() {
            (self.in_line, self.in_quote) = (true, c == '>');
        }
        match self.in_quote {
            true if c != '>' => add(&mut self.quoted, &mut self.quoted_count, c),
            true => {}
            false => add(&mut self.text, &mut self.count, c),
        }
        if c == '\n' {
            (self.in_line, self.in_quote) = (false, false);
        }
        !self.is_full()
    }

    fn finish(mut self) -> String {
        let text = if self.text.is_empty() { &mut self.quoted } else { &mut self.text };
        text.truncate(text.trim_end().len());
        // Armour of OpenPGP says nothing to people.
        if text.starts_with("-----BEGIN PGP MESSAGE") { String::new() } else { core::mem::take(text) }
    }
}

fn add(text: &mut String, count: &mut usize, c: char) {
    let space = c.is_whitespace();
    // Soft hyphens, and what is not to be seen or turns the direction of writing.
    let unseen = matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if *count >= CHARACTERS_MAX
        || unseen
        || (c.is_control() && !space)
        || (space && (text.is_empty() || text.ends_with(' ')))
    {
        return;
    }
    text.push(if space { ' ' } else { c });
    *count += 1;
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    fn of(raw: &str) -> String {
        let limits = Limits::default();
        preview(&Structure::parse(raw.as_bytes(), &limits), raw.as_bytes(), &limits)
    }

    #[test]
    fn plain_text() {
        assert_eq!(of("Subject: x\r\n\r\n  Hello,\r\n\r\nworld\t!\0\x07 \u{200b}\r\n"), "Hello, world !");
        assert_eq!(of("\r\n> said before\r\n\r\nand now\r\n> again\r\n"), "and now");
        assert_eq!(of("\r\n> only\r\n>> this\r\n"), "only this");
        assert_eq!(
            of(
                "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=E9 =\r\nau lait"
            ),
            "café au lait"
        );
        assert_eq!(of("Content-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n"), "hello");
        for none in [
            "",
            "\r\n",
            "Subject: x\r\n\r\n \r\n\t\r\n",
            "Content-Type: image/png\r\n\r\nx",
            "Content-Transfer-Encoding: x-own\r\n\r\nx",
            "Content-Type: text/calendar\r\nContent-Disposition: attachment\r\n\r\nBEGIN",
            "\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nhQEM\r\n",
        ] {
            assert_eq!(of(none), "", "{none:?}");
        }
    }

    #[test]
    fn the_part_that_is_shown() {
        let parts = |kind: &str, parts: &[(&str, &str)]| {
            let parts: String =
                parts.iter().map(|(header, text)| format!("--b\r\nContent-Type: {header}\r\n\r\n{text}\r\n")).collect();
            format!("Content-Type: multipart/{kind}; boundary=b\r\n\r\npreamble\r\n{parts}--b--\r\n")
        };
        let (html, plain, image) = (("text/html", "<p>html"), ("text/plain", "plain"), ("image/png", "x"));
        assert_eq!(of(&parts("alternative", &[html, plain])), "plain");
        assert_eq!(of(&parts("alternative", &[html])), "html");
        // Programs that write HTML only put an empty text beside it.
        let (blank, shows_nothing) = (("text/plain", " \r\n\t"), ("text/html", "<style>p {}</style>"));
        assert_eq!(of(&parts("alternative", &[blank, html])), "html");
        assert_eq!(of(&parts("alternative", &[html, blank])), "html");
        assert_eq!(of(&parts("alternative", &[blank, shows_nothing, html])), "html");
        assert_eq!(of(&parts("alternative", &[blank, html, plain])), "plain");
        assert_eq!(of(&parts("alternative", &[blank, shows_nothing])), "");
        let related = "--c\r\nContent-Type: text/html\r\n\r\n<p>html\r\n--c--";
        assert_eq!(of(&parts("alternative", &[blank, ("multipart/related; boundary=c", related)])), "html");
        assert_eq!(of(&parts("mixed", &[blank, html])), "", "what stands behind it is something else");
        assert_eq!(of(&parts("mixed", &[image, html, plain])), "html");
        assert_eq!(
            of(&parts("mixed", &[("text/plain\r\nContent-Disposition: ATTACHMENT; filename=x", "no"), plain])),
            "plain"
        );
        assert_eq!(of(&parts("mixed", &[image])), "");
        assert_eq!(of(&parts("encrypted", &[("application/pgp-encrypted", "Version: 1"), plain])), "");
        assert_eq!(of(&parts("mixed", &[("message/rfc822", "\r\nforwarded"), plain])), "plain");
    }

    #[test]
    fn limits() {
        assert_eq!(of(&format!("\r\n{}", "ä".repeat(1000))).chars().count(), CHARACTERS_MAX);
        assert_eq!(of(&format!("\r\n{}", "x ".repeat(1000))).len(), CHARACTERS_MAX - 1, "no space at its end");
        let far = |octets: usize| format!("Content-Type: text/html\r\n\r\n<style>{}</style>text", "x".repeat(octets));
        assert_eq!(of(&far(200_000)), "text");
        assert_eq!(of(&far(LOOKED_AT_MAX)), "");
    }
}
