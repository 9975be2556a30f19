//! DMARC (RFC 9989, and the ways of RFC 7489 that differ): does the domain that a message shows as its author's stand behind
//! it, and what does that domain want done if not?
//!
//! RFC 9989 was read in its last draft, draft-ietf-dmarc-dmarcbis-41; section numbers are those of the draft.
//!
//! ```text
//!   header --> Authors ------------------------> Check <---- Evidence <-- SPF, DKIM
//!                        _dmarc.* questions  <--   |
//!                        answers, in any order --> |
//!                                                  v
//!                                               Outcome: result, policy, disposition, who aligned, the steps
//! ```
//!
//! [`Check`] finds the record that rules by walking up the DNS (or by a [`PublicSuffixList`]), compares the domains that SPF
//! and DKIM verified with the author's, and comes to an [`Outcome`]. Local rules and trusted forwarders have their say
//! afterwards, by [`Outcome::override_disposition`].
//!
//! Whatever keeps a result from being known is never a pass: a header without a single author is refused, a look-up that
//! fails is a temporary error, a signature that says little does not count. [`Config`] says which of that can be had
//! otherwise.

mod alignment;
mod check;
mod config;
mod discovery;
mod lookups;
mod outcome;
mod public_suffix;
mod record;
mod trace;
mod uri;

pub use check::Check;
pub use config::{
    Config, Discovery, DkimInput, Evidence, Limits, SeveralAuthors, SpfIdentity, SpfInput, Verification, Weakness,
};
pub use outcome::{Cause, Disposition, DmarcResult, Method, Outcome, Override, OverrideReason, Place, PolicyRecord};
pub use public_suffix::{PublicSuffixError, PublicSuffixList, Sections};
pub use record::{AlignmentMode, FailureOptions, FailureTrigger, Policy, PublicSuffixDomain, Record, RecordError};
pub use trace::{Finding, Identifier, Source, Step, Verdict};
pub use uri::{ReportMailbox, ReportUri};
