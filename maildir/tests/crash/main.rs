//! A power cut after every change to the disk, with every disk that may be found after it: what the client was told is
//! there, and what it was not told is whole or absent.
//!
//! Each scenario runs once on a simulated file system. For each power cut the store is opened on what is left, and an
//! auditor that knows only what the client was told looks at it. While it does, the power fails again.
//!
//! `CRASH_STATES=1000000 cargo test --release -p pillarbox-maildir --test crash` looks at more disks of the mixture.

#![allow(clippy::print_stdout, clippy::print_stderr)] // How many disks, and how far a long run is.

mod audit;
mod ledger;
mod mixture;
mod replaced;
mod scenarios;
mod sidecars;
mod world;
