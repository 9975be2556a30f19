//! IMAP URLs that name a message or a part of one on this server (RFC 5092), as CATENATE takes them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::message::Section;
use crate::types::{Uid, UidValidity};
use crate::wire::parse::section_spec;

/// A relative URL that names a message or a part of it (RFC 5092 §7, of which RFC 4469 §3 takes no other).
///
/// ```
/// use pillarbox_imap::url::MessageUrl;
///
/// let url = MessageUrl::parse(b"/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.MIME").unwrap();
/// assert_eq!(url.mailbox.as_deref(), Some("Drafts"));
/// assert_eq!((url.uid.get(), url.section.to_string().as_str()), (20, "1.MIME"));
///
/// assert_eq!(MessageUrl::parse(b";UID=20").unwrap().mailbox, None, "in the mailbox that is selected");
/// assert!(MessageUrl::parse(b"imap://elsewhere.example/INBOX/;UID=20").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageUrl {
    /// The mailbox, decoded, its levels parted as the server parts them; none: the one that is selected.
    pub mailbox: Option<String>,
    /// The URL is void where the mailbox has another.
    pub uid_validity: Option<UidValidity>,
    /// The message.
    pub uid: Uid,
    /// What of it; all of it by default.
    pub section: Section,
    /// The first octet of that and, if not all that follow, how many.
    pub partial: Option<(u64, Option<u64>)>,
}

/// Octets of a URL that are looked at. A name has 32 levels of 255 octets at most, each written as three.
const LEN_MAX: usize = 32 * 1024;

impl MessageUrl {
    /// Reads a URL; `None` if it is none, names something else than a message or a part of one, or names another server.
    pub fn parse(url: &[u8]) -> Option<Self> {
        // RFC 5092 §11, bchar and ";": all else is written as "%" and two digits. With it go "//server/", for "/" has to be
        // in front of a name, and "?search".
        let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"-._~!$'()*+,&=:@/%;".contains(b);
        if url.len() > LEN_MAX || url.starts_with(b"//") || !url.iter().all(allowed) {
            return None;
        }
        let url = core::str::from_utf8(url).ok()?;
        let (path, absolute) = match url.strip_prefix('/') {
            Some(path) => (path, true),
            None => (url, false),
        };
        let (name, parameters) = path.split_once(';')?;
        let mut parameters = parameters.split(';').peekable();
        let mut take = |wanted: &str| {
            let (name, value) = parameters.peek()?.split_once('=')?;
            if !name.eq_ignore_ascii_case(wanted) {
                return None;
            }
            parameters.next();
            // "/" parts a parameter from the next.
            match parameters.peek() {
                Some(_) => value.strip_suffix('/').or(Some("")),
                None => Some(value),
            }
        };
        let validity = take("UIDVALIDITY");
        let uid = take("UID")?;
        let section = take("SECTION");
        let partial = take("PARTIAL");
        if parameters.next().is_some() {
            return None;
        }
        let mailbox = match validity {
            Some(_) => Some(name).filter(|name| !name.ends_with('/'))?,
            None if name.is_empty() && !absolute => name,
            None => name.strip_suffix('/')?,
        };
        // RFC 5092 §7.2: a path that does not begin at the root is one in the mailbox that is selected, or not to be taken.
        let mailbox = match (mailbox, absolute) {
            ("", false) if validity.is_none() => None,
            ("", _) | (_, false) => return None,
            (name, true) => Some(String::from_utf8(decoded(name)?).ok()?),
        };
        let section = match section {
            Some(section) => section_spec(&decoded(section).filter(|section| !section.is_empty())?)?,
            None => Section::default(),
        };
        Some(MessageUrl {
            mailbox,
            uid_validity: match validity {
                Some(number) => Some(UidValidity::new(nz_number(number)?)?),
                None => None,
            },
            uid: Uid::new(nz_number(uid)?)?,
            section,
            partial: match partial {
                Some(range) => Some(partial_range(range)?),
                None => None,
            },
        })
    }
}

fn nz_number(text: &str) -> Option<u32> {
    // `parse` would take a sign.
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number != 0)
}

/// `partial-range = number ["." nz-number]`
fn partial_range(text: &str) -> Option<(u64, Option<u64>)> {
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    match text.split_once('.') {
        Some((origin, count)) => Some((number(origin)?, Some(number(count).filter(|count| *count != 0)?))),
        None => Some((number(text)?, None)),
    }
}

/// Undoes `%` and two hexadecimal digits (RFC 3986 §2.1).
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            octets.push(*first);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2)?;
        let digit = |b: u8| char::from(b).to_digit(16);
        octets.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = behind;
    }
    Some(octets)
}

/// So much of a URL is repeated to the client that sent it.
const REPEATED_MAX: usize = 1000;

/// A URL as the response code BADURL repeats it (RFC 4469 §5): what may not stand there is written as `%` and two digits.
pub(crate) fn repeated(url: &[u8]) -> String {
    let mut text = String::new();
    for octet in &url[..url.len().min(REPEATED_MAX)] {
        match octet {
            b'!'..=b'~' if !b"]\"\\".contains(octet) => text.push(char::from(*octet)),
            _ => text.push_str(&format!("%{octet:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (Option<String>, Option<u32>, u32, String, Option<(u64, Option<u64>)>);

    fn read(url: &str) -> Option<Read> {
        let url = MessageUrl::parse(url.as_bytes())?;
        let validity = url.uid_validity.map(UidValidity::get);
        Some((url.mailbox, validity, url.uid.get(), alloc::string::ToString::to_string(&url.section), url.partial))
    }

    #[test]
    fn urls_that_name_messages() {
        let of = |name: &str, validity, uid, section: &str, partial| {
            Some((Some(String::from(name)), validity, uid, String::from(section), partial))
        };
        assert_eq!(read("/a/b/;UID=7"), of("a/b", None, 7, "", None));
        assert_eq!(read("/a;UIDVALIDITY=5/;UID=7"), of("a", Some(5), 7, "", None));
        assert_eq!(read("/a%20%C3%A4;uidvalidity=5/;uid=7/;section=1.2.text"), of("a ä", Some(5), 7, "1.2.TEXT", None));
        assert_eq!(read("/a/;UID=7/;PARTIAL=0.1024"), of("a", None, 7, "", Some((0, Some(1024)))));
        assert_eq!(read("/a/;UID=7/;SECTION=1/;PARTIAL=9"), of("a", None, 7, "1", Some((9, None))));
        assert_eq!(read("/a/;UID=7/;SECTION=HEADER.FIELDS%20(To)"), of("a", None, 7, "HEADER.FIELDS (To)", None));
        assert_eq!(read(";UID=7/;SECTION=1"), Some((None, None, 7, "1".into(), None)));
    }

    #[test]
    fn others() {
        for other in [
            "",
            "/",
            "/a",
            "/a/",
            "a/;UID=7",
            "/;UID=7",
            "//host/a/;UID=7",
            "imap://host/a/;UID=7",
            "/a;UID=7",
            "/a/;UID=0",
            "/a/;UID=+7",
            "/a/;UID=4294967296",
            "/a/;UID=7/",
            "/a/;UID=7;SECTION=1",
            "/a/;UID=7/;SECTION=",
            "/a/;UID=7/;SECTION=0",
            "/a/;UID=7/;PARTIAL=1.0",
            "/a/;UID=7/;PARTIAL=-1",
            "/a/;UID=7/;UIDVALIDITY=5",
            "/a/;UID=7/;EXPIRE=x",
            "/a/;UID=7/;X=1",
            "/a/;UID=7;URLAUTH=anonymous",
            "/a?x/;UID=7",
            "/a%/;UID=7",
            "/a%2/;UID=7",
            "/a%gg/;UID=7",
            "/a%ff/;UID=7",
            "/a b/;UID=7",
            "/a/;UIDVALIDITY=5/;UID=7",
            ";UIDVALIDITY=5/;UID=7",
            "/ä/;UID=7",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(MessageUrl::parse(&[b'a'; LEN_MAX + 1]), None);
    }

    #[test]
    fn what_is_repeated_stays_within_its_brackets() {
        assert_eq!(repeated(b"/a]\r\n\"\xFF\\ x"), "/a%5D%0D%0A%22%FF%5C%20x");
        assert_eq!(repeated(&[b'a'; 5000]).len(), REPEATED_MAX);
    }
}
