//! This host: a queue over a disk in memory.

use std::sync::{Arc, Mutex};

use pillarbox::Shutdown;
use pillarbox::outbound::{
    Disk, Outbound, OutboundConfig, OutboundHandle, OutboundParts, Route, SpoolSink,
    spool::{self, Store, StoreError},
};
use pillarbox::parts::{Envelope, MessageSink, Observer, Outcome, QueueEvent};
use pillarbox_core::SeededRandom;
use pillarbox_core::address::{Address, ForwardPath, ReversePath};
use pillarbox_core::dns::FixedZone;
use pillarbox_fs::{Fs, SimulatedFs};
use pillarbox_smtp::route::RouteTable;
use tokio::task::JoinHandle;

use crate::net::{Mailboxes, Net};

pub(crate) const OURS: &str = "mx.here.example";

/// Writes down what happens.
#[derive(Default)]
pub(crate) struct Diary(pub(crate) Mutex<Vec<String>>);

impl Observer for Diary {
    fn queue(&self, event: &QueueEvent<'_>) {
        let line = match event {
            QueueEvent::Accepted { id, .. } => format!("accepted {id}"),
            QueueEvent::Tried { to, outcome, peer, reply, .. } => format!("{to} {outcome} {peer}: {reply}"),
            QueueEvent::Noticed { to, .. } => format!("notice to {to}"),
            QueueEvent::DoubleBounce { .. } => "double bounce".into(),
            QueueEvent::SetAside { id, why } => format!("set aside {id}: {why}"),
            QueueEvent::Failed { what, cause } => format!("{what} failed: {cause}"),
            QueueEvent::Damaged { finding } => format!("damaged: {finding:?}"),
            QueueEvent::Tls { domain, host, failure } => format!("tls {domain} {host} {failure:?}"),
            _ => return,
        };
        self.0.lock().unwrap().push(line);
    }
}

/// A queue at work.
pub(crate) struct Station {
    pub(crate) fs: SimulatedFs,
    pub(crate) outbound: Outbound,
    pub(crate) sink: SpoolSink,
    pub(crate) diary: Arc<Diary>,
    pub(crate) shutdown: Shutdown,
    running: JoinHandle<()>,
}

/// Options with which a few messages fill segments and have files of their own.
pub(crate) fn options(seed: u64) -> spool::Options {
    let mut options = spool::Options::from_system();
    options.random = Box::new(SeededRandom::new(seed));
    (options.reserve_bytes, options.reserve_files) = (0, 0);
    (options.segment_size, options.inline_max) = (20_000, 4000);
    options
}

pub(crate) fn config() -> OutboundConfig {
    let mut config = OutboundConfig::new(OURS).unwrap();
    config.disk = Disk::Here;
    config
}

pub(crate) fn parts(net: &Arc<Net>, zone: FixedZone, diary: &Arc<Diary>) -> OutboundParts {
    let mut parts = OutboundParts::from_system();
    parts.resolver = Arc::new(zone);
    parts.connect = net.clone();
    parts.clock = net.clock.clone();
    parts.observer = diary.clone();
    parts
}

/// Mail for `here.example` stays here.
pub(crate) fn routes(net: &Net) -> RouteTable<Route> {
    let mut routes = RouteTable::new();
    routes.by_recipient("here.example", Route::Sink(Arc::new(Mailboxes(net.copies.clone(), net.now.clone())))).unwrap();
    routes
}

impl Station {
    pub(crate) fn begin(
        fs: SimulatedFs,
        seed: u64,
        config: OutboundConfig,
        parts: impl FnOnce(&Arc<Diary>) -> OutboundParts,
        routes: RouteTable<Route>,
    ) -> Self {
        Self::begin_on(fs.clone(), fs, seed, config, parts, routes).unwrap()
    }

    /// The same with something between the queue and the disk.
    pub(crate) fn begin_on(
        above: impl Fs + 'static,
        fs: SimulatedFs,
        seed: u64,
        config: OutboundConfig,
        parts: impl FnOnce(&Arc<Diary>) -> OutboundParts,
        routes: RouteTable<Route>,
    ) -> Result<Self, StoreError> {
        let (store, recovery) = Store::open(above, "/spool", options(seed))?;
        let diary = Arc::new(Diary::default());
        let random = move || Box::new(SeededRandom::new(seed)) as Box<_>;
        let outbound = Outbound::with_random(config, parts(&diary), routes, store, random);
        let shutdown = Shutdown::new();
        let (engine, stop) = (outbound.clone(), shutdown.clone());
        let running = tokio::spawn(async move { engine.run(recovery, &stop).await });
        let sink = outbound.sink();
        Ok(Station { fs, outbound, sink, diary, shutdown, running })
    }

    pub(crate) fn handle(&self) -> OutboundHandle {
        self.outbound.handle()
    }

    pub(crate) async fn accept(&self, envelope: Envelope, content: &[u8]) -> Vec<Outcome> {
        let mut incoming = self.sink.begin(envelope).await.unwrap();
        incoming.write(content).await.unwrap();
        incoming.commit(true).await
    }

    /// The power failed, after one of the changes that were recorded, or else just now. What the disk may hold then, and how many
    /// changes had been made to it.
    pub(crate) async fn crash(self, seed: u64) -> (SimulatedFs, u64) {
        self.running.abort();
        let _ = self.running.await;
        let seed_at = usize::try_from(seed).unwrap_or(0);
        let mut crashes = self.fs.recorded();
        crashes.push(self.fs.crash());
        let crash = crashes.swap_remove(seed_at % crashes.len());
        let images: Vec<SimulatedFs> = crash.images(4, seed).collect();
        (images[seed_at / 7 % images.len()].clone(), crash.changes())
    }

    pub(crate) async fn stop(self) -> SimulatedFs {
        self.shutdown.begin();
        self.running.await.unwrap();
        self.fs
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.diary.0.lock().unwrap().clone()
    }
}

pub(crate) fn envelope(from: Option<&str>, to: &[&str]) -> Envelope {
    let address = |text: &str| Address::parse(text).unwrap().into_owned();
    let from = from.map_or(ReversePath::Null, |from| ReversePath::Address(address(from)));
    let to = to.iter().map(|to| ForwardPath::Address(address(to))).collect();
    Envelope::new("session", from, to)
}
