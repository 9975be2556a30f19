//! The message between 354 and its end mark.

use core::time::Duration;

use pillarbox_core::dot::{DotDecoder, Piece};
use pillarbox_core::header::HeaderScanner;
use pillarbox_core::{Reply, Time};

use super::{ServerConfig, replies};

/// The message that is arriving.
#[derive(Debug)]
pub(super) struct Body {
    decoder: DotDecoder,
    /// How many recipients it has.
    pub(super) recipients: usize,
    header: HeaderScanner,
    /// Octets that the message may still have.
    room: u64,
    /// Octets that may still come on the wire, dots and all.
    patience: u64,
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
    /// The message was refused, and its end is not worth waiting for.
    Overrun(Reply),
}

impl Body {
    pub(super) fn new(now: Time, recipients: usize, config: &ServerConfig) -> Self {
        let limits = &config.limits;
        // Stuffed dots make a message longer by a third at most: one that is wanted never comes to the end of this.
        let least = limits.message_size_max.saturating_add(limits.message_size_max / 2).saturating_add(1024);
        Body {
            decoder: DotDecoder::new(config.bare_newlines),
            recipients,
            header: HeaderScanner::new(limits.header),
            room: limits.message_size_max,
            patience: limits.refused_size_max.max(least),
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
            let shown = usize::try_from(self.patience).unwrap_or(usize::MAX).min(input.len());
            let mut unread = &input[..shown];
            let piece = self.decoder.decode(&mut unread);
            let used = shown - unread.len();
            *input = &input[used..];
            self.patience -= used as u64;
            self.rate.count(now, window, used);
            if self.is_wanted() && self.decoder.is_refused() {
                self.refuse(replies::bare_newline());
            }
            match piece {
                Piece::Body(octets) => {
                    let octets = self.within_limits(octets);
                    if !octets.is_empty() {
                        return Arrived::Piece(octets);
                    }
                }
                Piece::NeedInput => {
                    return match &self.fate {
                        Fate::Refused(reply) if self.patience == 0 => Arrived::Overrun(reply.clone()),
                        _ => Arrived::NeedInput,
                    };
                }
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

    /// As much of the octets as is wanted. A message that passes a limit is shown up to there, so that what is shown does not
    /// depend on how it was cut.
    fn within_limits<'b>(&mut self, octets: &'b [u8]) -> &'b [u8] {
        if !self.is_wanted() {
            return &[];
        }
        let mut fits = usize::try_from(self.room).unwrap_or(usize::MAX).min(octets.len());
        if fits < octets.len() {
            self.refuse(replies::too_large());
        }
        let before = self.header.size();
        if let Err(limit) = self.header.feed(&octets[..fits]) {
            fits = self.header.size() - before;
            self.refuse(replies::header_limit(limit));
        }
        self.room -= fits as u64;
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
