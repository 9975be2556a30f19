//! Annotations of a mailbox and of the account (RFC 5464), in files of our own: `pillarbox-metadata` in the mailbox, and
//! `pillarbox-account-metadata` in the root.
//!
//! ```text
//! pillarbox-metadata 2 2
//! /private/comment 3 5
//! joehello
//! /shared/comment 3 4
//! anna b
//! ```
//!
//! The first line tells the version and how many entries there are; each has a line with its name, the octets of the user who set it
//! last and those of its value, and then these octets and a line end. Version 1 did not tell who set a shared entry: it is read,
//! and what nobody is known to have set has no user. A file that is anything else was damaged, and is set aside at the next change.

use std::collections::BTreeMap;

use pillarbox_core::annotation::{ENTRIES_MAX, OCTETS_MAX, OWNER_PART, Shares};
pub use pillarbox_core::annotation::{EntryName, EntryNameError};

use crate::sidecar::{Found, Sidecar};
use crate::{Maildir, MaildirError, Result, Tree};

const HEAD: &str = "pillarbox-metadata 2 ";
/// Before it was told who set shared entries.
const OLD_HEAD: &str = "pillarbox-metadata 1 ";

/// The octets that a value may have; MAXSIZE of RFC 5464 §4.3.
pub const METADATA_VALUE_MAX: usize = 64 << 10;
/// The entries that a mailbox, or the account, may have for all its users together. A quarter of them is the owner's alone, and
/// nobody else holds more than an eighth: see [`Shares`](pillarbox_core::annotation::Shares).
pub const METADATA_ENTRIES_MAX: usize = ENTRIES_MAX;
const USER_MAX: usize = 1024;
/// The octets of a file: what all may have, what is kept for the owner where others had used up all before, and the first line.
const FILE_MAX: usize = OCTETS_MAX + OCTETS_MAX / OWNER_PART + 64;

/// All entries of a mailbox, or of the account: by their names and, where they are private, whose they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(BTreeMap<(EntryName, String), Held>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    /// Who set it last; empty where that is not known.
    holder: String,
    value: Vec<u8>,
}

/// Why an annotation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// A value larger than [`METADATA_VALUE_MAX`]: `NO [METADATA MAXSIZE n]`.
    #[error("the annotation is too large")]
    TooLarge,
    /// More entries than [`METADATA_ENTRIES_MAX`], or than this user may hold, or all of them too large together:
    /// `NO [METADATA TOOMANY]`.
    #[error("there are too many annotations")]
    TooMany,
    /// Nothing can be called so, only be somewhere below (RFC 5464 §3.2).
    #[error("there can be no annotation of that name")]
    Name,
    /// A private entry is nobody's, or the name of the user is longer than anybody's.
    #[error("that cannot be whose annotation it is")]
    User,
}

/// A shared value belongs to nobody.
fn key(name: &EntryName, user: &str) -> (EntryName, String) {
    (name.clone(), if name.is_private() { user.to_owned() } else { String::new() })
}

impl Metadata {
    /// The value of an entry as this user sees it.
    pub fn value(&self, user: &str, entry: &EntryName) -> Option<&[u8]> {
        self.0.get(&key(entry, user)).map(|held| held.value.as_slice())
    }

    /// The entries that this user sees, by name: the shared ones and their own.
    pub fn entries<'a>(&'a self, user: &'a str) -> impl Iterator<Item = (&'a EntryName, &'a [u8])> {
        let seen = move |(name, of): &&(EntryName, String)| !name.is_private() || of == user;
        self.0.iter().filter(move |(key, _)| seen(key)).map(|((name, _), held)| (name, held.value.as_slice()))
    }

    /// How many entries there are, of all users.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn set(
        &mut self,
        user: &str,
        owner: &str,
        changes: &[(EntryName, Option<&[u8]>)],
    ) -> std::result::Result<(), MetadataError> {
        let needs_user = changes.iter().any(|(name, _)| name.is_private());
        if user.len() > USER_MAX || user.is_empty() && needs_user {
            return Err(MetadataError::User);
        }
        let before = self.shares(user, owner);
        for (name, value) in changes {
            match value {
                _ if !name.can_hold_value() => return Err(MetadataError::Name),
                Some(value) if value.len() > METADATA_VALUE_MAX => return Err(MetadataError::TooLarge),
                Some(value) => {
                    let held = Held { holder: user.to_owned(), value: value.to_vec() };
                    self.0.insert(key(name, user), held);
                }
                None => drop(self.0.remove(&key(name, user))),
            }
        }
        match self.shares(user, owner).may_follow(&before) {
            true => Ok(()),
            false => Err(MetadataError::TooMany),
        }
    }

    fn shares<'a>(&self, writer: &'a str, owner: &'a str) -> Shares<'a> {
        let mut shares = Shares::new(writer, owner);
        for ((name, _), Held { holder, value }) in &self.0 {
            shares.count(name, holder, value.len());
        }
        shares
    }

    fn encode(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut out = format!("{HEAD}{}\n", self.0.len()).into_bytes();
        for ((name, _), Held { holder, value }) in &self.0 {
            out.extend_from_slice(format!("{name} {} {}\n{holder}", holder.len(), value.len()).as_bytes());
            out.extend_from_slice(value);
            out.push(b'\n');
        }
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = line(bytes)?;
        let (is_old, count) = match head.strip_prefix(HEAD) {
            Some(count) => (false, count),
            None => (true, head.strip_prefix(OLD_HEAD)?),
        };
        let count: usize = number(count)?;
        let mut entries = BTreeMap::new();
        while !rest.is_empty() {
            let (head, behind) = line(rest)?;
            // A name may hold spaces.
            let mut parts = head.rsplitn(3, ' ');
            let (value_len, user_len) = (number(parts.next()?)?, number(parts.next()?)?);
            let name = parts.next()?;
            let entry = EntryName::parse(name).ok().filter(|entry| {
                entry.as_str() == name && entry.as_str() != "/private" && entry.as_str() != "/shared"
            })?;
            let (user, behind) = behind.split_at_checked(user_len)?;
            let (value, behind) = behind.split_at_checked(value_len)?;
            rest = behind.strip_prefix(b"\n")?;
            let holder = std::str::from_utf8(user).ok()?.to_owned();
            let is_wrong = if entry.is_private() { holder.is_empty() } else { is_old && !holder.is_empty() };
            let (key, held) = (key(&entry, &holder), Held { holder, value: value.to_vec() });
            if is_wrong || entries.insert(key, held).is_some() {
                return None;
            }
        }
        Some(Metadata(entries)).filter(|metadata| metadata.0.len() == count)
    }
}

fn line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

fn number(digits: &str) -> Option<usize> {
    digits.parse().ok().filter(|_| digits.bytes().all(|octet| octet.is_ascii_digit()))
}

fn read(file: &Sidecar<'_>) -> Result<Metadata> {
    match file.read()? {
        Found::Nothing => Ok(Metadata::default()),
        Found::Bytes(bytes) => Metadata::decode(&bytes).ok_or_else(|| MaildirError::Damaged(file.path())),
        Found::Damage => Err(MaildirError::Damaged(file.path())),
    }
}

fn change(file: &Sidecar<'_>, user: &str, owner: &str, changes: &[(EntryName, Option<&[u8]>)]) -> Result<()> {
    let lock = file.lock()?;
    let (mut metadata, damaged) = match read(file) {
        Err(MaildirError::Damaged(_)) => (Metadata::default(), true),
        read => (read?, false),
    };
    metadata.set(user, owner, changes)?;
    if damaged {
        file.set_aside()?;
    }
    file.replace(&lock, &metadata.encode())
}

impl Maildir {
    /// The mailbox's annotations (RFC 5464). They go where the mailbox goes.
    ///
    /// # Errors
    ///
    /// [`MaildirError::Damaged`] if there is a file and it is not what it was.
    ///
    /// ```
    /// use pillarbox_maildir::{EntryName, Maildir, Options, Store};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = Store::new(pillarbox_fs::RealFs, Options::from_system());
    ///
    /// let inbox = Maildir::create(&store, dir.path().join("Maildir"))?;
    /// let comment = EntryName::parse("/private/comment").unwrap();
    /// inbox.set_metadata("joe", &[(comment.clone(), Some(b"mine"))])?;
    /// assert_eq!(inbox.metadata()?.value("joe", &comment), Some(&b"mine"[..]));
    /// assert_eq!(inbox.metadata()?.value("ann", &comment), None);
    /// # Ok::<(), pillarbox_maildir::MaildirError>(())
    /// ```
    pub fn metadata(&self) -> Result<Metadata> {
        read(&self.metadata_file())
    }

    /// Sets entries, or removes those that come without a value; all or none. `user` is whose private ones are meant, and whose the
    /// mailbox is. Durable. A file that cannot be read is set aside, as `pillarbox-metadata.damaged.*`.
    ///
    /// # Errors
    ///
    /// [`MaildirError::Metadata`] for what does not fit, and what the file system refuses.
    pub fn set_metadata(&self, user: &str, changes: &[(EntryName, Option<&[u8]>)]) -> Result<()> {
        change(&self.metadata_file(), user, user, changes)
    }

    /// Sets entries for somebody whose mailbox it is not: `owner` is whose it is, and so much is kept for them that nobody else can use
    /// up all there is. Otherwise as [`set_metadata`](Self::set_metadata).
    ///
    /// # Errors
    ///
    /// As [`set_metadata`](Self::set_metadata).
    ///
    /// ```
    /// use pillarbox_maildir::{EntryName, Maildir, Options, Store};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = Store::new(pillarbox_fs::RealFs, Options::from_system());
    ///
    /// let inbox = Maildir::create(&store, dir.path().join("Maildir"))?;
    /// let names = (0..).map(|number| EntryName::parse(&format!("/shared/{number}")).unwrap());
    /// let set = |(_, name): &(usize, EntryName)| inbox.set_metadata_for("joe", "ann", &[(name.clone(), Some(b"x"))]).is_ok();
    /// assert_eq!(names.enumerate().take_while(set).count(), 32);
    /// inbox.set_metadata("ann", &[(EntryName::parse("/shared/comment").unwrap(), Some(b"mine"))])?;
    /// # Ok::<(), pillarbox_maildir::MaildirError>(())
    /// ```
    pub fn set_metadata_for(&self, user: &str, owner: &str, changes: &[(EntryName, Option<&[u8]>)]) -> Result<()> {
        change(&self.metadata_file(), user, owner, changes)
    }

    fn metadata_file(&self) -> Sidecar<'_> {
        let dir = self.path().to_path_buf();
        Sidecar { store: self.store(), dir, name: "pillarbox-metadata", size_max: FILE_MAX }
    }
}

impl Maildir {
    /// Gives another mailbox the annotations of this one. What cannot be read here is not there either.
    pub(crate) fn copy_metadata(&self, to: &Maildir) -> Result<()> {
        let metadata = match self.metadata() {
            Err(MaildirError::Damaged(_)) => return Ok(()),
            read => read?,
        };
        if metadata.is_empty() {
            return Ok(());
        }
        let file = to.metadata_file();
        file.replace(&file.lock()?, &metadata.encode())
    }
}

impl Tree {
    /// The annotations of the account, which RFC 5464 calls those of the server.
    ///
    /// # Errors
    ///
    /// As [`Maildir::metadata`].
    pub fn metadata(&self) -> Result<Metadata> {
        read(&self.metadata_file())
    }

    /// Sets those of the account, as [`Maildir::set_metadata`] does.
    ///
    /// # Errors
    ///
    /// As [`Maildir::set_metadata`].
    pub fn set_metadata(&self, user: &str, changes: &[(EntryName, Option<&[u8]>)]) -> Result<()> {
        change(&self.metadata_file(), user, user, changes)
    }

    fn metadata_file(&self) -> Sidecar<'_> {
        Sidecar { store: &self.store, dir: self.root.clone(), name: "pillarbox-account-metadata", size_max: FILE_MAX }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(name: &str) -> EntryName {
        EntryName::parse(name).unwrap()
    }

    #[test]
    fn what_is_no_name_of_an_entry() {
        for name in ["/private", "/shared", "/shared/vendor", "/private/vendor/x"] {
            for value in [Some(&b"x"[..]), None] {
                assert_eq!(
                    Metadata::default().set("joe", "joe", &[(entry(name), value)]),
                    Err(MetadataError::Name),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn what_is_cut_or_changed_is_damaged() {
        let mut metadata = Metadata::default();
        metadata
            .set("joe", "ann", &[(entry("/private/a"), Some(b"one\n")), (entry("/shared/b c"), Some(b"\0"))])
            .unwrap();
        let bytes = metadata.encode();
        assert_eq!(bytes, b"pillarbox-metadata 2 2\n/private/a 3 4\njoeone\n\n/shared/b c 3 1\njoe\0\n");
        assert_eq!(Metadata::decode(&bytes), Some(metadata));
        for cut in 0..bytes.len() {
            assert_eq!(Metadata::decode(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(Metadata::decode(&[&bytes[..], b"x"].concat()), None);
        for damage in [
            "pillarbox-metadata 3 1\n/shared/a 0 1\nx\n",
            "pillarbox-metadata 2 2\n/shared/a 0 1\nx\n/shared/a 3 1\njoey\n",
            "pillarbox-metadata 2 1\n/private/a 0 1\nx\n",
            "pillarbox-metadata 1 1\n/shared/A 0 1\nx\n",
            "pillarbox-metadata 1 1\n/shared 0 1\nx\n",
            "pillarbox-metadata 1 1\n/shared/a 1 1\njx\n",
            "pillarbox-metadata 1 1\n/private/a 0 1\nx\n",
            "pillarbox-metadata 1 2\n/shared/a 0 1\nx\n/shared/a 0 1\ny\n",
            "pillarbox-metadata 1 1\n/shared/a 0 99999999999999999999\nx\n",
            "pillarbox-metadata 1 1\n/shared/a 0 18446744073709551615\nx\n",
            "pillarbox-metadata 1 1\n/shared/a 0 +1\nx\n",
        ] {
            assert_eq!(Metadata::decode(damage.as_bytes()), None, "{damage:?}");
        }
    }

    #[test]
    fn limits() {
        let mut metadata = Metadata::default();
        let big = vec![0; METADATA_VALUE_MAX + 1];
        assert_eq!(metadata.set("ann", "ann", &[(entry("/shared/a"), Some(&big))]), Err(MetadataError::TooLarge));
        let all: Vec<_> =
            (0..=METADATA_ENTRIES_MAX).map(|n| (entry(&format!("/shared/{n}")), Some(&b"x"[..]))).collect();
        assert_eq!(metadata.clone().set("ann", "ann", &all), Err(MetadataError::TooMany));
        metadata.set("ann", "ann", &all[1..]).unwrap();
        let large: Vec<_> = all[1..].iter().map(|(name, _)| (name.clone(), Some(&big[1..]))).collect();
        assert_eq!(metadata.clone().set("ann", "ann", &large), Err(MetadataError::TooMany), "all together");
        // One user leaves room for others.
        let mut metadata = Metadata::default();
        assert_eq!(metadata.clone().set("joe", "ann", &all[..33]), Err(MetadataError::TooMany));
        metadata.set("joe", "ann", &all[..32]).unwrap();
        let private = [(entry("/private/x"), Some(&b"x"[..]))];
        assert_eq!(metadata.clone().set("joe", "ann", &private), Err(MetadataError::TooMany));
        metadata.set("kim", "ann", &private).unwrap();
        // What another set over it is theirs.
        metadata.set("kim", "ann", &all[..1]).unwrap();
        metadata.set("joe", "ann", &private).unwrap();
        assert_eq!(metadata.clone().set("kim", "ann", &large[..10]), Err(MetadataError::TooMany), "too many octets");
        metadata.set("ann", "ann", &large[..10]).unwrap();
    }

    /// A file that tells of nobody who set a shared entry.
    #[test]
    fn the_old_version_is_read() {
        let old = b"pillarbox-metadata 1 2\n/private/a 3 3\njoeone\n/shared/b 0 3\ntwo\n";
        let mut metadata = Metadata::decode(old).unwrap();
        assert_eq!(metadata.value("joe", &entry("/private/a")), Some(&b"one"[..]));
        assert_eq!(metadata.value("joe", &entry("/shared/b")), Some(&b"two"[..]));
        metadata.set("joe", "ann", &[(entry("/shared/c"), Some(b"3"))]).unwrap();
        assert_eq!(
            metadata.encode(),
            b"pillarbox-metadata 2 3\n/private/a 3 3\njoeone\n/shared/b 0 3\ntwo\n/shared/c 3 1\njoe3\n"
        );
        assert_eq!(Metadata::decode(&metadata.encode()), Some(metadata));
    }

    /// The largest file that there can be is one that is read.
    #[test]
    fn the_largest_file() {
        let value = vec![b'x'; METADATA_VALUE_MAX];
        // All that there may be is nobody's, and the owner has set as much as is kept for them.
        let mut old = Metadata::default();
        let holder = String::new();
        let mut number = 0;
        let mut add = |metadata: &mut Metadata, holder: &str, value: &[u8]| {
            number += 1;
            let name = entry(&format!("/shared/{number:0>1000}"));
            metadata.0.insert(key(&name, ""), Held { holder: holder.into(), value: value.to_vec() });
        };
        while old.encode().len() + value.len() + 1100 < OCTETS_MAX {
            add(&mut old, &holder, &value);
        }
        let before = old.clone();
        for _ in 0..15 {
            add(&mut old, "ann", &value);
        }
        assert!(old.shares("ann", "ann").may_follow(&before.shares("ann", "ann")));
        assert!(old.encode().len() > OCTETS_MAX && old.encode().len() <= FILE_MAX);
    }

    proptest! {
        #[test]
        fn any_values_come_back(values in proptest::collection::vec(("[a-z ]{1,5}", any::<bool>(), ".{1,5}", any::<Vec<u8>>()), 0..20)) {
            let mut metadata = Metadata::default();
            for (name, private, user, value) in &values {
                let name = format!("/{}/{name}", if *private { "private" } else { "shared" });
                metadata.set(user, user, &[(entry(&name), Some(value))]).unwrap();
            }
            let bytes = metadata.encode();
            prop_assert!(bytes.is_empty() && metadata.is_empty() || Metadata::decode(&bytes) == Some(metadata));
        }

        #[test]
        fn garbage_is_read_without_harm(bytes in any::<Vec<u8>>(), behind in "[ -~\n]{0,60}") {
            let _ = Metadata::decode(&bytes);
            let _ = Metadata::decode(format!("{HEAD}{behind}").as_bytes());
        }
    }
}
