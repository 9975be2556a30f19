//! The queue from acceptance to the last outcome, with the other servers, the disk and the clock in memory.
#![cfg(all(feature = "outbound", feature = "testing"))]

mod answers;
mod cases;
mod net;
mod page;
mod policies;
mod station;
mod trouble;
mod worlds;
