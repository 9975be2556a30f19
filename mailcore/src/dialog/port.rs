//! A machine with its unread bytes, polled as the contract says.

use super::{Seen, Subject};
use crate::laws::{Broken, Law};
use crate::{Layer, Machine, Step, Time};

/// More events in a row than this, with no byte used between them, count as events without end.
const BARREN_EVENTS_MAX: usize = 10_000;

/// A machine and the bytes on their way to it: those on the wire, and those in the caller's buffer that it did not use.
#[derive(Debug)]
pub(crate) struct Port<M> {
    pub(crate) machine: M,
    wire: Vec<u8>,
    wire_start: usize,
    unread: Vec<u8>,
    unread_start: usize,
    barren: usize,
    eof: bool,
    /// The most that `max_unread` ever asked for.
    pub(crate) max_unread: usize,
}

/// What a poll came to, with the event in words.
#[derive(Debug)]
pub(crate) enum Reached {
    Event(Seen),
    Input,
    Answer,
    Time,
    Upgrade(Layer),
    Closed,
}

impl<M: Machine> Port<M> {
    pub(crate) fn new(machine: M) -> Self {
        let max_unread = machine.max_unread();
        Port {
            machine,
            wire: Vec::new(),
            wire_start: 0,
            unread: Vec::new(),
            unread_start: 0,
            barren: 0,
            eof: false,
            max_unread,
        }
    }

    /// Puts bytes on the wire: they arrived, but nobody read them yet.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.wire.drain(..self.wire_start);
        self.wire_start = 0;
        self.wire.extend_from_slice(bytes);
    }

    /// Bytes on the wire.
    pub(crate) fn on_wire(&self) -> usize {
        self.wire.len() - self.wire_start
    }

    /// Bytes in the buffer that the machine did not use.
    pub(crate) fn unread(&self) -> usize {
        self.unread.len() - self.unread_start
    }

    /// Reads at most `n` bytes from the wire into the buffer, and no more than the buffer must hold; gives how many.
    pub(crate) fn read(&mut self, n: usize) -> usize {
        let room = self.machine.max_unread().saturating_sub(self.unread());
        // A byte that comes where none is wanted has to be shown all the same.
        let room = if self.unread() == 0 { room.max(1) } else { room };
        let n = n.min(self.on_wire()).min(room);
        // What was used is dropped only when it is the larger part, so that reading byte by byte stays linear.
        if self.unread_start > self.unread.len() / 2 {
            self.unread.drain(..self.unread_start);
            self.unread_start = 0;
        }
        self.unread.extend_from_slice(&self.wire[self.wire_start..self.wire_start + n]);
        self.wire_start += n;
        n
    }

    /// Reads everything on the wire, as a caller with a larger buffer than needed does.
    pub(crate) fn read_all(&mut self) {
        self.unread.extend_from_slice(&self.wire[self.wire_start..]);
        self.wire_start = self.wire.len();
    }

    /// Tells the machine that the wire has ended.
    pub(crate) fn end(&mut self, now: Time) {
        self.eof = true;
        self.machine.handle_eof(now);
    }

    /// Polls once.
    pub(crate) fn step<S: Subject<Machine = M>>(
        &mut self,
        subject: &mut S,
        connection: usize,
        now: Time,
    ) -> Result<Reached, Broken> {
        let broken = |why: String| Broken::new(Law::Progress, why);
        let shown = &self.unread[self.unread_start..];
        let mut rest = shown;
        let step = self.machine.poll(now, &mut rest);
        let used = shown.len().wrapping_sub(rest.len());
        if used > shown.len() || !rest.is_empty() && rest.as_ptr() != shown[used..].as_ptr() {
            return Err(broken("poll() did not advance the input but put another in its place".into()));
        }
        let left = rest.len();
        self.unread_start += used;
        self.barren = if used > 0 { 0 } else { self.barren + 1 };
        let limit = self.machine.max_unread();
        self.max_unread = self.max_unread.max(limit);
        Ok(match step {
            Step::Event(_) if self.barren > BARREN_EVENTS_MAX => {
                return Err(broken(format!("{BARREN_EVENTS_MAX} events in a row without using a byte")));
            }
            Step::Event(event) => Reached::Event(subject.describe(connection, event)),
            Step::NeedInput if left >= limit => {
                return Err(broken(format!("NeedInput with {left} bytes unread, and max_unread() is {limit}")));
            }
            Step::NeedInput if self.eof => {
                return Err(broken(format!("NeedInput after EOF, with {left} bytes unread")));
            }
            Step::NeedInput => Reached::Input,
            Step::NeedAnswer => Reached::Answer,
            Step::NeedTime => Reached::Time,
            // Bytes that came in clear text must not be taken for bytes that came through TLS (RFC 3207 §4.2,
            // CVE-2011-0411), so a machine that was shown any refuses.
            Step::Upgrade(layer) if left > 0 => {
                let why = format!("Upgrade({layer:?}) while {left} bytes of the layer below are unread");
                return Err(Broken::new(Law::SplitInvariance, why));
            }
            Step::Upgrade(layer) => Reached::Upgrade(layer),
            Step::Closed => Reached::Closed,
        })
    }

    /// Takes the first `n` bytes of the output, as if they were sent.
    pub(crate) fn take_output(&mut self, n: usize, now: Time) -> Vec<u8> {
        let output = self.machine.output();
        let taken = output[..n.min(output.len())].to_vec();
        if !taken.is_empty() {
            self.machine.consume_output(now, taken.len());
        }
        taken
    }
}
