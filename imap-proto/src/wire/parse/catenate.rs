//! APPEND and REPLACE whose messages are made of parts (RFC 4469), as far as one line of them goes.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use nom::Parser;
use nom::bytes::complete::{tag, tag_no_case};
use nom::combinator::{map, opt};
use nom::sequence::preceded;

use super::append::{AppendMessage, append_message};
use super::token::{astring, date_time, flag_list, nz_number, sp};
use super::{Command, Parsed};

/// What stands in a line of APPEND or REPLACE behind the name of the mailbox.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum AppendItem<'b> {
    /// `CATENATE (`: a message of parts begins.
    Begin(AppendMessage),
    /// `URL ..`: the part that an IMAP URL names.
    Url(Cow<'b, [u8]>),
    /// `TEXT`: a part that is the literal announced behind it; with true as `UTF8 (..)` (RFC 6855 §4).
    Text(bool),
    /// `)`: the message of parts is complete.
    End,
    /// A message that is the literal announced behind it.
    Message(AppendMessage),
}

/// Where a line of APPEND goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppendPlace {
    /// Behind the mailbox, or behind a message.
    Message,
    /// Behind `CATENATE (`.
    FirstPart,
    /// Behind a part.
    Part,
    /// Behind the octets of a part in `UTF8 (..)`.
    Utf8Part,
}

/// What a line holds, and where the next one goes on.
pub(crate) struct AppendLine<'b> {
    pub(crate) items: Vec<AppendItem<'b>>,
    pub(crate) place: AppendPlace,
}

/// Why a line could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppendLineError {
    /// The literal behind it is a URL, which belongs to the line.
    UrlIsLiteral,
    /// The same, and there are as many parts in the line as may be.
    TooManyParts,
    Syntax,
}

/// Reads a line up to its end, or up to the announcement of a literal. A URL that is a literal belongs to the line, which is read
/// again with it: only where there are fewer than `parts_max` in front, or a command would be read as often as it has parts.
pub(crate) fn append_line(
    mut text: &[u8],
    mut place: AppendPlace,
    literal: bool,
    parts_max: usize,
) -> Result<AppendLine<'_>, AppendLineError> {
    let mut items = Vec::new();
    loop {
        match place {
            AppendPlace::Message => {
                if text.is_empty() && !literal {
                    return Ok(AppendLine { items, place });
                }
                if let Some(message) = append_message(text).filter(|_| literal) {
                    items.push(AppendItem::Message(message));
                    return Ok(AppendLine { items, place });
                }
                let (rest, message) = begin(text).map_err(|_| AppendLineError::Syntax)?;
                items.push(AppendItem::Begin(message));
                (text, place) = (rest, AppendPlace::FirstPart);
                continue;
            }
            AppendPlace::FirstPart => {}
            AppendPlace::Utf8Part => match text.strip_prefix(b")") {
                Some(rest) => {
                    (text, place) = (rest, AppendPlace::Part);
                    continue;
                }
                None => return Err(AppendLineError::Syntax),
            },
            AppendPlace::Part => match text {
                [b')', rest @ ..] => {
                    items.push(AppendItem::End);
                    (text, place) = (rest, AppendPlace::Message);
                    continue;
                }
                [b' ', rest @ ..] => text = rest,
                _ => return Err(AppendLineError::Syntax),
            },
        }
        if literal && (text.eq_ignore_ascii_case(b"TEXT ") || text.eq_ignore_ascii_case(b"UTF8 (")) {
            let utf8 = text.ends_with(b"(");
            items.push(AppendItem::Text(utf8));
            let place = if utf8 { AppendPlace::Utf8Part } else { AppendPlace::Part };
            return Ok(AppendLine { items, place });
        }
        if literal && text.eq_ignore_ascii_case(b"URL ") {
            let parts = items.iter().filter(|item| matches!(item, AppendItem::Url(_) | AppendItem::Text(_))).count();
            return Err(match parts < parts_max {
                true => AppendLineError::UrlIsLiteral,
                false => AppendLineError::TooManyParts,
            });
        }
        let (rest, url) = url(text).map_err(|_| AppendLineError::Syntax)?;
        items.push(AppendItem::Url(url));
        (text, place) = (rest, AppendPlace::Part);
    }
}

/// `"URL" SP astring` (RFC 4469 §5)
fn url(input: &[u8]) -> Parsed<'_, Cow<'_, [u8]>> {
    preceded((tag_no_case("URL"), sp), astring).parse(input)
}

/// `[SP flag-list] [SP date-time] SP "CATENATE" SP "("`
fn begin(input: &[u8]) -> Parsed<'_, AppendMessage> {
    let parts = (opt(preceded(sp, flag_list)), opt(preceded(sp, date_time)), preceded(sp, tag_no_case("CATENATE (")));
    map(parts, |(flags, date, _)| AppendMessage { flags: flags.unwrap_or_default(), date, utf8: false }).parse(input)
}

/// `append = "APPEND" SP mailbox 1*append-message` without a literal: nothing, or parts by their URLs alone.
pub(crate) fn append(input: &[u8]) -> Parsed<'_, Command<'_>> {
    if input.is_empty() {
        return Ok((input, Command::Append { parts: None }));
    }
    let (rest, parts) = in_parts(input)?;
    Ok((rest, Command::Append { parts: Some(parts) }))
}

/// The same for `replace = "REPLACE" SP seq-number SP mailbox append-message` (RFC 8508 §5).
pub(crate) fn replace(uid: bool, input: &[u8]) -> Parsed<'_, Command<'_>> {
    if input.is_empty() {
        return Ok((input, Command::Replace { message: None, parts: None, uid }));
    }
    let (rest, message) = preceded(sp, message_number).parse(input)?;
    let (rest, parts) = in_parts(rest)?;
    Ok((rest, Command::Replace { message, parts: Some(parts), uid }))
}

/// The name of a mailbox and what stands behind it, up to the end of the command.
type InParts<'b> = (Cow<'b, [u8]>, Vec<AppendItem<'b>>);

fn in_parts(input: &[u8]) -> Parsed<'_, InParts<'_>> {
    let (rest, mailbox) = preceded(sp, astring).parse(input)?;
    match append_line(rest, AppendPlace::Message, false, usize::MAX) {
        Ok(line) if !line.items.is_empty() => Ok((&rest[rest.len()..], (mailbox, line.items))),
        _ => super::token::fails(rest),
    }
}

/// `seq-number = nz-number / "*"`; none is `*`.
pub(crate) fn message_number(input: &[u8]) -> Parsed<'_, Option<u32>> {
    match input {
        [b'*', ..] => tag("*").map(|_| None).parse(input),
        _ => map(nz_number, Some).parse(input),
    }
}

/// The name of a mailbox, and the text behind it.
type Named<'b> = (Cow<'b, [u8]>, &'b [u8]);

/// The mailbox that APPEND or REPLACE names, and what stands behind it in front of a literal.
///
/// `Ok(None)`: the literal is the name. `Err(())`: a syntax error.
pub(crate) fn append_mailbox(arguments: &[u8]) -> Result<Option<Named<'_>>, ()> {
    if arguments == b" " {
        return Ok(None);
    }
    preceded(sp, astring).parse(arguments).map(|(rest, mailbox)| Some((mailbox, rest))).map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, place: AppendPlace, literal: bool) -> Result<Vec<AppendItem<'_>>, AppendLineError> {
        append_line(text.as_bytes(), place, literal, 2).map(|line| line.items)
    }

    #[test]
    fn lines() {
        use AppendItem::{Begin, End, Message, Text, Url};
        let plain = AppendMessage { flags: Default::default(), date: None, utf8: false };
        let url = |text: &'static str| Url(text.as_bytes().into());
        let at = AppendPlace::Message;
        assert_eq!(
            read(" CATENATE (URL /a/;UID=1 url \"b\")", at, false),
            Ok(alloc::vec![Begin(plain.clone()), url("/a/;UID=1"), url("b"), End])
        );
        assert_eq!(read(" catenate (TEXT ", at, true), Ok(alloc::vec![Begin(plain.clone()), Text(false)]));
        assert_eq!(read(" URL x UTF8 (", AppendPlace::Part, true), Ok(alloc::vec![url("x"), Text(true)]));
        assert_eq!(read(") URL x)", AppendPlace::Utf8Part, false), Ok(alloc::vec![url("x"), End]));
        assert_eq!(read(") ", AppendPlace::Part, true), Ok(alloc::vec![End, Message(plain)]));
        assert_eq!(read("", at, false), Ok(alloc::vec![]));
        assert_eq!(read(" URL ", AppendPlace::Part, true), Err(AppendLineError::UrlIsLiteral));
        for (text, place, literal) in [
            (" CATENATE ()", at, false),
            (" CATENATE (TEXT )", at, false),
            (" CATENATE (URL a", at, false),
            (" CATENATE (URL a URL)", at, false),
            ("CATENATE (URL a)", at, false),
            (" CATENATE (URL a) ", at, false),
            ("URL a", AppendPlace::Part, false),
            (" TEXT", AppendPlace::Part, true),
            (" ) ", AppendPlace::Part, true),
        ] {
            assert_eq!(read(text, place, literal), Err(AppendLineError::Syntax), "{text}");
        }
    }
}
