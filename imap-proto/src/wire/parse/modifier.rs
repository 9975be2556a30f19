//! Parameters and modifiers in parentheses (RFC 4466 §2.1 to §2.5): what extensions add to SELECT, FETCH and STORE. Which of
//! them there are, the session knows.

use alloc::vec::Vec;

use nom::Parser;
use nom::combinator::recognize;

use super::Parsed;
use super::token::{atom, fails, list_of, some_of, string, too_large};
use crate::octet::{ASTRING, SET};

/// The most modifiers of a command.
const MODIFIERS_MAX: usize = 16;
/// How deep the value of one may nest: QRESYNC needs two.
const DEPTH_MAX: usize = 4;

/// A modifier, such as `CHANGEDSINCE 12345` or `QRESYNC (1 2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Modifier<'b> {
    /// Its name, as it was written.
    pub name: &'b str,
    /// Its value as it was written, to be parsed by whoever knows the name; empty if there is none.
    pub value: &'b [u8],
}

/// `[SP "(" modifier *(SP modifier) ")"]`
#[inline]
pub(crate) fn modifiers(input: &[u8]) -> Parsed<'_, Vec<Modifier<'_>>> {
    match input {
        [b' ', b'(', ..] => list_of(1, MODIFIERS_MAX, modifier).parse(&input[1..]),
        _ => Ok((input, Vec::new())),
    }
}

/// `modifier = name [SP value]`. A name begins with a letter, a value does not (RFC 4466 §6, tagged-ext-val; RFC 9394 §4).
fn modifier(input: &[u8]) -> Parsed<'_, Modifier<'_>> {
    let (rest, name) = atom(input)?;
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return fails(input);
    }
    match rest.strip_prefix(b" ") {
        Some(value @ [b'(' | b'*' | b'$' | b'-' | b'0'..=b'9', ..]) => {
            let (rest, value) = recognize(|input| skip_value(input, 0)).parse(value)?;
            Ok((rest, Modifier { name, value }))
        }
        _ => Ok((rest, Modifier { name, value: &[] })),
    }
}

/// `tagged-ext-val`: numbers, sets, strings, and lists of them.
fn skip_value(input: &[u8], depth: usize) -> Parsed<'_, ()> {
    if depth > DEPTH_MAX {
        return too_large(input);
    }
    let Some(mut rest) = input.strip_prefix(b"(") else {
        return match input.first() {
            Some(b'"' | b'{') => string(input).map(|(rest, _)| (rest, ())),
            // A sequence set may hold `*`.
            _ => some_of(ASTRING.or(SET), input).map(|(rest, _)| (rest, ())),
        };
    };
    loop {
        if let Some(rest) = rest.strip_prefix(b")") {
            return Ok((rest, ()));
        }
        (rest, ()) = skip_value(rest, depth + 1)?;
        rest = match rest {
            [b' ', more @ ..] if more.first() != Some(&b')') => more,
            rest => rest,
        };
        if !matches!(rest.first(), Some(b')')) && !input[..input.len() - rest.len()].ends_with(b" ") {
            return fails(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_extensions_write() {
        let read = |text: &'static str| {
            let (rest, all) = modifiers(text.as_bytes()).ok()?;
            rest.is_empty()
                .then(|| all.iter().map(|m| (m.name, core::str::from_utf8(m.value).unwrap())).collect::<Vec<_>>())
        };
        for (text, expected) in [
            ("", &[][..]),
            (" (CONDSTORE)", &[("CONDSTORE", "")]),
            (" (CHANGEDSINCE 12345 VANISHED)", &[("CHANGEDSINCE", "12345"), ("VANISHED", "")]),
            (
                " (QRESYNC (67890007 90060115194045000 41:211,214:541 (1,3 5,7)) CONDSTORE)",
                &[("QRESYNC", "(67890007 90060115194045000 41:211,214:541 (1,3 5,7))"), ("CONDSTORE", "")],
            ),
            (" (X (\"a ) b\" {3}\r\n) ( y) Y $)", &[("X", "(\"a ) b\" {3}\r\n) ( y)"), ("Y", "$")]),
            (" (X ())", &[("X", "()")]),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected), "{text}");
        }
        for wrong in
            [" ()", " (5)", " (X (1 )", " (X (1  2))", " (X (1 ))", " (X (1(2)))", " (X ((((((1))))))", " (X", "(X)"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
