//! The message between 354 and its end mark.

use core::time::Duration;

use pillarbox_core::dot::{BareNewlines, DotDecoder, Piece};
use pillarbox_core::{Reply, Time};

use super::replies;

/// The message that is arriving.
#[derive(Debug)]
pub(super) struct Body {
    decoder: DotDecoder,
    /// How many recipients it has.
    pub(super) recipients: usize,
    /// Octets that the message may still have.
    room: u64,
    fate: Fate,
    rate: Rate,
}

#[derive(Debug)]
enum Fate {
    /// Its pieces are shown.
    Wanted,
    /// It is eaten to its end and then gets this reply.
    Refused(Reply),
}

/// What a look at the input came to. It may have spoilt the message: [`Body::is_wanted`] says so.
pub(super) enum Arrived<'b> {
    Piece(&'b [u8]),
    NeedInput,
    /// The end; the reply if the message was refused.
    End(Option<Reply>),
}

impl Body {
    pub(super) fn new(now: Time, recipients: usize, size_max: u64, bare_newlines: BareNewlines) -> Self {
        Body {
            decoder: DotDecoder::new(bare_newlines),
            recipients,
            room: size_max,
            fate: Fate::Wanted,
            rate: Rate { since: now, octets: 0 },
        }
    }

    pub(super) const fn is_wanted(&self) -> bool {
        matches!(self.fate, Fate::Wanted)
    }

    /// From here on the message is eaten; `reply` comes at its end.
    pub(super) fn refuse(&mut self, reply: Reply) {
        self.fate = Fate::Refused(reply);
    }

    /// Takes what comes next off the input.
    pub(super) fn next<'b>(&mut self, now: Time, window: Duration, input: &mut &'b [u8]) -> Arrived<'b> {
        loop {
            let shown = input.len();
            let piece = self.decoder.decode(input);
            self.rate.count(now, window, shown - input.len());
            if self.is_wanted() && self.decoder.is_refused() {
                self.refuse(replies::bare_newline());
            }
            match piece {
                Piece::Body(octets) => {
                    let octets = self.within_limit(octets);
                    if !octets.is_empty() {
                        return Arrived::Piece(octets);
                    }
                }
                Piece::NeedInput => return Arrived::NeedInput,
                Piece::End => {
                    return Arrived::End(match &self.fate {
                        Fate::Wanted => None,
                        Fate::Refused(reply) => Some(reply.clone()),
                    });
                }
            }
        }
    }

    /// When the peer will have been too slow.
    pub(super) fn deadline(&self, window: Duration) -> Time {
        self.rate.since + window
    }

    /// The window is over: whether enough came in it. The next one begins.
    pub(super) fn is_fast_enough(&mut self, now: Time, window: Duration, rate_min: u64) -> bool {
        let needed = rate_min.saturating_mul(window.as_secs());
        let enough = self.rate.octets >= needed;
        self.rate = Rate { since: now, octets: 0 };
        enough
    }

    /// As much of the octets as is wanted. A message that is too large is shown up to the limit, so that what is shown does
    /// not depend on how it was cut.
    fn within_limit<'b>(&mut self, octets: &'b [u8]) -> &'b [u8] {
        if !self.is_wanted() {
            return &[];
        }
        let fits = usize::try_from(self.room).unwrap_or(usize::MAX).min(octets.len());
        self.room -= fits as u64;
        if fits < octets.len() {
            self.refuse(replies::too_large());
        }
        &octets[..fits]
    }
}

/// How much of a body came in the present window.
#[derive(Debug)]
struct Rate {
    since: Time,
    octets: u64,
}

impl Rate {
    fn count(&mut self, now: Time, window: Duration, octets: usize) {
        // Octets that are shown when the window is over were waiting for us: it was our side that was slow.
        if octets > 0 && now >= self.since + window {
            *self = Rate { since: now, octets: 0 };
        }
        self.octets = self.octets.saturating_add(octets as u64);
    }
}
