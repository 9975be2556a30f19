//! The queue from acceptance to the last outcome, with the other servers, the disk and the clock in memory.
#![cfg(all(feature = "outbound", feature = "testing"))]

mod answers;
mod cases;
mod connect;
mod crash;
mod eyeballs;
mod forward;
#[cfg(feature = "https")]
mod https;
mod logins;
mod net;
mod page;
mod policies;
mod race;
mod station;
mod tls_failures;
mod tls_reports;
mod trouble;
mod unread;
mod worlds;
