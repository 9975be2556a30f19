//! The file that a list of rights is kept in.

use super::{Acl, AclError, Identifier, RightsChange};
use crate::dotlock::DotLock;
use crate::sidecar::{Found, Sidecar};
use crate::{Maildir, MaildirError, Result};

const FILE: &str = "dovecot-acl";
const FILE_MAX: usize = 256 << 10;
/// Where Dovecot remembers which mailboxes others may see. It makes it again.
const LIST: &str = "dovecot-acl-list";

fn encoded(acl: &Acl) -> std::result::Result<Vec<u8>, AclError> {
    // What is longer could not be read any more.
    Some(acl.encode()).filter(|encoded| encoded.len() <= FILE_MAX).ok_or(AclError::TooMany)
}

impl Maildir {
    /// Who may do what with this mailbox. It goes where the mailbox goes; Dovecot's `acl = vfile` reads and writes it too.
    ///
    /// # Errors
    ///
    /// [`MaildirError::Damaged`] if any line cannot be understood: nobody gets rights by half a list.
    ///
    /// ```
    /// use pillarbox_maildir::{Identifier, Maildir, Options, Rights, RightsChange, Store, Who};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let store = Store::new(pillarbox_fs::RealFs, Options::from_system());
    ///
    /// let inbox = Maildir::create(&store, dir.path().join("Maildir"))?;
    /// let ann = Identifier::User("ann".into());
    /// inbox.set_acl(&ann, false, RightsChange::Replace(Rights::parse("lrs").unwrap()))?;
    /// let rights = inbox.acl()?.rights(&Who { user: Some("ann"), ..Who::default() });
    /// assert_eq!(rights.to_string(), "lrs");
    /// # Ok::<(), pillarbox_maildir::MaildirError>(())
    /// ```
    pub fn acl(&self) -> Result<Acl> {
        self.read_acl(&self.acl_file())
    }

    /// Changes the rights of an identifier, or with `negative` those that are taken from it. Durable. A list that cannot be understood
    /// is set aside, as `dovecot-acl.damaged.*`, and this entry is the first of a new one.
    ///
    /// # Errors
    ///
    /// [`MaildirError::Acl`], and what the file system refuses.
    pub fn set_acl(&self, identifier: &Identifier, negative: bool, change: RightsChange) -> Result<()> {
        self.change_acl(|acl| acl.set(identifier, negative, change))
    }

    /// Removes an identifier's entry, or with `negative` the one that takes rights away. Durable; nothing happens if there is none.
    ///
    /// # Errors
    ///
    /// What the file system refuses.
    pub fn delete_acl(&self, identifier: &Identifier, negative: bool) -> Result<()> {
        self.change_acl(|acl| {
            acl.remove(identifier, negative);
            Ok(())
        })
    }

    /// Changes the list in any way, while nobody else does. Durable; nothing happens if it is the same afterwards, and nothing if
    /// `change` refuses. A list that cannot be understood is set aside, as with [`set_acl`](Self::set_acl).
    ///
    /// # Errors
    ///
    /// [`MaildirError::Acl`], and what the file system refuses.
    pub fn change_acl(&self, change: impl FnOnce(&mut Acl) -> std::result::Result<(), AclError>) -> Result<()> {
        let file = self.acl_file();
        let lock = file.lock()?;
        let (before, damaged) = match self.read_acl(&file) {
            Err(MaildirError::Damaged(_)) => (Acl::default(), true),
            read => (read?, false),
        };
        let mut acl = before.clone();
        change(&mut acl)?;
        let encoded = encoded(&acl)?;
        if damaged {
            file.set_aside()?;
        } else if acl == before {
            return Ok(());
        }
        self.write_acl(&lock, &encoded)
    }

    /// Keeps others from changing the list.
    pub(crate) fn lock_acl(&self) -> Result<DotLock> {
        self.acl_file().lock()
    }

    /// Writes the list of a directory that is no mailbox yet. A crash may have left one there, of a mailbox that never was.
    pub(crate) fn begin_acl(&self, lock: &DotLock, list: &Acl) -> Result<()> {
        let encoded = encoded(list)?;
        match self.acl_file().read()? {
            Found::Nothing if encoded.is_empty() => Ok(()),
            _ => self.write_acl(lock, &encoded),
        }
    }

    fn write_acl(&self, lock: &DotLock, encoded: &[u8]) -> Result<()> {
        self.acl_file().replace(lock, encoded)?;
        // Nothing depends on it: Dovecot looks for changes there from time to time as well.
        let _ = self.fs().unlink(&self.account().join(LIST));
        Ok(())
    }

    fn read_acl(&self, file: &Sidecar<'_>) -> Result<Acl> {
        match file.read()? {
            Found::Nothing => Ok(Acl::default()),
            Found::Bytes(bytes) => Acl::parse(&bytes).ok_or_else(|| MaildirError::Damaged(file.path())),
            Found::Damage => Err(MaildirError::Damaged(file.path())),
        }
    }

    fn acl_file(&self) -> Sidecar<'_> {
        Sidecar { store: self.store(), dir: self.path().to_path_buf(), name: FILE, size_max: FILE_MAX }
    }
}
