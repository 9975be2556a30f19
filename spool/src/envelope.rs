//! What a message was accepted with.

use std::time::Duration;

use pillarbox_core::WallTime;
use pillarbox_core::address::{ForwardPath, ReversePath};

/// What a message was accepted with: everything that SMTP says about it beside its content.
///
/// ```
/// use pillarbox_core::WallTime;
/// use pillarbox_core::address::{Address, ForwardPath, ReversePath};
/// use pillarbox_spool::{Envelope, Recipient};
///
/// let from = ReversePath::Address("joe@example.org".parse()?);
/// let to = Recipient::new(ForwardPath::Address("ann@example.com".parse()?));
/// let envelope = Envelope::new(WallTime::new(1_700_000_000, 0), from, [to]);
/// assert_eq!(envelope.priority, 0);
/// # Ok::<(), pillarbox_core::address::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// When the message was accepted. Its age is counted from here.
    pub received: WallTime,
    /// Where notices go. Nothing is ever sent in answer to a message with the null path (RFC 5321 §4.5.5).
    pub from: ReversePath<'static>,
    /// To whom, in the order of RCPT. Recipients are named by their place in here.
    pub recipients: Vec<Recipient>,
    /// The sender's name for the message, decoded (RFC 3461 §4.4).
    pub envid: Option<String>,
    /// How much of the message a notice of failure should hold (RFC 3461 §4.3).
    pub ret: Option<Ret>,
    /// What kind of octets the message holds.
    pub body: BodyKind,
    /// The message or its envelope needs SMTPUTF8 (RFC 6531 §3.4).
    pub smtputf8: bool,
    /// The message must go over TLS all the way (RFC 8689).
    pub require_tls: bool,
    /// The message is not tried before this moment (RFC 4865).
    pub hold_until: Option<WallTime>,
    /// By when the message has to be delivered (RFC 2852).
    pub deliver_by: Option<DeliverBy>,
    /// Which message goes first: -9 to 9, more is sooner, 0 is usual (RFC 6710 §1).
    pub priority: i8,
    /// Who brought the message may send for the domains of this host: it logged in, or is a host of ours.
    pub is_own: bool,
    /// It is a notice about a notice: nobody is told what becomes of it, wherever it is sent on to.
    pub is_last: bool,
    /// It stays in the mailboxes of its recipients: their aliases were followed, and have sent copies to others.
    pub is_kept: bool,
}

/// One recipient of an [`Envelope`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipient {
    /// Where to.
    pub to: ForwardPath<'static>,
    /// When the sender wants to be told (RFC 3461 §4.1); `None` leaves it to the server.
    pub notify: Option<Notify>,
    /// The recipient as the sender named it (RFC 3461 §4.2).
    pub orcpt: Option<OriginalRecipient>,
}

/// The recipient that the sender named, whatever became of the address on its way (RFC 3461 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalRecipient {
    /// The type of the address, usually `rfc822` or `utf-8`.
    pub addr_type: String,
    /// The address, decoded.
    pub address: String,
}

/// How much of a message a notice of its failure should hold (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// All of it.
    Full,
    /// Its header.
    Hdrs,
}

/// What kind of octets a message holds (RFC 6152 §2, RFC 3030 §3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyKind {
    /// ASCII in lines.
    #[default]
    SevenBit,
    /// Any octets, in lines (8BITMIME).
    EightBitMime,
    /// Any octets (BINARYMIME).
    BinaryMime,
}

/// When a sender wants a notice about a recipient (RFC 3461 §4.1). None of the three is `NOTIFY=NEVER`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// When it was delivered.
    pub success: bool,
    /// When it could not be.
    pub failure: bool,
    /// When it is late.
    pub delay: bool,
}

/// By when a message has to be delivered (RFC 2852 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliverBy {
    /// The moment.
    pub deadline: WallTime,
    /// What becomes of it then.
    pub mode: ByMode,
    /// Every relay is to send a notice that it handed the message on.
    pub trace: bool,
}

/// What becomes of a message that was not delivered in time (RFC 2852 §4.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByMode {
    /// It is tried further, and the sender told of the delay.
    Notify,
    /// It goes back to the sender.
    Return,
}

impl Envelope {
    /// An envelope for a message of seven bits with nothing asked for.
    pub fn new(
        received: WallTime,
        from: ReversePath<'static>,
        recipients: impl IntoIterator<Item = Recipient>,
    ) -> Self {
        Envelope {
            received,
            from,
            recipients: recipients.into_iter().collect(),
            envid: None,
            ret: None,
            body: BodyKind::SevenBit,
            smtputf8: false,
            require_tls: false,
            hold_until: None,
            deliver_by: None,
            priority: 0,
            is_own: false,
            is_last: false,
            is_kept: false,
        }
    }

    /// How long the message has been here; zero if the clock was set back.
    pub fn age(&self, now: WallTime) -> Duration {
        let seconds = now.unix_seconds().saturating_sub(self.received.unix_seconds());
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    }
}

impl Recipient {
    /// A recipient about whom nothing was asked for.
    pub const fn new(to: ForwardPath<'static>) -> Self {
        Recipient { to, notify: None, orcpt: None }
    }
}

impl Notify {
    /// `NOTIFY=NEVER`: no notice of any kind.
    pub const fn is_never(self) -> bool {
        !self.success && !self.failure && !self.delay
    }
}
