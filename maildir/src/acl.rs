//! Who may do what with a mailbox (RFC 4314), in Dovecot's file `dovecot-acl`.
//!
//! ```text
//! owner lrwstipekxa
//! user=ann lrs
//! -group=guests w
//! "user=jo doe" lr :custom
//! ```
//!
//! A line has an identifier, with `-` in front where rights are taken away; letters; and behind a colon rights by name.

mod file;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

/// The lines with rights that a mailbox may have: who shares with everybody one by one has to use a group.
pub const ACL_ENTRIES_MAX: usize = 256;
const NAME_MAX: usize = 512;

/// Letters and names, as Dovecot has them. RFC 4314 §2.1 has the same letters.
const LETTERS: [(u8, &str); 11] = [
    (b'l', "lookup"),
    (b'r', "read"),
    (b'w', "write"),
    (b's', "write-seen"),
    (b't', "write-deleted"),
    (b'i', "insert"),
    (b'p', "post"),
    (b'e', "expunge"),
    (b'k', "create"),
    (b'x', "delete"),
    (b'a', "admin"),
];

/// A set of rights.
///
/// ```
/// use pillarbox_maildir::Rights;
///
/// let rights = Rights::parse("lrs")?;
/// assert!(rights.contains(Rights::parse("r")?) && !rights.contains(Rights::ADMIN));
/// assert_eq!(rights.to_string(), "lrs");
/// // What RFC 2086 called `c` and `d`.
/// assert_eq!(Rights::parse("cd")?.to_string(), "tekx");
/// # Ok::<(), pillarbox_maildir::AclError>(())
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights(u16);

/// Who is meant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Identifier {
    /// Everybody, logged in or not.
    Anyone,
    /// Everybody who is logged in.
    Authenticated,
    /// Everybody in a group.
    Group(String),
    /// The one whose mailbox it is.
    Owner,
    /// One user.
    User(String),
    /// Everybody in a group, whatever is said of the user alone.
    GroupOverride(String),
}

/// Who asks.
#[derive(Clone, Copy, Debug, Default)]
pub struct Who<'a> {
    /// The name that they logged in with; none: nobody did.
    pub user: Option<&'a str>,
    /// The groups that they are in.
    pub groups: &'a [&'a str],
    /// The mailbox is theirs.
    pub is_owner: bool,
}

/// What an identifier has, or what is taken from it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AclEntry {
    /// Who.
    pub identifier: Identifier,
    /// These rights are taken away.
    pub negative: bool,
    /// Which.
    pub rights: Rights,
    /// Rights of other programs, by name. They stay.
    pub others: Vec<String>,
}

/// How rights are changed (RFC 4314 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightsChange {
    /// These and no others.
    Replace(Rights),
    /// These as well.
    Add(Rights),
    /// These no more.
    Remove(Rights),
}

/// Why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AclError {
    /// A letter that stands for no right.
    #[error("there is no right `{0}`")]
    Right(char),
    /// A name that is empty, too long, or holds control characters.
    #[error("that cannot be the name of a user or a group")]
    Identifier,
    /// There are [`ACL_ENTRIES_MAX`] of them, or their names together are longer than a list may be.
    #[error("there are too many entries")]
    TooMany,
}

/// The list of a mailbox. Lines that say nothing of rights are kept as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl(Vec<Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Line {
    Entry(AclEntry),
    Comment(String),
}

impl Rights {
    /// None.
    pub const NONE: Rights = Rights(0);
    /// All that there are.
    pub const ALL: Rights = Rights((1 << LETTERS.len()) - 1);
    /// To see that there is such a mailbox: `l`.
    pub const LOOKUP: Rights = Rights(1);
    /// To change who may do what: `a`.
    pub const ADMIN: Rights = Rights(1 << 10);

    /// Reads letters (RFC 4314 §2.1); `c` and `d` of RFC 2086 stand for what they were split into.
    ///
    /// # Errors
    ///
    /// [`AclError::Right`] with the first letter that is none.
    pub fn parse(letters: &str) -> std::result::Result<Self, AclError> {
        letters.chars().try_fold(Rights::NONE, |all, letter| {
            let right = match letter {
                'c' => Rights::of("kx"),
                'd' => Rights::of("etx"),
                _ => u8::try_from(letter).ok().and_then(|letter| Rights::one(|known| known.0 == letter)),
            };
            right.map(|right| all.plus(right)).ok_or(AclError::Right(letter))
        })
    }

    /// True if all of `other` is among them.
    pub const fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Rights) -> Self {
        Rights(self.0 | other.0)
    }

    /// Without those of `other`.
    #[must_use]
    pub const fn minus(self, other: Rights) -> Self {
        Rights(self.0 & !other.0)
    }

    fn one(is: impl Fn(&(u8, &str)) -> bool) -> Option<Self> {
        LETTERS.iter().position(is).map(|bit| Rights(1 << bit))
    }

    fn of(letters: &str) -> Option<Self> {
        letters.bytes().try_fold(Rights::NONE, |all, letter| Some(all.plus(Rights::one(|known| known.0 == letter)?)))
    }
}

/// As letters.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = LETTERS.iter().enumerate().filter(|(bit, _)| self.0 & 1 << bit != 0);
        there.map(|(_, (letter, _))| char::from(*letter)).try_for_each(|letter| write!(f, "{letter}"))
    }
}

impl fmt::Debug for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rights({self})")
    }
}

impl Identifier {
    fn parse(text: &str) -> Option<Self> {
        let named = |prefix: &str| text.strip_prefix(prefix).map(str::to_owned);
        match text {
            "anyone" | "anonymous" => Some(Identifier::Anyone),
            "authenticated" => Some(Identifier::Authenticated),
            "owner" => Some(Identifier::Owner),
            _ => named("user=")
                .map(Identifier::User)
                .or_else(|| named("group=").map(Identifier::Group))
                .or_else(|| named("group-override=").map(Identifier::GroupOverride)),
        }
        .filter(Identifier::is_valid)
    }

    fn is_valid(&self) -> bool {
        match self {
            Identifier::Group(name) | Identifier::User(name) | Identifier::GroupOverride(name) => {
                !name.is_empty() && name.len() <= NAME_MAX && !name.chars().any(char::is_control)
            }
            _ => true,
        }
    }

    fn matches(&self, who: &Who<'_>) -> bool {
        match self {
            Identifier::Anyone => true,
            Identifier::Authenticated => who.user.is_some(),
            Identifier::Owner => who.is_owner,
            Identifier::User(name) => who.user == Some(name),
            Identifier::Group(name) | Identifier::GroupOverride(name) => who.groups.contains(&name.as_str()),
        }
    }

    /// Who is meant more closely says more.
    fn rank(&self) -> u8 {
        match self {
            Identifier::Anyone => 0,
            Identifier::Authenticated => 1,
            Identifier::Group(_) => 2,
            Identifier::Owner => 3,
            Identifier::User(_) => 4,
            Identifier::GroupOverride(_) => 5,
        }
    }
}

/// As it stands in the file.
impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identifier::Anyone => f.write_str("anyone"),
            Identifier::Authenticated => f.write_str("authenticated"),
            Identifier::Owner => f.write_str("owner"),
            Identifier::Group(name) => write!(f, "group={name}"),
            Identifier::User(name) => write!(f, "user={name}"),
            Identifier::GroupOverride(name) => write!(f, "group-override={name}"),
        }
    }
}

impl Acl {
    /// The entries, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = &AclEntry> {
        self.0.iter().filter_map(|line| match line {
            Line::Entry(entry) => Some(entry),
            Line::Comment(_) => None,
        })
    }

    /// What somebody may do. Of the kinds of identifiers that mean them, the last in the order of [`Identifier`] counts, as with
    /// Dovecot, and groups are put together. Then all is taken away that any entry takes from somebody who is meant by it (RFC 4314
    /// §2); Dovecot has only those of the closest kind take away, and leaves an owner what `-anyone` or a group takes.
    ///
    /// The owner begins with all rights, whatever everybody or a group has, and always may see the mailbox and change the list
    /// (RFC 4314 §2.1). Others begin with none.
    ///
    /// ```
    /// use pillarbox_maildir::{Acl, Who};
    ///
    /// let acl = Acl::parse(b"anyone l\nuser=ann lrs\n-user=ann s\n").unwrap();
    /// let ann = Who { user: Some("ann"), ..Who::default() };
    /// assert_eq!(acl.rights(&ann).to_string(), "lr");
    /// assert_eq!(acl.rights(&Who::default()).to_string(), "l");
    /// ```
    pub fn rights(&self, who: &Who<'_>) -> Rights {
        let begins = if who.is_owner { Identifier::Owner.rank() } else { 0 };
        let of = |negative: bool| {
            self.entries().filter(move |entry| entry.negative == negative && entry.identifier.matches(who))
        };
        let rank = of(false).map(|entry| entry.identifier.rank()).filter(|rank| *rank >= begins).max();
        let given = of(false).filter(|entry| Some(entry.identifier.rank()) == rank);
        let given = given.fold(None, |all: Option<Rights>, entry| Some(all.unwrap_or_default().plus(entry.rights)));
        let without = if who.is_owner { Rights::ALL } else { Rights::NONE };
        let rights = of(true).fold(given.unwrap_or(without), |left, entry| left.minus(entry.rights));
        if who.is_owner { rights.plus(Rights::LOOKUP).plus(Rights::ADMIN) } else { rights }
    }

    /// The same list, in which those who are meant have the names that `name` gives them. Entries that mean the same then become one:
    /// of those that give rights the closest kind counts, in the order of [`Identifier`]; what is taken away is put together. A name
    /// that can be nobody's changes nothing.
    ///
    /// ```
    /// use pillarbox_maildir::{Acl, Identifier};
    ///
    /// let acl = Acl::parse(b"user=Ann lr\nuser=ann s\n").unwrap();
    /// let named = acl.identified(|identifier| match identifier {
    ///     Identifier::User(name) => Identifier::User(name.to_lowercase()),
    ///     other => other.clone(),
    /// });
    /// assert_eq!(named.encode(), b"user=ann lrs\n");
    /// ```
    #[must_use]
    pub fn identified(&self, name: impl Fn(&Identifier) -> Identifier) -> Self {
        let mut acl = Acl::default();
        let mut known: HashMap<(Identifier, bool), (usize, u8)> = HashMap::new();
        for line in &self.0 {
            let Line::Entry(entry) = line else {
                acl.0.push(line.clone());
                continue;
            };
            let identifier = Some(name(&entry.identifier)).filter(Identifier::is_valid);
            let identifier = identifier.unwrap_or_else(|| entry.identifier.clone());
            let rank = entry.identifier.rank();
            let (at, before) = known.entry((identifier.clone(), entry.negative)).or_insert((acl.0.len(), rank));
            match acl.0.get_mut(*at) {
                Some(Line::Entry(same)) => {
                    same.rights = match rank.cmp(before) {
                        _ if entry.negative => same.rights.plus(entry.rights),
                        Ordering::Equal => same.rights.plus(entry.rights),
                        Ordering::Greater => entry.rights,
                        Ordering::Less => same.rights,
                    };
                    same.others.extend(entry.others.iter().cloned());
                    *before = rank.max(*before);
                }
                _ => acl.0.push(Line::Entry(AclEntry { identifier, ..entry.clone() })),
            }
        }
        acl
    }

    /// Reads a file; none if any of it cannot be understood.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut acl = Acl::default();
        let mut known: HashMap<(Identifier, bool), usize> = HashMap::new();
        for line in std::str::from_utf8(bytes).ok()?.split_terminator('\n') {
            if line.is_empty() || line.starts_with('#') {
                acl.0.push(Line::Comment(line.to_owned()));
                continue;
            }
            let entry = parse_line(line)?;
            let at = *known.entry((entry.identifier.clone(), entry.negative)).or_insert(acl.0.len());
            match acl.0.get_mut(at) {
                Some(Line::Entry(same)) => {
                    same.rights = same.rights.plus(entry.rights);
                    same.others.extend(entry.others);
                }
                _ => acl.0.push(Line::Entry(entry)),
            }
        }
        Some(acl)
    }

    /// The file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = String::new();
        for line in &self.0 {
            match line {
                Line::Comment(text) => out.push_str(text),
                Line::Entry(entry) => {
                    let id = format!("{}{}", if entry.negative { "-" } else { "" }, entry.identifier);
                    match id.contains([' ', '"']) {
                        true => out.push_str(&format!("\"{}\"", id.replace('\\', "\\\\").replace('"', "\\\""))),
                        false => out.push_str(&id),
                    }
                    out.push_str(&format!(" {}", entry.rights));
                    if !entry.others.is_empty() {
                        out.push_str(&format!(" :{}", entry.others.join(" ")));
                    }
                }
            }
            out.push('\n');
        }
        out.into_bytes()
    }

    fn find(&mut self, identifier: &Identifier, negative: bool) -> Option<&mut AclEntry> {
        self.0.iter_mut().find_map(|line| match line {
            Line::Entry(entry) if entry.identifier == *identifier && entry.negative == negative => Some(entry),
            _ => None,
        })
    }

    /// Changes the rights of an identifier, or with `negative` those that are taken from it. An identifier without an entry has no
    /// rights, but the owner, who [begins with all](Self::rights).
    ///
    /// # Errors
    ///
    /// [`AclError`], if the name can be nobody's or there are [`ACL_ENTRIES_MAX`] entries.
    ///
    /// ```
    /// use pillarbox_maildir::{Acl, Identifier, Rights, RightsChange};
    ///
    /// let mut acl = Acl::default();
    /// acl.set(&Identifier::Owner, false, RightsChange::Remove(Rights::parse("x")?))?;
    /// assert_eq!(acl.encode(), b"owner lrwstipeka\n");
    /// # Ok::<(), pillarbox_maildir::AclError>(())
    /// ```
    pub fn set(
        &mut self,
        identifier: &Identifier,
        negative: bool,
        change: RightsChange,
    ) -> std::result::Result<(), AclError> {
        if !identifier.is_valid() {
            return Err(AclError::Identifier);
        }
        let is_full = self.entries().count() >= ACL_ENTRIES_MAX;
        // RFC 4314 §3.1: added to the existing rights, or removed from them.
        let begins = if *identifier == Identifier::Owner && !negative { Rights::ALL } else { Rights::NONE };
        match self.find(identifier, negative) {
            Some(entry) => entry.rights = changed(entry.rights, change),
            None if matches!(change, RightsChange::Remove(_)) && begins == Rights::NONE => {}
            None if is_full => return Err(AclError::TooMany),
            None => {
                let (identifier, rights) = (identifier.clone(), changed(begins, change));
                self.0.push(Line::Entry(AclEntry { identifier, negative, rights, others: Vec::new() }));
            }
        }
        Ok(())
    }

    /// Removes an identifier's entry, or with `negative` the one that takes rights away.
    pub fn remove(&mut self, identifier: &Identifier, negative: bool) {
        self.0.retain(
            |line| !matches!(line, Line::Entry(entry) if entry.identifier == *identifier && entry.negative == negative),
        );
    }
}

fn changed(rights: Rights, change: RightsChange) -> Rights {
    match change {
        RightsChange::Replace(new) => new,
        RightsChange::Add(more) => rights.plus(more),
        RightsChange::Remove(less) => rights.minus(less),
    }
}

fn parse_line(line: &str) -> Option<AclEntry> {
    let (id, rest) = match line.strip_prefix('"') {
        Some(quoted) => unquote(quoted)?,
        None => match line.split_once(' ') {
            Some((id, rest)) => (id.to_owned(), rest),
            None => (line.to_owned(), ""),
        },
    };
    let (negative, id) = id.strip_prefix('-').map_or((false, id.as_str()), |id| (true, id));
    let identifier = Identifier::parse(id)?;
    let (letters, names) = rest.split_once(':').unwrap_or((rest, ""));
    let mut rights = Rights::of(letters.trim_matches([' ', '\t']))?;
    let mut others = Vec::new();
    for name in names.split([' ', '\t', ',']).filter(|name| !name.is_empty()) {
        match Rights::one(|known| known.1 == name) {
            Some(right) => rights = rights.plus(right),
            None if name.chars().any(char::is_control) => return None,
            None => others.push(name.to_owned()),
        }
    }
    Some(AclEntry { identifier, negative, rights, others })
}

/// What stands between quotes, of which the first was read, and what is behind them and a space.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut id = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (_, '\\') => id.push(chars.next()?.1),
            (at, '"') => {
                let rest = &text[at + 1..];
                return rest.strip_prefix(' ').or_else(|| rest.is_empty().then_some("")).map(|rest| (id, rest));
            }
            (_, c) => id.push(c),
        }
    }
}

#[cfg(test)]
mod tests;
