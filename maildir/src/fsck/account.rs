//! All mailboxes of an account, and what they share.

use pillarbox_fs::Kind;

use super::{Problem, Run, quota};
use crate::error::NotFound;
use crate::file_name::bytes;
use crate::{Layout, Maildir, Result, Tree, uid_validity};

pub(super) fn check(run: &mut Run<'_>, tree: &Tree) -> Result<()> {
    let mut highest = 0;
    for listed in tree.list()?.into_iter().filter(|listed| listed.exists) {
        let maildir = Maildir::at(&tree.store, tree.path(&listed.name)?, tree.root.clone());
        highest = highest.max(run.mailbox(&maildir).unwrap_or(0));
    }
    // In the other layout a directory need not be a mailbox.
    let beside = match tree.options.layout {
        Layout::MaildirPlusPlus => tree.store.fs().list(&tree.root.join("."))?,
        Layout::Fs => Vec::new(),
    };
    for entry in beside {
        let path = tree.root.join(&entry.name);
        let name = bytes(&entry.name);
        if entry.kind != Kind::Directory || !name.starts_with(b".") || name.starts_with(b"..") {
            continue;
        }
        let is_dir = |name: &str| -> Result<bool> {
            let metadata = tree.store.fs().metadata(&path.join(name)).if_found()?;
            Ok(metadata.is_some_and(|metadata| metadata.kind == Kind::Directory))
        };
        match entry.name.to_str().and_then(|name| tree.options.name_of_directory(name)) {
            None if is_dir("cur")? => run.leave(path, Problem::NoMailboxName),
            // What was one, or was about to be one.
            Some(_) if !is_dir("cur")? && (is_dir("new")? || is_there_in(tree, &path, "maildirfolder")?) => {
                let maildir = Maildir::at(&tree.store, path, tree.root.clone());
                highest = highest.max(run.mailbox(&maildir).unwrap_or(0));
            }
            _ => {}
        }
    }
    let last = uid_validity::last(&tree.store, &tree.root)?;
    if highest > last {
        let problem = Problem::LowUidValidity { last, mailbox: highest };
        run.mend(tree.root.join(uid_validity::FILE), problem, || {
            uid_validity::next(&tree.store, &tree.root, highest).map(drop)
        });
    }
    // The sizes that names tell are what counts towards the quota.
    if run.resized
        && let Some(limits) = tree.quota_on_disk()?
    {
        tree.recount(limits)?;
    }
    quota::check(run, tree)?;
    let bad = tree.bad_subscriptions(false)?;
    if bad > 0 {
        let path = tree.root.join("subscriptions");
        run.mend(path, Problem::BadSubscriptions(bad), || tree.bad_subscriptions(true).map(drop));
    }
    Ok(())
}

fn is_there_in(tree: &Tree, folder: &std::path::Path, name: &str) -> Result<bool> {
    Ok(tree.store.fs().metadata(&folder.join(name)).if_found()?.is_some())
}
