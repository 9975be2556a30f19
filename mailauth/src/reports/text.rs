//! The tokens of header fields: comments, quoted strings, dates.

use alloc::string::String;

use pillarbox_core::WallTime;

/// The value without comments (RFC 5322 §3.2.2), each of which becomes a space, and without white space around. Parentheses
/// in quoted strings are no comments; one that is not closed takes the rest with it.
pub(super) fn without_comments(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let (mut depth, mut is_quoted) = (0_usize, false);
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if depth > 0 || is_quoted => {
                let escaped = chars.next();
                if depth == 0 {
                    out.push(c);
                    out.extend(escaped);
                }
            }
            '"' if depth == 0 => {
                is_quoted = !is_quoted;
                out.push(c);
            }
            '(' if !is_quoted => {
                depth += 1;
                out.push(' ');
            }
            ')' if depth > 0 => depth -= 1,
            c if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out.trim().into()
}

/// The content of a quoted string (RFC 5322 §3.2.4); a text that is none as it stands.
pub(super) fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else { return text.into() };
    let mut chars = inner.chars();
    core::iter::from_fn(|| match chars.next() {
        Some('\\') => chars.next(),
        c => c,
    })
    .collect()
}

/// A quoted string, without the controls that none can hold.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// A date (RFC 5322 §3.3 and §4.3) whose comments were taken off; the day of the week is not looked at.
pub(super) fn parse_date(text: &str) -> Option<WallTime> {
    let text = text.split_once(',').map_or(text, |(_, rest)| rest);
    let mut tokens = text.split_ascii_whitespace();
    let number = |token: &str| token.bytes().all(|octet| octet.is_ascii_digit()).then(|| token.parse::<u16>().ok())?;
    let octet = |token: &str| u8::try_from(number(token)?).ok();
    let day = octet(tokens.next()?)?;
    let month = tokens.next()?.get(..3)?.to_ascii_lowercase();
    let names = "janfebmaraprmayjunjulaugsepoctnovdec".as_bytes().chunks(3);
    let month = names.zip(1..).find(|(name, _)| *name == month.as_bytes()).map(|(_, number)| number)?;
    let year = tokens.next()?;
    let year = match (year.len(), i64::from(number(year)?)) {
        (4, year) => year,
        // RFC 5322 §4.3
        (2, year) if year < 50 => year + 2000,
        (2 | 3, year) => year + 1900,
        _ => return None,
    };
    let mut clock = tokens.next()?.split(':');
    let (hour, minute) = (octet(clock.next()?)?, octet(clock.next()?)?);
    let second = clock.next().map_or(Some(0), octet)?;
    if clock.next().is_some() {
        return None;
    }
    let offset = parse_zone(tokens.next().unwrap_or_default());
    WallTime::from_civil(year, month, day, hour, minute, second, offset)
}

/// RFC 5322 §4.3: zones that are not known mean that nothing is known about the local time.
fn parse_zone(zone: &str) -> i32 {
    let hours = match &*zone.to_ascii_uppercase() {
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        _ => 0,
    };
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits = zone.strip_prefix(['+', '-']).filter(|digits| digits.len() == 4);
    let digits = digits.filter(|digits| digits.bytes().all(|octet| octet.is_ascii_digit()));
    match digits.and_then(|digits| digits.parse::<i32>().ok()) {
        Some(hhmm) if hhmm % 100 < 60 => sign * (hhmm / 100 * 3600 + hhmm % 100 * 60),
        _ => hours * 3600,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn comments() {
        for (value, text) in [
            (" bodyhash (a comment) ", "bodyhash"),
            ("(a (nested \\) one)) x", "x"),
            ("a(b)c", "a c"),
            ("\"a (b)\" (c)", "\"a (b)\""),
            ("\"a\\\"(\" (c)", "\"a\\\"(\""),
            ("a (b", "a"),
            ("a) b", "a) b"),
        ] {
            assert_eq!(without_comments(value), text, "{value:?}");
        }
        let deep = "(".repeat(100_000);
        assert_eq!(without_comments(&deep), "");
    }

    #[test]
    fn dates() {
        for (text, date) in [
            ("Thu, 8 Mar 2005 14:00:00 EDT", Some("Tue, 8 Mar 2005 14:00:00 -0400")),
            ("Wed, 14 Apr 2010 12:15:31 -0700", Some("Wed, 14 Apr 2010 12:15:31 -0700")),
            ("8 Oct 2011 20:15:58 +0000", Some("Sat, 8 Oct 2011 20:15:58 +0000")),
            ("8 October 11 20:15", Some("Sat, 8 Oct 2011 20:15:00 +0000")),
            ("31 Feb 2011 20:15:58 +0000", None),
            ("8 Oct 2011", None),
            ("8 Oct 20111 20:15:58", None),
            ("8 \u{e9}\u{e9} 2011 20:15:58", None),
            ("", None),
        ] {
            assert_eq!(parse_date(text).map(|date| date.to_string()).as_deref(), date, "{text:?}");
        }
    }

    #[test]
    fn quoted_strings_both_ways() {
        for text in ["", "a b", "\"\\", "v=spf1 exists:%{i}.x -all"] {
            assert_eq!(unquote(&quote(text)), text);
        }
        assert_eq!(unquote("plain"), "plain");
        assert_eq!(unquote("\""), "\"");
        assert_eq!(quote("a\r\nb"), "\"ab\"");
    }
}
