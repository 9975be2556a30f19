//! Finding fields that others wrote in our name.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use pillarbox_core::header::{Field, Fields};

use super::lexer::Lexer;
use super::parse::identifier;
use crate::idn;

/// The names under which our own hosts write Authentication-Results, to find the fields that claim to be theirs.
///
/// Names are compared as a tolerant reader might: without case, quotes, comments, folds, a dot at the end or a path behind a
/// `/`, and with A-labels as U-labels (RFC 8601 §5).
///
/// ```
/// use pillarbox_auth::authres::Trusted;
///
/// let trusted = Trusted::new(["mx.example.org"]);
/// let message = b"Authentication-Results: \"MX.example.org\" (ours);\r\n spf=pass\r\n\
///                 Authentication-Results: other.example; spf=pass\r\n\
///                 From: joe@example.net\r\n\r\nbody";
/// let mut forged = trusted.forged(message);
/// assert_eq!((forged.next(), forged.next()), (Some(0..61), None));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Trusted {
    ids: Vec<String>,
    with_subdomains: bool,
}

/// Whose results a field claims to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Claim {
    /// Those of one of our names. Only a host of ours may have written it.
    Ours,
    /// Those of somebody else.
    Other,
    /// Nobody can say: the identifier does not follow the grammar, holds characters that programs change or leave out
    /// ([`idn`]), or the version is unknown. Some reader may take it for ours, so it goes, as RFC 8601 §5 asks for versions.
    Unreadable,
}

impl Trusted {
    /// These names and no others. Without any name no field is ours.
    pub fn new<I>(authserv_ids: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        Trusted { ids: authserv_ids.into_iter().map(|id| folded(id.as_ref())).collect(), with_subdomains: false }
    }

    /// The same with every name below them.
    #[must_use]
    pub fn with_subdomains(self) -> Self {
        Trusted { with_subdomains: true, ..self }
    }

    /// Whose results a field holds; `None` if it is no Authentication-Results at all.
    pub fn judge(&self, field: &Field<'_>) -> Option<Claim> {
        if !field.name_is("Authentication-Results") {
            return None;
        }
        Some(match identifier(&mut Lexer::new(field.value)) {
            Ok(id) => {
                let id = folded(id.as_str());
                if self.holds(&id) {
                    Claim::Ours
                } else if idn::to_ascii(&id).is_err() {
                    Claim::Unreadable
                } else {
                    Claim::Other
                }
            }
            Err(_) => Claim::Unreadable,
        })
    }

    /// The places of the fields in a header (or the header of a message) that are to be removed when it comes from outside:
    /// those that claim to be ours, and those whose claim nobody can read. Each with its line end, in order; what lies
    /// between them is the header that remains.
    pub fn forged<'a>(&'a self, message: &'a [u8]) -> impl Iterator<Item = Range<usize>> + 'a {
        let mut end = 0;
        Fields::new(message).filter_map(move |field| {
            let start = end;
            end += field.raw.len();
            matches!(self.judge(&field), Some(Claim::Ours | Claim::Unreadable)).then_some(start..end)
        })
    }

    /// Whether it is a name of ours, in the form in which names are compared.
    fn holds(&self, id: &str) -> bool {
        self.ids.iter().any(|ours| match id.strip_suffix(ours.as_str()) {
            Some("") => true,
            Some(below) => self.with_subdomains && below.ends_with('.'),
            None => false,
        })
    }
}

/// The form in which names are compared.
fn folded(id: &str) -> String {
    let name = id.split('/').next().unwrap_or_default().trim().trim_end_matches('.');
    // Full stops of other scripts stand for dots (RFC 3490 §3.1).
    let name = name.replace(['\u{3002}', '\u{ff0e}', '\u{ff61}'], ".");
    idn::to_unicode(&name.to_lowercase()).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use core::iter::once;

    fn claim(trusted: &Trusted, value: &str) -> Claim {
        let field = format!("Authentication-Results:{value}\r\n");
        let field = Fields::new(field.as_bytes()).next().unwrap();
        trusted.judge(&field).unwrap()
    }

    #[test]
    fn every_spelling_of_a_name() {
        let trusted = Trusted::new(["mx.example.org", "bücher.example"]);
        for ours in [
            " mx.example.org; spf=pass",
            "mx.example.org;none",
            " MX.Example.ORG ; none",
            " \"mx.example.org\"; none",
            " \"mx.exa\\mple.org\"; none",
            " (a (nested) \\) comment)\r\n\tmx.example.org (another) 1 ; none",
            "\r\n mx.example.org\r\n ;\r\n none",
            " mx.example.org.; none",
            " mx.example.org/mta1; none",
            " mx.example.org",
            " xn--bcher-kva.example; none",
            " BÜCHER.example; none",
            " bücher。example; none",
        ] {
            assert_eq!(claim(&trusted, ours), Claim::Ours, "{ours}");
        }
        for other in
            [" example.org; none", " amx.example.org; none", " a.mx.example.org; none", " mx.example.org.a; none"]
        {
            assert_eq!(claim(&trusted, other), Claim::Other, "{other}");
        }
        for unreadable in [
            "",
            " ; none",
            " mx.example.org 2; none",
            " mx.example.org(c); none",
            " mx. example.org; none",
            " (open mx.example.org; none",
            " \"mx.example.org; none",
            " mx.example.org spf=pass",
            " spf=pass smtp.helo=mx.example.org",
            // Programs that map names take these for ours: with a soft hyphen, with what joins, in letters of another width,
            // with an accent of its own.
            " mx.exam\u{ad}ple.org; none",
            " mx.example\u{200d}.org; none",
            " mx.\u{ff45}xample.org; none",
            " bu\u{308}cher.example; none",
            " \"mx.example.org\u{200b}\"; none",
        ] {
            assert_eq!(claim(&trusted, unreadable), Claim::Unreadable, "{unreadable}");
        }
        assert_eq!(claim(&trusted.with_subdomains(), " a.mx.example.org; none"), Claim::Ours);
    }

    #[test]
    fn octets_that_are_no_text() {
        let field = b"Authentication-Results: mx.example.org\xff; none\n";
        let trusted = Trusted::new(["mx.example.org"]);
        assert!(trusted.forged(field).eq(once(0..field.len())));
        let field = b"Authentication-Results: mx.example.org (\xff);\n none\nA: b\n";
        assert!(trusted.forged(field).eq(once(0..field.len() - 5)));
    }

    #[test]
    fn what_lies_between_remains() {
        let header = b"Received: by x\r\n\
            authentication-results : MX.EXAMPLE.ORG; spf=pass\r\n\
            Authentication-Results: theirs.example;\r\n spf=pass\r\n\
            ARC-Authentication-Results: i=1; mx.example.org; spf=pass\r\n\
            Authentication-Results: mx.example.org;\r\n\tdkim=pass\r\n\
            From: a@example.net\r\n\r\nAuthentication-Results: mx.example.org; none\r\n";
        let mut kept = Vec::new();
        let mut at = 0;
        for range in Trusted::new(["mx.example.org"]).forged(header) {
            kept.extend_from_slice(&header[at..range.start]);
            at = range.end;
        }
        kept.extend_from_slice(&header[at..]);
        assert_eq!(
            String::from_utf8(kept).unwrap(),
            "Received: by x\r\nAuthentication-Results: theirs.example;\r\n spf=pass\r\n\
             ARC-Authentication-Results: i=1; mx.example.org; spf=pass\r\n\
             From: a@example.net\r\n\r\nAuthentication-Results: mx.example.org; none\r\n"
        );
    }
}
