//! Quota as Maildir++ has it: a file `maildirsize` in the account's root says what may be used and what is used.
//!
//! The file is a cache. Whoever changes a mailbox appends a line, and whoever asks adds the lines up. The truth are the
//! names of the messages, and the file is made from them again when it cannot be right.

mod check;
mod count;
mod file;
mod gate;
mod limits;
mod rules;
mod tally;

use std::time::{Duration, SystemTime};

pub(crate) use self::check::SizeFault;
pub(crate) use self::count::file_size;
pub(crate) use self::gate::Gates;
pub(crate) use self::tally::Tally;

pub use self::rules::{Grace, QuotaRules, RuleError};

use self::count::Account;
use self::file::MaildirSize;
use crate::error::NotFound;
use crate::{Mailbox, MailboxName, MaildirError, Result, Tree, Uid};

/// What an account may use, of the resources STORAGE and MESSAGE (RFC 9208 §5). What is `None` has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of all messages, as they lie on disk.
    pub bytes: Option<u64>,
    /// Messages.
    pub messages: Option<u64>,
}

/// What is used, or about to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of messages, as they lie on disk: `S=` in their names.
    pub bytes: u64,
    /// Messages.
    pub messages: u64,
}

/// For what room is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Mail that came from elsewhere, which may go over the limit by the [`Grace`] while the account is not over
    /// it yet.
    Delivery,
    /// What the user puts there.
    Own,
}

pub(crate) const FILE: &str = "maildirsize";

/// A larger file is written anew, says Maildir++; what is read of it is bounded by that.
const SIZE_MAX: usize = 5120;

/// A sum over the limit is believed for so long.
const BELIEVED_FOR: Duration = Duration::from_secs(15 * 60);

/// What was counted is believed for so long where no file can hold it: changes of other programs show later by that.
const COUNTED_FOR: Duration = Duration::from_secs(60);

impl Usage {
    /// One message of so many bytes on disk.
    pub const fn message(bytes: u64) -> Self {
        Usage { bytes, messages: 1 }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Usage) -> Self {
        let bytes = self.bytes.saturating_add(other.bytes);
        Usage { bytes, messages: self.messages.saturating_add(other.messages) }
    }

    /// Whether it is no more than the limits allow.
    ///
    /// ```
    /// use pillarbox_maildir::{Quota, Usage};
    ///
    /// let quota = Quota { bytes: Some(1000), messages: None };
    /// assert!(Usage { bytes: 1000, messages: 99 }.is_within(quota));
    /// assert!(!Usage { bytes: 1001, messages: 1 }.is_within(quota));
    /// ```
    pub fn is_within(self, quota: Quota) -> bool {
        quota.bytes.is_none_or(|limit| self.bytes <= limit) && quota.messages.is_none_or(|limit| self.messages <= limit)
    }
}

/// What a look at the file told.
struct Look {
    usage: Usage,
    /// Counted so short a time ago that counting again would tell the same.
    is_count: bool,
}

impl Tree {
    /// What the account uses, by its `maildirsize`, which is made for these limits where it is absent, damaged, longer than 5,120
    /// bytes, for other limits, or over them and not just counted.
    ///
    /// The first look of a process counts, for a crash may have lost lines. All mailboxes count, as they do for Dovecot's
    /// `quota = maildir`; other programs that leave out the trash or what is marked as deleted see less.
    ///
    /// # Errors
    ///
    /// A directory that cannot be listed; a mailbox of somebody else's, which may not be read, is passed over. That the file cannot be
    /// read or written is none: then what was counted is told for a minute, with what this process changes meanwhile.
    ///
    /// ```
    /// use pillarbox_maildir::{Flags, MailboxName, Options, Purpose, Quota, QuotaRules, Store, Tree, Usage};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = Store::new(pillarbox_fs::RealFs, Options::from_system());
    /// # let tree = Tree::create(&store, dir.path().join("Maildir"))?;
    ///
    /// let rules = QuotaRules::new(Quota { bytes: Some(30), messages: None });
    /// let inbox = MailboxName::inbox();
    /// let mut message = tree.mailbox(&inbox)?.begin()?;
    /// message.write(b"Subject: hello\r\n\r\n")?;
    /// let message = message.prepare(Flags::NONE, None)?;
    ///
    /// tree.check_quota(&rules, &inbox, message.usage(), Purpose::Own)?;
    /// message.publish()?;
    /// assert_eq!(tree.usage(rules.quota())?, Usage { bytes: 16, messages: 1 });
    /// let full = tree.check_quota(&rules, &inbox, Usage::message(15), Purpose::Own).unwrap_err();
    /// assert_eq!(full.full(), Some(pillarbox_maildir::Full::Quota));
    /// # Ok::<(), pillarbox_maildir::MaildirError>(())
    /// ```
    pub fn usage(&self, limits: Quota) -> Result<Usage> {
        let look = self.look_at_usage(limits)?;
        match look.is_count || look.usage.is_within(limits) {
            true => Ok(look.usage),
            false => self.recount(limits),
        }
    }

    /// Whether so much more may be put into a mailbox. Ask before it becomes visible. Those who ask at the same time do not know
    /// of each other, so that together they may go over the limit.
    ///
    /// # Errors
    ///
    /// [`MaildirError::OverQuota`] if not, after a count; and those of [`usage`](Tree::usage).
    pub fn check_quota(
        &self,
        rules: &QuotaRules,
        mailbox: &MailboxName,
        adding: Usage,
        purpose: Purpose,
    ) -> Result<()> {
        let fits = |usage: Usage| rules.allow(mailbox, usage, adding, purpose);
        let look = self.look_at_usage(rules.quota())?;
        // Nobody is refused because of what a file says that may be wrong.
        match fits(look.usage) || !look.is_count && fits(self.recount(rules.quota())?) {
            true => Ok(()),
            false => Err(MaildirError::OverQuota),
        }
    }

    /// The limits that the account's `maildirsize` names, for who has none to set; `None` if there is no such file.
    pub fn quota_on_disk(&self) -> Result<Option<Quota>> {
        Ok(self.read_maildir_size()?.and_then(|(file, _)| file.limits()))
    }

    /// Counts all messages, and writes the file anew.
    ///
    /// # Errors
    ///
    /// A directory that cannot be listed.
    pub fn recount(&self, limits: Quota) -> Result<Usage> {
        Account(self).recount(limits)
    }

    fn look_at_usage(&self, limits: Quota) -> Result<Look> {
        let gate = self.store.quota_gates().of(&self.root);
        if gate.is_believed()
            // One that cannot be read is made again.
            && let Ok(Some((file, modified))) = self.read_maildir_size()
            && file.limits() == Some(as_written(limits))
            && let Some((usage, lines)) = file.sum()
        {
            let age = self.store.options().clock.now().duration_since(modified).unwrap_or_default();
            return Ok(Look { usage, is_count: lines <= 1 && age < BELIEVED_FOR });
        }
        let usage = match gate.counted(self.store.options().clock.now(), COUNTED_FOR) {
            Some(usage) => usage,
            None => self.recount(limits)?,
        };
        Ok(Look { usage, is_count: true })
    }

    /// The file, and when it last changed.
    fn read_maildir_size(&self) -> Result<Option<(MaildirSize, SystemTime)>> {
        let Some(file) = self.store.fs().open(&self.root.join(FILE)).if_found()? else { return Ok(None) };
        let modified = file.metadata()?.modified;
        Ok(Some((MaildirSize::read(&file)?, modified)))
    }
}

/// What the file can say of limits: 0 is none there.
fn as_written(limits: Quota) -> Quota {
    let written = |limit: Option<u64>| limit.filter(|limit| *limit > 0);
    Quota { bytes: written(limits.bytes), messages: written(limits.messages) }
}

impl Mailbox {
    /// What these messages use. Ones that are gone use nothing.
    pub fn usage_of(&mut self, uids: &[Uid]) -> Result<Usage> {
        let mut usage = Usage::default();
        for uid in uids {
            let size = self.with_file(*uid, |maildir, file| file_size(maildir.fs(), file.base, &file.path(maildir)));
            match size {
                Ok(bytes) => usage = usage.plus(Usage::message(bytes)),
                Err(MaildirError::NoSuchMessage(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(usage)
    }
}
