//! A mail server made of Pillarbox's crates.

mod config;

fn main() {}
