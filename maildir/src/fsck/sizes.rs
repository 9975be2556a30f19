//! Sizes that file names and the UID list tell.

use std::collections::{HashMap, HashSet};

use super::files::{self, MessageFile};
use super::{Problem, Progress, Run, uids};
use crate::error::NotFound;
use crate::file_name::{self, Base};
use crate::lines::Fields;
use crate::listing::path;
use crate::uid_list::UidList;
use crate::{Maildir, MaildirError, MessageReader, Result};

/// A message of which its name or its line in the list tells what is not so.
struct Wrong {
    /// Its place among the files.
    place: usize,
    in_name: bool,
    /// The length of its file and its size.
    right: (u64, u64),
}

/// So many are repaired under one lock, which nobody is made to wait for.
const AT_ONCE: usize = 1000;

/// Reads each message of which its name or its line in the list tells a size. A file that is renamed keeps its UID: no program that takes
/// the list's lock sees the file without its line. After a crash between the two the line is found again by what its name begins with.
pub(super) fn check(
    run: &mut Run<'_>,
    maildir: &Maildir,
    files: &mut [MessageFile],
    list: Option<&UidList>,
) -> Result<()> {
    let mut all_wrong = Vec::new();
    for (n, file) in files.iter().enumerate() {
        if n % 1000 == 0 {
            run.examiner.progress(&Progress { folder: maildir.path(), done: n, messages: files.len() });
        }
        let line = list.and_then(|list| Some(list.lines().fields(list.line(&file.base)?)));
        let (in_name, told) = told(&file.base, line);
        // Gone, or renamed by another program: the next check meets it again.
        if let Some(right) = wrong(maildir, file, told).if_there()? {
            all_wrong.push(Wrong { place: n, in_name, right });
        }
    }
    let mut taken: HashSet<Base> = match all_wrong.is_empty() {
        true => HashSet::new(),
        false => files.iter().map(|file| file.base.clone()).collect(),
    };
    for some in all_wrong.chunks(AT_ONCE) {
        let paths: Vec<_> =
            some.iter().map(|wrong| &files[wrong.place]).map(|f| path(maildir, &f.base, &f.named)).collect();
        let repaired = match run.repair {
            true => repair(maildir, files, some, &mut taken, list.is_some())
                .unwrap_or_else(|error| vec![Err(error); some.len()]),
            false => Vec::new(),
        };
        run.resized |= repaired.iter().any(Result::is_ok);
        let mut repaired = repaired.into_iter();
        for path in paths {
            let repaired = repaired.next();
            run.mend(path, Problem::WrongSizes, || repaired.expect("all were tried"));
        }
    }
    Ok(())
}

/// Renames the files and corrects their lines, and tells what became of each.
fn repair(
    maildir: &Maildir,
    files: &mut [MessageFile],
    all_wrong: &[Wrong],
    taken: &mut HashSet<Base>,
    has_list: bool,
) -> Result<Vec<Result<()>>> {
    let mut locked = maildir.lock()?;
    let mut corrected = HashMap::new();
    let mut renamed = Vec::new();
    let mut outcomes = Vec::with_capacity(all_wrong.len());
    for Wrong { place, in_name, right: (len, size) } in all_wrong {
        let file = &mut files[*place];
        if !in_name {
            corrected.insert(file.base.clone(), file.base.clone());
            outcomes.push(Ok(()));
            continue;
        }
        let mut base = with_sizes(&file.base, *len, *size);
        if !taken.insert(base.clone()) {
            base = with_sizes(maildir.store().unique_name().as_bytes(), *len, *size);
        }
        let (old, new) = (path(maildir, &file.base, &file.named), path(maildir, &base, &file.named));
        let outcome = match files::is_there(maildir, &new) {
            Ok(true) => Err(MaildirError::MailboxExists(new.display().to_string())),
            Ok(false) => maildir.fs().rename(&old, &new).if_found(),
            Err(error) => Err(error),
        };
        // Who renamed it meanwhile, such as for a flag, leaves it to the next check.
        if let Ok(Some(())) = outcome {
            corrected.insert(std::mem::replace(&mut file.base, base.clone()), base);
            renamed.push((old, new, *place));
        }
        outcomes.push(outcome.map(drop));
    }
    // The names come first: a line without its file is dropped by whoever looks, and with it the UID.
    let told = match has_list {
        true => files::sync(maildir).and_then(|()| uids::correct(&mut locked, &corrected)),
        false => files::sync(maildir),
    };
    if let Err(error) = told {
        // What failed may be the sync behind the replacement: then the list has the new names.
        if uids::has_names(maildir, &corrected) {
            let told = locked.uids().map(drop);
            return Ok(outcomes.into_iter().map(|outcome| outcome.and(told.clone())).collect());
        }
        // With the names that the list has.
        let before: HashMap<&Base, &Base> = corrected.iter().map(|(old, new)| (new, old)).collect();
        for (old, new, place) in renamed {
            if maildir.fs().rename(&new, &old).is_ok() {
                files[place].base = before[&files[place].base].clone();
            }
        }
        return Ok(outcomes.into_iter().map(|outcome| outcome.and(Err(error.clone()))).collect());
    }
    Ok(outcomes)
}

/// The sizes of the file and of the message; `Some(None)` is what is no number.
type Told = (Option<Option<u64>>, Option<Option<u64>>);

/// What name and line tell, the name first, and whether the name tells any of it.
fn told(base: &[u8], line: Option<Fields<'_>>) -> (bool, Told) {
    let number = |value: &[u8]| file_name::whole_number(value);
    let named = |key: &[u8]| {
        let mut fields = base.split(|octet| *octet == b',').skip(1);
        fields.find_map(|field| field.strip_prefix(key)).map(number)
    };
    let listed = |key| line.and_then(|line| line.value(key)).map(number);
    let (file, message) = (named(b"S="), named(b"W="));
    let in_name = file.is_some() || message.is_some();
    (in_name, (file.or_else(|| listed(b'S')), message.or_else(|| listed(b'W'))))
}

/// The sizes that should be told, if others are.
fn wrong(maildir: &Maildir, file: &MessageFile, (file_size, message_size): Told) -> Result<Option<(u64, u64)>> {
    if file_size.is_none() && message_size.is_none() {
        return Ok(None);
    }
    let opened = maildir.fs().open(&path(maildir, &file.base, &file.named))?;
    let len = opened.metadata()?.len;
    // Equal sizes say that the file holds the message octet for octet.
    let verbatim = file_size == Some(Some(len)) && message_size == file_size;
    if verbatim || message_size.is_none() && file_size == Some(Some(len)) {
        return Ok(None);
    }
    let size = MessageReader::new(opened, None)?.len();
    let right = file_size.is_none_or(|told| told == Some(len)) && message_size == Some(Some(size));
    Ok(Some((len, size)).filter(|_| !right))
}

fn with_sizes(base: &[u8], len: u64, size: u64) -> Base {
    let mut fields = base.split(|octet| *octet == b',');
    let mut new = fields.next().unwrap_or_default().to_vec();
    new.extend_from_slice(format!(",S={len},W={size}").as_bytes());
    for other in fields.filter(|field| !field.starts_with(b"S=") && !field.starts_with(b"W=")) {
        new.push(b',');
        new.extend_from_slice(other);
    }
    new.into()
}

/// What a name begins with, whatever sizes it tells.
pub(super) fn unique_part(base: &[u8]) -> Option<&[u8]> {
    let end = memchr::memchr(b',', base)?;
    let sizes = base[end + 1..].split(|octet| *octet == b',').all(|field| matches!(field, [b'S' | b'W', b'=', ..]));
    Some(&base[..end]).filter(|unique| sizes && !unique.is_empty())
}

trait IfThere<T> {
    /// `None` where the file is not there.
    fn if_there(self) -> Result<Option<T>>;
}

impl<T> IfThere<T> for Result<Option<T>> {
    fn if_there(self) -> Result<Option<T>> {
        match self {
            Err(error) if error.is_not_found() => Ok(None),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_fields_stay() {
        assert_eq!(&*with_sizes(b"1.M2.h,S=1,W=2", 3, 4), b"1.M2.h,S=3,W=4");
        assert_eq!(&*with_sizes(b"1.M2.h,x,W=2,S=9,S=8,U=1", 3, 4), b"1.M2.h,S=3,W=4,x,U=1");
        assert_eq!(unique_part(b"1.M2.h,S=1,W=2"), Some(&b"1.M2.h"[..]));
        assert_eq!(unique_part(b"1.M2.h,S=1,U=2"), None);
        assert_eq!(unique_part(b"1.M2.h"), None);
    }
}
