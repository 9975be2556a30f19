//! The queue on the disk, while no server has it open.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use pillarbox::outbound::spool::{Change, MessageId, RealFs, Recovered, Store, StoreError};

use super::content::Pieces;
use super::protocol::{Answer, Part, Request, Verb};
use super::shown::shown;
use super::unix_now;
use crate::config::{Config, Sending};
use crate::sending::open_store;

/// Messages whose changes share a sync.
const PAGE: usize = 256;
/// How long a disk that fails has before it is asked again, and how often it may fail.
const READ_AGAIN: Duration = Duration::from_secs(1);
const READS_MAX: u32 = 10;

/// Carries out what a server would be asked for, and hands on the same answers.
pub fn carry_out(
    config: &Config,
    sending: &Sending,
    request: &Request,
    mut take: impl FnMut(Answer),
) -> Result<(), String> {
    let folder = sending.folder.display();
    if !sending.folder.exists() {
        return Err(format!("there is no queue in {folder} yet: the server makes it at its first start"));
    }
    if matches!(request.verb, Verb::Flush | Verb::Requeue) {
        return Err(
            "no server is running that could try messages: start it, and it tries them when they are due; then ask \
                    again if that is not soon enough"
                .into(),
        );
    }
    let named = request.select.parsed_ids()?;
    let (store, recovery) = match request.verb {
        // Nobody is kept from starting by whoever looks.
        Verb::List | Verb::Show => {
            Store::look(RealFs, &sending.folder).map_err(|error| format!("cannot read the queue {folder}: {error}"))?
        }
        _ => {
            check_user(&sending.folder)?;
            open_store(config, sending).map_err(|error| {
                format!("{error}, and does not answer on its socket: it is starting or stopping; try again")
            })?
        }
    };
    read(recovery, || std::thread::sleep(READ_AGAIN), &mut take)?;
    let mut missing = named.clone();
    let mut meant = Vec::new();
    let mut last = None;
    loop {
        let page = store.ids(last, PAGE);
        let Some(end) = page.last() else { break };
        last = Some(*end);
        for id in page {
            if !named.is_empty() && !named.contains(&id) {
                continue;
            }
            missing.retain(|other| *other != id);
            let message = match store.message(id) {
                Ok(message) => message,
                Err(error) => {
                    take(Answer::Note(error.to_string()));
                    continue;
                }
            };
            let now = unix_now();
            if !request.select.fits(&message, now) {
                continue;
            }
            match request.verb {
                Verb::Show if request.part.is_some() => {
                    let part = request.part.unwrap_or(Part::Content);
                    let told = |error: StoreError| error.to_string();
                    let mut pieces = store.body(id).and_then(|body| Pieces::of(id, body, part)).map_err(told)?;
                    while let Some(piece) = pieces.next().map_err(told)? {
                        take(Answer::Content(piece));
                    }
                }
                Verb::List | Verb::Show => {
                    take(Answer::Message(shown(&message, &[], request.verb == Verb::Show, now)));
                }
                Verb::Hold if message.held => {}
                Verb::Release if !message.held => {}
                _ => meant.push(id),
            }
        }
        change(&store, request.verb, &std::mem::take(&mut meant), &mut take).map_err(|error| error.to_string())?;
    }
    missing.into_iter().for_each(|id| take(Answer::Missing(id.to_string())));
    Ok(())
}

/// Reads what waits, and tells what is wrong with it. What cannot be read now is waited for, and not for ever.
fn read(
    recovery: impl Iterator<Item = Recovered>,
    mut pause: impl FnMut(),
    take: &mut impl FnMut(Answer),
) -> Result<(), String> {
    let mut failures = 0;
    for recovered in recovery {
        match recovered {
            Recovered::Finding(finding) => {
                take(Answer::Note(format!("the queue is damaged, or a server is at work in it: {finding}")));
            }
            Recovered::Unreadable(id, error) => take(Answer::Note(format!("message {id} cannot be read: {error}"))),
            Recovered::Later(error) => {
                failures += 1;
                if failures == READS_MAX {
                    return Err(format!("the queue cannot be read: {error}"));
                }
                if failures == 1 {
                    take(Answer::Note(format!("the queue cannot be read now, and is tried again: {error}")));
                }
                pause();
            }
            _ => {}
        }
    }
    Ok(())
}

fn change(store: &Store, verb: Verb, ids: &[MessageId], take: &mut impl FnMut(Answer)) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let change = |id| match verb {
        Verb::Hold => Change::Hold(id),
        Verb::Release => Change::Release(id),
        _ => Change::Delete(id),
    };
    let commits = ids.iter().map(|id| store.commit(vec![change(*id)])).collect::<Result<Vec<_>, _>>()?;
    for commit in commits {
        commit.wait()?;
    }
    take(Answer::Changed(ids.iter().map(ToString::to_string).collect()));
    Ok(())
}

/// What is written as another user could not be read by the server any more.
fn check_user(folder: &Path) -> Result<(), String> {
    let (Ok(ours), Ok(owner)) = (std::fs::metadata("/proc/self"), std::fs::metadata(folder)) else { return Ok(()) };
    match ours.uid() == owner.uid() {
        true => Ok(()),
        false => Err(format!(
            "no server is running, and the queue {} belongs to the user with the number {}: run this as that user (sudo -u \
             '#{}' ...), or start the server",
            folder.display(),
            owner.uid(),
            owner.uid()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_fails_is_given_up() {
        let told = |failures: usize| {
            let (mut pauses, mut notes) = (0, Vec::new());
            let recovery = std::iter::repeat_with(|| Recovered::Later(StoreError::NoRoom)).take(failures);
            let read = read(recovery, || pauses += 1, &mut |answer| notes.push(answer));
            (read, pauses, notes.len())
        };
        assert_eq!(told(0), (Ok(()), 0, 0));
        assert_eq!(told(9), (Ok(()), 9, 1));
        let given_up = Err("the queue cannot be read: there is too little room on the disk".to_owned());
        assert_eq!(told(usize::MAX), (given_up, 9, 1));
    }
}
