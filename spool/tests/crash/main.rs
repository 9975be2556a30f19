//! A power cut after every change to the disk, with every disk that may be found after it: what was answered is so, and what
//! was not answered is so whole or not at all.
//!
//! Each scenario runs once on a simulated file system. For each power cut the queue is opened on what is left, and an auditor
//! that knows only what was answered looks at it. While it does, the power fails again.
//!
//! `CRASH_STATES=1000000 cargo test --release -p pillarbox-spool --test crash mixture` looks at more disks of the mixture.

#![allow(clippy::print_stdout, clippy::print_stderr)] // How many disks, and how far a long run is.

mod audit;
mod ledger;
mod mixture;
mod scenarios;
#[path = "../support/mod.rs"]
mod support;
mod world;
