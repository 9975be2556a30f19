//! Lists of `tag=value` (RFC 6376 §3.2): the form of DKIM signatures and keys, of ARC, DMARC, MTA-STS and TLS-RPT records.

use alloc::vec::Vec;

use pillarbox_core::octets;

/// The specs of a tag list from left to right, each in its own right: for records whose readers go on behind an error
/// (DMARC). A list that ends in `;` has no spec behind it; an empty spec elsewhere is malformed.
#[derive(Clone, Debug)]
pub(crate) struct Tags<'a> {
    rest: Option<&'a [u8]>,
}

/// One `name=value`, without the white space around either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag<'a> {
    /// A letter, then letters, digits and underscores.
    pub(crate) name: &'a [u8],
    /// Octets from 33 on without `;`, with white space and folds between them; may be empty.
    pub(crate) value: &'a [u8],
}

/// A spec that is no `name=value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MalformedTag;

impl<'a> Tags<'a> {
    pub(crate) const fn new(list: &'a [u8]) -> Self {
        Tags { rest: Some(list) }
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Result<Tag<'a>, MalformedTag>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        let spec = match memchr::memchr(b';', rest) {
            Some(end) => {
                self.rest = Some(&rest[end + 1..]);
                &rest[..end]
            }
            None => {
                self.rest = None;
                if trim(rest).is_empty() {
                    return None;
                }
                rest
            }
        };
        Some(parse_spec(spec))
    }
}

fn parse_spec(spec: &[u8]) -> Result<Tag<'_>, MalformedTag> {
    let equals = memchr::memchr(b'=', spec).ok_or(MalformedTag)?;
    let (name, value) = (trim(&spec[..equals]), trim(&spec[equals + 1..]));
    let is_name = name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|octet| octet.is_ascii_alphanumeric() || *octet == b'_');
    // RFC 8616 §5: octets beyond ASCII may stand in values.
    let is_value = octets::all(value, |octet| {
        (octet >= b' ') & (octet != 0x7f) | (octet == b'\t') | (octet == b'\r') | (octet == b'\n')
    });
    if is_name && is_value { Ok(Tag { name, value }) } else { Err(MalformedTag) }
}

/// White space and folds taken off both ends.
pub(crate) fn trim(octets: &[u8]) -> &[u8] {
    let is_space = |octet: &u8| matches!(octet, b' ' | b'\t' | b'\r' | b'\n');
    let start = octets.iter().position(|octet| !is_space(octet)).unwrap_or(octets.len());
    let end = octets.iter().rposition(|octet| !is_space(octet)).map_or(start, |last| last + 1);
    &octets[start..end]
}

/// All octets that are no white space.
pub(crate) fn without_space(value: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(value.len());
    for piece in value.split(|octet| matches!(octet, b' ' | b'\t' | b'\r' | b'\n')) {
        octets.extend_from_slice(piece);
    }
    octets
}

/// A whole list in which every spec is well formed and no name stands twice (RFC 6376 §3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TagList<'a> {
    tags: Vec<Tag<'a>>,
}

/// Why octets are no tag list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TagListError {
    /// A spec is no `name=value`.
    #[error("not a list of tag=value")]
    Malformed,
    /// A name stands twice.
    #[error("a tag stands twice")]
    Duplicate,
    /// More specs than anybody needs.
    #[error("too many tags")]
    TooMany,
}

/// More specs than this are an attack: the largest list in use has about 15.
const TAGS_MAX: usize = 100;

impl<'a> TagList<'a> {
    pub(crate) fn parse(list: &'a [u8]) -> Result<Self, TagListError> {
        TagList::collect(Tags::new(list).map(|tag| tag.map_err(|MalformedTag| TagListError::Malformed)))
    }

    /// Reads over specs that are no `name=value`, as DMARC does (RFC 7489 §6.3).
    pub(crate) fn parse_what_is_well_formed(list: &'a [u8]) -> Result<Self, TagListError> {
        TagList::collect(Tags::new(list).filter_map(Result::ok).map(Ok))
    }

    fn collect(specs: impl Iterator<Item = Result<Tag<'a>, TagListError>>) -> Result<Self, TagListError> {
        let mut tags = Vec::<Tag<'a>>::with_capacity(16);
        for tag in specs {
            let tag = tag?;
            if tags.len() == TAGS_MAX {
                return Err(TagListError::TooMany);
            }
            // RFC 6376 §3.2: names are case-sensitive, and a list with one twice is invalid as a whole.
            if tags.iter().any(|other| other.name == tag.name) {
                return Err(TagListError::Duplicate);
            }
            tags.push(tag);
        }
        Ok(TagList { tags })
    }

    /// The tags, as they stand.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Tag<'a>> {
        self.tags.iter().copied()
    }

    /// The value of a tag.
    pub(crate) fn find(&self, name: &str) -> Option<&'a [u8]> {
        self.tags.iter().find(|tag| tag.name == name.as_bytes()).map(|tag| tag.value)
    }

    /// The first tag.
    pub(crate) fn first(&self) -> Option<Tag<'a>> {
        self.tags.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn reads_names_values_and_folds() {
        let list = TagList::parse(b" v = 1; b=ab\r\n\tcd ; c=;\r\n ").unwrap();
        assert_eq!(list.first(), Some(Tag { name: b"v", value: b"1" }));
        assert_eq!(list.find("b"), Some(&b"ab\r\n\tcd"[..]));
        assert_eq!(without_space(list.find("b").unwrap()), b"abcd");
        assert_eq!(list.find("c"), Some(&b""[..]));
        assert_eq!(list.find("B"), None);
    }

    #[test]
    fn refuses_what_is_no_list() {
        for (list, error) in [
            (&b"v=1;;a=b"[..], TagListError::Malformed),
            (b"v=1; a", TagListError::Malformed),
            (b"=1", TagListError::Malformed),
            (b"1a=1", TagListError::Malformed),
            (b"a b=1", TagListError::Malformed),
            (b"a=\x00", TagListError::Malformed),
            (b"a=1; a=2", TagListError::Duplicate),
        ] {
            assert_eq!(TagList::parse(list), Err(error), "{list:?}");
        }
        let many = (0..101).map(|number| format!("t{number}=x;")).collect::<alloc::string::String>();
        assert_eq!(TagList::parse(many.as_bytes()), Err(TagListError::TooMany));
    }

    #[test]
    fn goes_on_behind_an_error() {
        let tags = Tags::new(b"v=DMARC1;; p=none").collect::<Vec<_>>();
        assert_eq!(tags.len(), 3);
        assert_eq!(tags[1], Err(MalformedTag));
        assert_eq!(tags[2], Ok(Tag { name: b"p", value: b"none" }));
        let list = TagList::parse_what_is_well_formed(b"v=DMARC1;; =; p=none").unwrap();
        assert_eq!(list.find("p"), Some(&b"none"[..]));
        assert_eq!(TagList::parse_what_is_well_formed(b"p=none;; p=none"), Err(TagListError::Duplicate));
    }
}
