//! Who may do what with a mailbox: what is asked, and what is told (RFC 4314).

use alloc::string::String;
use core::fmt;

use crate::types::{Flag, MailboxName};

/// The letters of rights, in the order in which they are told (RFC 4314 §2.1).
const LETTERS: &[u8; 11] = b"lrswipkxtea";

/// A set of rights (RFC 4314 §2.1).
///
/// ```
/// use pillarbox_imap::acl::Rights;
///
/// let rights = Rights::parse("lrs").unwrap();
/// assert!(rights.contains(Rights::READ) && !rights.contains(Rights::ADMIN));
/// assert_eq!(rights.to_string(), "lrs");
/// // What RFC 2086 called `c` and `d` stands for several, and is told to its clients.
/// assert_eq!(Rights::parse("d").unwrap(), Rights::EXPUNGE | Rights::DELETE_MESSAGES);
/// assert_eq!(Rights::parse("lk").unwrap().told(), "lkc");
/// assert_eq!(Rights::parse("q"), None);
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Rights(u16);

impl Rights {
    /// None.
    pub const NONE: Rights = Rights(0);
    /// `l`: to see that there is such a mailbox.
    pub const LOOKUP: Rights = Rights(1);
    /// `r`: to select it, and read what is in it.
    pub const READ: Rights = Rights(1 << 1);
    /// `s`: to change `\Seen`.
    pub const SEEN: Rights = Rights(1 << 2);
    /// `w`: to change other flags than `\Seen` and `\Deleted`.
    pub const WRITE: Rights = Rights(1 << 3);
    /// `i`: to put messages into it.
    pub const INSERT: Rights = Rights(1 << 4);
    /// `p`: to send mail to it.
    pub const POST: Rights = Rights(1 << 5);
    /// `k`: to make mailboxes below it.
    pub const CREATE: Rights = Rights(1 << 6);
    /// `x`: to delete or rename it.
    pub const DELETE: Rights = Rights(1 << 7);
    /// `t`: to change `\Deleted`.
    pub const DELETE_MESSAGES: Rights = Rights(1 << 8);
    /// `e`: to expunge.
    pub const EXPUNGE: Rights = Rights(1 << 9);
    /// `a`: to see and change who may do what.
    pub const ADMIN: Rights = Rights(1 << 10);
    /// All that there are.
    pub const ALL: Rights = Rights((1 << LETTERS.len()) - 1);

    /// Reads letters. `c` stands for `k` and `x`, and `d` for `e` and `t` (RFC 4314 §2.1.1). `None` if one of them is no right here.
    pub fn parse(letters: &str) -> Option<Self> {
        letters.bytes().try_fold(Rights::NONE, |all, letter| {
            let rights = match letter {
                b'c' => Rights::CREATE | Rights::DELETE,
                b'd' => Rights::EXPUNGE | Rights::DELETE_MESSAGES,
                _ => Rights(1 << LETTERS.iter().position(|known| *known == letter)?),
            };
            Some(all | rights)
        })
    }

    /// True if all of `other` is among them.
    pub const fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if some of `other` is among them.
    pub const fn has_any(self, other: Rights) -> bool {
        self.0 & other.0 != 0
    }

    /// Without those of `other`.
    #[must_use]
    pub const fn minus(self, other: Rights) -> Self {
        Rights(self.0 & !other.0)
    }

    /// Each of them alone.
    pub fn each(self) -> impl Iterator<Item = Rights> {
        (0..LETTERS.len()).map(|bit| Rights(1 << bit)).filter(move |right| self.contains(*right))
    }

    /// The letters with `c` and `d` where one of those is there that they stand for, as RFC 4314 §2.1.1 wants them told.
    pub fn told(self) -> String {
        let mut letters = alloc::format!("{self}");
        letters.extend(self.has_any(Rights::CREATE | Rights::DELETE).then_some('c'));
        letters.extend(self.has_any(Rights::EXPUNGE | Rights::DELETE_MESSAGES).then_some('d'));
        letters
    }
}

impl core::ops::BitOr for Rights {
    type Output = Rights;

    fn bitor(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
}

/// The letters, without `c` and `d`.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = LETTERS.iter().enumerate().filter(|(bit, _)| self.0 & 1 << bit != 0);
        there.map(|(_, letter)| char::from(*letter)).try_for_each(|letter| write!(f, "{letter}"))
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({self})")
    }
}

/// The right that it takes to change a flag (RFC 4314 §4).
pub const fn right_to_change(flag: &Flag) -> Rights {
    match flag {
        Flag::Seen => Rights::SEEN,
        Flag::Deleted => Rights::DELETE_MESSAGES,
        _ => Rights::WRITE,
    }
}

/// How SETACL changes the rights of an identifier (RFC 4314 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightsChange {
    /// These and no others.
    Replace(Rights),
    /// These as well.
    Add(Rights),
    /// These no more.
    Remove(Rights),
}

impl RightsChange {
    /// Reads `+lr`, `-lr` or `lr`; `None` if a letter is no right.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix('+') {
            Some(more) => Rights::parse(more).map(RightsChange::Add),
            None => match text.strip_prefix('-') {
                Some(less) => Rights::parse(less).map(RightsChange::Remove),
                None => Rights::parse(text).map(RightsChange::Replace),
            },
        }
    }
}

/// One pair of an ACL: who has which rights, or with `-` in front of the name has them taken away (RFC 4314 §2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AclEntry {
    /// Who.
    pub identifier: String,
    /// Which.
    pub rights: Rights,
}

/// What an identifier can be granted (RFC 4314 §3.7). No right is in two of the sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grantable {
    /// What it has in any case.
    pub required: Rights,
    /// What it can be given; the rights of one set only together.
    pub optional: alloc::vec::Vec<Rights>,
}

/// A question about rights. A mailbox of which the user may not know is answered like one that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AclQuestion {
    /// SETACL. Answer: `Done`.
    Set {
        /// Of which mailbox.
        mailbox: MailboxName,
        /// Whose rights; `-` in front: those that are taken away.
        identifier: String,
        /// To what.
        change: RightsChange,
    },
    /// DELETEACL: the pair of this very identifier goes. Answer: `Done`.
    Delete {
        /// Of which mailbox.
        mailbox: MailboxName,
        /// Whose.
        identifier: String,
    },
    /// GETACL. Answer: `Acl`.
    List(MailboxName),
    /// LISTRIGHTS. Answer: `Grantable`.
    Grantable {
        /// In which mailbox.
        mailbox: MailboxName,
        /// To whom.
        identifier: String,
    },
    /// MYRIGHTS. Answer: `Rights`.
    Mine(MailboxName),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_letters_stand_for_several() {
        for (letters, rights, told) in [
            ("", "", ""),
            ("lrswipkxtea", "lrswipkxtea", "lrswipkxteacd"),
            ("c", "kx", "kxc"),
            ("d", "te", "ted"),
            ("xlt", "lxt", "lxtcd"),
            ("aa", "a", "a"),
        ] {
            let read = Rights::parse(letters).unwrap();
            assert_eq!((alloc::format!("{read}").as_str(), read.told().as_str()), (rights, told), "{letters}");
        }
        for wrong in ["q", "L", "l r", "0", "é", "+l"] {
            assert_eq!(Rights::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn changes() {
        let rights = Rights::parse("lr").unwrap();
        assert_eq!(RightsChange::parse("+rl"), Some(RightsChange::Add(rights)));
        assert_eq!(RightsChange::parse("-rl"), Some(RightsChange::Remove(rights)));
        assert_eq!(RightsChange::parse("rl"), Some(RightsChange::Replace(rights)));
        assert_eq!(RightsChange::parse(""), Some(RightsChange::Replace(Rights::NONE)));
        for wrong in ["++l", "-+l", "+L", "lq", "- l"] {
            assert_eq!(RightsChange::parse(wrong), None, "{wrong}");
        }
    }
}
