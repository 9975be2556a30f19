//! What was counted, by days, in memory and in a folder.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pillarbox_auth::tls_rpt::{AppliedPolicy, Counters, CountersLimits, Failure, PolicyReport, ReadLimits, Report};
use pillarbox_core::WallTime;
use pillarbox_core::dns::Name;
use pillarbox_fs::{Fs, FsError};

use super::TlsReporting;
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
pub(super) type Domains = BTreeMap<Name, Vec<PolicyReport>>;

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
    /// The days that are over, by their numbers, and whether they are in their files as they are here.
    over: BTreeMap<Day, (Domains, bool)>,
}

impl State {
    /// Goes on to another day, if it has begun. A clock that was put back stays in the day that it had reached.
    fn go_on_to(&mut self, day: Day) {
        if day <= self.day {
            return;
        }
        let domains: Domains = self.counters.take().collect();
        if !domains.is_empty() {
            self.over.insert(self.day, (domains, false));
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

    /// What was counted of the next domain of a day that is over, without taking it.
    pub(super) fn first_of(&self, day: Day) -> Option<(Name, Vec<PolicyReport>)> {
        let state = self.state();
        let (domain, reports) = state.over.get(&day)?.0.first_key_value()?;
        Some((domain.clone(), reports.clone()))
    }

    /// A domain has its report of a day.
    pub(super) fn done(&self, day: Day, domain: &Name) {
        let mut state = self.state();
        if let Some((domains, is_kept)) = state.over.get_mut(&day) {
            domains.remove(domain);
            *is_kept = false;
        }
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
            let path = self.folder.join(&name);
            let domains = self.fs.read(&path, SIZE_MAX).ok().and_then(|octets| read(&octets));
            // Too old, or from a clock that went wrong.
            let is_odd = day > today || today - day > u64::try_from(DAYS_MAX).unwrap_or(0);
            let Some(domains) = domains.filter(|_| !is_odd) else {
                replace::remove(&*self.fs, &path)?;
                continue;
            };
            let mut state = self.state();
            if day < today {
                state.over.insert(day, (domains, true));
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
            let over: Vec<(Day, Domains)> = state
                .over
                .iter()
                .filter(|(_, (_, is_kept))| !is_kept)
                .map(|(day, (domains, _))| (*day, domains.clone()))
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
        for (day, domains) in over {
            let left = domains.len();
            if domains.is_empty() {
                replace::remove(&*self.fs, &self.folder.join(file_name(day)))?;
                self.fs.sync_dir(&self.folder)?;
            } else {
                self.write(day, domains)?;
            }
            let mut state = self.state();
            if left == 0 {
                state.over.remove(&day);
            } else if let Some((domains, is_kept)) = state.over.get_mut(&day) {
                *is_kept = domains.len() == left;
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
