//! NOOP, CHECK and IDLE: hearing of what is new.

use pillarbox_core::line::{LineScanner, Scan};

use super::read::Served;
use super::recheck::Then;
use super::reply::End;
use super::session::{Asked, Doing, Next, Standing};
use super::{CloseReason, Event, ServerSession};

impl ServerSession {
    /// RFC 9051 §6.1.2, RFC 3501 §6.4.1
    pub(super) fn noop<'b>(&mut self) -> Served<'b> {
        if matches!(self.standing, Standing::Selected { .. }) {
            return Ok(self.ask(Asked::Sync { idle: false }, Event::Sync));
        }
        self.finish(End::ok("Done"));
        Ok(None)
    }

    /// RFC 2177 §3
    pub(super) fn idle<'b>(&mut self) -> Served<'b> {
        if matches!(self.standing, Standing::Selected { .. }) {
            return Ok(self.ask(Asked::Sync { idle: true }, Event::Sync));
        }
        self.begin_idle();
        Ok(None)
    }

    /// The client hears of changes from now on.
    pub(super) fn begin_idle(&mut self) {
        self.out.end().extend_from_slice(b"+ Idling\r\n");
        self.doing = Doing::Idling { scanner: LineScanner::new() };
        self.timer.active();
        self.queue.push_back(Event::Idle);
        self.tell_at_once();
        self.leave_if_due();
    }

    /// Waits for DONE.
    pub(super) fn read_done<'b>(&mut self, input: &mut &'b [u8]) -> Next<'b> {
        let max = self.config.limits.before_login.line_max;
        if self.has_to_recheck()
            && let Doing::Idling { scanner } = core::mem::replace(&mut self.doing, Doing::Reading)
        {
            if let Some(Then::Idle(scanner)) = self.recheck(Then::Idle(scanner)) {
                self.doing = Doing::Idling { scanner };
            }
            return Next::Again;
        }
        let Doing::Idling { scanner } = &mut self.doing else { return Next::Again };
        let bytes: &'b [u8] = input;
        match scanner.scan(bytes, max) {
            Scan::Incomplete => Next::NeedInput,
            Scan::TooLong => {
                self.bye(CloseReason::Synchronisation, Some("TOOBIG"), "IDLE ends with DONE");
                Next::Again
            }
            Scan::Line { len } => {
                *input = &bytes[len..];
                self.queue.push_back(Event::IdleEnd);
                self.doing = Doing::Reading;
                if bytes[..len - 2].eq_ignore_ascii_case(b"DONE") {
                    self.finish(End::ok("No longer idle"));
                    return Next::Again;
                }
                self.served(Err(End::bad("IDLE ends with DONE")), &bytes[..len])
            }
        }
    }
}
