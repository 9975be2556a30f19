//! Whether a journal can be believed, for who only looks.

use std::time::Duration;

use pillarbox_fs::{ErrorKind, File};

use super::format::HEADER_LEN;
use super::{Known, NAME, State, read_header};
use crate::error::NotFound;
use crate::{Maildir, Result};

/// True if the journal cannot be read to its end. One of another run of the system or of another UIDVALIDITY is whole, though it will begin
/// anew, and so is one that somebody has only just made. Nothing is changed.
pub(crate) fn is_damaged(maildir: &Maildir) -> Result<bool> {
    let path = maildir.dir(NAME);
    match maildir.fs().open(&path) {
        Ok(file) if !looks_damaged(&file)? => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) if error.kind() == ErrorKind::WrongKind => return Ok(true),
        Err(error) => return Err(error.into()),
    }
    // Somebody may be writing it just now: who writes has it locked.
    let options = maildir.store().options();
    let (mut waited, pause) = (Duration::ZERO, Duration::from_millis(10));
    loop {
        let mut file = match maildir.fs().open_append(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            // Nobody can be writing it.
            Err(error) if matches!(error.kind(), ErrorKind::ReadOnly | ErrorKind::PermissionDenied) => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        if file.try_lock()? {
            let named = maildir.fs().metadata(&path).if_found()?;
            match named {
                None => return Ok(false),
                Some(named) if named.id == file.metadata()?.id => return looks_damaged(&file),
                // It was written anew meanwhile.
                Some(_) => {}
            }
        }
        if waited >= options.lock_patience {
            return Ok(false);
        }
        options.clock.sleep(pause);
        waited += pause;
    }
}

fn looks_damaged(file: &File) -> Result<bool> {
    if file.metadata()?.len == 0 {
        return Ok(false);
    }
    let Some((header, checksum)) = read_header(file)? else { return Ok(true) };
    let mut known = Known { header, end: HEADER_LEN as u64, checksum, state: State::default() };
    let whole = known.read(file)?;
    Ok(!whole || known.state.reserved == 0)
}
