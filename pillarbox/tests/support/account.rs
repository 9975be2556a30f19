//! A server with one account.
#![allow(dead_code, unreachable_pub, reason = "every test file uses its own part of this one")]

use std::sync::Arc;

use pillarbox::parts::{AllowList, MemoryAuthenticator, MemorySink, Parts};
use pillarbox::smtp::ServerConfig;
use pillarbox::testing::SteppedClock;
use pillarbox_core::sasl::Mechanism;

use super::support::Log;

pub const YOU: &str = "you@localhost";

/// Parts in memory, with one account, on a clock that a test moves.
pub struct Fixture {
    pub sink: MemorySink,
    pub clock: SteppedClock,
    pub log: Log,
    pub parts: Parts,
}

pub fn fixture() -> Fixture {
    let (sink, clock, log) = (MemorySink::new(), SteppedClock::new(), Log::default());
    let parts = Parts {
        policy: Arc::new(AllowList::new([YOU])),
        sink: Arc::new(sink.clone()),
        authenticator: Arc::new(MemoryAuthenticator::new().with(YOU, "secret")),
        clock: Arc::new(clock.clone()),
        observer: Arc::new(log.clone()),
        ..Parts::in_memory()
    };
    Fixture { sink, clock, log, parts }
}

/// A server at which that account can log in without TLS.
pub fn config() -> ServerConfig {
    let mut config = ServerConfig::new("mx.localhost");
    config.mechanisms = vec![Mechanism::Plain];
    config.auth_without_tls = true;
    config
}

/// `AUTH PLAIN` with this password.
pub fn auth(password: &str) -> String {
    format!("AUTH PLAIN {}", pillarbox_core::sasl::encode(format!("\0{YOU}\0{password}").as_bytes()))
}
