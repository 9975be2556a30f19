//! What came of a message.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use pillarbox_core::Reply;
use pillarbox_core::dns::Name;
use pillarbox_core::header::HeaderLimit;

use super::machine::too_long;
use super::{Config, Explanation};
use crate::dmarc::{self, Disposition, OverrideReason};
use crate::from::Authors;
use crate::{arc, dkim, iprev, spf};

/// What all methods found about a message, and what follows.
///
/// [`refusal`](Verdicts::refusal) is the reply to a message that is not to be taken. One that is taken gets
/// [`header_fields`](Verdicts::header_fields) on top, and loses what is [`forged`](Verdicts::forged).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verdicts {
    /// Whether the client's address has a name. `None` if nobody asked.
    pub iprev: Option<iprev::Outcome>,
    /// SPF of the name in HELO. `None` if there was none, or no address.
    pub spf_helo: Option<spf::Outcome>,
    /// SPF of the path of MAIL. `None` if there was none, or no address.
    pub spf_mail_from: Option<spf::Outcome>,
    /// All signatures.
    pub dkim: dkim::Verification,
    /// The chain of forwarders.
    pub arc: arc::Verification,
    /// Who the authors are. `None` if the header was not read: it passes a limit, or did not come to its end.
    pub authors: Option<Authors>,
    /// What DMARC says, after trusted forwarders and [`override_disposition`](Verdicts::override_disposition). `None` as for
    /// the authors.
    pub dmarc: Option<dmarc::Outcome>,
    /// Who is trusted and saw the message pass DMARC, if that is why it is taken.
    pub forwarder: Option<Name>,
    /// The places in the message as it came of fields Authentication-Results that others wrote in our name, each with its
    /// line end, in order.
    pub forged: Vec<Range<usize>>,
    /// The limit that the header passes. Then it was not looked at.
    pub header_limit: Option<HeaderLimit>,
    pub(super) config: Arc<Config>,
}

impl Verdicts {
    /// What to do with the message.
    pub fn disposition(&self) -> Disposition {
        match (&self.dmarc, self.header_limit) {
            (_, Some(_)) => Disposition::Reject,
            (Some(dmarc), None) => dmarc.disposition,
            (None, None) if self.config.dmarc.defers_on_temp_error => Disposition::Defer,
            (None, None) => Disposition::None,
        }
    }

    /// The reply to the message if it is not to be taken: 550 5.7.1 for what the author's domain wants refused and for what
    /// has no single author, 451 4.7.1 for what cannot be told yet, 552 5.3.4 for a header beyond its limits.
    pub fn refusal(&self) -> Option<Reply> {
        match (&self.dmarc, self.header_limit) {
            (_, Some(limit)) => Some(too_long(limit)),
            (Some(dmarc), None) => dmarc.refusal(),
            (None, None) if self.config.dmarc.defers_on_temp_error => {
                Some(Reply::enhanced(451, 4, 7, 1, "the message cannot be checked for now, try again later"))
            }
            (None, None) => None,
        }
    }

    /// Lets a rule of this server decide otherwise than DMARC, and keeps the reason. A header beyond its limits stays refused.
    pub fn override_disposition(&mut self, reason: OverrideReason, disposition: Disposition) {
        if let Some(dmarc) = &mut self.dmarc {
            dmarc.override_disposition(reason, disposition);
        }
    }

    /// The header fields to be put on top of the message, above the Received field of this hop (RFC 8601 §5): one
    /// Authentication-Results, and Received-SPF if the configuration wants it. Each ends with CRLF.
    pub fn header_fields(&self) -> String {
        let mut fields = self.authentication_results().to_field();
        if self.config.received_spf {
            // RFC 7208 §9.1: the result for MAIL is the one that counts; without it, that for HELO.
            fields.extend(self.spf_mail_from.as_ref().or(self.spf_helo.as_ref()).map(spf::Outcome::received_spf));
        }
        fields
    }

    /// Every step of every method, for people: prints as lines, each ended by LF.
    pub const fn explanation(&self) -> Explanation<'_> {
        Explanation(self)
    }
}
