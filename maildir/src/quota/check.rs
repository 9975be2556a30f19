//! Whether the file tells what is there, for who only looks.

use pillarbox_fs::ErrorKind;

use super::count::Account;
use super::{Usage, file::MaildirSize};
use crate::{MaildirError, Result, Tree};

/// What is wrong with a `maildirsize`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SizeFault {
    /// It is no such file.
    Unreadable,
    /// Its lines come to something else.
    Sum { told: Usage, counted: Usage },
}

/// Who is still at work after so many counts is left to their own.
const COUNTS_MAX: usize = 4;

impl Tree {
    /// Compares the account's `maildirsize` with its messages, and changes nothing. `None` also where other programs never rest: of a
    /// message whose line is yet to come nobody can say that it was not written down.
    pub(crate) fn check_maildir_size(&self) -> Result<Option<SizeFault>> {
        let mut last = None;
        for _ in 0..COUNTS_MAX {
            // Those of this process are waited for.
            let gate = self.store.quota_gates().of(&self.root);
            let _nobody_changes = gate.count();
            let Some(before) = self.look_at_file()? else { return Ok(None) };
            let fault = match &before {
                Some(file) if file.is_long() => return Ok(None),
                Some(file) if file.limits().is_some() => match file.sum() {
                    Some((told, _)) => {
                        let counted = Account(self).count()?;
                        (told != counted).then_some(SizeFault::Sum { told, counted })
                    }
                    None => Some(SizeFault::Unreadable),
                },
                _ => Some(SizeFault::Unreadable),
            };
            let same = self.look_at_file()?.is_some_and(|after| after == before);
            match fault {
                None => return Ok(None),
                // The same twice.
                Some(fault) if same && last == Some(fault) => return Ok(Some(fault)),
                fault => last = fault.filter(|_| same),
            }
        }
        Ok(None)
    }

    /// `None`: there is none. `Some(None)`: it is no file.
    fn look_at_file(&self) -> Result<Option<Option<MaildirSize>>> {
        match self.read_maildir_size() {
            Ok(found) => Ok(found.map(|(file, _)| Some(file))),
            Err(MaildirError::Fs(error)) if error.kind() == ErrorKind::WrongKind => Ok(Some(None)),
            Err(error) => Err(error),
        }
    }
}
