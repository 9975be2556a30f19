//! The name of a message in the queue.

use std::fmt;
use std::str::FromStr;

use pillarbox_core::WallTime;

/// The name of a message, as replies, notices and people use it: 16 letters and digits.
///
/// Names sort by the second in which the message came, and mostly by the order within it. The last six characters are drawn by
/// lot, so that nobody can name the message of somebody else; a name is still no secret.
///
/// ```
/// use pillarbox_core::WallTime;
/// use pillarbox_spool::MessageId;
///
/// let first = MessageId::new(WallTime::new(1_700_000_000, 0), 1, 0x1234_5678);
/// let later = MessageId::new(WallTime::new(1_700_000_001, 0), 0, 0);
/// assert_eq!(first.to_string(), "35afrg0001938nkr");
/// assert!(first < later && first.to_string() < later.to_string());
/// assert_eq!("35afrg0001938nkr".parse(), Ok(first));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId([u8; 10]);

/// Digits and small letters without those that are taken for one another, in the order of ASCII.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const LENGTH: usize = 16;

impl MessageId {
    /// A name made of the second of arrival (1970 to 2514; others are pulled to the nearest), a number that counts up within
    /// it, and the low 30 bits of a random number.
    pub fn new(received: WallTime, sequence: u16, random: u64) -> Self {
        let seconds = u128::from(received.unix_seconds().clamp(0, (1 << 34) - 1).unsigned_abs());
        let bits = seconds << 46 | u128::from(sequence) << 30 | u128::from(random & 0x3fff_ffff);
        let mut octets = [0; 10];
        octets.copy_from_slice(&bits.to_be_bytes()[6..]);
        MessageId(octets)
    }

    /// The name as it is stored: it sorts as the text does.
    pub const fn octets(self) -> [u8; 10] {
        self.0
    }

    /// The name from its stored form. Any ten octets are one.
    pub const fn from_octets(octets: [u8; 10]) -> Self {
        MessageId(octets)
    }

    /// When the message came, as the name says: in seconds since 1970.
    pub fn unix_seconds(self) -> i64 {
        i64::try_from(self.bits() >> 46).unwrap_or(i64::MAX)
    }

    fn bits(self) -> u128 {
        self.0.iter().fold(0, |bits, octet| bits << 8 | u128::from(*octet))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.bits();
        let mut text = [0; LENGTH];
        for (at, octet) in text.iter_mut().enumerate() {
            *octet = ALPHABET[(bits >> (5 * (LENGTH - 1 - at)) & 31) as usize];
        }
        f.pad(str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is not the name of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a message")]
pub struct NotAMessageId;

impl FromStr for MessageId {
    type Err = NotAMessageId;

    /// Reads what `Display` writes, and nothing else: one message has one name.
    fn from_str(text: &str) -> Result<Self, NotAMessageId> {
        if text.len() != LENGTH {
            return Err(NotAMessageId);
        }
        let mut bits = 0u128;
        for octet in text.bytes() {
            let digit = ALPHABET.iter().position(|known| *known == octet).ok_or(NotAMessageId)?;
            bits = bits << 5 | digit as u128;
        }
        let mut octets = [0; 10];
        octets.copy_from_slice(&bits.to_be_bytes()[6..]);
        Ok(MessageId(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_octets_are_a_name_that_is_read_again() {
        for octets in [[0; 10], [255; 10], *b"0123456789"] {
            let id = MessageId::from_octets(octets);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for wrong in
            ["", "35afrg000193nkr", "35afrg0001938nkr0", "35afrg0001938nkI", "35AFRG0001938NKR", "../../../../../.."]
        {
            assert_eq!(wrong.parse::<MessageId>(), Err(NotAMessageId), "{wrong}");
        }
    }

    #[test]
    fn names_sort_by_arrival() {
        let at = |seconds, sequence, random| MessageId::new(WallTime::new(seconds, 0), sequence, random);
        let sorted = [at(-5, 0, 0), at(1, 0, u64::MAX), at(1, 1, 0), at(2, 0, 0), at(i64::MAX, 0, 0)];
        assert!(sorted.is_sorted());
        assert!(sorted.map(|id| id.to_string()).is_sorted());
    }
}
