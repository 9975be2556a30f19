//! The journal: whether it can be believed to its end.

use super::{Problem, Run};
use crate::journal::{NAME, is_damaged};
use crate::{Access, Mailbox, Maildir, MaildirError, Result};

pub(super) fn check(run: &mut Run<'_>, maildir: &Maildir) -> Result<()> {
    if is_damaged(maildir)? {
        run.mend(maildir.dir(NAME), Problem::DamagedJournal, || repair(maildir));
    }
    Ok(())
}

/// As a session does that looks and changes nothing else.
fn repair(maildir: &Maildir) -> Result<()> {
    let mailbox = Mailbox::open(maildir, Access::ReadOnly)?;
    match mailbox.journal_trouble() {
        Some(trouble) => Err(trouble.clone()),
        None if is_damaged(maildir)? => Err(MaildirError::Damaged(maildir.dir(NAME))),
        None => Ok(()),
    }
}
