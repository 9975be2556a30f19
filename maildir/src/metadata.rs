//! Annotations of a mailbox and of the account (RFC 5464), in files of our own: `pillarbox-metadata` in the mailbox, and
//! `pillarbox-account-metadata` in the root.
//!
//! ```text
//! pillarbox-metadata 1 2
//! /private/comment 3 5
//! joehello
//! /shared/comment 0 4
//! a b
//! ```
//!
//! The first line tells how many entries there are; each has a line with its name, the octets of the user whose it is and those of
//! its value, and then these octets and a line end. A file that is anything else was damaged, and is set aside at the next change.

use std::collections::BTreeMap;

pub use pillarbox_core::annotation::{EntryName, EntryNameError};

use crate::sidecar::{Found, Sidecar};
use crate::{Maildir, MaildirError, Result, Tree};

const HEAD: &str = "pillarbox-metadata 1 ";

/// The octets that a value may have; MAXSIZE of RFC 5464 §4.3.
pub const METADATA_VALUE_MAX: usize = 64 << 10;
/// The entries that a mailbox, or the account, may have for all its users together. No share is kept for the owner: those who may
/// set shared ones can use up all of them, and four users can with private ones.
pub const METADATA_ENTRIES_MAX: usize = 256;
/// The private ones of one user, and their octets: nobody uses up alone, and unseen by the owner, what there is.
const PRIVATE_MAX: usize = METADATA_ENTRIES_MAX / 4;
const PRIVATE_SIZE_MAX: usize = FILE_MAX / 4;
const USER_MAX: usize = 1024;
/// The octets of a file. Not every entry can be as large as one may be.
const FILE_MAX: usize = 4 << 20;

/// All entries of a mailbox, or of the account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(BTreeMap<(EntryName, String), Vec<u8>>);

/// Why an annotation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// A value larger than [`METADATA_VALUE_MAX`]: `NO [METADATA MAXSIZE n]`.
    #[error("the annotation is too large")]
    TooLarge,
    /// More entries than [`METADATA_ENTRIES_MAX`], or than a user may have in private, or all of them larger than a file may be:
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
        self.0.get(&key(entry, user)).map(Vec::as_slice)
    }

    /// The entries that this user sees, by name: the shared ones and their own.
    pub fn entries<'a>(&'a self, user: &'a str) -> impl Iterator<Item = (&'a EntryName, &'a [u8])> {
        let seen = move |(name, of): &&(EntryName, String)| !name.is_private() || of == user;
        self.0.iter().filter(move |(key, _)| seen(key)).map(|((name, _), value)| (name, value.as_slice()))
    }

    /// How many entries there are, of all users.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn set(&mut self, user: &str, changes: &[(EntryName, Option<&[u8]>)]) -> std::result::Result<(), MetadataError> {
        let needs_user = changes.iter().any(|(name, _)| name.is_private());
        if user.len() > USER_MAX || user.is_empty() && needs_user {
            return Err(MetadataError::User);
        }
        for (name, value) in changes {
            match value {
                _ if !name.can_hold_value() => return Err(MetadataError::Name),
                Some(value) if value.len() > METADATA_VALUE_MAX => return Err(MetadataError::TooLarge),
                Some(value) => drop(self.0.insert(key(name, user), value.to_vec())),
                None => drop(self.0.remove(&key(name, user))),
            }
        }
        let (count, octets) = self.size(|_| true);
        let (own, own_octets) = self.size(|of| of == user && needs_user);
        let is_full = count > METADATA_ENTRIES_MAX || octets + HEAD.len() + 32 > FILE_MAX;
        match is_full || own > PRIVATE_MAX || own_octets > PRIVATE_SIZE_MAX {
            true => Err(MetadataError::TooMany),
            false => Ok(()),
        }
    }

    /// How many entries these users have, and the octets that they take in a file at most.
    fn size(&self, whose: impl Fn(&str) -> bool) -> (usize, usize) {
        let theirs = self.0.iter().filter(|((_, of), _)| whose(of));
        let sizes = theirs.map(|((name, of), value)| name.as_str().len() + of.len() + value.len() + 64);
        sizes.fold((0, 0), |(count, octets), size| (count + 1, octets + size))
    }

    fn encode(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return Vec::new();
        }
        let mut out = format!("{HEAD}{}\n", self.0.len()).into_bytes();
        for ((name, user), value) in &self.0 {
            out.extend_from_slice(format!("{name} {} {}\n{user}", user.len(), value.len()).as_bytes());
            out.extend_from_slice(value);
            out.push(b'\n');
        }
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, mut rest) = line(bytes)?;
        let count: usize = number(head.strip_prefix(HEAD)?)?;
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
            let user = std::str::from_utf8(user).ok()?.to_owned();
            if entry.is_private() == user.is_empty() || entries.insert((entry, user), value.to_vec()).is_some() {
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

fn change(file: &Sidecar<'_>, user: &str, changes: &[(EntryName, Option<&[u8]>)]) -> Result<()> {
    let lock = file.lock()?;
    let (mut metadata, damaged) = match read(file) {
        Err(MaildirError::Damaged(_)) => (Metadata::default(), true),
        read => (read?, false),
    };
    metadata.set(user, changes)?;
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

    /// Sets entries, or removes those that come without a value; all or none. `user` is whose private ones are meant. Durable. A file
    /// that cannot be read is set aside, as `pillarbox-metadata.damaged.*`.
    ///
    /// # Errors
    ///
    /// [`MaildirError::Metadata`] for what does not fit, and what the file system refuses.
    pub fn set_metadata(&self, user: &str, changes: &[(EntryName, Option<&[u8]>)]) -> Result<()> {
        change(&self.metadata_file(), user, changes)
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
        change(&self.metadata_file(), user, changes)
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
                assert_eq!(Metadata::default().set("joe", &[(entry(name), value)]), Err(MetadataError::Name), "{name}");
            }
        }
    }

    #[test]
    fn what_is_cut_or_changed_is_damaged() {
        let mut metadata = Metadata::default();
        metadata.set("joe", &[(entry("/private/a"), Some(b"one\n")), (entry("/shared/b c"), Some(b"\0"))]).unwrap();
        let bytes = metadata.encode();
        assert_eq!(bytes, b"pillarbox-metadata 1 2\n/private/a 3 4\njoeone\n\n/shared/b c 0 1\n\0\n");
        assert_eq!(Metadata::decode(&bytes), Some(metadata));
        for cut in 0..bytes.len() {
            assert_eq!(Metadata::decode(&bytes[..cut]), None, "{cut}");
        }
        assert_eq!(Metadata::decode(&[&bytes[..], b"x"].concat()), None);
        for damage in [
            "pillarbox-metadata 2 1\n/shared/a 0 1\nx\n",
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
        assert_eq!(metadata.set("", &[(entry("/shared/a"), Some(&big))]), Err(MetadataError::TooLarge));
        let all: Vec<_> =
            (0..=METADATA_ENTRIES_MAX).map(|n| (entry(&format!("/shared/{n}")), Some(&b"x"[..]))).collect();
        assert_eq!(metadata.clone().set("", &all), Err(MetadataError::TooMany));
        metadata.set("", &all[1..]).unwrap();
        let large: Vec<_> = all[1..].iter().map(|(name, _)| (name.clone(), Some(&big[1..]))).collect();
        assert_eq!(metadata.clone().set("", &large), Err(MetadataError::TooMany), "all together");
        // One user leaves room for others.
        let mut metadata = Metadata::default();
        let private = |n: usize| entry(&format!("/private/{n}"));
        let own: Vec<_> = (0..PRIVATE_MAX).map(|n| (private(n), Some(&b"x"[..]))).collect();
        metadata.set("joe", &own).unwrap();
        assert_eq!(metadata.clone().set("joe", &[(private(999), Some(b"x"))]), Err(MetadataError::TooMany));
        metadata.set("ann", &own).unwrap();
        let large: Vec<_> = own.iter().take(16).map(|(name, _)| (name.clone(), Some(&big[1..]))).collect();
        assert_eq!(metadata.set("joe", &large), Err(MetadataError::TooMany), "too many octets of one user");
    }

    proptest! {
        #[test]
        fn any_values_come_back(values in proptest::collection::vec(("[a-z ]{1,5}", any::<bool>(), ".{1,5}", any::<Vec<u8>>()), 0..20)) {
            let mut metadata = Metadata::default();
            for (name, private, user, value) in &values {
                let name = format!("/{}/{name}", if *private { "private" } else { "shared" });
                metadata.set(user, &[(entry(&name), Some(value))]).unwrap();
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
