//! What became of a message.

use pillarbox_core::Reply;

/// What became of a message for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecipientOutcome {
    /// The server took it over (2yz to the end of data, in LMTP for this recipient). From now on it is the server's.
    Delivered(Reply),
    /// The server will never take it (5yz).
    Refused(Reply),
    /// Try again: the server said so (4yz), or the connection ended before it said anything about this recipient.
    Later(Option<Reply>),
    /// This server cannot take it, and nothing was sent.
    Impossible(Lack),
}

/// What a message needs and a server does not offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lack {
    /// An address holds characters beyond ASCII, and there is no SMTPUTF8 (RFC 6531 §3.2).
    SmtpUtf8,
    /// The message holds octets beyond ASCII, and there is no 8BITMIME (RFC 6152 §3).
    EightBitMime,
    /// The message is larger than the server's SIZE (RFC 1870 §5).
    Size {
        /// What the server takes, in octets.
        max: u64,
    },
    /// The envelope has more recipients than the server takes at once (RFC 9422). They can have the message with another
    /// [`Send`](Answer::Send).
    Recipients {
        /// How many the server takes.
        max: u64,
    },
}

impl Lack {
    /// The reply that the server would have given; for a notice to the sender.
    pub fn reply(&self) -> Reply {
        match self {
            // RFC 6531 §3.5
            Lack::SmtpUtf8 => Reply::enhanced(553, 5, 6, 7, "the next server does not offer SMTPUTF8"),
            // RFC 3463 §3.7
            Lack::EightBitMime => Reply::enhanced(554, 5, 6, 3, "the next server does not offer 8BITMIME"),
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
        }
    }
}
