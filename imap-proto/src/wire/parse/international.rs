//! The arguments of LANGUAGE and COMPARATOR (RFC 5255).

use nom::Parser;
use nom::combinator::verify;
use nom::sequence::preceded;

use super::token::{astring, sp, spaced};
use super::{Command, Parsed};

/// The most languages or comparators of a command.
const CHOICES_MAX: usize = 20;

/// `language-cmd = "LANGUAGE" *(SP lang-range-quoted)` (RFC 5255 §3.5)
pub(crate) fn language(input: &[u8]) -> Parsed<'_, Command<'_>> {
    if input.is_empty() {
        return Ok((input, Command::Language(Default::default())));
    }
    let range = verify(astring, is_language_range);
    let (rest, ranges) = preceded(sp, spaced(CHOICES_MAX, range)).parse(input)?;
    Ok((rest, Command::Language(ranges)))
}

/// `comparator-cmd = "COMPARATOR" *(SP comp-order-quoted)` (RFC 5255 §4.10)
pub(crate) fn comparator(input: &[u8]) -> Parsed<'_, Command<'_>> {
    if input.is_empty() {
        return Ok((input, Command::Comparator(Default::default())));
    }
    let order = verify(astring, |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_graphic));
    let (rest, orders) = preceded(sp, spaced(CHOICES_MAX, order)).parse(input)?;
    Ok((rest, Command::Comparator(orders)))
}

/// `language-range = (1*8ALPHA *("-" 1*8alphanum)) / "*"` (RFC 4647 §2.1)
fn is_language_range(text: &[u8]) -> bool {
    let is_part = |index: usize, part: &[u8]| {
        let fits = |octet: &u8| if index == 0 { octet.is_ascii_alphabetic() } else { octet.is_ascii_alphanumeric() };
        (1..=8).contains(&part.len()) && part.iter().all(fits)
    };
    text == b"*" || text.split(|octet| *octet == b'-').enumerate().all(|(index, part)| is_part(index, part))
}
