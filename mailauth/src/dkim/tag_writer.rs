//! Writes a field that is a list of tags, folded.

use alloc::string::{String, ToString as _};
use core::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pillarbox_core::header::{Field, Fields};

/// Columns of a line (RFC 5322 §2.1.1), the line end not counted.
const LINE_MAX: usize = 78;
/// RFC 6376 §3.2: white space may stand around a value, and inside of most.
const FOLD: &str = "\r\n\t";

/// A field that is being written. Its last tag is `b=`, which is completed at the end.
#[derive(Debug)]
pub(crate) struct TagWriter {
    text: String,
    column: usize,
}

impl TagWriter {
    pub(crate) fn new(name: &str) -> Self {
        let text = alloc::format!("{name}:");
        TagWriter { column: text.len(), text }
    }

    /// A tag whose value has no place to fold.
    pub(crate) fn tag(&mut self, name: &str, value: impl fmt::Display) {
        self.word(" ", &alloc::format!("{name}={value};"));
    }

    /// A tag whose value is a list with colons, to be folded behind each.
    pub(crate) fn list(&mut self, name: &str, value: &str) {
        let value = alloc::format!("{name}={value};");
        let mut space = " ";
        for word in value.split_inclusive(':') {
            self.word(space, word);
            space = "";
        }
    }

    /// A tag of octets, to be folded anywhere. With none its value is left open: nothing stands behind the `=`.
    pub(crate) fn base64(&mut self, name: &str, value: &[u8]) {
        if value.is_empty() {
            self.word(" ", &alloc::format!("{name}="));
        } else {
            self.word(" ", &alloc::format!("{name}={};", BASE64_STANDARD.encode(value)));
        }
    }

    /// Shows the field as it is now.
    pub(crate) fn with_field(&self, show: impl FnOnce(&Field<'_>)) {
        let text = self.text.to_string() + "\r\n";
        show(&Fields::new(text.as_bytes()).next().expect("a name stands before a colon"));
    }

    /// The field with the value of its last tag and its line end.
    pub(crate) fn complete(mut self, signature: &[u8]) -> String {
        let value = BASE64_STANDARD.encode(signature);
        let mut rest = &value[..];
        while !rest.is_empty() {
            let room = LINE_MAX.saturating_sub(self.column).max(1).min(rest.len());
            let (line, behind) = rest.split_at(room);
            self.text.push_str(line);
            self.column += room;
            rest = behind;
            if !rest.is_empty() {
                self.fold();
            }
        }
        self.text.push_str("\r\n");
        self.text
    }

    fn word(&mut self, space: &str, word: &str) {
        if self.column + space.len() + word.len() > LINE_MAX && self.column > 1 {
            self.fold();
        } else {
            self.text.push_str(space);
            self.column += space.len();
        }
        self.text.push_str(word);
        self.column += word.len();
    }

    fn fold(&mut self) {
        self.text.push_str(FOLD);
        self.column = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn lines_are_as_long_as_they_may_be() {
        let mut field = TagWriter::new("DKIM-Signature");
        field.tag("d", "x".repeat(70));
        field.list("h", &["abcdefghi"; 20].join(":"));
        field.base64("b", b"");
        let text = field.complete(&[7; 512]);
        let lines = text.strip_suffix("\r\n").unwrap().split("\r\n").collect::<Vec<_>>();
        assert!(lines.iter().all(|line| line.len() <= LINE_MAX), "{text}");
        assert!(lines[1..].iter().all(|line| line.starts_with('\t') && line.trim().len() > 1), "{text}");
        assert_eq!(lines[0], "DKIM-Signature:");
        assert_eq!(text.matches("abcdefghi").count(), 20);
        // What nobody can fold stands on a line of its own.
        let mut field = TagWriter::new("A");
        field.tag("d", "x".repeat(200));
        field.tag("s", "y");
        field.base64("b", b"");
        assert_eq!(field.complete(b""), format!("A:\r\n\td={};\r\n\ts=y; b=\r\n", "x".repeat(200)));
    }
}
