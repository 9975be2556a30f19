//! The message between 354 and its end mark, or in the chunks of BDAT.

use core::time::Duration;

use pillarbox_core::dot::{DotDecoder, Piece};
use pillarbox_core::header::HeaderScanner;
use pillarbox_core::{Reply, Time};

use super::{Limits, ServerConfig, replies};

/// The message that is arriving.
#[derive(Debug)]
pub(super) struct Body {
    /// `None` where every octet is wanted as it is (BINARYMIME).
    decoder: Option<DotDecoder>,
    /// The chunk that is arriving (RFC 3030 §2); `None` after DATA.
    chunk: Option<Chunk>,
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
struct Chunk {
    /// Octets of it that are still to come.
    left: u64,
    last: bool,
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
    /// The end of a chunk that is not the last one.
    ChunkEnd,
    /// The end; the reply if the message was refused.
    End(Option<Reply>),
    /// The message was refused, and its end is not worth waiting for.
    Overrun(Reply),
}

impl Body {
    /// The message behind DATA.
    pub(super) fn new(now: Time, recipients: usize, config: &ServerConfig) -> Self {
        let limits = &config.limits;
        Body {
            decoder: Some(DotDecoder::new(config.bare_newlines)),
            chunk: None,
            recipients,
            header: HeaderScanner::new(limits.header),
            room: limits.message_size_max,
            patience: patience(limits),
            fate: Fate::Wanted,
            rate: Rate { since: now, octets: 0 },
        }
    }

    /// A message that comes in chunks; [`begin_chunk`](Body::begin_chunk) announces each.
    pub(super) fn in_chunks(now: Time, recipients: usize, binary: bool, config: &ServerConfig) -> Self {
        let decoder = (!binary).then(|| DotDecoder::for_chunks(config.bare_newlines));
        Body { decoder, ..Body::new(now, recipients, config) }
    }

    /// Whether a chunk that comes now ends a wait in which too little came. Between chunks a client may take its time, as between
    /// commands, but octets that drip in as chunks must not hold a message open for ever.
    pub(super) fn has_dripped(&self, now: Time, window: Duration, rate_min: u64) -> bool {
        now >= self.rate.since + window && !self.rate.has_enough(window, rate_min)
    }

    /// The next octets are a chunk.
    pub(super) fn begin_chunk(&mut self, now: Time, size: u64, last: bool) {
        self.chunk = Some(Chunk { left: size, last });
        self.rate = Rate { since: now, octets: 0 };
    }

    /// Whether so many octets on the wire can still fit. They never get fewer: a repair only adds some.
    pub(super) const fn has_room(&self, octets: u64) -> bool {
        octets <= self.room
    }

    pub(super) const fn is_wanted(&self) -> bool {
        matches!(self.fate, Fate::Wanted)
    }

    /// Octets that may still come on the wire.
    pub(super) const fn patience(&self) -> u64 {
        self.patience
    }

    /// From here on the message is eaten; `reply` comes at its end.
    pub(super) fn refuse(&mut self, reply: Reply) {
        self.fate = Fate::Refused(reply);
    }

    /// Takes what comes next off the input.
    pub(super) fn next<'b>(&mut self, now: Time, window: Duration, input: &mut &'b [u8]) -> Arrived<'b> {
        loop {
            let allowed = self.chunk.as_ref().map_or(self.patience, |chunk| chunk.left.min(self.patience));
            let shown = usize::try_from(allowed).unwrap_or(usize::MAX).min(input.len());
            let mut unread = &input[..shown];
            let piece = self.take(&mut unread);
            let used = shown - unread.len();
            *input = &input[used..];
            self.patience -= used as u64;
            if let Some(chunk) = &mut self.chunk {
                chunk.left -= used as u64;
            }
            self.rate.count(now, window, used);
            if self.is_wanted() && self.decoder.as_ref().is_some_and(DotDecoder::is_refused) {
                self.refuse(replies::bare_newline());
            }
            match piece {
                Piece::Body(octets) => {
                    let octets = self.within_limits(octets);
                    if !octets.is_empty() {
                        return Arrived::Piece(octets);
                    }
                }
                Piece::NeedInput if matches!(self.chunk, Some(Chunk { left: 0, .. })) => {
                    if let Some(Chunk { last: false, .. }) = self.chunk {
                        return Arrived::ChunkEnd;
                    }
                }
                Piece::NeedInput => {
                    return match &self.fate {
                        Fate::Refused(reply) if self.patience == 0 => Arrived::Overrun(reply.clone()),
                        _ => Arrived::NeedInput,
                    };
                }
                Piece::End => return Arrived::End(self.refusal()),
            }
        }
    }

    /// The next piece of what is shown, which ends where the chunk does.
    fn take<'b>(&mut self, shown: &mut &'b [u8]) -> Piece<'b> {
        let piece = match &mut self.decoder {
            Some(decoder) => decoder.decode(shown),
            None if shown.is_empty() => Piece::NeedInput,
            None => Piece::Body(core::mem::take(shown)),
        };
        match (&self.chunk, &mut self.decoder) {
            (Some(Chunk { left, last: true }), decoder) if piece == Piece::NeedInput && *left == 0 => {
                // The end is not in the octets: what was held back may come first.
                decoder.as_mut().map_or(Piece::End, DotDecoder::finish)
            }
            _ => piece,
        }
    }

    /// The reply to the message, if it was refused.
    pub(super) fn refusal(&self) -> Option<Reply> {
        match &self.fate {
            Fate::Wanted => None,
            Fate::Refused(reply) => Some(reply.clone()),
        }
    }

    /// When the peer will have been too slow.
    pub(super) fn deadline(&self, window: Duration) -> Time {
        self.rate.since + window
    }

    pub(super) fn rate(&mut self) -> &mut Rate {
        &mut self.rate
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

/// A chunk that belongs to no message that is wanted: its octets are eaten, and then it gets its reply (RFC 3030 §2).
#[derive(Debug)]
pub(super) struct Stray {
    left: u64,
    pub(super) reply: Reply,
    /// How often the reply is said: once, but LMTP has one for each recipient behind the last chunk.
    pub(super) copies: usize,
    pub(super) fault: Fault,
    pub(super) next: AfterStray,
    rate: Rate,
}

/// Whose fault a stray chunk is, if its reply is a permanent one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The client's: it counts as an error whatever protocol is spoken.
    Mistake,
    /// The embedder does not want it, which counts as any other refusal does.
    Refusal,
    /// Nobody's: it was under way when the message was refused.
    InFlight,
}

/// The state behind a stray chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterStray {
    Ready,
    TurnedAway,
    /// The message was refused and more chunks of it may come.
    Spoilt {
        recipients: usize,
        left: u64,
    },
}

impl Stray {
    pub(super) const fn new(now: Time, size: u64, reply: Reply, copies: usize, fault: Fault, next: AfterStray) -> Self {
        Stray { left: size, reply, copies, fault, next, rate: Rate { since: now, octets: 0 } }
    }

    /// Eats what is there; whether that was all.
    pub(super) fn eat(&mut self, now: Time, window: Duration, input: &mut &[u8]) -> bool {
        let used = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
        *input = &input[used..];
        self.left -= used as u64;
        self.rate.count(now, window, used);
        self.left == 0
    }

    pub(super) fn rate(&mut self) -> &mut Rate {
        &mut self.rate
    }

    pub(super) fn deadline(&self, window: Duration) -> Time {
        self.rate.since + window
    }
}

/// Octets on the wire up to which a refused message is eaten.
pub(super) fn patience(limits: &Limits) -> u64 {
    // Stuffed dots make a message longer by a third at most: one that is wanted never comes to the end of this.
    let least = limits.message_size_max.saturating_add(limits.message_size_max / 2).saturating_add(1024);
    limits.refused_size_max.max(least)
}

/// How much of a body came in the present window.
#[derive(Debug)]
pub(super) struct Rate {
    since: Time,
    octets: u64,
}

impl Rate {
    /// The window is over: whether enough came in it. The next one begins.
    pub(super) fn is_enough(&mut self, now: Time, window: Duration, rate_min: u64) -> bool {
        let enough = self.has_enough(window, rate_min);
        *self = Rate { since: now, octets: 0 };
        enough
    }

    const fn has_enough(&self, window: Duration, rate_min: u64) -> bool {
        self.octets >= rate_min.saturating_mul(window.as_secs())
    }

    fn count(&mut self, now: Time, window: Duration, octets: usize) {
        // Octets that are shown when the window is over were waiting for us: it was our side that was slow.
        if octets > 0 && now >= self.since + window {
            *self = Rate { since: now, octets: 0 };
        }
        self.octets = self.octets.saturating_add(octets as u64);
    }
}
