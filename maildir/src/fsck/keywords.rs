//! Letters in file names, and the keywords that they stand for.

use pillarbox_fs::ErrorKind;

use super::files::MessageFile;
use super::{Problem, Run};
use crate::error::NotFound;
use crate::folder::KEYWORDS_MAX;
use crate::{Flags, Keywords, Maildir, Result};

const FILE: &str = "dovecot-keywords";
const DAMAGED: &str = "dovecot-keywords.damaged";

/// What the file holds, and whether that is all that is in it.
fn read(maildir: &Maildir) -> Result<(Keywords, bool)> {
    match maildir.fs().read(&maildir.dir(FILE), KEYWORDS_MAX) {
        Ok(bytes) => {
            let keywords = Keywords::parse(&bytes);
            let lines = bytes.split(|octet| *octet == b'\n').filter(|line| !line.is_empty()).count();
            let whole = lines == keywords.iter().count();
            Ok((keywords, whole))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok((Keywords::default(), true)),
        Err(error) if matches!(error.kind(), ErrorKind::WrongKind | ErrorKind::TooLarge) => {
            Ok((Keywords::default(), false))
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn check(run: &mut Run<'_>, maildir: &Maildir, files: &[MessageFile]) -> Result<()> {
    let (keywords, whole) = read(maildir)?;
    if !whole {
        run.mend(maildir.dir(FILE), Problem::DamagedKeywords, || repair(maildir));
    }
    let used = files.iter().fold(Flags::NONE, |all, file| all | file.flags());
    for number in used.keywords().filter(|number| keywords.name(*number).is_none()) {
        let letter = char::from(b'a' + number);
        run.mend(maildir.dir(FILE), Problem::NamelessLetter(letter), || name(maildir, number, letter));
    }
    Ok(())
}

fn repair(maildir: &Maildir) -> Result<()> {
    let mut locked = maildir.lock()?;
    let (keywords, whole) = read(maildir)?;
    if whole {
        return Ok(());
    }
    let (file, damaged) = (maildir.dir(FILE), maildir.dir(DAMAGED));
    maildir.fs().unlink(&damaged).if_found()?;
    // What is no file cannot have a second name.
    if maildir.fs().link(&file, &damaged).is_err() {
        maildir.fs().rename(&file, &damaged)?;
    }
    locked.write_keywords(keywords)
}

fn name(maildir: &Maildir, number: u8, letter: char) -> Result<()> {
    let mut locked = maildir.lock()?;
    let mut keywords = locked.keywords()?;
    let mut name = format!("lost-keyword-{letter}");
    while keywords.find(&name).is_some() {
        name.push('x');
    }
    if keywords.give(number, &name) {
        locked.write_keywords(keywords)?;
    }
    Ok(())
}
