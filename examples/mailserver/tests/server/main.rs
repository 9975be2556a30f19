//! The program as its users meet it: the real binary, talked to over loopback and signals.

#![allow(unreachable_pub, reason = "in a test, `pub` means: for the other modules")]

mod authentication;
mod check;
mod client;
mod dialog;
mod forwarding;
mod fsck;
mod process;
mod queue;
mod quota;
mod sealing;
mod sending;
mod serve;
mod sharing;
mod tls;
mod transfer;
mod trial;
mod zone;
