//! What a client is told of a message: from whom, to whom, and what the server has to know.

use alloc::vec::Vec;

use pillarbox_core::address::{Address, Domain, ForwardPath, ReversePath};
use pillarbox_core::header;

use super::{EnvelopeId, OriginalRecipient};
use crate::command::{DeliverBy, FutureRelease, MtPriority};
use crate::server::{BodyKind, Notify, Ret};

/// From whom, to whom, and what the server has to know of the message. The message itself is no part of it, nor is the
/// envelope one of the message: who is named in its header (`Bcc` among them) does not count here.
///
/// Every text in it is a parsed one, so nothing can end a command: what holds CR, LF, NUL or a stray `>` becomes neither a
/// path nor another value.
///
/// | field | where the server does not offer it |
/// |---|---|
/// | `body`: 8BITMIME, BINARYMIME | [`Impossible`](super::RecipientOutcome::Impossible): nothing is converted here, as that breaks signatures |
/// | `smtputf8`, or an address beyond ASCII | `Impossible`, unless only domains are beyond ASCII and their A-labels are there |
/// | `size` | not told |
/// | `ret`, `envid`, `notify`, `orcpt` | not told; see [`notice_due`](super::Acceptance::notice_due) |
/// | `submitter` | not told |
/// | `require_tls` | `Impossible` |
/// | `future_release` | `Impossible`: a message that is to wait would not |
/// | `deliver_by` | `Impossible` if the message is to come back when it is late; else not told, see `notice_due` |
/// | `mt_priority` | not told |
///
/// ```
/// use pillarbox_core::address::Address;
/// use pillarbox_smtp::client::Envelope;
///
/// let from = Address::parse("joe@c.example")?;
/// let mut envelope = Envelope::new(from.into_owned().into(), [Address::parse("u@own.example")?.into_owned()]);
/// envelope.size = Some(1234);
/// assert!(Address::parse("u@own.example>\r\nRSET").is_err());
/// # Ok::<(), pillarbox_core::address::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// Where notices about the message go; may be null.
    pub from: ReversePath<'static>,
    /// The domain of `from` in A-labels (RFC 5890 §2.3.2.1), for servers without SMTPUTF8. Looked at if nothing but the
    /// domain is beyond ASCII.
    pub from_ascii_domain: Option<Domain<'static>>,
    /// To whom. A server need not take more than 100 at once (RFC 5321 §4.5.3.1.8).
    pub recipients: Vec<Recipient>,
    /// The size of the message in octets with CRLF line ends and without stuffed dots (RFC 1870 §3), if it is known.
    pub size: Option<u64>,
    /// What kind of octets the message holds. It has to be true: a session does not take octets beyond ASCII for a message
    /// that is said to have none.
    pub body: BodyKind,
    /// The header of the message, or that of a part of it, holds UTF-8 (RFC 6532).
    pub smtputf8: bool,
    /// How much of the message a notice of failure should hold (RFC 3461 §4.3).
    pub ret: Option<Ret>,
    /// The sender's name for the message (RFC 3461 §4.4).
    pub envid: Option<EnvelopeId>,
    /// Who gave the message to the first server, told to servers that ask for logins (RFC 4954 §5).
    pub submitter: Option<Submitter>,
    /// The message must go over TLS all the way (RFC 8689). It is sent only under TLS, to a server that promises the same;
    /// that the certificate fits the name of the server is for whoever starts TLS to see to (RFC 8689 §4.2.1).
    pub require_tls: bool,
    /// When the server is to release the message, if it is to wait there (RFC 4865). Not for notices (§5.1.1).
    pub future_release: Option<FutureRelease>,
    /// How soon the message has to be delivered, counted from now: what is left of the time that its sender gave (RFC 2852
    /// §4.1.4).
    pub deliver_by: Option<DeliverBy>,
    /// Which message goes first (RFC 6710).
    pub mt_priority: Option<MtPriority>,
}

impl Envelope {
    /// An envelope for a message of 7 bits and unknown size.
    pub fn new<R: Into<Recipient>>(from: ReversePath<'static>, recipients: impl IntoIterator<Item = R>) -> Self {
        Envelope {
            from,
            from_ascii_domain: None,
            recipients: recipients.into_iter().map(Into::into).collect(),
            size: None,
            body: BodyKind::SevenBit,
            smtputf8: false,
            ret: None,
            envid: None,
            submitter: None,
            require_tls: false,
            future_release: None,
            deliver_by: None,
            mt_priority: None,
        }
    }

    /// An envelope that says of a message in memory what is true of it: its size on the wire, whether it holds octets
    /// beyond ASCII, and whether its header does. (The headers of parts are not looked for.)
    ///
    /// ```
    /// use pillarbox_core::address::ReversePath;
    /// use pillarbox_smtp::client::{BodyKind, Envelope, Recipient};
    ///
    /// let nobody: [Recipient; 0] = [];
    /// let envelope = Envelope::of_message(ReversePath::Null, nobody, "Subject: hi\n\nzoë".as_bytes());
    /// assert_eq!((envelope.size, envelope.body, envelope.smtputf8), (Some(21), BodyKind::EightBitMime, false));
    /// ```
    pub fn of_message<R: Into<Recipient>>(
        from: ReversePath<'static>,
        recipients: impl IntoIterator<Item = R>,
        message: &[u8],
    ) -> Self {
        let mut envelope = Envelope::new(from, recipients);
        // Every line has two octets at its end on the wire, and the last one has an end.
        let mut size = message.len();
        let mut last = b'\n';
        for octet in message {
            size = size.saturating_add(usize::from(*octet == b'\n' && last != b'\r'));
            last = *octet;
        }
        if last != b'\n' {
            size = size.saturating_add(2);
        }
        envelope.size = u64::try_from(size).ok();
        if !message.is_ascii() {
            envelope.body = BodyKind::EightBitMime;
            envelope.smtputf8 = !header::split(message).0.is_ascii();
        }
        envelope
    }
}

/// One recipient of an [`Envelope`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipient {
    /// Where to.
    pub to: ForwardPath<'static>,
    /// The domain of `to` in A-labels, as with [`from_ascii_domain`](Envelope::from_ascii_domain).
    pub ascii_domain: Option<Domain<'static>>,
    /// When the sender wants to be told (RFC 3461 §4.1); `None` leaves it to the server.
    pub notify: Option<Notify>,
    /// The recipient as the sender named it (RFC 3461 §4.2).
    pub orcpt: Option<OriginalRecipient>,
}

impl<P: Into<ForwardPath<'static>>> From<P> for Recipient {
    fn from(to: P) -> Self {
        Recipient { to: to.into(), ascii_domain: None, notify: None, orcpt: None }
    }
}

/// Who gave a message to the first server: the AUTH parameter of MAIL (RFC 4954 §5).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Submitter {
    /// That is not known, or not to be trusted: `<>`.
    Unknown,
    /// Whoever logged in with this address. One beyond ASCII has no form in the parameter, and goes as unknown.
    Mailbox(Address<'static>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use pillarbox_core::dot::DotEncoder;

    #[test]
    fn what_is_true_of_a_message() {
        for (message, body, smtputf8) in [
            (&b""[..], BodyKind::SevenBit, false),
            (b"A: 1\r\n\r\nx\r\n", BodyKind::SevenBit, false),
            (b"A: 1\n\nx\ny", BodyKind::SevenBit, false),
            (b"\n\n\r\r\n\r", BodyKind::SevenBit, false),
            ("A: ë\n\nx\n".as_bytes(), BodyKind::EightBitMime, true),
            ("A: ë".as_bytes(), BodyKind::EightBitMime, true),
            ("A: e\n\në\n".as_bytes(), BodyKind::EightBitMime, false),
            ("\nA: ë\n".as_bytes(), BodyKind::EightBitMime, false),
        ] {
            let envelope = Envelope::of_message(ReversePath::Null, [] as [Recipient; 0], message);
            assert_eq!((envelope.body, envelope.smtputf8), (body, smtputf8), "{}", message.escape_ascii());
            // No line begins with a dot here, so the wire holds the message and the end mark.
            let (mut encoder, mut wire) = (DotEncoder::new(), Vec::new());
            encoder.encode(message, &mut wire, usize::MAX);
            encoder.finish(&mut wire);
            assert_eq!(envelope.size, Some(wire.len() as u64 - 3), "{}", message.escape_ascii());
        }
    }
}
