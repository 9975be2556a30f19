//! Which folders have changed, through whatever program.

mod notices;
mod places;
#[cfg(all(test, feature = "notify", target_os = "linux"))]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::notices::{Notice, Queue, Refused};
use self::places::{Place, Stamps};
use crate::store::lock;
use crate::{Maildir, Store, Tree};

/// Tells which folders have changed, so that nobody has to look at all of them all the time. Make one for each process.
///
/// With the feature `notify` the system is asked to say so, through one queue and one thread for all folders. What it cannot
/// watch, and everything without the feature, is compared with what it was: four `stat`s for each folder at each rescan.
/// Either way a change is a reason to [`refresh`](crate::Mailbox::refresh) and no more. One may be told that turns out to be none, or that
/// this process made itself; none is left out, and the number of changes costs no memory.
///
/// The work is done by who [`wait`](Watcher::wait)s, usually a thread that does nothing else.
///
/// ```
/// use std::time::Duration;
/// use pillarbox_maildir::{Flags, Maildir, Options, Store, WatchOptions, Watcher};
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = Store::new(pillarbox_fs::RealFs, Options::from_system());
/// # let inbox = Maildir::create(&store, dir.path().join("Maildir"))?;
///
/// let mut options = WatchOptions::default();
/// options.rescan_every = Duration::from_millis(100);
/// let watcher = Watcher::new(&store, options);
/// let watch = watcher.folder(&inbox);
/// // The first news is that it is watched from now on: look now, and nothing is missed.
/// let news = watcher.wait(Duration::from_secs(10)).expect("it was not closed");
/// assert_eq!(news.folders, [inbox.path()]);
///
/// let mut message = inbox.begin()?;                    // another program
/// message.write(b"Subject: hello\r\n\r\n")?;
/// message.commit(Flags::NONE, None)?;
/// let news = watcher.wait(Duration::from_secs(10)).expect("it was not closed");
/// assert_eq!(news.folders, [inbox.path()]);
/// drop(watch);
/// # Ok::<(), pillarbox_maildir::MaildirError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Watcher(Arc<Inner>);

/// How a [`Watcher`] looks. Start from `default()` and change what should differ.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WatchOptions {
    /// How often a folder is compared with what it was, where the system gives no notices of it: 5 seconds.
    pub rescan_every: Duration,
    /// How often it is compared where there are notices: once a minute. A network file system gives none of what other
    /// machines do.
    pub distrust_every: Duration,
    /// How long a change waits for others to be told with it: 100 milliseconds.
    pub gather: Duration,
    /// Directories that the system is asked to watch, of which a folder has three: 49,152. Each costs the system about
    /// 1 KiB. Folders beyond are rescanned.
    pub notices_max: usize,
}

impl Default for WatchOptions {
    fn default() -> Self {
        WatchOptions {
            rescan_every: Duration::from_secs(5),
            distrust_every: Duration::from_secs(60),
            gather: Duration::from_millis(100),
            notices_max: 3 * 16_384,
        }
    }
}

/// What has changed, each once and in no order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct News {
    /// Folders ([`Maildir::path`]) in which messages, flags, UIDs or keywords have changed, or that went away.
    pub folders: Vec<PathBuf>,
    /// Roots of accounts ([`Tree`]) in which mailboxes came or went, or subscriptions changed.
    pub names: Vec<PathBuf>,
}

impl News {
    /// True if there is nothing to look at.
    pub fn is_empty(&self) -> bool {
        self.folders.is_empty() && self.names.is_empty()
    }
}

/// A folder, or an account's names, is watched as long as one of these is there for it.
#[derive(Debug)]
pub struct Watch {
    heard: Arc<Heard>,
    place: Place,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    options: WatchOptions,
    heard: Arc<Heard>,
    asked: Mutex<Asked>,
}

/// What the thread of the notices and the handles change. Never held while the system is asked something, because the
/// answer may have to wait for that thread.
#[derive(Debug, Default)]
struct Heard {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Debug, Default)]
struct State {
    places: HashMap<Place, Entry>,
    /// The moment of the oldest news that was not told.
    news_since: Option<Instant>,
    /// Places came, went or lost their notices.
    unsettled: bool,
    closed: bool,
}

#[derive(Debug, Default)]
struct Entry {
    watches: usize,
    news: bool,
    notices: Notices,
    /// What it was when it was last compared, and when that is to be done again. None: at once.
    seen: Option<Stamps>,
    due: Option<Instant>,
}

/// Whether the system tells of a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Notices {
    /// It was not asked, or said no.
    #[default]
    None,
    /// It did, and now one of the directories is another one.
    Lost,
    /// It does, or is being asked.
    Given,
}

/// What was asked of the system.
#[derive(Debug, Default)]
struct Asked {
    queue: Option<Queue>,
    /// The directories that are watched, and for how many places.
    dirs: HashMap<PathBuf, usize>,
}

impl Watcher {
    /// A watcher of nothing yet. Nothing is asked of the system before somebody waits.
    pub fn new(store: &Store, options: WatchOptions) -> Self {
        let (heard, asked) = (Arc::default(), Mutex::default());
        Watcher(Arc::new(Inner { store: store.clone(), options, heard, asked }))
    }

    /// Watches a folder. It is told as soon as it is watched, because of what may have happened before.
    pub fn folder(&self, folder: &Maildir) -> Watch {
        self.watch(Place::Folder(folder.path().to_owned()))
    }

    /// Watches which mailboxes an account has, and which are subscribed to. It is told as soon as it is watched. One directory is
    /// watched; where mailboxes lie in each other the system tells only of those at the top, and the account is told at each rescan.
    pub fn names(&self, tree: &Tree) -> Watch {
        self.watch(Place::Names { root: tree.root.clone(), nested: tree.is_nested() })
    }

    fn watch(&self, place: Place) -> Watch {
        let heard = Arc::clone(&self.0.heard);
        let mut state = lock(&heard.state);
        state.places.entry(place.clone()).or_default().watches += 1;
        state.unsettled = true;
        drop(state);
        heard.bell.notify_all();
        Watch { heard, place }
    }

    /// Waits until something has changed, for so long at most, and tells what; nothing if the time is over. `None` after
    /// [`close`](Self::close).
    pub fn wait(&self, patience: Duration) -> Option<News> {
        let heard = &self.0.heard;
        // So late that there is no such moment is never.
        let until = Instant::now().checked_add(patience);
        loop {
            let rescan = self.look();
            let mut state = lock(&heard.state);
            loop {
                if state.closed {
                    return None;
                }
                // Before there is more work to do: places that come and go without end keep no news back.
                let now = Instant::now();
                let ready = state.news_since.map(|since| since + self.0.options.gather);
                if ready.is_some_and(|ready| ready <= now) {
                    return Some(state.tell());
                }
                if until.is_some_and(|until| until <= now) {
                    return Some(News::default());
                }
                if state.unsettled || rescan.is_some_and(|rescan| rescan <= now) {
                    break;
                }
                state = heard.wait(state, [ready, until, rescan].into_iter().flatten().min());
            }
        }
    }

    /// Ends all waiting, now and later.
    pub fn close(&self) {
        lock(&self.0.heard.state).closed = true;
        self.0.heard.bell.notify_all();
    }

    /// Asks the system to watch what came, gives back what went, and compares what is due. Returns when that is to be
    /// done again, if anything is watched.
    fn look(&self) -> Option<Instant> {
        let Inner { store, options, heard, asked } = &*self.0;
        let mut asked = lock(asked);
        let (given_back, due) = lock(&heard.state).take_work(Instant::now());
        given_back.iter().for_each(|place| asked.give_back(place));
        let mut full = false;
        for (place, with_notices) in due {
            let given = with_notices || {
                // What one place had no room for, the next need not ask for; the next round does.
                let answer = if full { Err(Refused::Limit) } else { asked.ask(&place, heard, options.notices_max) };
                full |= answer == Err(Refused::Limit);
                answer.is_ok()
            };
            // After the notices have begun and before it is told: nothing can happen between that nobody hears of.
            let seen = Stamps::read(store, &place);
            let mut state = lock(&heard.state);
            let entry = state.places.get_mut(&place).expect("a place goes away above only");
            if !given {
                entry.notices = Notices::None;
            }
            let trusted = given && !place.shows_little();
            let every = if trusted { options.distrust_every } else { options.rescan_every };
            entry.due = Some(Instant::now() + every);
            let differs = place.shows_little() || entry.seen.is_none_or(|before| before.may_differ(&seen));
            let is_news = given != with_notices || differs;
            entry.seen = Some(seen);
            if is_news {
                state.news(&place);
            }
        }
        let state = lock(&heard.state);
        state.places.values().filter_map(|entry| entry.due).min()
    }
}

impl State {
    /// The places whose notices are to be given back, and those to look at, each with whether it has notices.
    fn take_work(&mut self, now: Instant) -> (Vec<Place>, Vec<(Place, bool)>) {
        let (mut given_back, mut due) = (Vec::new(), Vec::new());
        self.unsettled = false;
        self.places.retain(|place, entry| {
            let unwanted = entry.watches == 0;
            if entry.notices == Notices::Lost || unwanted && entry.notices == Notices::Given {
                given_back.push(place.clone());
                (entry.notices, entry.due) = (Notices::None, None);
            }
            if !unwanted && entry.due.is_none_or(|due| due <= now) {
                due.push((place.clone(), entry.notices == Notices::Given));
                // Now already: they may be lost while they are asked for.
                entry.notices = Notices::Given;
            }
            !unwanted
        });
        (given_back, due)
    }

    fn news(&mut self, place: &Place) {
        if let Some(entry) = self.places.get_mut(place) {
            entry.news = true;
            self.news_since.get_or_insert_with(Instant::now);
        }
    }

    fn lost(&mut self, place: &Place) {
        if let Some(entry) = self.places.get_mut(place).filter(|entry| entry.notices == Notices::Given) {
            entry.notices = Notices::Lost;
            self.unsettled = true;
        }
    }

    fn tell(&mut self) -> News {
        self.news_since = None;
        let mut news = News::default();
        for (place, entry) in &mut self.places {
            if std::mem::take(&mut entry.news) {
                match place {
                    Place::Folder(folder) => news.folders.push(folder.clone()),
                    Place::Names { root, .. } => news.names.push(root.clone()),
                }
            }
        }
        news
    }
}

impl Heard {
    /// On the thread of the notices.
    fn heard(&self, notice: &Notice<'_>) {
        let mut state = lock(&self.state);
        match notice {
            Notice::Changed(path) => Place::touched(path).iter().for_each(|place| state.news(place)),
            Notice::Gone(path) => {
                Place::touched(path).iter().for_each(|place| state.news(place));
                Place::rest_on(path).iter().for_each(|place| state.lost(place));
            }
            Notice::Overflow => {
                let all: Vec<Place> = state.places.keys().cloned().collect();
                for place in &all {
                    state.news(place);
                    // That a directory is another one now may be what was lost.
                    state.lost(place);
                }
            }
        }
        drop(state);
        self.bell.notify_all();
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, until: Option<Instant>) -> MutexGuard<'a, State> {
        match until {
            Some(until) => {
                let patience = until.saturating_duration_since(Instant::now());
                self.bell.wait_timeout(state, patience).unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.bell.wait(state).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl Asked {
    /// All directories of a place, or none.
    fn ask(&mut self, place: &Place, heard: &Arc<Heard>, dirs_max: usize) -> Result<(), Refused> {
        let queue = match &mut self.queue {
            Some(queue) => queue,
            None => {
                let heard = Arc::clone(heard);
                self.queue.insert(Queue::new(move |notice| heard.heard(&notice)).ok_or(Refused::Limit)?)
            }
        };
        let dirs = place.dirs();
        for (n, dir) in dirs.iter().enumerate() {
            let users = self.dirs.get(dir).copied().unwrap_or(0);
            let room = if self.dirs.len() < dirs_max { Ok(()) } else { Err(Refused::Limit) };
            if let Err(refused) = if users > 0 { Ok(()) } else { room.and_then(|()| queue.add(dir)) } {
                dirs[..n].iter().for_each(|dir| self.let_go(dir));
                return Err(refused);
            }
            self.dirs.insert(dir.clone(), users + 1);
        }
        Ok(())
    }

    fn give_back(&mut self, place: &Place) {
        place.dirs().iter().for_each(|dir| self.let_go(dir));
    }

    fn let_go(&mut self, dir: &Path) {
        let Some(users) = self.dirs.get_mut(dir) else { return };
        *users -= 1;
        if *users == 0 {
            self.dirs.remove(dir);
            if let Some(queue) = &mut self.queue {
                queue.remove(dir);
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = lock(&self.heard.state);
        if let Some(entry) = state.places.get_mut(&self.place) {
            entry.watches -= 1;
            state.unsettled = true;
        }
        drop(state);
        self.heard.bell.notify_all();
    }
}
