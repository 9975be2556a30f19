//! What a server tells of a mailbox while it is being selected.

use alloc::vec::Vec;

use super::Fetch;
use super::code::{Code, Status};
use super::mirror::{MESSAGES_MAX, Message, update};
use super::numbering::Numbering;
use super::response::Response;
use crate::types::{ModSeq, Uid, UidValidity};

/// What is told while a mailbox is being selected.
#[derive(Clone, Debug, Default)]
pub(super) struct Selecting {
    pub(super) uid_validity: Option<UidValidity>,
    pub(super) mod_seq: Option<ModSeq>,
    pub(super) exists: u32,
    /// The server was asked to tell what has changed.
    pub(super) resyncs: bool,
    /// Another mailbox was closed before.
    pub(super) is_closed: bool,
    /// Those that were known and are not said to have gone; none while nothing was said.
    pub(super) left: Option<Numbering>,
    pub(super) fetched: Vec<(u32, Uid, Message)>,
    pub(super) is_odd: bool,
}

impl Selecting {
    /// Takes what the server tells; `known` are the messages that were known before.
    pub(super) fn learn(&mut self, response: &Response, known: &Numbering) {
        match response {
            // RFC 7162 §3.2.11: what came before it was of the mailbox that was selected before, once.
            Response::Status(Status { code: Some(Code::Closed), .. }) if !self.is_closed => {
                *self = Selecting { resyncs: self.resyncs, is_closed: true, ..Selecting::default() };
            }
            Response::Status(Status { code: Some(Code::Closed), .. }) => self.is_odd = true,
            Response::Status(Status { code: Some(code), .. }) => match code {
                Code::UidValidity(validity) => self.uid_validity = Some(*validity),
                Code::HighestModSeq(mod_seq) => self.mod_seq = Some(*mod_seq),
                Code::NoModSeq => self.mod_seq = None,
                _ => {}
            },
            Response::Exists(count) => self.exists = *count,
            Response::Expunge(_) | Response::Vanished { earlier: false, .. } => self.is_odd = true,
            // A server may name UIDs that nobody knows, any number of them.
            Response::Vanished { earlier: true, uids } if self.resyncs => {
                let left = self.left.get_or_insert_with(|| known.clone());
                uids.ranges().for_each(|range| left.remove_range(&range, |_| {}));
            }
            // Each message once: more is not what was asked for, and not held.
            Response::Fetch(_) if !self.resyncs || self.fetched.len() >= self.exists.min(MESSAGES_MAX) as usize => {
                self.is_odd = true;
            }
            Response::Fetch(fetch) => match (fetch.seq, fetch.uid) {
                (Some(seq), Some(uid)) if fetch.flags.is_some() => {
                    self.fetched.push((seq.get(), uid, message_of(fetch)));
                }
                _ => self.is_odd = true,
            },
            _ => {}
        }
    }
}

fn message_of(fetch: &Fetch) -> Message {
    let mut message = Message::default();
    update(&mut message, fetch);
    message
}
