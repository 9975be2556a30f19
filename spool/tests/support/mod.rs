//! What the tests of the store stand on.

#![allow(dead_code)] // Each test uses a part of it.

use pillarbox_core::address::{ForwardPath, ReversePath};
use pillarbox_core::{SeededRandom, WallTime};
use pillarbox_fs::{Fs, SimulatedFs};
use pillarbox_spool::{
    Attempt, Envelope, Finding, MessageId, Options, Outcome, Recipient, Recovered, Report, Result, Store, Waiting,
};

pub(crate) const ROOT: &str = "/spool";

/// The moment at which everything happens.
pub(crate) fn now() -> WallTime {
    WallTime::new(1_700_000_000, 3600)
}

pub(crate) fn options(seed: u64) -> Options {
    let mut options = Options::from_system();
    options.random = Box::new(SeededRandom::new(seed));
    (options.reserve_bytes, options.reserve_files) = (0, 0);
    options
}

/// Options with which a few messages do what takes millions otherwise.
pub(crate) fn small(seed: u64) -> Options {
    let mut options = options(seed);
    (options.segment_size, options.inline_max) = (2000, 1000);
    options
}

/// Opens a spool and reads all of it.
pub(crate) fn open(fs: impl Fs + 'static, root: &str, options: Options) -> Result<(Store, Vec<Waiting>, Vec<Finding>)> {
    let (store, recovery) = Store::open(fs, root, options)?;
    let (mut waiting, mut findings) = (Vec::new(), Vec::new());
    for recovered in recovery {
        match recovered {
            Recovered::Waiting(message) => waiting.push(*message),
            Recovered::Finding(finding) => findings.push(finding),
            Recovered::Unreadable(_, error) => return Err(error),
            other => panic!("{other:?}"),
        }
    }
    Ok((store, waiting, findings))
}

pub(crate) fn open_simulated(fs: &SimulatedFs, seed: u64) -> (Store, Vec<Waiting>) {
    let (store, waiting, findings) = open(fs.clone(), ROOT, small(seed)).unwrap();
    assert_eq!(findings, []);
    (store, waiting)
}

pub(crate) fn recipient(name: &str) -> Recipient {
    Recipient::new(ForwardPath::Address(name.parse().unwrap()))
}

pub(crate) fn envelope(recipients: usize) -> Envelope {
    let from = ReversePath::Address("sender@example.org".parse().unwrap());
    Envelope::new(now(), from, (0..recipients).map(|n| recipient(&format!("r{n}@example.com"))))
}

pub(crate) fn accept(store: &Store, content: &[u8], recipients: usize) -> Result<MessageId> {
    let mut incoming = store.begin(now());
    incoming.write(content)?;
    let id = incoming.id();
    incoming.commit(envelope(recipients))?.wait()?;
    Ok(id)
}

pub(crate) fn report(id: MessageId, outcomes: &[(u32, Outcome)]) -> Report {
    let mut report = Report::new(id);
    for (recipient, outcome) in outcomes {
        let mut attempt = Attempt::new(now(), *outcome);
        attempt.peer = "mx.example.com [192.0.2.1]".into();
        attempt.code = Some(450);
        attempt.text = "mailbox busy".into();
        report.attempt(*recipient, attempt);
    }
    report
}

pub(crate) fn tell(store: &Store, report: Report) -> Result<()> {
    store.commit(vec![pillarbox_spool::Change::Report(report)])?.wait()
}

pub(crate) fn content(store: &Store, id: MessageId) -> Result<Vec<u8>> {
    let body = store.body(id)?;
    let mut octets = vec![0; usize::try_from(body.len()).unwrap()];
    let mut filled = 0;
    while filled < octets.len() {
        match body.read_at(filled as u64, &mut octets[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    octets.truncate(filled);
    Ok(octets)
}
