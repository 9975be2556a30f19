//! The system's notices of changed directories, where the feature `notify` asks for them.

use std::path::Path;

/// What the system told.
#[cfg_attr(not(feature = "notify"), expect(dead_code, reason = "nothing is told"))]
pub(super) enum Notice<'a> {
    /// Something about a name in a watched directory, or about the directory.
    Changed(&'a Path),
    /// A name went away. If it was a watched directory's, there will be no more notices of that.
    Gone(&'a Path),
    /// Notices were lost, nobody knows of what.
    Overflow,
}

/// Why a directory is not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "notify"), expect(dead_code, reason = "there is no directory to refuse"))]
pub(super) enum Refused {
    /// No more directories can be watched now.
    Limit,
    /// This one cannot.
    Directory,
}

#[cfg(feature = "notify")]
pub(super) use told::Queue;
#[cfg(not(feature = "notify"))]
pub(super) use untold::Queue;

#[cfg(feature = "notify")]
mod told {
    use std::path::Path;

    use notify::event::{EventKind, ModifyKind, RenameMode};
    use notify::{ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher};

    use super::{Notice, Refused};

    /// One thread and one queue of the system, whatever the number of directories.
    #[derive(Debug)]
    pub(in crate::watch) struct Queue(RecommendedWatcher);

    impl Queue {
        /// `None` if the system gives no queue; later it may. `told` runs on a thread of its own, and must not wait for
        /// [`add`](Self::add) or [`remove`](Self::remove): they wait for that thread.
        pub(in crate::watch) fn new(told: impl Fn(Notice<'_>) + Send + 'static) -> Option<Self> {
            let heard = move |event: notify::Result<Event>| match event {
                Ok(event) if event.need_rescan() => told(Notice::Overflow),
                Ok(event) => {
                    let gone = match event.kind {
                        // Reading is no change, and we read too.
                        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)) => return,
                        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => true,
                        _ => false,
                    };
                    for path in &event.paths {
                        told(if gone { Notice::Gone(path) } else { Notice::Changed(path) });
                    }
                }
                // Which notices were lost with it is not known.
                Err(_) => told(Notice::Overflow),
            };
            notify::recommended_watcher(heard).ok().map(Queue)
        }

        pub(in crate::watch) fn add(&mut self, dir: &Path) -> Result<(), Refused> {
            self.0.watch(dir, RecursiveMode::NonRecursive).map_err(|error| match error.kind {
                ErrorKind::MaxFilesWatch => Refused::Limit,
                _ => Refused::Directory,
            })
        }

        pub(in crate::watch) fn remove(&mut self, dir: &Path) {
            // One that went away is watched no more.
            let _ = self.0.unwatch(dir);
        }
    }
}

#[cfg(not(feature = "notify"))]
mod untold {
    use std::path::Path;

    use super::{Notice, Refused};

    /// There are none.
    #[derive(Debug)]
    pub(in crate::watch) enum Queue {}

    impl Queue {
        pub(in crate::watch) fn new(told: impl Fn(Notice<'_>) + Send + 'static) -> Option<Self> {
            drop(told);
            None
        }

        pub(in crate::watch) fn add(&mut self, _: &Path) -> Result<(), Refused> {
            match *self {}
        }

        pub(in crate::watch) fn remove(&mut self, _: &Path) {
            match *self {}
        }
    }
}
