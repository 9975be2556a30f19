//! Notices about delivery: who is told what (RFC 3461), and the mail that tells it (RFC 3464, RFC 6522, RFC 6533).
//!
//! Everything here is a pure function of what it is given: the mail is written, not sent.
//!
//! ```
//! use pillarbox::dsn::{Action, Notice, RecipientReport};
//! use pillarbox_core::address::Address;
//! use pillarbox_core::{SeededRandom, WallTime};
//!
//! let (from, to) = (Address::parse("MAILER-DAEMON@mx.example").unwrap(), Address::parse("ann@example.org").unwrap());
//! let joe = Address::parse("joe@example.com").unwrap();
//! let mut report = RecipientReport::new(&joe, Action::Failed, (5, 1, 1));
//! report.remote_mta = Some("mail.example.com");
//! report.diagnostic = Some("550 5.1.1 no such user here");
//!
//! let original = b"From: ann@example.org\r\nSubject: Hello\r\n\r\nAre you there?\r\n";
//! let mut notice = Notice::new("mx.example", &from, &to, WallTime::new(1_633_136_400, 0), "77@mx.example", original);
//! notice.recipients.push(report);
//! let mail = notice.write(&mut SeededRandom::new(1));
//! let text = String::from_utf8(mail.octets).unwrap();
//! assert!(text.contains("\r\nFinal-Recipient: rfc822; joe@example.com\r\nAction: failed\r\nStatus: 5.1.1\r\n"));
//! assert!(!mail.smtputf8);
//! ```
//!
//! # Backscatter
//!
//! A notice goes to the reverse-path of a message, which anybody can write. So a server refuses during the session whatever it
//! can know by then, and sends no notice to a sender whose name was proven false; what is left has these rules:
//!
//! - It goes to the reverse-path and to nobody else, be it From or Reply-To (RFC 5321 §3.6.3), and is sent with the null
//!   reverse-path itself.
//! - What has the null reverse-path gets none (RFC 5321 §4.5.5). A [`Notice`] cannot be made without an address to send it to.
//! - It holds the header of the message, and its body only where the sender asked for it or left the choice to us, and only if it
//!   is small ([`Notice::full_max`]).
//! - What others wrote (the words of servers, addresses, the message) is data in it: no octet of that begins a line of a header,
//!   a field or a part.

mod fields;
mod mail;
mod original;
mod people;

use pillarbox_core::WallTime;
use pillarbox_core::address::Address;
use pillarbox_smtp::client::OriginalRecipient;
use pillarbox_smtp::server::{Notify, Ret};

pub use mail::NoticeMail;

/// What became of a message for a recipient (RFC 3464 §2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// It was not delivered, and never will be.
    Failed,
    /// It was not delivered so far, and is still tried.
    Delayed,
    /// It was delivered.
    Delivered,
    /// It was handed to a server that sends no notices, and more is not known.
    Relayed,
    /// It was sent to several addresses in place of this one.
    Expanded,
}

impl Action {
    /// The word of RFC 3464 §2.3.3.
    pub const fn as_str(self) -> &'static str {
        match self {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Delivered => "delivered",
            Action::Relayed => "relayed",
            Action::Expanded => "expanded",
        }
    }

    /// Whether the sender is told this about a recipient for whom it gave `notify` (RFC 3461 §4.1, §5.2). Without the
    /// parameter it is told of failures and delays, and of nothing that went well.
    ///
    /// ```
    /// use pillarbox::dsn::Action;
    /// use pillarbox_smtp::server::Notify;
    ///
    /// assert!(Action::Failed.is_wanted(None) && !Action::Delivered.is_wanted(None));
    /// assert!(!Action::Failed.is_wanted(Some(Notify::default())), "NOTIFY=NEVER");
    /// ```
    pub const fn is_wanted(self, notify: Option<Notify>) -> bool {
        match (self, notify) {
            (Action::Failed | Action::Delayed, None) => true,
            (_, None) => false,
            (Action::Failed, Some(notify)) => notify.failure,
            (Action::Delayed, Some(notify)) => notify.delay,
            (Action::Delivered | Action::Relayed | Action::Expanded, Some(notify)) => notify.success,
        }
    }
}

/// What a notice says of one recipient.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecipientReport<'a> {
    /// The address in the envelope, as it was when the message came here.
    pub address: &'a Address<'a>,
    /// What the sender gave as ORCPT.
    pub original: Option<&'a OriginalRecipient>,
    /// What became of it.
    pub action: Action,
    /// The enhanced status code (RFC 3463), such as `(5, 1, 1)`.
    pub status: (u8, u16, u16),
    /// The name of the server that said so; none if it was this one.
    pub remote_mta: Option<&'a str>,
    /// The words of that server, its reply with the code, lines parted by LF; or ours, if it never came to that. Any octets of any
    /// length: controls are replaced, and what is too long is cut.
    pub diagnostic: Option<&'a str>,
    /// When it was last tried.
    pub last_attempt: Option<WallTime>,
    /// Until when it will be tried, if it is late.
    pub will_retry_until: Option<WallTime>,
}

impl<'a> RecipientReport<'a> {
    /// A report without details.
    pub const fn new(address: &'a Address<'a>, action: Action, status: (u8, u16, u16)) -> Self {
        RecipientReport {
            address,
            original: None,
            action,
            status,
            remote_mta: None,
            diagnostic: None,
            last_attempt: None,
            will_retry_until: None,
        }
    }
}

/// A mail that tells a sender what became of a message (a delivery status notification).
///
/// Those of one moment for one sender belong into one notice. Which of them the sender wants is for the caller to ask:
/// [`Action::is_wanted`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Notice<'a> {
    /// The name of this server.
    pub reporting_mta: &'a str,
    /// The author of the notice, such as `MAILER-DAEMON@mx.example`. In the envelope it has none.
    pub from: &'a Address<'a>,
    /// The reverse-path of the message.
    pub to: &'a Address<'a>,
    /// The date of the notice.
    pub date: WallTime,
    /// Its Message-ID, without angle brackets.
    pub message_id: &'a str,
    /// What the sender gave as ENVID, decoded.
    pub envelope_id: Option<&'a str>,
    /// When the message came here.
    pub arrival: Option<WallTime>,
    /// What became of it, for one recipient or more.
    pub recipients: Vec<RecipientReport<'a>>,
    /// The message, or its header at least.
    pub original: &'a [u8],
    /// The original holds the whole message, not only its header.
    pub original_is_whole: bool,
    /// How much of it the sender wants to see again, if it said so. Without a word it gets all, within `full_max`.
    pub ret: Option<Ret>,
    /// The most octets of a message that comes back whole: 50,000. Of a larger one the header comes back.
    pub full_max: usize,
}

impl<'a> Notice<'a> {
    /// A notice without recipients yet.
    pub const fn new(
        reporting_mta: &'a str,
        from: &'a Address<'a>,
        to: &'a Address<'a>,
        date: WallTime,
        message_id: &'a str,
        original: &'a [u8],
    ) -> Self {
        Notice {
            reporting_mta,
            from,
            to,
            date,
            message_id,
            envelope_id: None,
            arrival: None,
            recipients: Vec::new(),
            original,
            original_is_whole: true,
            ret: None,
            full_max: 50_000,
        }
    }

    fn any(&self, action: Action) -> bool {
        self.recipients.iter().any(|recipient| recipient.action == action)
    }
}
