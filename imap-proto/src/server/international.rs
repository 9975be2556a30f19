//! LANGUAGE and COMPARATOR (RFC 5255).

use alloc::borrow::Cow;

use super::ServerSession;
use super::read::Served;
use super::reply::End;
use crate::wire::encode::push;

/// The languages of what is said to people. All of it is English in ASCII, which anybody's program can show (RFC 2277 §4.5), so
/// that to choose one of them changes nothing.
const LANGUAGES: [&str; 2] = ["en", "i-default"];

/// What SEARCH, SORT and THREAD compare texts by (RFC 5051).
const COMPARATOR: &str = "i;unicode-casemap";

impl ServerSession {
    /// RFC 5255 §3.2
    pub(super) fn language<'b>(&mut self, ranges: &[Cow<'b, [u8]>]) -> Served<'b> {
        if !self.config.extensions.language {
            return Err(End::bad("Unknown command"));
        }
        if ranges.is_empty() {
            push(self.out.end(), format_args!("* LANGUAGE ({})\r\n", LANGUAGES.join(" ")));
            self.finish(End::ok("These are the languages"));
            return Ok(None);
        }
        match ranges.iter().find_map(|range| language_of(range)) {
            Some(language) => {
                // RFC 5255 §3.4: the namespaces' prefixes have no other names in it.
                push(self.out.end(), format_args!("* LANGUAGE ({language})\r\n"));
                self.finish(End::ok("Now in this language"));
                Ok(None)
            }
            None => Err(End::no_such("None of these languages is spoken here")),
        }
    }

    /// RFC 5255 §4.7
    pub(super) fn comparator<'b>(&mut self, orders: &[Cow<'b, [u8]>]) -> Served<'b> {
        if !self.config.extensions.i18n {
            return Err(End::bad("Unknown command"));
        }
        if !orders.is_empty() && !orders.iter().any(|order| matches_comparator(order)) {
            // RFC 5255 §4.9
            let end = End::no_such("There is no such comparator");
            return Err(End { code: Some("BADCOMPARATOR".into()), ..end });
        }
        push(self.out.end(), format_args!("* COMPARATOR {COMPARATOR}\r\n"));
        self.finish(End::ok("Texts are compared by it"));
        Ok(None)
    }
}

/// The language that a range means: itself, or what is left when its end is cut off (RFC 4647 §3.4).
fn language_of(range: &[u8]) -> Option<&'static str> {
    if range == b"*" || range.eq_ignore_ascii_case(b"default") {
        return Some(LANGUAGES[0]);
    }
    let is_front = |language: &&&str| {
        let language = language.as_bytes();
        range.get(..language.len()).is_some_and(|front| front.eq_ignore_ascii_case(language))
            && matches!(range.get(language.len()), None | Some(b'-'))
    };
    LANGUAGES.iter().find(is_front).copied()
}

/// Whether a collation-order (RFC 4790 §3.2) means the one comparator that there is. In the other direction it does not sort.
fn matches_comparator(order: &[u8]) -> bool {
    let wild = order.strip_prefix(b"+").unwrap_or(order);
    if wild.eq_ignore_ascii_case(b"default") {
        return true;
    }
    let name = COMPARATOR.as_bytes();
    let mut pieces = wild.split(|octet| *octet == b'*');
    let first = pieces.next().unwrap_or_default();
    let Some(front) = name.get(..first.len()) else { return false };
    let mut at = if front.eq_ignore_ascii_case(first) { first.len() } else { return false };
    let mut last = None;
    for piece in pieces {
        let Some(found) = (at..=name.len())
            .find(|&from| name.get(from..from + piece.len()).is_some_and(|there| there.eq_ignore_ascii_case(piece)))
        else {
            return false;
        };
        at = found + piece.len();
        last = Some(piece);
    }
    match last {
        None => at == name.len(),
        // What stands behind the last star is at the end.
        Some(piece) => name.len() >= piece.len() && name[name.len() - piece.len()..].eq_ignore_ascii_case(piece),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages() {
        for (range, language) in [
            ("EN", Some("en")),
            ("en-CA", Some("en")),
            ("i-default", Some("i-default")),
            ("default", Some("en")),
            ("*", Some("en")),
            ("eng", None),
            ("de", None),
            ("i", None),
            ("e", None),
        ] {
            assert_eq!(language_of(range.as_bytes()), language, "{range}");
        }
    }

    #[test]
    fn comparators() {
        for (order, is_it) in [
            ("i;unicode-casemap", true),
            ("I;Unicode-CaseMap", true),
            ("+i;unicode-casemap", true),
            ("-i;unicode-casemap", false),
            ("default", true),
            ("*", true),
            ("i;*", true),
            ("i;*casemap", true),
            ("*casemap*", true),
            ("i;*uni*map", true),
            ("cz;*", false),
            ("i;ascii-casemap", false),
            ("i;unicode-casemapx", false),
            ("i;unicode-casemap*x", false),
            ("i;*mapcase*", false),
            ("i;octet", false),
        ] {
            assert_eq!(matches_comparator(order.as_bytes()), is_it, "{order}");
        }
    }
}
