//! The content of a message, on its way to whoever asks for it.

use pillarbox::mailcore::header;
use pillarbox::outbound::spool::{Body, MessageId, StoreError};

use super::protocol::Part;

/// Octets that go in one line of an answer.
const PIECE: usize = 64 * 1024;
/// Octets in which a header ends, or is cut.
const HEADER_MAX: usize = 1 << 20;

/// Reads a message piece by piece. Blocks.
pub struct Pieces {
    id: MessageId,
    body: Body,
    at: u64,
    end: u64,
}

impl Pieces {
    pub fn of(id: MessageId, body: Body, part: Part) -> Result<Self, StoreError> {
        let end = match part {
            Part::Content => body.len(),
            Part::Header => {
                let begin = read(&body, 0, HEADER_MAX)?;
                let (header, _) = header::split(&begin);
                // Without the empty line that ends it.
                let len = header.len();
                let end = [&b"\r\n\r\n"[..], b"\n\n"].into_iter().find(|end| begin[..len].ends_with(end));
                (len - end.map_or(0, |end| end.len() / 2)) as u64
            }
        };
        Ok(Pieces { id, body, at: 0, end })
    }

    /// The next one, as text; `None` at the end.
    pub fn next(&mut self) -> Result<Option<String>, StoreError> {
        let rest = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let octets = read(&self.body, self.at, rest.min(PIECE))?;
        if octets.len() < rest.min(PIECE) {
            // Half a message must not pass for a whole one.
            return Err(StoreError::Damaged(self.id, "its content ends too soon"));
        }
        self.at += octets.len() as u64;
        Ok((!octets.is_empty()).then(|| encode(&octets)))
    }
}

fn read(body: &Body, from: u64, most: usize) -> Result<Vec<u8>, StoreError> {
    let length = usize::try_from(body.len().saturating_sub(from)).unwrap_or(usize::MAX).min(most);
    let mut octets = vec![0; length];
    let mut filled = 0;
    while filled < octets.len() {
        match body.read_at(from + filled as u64, &mut octets[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    octets.truncate(filled);
    Ok(octets)
}

/// Any octets as text: each is the character of its number.
fn encode(octets: &[u8]) -> String {
    octets.iter().copied().map(char::from).collect()
}

/// And back; what is no octet becomes a question mark.
pub fn decode(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)), all);
        assert_eq!(decode("a\u{20ac}"), b"a?");
    }
}
