//! What became of a message.

use core::fmt;

use pillarbox_core::Reply;

/// What became of a message for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecipientOutcome {
    /// The server took it over (2yz to the end of data, in LMTP for this recipient). From now on it is the server's.
    Delivered(Acceptance),
    /// The server will never take it (5yz).
    Refused(Reply),
    /// Try again: the server said so (4yz), or the connection ended before it said anything about this recipient.
    Later(Option<Reply>),
    /// This server cannot take it, and nothing was sent.
    Impossible(Lack),
}

impl RecipientOutcome {
    /// Whether the server took the message over.
    pub const fn is_delivered(&self) -> bool {
        matches!(self, RecipientOutcome::Delivered(_))
    }
}

/// For people: what became of it, and in whose words.
impl fmt::Display for RecipientOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecipientOutcome::Delivered(yes) if yes.notice_due => {
                write!(f, "delivered, without a notice: {}", yes.reply)
            }
            RecipientOutcome::Delivered(yes) => write!(f, "delivered: {}", yes.reply),
            RecipientOutcome::Refused(reply) => write!(f, "refused: {reply}"),
            RecipientOutcome::Later(Some(reply)) => write!(f, "later: {reply}"),
            RecipientOutcome::Later(None) => f.write_str("later: the connection was lost"),
            RecipientOutcome::Impossible(lack) => write!(f, "impossible: {}", lack.reply()),
        }
    }
}

/// A server's yes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acceptance {
    /// What the server said.
    pub reply: Reply,
    /// The sender asked for a notice that this server will not send: to send it is now ours. It says `relayed` if the
    /// server relays, as an SMTP server may (RFC 3461 §5.2.2, RFC 2852 §4.1.4), and `delivered` if it keeps what it takes,
    /// as an LMTP server does.
    pub notice_due: bool,
}

impl fmt::Display for Acceptance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reply.fmt(f)
    }
}

/// What a message needs and a server does not offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lack {
    /// The message, or an address that this recipient's delivery needs, holds characters beyond ASCII, and there is no
    /// SMTPUTF8 (RFC 6531 §3.5).
    SmtpUtf8,
    /// The message holds octets beyond ASCII, and there is no 8BITMIME (RFC 6152 §3).
    EightBitMime,
    /// The message is binary, and there is no BINARYMIME with CHUNKING (RFC 3030 §3).
    BinaryMime,
    /// The message must go over TLS all the way, and there is no TLS, or no REQUIRETLS (RFC 8689 §4.2.1).
    RequireTls,
    /// The message is to wait at the server, and that does not offer to hold it, or not for so long (RFC 4865 §4.1).
    FutureRelease,
    /// The message is to come back if it is late, and the server does not keep such a time, or not so short a one (RFC 2852
    /// §4.1.4.1).
    DeliverBy,
    /// The message is to come back, as its time has passed (RFC 2852 §4.1.3).
    TimePassed,
    /// The message is larger than the server's SIZE (RFC 1870 §5).
    Size {
        /// What the server takes, in octets.
        max: u64,
    },
    /// The envelope has more recipients than the server takes at once (RFC 9422). They can have the message with another
    /// [`Send`](super::Answer::Send).
    Recipients {
        /// How many the server takes.
        max: u64,
    },
    /// The recipients are of more domains than the server takes at once (RFC 9422). They can have the message with another
    /// [`Send`](super::Answer::Send).
    Domains {
        /// How many the server takes.
        max: u64,
    },
}

impl Lack {
    /// The reply that the server would have given; for a notice to the sender. What another server, or the same one later,
    /// could do is 4yz.
    pub fn reply(&self) -> Reply {
        match self {
            // RFC 6531 §3.5
            Lack::SmtpUtf8 => Reply::enhanced(553, 5, 6, 7, "the next server does not offer SMTPUTF8"),
            // RFC 3463 §3.7
            Lack::EightBitMime => Reply::enhanced(554, 5, 6, 3, "the next server does not offer 8BITMIME"),
            Lack::BinaryMime => Reply::enhanced(554, 5, 6, 3, "the next server does not offer BINARYMIME"),
            // RFC 8689 §4.2.1
            Lack::RequireTls => Reply::enhanced(550, 5, 7, 30, "the next server does not offer REQUIRETLS"),
            // RFC 3463 §3.4
            Lack::FutureRelease => Reply::enhanced(554, 5, 3, 3, "the next server does not hold messages for so long"),
            Lack::DeliverBy => Reply::enhanced(554, 5, 3, 3, "the next server does not deliver in so short a time"),
            // RFC 2852 §4.1.3
            Lack::TimePassed => Reply::enhanced(554, 5, 4, 7, "the time for the delivery has passed"),
            // RFC 1870 §6.3, RFC 3463 §3.4
            Lack::Size { max } => {
                Reply::enhanced(552, 5, 3, 4, alloc::format!("the next server takes no more than {max} octets"))
            }
            // RFC 5321 §4.5.3.1.10, RFC 3463 §3.6
            Lack::Recipients { max } => Reply::enhanced(
                452,
                4,
                5,
                3,
                alloc::format!("too many recipients for the next server, which takes {max}"),
            ),
            Lack::Domains { max } => Reply::enhanced(
                452,
                4,
                5,
                3,
                alloc::format!("recipients of too many domains for the next server, which takes {max}"),
            ),
        }
    }
}
