//! The numbers of a folder, counted once for all who watch it.

use std::sync::{Arc, Mutex, PoisonError};

use pillarbox_imap::server::{Status, StatusItem};

use super::Result;
use super::shared::Shared;
use crate::store::feed::Told;

/// What is counted for those who watch.
const COUNTED: [StatusItem; 5] =
    [StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity, StatusItem::Unseen, StatusItem::HighestModSeq];

/// What was counted last, and when.
#[derive(Default)]
pub(super) struct Numbers {
    counted: Mutex<Option<(Told, Status)>>,
    turn: tokio::sync::Mutex<()>,
    #[cfg(test)]
    pub(super) counts: std::sync::atomic::AtomicUsize,
}

impl Numbers {
    fn after(&self, told: Told) -> Option<(Told, Status)> {
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.as_ref().filter(|(at, _)| at.is_after(told)).cloned()
    }
}

/// The numbers of a folder as they were when more was told than this; and what was told by then, which may be less than by now.
pub(super) async fn after(folder: &Arc<Shared>, told: Told) -> Result<(Told, Status)> {
    let numbers = &folder.numbers;
    if let Some(known) = numbers.after(told) {
        folder.while_there()?;
        return Ok(known);
    }
    let _turn = numbers.turn.lock().await;
    if let Some(known) = numbers.after(told) {
        return Ok(known);
    }
    let counting = Arc::clone(folder);
    let count = move || {
        #[cfg(test)]
        counting.numbers.counts.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let mut view = counting.while_there()?.view();
        // Nothing is told while the view is locked.
        let counted = (counting.told(), Shared::status_of(&mut view, &COUNTED)?);
        drop(view);
        *counting.numbers.counted.lock().unwrap_or_else(PoisonError::into_inner) = Some(counted.clone());
        Ok(counted)
    };
    folder.lane.run(count).await
}
