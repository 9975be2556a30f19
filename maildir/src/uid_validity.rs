//! `dovecot-uidvalidity`: where the mailboxes of one account get their UIDVALIDITY from.
//!
//! The truth is in the name of an empty file beside it, `dovecot-uidvalidity.<8 hex digits>`: who renames it to the next
//! number owns that number, and no lock is needed. `dovecot-uidvalidity` itself repeats the number for fast reading.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use pillarbox_fs::{ErrorKind, FsError, replace_file};

use crate::error::NotFound;
use crate::{MaildirError, Result, Store};

pub(crate) const FILE: &str = "dovecot-uidvalidity";

/// A value above this one is damage: believed, it would soon leave no other. So is this one itself, for the next would be above it.
const LAST: u32 = u32::MAX - (1 << 24);

fn is_believed(value: u32) -> bool {
    value < LAST
}

/// Takes a value that is greater than every value taken before in the account, than `floor`, and not below the time in
/// seconds, so that even an account that lost its file gets a new value. Durable on return.
pub(crate) fn next(store: &Store, root: &Path, floor: u32) -> Result<u32> {
    let fs = store.fs();
    let floor = if is_believed(floor) { floor } else { 0 };
    let now = store.options().clock.now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let now = u32::try_from(now.as_secs()).map_err(|_| MaildirError::NumbersExhausted)?;
    let value = loop {
        let (newest, repeated) = read(store, root)?;
        let last = newest.max(repeated).unwrap_or(0).max(floor);
        // One that nobody would believe later would be given again.
        let value = Some(last.max(now.saturating_sub(1)) + 1).filter(|value| is_believed(*value));
        let value = value.ok_or(MaildirError::NumbersExhausted)?;
        let path = root.join(format!("{FILE}.{value:08x}"));
        // Whoever is second finds the old name gone, or the new one taken, and asks again.
        let taken = match newest {
            Some(old) => fs.rename(&root.join(format!("{FILE}.{old:08x}")), &path).if_found()?.is_some(),
            None => match fs.create(&path) {
                Ok(_) => true,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
                Err(error) => return Err(error.into()),
            },
        };
        if taken {
            break value;
        }
    };
    let written = root.join(format!("{FILE}-{}", store.unique_name()));
    replace_file(fs, &written, &root.join(FILE), format!("{value:08x}").as_bytes(), || Ok::<(), FsError>(()))?;
    store.sync_dir(root)?;
    Ok(value)
}

/// Sees to it that the next value is greater than one that a mailbox had, however it got it. Durable on return.
pub(crate) fn outgrow(store: &Store, root: &Path, value: u32) -> Result<()> {
    if is_believed(value) && last(store, root)? < value {
        next(store, root, value)?;
    }
    Ok(())
}

/// The last value that was taken; 0 if nobody knows of one.
pub(crate) fn last(store: &Store, root: &Path) -> Result<u32> {
    let (newest, repeated) = read(store, root)?;
    Ok(newest.max(repeated).unwrap_or(0))
}

/// The greatest value that a name tells, and what the file repeats.
fn read(store: &Store, root: &Path) -> Result<(Option<u32>, Option<u32>)> {
    let fs = store.fs();
    let newest = fs.list(&root.join("."))?.into_iter().filter_map(|entry| suffix(entry.name.to_str()?)).max();
    let repeated = match fs.read(&root.join(FILE), 64) {
        Ok(bytes) => std::str::from_utf8(&bytes).ok().and_then(parse),
        // What holds no number tells none.
        Err(error) if !error.is_temporary() => None,
        Err(error) => return Err(error.into()),
    };
    Ok((newest, repeated))
}

fn suffix(name: &str) -> Option<u32> {
    parse(name.strip_prefix(FILE)?.strip_prefix('.')?)
}

fn parse(hex: &str) -> Option<u32> {
    // Small letters only, as they are written: a name that is read in another way than it is written is never found.
    let digits = hex.len() == 8 && hex.bytes().all(|octet| matches!(octet, b'0'..=b'9' | b'a'..=b'f'));
    u32::from_str_radix(hex, 16).ok().filter(|value| digits && is_believed(*value))
}

#[cfg(test)]
mod tests {
    use pillarbox_fs::{Fs, SimulatedFs};

    use super::*;
    use crate::Options;

    #[test]
    fn no_value_is_given_that_would_not_be_believed_later() {
        let root = Path::new("/m");
        let account = |value: u32| {
            let disk = SimulatedFs::new();
            disk.make_dir(root).unwrap();
            drop(disk.create(&root.join(format!("{FILE}.{value:08x}"))).unwrap());
            Store::new(disk, Options::from_system())
        };
        let store = account(LAST - 2);
        assert_eq!(next(&store, root, 0).unwrap(), LAST - 1);
        assert_eq!(last(&store, root).unwrap(), LAST - 1);
        for store in [store, account(LAST - 1)] {
            assert!(matches!(next(&store, root, 0), Err(MaildirError::NumbersExhausted)));
            assert_eq!(last(&store, root).unwrap(), LAST - 1);
        }
        // Damage, in the account's name or in a list.
        for damage in [LAST, LAST + 1, u32::MAX] {
            let store = account(damage);
            assert_eq!(last(&store, root).unwrap(), 0);
            outgrow(&store, root, damage).unwrap();
            let given = next(&store, root, damage).unwrap();
            assert!(given < LAST && next(&store, root, 0).unwrap() == given + 1, "{damage} {given}");
        }
        let store = account(1);
        assert!(matches!(outgrow(&store, root, LAST - 1), Err(MaildirError::NumbersExhausted)));
        outgrow(&store, root, LAST - 2).unwrap();
        assert_eq!(last(&store, root).unwrap(), LAST - 1);
    }
}
