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
use pillarbox_fs::{Fs, FsError};

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

    /// Reads what an earlier process has counted. Blocks. A file that is damaged counts for nothing.
    pub(super) fn load(&self, now: WallTime) -> Result<(), FsError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let names = replace::open(&*self.fs, &self.folder)?;
        let today = day_of(now);
        self.state().go_on_to(today);
        for name in names {
            let day = name.strip_prefix("day-").and_then(|name| name.strip_suffix(".json"));
            let Some(day) = day.and_then(|day| day.parse::<Day>().ok()) else { continue };
            let (path, ways) = (self.folder.join(&name), self.folder.join(ways_name(day)));
            let domains = self.fs.read(&path, SIZE_MAX).ok().and_then(|octets| read(&octets));
            // Too old, or from a clock that went wrong.
            let is_odd = day > today || today - day > u64::try_from(DAYS_MAX).unwrap_or(0);
            let Some(domains) = domains.filter(|_| !is_odd) else {
                replace::remove(&*self.fs, &path)?;
                replace::remove(&*self.fs, &ways)?;
                continue;
            };
            let ways = self.fs.read(&ways, SIZE_MAX).map(|octets| ways::read(&octets)).unwrap_or_default();
            let mut state = self.state();
            if day < today {
                let mut over = Over { domains, ..Over::default() };
                for (domain, ways) in ways {
                    if ways.is_empty() {
                        over.domains.remove(&domain);
                        over.changes += 1;
                    } else if over.domains.contains_key(&domain) {
                        over.ways.insert(domain, ways);
                    }
                }
                state.over.insert(day, over);
                continue;
            }
            for (domain, reports) in domains {
                state.counters.add(&domain, reports);
            }
        }
        self.state().is_loaded = true;
        Ok(())
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
