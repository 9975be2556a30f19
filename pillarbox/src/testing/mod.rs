//! For tests of servers and of your own parts: a clock that stands still, and conformance suites for the plug-in traits.
//!
//! A suite is called from a test of the version that it checks. It panics at the first promise that is not kept.

mod authenticator;
mod clock;
mod sink;
mod store;

pub use authenticator::authenticator_suite;
pub use clock::SteppedClock;
pub use sink::sink_suite;
pub use store::store_suite;
