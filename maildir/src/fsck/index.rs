//! The snapshot of a folder at rest: where it would be believed, it is true.

use std::collections::HashMap;

use super::files::MessageFile;
use super::{Problem, Run};
use crate::error::NotFound;
use crate::listing::DirStamps;
use crate::snapshot::{FILE, Snapshot, Stamps};
use crate::uid_list::UidList;
use crate::{Maildir, Result, Uid};

pub(super) fn check(run: &mut Run<'_>, maildir: &Maildir, list: &UidList, files: &[MessageFile]) -> Result<()> {
    let Some(snapshot) = Snapshot::read(maildir) else { return Ok(()) };
    let Some(uids) = maildir.uids_stamp()? else { return Ok(()) };
    if Stamps::of(&DirStamps::read(maildir)?, &uids) != Some(snapshot.stamps) || snapshot.validity != list.validity {
        return Ok(());
    }
    let by_uid: HashMap<Uid, &MessageFile> =
        files.iter().filter_map(|file| Some((list.lines().uid(list.line(&file.base)?), file))).collect();
    let is_true = snapshot.rows(|uid, found, odd| {
        by_uid.get(&uid).is_some_and(|file| file.named.dir == found.dir && *file.named.info == *found.info(odd))
    });
    // What is new since the files were listed would have changed the times.
    let same = Stamps::of(&DirStamps::read(maildir)?, &uids) == Some(snapshot.stamps);
    if same && !(is_true && snapshot.count() == by_uid.len()) {
        let file = maildir.dir(FILE);
        run.mend(&*file, Problem::WrongIndex, || maildir.fs().unlink(&file).if_found().map(drop));
    }
    Ok(())
}
