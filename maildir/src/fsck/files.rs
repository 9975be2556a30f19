//! Directories, and what lies in them.

use std::path::Path;
use std::time::{Duration, SystemTime};

use pillarbox_fs::Kind;

use super::{Problem, Run};
use crate::error::NotFound;
use crate::file_name::{self, Base};
use crate::listing::{Dir, Listing, Named, path};
use crate::uid_list::UidList;
use crate::{Flags, Maildir, Result};

/// One message file.
pub(super) struct MessageFile {
    pub(super) base: Base,
    pub(super) named: Named,
}

impl MessageFile {
    pub(super) fn flags(&self) -> Flags {
        file_name::flags(&self.named.info)
    }
}

/// False if there is nothing to look at.
pub(super) fn check_directories(run: &mut Run<'_>, maildir: &Maildir) -> Result<bool> {
    let mut all = true;
    let mut missing = Vec::new();
    for name in ["tmp", "new", "cur"] {
        let path = maildir.dir(name);
        match maildir.fs().metadata(&path).if_found()?.map(|metadata| metadata.kind) {
            Some(Kind::Directory) => {}
            Some(_) => {
                run.leave(path, Problem::NotADirectory);
                all = false;
            }
            None => missing.push(path),
        }
    }
    for path in missing {
        run.mend(&*path, Problem::NoDirectory, || Maildir::make_dirs(maildir.store(), maildir.path()).map(drop));
        all &= is_there(maildir, &path)?;
    }
    Ok(all)
}

/// What is no message, and what is one that nobody can see.
pub(super) fn check_entries(run: &mut Run<'_>, maildir: &Maildir) -> Result<()> {
    for dir in [Dir::New, Dir::Cur] {
        let folder = maildir.dir(dir.name());
        for entry in maildir.fs().list(&folder)? {
            let name = file_name::bytes(&entry.name);
            // Names with a dot in front belong to other programs, by the Maildir convention.
            if name.starts_with(b".") {
                continue;
            }
            let old = folder.join(&entry.name);
            let (base, info) = file_name::split(name);
            if entry.kind != Kind::File {
                run.leave(old, Problem::NotAFile);
            } else if base.is_empty() || name.contains(&b'\n') {
                let unique = maildir.store().unique_name();
                let info = if info.contains(&b'\n') { b":2," } else { info };
                let new = folder.join(file_name::join(unique.as_bytes(), info));
                run.mend(old.clone(), Problem::NoMessageName, || {
                    maildir.fs().rename(&old, &new).if_found()?;
                    Ok(maildir.store().sync_dir(&folder)?)
                });
            }
        }
    }
    Ok(())
}

/// What a crash left in `tmp`.
pub(super) fn check_tmp(run: &mut Run<'_>, maildir: &Maildir) -> Result<()> {
    let store = maildir.store();
    let (tmp, now) = (maildir.dir("tmp"), store.options().clock.now());
    let old = |time| now.duration_since(time).is_ok_and(|age| age > store.options().tmp_age_max);
    let mut leftovers = Vec::new();
    for entry in store.fs().list(&tmp)? {
        // A copy, or a message with a date of its own, is young by its name alone.
        let (seconds, ..) = file_name::arrival(file_name::bytes(&entry.name));
        let named = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
        let path = tmp.join(&entry.name);
        if entry.kind == Kind::File
            && named.is_none_or(old)
            && store.fs().metadata(&path).if_found()?.is_some_and(|metadata| old(metadata.modified))
        {
            leftovers.push(path);
        }
    }
    if !leftovers.is_empty() {
        run.mend(&*tmp, Problem::Leftovers(leftovers.len() as u64), || {
            for path in &leftovers {
                store.fs().unlink(path).if_found()?;
            }
            Ok(store.sync_dir(&tmp)?)
        });
    }
    Ok(())
}

/// All message files. Where there are two of a name, they are told apart first.
pub(super) fn read(run: &mut Run<'_>, maildir: &Maildir, list: &UidList) -> Result<Vec<MessageFile>> {
    let mut listing = Listing::read(maildir, list)?;
    let doubles: Vec<_> = listing.doubles().map(|(base, named)| path(maildir, base, named)).collect();
    let mut repaired = None;
    for double in doubles {
        run.mend(double, Problem::Double, || {
            if repaired.is_none() {
                repaired = Some(repair_doubles(&mut listing, maildir, list));
            }
            repaired.clone().expect("it was repaired just now")
        });
    }
    let listed = listing.lines().map(|(line, found)| MessageFile {
        base: list.lines().base(line).into(),
        named: Named { dir: found.dir, info: found.info(listing.odd(line)).into() },
    });
    let mut files: Vec<MessageFile> = listed.collect();
    files.extend(listing.unlisted.into_iter().map(|(base, named)| MessageFile { base, named }));
    Ok(files)
}

fn repair_doubles(listing: &mut Listing, maildir: &Maildir, list: &UidList) -> Result<()> {
    // Of two who repair the same at once each might remove the name that the other keeps.
    let _locked = maildir.lock()?;
    *listing = Listing::read(maildir, list)?;
    listing.repair_doubles(maildir, list)?;
    sync(maildir)
}

/// Makes durable what happened to names.
pub(super) fn sync(maildir: &Maildir) -> Result<()> {
    for dir in [Dir::New, Dir::Cur] {
        maildir.store().sync_dir(&maildir.dir(dir.name()))?;
    }
    Ok(())
}

/// Whether something has this name.
pub(super) fn is_there(maildir: &Maildir, path: &Path) -> Result<bool> {
    Ok(maildir.fs().metadata(path).if_found()?.is_some())
}
