//! Limits that were set for one account, in a file of our own in its root, `pillarbox-limits`:
//!
//! ```text
//! pillarbox-limits 1
//! storage 1000000
//! messages 500
//! ```
//!
//! What has no line has no limit; a file that is anything else was damaged. `maildirsize` beside it says the same limits, and
//! other programs write it as theirs are. There 0 is no limit: who may keep nothing here is not held to it by Dovecot and others.

use super::Quota;
use crate::sidecar::{Found, Sidecar};
use crate::{MaildirError, Result, Tree};

const HEAD: &str = "pillarbox-limits 1\n";
const SIZE_MAX: usize = 256;

impl Tree {
    /// The limits that were set for this account; none if nobody has set any.
    ///
    /// # Errors
    ///
    /// [`MaildirError::Damaged`] if there is a file and it is not what it was.
    ///
    /// ```
    /// use pillarbox_maildir::{Options, Quota, Store, Tree};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = Store::new(pillarbox_fs::RealFs, Options::from_system());
    ///
    /// let tree = Tree::create(&store, dir.path().join("Maildir"))?;
    /// let limits = Quota { bytes: Some(1000), messages: None };
    /// assert_eq!(tree.limits()?, None);
    /// tree.set_limits(limits)?;
    /// assert_eq!(tree.limits()?, Some(limits));
    /// # Ok::<(), pillarbox_maildir::MaildirError>(())
    /// ```
    pub fn limits(&self) -> Result<Option<Quota>> {
        let file = self.limits_file();
        match file.read()? {
            Found::Nothing => Ok(None),
            Found::Bytes(bytes) => decode(&bytes).map(Some).ok_or_else(|| MaildirError::Damaged(file.path())),
            Found::Damage => Err(MaildirError::Damaged(file.path())),
        }
    }

    /// Sets limits, which hold in place of all others of the account. Durable. A file that cannot be read is set aside, as
    /// `pillarbox-limits.damaged.*`.
    pub fn set_limits(&self, limits: Quota) -> Result<()> {
        let file = self.limits_file();
        let lock = file.lock()?;
        if let Err(MaildirError::Damaged(_)) = self.limits() {
            file.set_aside()?;
        }
        file.replace(&lock, encode(limits).as_bytes())
    }

    /// Sets a file aside that cannot be read. What `maildirsize` names is what was set last, and what holds.
    pub(crate) fn mend_limits(&self) -> Result<()> {
        if let Some(limits) = self.quota_on_disk()?.filter(|limits| *limits != Quota::default()) {
            return self.set_limits(limits);
        }
        let file = self.limits_file();
        let _lock = file.lock()?;
        file.set_aside()?;
        Ok(self.store.sync_dir(&self.root)?)
    }

    fn limits_file(&self) -> Sidecar<'_> {
        Sidecar { store: &self.store, dir: self.root.clone(), name: "pillarbox-limits", size_max: SIZE_MAX }
    }
}

fn encode(limits: Quota) -> String {
    let line = |name: &str, limit: Option<u64>| limit.map(|limit| format!("{name} {limit}\n")).unwrap_or_default();
    format!("{HEAD}{}{}", line("storage", limits.bytes), line("messages", limits.messages))
}

fn decode(bytes: &[u8]) -> Option<Quota> {
    let mut limits = Quota::default();
    let lines = std::str::from_utf8(bytes).ok()?.strip_prefix(HEAD)?;
    for line in lines.split_inclusive('\n') {
        let (name, number) = line.strip_suffix('\n')?.split_once(' ')?;
        match name {
            "storage" => limits.bytes = Some(number.parse().ok()?),
            "messages" => limits.messages = Some(number.parse().ok()?),
            _ => return None,
        }
    }
    // It is written in one way only.
    (encode(limits).as_bytes() == bytes).then_some(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_or_changed_is_damaged() {
        for limits in [(None, None), (Some(0), None), (Some(u64::MAX), Some(7)), (None, Some(5))] {
            let limits = Quota { bytes: limits.0, messages: limits.1 };
            assert_eq!(decode(encode(limits).as_bytes()), Some(limits));
        }
        let whole = encode(Quota { bytes: Some(10), messages: Some(5) });
        for cut in 0..whole.len() {
            // What is cut between two lines is the one thing that looks whole; a file is replaced whole.
            let is_whole = whole[..cut].ends_with('\n');
            assert_eq!(decode(&whole.as_bytes()[..cut]).is_some(), is_whole, "{cut}");
        }
        for damage in [
            "",
            "storage 5\n",
            "messages 1\nstorage 5\n",
            "storage +5\n",
            "storage 5\nstorage 5\n",
            "x 5\n",
            "storage 05\n",
        ] {
            let text = if damage.is_empty() { String::new() } else { format!("{HEAD}{damage}") };
            assert_eq!(decode(text.as_bytes()).is_some(), damage == "storage 5\n", "{damage:?}");
        }
    }
}
