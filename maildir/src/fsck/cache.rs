//! The cache: what it keeps is what is computed.

use std::path::Path;

use super::files::MessageFile;
use super::{Problem, Progress, Run};
use crate::cache::{Contents, FILE, SIZES};
use crate::error::NotFound;
use crate::file_name::Sizes;
use crate::listing::path;
use crate::uid_list::UidList;
use crate::{Maildir, MessageReader, Pieces, Result};

pub(super) fn check(run: &mut Run<'_>, maildir: &Maildir, list: &UidList, files: &[MessageFile]) -> Result<()> {
    let file = maildir.dir(FILE);
    if maildir.fs().metadata(&file).if_found()?.is_none() {
        return Ok(());
    }
    let remove = || {
        maildir.fs().unlink(&file).if_found()?;
        Ok(())
    };
    let Some(contents) = Contents::read(maildir, list.validity) else {
        run.mend(&*file, Problem::UnreadableCache, remove);
        return Ok(());
    };
    let mut wrong = 0;
    for (n, message) in files.iter().enumerate() {
        if n % 1000 == 0 {
            run.examiner.progress(&Progress { folder: maildir.path(), done: n, messages: files.len() });
        }
        let Some(line) = list.line(&message.base) else { continue };
        let Some(pieces) = contents.pieces(list.lines().uid(line), &message.base) else { continue };
        let sizes = list.lines().fields(line).sizes(&message.base);
        match is_true(run, &path(maildir, &message.base, &message.named), maildir, sizes, &pieces) {
            Ok(is_true) => wrong += usize::from(!is_true),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    if wrong > 0 {
        run.mend(&*file, Problem::WrongCache(wrong), remove);
    } else if !contents.is_whole() {
        run.mend(&*file, Problem::UnreadableCache, remove);
    }
    Ok(())
}

fn is_true(run: &mut Run<'_>, path: &Path, maildir: &Maildir, known: Option<Sizes>, pieces: &Pieces) -> Result<bool> {
    let mut others = Pieces::new();
    for piece in pieces.iter().filter(|piece| piece.kind != SIZES) {
        others.insert(piece.kind, piece.name, piece.octets);
    }
    if let Some(sizes) = pieces.find(SIZES, b"") {
        let opened = maildir.fs().open(path)?;
        let len = opened.metadata()?.len;
        // That of a file of another length is not believed by anybody.
        let size = MessageReader::new(opened, known)?.len();
        if sizes.starts_with(&len.to_le_bytes()) && sizes[8..] != size.to_le_bytes() {
            return Ok(false);
        }
    }
    if others.is_empty() {
        return Ok(true);
    }
    let mut reader = MessageReader::new(maildir.fs().open(path)?, known)?;
    let Some(computed) = run.examiner.recompute(&mut reader, &others)? else { return Ok(true) };
    Ok(others.iter().all(|piece| computed.find(piece.kind, piece.name) == Some(piece.octets)))
}
