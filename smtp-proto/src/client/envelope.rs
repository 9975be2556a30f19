//! What a client is told of a message: from whom, to whom, and what the server has to know.

use alloc::vec::Vec;

use pillarbox_core::address::{ForwardPath, ReversePath};

use crate::server::BodyKind;

/// From whom, to whom, and what the server has to know of the message.
///
/// Paths are parsed ones, so nothing in them can end a command: text with CR, LF, NUL or a stray `>` does not become a path.
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
    /// To whom. A server need not take more than 100 at once (RFC 5321 §4.5.3.1.8).
    pub recipients: Vec<Recipient>,
    /// The size of the message in octets with CRLF line ends and without stuffed dots (RFC 1870 §3), if it is known.
    pub size: Option<u64>,
    /// Whether the message holds octets beyond ASCII.
    pub body: BodyKind,
}

impl Envelope {
    /// An envelope for a message of 7 bits and unknown size.
    pub fn new<R: Into<Recipient>>(from: ReversePath<'static>, recipients: impl IntoIterator<Item = R>) -> Self {
        Envelope {
            from,
            recipients: recipients.into_iter().map(Into::into).collect(),
            size: None,
            body: BodyKind::SevenBit,
        }
    }
}

/// One recipient of an [`Envelope`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipient {
    /// Where to.
    pub to: ForwardPath<'static>,
}

impl<P: Into<ForwardPath<'static>>> From<P> for Recipient {
    fn from(to: P) -> Self {
        Recipient { to: to.into() }
    }
}
