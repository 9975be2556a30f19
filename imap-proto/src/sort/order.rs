//! Messages put in order.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::SortKeys;
use crate::types::Uid;

/// The most criteria that a command may give.
pub const CRITERIA_MAX: usize = 12;

/// What messages can be sorted by (RFC 5256 §3, RFC 5957 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SortKey {
    /// INTERNALDATE, with its time.
    Arrival,
    /// The mailbox of the first address in Cc.
    Cc,
    /// The Date field; INTERNALDATE where it cannot be read.
    Date,
    /// What is shown of the first address in From: its name, or the address itself.
    DisplayFrom,
    /// The same of To.
    DisplayTo,
    /// The mailbox of the first address in From.
    From,
    /// Octets.
    Size,
    /// The base subject.
    Subject,
    /// The mailbox of the first address in To.
    To,
}

impl SortKey {
    /// As the command spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            SortKey::Arrival => "ARRIVAL",
            SortKey::Cc => "CC",
            SortKey::Date => "DATE",
            SortKey::DisplayFrom => "DISPLAYFROM",
            SortKey::DisplayTo => "DISPLAYTO",
            SortKey::From => "FROM",
            SortKey::Size => "SIZE",
            SortKey::Subject => "SUBJECT",
            SortKey::To => "TO",
        }
    }

    /// Whether the header tells it.
    pub const fn is_of_header(self) -> bool {
        !matches!(self, SortKey::Arrival | SortKey::Size)
    }

    /// Which of the texts of [`SortKeys`] it is.
    const fn text(self) -> usize {
        match self {
            SortKey::From => 1,
            SortKey::To => 2,
            SortKey::Cc => 3,
            SortKey::DisplayFrom => 4,
            SortKey::DisplayTo => 5,
            _ => 0,
        }
    }
}

/// One criterion of a sort program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SortCriterion {
    /// What is compared.
    pub key: SortKey,
    /// The other way round.
    pub reverse: bool,
}

/// Puts messages in order.
///
/// Takes 24 octets for each message and criterion, some 20 more for each message, and the texts that are compared.
///
/// ```
/// use pillarbox_imap::sort::{SortCriterion, SortKey, SortKeys, Sorter, write_sort_keys};
/// use pillarbox_imap::types::Uid;
///
/// let mut sorter = Sorter::new(&[SortCriterion { key: SortKey::Subject, reverse: false }]);
/// for (uid, subject) in [(1, "Re: pears"), (2, "apples"), (3, "Pears")] {
///     let mut octets = Vec::new();
///     write_sort_keys(format!("Subject: {subject}\r\n\r\n").as_bytes(), &mut octets);
///     sorter.add(Uid::new(uid).unwrap(), 0, 0, SortKeys::read(&octets));
/// }
/// assert_eq!(sorter.finish().iter().map(|uid| uid.get()).collect::<Vec<_>>(), [2, 1, 3]);
/// ```
#[derive(Clone, Debug)]
pub struct Sorter {
    criteria: Vec<SortCriterion>,
    uids: Vec<Uid>,
    /// For each message one for each criterion.
    values: Vec<Value>,
    texts: Vec<u8>,
}

/// What is compared of a message: a number, or a text.
#[derive(Clone, Copy, Debug)]
struct Value {
    /// The number, or the first octets of the text, which mostly settle it.
    head: u64,
    /// Where the text is.
    start: usize,
    len: u16,
}

impl Sorter {
    /// For these criteria. One that was there before settles nothing more and is left out.
    pub fn new(criteria: &[SortCriterion]) -> Self {
        let mut unique: Vec<SortCriterion> = Vec::new();
        for criterion in criteria {
            if !unique.iter().any(|known| known.key == criterion.key) {
                unique.push(*criterion);
            }
        }
        Sorter { criteria: unique, uids: Vec::new(), values: Vec::new(), texts: Vec::new() }
    }

    /// Adds a message. UIDs rise: messages that are equal otherwise stay in this order. `arrival` is its INTERNALDATE in seconds
    /// since 1970, which counts also where the keys have no date; `size` its octets. What no criterion asks for may be 0 or none.
    pub fn add(&mut self, uid: Uid, arrival: i64, size: u64, keys: Option<SortKeys<'_>>) {
        let number = |number: i64| (number as u64) ^ (1 << 63);
        for criterion in &self.criteria {
            let (head, text) = match criterion.key {
                SortKey::Arrival => (number(arrival), &[][..]),
                SortKey::Size => (size, &[][..]),
                SortKey::Date => (number(keys.and_then(|keys| keys.sent).unwrap_or(arrival)), &[][..]),
                key => {
                    let text = keys.map_or(&[][..], |keys| keys.texts[key.text()]);
                    let mut head = [0; 8];
                    let len = text.len().min(head.len());
                    head[..len].copy_from_slice(&text[..len]);
                    (u64::from_be_bytes(head), text)
                }
            };
            // Keys cut their texts, so this number fits.
            self.values.push(Value { head, start: self.texts.len(), len: text.len() as u16 });
            self.texts.extend_from_slice(text);
        }
        self.uids.push(uid);
    }

    /// The messages in their order.
    pub fn finish(self) -> Vec<Uid> {
        let each = self.criteria.len();
        let Some(first) = self.criteria.first() else { return self.uids };
        let flip = if first.reverse { u64::MAX } else { 0 };
        // What is compared first stands beside the number of the message: most pairs need no more.
        let mut order: Vec<(u64, u32)> =
            (0..self.uids.len()).map(|at| (self.values[at * each].head ^ flip, at as u32)).collect();
        order.sort_unstable_by(|one, other| one.0.cmp(&other.0).then_with(|| self.compare(one.1, other.1)));
        order.into_iter().map(|(_, at)| self.uids[at as usize]).collect()
    }

    fn compare(&self, one: u32, other: u32) -> Ordering {
        let of = |at: u32| &self.values[at as usize * self.criteria.len()..][..self.criteria.len()];
        let text = |value: &Value| &self.texts[value.start..][..usize::from(value.len)];
        for (criterion, (a, b)) in self.criteria.iter().zip(of(one).iter().zip(of(other))) {
            #[cfg(test)]
            crate::steps::count(1 + if a.head == b.head { usize::from(a.len.min(b.len)) } else { 0 });
            let order = a.head.cmp(&b.head).then_with(|| text(a).cmp(text(b)));
            match if criterion.reverse { order.reverse() } else { order } {
                Ordering::Equal => {}
                order => return order,
            }
        }
        one.cmp(&other)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::String;

    use super::*;
    use crate::sort::write_sort_keys;

    fn sorted(criteria: &[SortCriterion], headers: impl Iterator<Item = String>) -> Vec<Uid> {
        let mut sorter = Sorter::new(criteria);
        for (uid, header) in (1..).filter_map(Uid::new).zip(headers) {
            let mut octets = Vec::new();
            write_sort_keys(header.as_bytes(), &mut octets);
            sorter.add(uid, 0, 0, SortKeys::read(&octets));
        }
        sorter.finish()
    }

    /// Whoever fills a mailbox with headers that are alike, in whatever order, costs no more than others.
    #[test]
    fn what_is_made_to_take_long_does_not() {
        use SortKey::*;
        let keys = [Subject, From, To, Cc, DisplayFrom, DisplayTo, Date, Arrival, Size];
        let criteria = keys.map(|key| SortCriterion { key, reverse: key == From });
        let long = "x".repeat(2000);
        /// What a message is like, by its number and how many there are.
        type Shape<'s> = (&'s str, &'s dyn Fn(usize, usize) -> usize);
        let shapes: [Shape<'_>; 6] = [
            ("all alike", &|_, _| 7),
            ("in order", &|at, _| at),
            ("from its end", &|at, all| all - at),
            ("up and down", &|at, all| at.min(all - at)),
            ("two of them in turn", &|at, _| at % 2),
            ("in no order", &|at, all| at * 7919 % all),
        ];
        for (what, shape) in shapes {
            crate::steps::assert_linear_logarithmic(what, 1_000, |count| {
                let headers = (0..count).map(|at| {
                    let number = shape(at, count);
                    // What differs stands at the end of what counts.
                    let text = format!("{}{number:08}", &long[..500]);
                    format!("Subject: {text}\r\nFrom: {text}@x\r\nTo: {text}@x\r\nCc: {long}@x\r\n\r\n")
                });
                assert_eq!(sorted(&criteria, headers).len(), count, "{what}");
            });
        }
    }
}
