//! What was counted, by days, in memory and in a folder.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pillarbox_auth::tls_rpt::{
    AppliedPolicy, Counters, CountersLimits, Destination, Failure, PolicyReport, ReadLimits, Report,
};
use pillarbox_core::WallTime;
use pillarbox_core::dns::Name;
use pillarbox_fs::{ErrorKind, Fs, FsError};

use super::TlsReporting;
use super::ways::{self, Way};
use crate::outbound::replace;

/// Seconds of a day; leap seconds are not counted.
pub(super) const DAY: u64 = 86_400;
/// Days that wait to be reported on. Of older ones nobody wants to hear.
const DAYS_MAX: usize = 3;
/// Octets of a file.
const SIZE_MAX: usize = 64 << 20;

/// A day, as its number since 1970-01-01 in UTC.
pub(super) type Day = u64;
/// What was counted of domains.
type Domains = BTreeMap<Name, Vec<PolicyReport>>;

/// A day that is over.
#[derive(Default)]
struct Over {
    domains: Domains,
    /// Where the reports of those domains still have to go that were asked.
    ways: BTreeMap<Name, Vec<Way>>,
    /// How often it changed, and how often it had when it was written down.
    changes: u64,
    kept: u64,
}

impl Over {
    /// Adds what an earlier process has counted of that day, and where its reports still have to go.
    fn add_earlier(&mut self, domains: Domains, ways: BTreeMap<Name, Vec<Way>>) {
        let since = std::mem::replace(&mut self.domains, domains);
        for (domain, ways) in ways {
            if ways.is_empty() {
                self.domains.remove(&domain);
                self.changes += 1;
            } else if self.domains.contains_key(&domain) {
                self.ways.insert(domain, ways);
            }
        }
        for (domain, reports) in since {
            let mut both = Counters::new(CountersLimits::default());
            both.add(&domain, self.domains.remove(&domain).into_iter().flatten().chain(reports));
            self.domains.extend(both.take());
        }
    }
}

/// What became of reading a file.
enum Content {
    Octets(Vec<u8>),
    Missing,
    /// It is larger than what is written.
    TooMuch,
}

/// Counts the sessions of days (RFC 8460 §4.1: a day is one of UTC).
pub(in crate::outbound) struct TlsCounts {
    fs: Arc<dyn Fs>,
    folder: PathBuf,
    state: Mutex<State>,
    /// Held by whoever writes files.
    writing: Mutex<()>,
}

#[derive(Default)]
struct State {
    day: Day,
    counters: Counters,
    is_changed: bool,
    /// What is in the folder is known; before that it must not be written over.
    is_loaded: bool,
    /// The days that are over, by their numbers.
    over: BTreeMap<Day, Over>,
}

impl State {
    /// Goes on to another day, if it has begun. A clock that was put back stays in the day that it had reached.
    fn go_on_to(&mut self, day: Day) {
        if day <= self.day {
            return;
        }
        let domains: Domains = self.counters.take().collect();
        if !domains.is_empty() {
            self.over.insert(self.day, Over { domains, changes: 1, ..Over::default() });
        }
        while self.over.len() > DAYS_MAX {
            self.over.pop_first();
        }
        (self.day, self.is_changed) = (day, false);
    }
}

pub(super) fn day_of(now: WallTime) -> Day {
    u64::try_from(now.unix_seconds()).unwrap_or(0) / DAY
}

fn file_name(day: Day) -> String {
    format!("day-{day}.json")
}

fn ways_name(day: Day) -> String {
    format!("day-{day}.ways")
}

impl TlsCounts {
    pub(in crate::outbound) fn new(reporting: &TlsReporting) -> Self {
        let state = State { counters: Counters::new(CountersLimits::default()), ..State::default() };
        TlsCounts {
            fs: Arc::clone(&reporting.fs),
            folder: reporting.folder.clone(),
            state: Mutex::new(state),
            writing: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a session.
    pub(in crate::outbound) fn count(
        &self,
        now: WallTime,
        domain: &Name,
        policy: &AppliedPolicy,
        failures: &[Failure],
    ) {
        let mut state = self.state();
        state.go_on_to(day_of(now));
        state.counters.count(domain, policy, failures);
        state.is_changed = true;
    }

    /// The days that are over by now.
    pub(super) fn over(&self, now: WallTime) -> Vec<Day> {
        let mut state = self.state();
        state.go_on_to(day_of(now));
        state.over.keys().copied().collect()
    }

    /// The next domain of a day that is over which was not asked yet where its report shall go.
    pub(super) fn not_asked(&self, day: Day, after: Option<&Name>) -> Option<Name> {
        let state = self.state();
        let over = state.over.get(&day)?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut domains = over.domains.range::<Name, _>((from, Bound::Unbounded)).map(|(domain, _)| domain);
        domains.find(|domain| !over.ways.contains_key(*domain)).cloned()
    }

    /// Where the report of a domain shall go: maybe nowhere.
    pub(super) fn asked(&self, day: Day, domain: &Name, ways: Vec<Way>) {
        self.change(day, domain, |known| *known = ways);
    }

    /// What was counted of a domain.
    pub(super) fn of(&self, day: Day, domain: &Name) -> Option<Vec<PolicyReport>> {
        self.state().over.get(&day)?.domains.get(domain).cloned()
    }

    /// The ways that are to be tried by now, so many at most, the one first that waits for longest.
    pub(super) fn due(&self, now: u64, most: usize, of: fn(&Destination) -> bool) -> Vec<(Day, Name, Destination)> {
        let state = self.state();
        let all =
            state.over.iter().flat_map(|(day, over)| over.ways.iter().map(move |(domain, ways)| (day, domain, ways)));
        let all = all.flat_map(|(day, domain, ways)| ways.iter().map(move |way| (day, domain, way)));
        let due = all.filter(|(_, _, way)| way.left > 0 && way.at <= now && of(&way.to));
        let mut due: Vec<_> = due.collect();
        due.sort_by_key(|(_, _, way)| way.at);
        due.into_iter().take(most).map(|(day, domain, way)| (*day, domain.clone(), way.to.clone())).collect()
    }

    /// A way is being tried; if nothing comes of it, it is tried again then.
    pub(super) fn tried(&self, day: Day, domain: &Name, to: &Destination, again: u64) {
        self.change(day, domain, |ways| {
            for way in ways.iter_mut().filter(|way| way.to == *to) {
                (way.left, way.at) = (way.left.saturating_sub(1), again);
            }
        });
    }

    /// A report has arrived, or not.
    pub(super) fn ended(&self, day: Day, domain: &Name, to: &Destination, has_arrived: bool) {
        self.change(day, domain, |ways| ways.retain(|way| way.to != *to || !has_arrived && way.left > 0));
    }

    /// Changes the ways of a domain. When none is left there is nothing more to do for it.
    fn change(&self, day: Day, domain: &Name, change: impl FnOnce(&mut Vec<Way>)) {
        let mut state = self.state();
        let Some(over) = state.over.get_mut(&day) else { return };
        if !over.domains.contains_key(domain) {
            return;
        }
        let ways = over.ways.entry(domain.clone()).or_default();
        change(ways);
        if ways.is_empty() {
            over.ways.remove(domain);
            over.domains.remove(domain);
        }
        over.changes += 1;
    }

    /// Reads what an earlier process has counted, and adds what was counted since this one began. Blocks. A file that is damaged
    /// counts for nothing. Once it was done it is not done again.
    ///
    /// # Errors
    ///
    /// What keeps a file from being read: then nothing is known, and nothing was removed.
    pub(super) fn load(&self, now: WallTime) -> Result<(), FsError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let today = {
            let mut state = self.state();
            if state.is_loaded {
                return Ok(());
            }
            state.go_on_to(day_of(now));
            state.day
        };
        let (mut left, mut useless) = (Vec::new(), Vec::new());
        for name in replace::open(&*self.fs, &self.folder)? {
            let day = name.strip_prefix("day-").and_then(|name| name.strip_suffix(".json"));
            let Some(day) = day.and_then(|day| day.parse::<Day>().ok()) else { continue };
            // Too old, or from a clock that went wrong.
            if day > today || today - day > u64::try_from(DAYS_MAX).unwrap_or(0) {
                useless.push(day);
                continue;
            }
            let domains = match self.read_file(&name)? {
                Content::Missing => continue,
                Content::Octets(octets) => read(&octets),
                Content::TooMuch => None,
            };
            let Some(domains) = domains else {
                useless.push(day);
                continue;
            };
            let ways = match self.read_file(&ways_name(day))? {
                Content::Octets(octets) => ways::read(&octets),
                Content::Missing | Content::TooMuch => BTreeMap::new(),
            };
            left.push((day, domains, ways));
        }
        for day in useless {
            // The other one last: it is what brings us here again.
            replace::remove(&*self.fs, &self.folder.join(ways_name(day)))?;
            replace::remove(&*self.fs, &self.folder.join(file_name(day)))?;
        }
        let mut state = self.state();
        for (day, domains, ways) in left {
            if day < state.day {
                state.over.entry(day).or_default().add_earlier(domains, ways);
                continue;
            }
            for (domain, reports) in domains {
                state.counters.add(&domain, reports);
            }
        }
        state.is_loaded = true;
        Ok(())
    }

    /// # Errors
    ///
    /// What says nothing of what is in the file.
    fn read_file(&self, name: &str) -> Result<Content, FsError> {
        match self.fs.read(&self.folder.join(name), SIZE_MAX) {
            Ok(octets) => Ok(Content::Octets(octets)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Content::Missing),
            Err(error) if error.kind() == ErrorKind::TooLarge => Ok(Content::TooMuch),
            Err(error) => Err(error),
        }
    }

    /// Writes down what has changed, and removes the files of days that are done. Blocks.
    pub(in crate::outbound) fn save(&self) -> Result<(), FsError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (today, over) = {
            let mut state = self.state();
            if !state.is_loaded {
                return Ok(());
            }
            let today = state.is_changed.then(|| (state.day, state.counters.clone()));
            state.is_changed = false;
            let changed = state.over.iter().filter(|(_, over)| over.changes != over.kept);
            let over: Vec<(Day, Domains, String, u64)> = changed
                .map(|(day, over)| (*day, over.domains.clone(), ways::write(&over.ways), over.changes))
                .collect();
            (today, over)
        };
        if let Some((day, mut counters)) = today {
            let written = self.write(day, counters.take().collect());
            if written.is_err() {
                self.state().is_changed = true;
            }
            written?;
        }
        for (day, domains, ways, changes) in over {
            let (is_done, ways_file) = (domains.is_empty(), ways_name(day));
            // What was counted first: a domain that is not in it has its report, whatever the other file says.
            if is_done {
                replace::remove(&*self.fs, &self.folder.join(file_name(day)))?;
            } else {
                self.write(day, domains)?;
            }
            if ways.is_empty() {
                replace::remove(&*self.fs, &self.folder.join(ways_file))?;
                self.fs.sync_dir(&self.folder)?;
            } else {
                replace::replace(&*self.fs, &self.folder, &ways_file, ways.as_bytes())?;
            }
            let mut state = self.state();
            if is_done {
                state.over.remove(&day);
            } else if let Some(over) = state.over.get_mut(&day) {
                over.kept = changes;
            }
        }
        Ok(())
    }

    fn write(&self, day: Day, domains: Domains) -> Result<(), FsError> {
        let policies = domains.into_values().flatten();
        let (start, end) = (day * DAY, day * DAY + DAY - 1);
        let report = Report::new("", "", &file_name(day), start, end, policies);
        replace::replace(&*self.fs, &self.folder, &file_name(day), report.to_json().as_bytes())
    }
}

fn read(octets: &[u8]) -> Option<Domains> {
    let mut limits = ReadLimits::default();
    (limits.size_max, limits.policies_max, limits.failures_max) = (SIZE_MAX, 200_000, 200_000);
    let report = Report::parse_json(octets, &limits).ok()?;
    let mut domains = Domains::new();
    for policy in report.policies {
        let domain = policy.domain.clone()?;
        domains.entry(domain).or_default().push(policy);
    }
    Some(domains)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pillarbox_core::address::Address;
    use pillarbox_fs::SimulatedFs;
    use pillarbox_fs::testing::Watched;

    use super::*;

    /// The first day that is counted.
    const FIRST: Day = 19_675;
    const EIO: i32 = 5;

    fn at(day: Day) -> WallTime {
        WallTime::new(i64::try_from(day * DAY + 60).unwrap(), 0)
    }

    fn domain(name: &str) -> Name {
        Name::parse(name).unwrap()
    }

    fn over(fs: impl Fs + 'static) -> TlsCounts {
        let sender = Address::parse("tls@here.example").unwrap().into_owned();
        let mut reporting = TlsReporting::new("Here", sender, "/tls").unwrap();
        reporting.fs = Arc::new(fs);
        TlsCounts::new(&reporting)
    }

    fn count(counts: &TlsCounts, day: Day, name: &str) {
        counts.count(at(day), &domain(name), &AppliedPolicy::none(), &[]);
    }

    fn successful(counts: &TlsCounts, day: Day, name: &str) -> u64 {
        counts.of(day, &domain(name)).into_iter().flatten().map(|report| report.successful).sum()
    }

    fn is_any(_: &Destination) -> bool {
        true
    }

    fn files(fs: &SimulatedFs) -> Vec<(String, Vec<u8>)> {
        let mut names: Vec<_> = fs.list(Path::new("/tls")).unwrap().into_iter().map(|entry| entry.name).collect();
        names.sort();
        let read = |name: &std::ffi::OsString| fs.read(&Path::new("/tls").join(name), SIZE_MAX).unwrap();
        names.into_iter().map(|name| (name.to_string_lossy().into_owned(), read(&name))).collect()
    }

    /// A day with a report that is still to go one of two ways, another one that is done, and a day that is counted.
    fn left_by_an_earlier_process() -> SimulatedFs {
        let fs = SimulatedFs::new();
        let counts = over(fs.clone());
        counts.load(at(FIRST)).unwrap();
        for name in ["far.example", "done.example", "unasked.example"] {
            count(&counts, FIRST, name);
        }
        count(&counts, FIRST + 1, "far.example");
        let way = |to: &str| Way { to: to.parse().unwrap(), left: 12, at: 0 };
        let ways = vec![way("mailto:tls@far.example"), way("https://tls.far.example/")];
        counts.asked(FIRST, &domain("far.example"), ways);
        counts.ended(FIRST, &domain("far.example"), &"mailto:tls@far.example".parse().unwrap(), true);
        counts.asked(FIRST, &domain("done.example"), Vec::new());
        counts.save().unwrap();
        fs
    }

    /// That a file cannot be read now says nothing of what is in it.
    #[test]
    fn what_cannot_be_read_is_read_later() {
        let mut n = 0;
        loop {
            let disk = left_by_an_earlier_process();
            let before = files(&disk);
            let fs = Watched::new(disk.clone());
            let counts = over(fs.clone());
            count(&counts, FIRST + 1, "far.example");
            fs.fail_any_at(n, EIO);
            let loaded = counts.load(at(FIRST + 1));
            let has_struck = !fs.heal();
            if has_struck {
                assert!(loaded.is_err(), "operation {n}");
                assert!(counts.not_asked(FIRST, None).is_none(), "operation {n}: nothing is known yet");
                assert!(counts.due(u64::MAX, 10, is_any).is_empty(), "operation {n}");
                counts.save().unwrap();
                assert_eq!(files(&disk), before, "operation {n}: nothing is written over");
                count(&counts, FIRST + 2, "new.example");
                counts.load(at(FIRST + 2)).unwrap();
            }
            let due = counts.due(u64::MAX, 10, is_any);
            let https = "https://tls.far.example/".parse().unwrap();
            assert_eq!(due, [(FIRST, domain("far.example"), https)], "operation {n}");
            assert_eq!(counts.not_asked(FIRST, None), Some(domain("unasked.example")), "operation {n}");
            assert_eq!(counts.not_asked(FIRST, Some(&domain("unasked.example"))), None, "operation {n}");
            assert_eq!(successful(&counts, FIRST, "far.example"), 1, "operation {n}");
            assert_eq!(counts.over(at(FIRST + 3)).first(), Some(&FIRST), "operation {n}");
            assert_eq!(successful(&counts, FIRST + 1, "far.example"), 2, "operation {n}: with what came meanwhile");
            counts.save().unwrap();
            // And it is the same for the next process.
            let counts = over(disk);
            counts.load(at(FIRST + 3)).unwrap();
            assert_eq!(successful(&counts, FIRST + 1, "far.example"), 2, "operation {n}");
            assert_eq!(successful(&counts, FIRST + 2, "new.example"), u64::from(has_struck), "operation {n}");
            assert_eq!(counts.due(u64::MAX, 10, is_any).len(), 1, "operation {n}");
            if !has_struck {
                break;
            }
            n += 1;
        }
        assert!(n > 8, "the files are read in {n} operations");
    }

    #[test]
    fn what_is_damaged_goes_alone() {
        let disk = left_by_an_earlier_process();
        let folder = Path::new("/tls");
        replace::replace(&disk, folder, &file_name(FIRST), b"{\"org").unwrap();
        let counts = over(disk.clone());
        counts.load(at(FIRST + 1)).unwrap();
        let names: Vec<String> = files(&disk).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [file_name(FIRST + 1)]);
        assert_eq!(counts.over(at(FIRST + 2)), [FIRST + 1]);
        assert_eq!(successful(&counts, FIRST + 1, "far.example"), 1);
    }
}
