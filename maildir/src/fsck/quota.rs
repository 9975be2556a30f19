//! `maildirsize`: whether it can be read, and whether its lines come to what is there. And the limits that were set beside it.

use super::{Problem, Run};
use crate::error::NotFound;
use crate::quota::{FILE, SizeFault};
use crate::{MaildirError, Result, Tree};

const DAMAGED: &str = "maildirsize.damaged";

pub(super) fn check(run: &mut Run<'_>, tree: &Tree) -> Result<()> {
    let file = tree.root.join(FILE);
    match tree.check_maildir_size()? {
        None => {}
        Some(SizeFault::Unreadable) => run.mend(file, Problem::DamagedQuota, || repair(tree)),
        Some(SizeFault::Sum { told, counted }) => {
            run.mend(file, Problem::WrongQuota { told, counted }, || repair(tree));
        }
    }
    match tree.limits() {
        Err(MaildirError::Damaged(file)) => run.mend(file, Problem::DamagedLimits, || tree.mend_limits()),
        read => drop(read?),
    }
    Ok(())
}

fn repair(tree: &Tree) -> Result<()> {
    let file = tree.root.join(FILE);
    match tree.quota_on_disk() {
        Ok(Some(limits)) => {
            tree.recount(limits)?;
            // That the file could not be written is no error to who only wants to know what is used.
            tree.check_maildir_size()?.map_or(Ok(()), |_| Err(MaildirError::Damaged(file)))
        }
        // With the limits, which nobody else may know. A server that has its own makes a new file.
        _ => {
            tree.store.fs().rename(&file, &tree.root.join(DAMAGED)).if_found()?;
            Ok(tree.store.sync_dir(&tree.root)?)
        }
    }
}
