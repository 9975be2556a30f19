//! Who changes mailboxes and who counts them keep out of each other's way in one process. Between processes there is no lock,
//! as Maildir++ has none; there the file itself shows whether it was replaced meanwhile.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::Usage;
use crate::store::lock;

/// The gates of the accounts.
#[derive(Debug, Default)]
pub(crate) struct Gates(Mutex<HashMap<PathBuf, Arc<Gate>>>);

/// Accounts that are remembered. To forget one costs a count of its messages.
const GATES_MAX: usize = 16 * 1024;

impl Gates {
    pub(crate) fn of(&self, root: &Path) -> Arc<Gate> {
        let mut gates = lock(&self.0);
        if let Some(gate) = gates.get(root) {
            return Arc::clone(gate);
        }
        if gates.len() >= GATES_MAX {
            // Not one that somebody stands in.
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        Arc::clone(gates.entry(root.to_path_buf()).or_default())
    }
}

/// One account's.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: Mutex<State>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct State {
    changing: usize,
    counting: bool,
    /// This process has counted, and knows of nothing that went wrong since.
    believed: bool,
    /// What was counted when the file could not be written, with what this process has changed since.
    counted: Option<Counted>,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    usage: Usage,
    at: SystemTime,
}

/// Somebody changes what there is to count. Who holds several has entered them in the order of their paths.
#[derive(Debug)]
pub(super) struct Changing(Arc<Gate>);

/// Somebody counts.
#[derive(Debug)]
pub(super) struct Counting(Arc<Gate>);

impl Gate {
    pub(super) fn is_believed(&self) -> bool {
        lock(&self.state).believed
    }

    /// What was counted no longer than `age_max` ago and is in no file.
    pub(super) fn counted(&self, now: SystemTime, age_max: Duration) -> Option<Usage> {
        let Counted { usage, at } = lock(&self.state).counted?;
        // A clock that was set back says nothing.
        now.duration_since(at).is_ok_and(|age| age <= age_max).then_some(usage)
    }

    pub(super) fn change(self: &Arc<Self>) -> Changing {
        let mut state = lock(&self.state);
        while state.counting {
            state = self.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.changing += 1;
        Changing(Arc::clone(self))
    }

    /// Waits until nobody is inside. Those who come meanwhile are let in: one of them may hold the lock of a folder that somebody
    /// inside waits for. So a stream of changes that never pauses delays a count.
    pub(super) fn count(self: &Arc<Self>) -> Counting {
        let mut state = lock(&self.state);
        while state.counting || state.changing > 0 {
            state = self.left.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.counting = true;
        Counting(Arc::clone(self))
    }
}

impl Changing {
    /// A change is not in the file, or nobody knows.
    pub(super) fn doubt(&self) {
        lock(&self.0.state).believed = false;
    }

    /// So many bytes and messages came, or went where they are below 0. `None`: nobody knows how many.
    pub(super) fn changed(&self, by: Option<(i128, i64)>) {
        let mut state = lock(&self.0.state);
        state.counted = state.counted.zip(by).map(|(counted, (bytes, messages))| {
            let bytes = i128::from(counted.usage.bytes).saturating_add(bytes).max(0);
            let usage = Usage {
                bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
                messages: counted.usage.messages.saturating_add_signed(messages),
            };
            Counted { usage, ..counted }
        });
    }
}

impl Counting {
    pub(super) fn believe(&self, believed: bool) {
        let mut state = lock(&self.0.state);
        (state.believed, state.counted) = (believed, None);
    }

    /// Keeps what was counted, as no file does.
    pub(super) fn keep(&self, usage: Usage, at: SystemTime) {
        lock(&self.0.state).counted = Some(Counted { usage, at });
    }
}

impl Drop for Changing {
    fn drop(&mut self) {
        lock(&self.0.state).changing -= 1;
        self.0.left.notify_all();
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        lock(&self.0.state).counting = false;
        self.0.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_waits_to_count_keeps_nobody_out() {
        let gate = Arc::new(Gate::default());
        let inside = gate.change();
        let (started, counted) = (mpsc::channel(), mpsc::channel());
        let (counter, start) = (Arc::clone(&gate), started.0);
        std::thread::spawn(move || {
            start.send(()).unwrap();
            drop(counter.count());
            counted.0.send(()).unwrap();
        });
        started.1.recv().unwrap();
        let (changed, changer) = (mpsc::channel(), Arc::clone(&gate));
        std::thread::spawn(move || {
            // Often enough that some come while the other waits.
            for _ in 0..20_000 {
                drop(changer.change());
                std::thread::yield_now();
            }
            changed.0.send(()).unwrap();
        });
        let limit = Duration::from_secs(30);
        changed.1.recv_timeout(limit).expect("nobody who changes waits for one who waits");
        assert!(counted.1.try_recv().is_err(), "somebody is inside");
        drop(inside);
        counted.1.recv_timeout(limit).expect("now it can count");
    }
}
