//! How the mailboxes of an account lie on disk, and which names can lie there.

use std::path::PathBuf;

use crate::{MailboxName, NameError};

/// Where an account's mailboxes are below its root: what stands behind the path in Dovecot's `mail_location`.
///
/// ```
/// use pillarbox_maildir::{Layout, MailboxName, Options, Store, Tree, TreeOptions};
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = Store::new(pillarbox_fs::RealFs, Options::from_system());
///
/// // mail_location = maildir:~/Maildir:LAYOUT=fs
/// let mut options = TreeOptions::default();
/// options.layout = Layout::Fs;
/// let tree = Tree::create_with(&store, dir.path().join("Maildir"), options)?;
/// let folder = tree.create_mailbox(&MailboxName::parse("Lists/rust.lang", '/')?)?;
/// assert!(folder.path().ends_with("Maildir/Lists/rust.lang"));
/// # Ok::<(), pillarbox_maildir::MaildirError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TreeOptions {
    /// `LAYOUT=`
    pub layout: Layout,
    /// `:UTF-8`
    pub names: DiskNames,
    /// `INBOX=`, a folder elsewhere that is INBOX. The root itself is if `None`.
    pub inbox: Option<PathBuf>,
}

/// How the levels of a mailbox's name become directories.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Each mailbox is a directory `.Name.Sub` in the root. No level can hold a dot.
    #[default]
    MaildirPlusPlus,
    /// Each level is a directory in the one above: `Name/Sub`. A mailbox shares its directory with those below it, so that no level
    /// can have the name of a file that belongs to a mailbox: `cur`, `new`, `tmp`, and those of [`NameError::Reserved`].
    Fs,
}

/// How names are written in directories and in the list of subscriptions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DiskNames {
    /// In modified UTF-7 (RFC 3501 §5.1.3).
    #[default]
    ModifiedUtf7,
    /// As they are.
    Utf8,
}

/// What a file system allows for one name, and Dovecot for one level.
pub(crate) const FILE_NAME_MAX: usize = 255;
/// Levels of a name.
pub(crate) const DEPTH_MAX: usize = 32;

/// Files that lie in a mailbox's directory, or in the root.
const RESERVED: [&str; 9] = [
    "cur",
    "new",
    "tmp",
    "maildirfolder",
    "maildirsize",
    "special-use",
    "subscriptions",
    "subscriptions.lock",
    "subscriptions.tmp",
];
/// How other such files begin: Dovecot's, and ours.
const RESERVED_BEGINNINGS: [&str; 9] = [
    "dovecot.",
    "dovecot-uid",
    "dovecot-keywords",
    "dovecot-acl",
    "dovecot-attributes",
    "maildirsize.",
    "pillarbox.",
    "pillarbox-",
    "special-use.",
];

impl TreeOptions {
    /// The directory of a mailbox other than INBOX, below the root.
    pub(crate) fn directory(&self, name: &MailboxName) -> Result<PathBuf, NameError> {
        match self.layout {
            Layout::MaildirPlusPlus => {
                if name.components().any(|level| level.contains('.')) {
                    return Err(NameError::Dot);
                }
                let directory = format!(".{}", name.on_disk(".", self.names));
                if directory.len() > FILE_NAME_MAX { Err(NameError::TooLong) } else { Ok(directory.into()) }
            }
            Layout::Fs => {
                let mut directory = PathBuf::new();
                for level in name.components().map(|level| self.names.encode(level)) {
                    if is_reserved(&level) {
                        return Err(NameError::Reserved);
                    }
                    if level.len() > FILE_NAME_MAX {
                        return Err(NameError::TooLong);
                    }
                    directory.push(level);
                }
                Ok(directory)
            }
        }
    }

    /// Reads the name of a Maildir++ directory; `None` if no mailbox's is written so.
    pub(crate) fn name_of_directory(&self, name: &str) -> Option<MailboxName> {
        let name = MailboxName::from_disk(name.strip_prefix('.')?, '.', self.names)?;
        // `.INBOX` would be a second INBOX.
        if name.is_inbox() { None } else { Some(name) }
    }

    /// Reads the name of a directory in the directory of another mailbox, or in the root; `None` if no mailbox's is written so.
    pub(crate) fn name_below(&self, above: Option<&MailboxName>, level: &str) -> Option<MailboxName> {
        if is_reserved(level) {
            return None;
        }
        MailboxName::from_disk_below(above, level, self.names)
    }

    /// What parts levels in the older form of the list of subscriptions.
    pub(crate) fn separator(&self) -> char {
        match self.layout {
            Layout::MaildirPlusPlus => '.',
            Layout::Fs => '/',
        }
    }
}

fn is_reserved(level: &str) -> bool {
    RESERVED.contains(&level) || RESERVED_BEGINNINGS.iter().any(|beginning| level.starts_with(beginning))
}

impl DiskNames {
    pub(crate) fn encode(self, level: &str) -> String {
        match self {
            DiskNames::ModifiedUtf7 => pillarbox_core::mutf7::encode(level),
            DiskNames::Utf8 => level.to_owned(),
        }
    }

    pub(crate) fn decode(self, level: &str) -> Option<String> {
        match self {
            DiskNames::ModifiedUtf7 => pillarbox_core::mutf7::decode(level.as_bytes()).ok(),
            DiskNames::Utf8 => Some(level.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    fn options(layout: Layout, names: DiskNames) -> TreeOptions {
        TreeOptions { layout, names, inbox: None }
    }

    fn directory(layout: Layout, name: &str) -> Result<PathBuf, NameError> {
        options(layout, DiskNames::ModifiedUtf7).directory(&MailboxName::parse(name, '/').unwrap())
    }

    #[test]
    fn where_mailboxes_are() {
        for (name, flat, deep) in [
            ("a", ".a", "a"),
            ("a/b", ".a.b", "a/b"),
            ("inbox/x", ".INBOX.x", "INBOX/x"),
            ("Ä/ö", ".&AMQ-.&APY-", "&AMQ-/&APY-"),
            ("a/~b", ".a.~b", "a/~b"),
        ] {
            assert_eq!(directory(Layout::MaildirPlusPlus, name), Ok(flat.into()), "{name}");
            assert_eq!(directory(Layout::Fs, name), Ok(deep.into()), "{name}");
        }
        let utf8 = options(Layout::Fs, DiskNames::Utf8).directory(&MailboxName::parse("Ä/a&b", '/').unwrap());
        assert_eq!(utf8, Ok("Ä/a&b".into()));
    }

    // MBX-02, MBX-05
    #[test]
    fn names_that_one_of_the_layouts_cannot_hold() {
        for name in ["a.b", ".a", "a.", "a/.b", "a..b", "a.cur"] {
            assert_eq!(directory(Layout::MaildirPlusPlus, name), Err(NameError::Dot), "{name}");
            assert_eq!(directory(Layout::Fs, name), Ok(name.into()), "Dovecot has it there: {name}");
        }
        for name in [
            "cur",
            "a/cur",
            "new/x",
            "a/tmp/b",
            "maildirfolder",
            "a/maildirsize",
            "subscriptions",
            "subscriptions.lock",
            "special-use",
            "dovecot-uidlist",
            "a/dovecot-uidlist.lock",
            "dovecot-uidvalidity.00000001",
            "dovecot.index.log",
            "dovecot-keywords",
            "pillarbox-index",
        ] {
            assert_eq!(directory(Layout::Fs, name), Err(NameError::Reserved), "{name}");
            let flat = directory(Layout::MaildirPlusPlus, &name.replace('.', ""));
            assert!(flat.unwrap().to_str().unwrap().starts_with('.'), "{name}");
        }
        for name in ["Cur", "news", "Lists/dovecot", "Lists/dovecot-users", "subscriptions/x.y"] {
            assert_eq!(directory(Layout::Fs, name).is_ok(), !name.starts_with("subs"), "{name}");
        }
        let long = "ä".repeat(120);
        assert_eq!(directory(Layout::Fs, &long), Err(NameError::TooLong), "longer in modified UTF-7");
        assert!(options(Layout::Fs, DiskNames::Utf8).directory(&MailboxName::parse(&long, '/').unwrap()).is_ok());
        let deep = ["a".repeat(200), "b".repeat(200)].join("/");
        assert_eq!(directory(Layout::MaildirPlusPlus, &deep), Err(NameError::TooLong));
        assert!(directory(Layout::Fs, &deep).is_ok());
    }

    // MBX-02, MBX-06
    #[test]
    fn directories_that_are_no_mailboxes() {
        let flat = TreeOptions::default();
        for name in [".INBOX", ".inbox.x", ".", "..", "..x", ".a..b", ".&AGE-", "cur", ".~a"] {
            assert_eq!(flat.name_of_directory(name), None, "{name}");
        }
        let deep = options(Layout::Fs, DiskNames::ModifiedUtf7);
        for name in ["cur", ".", "..", "..pillarbox-deleted.1", "inbox", "&AGE-", "~a", "dovecot.index", "a\nb"] {
            assert_eq!(deep.name_below(None, name), None, "{name}");
        }
        assert_eq!(deep.name_below(None, "INBOX"), Some(MailboxName::inbox()), "the level above INBOX/x");
        let a = MailboxName::parse("a", '/').unwrap();
        assert_eq!(deep.name_below(Some(&a), "inbox"), MailboxName::parse("a/inbox", '/').ok());
        assert_eq!(deep.name_below(Some(&a), "~b"), MailboxName::parse("a/~b", '/').ok());
        assert_eq!(deep.name_below(Some(&a), "tmp"), None);
    }

    proptest! {
        // MBX-01, MBX-03
        #[test]
        fn no_name_leaves_the_root_and_every_directory_is_read_back(
            name in prop_oneof!["[a-c./~&\u{e4}\0\n]{0,12}", "(INBOX|inbox|cur|[.]{1,3}|a)(/(INBOX|tmp|[.]{1,3}|b[.]c|\u{4e2d})){0,3}"],
            separator in prop_oneof![Just('/'), Just('.')],
        ) {
            let Ok(name) = MailboxName::parse(&name, separator) else { return Ok(()) };
            for names in [DiskNames::ModifiedUtf7, DiskNames::Utf8] {
                for layout in [Layout::MaildirPlusPlus, Layout::Fs] {
                    let options = options(layout, names);
                    let Ok(directory) = options.directory(&name) else { continue };
                    prop_assert!(Path::new(&directory).components().all(|level| matches!(level, Component::Normal(_))));
                    let mut read: Option<MailboxName> = None;
                    match layout {
                        Layout::MaildirPlusPlus => read = options.name_of_directory(directory.to_str().unwrap()),
                        Layout::Fs => for level in directory.to_str().unwrap().split('/') {
                            read = Some(options.name_below(read.as_ref(), level).unwrap());
                        },
                    }
                    prop_assert_eq!(read, if name.is_inbox() && layout == Layout::MaildirPlusPlus { None } else { Some(name.clone()) });
                }
            }
        }
    }
}
