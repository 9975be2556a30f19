//! Header fields.

use memchr::memchr;

/// One field of a header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'b> {
    pub(crate) name: &'b [u8],
    /// Behind the colon, with folds and the last line end.
    pub(crate) value: &'b [u8],
    /// The whole field with its line end.
    pub(crate) raw: &'b [u8],
}

impl Field<'_> {
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

pub(crate) fn fields(header: &[u8]) -> impl Iterator<Item = Field<'_>> {
    let mut rest = header;
    core::iter::from_fn(move || {
        if matches!(rest, b"" | [b'\n', ..] | [b'\r', b'\n', ..]) {
            return None;
        }
        let mut end = 0;
        loop {
            end += memchr(b'\n', &rest[end..]).map_or(rest.len() - end, |at| at + 1);
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (raw, behind) = rest.split_at(end);
        rest = behind;
        let colon = memchr(b':', raw);
        let name = raw[..colon.unwrap_or(raw.len())].trim_ascii_end();
        Some(Field { name, value: colon.map_or(&[][..], |at| &raw[at + 1..]), raw })
    })
}
