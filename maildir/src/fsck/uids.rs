//! The UID list: whether it can be read, and whether its lines are the messages.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use pillarbox_fs::ErrorKind;

use super::files::MessageFile;
use super::sizes::unique_part;
use super::{Problem, Run};
use crate::error::NotFound;
use crate::file_name::Base;
use crate::folder::{Locked, UID_LIST_MAX};
use crate::listing::path;
use crate::uid_list::UidList;
use crate::{Access, Mailbox, Maildir, Result};

const FILE: &str = "dovecot-uidlist";
const DAMAGED: &str = "dovecot-uidlist.damaged";
const LOCK: &str = "dovecot-uidlist.lock";

/// What a file of that name holds.
enum Read {
    Nothing,
    List(UidList),
    /// With what can be kept of it.
    Damaged(Option<Salvaged>),
}

/// The list as it is, or as it would be repaired.
pub(super) fn check_list(run: &mut Run<'_>, maildir: &Maildir) -> Result<Option<UidList>> {
    let mut read = read(maildir)?;
    if !is_sound(&read) {
        // Somebody may be writing it just now.
        read = match run.repair.then(|| maildir.lock()) {
            None => read_at_rest(maildir)?,
            Some(Ok(_locked)) => self::read(maildir)?,
            Some(Err(error)) if error.is_temporary() => read,
            Some(Err(error)) => return Err(error),
        };
    }
    let (problem, would_be) = match read {
        Read::Nothing => return Ok(None),
        Read::List(list) if !list.torn => return Ok(Some(list)),
        Read::List(list) => (Problem::TornUidList, Some(list)),
        Read::Damaged(salvaged) => {
            let lost = salvaged.as_ref().map(|salvaged| salvaged.lost);
            (Problem::DamagedUidList(lost), salvaged.map(|salvaged| salvaged.list))
        }
    };
    run.mend(maildir.dir(FILE), problem, || repair(maildir));
    if run.repair { maildir.uids() } else { Ok(would_be) }
}

fn is_sound(read: &Read) -> bool {
    matches!(read, Read::Nothing | Read::List(UidList { torn: false, .. }))
}

/// Reads it once nobody has the lock, which is not taken: that would change the folder.
fn read_at_rest(maildir: &Maildir) -> Result<Read> {
    let options = maildir.store().options();
    let is_locked = || -> Result<bool> { Ok(maildir.fs().metadata(&maildir.dir(LOCK)).if_found()?.is_some()) };
    let (mut waited, pause) = (Duration::ZERO, Duration::from_millis(10));
    loop {
        let locked = is_locked()?;
        let read = read(maildir)?;
        if is_sound(&read) || !locked && !is_locked()? || waited >= options.lock_patience {
            return Ok(read);
        }
        options.clock.sleep(pause);
        waited += pause;
    }
}

fn read(maildir: &Maildir) -> Result<Read> {
    let bytes = match maildir.fs().read(&maildir.dir(FILE), UID_LIST_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Read::Nothing),
        Err(error) if matches!(error.kind(), ErrorKind::WrongKind | ErrorKind::TooLarge) => {
            return Ok(Read::Damaged(None));
        }
        Err(error) => return Err(error.into()),
    };
    Ok(UidList::parse(&bytes).map_or_else(|_| Read::Damaged(salvage(&bytes)), Read::List))
}

fn repair(maildir: &Maildir) -> Result<()> {
    let mut locked = maildir.lock()?;
    match read(maildir)? {
        Read::List(list) if list.torn => locked.write_uids(list),
        Read::Damaged(Some(Salvaged { list, .. })) => {
            // Nothing is deleted that somebody may want to look at, and there is always a list.
            let damaged = maildir.dir(DAMAGED);
            maildir.fs().unlink(&damaged).if_found()?;
            maildir.fs().link(&maildir.dir(FILE), &damaged)?;
            locked.write_uids(list)
        }
        Read::Damaged(None) | Read::Nothing => locked.uids().map(drop),
        Read::List(_) => Ok(()),
    }
}

/// What can be kept of a damaged list.
struct Salvaged {
    list: UidList,
    lost: usize,
}

/// Keeps the lines that can be read and whose UIDs rise. Where they do not, the fewest lines that can be to blame are dropped, and
/// where that may be one or the other, both. `None` if the first line is lost, and with it the UIDVALIDITY, or the last one,
/// without which nobody knows which UIDs were given.
fn salvage(bytes: &[u8]) -> Option<Salvaged> {
    let header_end = memchr::memchr(b'\n', bytes)? + 1;
    let (header, body) = bytes.split_at(header_end);
    UidList::parse(header).ok()?;
    let whole_end = memchr::memrchr(b'\n', body).map_or(0, |at| at + 1);
    let (whole, torn) = body.split_at(whole_end);
    let lines: Vec<&[u8]> = whole.split_inclusive(|octet| *octet == b'\n').collect();
    let readable: Vec<(u32, usize)> = lines.iter().enumerate().filter_map(|(n, line)| Some((uid(line)?, n))).collect();
    let uids: Vec<u32> = readable.iter().map(|(uid, _)| *uid).collect();
    let kept: Vec<usize> = certain(&uids).into_iter().map(|place| readable[place].1).collect();
    if kept.last().copied() != lines.len().checked_sub(1) {
        return None;
    }
    // A UID that looks wrong may yet have been given.
    let greatest = uids.into_iter().max().filter(|uid| *uid <= u32::MAX / 2)?;
    let mut cleaned = header.to_vec();
    kept.iter().for_each(|line| cleaned.extend_from_slice(lines[*line]));
    cleaned.extend_from_slice(torn);
    let mut list = UidList::parse(&cleaned).ok()?;
    list.use_up(greatest);
    Some(Salvaged { list, lost: lines.len() - kept.len() })
}

/// The UID of a line, if it is one.
fn uid(line: &[u8]) -> Option<u32> {
    let list = UidList::parse(&[b"3 V1 N1\n", line].concat()).ok()?;
    list.live().next().map(|line| list.lines().uid(line).get())
}

/// The places of the numbers that are in each of the longest rising rows.
fn certain(numbers: &[u32]) -> Vec<usize> {
    let up_to = row_lengths(numbers.iter().map(|number| i64::from(*number)));
    let mut from = row_lengths(numbers.iter().rev().map(|number| -i64::from(*number)));
    from.reverse();
    let longest = up_to.iter().copied().max().unwrap_or(0);
    let is_in_one = |place: &usize| up_to[*place] + from[*place] == longest + 1;
    let mut candidates = vec![0; longest + 1];
    (0..numbers.len()).filter(is_in_one).for_each(|place| candidates[up_to[place]] += 1);
    (0..numbers.len()).filter(|place| is_in_one(place) && candidates[up_to[*place]] == 1).collect()
}

/// For each number how long the longest rising row is that ends with it.
fn row_lengths(numbers: impl Iterator<Item = i64>) -> Vec<usize> {
    // Of the rows of each length the one that ends lowest.
    let mut ends: Vec<i64> = Vec::new();
    let lengths = numbers.map(|number| {
        let shorter = ends.partition_point(|end| *end < number);
        match ends.get_mut(shorter) {
            Some(end) => *end = number,
            None => ends.push(number),
        }
        shorter + 1
    });
    lengths.collect()
}

/// Files have other names, or are not as large as was told: their lines get the new names and tell no sizes, and so the messages
/// keep their UIDs, and what names them in all mailboxes.
pub(super) fn correct(locked: &mut Locked<'_>, names: &HashMap<Base, Base>) -> Result<()> {
    let list = locked.uids()?.clone();
    let encoded = list.encode();
    let mut corrected = memchr::memchr(b'\n', &encoded).map_or(&encoded[..], |end| &encoded[..=end]).to_vec();
    let lines = list.lines();
    for line in list.live() {
        let (base, fields) = (lines.base(line), lines.fields(line));
        corrected.extend_from_slice(format!("{} ", lines.uid(line)).as_bytes());
        match names.get(base) {
            // With another name it might be longer than a line can be.
            _ if fields.0.len() > FIELDS_MAX => {}
            None => corrected.extend_from_slice(fields.0),
            Some(new) => {
                if fields.value(b'G').is_none() && **new != *base && !base.contains(&b' ') {
                    corrected.extend_from_slice(&[b"G", base, b" "].concat());
                }
                let others = fields.0.split_inclusive(|octet| *octet == b' ');
                let others = others.filter(|field| !field.starts_with(b"S") && !field.starts_with(b"W"));
                others.for_each(|field| corrected.extend_from_slice(field));
            }
        }
        corrected.push(b':');
        corrected.extend_from_slice(names.get(base).map_or(base, |new| new));
        corrected.push(b'\n');
    }
    let corrected = UidList::parse(&corrected).expect("the lines of a list with other names are a list");
    locked.write_uids(corrected)
}

/// Whether the list on the disk has one of the new names.
pub(super) fn has_names(maildir: &Maildir, names: &HashMap<Base, Base>) -> bool {
    let Ok(Read::List(list)) = read(maildir) else { return false };
    names.iter().any(|(old, new)| old != new && list.line(new).is_some())
}

/// Keys and values of a line that are kept where its name changes. No program writes as much.
const FIELDS_MAX: usize = 16 << 10;

/// Compares the list with the files, and returns it as it is afterwards.
pub(super) fn check_lines(
    run: &mut Run<'_>,
    maildir: &Maildir,
    list: Option<UidList>,
    files: &[MessageFile],
) -> Result<Option<UidList>> {
    let Some(list) = list else {
        if files.is_empty() {
            return Ok(None);
        }
        run.mend(maildir.dir(FILE), Problem::NoUid(files.len()), || give_uids(maildir));
        return if run.repair { maildir.uids() } else { Ok(None) };
    };
    // After a repair of sizes the lines have other names than when the files were listed.
    let list = if run.repair { maildir.uids()?.unwrap_or(list) } else { list };
    let there: HashSet<&[u8]> = files.iter().map(|file| &file.base[..]).collect();
    let gone: Vec<&[u8]> =
        list.live().map(|line| list.lines().base(line)).filter(|base| !there.contains(base)).collect();
    let unlisted: Vec<&MessageFile> = files.iter().filter(|file| list.line(&file.base).is_none()).collect();
    let names = other_names(&gone, &unlisted);
    let new_names: HashSet<&Base> = names.values().collect();
    let mut renamed = None;
    for file in unlisted.iter().filter(|file| new_names.contains(&file.base)) {
        run.mend(path(maildir, &file.base, &file.named), Problem::RenamedMessage, || {
            renamed.get_or_insert_with(|| correct(&mut maildir.lock()?, &names)).clone()
        });
    }
    if unlisted.len() > names.len() {
        run.mend(maildir.dir(FILE), Problem::NoUid(unlisted.len() - names.len()), || give_uids(maildir));
    }
    if gone.len() > names.len() {
        run.mend(maildir.dir(FILE), Problem::NoFile(gone.len() - names.len()), || drop_lines(maildir));
    }
    if run.repair { maildir.uids() } else { Ok(Some(list)) }
}

/// Of names that are gone, those under which a file without a UID was known: they differ in nothing but sizes.
fn other_names(gone: &[&[u8]], unlisted: &[&MessageFile]) -> HashMap<Base, Base> {
    let mut files: HashMap<&[u8], Option<&Base>> = HashMap::new();
    for file in unlisted {
        if let Some(unique) =
            unique_part(&file.base).or(Some(&file.base).filter(|base| !base.contains(&b',')).map(|base| &base[..]))
        {
            // Of two nobody can say which one it was.
            files.entry(unique).and_modify(|known| *known = None).or_insert(Some(&file.base));
        }
    }
    let mut names: HashMap<Base, Base> = HashMap::new();
    for base in gone {
        let unique = unique_part(base).unwrap_or(base);
        if let Some(file) = files.get_mut(unique).and_then(Option::take) {
            names.insert((*base).into(), file.clone());
        }
    }
    names
}

/// As a session does that looks and changes nothing else.
fn give_uids(maildir: &Maildir) -> Result<()> {
    let mailbox = Mailbox::open(maildir, Access::ReadOnly)?;
    mailbox.held_back().map_or(Ok(()), Err)
}

/// Only what a mailbox is certain of is gone: a listing alone may miss a file that is being renamed.
fn drop_lines(maildir: &Maildir) -> Result<()> {
    let mailbox = Mailbox::open(maildir, Access::ReadOnly)?;
    let mut locked: Locked<'_> = maildir.lock()?;
    let list = locked.uids()?.clone();
    let is_gone = |line: u32| {
        let uid = list.lines().uid(line);
        uid.get() < mailbox.uid_next() && mailbox.message(uid).is_none()
    };
    if list.validity == mailbox.uid_validity() && list.live().any(is_gone) {
        locked.compact(|line| !is_gone(line), |_| None)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kept(text: &str) -> Option<(String, usize)> {
        let salvaged = salvage(text.as_bytes())?;
        Some((String::from_utf8(salvaged.list.encode()).unwrap(), salvaged.lost))
    }

    #[test]
    fn what_can_be_read_is_kept_and_no_uid_is_given_again() {
        for (damaged, expected) in [
            // A line in the middle is lost, and one that does not rise.
            ("3 V7 N2 Gx\n1 :a\n\0\0\0\n3 :c\n", Some(("3 V7 N4 Gx\n1 :a\n3 :c\n", 1))),
            ("3 V7 N2\n1 :a\n900 :b\n3 :c\n4 :d\n", Some(("3 V7 N901\n1 :a\n3 :c\n4 :d\n", 1))),
            ("3 V7 N2\n1 :a\nx\n3 :c\n4 :", Some(("3 V7 N5\n1 :a\n3 :c\n", 1))),
            // Nobody knows what the last UID was, or the UIDVALIDITY.
            ("3 V7 N2\n1 :a\n2 :b\n\0\0\0\n", None),
            ("3 V7 N2\n1 :a\n5 :b\n2 :c\n", None),
            ("3 V7 N2\n1 :a\n4000000000 :b\n3 :c\n4 :d\n", None),
            // One of the two is wrong.
            ("3 V7 N2\n1 :a\n5 :b\n2 :c\n8 :d\n", Some(("3 V7 N9\n1 :a\n8 :d\n", 2))),
            ("3 Vx N2\n1 :a\n2 :b\n", None),
            ("", None),
        ] {
            let expected = expected.map(|(list, lost)| (list.to_owned(), lost));
            assert_eq!(kept(damaged), expected, "{damaged:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_certain_is_in_each_longest_row(numbers in proptest::collection::vec(1..50u32, 0..12)) {
            let rows = (0u32..1 << numbers.len()).map(|chosen| {
                (0..numbers.len()).filter(|n| chosen >> n & 1 == 1).collect::<Vec<usize>>()
            });
            let rising = |row: &Vec<usize>| row.windows(2).all(|pair| numbers[pair[0]] < numbers[pair[1]]);
            let rows: Vec<Vec<usize>> = rows.filter(rising).collect();
            let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
            let mut longest = rows.iter().filter(|row| row.len() == longest);
            let mut expected = longest.next().cloned().unwrap_or_default();
            longest.for_each(|row| expected.retain(|place| row.contains(place)));
            prop_assert_eq!(certain(&numbers), expected);
        }
    }
}
