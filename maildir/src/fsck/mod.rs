//! Proof that what is written about messages agrees with the messages, and its repair.
//!
//! Each file of this module looks after one subject; [`Run`] keeps what was found. A repair is made under the locks that
//! servers take, is durable, deletes no message and gives no UID twice, so that servers may work on meanwhile.

mod account;
mod cache;
mod files;
mod index;
mod journal;
mod keywords;
mod problem;
mod quota;
mod sizes;
mod uids;

use std::path::{Path, PathBuf};

pub use self::problem::Problem;
use crate::uid_list::UidList;
use crate::{Maildir, MaildirError, MessageReader, Pieces, Result, Tree};

/// Whether what is found is repaired too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing is changed, not even a lock is taken that others would see.
    No,
    /// What can be repaired is.
    Yes,
}

/// Whoever has an account checked.
pub trait Examiner {
    /// Computes the pieces anew that the cache keeps of a message, of kinds from 16 on. What differs is wrong. `None`: they
    /// are not compared.
    fn recompute(&mut self, message: &mut MessageReader, pieces: &Pieces) -> Result<Option<Pieces>> {
        let _ = (message, pieces);
        Ok(None)
    }

    /// Hears how far the check has come: before each mailbox, and after each thousand messages.
    fn progress(&mut self, progress: &Progress<'_>) {
        let _ = progress;
    }
}

/// How far a check has come.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Progress<'a> {
    /// The folder that is being checked.
    pub folder: &'a Path,
    /// Messages of it that were looked at.
    pub done: usize,
    /// Messages in it.
    pub messages: usize,
}

/// What was found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// What was found, by folder; at most 10,000.
    pub findings: Vec<Finding>,
    /// How many more there were.
    pub left_out: u64,
    /// How many mailboxes were looked at.
    pub mailboxes: usize,
    /// How many messages were looked at.
    pub messages: u64,
    damaged: bool,
    left: bool,
}

/// Something that is not as it should be, and where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// The file or the folder.
    pub path: PathBuf,
    /// What it is.
    pub problem: Problem,
    /// What became of it.
    pub state: State,
}

/// What became of a problem.
#[derive(Clone, Debug)]
pub enum State {
    /// It can be repaired and was not, because that was not asked for.
    Found,
    /// It was repaired, durably.
    Repaired,
    /// It stays: nothing here repairs it.
    Left,
    /// The repair failed.
    Failed(MaildirError),
}

const FINDINGS_MAX: usize = 10_000;

impl Report {
    /// True if nothing is wrong. What every folder has that is in use ([`Problem::is_usual`]) is not wrong.
    pub fn is_clean(&self) -> bool {
        !self.damaged
    }

    /// True if something is wrong that a repair did not or would not mend.
    pub fn is_left(&self) -> bool {
        self.left
    }
}

/// Checks all mailboxes of an account, and what they share.
///
/// Every message whose name tells its size is read once, and those of which the cache keeps something are read a second time if the
/// examiner computes. Memory: the UID list and a listing of the largest mailbox.
///
/// ```
/// use pillarbox_maildir::{Examiner, Options, Problem, Repair, Store, Tree, fsck};
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = Store::new(pillarbox_fs::RealFs, Options::from_system());
/// # let tree = Tree::create(&store, dir.path().join("Maildir"))?;
/// # std::fs::write(dir.path().join("Maildir/cur/1.x:2,Sb"), "Subject: x\n\n").unwrap();
///
/// struct Silent;
/// impl Examiner for Silent {}
///
/// let report = fsck(&tree, Repair::No, &mut Silent)?;
/// // A letter of the file name for which there is no keyword, and a message that nobody has seen yet.
/// assert!(matches!(&report.findings[..], [
///     found, usual
/// ] if found.problem == Problem::NamelessLetter('b') && usual.problem == Problem::NoUid(1)));
///
/// assert!(!fsck(&tree, Repair::Yes, &mut Silent)?.is_clean());
/// assert!(fsck(&tree, Repair::Yes, &mut Silent)?.findings.is_empty());
/// # Ok::<(), pillarbox_maildir::MaildirError>(())
/// ```
///
/// # Errors
///
/// That the account cannot be listed. What happens to one mailbox is in the report.
pub fn fsck(tree: &Tree, repair: Repair, examiner: &mut dyn Examiner) -> Result<Report> {
    let tree = &Tree { untouched: repair == Repair::No, ..tree.clone() };
    if repair == Repair::Yes {
        tree.finish_deletions()?;
    }
    let mut run = Run { repair: repair == Repair::Yes, examiner, report: Report::default(), resized: false };
    account::check(&mut run, tree)?;
    Ok(run.report)
}

/// A check under way.
struct Run<'a> {
    repair: bool,
    examiner: &'a mut dyn Examiner,
    report: Report,
    /// Names tell other sizes than before.
    resized: bool,
}

impl Run<'_> {
    /// Notes a problem that stays.
    fn leave(&mut self, path: impl Into<PathBuf>, problem: Problem) {
        self.note(path.into(), problem, State::Left);
    }

    /// Notes a problem and repairs it, if that is wanted.
    fn mend(&mut self, path: impl Into<PathBuf>, problem: Problem, repair: impl FnOnce() -> Result<()>) {
        let state = match self.repair.then(repair) {
            None => State::Found,
            Some(Ok(())) => State::Repaired,
            Some(Err(error)) => State::Failed(error),
        };
        self.note(path.into(), problem, state);
    }

    fn note(&mut self, path: PathBuf, problem: Problem, state: State) {
        if !problem.is_usual() {
            self.report.damaged = true;
            self.report.left |= matches!(state, State::Left | State::Failed(_));
        }
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(Finding { path, problem, state });
        } else {
            self.report.left_out += 1;
        }
    }

    /// Checks one mailbox, and returns its UIDVALIDITY if it has one.
    fn mailbox(&mut self, maildir: &Maildir) -> Option<u32> {
        self.report.mailboxes += 1;
        self.examiner.progress(&Progress { folder: maildir.path(), done: 0, messages: 0 });
        self.mailbox_files(maildir).unwrap_or_else(|error| {
            self.leave(maildir.path(), Problem::Unreadable(error.to_string()));
            None
        })
    }

    fn mailbox_files(&mut self, maildir: &Maildir) -> Result<Option<u32>> {
        if !files::check_directories(self, maildir)? {
            return Ok(None);
        }
        files::check_entries(self, maildir)?;
        files::check_tmp(self, maildir)?;
        // What is known of UIDs comes first: all that follows goes by it.
        let list = uids::check_list(self, maildir)?;
        let known = list.clone().unwrap_or_else(|| UidList::new(1, ""));
        let mut files = files::read(self, maildir, &known)?;
        self.report.messages += files.len() as u64;
        sizes::check(self, maildir, &mut files, list.as_ref())?;
        keywords::check(self, maildir, &files)?;
        let list = uids::check_lines(self, maildir, list, &files)?;
        journal::check(self, maildir)?;
        if let Some(list) = &list {
            index::check(self, maildir, list, &files)?;
            cache::check(self, maildir, list, &files)?;
        }
        Ok(list.map(|list| list.validity))
    }
}
