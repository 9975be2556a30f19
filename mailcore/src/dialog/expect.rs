//! Comparing output with the lines that expect it.

use super::file::{Expect, Piece, literal_length};
use super::pattern::{Bindings, Pattern};
use super::text::quote;

/// What a machine sent, and how much of it the file has accounted for.
#[derive(Clone, Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    taken: usize,
}

impl Output {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn left(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }

    /// The first line that is not accounted for, in words.
    pub(super) fn first_line(&self) -> Option<String> {
        let left = self.left();
        let end = line_end(left).unwrap_or(left.len());
        (!left.is_empty()).then(|| show(&left[..end]))
    }

    /// A line since the last [`Output::forget`] that fits.
    pub(super) fn finds(&self, pattern: &Pattern) -> Option<String> {
        let mut rest = self.bytes.as_slice();
        while let Some(end) = line_end(rest) {
            if pattern.fits(&rest[..end - 2], &mut Bindings::default()) {
                return Some(show(&rest[..end]));
            }
            rest = &rest[end..];
        }
        None
    }

    /// Forgets what was accounted for.
    pub(super) fn forget(&mut self) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
    }
}

/// Takes from the output what a line expects; the error says what stands there instead, if anything.
pub(super) fn take_expected(
    expect: &Expect,
    output: &mut Output,
    bindings: &mut Bindings,
) -> Result<(), Option<String>> {
    let taken = match expect {
        Expect::Piece(piece) => {
            let instead = || output.first_line().map(|line| format!("this came instead: {line}"));
            piece_length(piece, output.left(), bindings).ok_or_else(instead)?
        }
        Expect::Group => group(output.left()).0,
        Expect::Block { items, open } => block_length(items, *open, output.left(), bindings).map_err(Some)?,
    };
    output.taken += taken;
    Ok(())
}

/// Whether enough has come to compare it with what a line expects; `followed` if another line expects more behind it.
pub(super) fn is_decided(expect: &Expect, output: &[u8], followed: bool) -> bool {
    match expect {
        Expect::Piece(Piece::Line(_)) => line_end(output).is_some(),
        Expect::Piece(Piece::Raw(bytes)) => output.len() >= bytes.len() || !bytes.starts_with(output),
        Expect::Group => {
            let (length, is_over) = group(output);
            // Nothing marks the end of a run of untagged responses but what comes behind it.
            is_over || !followed && length > 0 && output.starts_with(b"* ")
        }
        Expect::Block { items, open } => {
            let (mut count, mut length) = (0, 0);
            while let Some(next) = response_length(&output[length..]) {
                if *open && !output[length..].starts_with(b"* ") {
                    return true;
                }
                count += 1;
                length += next;
            }
            count >= items.len() && !(*open && followed)
        }
    }
}

/// Whether a line of the machine says exactly this line.
pub(super) fn says(piece: &Piece, line: &[u8], bindings: &mut Bindings) -> bool {
    piece_length(piece, line, bindings) == Some(line.len())
}

fn show(line: &[u8]) -> String {
    match line.strip_suffix(b"\r\n").map(std::str::from_utf8) {
        Some(Ok(text)) if !text.chars().any(char::is_control) => text.into(),
        _ => quote(line),
    }
}

/// Where the first line ends, behind its CRLF.
fn line_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\r\n").map(|at| at + 2)
}

fn piece_length(piece: &Piece, output: &[u8], bindings: &mut Bindings) -> Option<usize> {
    match piece {
        Piece::Line(pattern) => {
            let end = line_end(output)?;
            pattern.fits(&output[..end - 2], bindings).then_some(end)
        }
        Piece::Raw(bytes) => output.starts_with(bytes).then_some(bytes.len()),
    }
}

/// The length of the first response: a line, with the literals in it if it is untagged (RFC 9051 §4.3).
pub(super) fn response_length(output: &[u8]) -> Option<usize> {
    let mut length = 0;
    loop {
        let end = length + line_end(&output[length..])?;
        let literal = literal_length(&output[length..end - 2]).filter(|_| output.starts_with(b"* "));
        length = end;
        match literal {
            Some(n) if n <= output.len() - length => length += n,
            Some(_) => return None,
            None => return Some(length),
        }
    }
}

/// The rest of a reply of several lines (`250-` up to and with `250 `), or a run of untagged responses: its length, and
/// whether its end is there.
fn group(output: &[u8]) -> (usize, bool) {
    let mut length = 0;
    while let Some(next) = response_length(&output[length..]) {
        let line = &output[length..length + next];
        let is_reply = line.len() >= 4 && line[..3].iter().all(u8::is_ascii_digit);
        if output.starts_with(b"* ") {
            if !line.starts_with(b"* ") {
                return (length, true);
            }
        } else if is_reply && line[3] == b' ' {
            return (length + next, true);
        } else if !(is_reply && line[3] == b'-') {
            return (length, true);
        }
        length += next;
    }
    (length, false)
}

/// The length of the responses that a block accounts for, in whatever order they came.
fn block_length(items: &[Vec<Piece>], open: bool, output: &[u8], bindings: &mut Bindings) -> Result<usize, String> {
    let mut responses = Vec::new();
    let mut length = 0;
    while let Some(next) = response_length(&output[length..]) {
        let response = &output[length..length + next];
        if open && !response.starts_with(b"* ") || !open && responses.len() == items.len() {
            break;
        }
        responses.push(response);
        length += next;
    }
    let mut free = vec![true; responses.len()];
    let mut furthest = 0;
    match assign(items, 0, &responses, &mut free, bindings, &mut furthest) {
        true => Ok(length),
        false => Err(format!(
            "the block's response number {} is not among these: {}",
            furthest + 1,
            responses.iter().map(|response| show(response)).collect::<Vec<_>>().join(" / ")
        )),
    }
}

/// Gives each item a response of its own; what names bind to may force an earlier choice to be changed.
fn assign(
    items: &[Vec<Piece>],
    at: usize,
    responses: &[&[u8]],
    free: &mut [bool],
    bindings: &mut Bindings,
    furthest: &mut usize,
) -> bool {
    *furthest = at.max(*furthest);
    let Some(item) = items.get(at) else { return true };
    for (index, response) in responses.iter().enumerate() {
        if !free[index] {
            continue;
        }
        let mut attempt = bindings.clone();
        if !item_fits(item, response, &mut attempt) {
            continue;
        }
        free[index] = false;
        if assign(items, at + 1, responses, free, &mut attempt, furthest) {
            *bindings = attempt;
            return true;
        }
        free[index] = true;
    }
    false
}

fn item_fits(item: &[Piece], response: &[u8], bindings: &mut Bindings) -> bool {
    let mut rest = response;
    for piece in item {
        match piece_length(piece, rest, bindings) {
            Some(length) => rest = &rest[length..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_end_where_the_reply_ends() {
        assert_eq!(group(b"250-a\r\n250 b\r\n250 c\r\n"), (14, true));
        assert_eq!(group(b"250-a\r\n250-b\r\n250"), (14, false));
        assert_eq!(group(b"* 1 EXISTS\r\n* 2 FETCH (BODY[] {4}\r\na\r\nb)\r\nt OK\r\n"), (42, true));
        assert_eq!(group(b"t OK\r\n"), (0, true));
        assert_eq!(group(b""), (0, false));
    }

    #[test]
    fn a_response_takes_its_literals_along() {
        assert_eq!(response_length(b"* X {2}\r\nab {1}\r\nc)\r\nrest\r\n"), Some(21));
        assert_eq!(response_length(b"* X {9}\r\nab"), None);
        // An SMTP reply has no literals, whatever its text looks like.
        assert_eq!(response_length(b"250 {9}\r\nab"), Some(9));
    }
}
