#![doc = include_str!("../README.md")]

mod envelope;
mod error;
mod format;
mod join;
mod message_id;
mod schedule;
mod state;
mod store;

pub use envelope::{BodyKind, ByMode, DeliverBy, Envelope, Notify, OriginalRecipient, Recipient, Ret};
pub use error::{Result, StoreError};
pub use message_id::{MessageId, NotAMessageId};
pub use schedule::{
    Attempted, Cursor, Due, Fault, Health, Item, Lanes, NextTry, Reason, Route, Schedule, ScheduleOptions, Selector,
    Task,
};
pub use state::{Attempt, Notices, Outcome, RecipientReport, RecipientState, Report};
pub use store::{
    Body, Change, Commit, Finding, Incoming, Message, Options, Ready, Recovered, Recovery, Store, SystemRandom, Tended,
    Usage, Waiting, dump,
};

// Handles go from thread to thread.
const _: () = {
    const fn send<T: Send>() {}
    const fn send_and_sync<T: Send + Sync>() {}
    send_and_sync::<Store>();
    send::<Incoming>();
    send::<Ready>();
    send::<Commit>();
    send::<Recovery>();
    send::<Body>();
    send::<Schedule>();
};
