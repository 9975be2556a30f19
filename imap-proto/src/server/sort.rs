//! SORT and THREAD: what is asked, and the answer of THREAD.

use alloc::vec::Vec;

use super::read::Served;
use super::reply::{End, Output};
use super::search::{Resolved, Returned, Searching};
use super::session::Asked;
use super::{Event, ServerSession};
use crate::sort::SortCriterion;
use crate::thread::{ThreadAlgorithm, ThreadPart};
use crate::view::View;
use crate::wire::encode::push;
use crate::wire::parse::SearchKey;

/// A THREAD that is being answered. The answer streams, and nothing of it is kept but lists that have begun and told nothing yet.
#[derive(Debug)]
pub(super) struct Threading {
    /// UIDs are told, not sequence numbers.
    uid: bool,
    /// The answer's line has begun.
    open: bool,
    /// Lists that have begun, and in which nothing was told yet: they are told with the first message.
    waiting: u32,
    /// Lists that were told to begin.
    depth: u32,
    /// A number stands last.
    after_number: bool,
}

impl ServerSession {
    /// RFC 5256 §3, RFC 5267 §3
    pub(super) fn sort<'b>(
        &mut self,
        criteria: Vec<SortCriterion>,
        key: Option<SearchKey>,
        Returned { returns, wanted }: Returned,
        uid: bool,
    ) -> Served<'b> {
        if !self.config.extensions.sort {
            return Err(End::bad("SORT is not on offer"));
        }
        let resolved = self.query_to_answer(key, returns)?;
        self.refuse_order_of_some()?;
        let updating = self.updating_if(Returned { returns, wanted }, &resolved, &criteria)?;
        let Resolved { query, mod_seqs, .. } = resolved;
        if mod_seqs {
            self.enable_condstore();
        }
        let searching = Searching::new(uid, returns, true).updating(updating);
        Ok(self.ask(Asked::Search(searching), Event::Sort { query, criteria, mod_seqs }))
    }

    /// RFC 5256 §3
    pub(super) fn thread<'b>(&mut self, algorithm: ThreadAlgorithm, key: Option<SearchKey>, uid: bool) -> Served<'b> {
        if !self.config.extensions.thread {
            return Err(End::bad("THREAD is not on offer"));
        }
        let Resolved { query, mod_seqs, .. } = self.query_of(key, false)?;
        self.refuse_order_of_some()?;
        if mod_seqs {
            self.enable_condstore();
        }
        let threading = Threading { uid, open: false, waiting: 0, depth: 0, after_number: false };
        Ok(self.ask(Asked::Thread(threading), Event::Thread { query, algorithm }))
    }
}

impl Threading {
    /// Whether the line of the answer has begun.
    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn parts(&mut self, parts: &[ThreadPart], view: &View, out: &mut Output) {
        for part in parts {
            match part {
                ThreadPart::Open => self.waiting = self.waiting.saturating_add(1),
                ThreadPart::Message(uid) => {
                    let Some(seq) = view.seq(*uid) else { continue };
                    self.begin_lists(out);
                    let number = if self.uid { uid.get() } else { seq.get() };
                    let space = if core::mem::replace(&mut self.after_number, true) { " " } else { "" };
                    push(out.end(), format_args!("{space}{number}"));
                }
                // One in which there is nothing was not told either.
                ThreadPart::Close if self.waiting > 0 => self.waiting -= 1,
                ThreadPart::Close if self.depth > 0 => self.end_list(out),
                ThreadPart::Close => {}
            }
        }
    }

    fn begin_lists(&mut self, out: &mut Output) {
        let first = !self.open;
        self.begin(out);
        for _ in 0..core::mem::take(&mut self.waiting) {
            if core::mem::take(&mut self.after_number) || first && self.depth == 0 {
                out.end().push(b' ');
            }
            out.end().push(b'(');
            self.depth += 1;
        }
    }

    fn end_list(&mut self, out: &mut Output) {
        self.depth -= 1;
        self.after_number = false;
        out.end().push(b')');
    }

    fn begin(&mut self, out: &mut Output) {
        if !core::mem::replace(&mut self.open, true) {
            out.end().extend_from_slice(b"* THREAD");
        }
    }

    /// Ends the line.
    pub(super) fn end(&mut self, out: &mut Output) {
        self.begin(out);
        self.break_off(out);
    }

    /// Ends the line before its time.
    pub(super) fn break_off(&mut self, out: &mut Output) {
        if self.open {
            while self.depth > 0 {
                self.end_list(out);
            }
            out.end().extend_from_slice(b"\r\n");
        }
    }
}
