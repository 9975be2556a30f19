//! How many annotations a mailbox may have, and who may hold how many of them.

use super::EntryName;

/// The entries that a mailbox may have, or an account, for all its users together.
pub const ENTRIES_MAX: usize = 256;
/// The octets that they may take, as [`Shares::count`] counts them. Not every entry can be as large as one may be.
pub const OCTETS_MAX: usize = 4 << 20;
/// The part of both that is kept for the owner: one in so many. As much may lie above the limits where others had used up all
/// before there was such a part.
pub const OWNER_PART: usize = 4;
/// The part of both that one user who is not the owner may hold, private and shared entries together: one in so many.
const USER_PART: usize = 8;
/// The part of both that the private entries of one user may be, also of the owner: one in so many.
const PRIVATE_PART: usize = 4;
/// What an entry takes beside its name, the name of its holder and its value: lengths and line ends.
const OVERHEAD: usize = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    entries: usize,
    octets: usize,
}

impl Sum {
    fn part(of: usize) -> Sum {
        Sum { entries: ENTRIES_MAX / of, octets: OCTETS_MAX / of }
    }

    fn add(&mut self, octets: usize) {
        self.entries += 1;
        self.octets += octets;
    }

    /// Whether this is no more than `max`, or at least no more than it was: what is too much can always become less.
    fn fits(self, max: Sum, before: Sum) -> bool {
        let fits = |now, max, before| now <= max || now <= before;
        fits(self.entries, max.entries, before.entries) && fits(self.octets, max.octets, before.octets)
    }
}

/// What is held of the annotations of a mailbox when somebody changes some of them.
///
/// Whoever set an entry last holds it. One user who may set shared entries can then neither take what is left for the others nor
/// what is the owner's: a quarter is the owner's alone, and nobody else holds more than an eighth.
///
/// ```
/// use pillarbox_core::annotation::{EntryName, Shares};
///
/// let names: Vec<_> = (0..40).map(|n| EntryName::parse(&format!("/shared/{n}")).unwrap()).collect();
/// let held_by = |holder, count| {
///     let mut shares = Shares::new(holder, "ann");
///     names[..count].iter().for_each(|name| shares.count(name, holder, 5));
///     shares
/// };
/// assert!(held_by("bob", 32).may_follow(&held_by("bob", 0)));
/// assert!(!held_by("bob", 33).may_follow(&held_by("bob", 32)), "that is more than one may hold");
/// assert!(held_by("bob", 33).may_follow(&held_by("bob", 34)), "it is less than before");
/// assert!(held_by("ann", 40).may_follow(&held_by("ann", 0)), "they are the owner's");
/// ```
#[derive(Clone, Debug)]
pub struct Shares<'a> {
    writer: &'a str,
    owner: &'a str,
    all: Sum,
    /// What the owner does not hold.
    others: Sum,
    /// What the writer holds.
    own: Sum,
    /// What of that is private.
    private: Sum,
}

impl<'a> Shares<'a> {
    /// Of a mailbox of `owner` in which `writer` changes something. Nothing is counted yet.
    pub fn new(writer: &'a str, owner: &'a str) -> Self {
        let none = Sum::default();
        Shares { writer, owner, all: none, others: none, own: none, private: none }
    }

    /// Counts an entry with a value of so many octets. An empty `holder` is nobody: it is not known who set it.
    pub fn count(&mut self, name: &EntryName, holder: &str, value: usize) {
        let octets = name.as_str().len() + holder.len() + value + OVERHEAD;
        self.all.add(octets);
        if holder.is_empty() || holder != self.owner {
            self.others.add(octets);
        }
        if !holder.is_empty() && holder == self.writer {
            self.own.add(octets);
            if name.is_private() {
                self.private.add(octets);
            }
        }
    }

    /// Whether the change is allowed that makes this of what was there before.
    pub fn may_follow(&self, before: &Shares<'_>) -> bool {
        let all = Sum::part(1);
        let fits_all = self.all.fits(all, before.all);
        let fits_alone = self.private.fits(Sum::part(PRIVATE_PART), before.private);
        if self.writer == self.owner && !self.writer.is_empty() {
            let share = Sum::part(OWNER_PART);
            let is_in_share = self.own.entries <= share.entries && self.own.octets <= share.octets;
            return fits_alone && (fits_all || is_in_share);
        }
        let kept = Sum::part(OWNER_PART);
        let for_others = Sum { entries: all.entries - kept.entries, octets: all.octets - kept.octets };
        fits_alone
            && fits_all
            && self.others.fits(for_others, before.others)
            && self.own.fits(Sum::part(USER_PART), before.own)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    use super::*;

    /// Entries with their holders and the octets of their values.
    type Held = BTreeMap<String, (String, usize)>;

    fn shares<'a>(held: &Held, writer: &'a str) -> Shares<'a> {
        let mut shares = Shares::new(writer, "ann");
        for (name, (holder, value)) in held {
            shares.count(&EntryName::parse(name).unwrap(), holder, *value);
        }
        shares
    }

    /// Sets an entry, if that is allowed.
    fn set(held: &mut Held, writer: &str, name: &str, value: usize) -> bool {
        let mut changed = held.clone();
        changed.insert(name.to_string(), (writer.to_string(), value));
        let allowed = shares(&changed, writer).may_follow(&shares(held, writer));
        if allowed {
            *held = changed;
        }
        allowed
    }

    fn fill(held: &mut Held, writer: &str, value: usize) -> usize {
        (0..300).filter(|n| set(held, writer, &format!("/shared/{writer}/{n}"), value)).count()
    }

    #[test]
    fn nobody_uses_up_what_others_have() {
        for (value, one) in [(1, 32), (60_000, 8)] {
            let mut held = Held::new();
            assert_eq!(fill(&mut held, "bob", value), one);
            assert!(!set(&mut held, "bob", "/private/x", value), "private ones count with the others");
            let guests = ["eve", "joe", "kim", "lee", "moe", "ned"].map(|guest| fill(&mut held, guest, value));
            assert_eq!(guests[..4], [one; 4], "{value}");
            // All of them together leave the owner a quarter, in entries and in octets.
            assert!(fill(&mut held, "ann", value) >= one * 2, "{value}");
        }
    }

    #[test]
    fn the_owner_may_use_up_what_is_left() {
        let mut held = Held::new();
        assert_eq!(fill(&mut held, "ann", 1), ENTRIES_MAX);
        assert_eq!(fill(&mut held, "bob", 1), 0);
        assert!(set(&mut held, "bob", "/shared/ann/0", 1), "it was the owner's, and is no more than there were");
    }

    #[test]
    fn one_user_has_so_many_in_private() {
        let mut held = Held::new();
        assert_eq!((0..100).filter(|n| set(&mut held, "ann", &format!("/private/{n}"), 1)).count(), 64);
    }

    /// Of what was there before it was known who held what.
    #[test]
    fn what_nobody_holds_does_not_shut_out_the_owner() {
        let all = (0..ENTRIES_MAX).map(|n| (format!("/shared/old/{n}"), (String::new(), 1)));
        let mut held: Held = all.collect();
        assert_eq!(fill(&mut held, "bob", 1), 0);
        assert_eq!(fill(&mut held, "ann", 1), 64);
        let names: Vec<String> = held.keys().filter(|name| name.contains("old")).cloned().collect();
        for name in &names[..100] {
            let mut less = held.clone();
            less.remove(name);
            assert!(shares(&less, "bob").may_follow(&shares(&held, "bob")), "what is too much can become less");
            held = less;
        }
        assert_eq!(fill(&mut held, "bob", 1), 32);
    }
}
