//! What can be wrong with a Maildir.

use std::fmt;

use crate::Usage;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// `tmp`, `new` or `cur` is not there.
    NoDirectory,
    /// There is something in the place of a directory.
    NotADirectory,
    /// A link, pipe, device or directory where messages are.
    NotAFile,
    /// A directory that is named like a mailbox, by a name that no mailbox can have.
    NoMailboxName,
    /// A message file whose name a UID list cannot hold.
    NoMessageName,
    /// Two files with one name but for the flags.
    Double,
    /// The name tells sizes that are not the file's.
    WrongSizes,
    /// So many files in `tmp` that nobody works on any more.
    Leftovers(u64),
    /// The UID list cannot be read as a whole. So many lines were lost; `None`: all of it, with the UIDVALIDITY.
    DamagedUidList(Option<usize>),
    /// The last line of the UID list was cut off.
    TornUidList,
    /// A message whose line in the UID list has its name with other sizes.
    RenamedMessage,
    /// So many messages have no UID yet.
    NoUid(usize),
    /// So many UIDs are of messages that are gone.
    NoFile(usize),
    /// The list of keywords cannot be read.
    DamagedKeywords,
    /// Messages have a letter that no keyword has.
    NamelessLetter(char),
    /// The account's last UIDVALIDITY is below one that a mailbox has.
    LowUidValidity {
        /// The account's, 0 if there is none.
        last: u32,
        /// The mailbox's.
        mailbox: u32,
    },
    /// So many lines of the subscriptions name no mailbox, or one that was named before.
    BadSubscriptions(usize),
    /// The journal of mod-sequences cannot be read to its end.
    DamagedJournal,
    /// `maildirsize` cannot be read.
    DamagedQuota,
    /// The lines of `maildirsize` do not come to what is there.
    WrongQuota {
        /// What they come to.
        told: Usage,
        /// What is there.
        counted: Usage,
    },
    /// The account's own limits cannot be read.
    DamagedLimits,
    /// The snapshot of the folder says what is not so.
    WrongIndex,
    /// The cache cannot be read, or is of another UIDVALIDITY or version.
    UnreadableCache,
    /// The cache keeps what is not so, of so many messages.
    WrongCache(usize),
    /// The file system refuses to show it.
    Unreadable(String),
}

impl Problem {
    /// True for what every folder in use has now and then: nothing is wrong with it, and servers mend it in passing.
    pub fn is_usual(&self) -> bool {
        matches!(self, Problem::Leftovers(_) | Problem::NoUid(_) | Problem::NoFile(_) | Problem::UnreadableCache)
    }

    /// A word for it that does not change, for programs.
    pub fn name(&self) -> &'static str {
        match self {
            Problem::NoDirectory => "no-directory",
            Problem::NotADirectory => "not-a-directory",
            Problem::NotAFile => "not-a-file",
            Problem::NoMailboxName => "no-mailbox-name",
            Problem::NoMessageName => "no-message-name",
            Problem::Double => "double",
            Problem::WrongSizes => "wrong-sizes",
            Problem::Leftovers(_) => "leftovers",
            Problem::DamagedUidList(_) => "damaged-uid-list",
            Problem::TornUidList => "torn-uid-list",
            Problem::RenamedMessage => "renamed-message",
            Problem::NoUid(_) => "no-uid",
            Problem::NoFile(_) => "no-file",
            Problem::DamagedKeywords => "damaged-keywords",
            Problem::NamelessLetter(_) => "nameless-letter",
            Problem::LowUidValidity { .. } => "low-uidvalidity",
            Problem::BadSubscriptions(_) => "bad-subscriptions",
            Problem::DamagedJournal => "damaged-journal",
            Problem::DamagedQuota => "damaged-quota",
            Problem::WrongQuota { .. } => "wrong-quota",
            Problem::DamagedLimits => "damaged-limits",
            Problem::WrongIndex => "wrong-index",
            Problem::UnreadableCache => "unreadable-cache",
            Problem::WrongCache(_) => "wrong-cache",
            Problem::Unreadable(_) => "unreadable",
        }
    }

    /// What it means for mail.
    pub fn meaning(&self) -> &'static str {
        match self {
            Problem::NoDirectory => "mail cannot be delivered or read here",
            Problem::NotADirectory | Problem::Unreadable(_) => "what is in it cannot be shown",
            Problem::NotAFile => "it is passed over, and never opened",
            Problem::NoMailboxName => "no client can see it",
            Problem::NoMessageName => "no client can see the message",
            Problem::Double => "of the two files one is shown",
            Problem::WrongSizes => "clients may be told a wrong size",
            Problem::Leftovers(_) => "a delivery or a program was broken off",
            Problem::DamagedUidList(Some(_)) => "those messages get new UIDs",
            Problem::DamagedUidList(None) => "clients have to fetch everything again",
            Problem::TornUidList => "a program was broken off while it wrote; nobody has heard of that UID",
            Problem::RenamedMessage => "it would get a new UID",
            Problem::NoUid(_) => "they are new, or were put here by a program that gives none",
            Problem::NoFile(_) => "they were expunged",
            Problem::DamagedKeywords => "no keyword is shown",
            Problem::NamelessLetter(_) => {
                "the next keyword that gets this letter would be on messages that never had it"
            }
            Problem::LowUidValidity { .. } => "a new mailbox could get the UIDVALIDITY of one that was",
            Problem::BadSubscriptions(_) => "they are passed over",
            Problem::DamagedJournal => {
                "a program or the power was cut off; clients that were away are told too much, and nothing is kept from them"
            }
            Problem::DamagedQuota => "what is used is counted at the next look",
            Problem::WrongQuota { .. } => {
                "until the next count clients are told so, and mail that comes is judged by it; a program wrote nothing down"
            }
            Problem::DamagedLimits => "other limits hold for the account: the operator's, or those of maildirsize",
            Problem::WrongIndex => "clients may be shown messages or flags that are not so, or none that are",
            Problem::UnreadableCache => "answers are computed again, and kept again",
            Problem::WrongCache(_) => "clients may have been told what is not so; a file was changed in its place",
        }
    }

    /// How it is repaired; `None` if nothing here does.
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Problem::NotADirectory | Problem::NotAFile | Problem::NoMailboxName | Problem::Unreadable(_) => {
                return None;
            }
            Problem::NoDirectory => "it is made",
            Problem::NoMessageName => "it gets a name of its own",
            Problem::Double => "two files become two messages, two names of one file one",
            Problem::WrongSizes => "its name gets the right ones, and its UID stays",
            Problem::Leftovers(_) => "they are removed",
            Problem::DamagedUidList(Some(_)) => {
                "the lines that can be read are kept; the old list is kept beside as dovecot-uidlist.damaged"
            }
            Problem::DamagedUidList(None) => {
                "a new list under a greater UIDVALIDITY; the old one is kept beside as dovecot-uidlist.damaged"
            }
            Problem::TornUidList => "the list is written anew without it",
            Problem::RenamedMessage => "its line gets the name that it has now",
            Problem::NoUid(_) => "they get UIDs",
            Problem::NoFile(_) => "the list is written anew without them",
            Problem::DamagedKeywords => "a new list; the old one is kept beside as dovecot-keywords.damaged",
            Problem::NamelessLetter(_) => "it gets a name, lost-keyword- and the letter",
            Problem::LowUidValidity { .. } => "a greater one is taken",
            Problem::BadSubscriptions(_) => "they are removed",
            Problem::DamagedJournal => "it begins anew, above all mod-sequences that were told",
            Problem::DamagedQuota => {
                "it is counted and written anew; if its limits are lost, it is kept beside as maildirsize.damaged"
            }
            Problem::WrongQuota { .. } => "it is counted and written anew",
            Problem::DamagedLimits => {
                "those of maildirsize are set, if there are any; the old file is kept beside as pillarbox-limits.damaged.*"
            }
            Problem::WrongIndex => "it is removed, and written anew",
            Problem::UnreadableCache | Problem::WrongCache(_) => "it is removed, and filled again",
        })
    }
}

/// What it is, without where.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::NoDirectory => f.write_str("a directory is missing"),
            Problem::NotADirectory => f.write_str("no directory, but in the place of one"),
            Problem::NotAFile => f.write_str("no regular file"),
            Problem::NoMailboxName => f.write_str("a mailbox whose name is none"),
            Problem::NoMessageName => f.write_str("a message whose name is none"),
            Problem::Double => f.write_str("there is another file of this name"),
            Problem::WrongSizes => f.write_str("the sizes in the name are wrong"),
            Problem::Leftovers(count) => write!(f, "{count} old files in tmp"),
            Problem::DamagedUidList(Some(lines)) => write!(f, "{lines} lines of the UID list cannot be read"),
            Problem::DamagedUidList(None) => f.write_str("the UID list is lost"),
            Problem::TornUidList => f.write_str("the UID list ends in the middle of a line"),
            Problem::RenamedMessage => f.write_str("the UID list has this message with other sizes"),
            Problem::NoUid(count) => write!(f, "{count} messages have no UID yet"),
            Problem::NoFile(count) => write!(f, "{count} UIDs are of messages that are gone"),
            Problem::DamagedKeywords => f.write_str("the list of keywords cannot be read"),
            Problem::NamelessLetter(letter) => write!(f, "messages have the letter {letter}, which is no keyword"),
            Problem::LowUidValidity { last, mailbox } => {
                write!(f, "the last UIDVALIDITY of the account is {last}, and a mailbox has {mailbox}")
            }
            Problem::BadSubscriptions(lines) => write!(f, "{lines} lines of the subscriptions name nothing"),
            Problem::DamagedJournal => f.write_str("the journal cannot be read to its end"),
            Problem::DamagedQuota => f.write_str("the quota file cannot be read"),
            Problem::WrongQuota { told, counted } => write!(
                f,
                "the quota file comes to {} bytes of {} messages, and there are {} of {}",
                told.bytes, told.messages, counted.bytes, counted.messages
            ),
            Problem::DamagedLimits => f.write_str("the limits of the account cannot be read"),
            Problem::WrongIndex => f.write_str("the snapshot of the folder is wrong"),
            Problem::UnreadableCache => f.write_str("the cache cannot be used"),
            Problem::WrongCache(count) => write!(f, "the cache is wrong about {count} messages"),
            Problem::Unreadable(why) => write!(f, "cannot be read: {why}"),
        }
    }
}
