#![doc = include_str!("../README.md")]

mod error;
mod file;
mod fs;
mod group;
mod real;
mod replace;
mod simulated;
pub mod testing;

pub use error::{ErrorKind, FsError, Op, Result};
pub use file::{File, RawFile};
pub use fs::{Entry, Fs, Kind, Metadata, Space};
pub use group::GroupSync;
pub use real::RealFs;
pub use replace::replace_file;
pub use simulated::{Crash, Images, SimulatedFs};
