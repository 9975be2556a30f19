//! The client's side of SMTP and LMTP: a [`ClientSession`] is told what to send, and says what became of it for each recipient.
//!
//! | RFC | what the client does |
//! |---|---|
//! | 5321 | greeting, EHLO with HELO behind it, several messages, RSET, timeouts of §4.5.3.2; nothing but clean CRLF leaves by DATA |
//! | 2033 | LMTP: LHLO, one final reply per recipient behind DATA and the last BDAT |
//! | 2920 | MAIL, all RCPT, and DATA or the first BDAT in one flight |
//! | 3030 | BDAT: for binary messages always, for others by choice; never to a server that does not offer it |
//! | 3207 | STARTTLS, not at all, if offered, or required; bytes behind the 220 end the session |
//! | 4954 | AUTH: SCRAM with and without -PLUS, OAUTHBEARER, XOAUTH2, EXTERNAL, PLAIN, LOGIN, CRAM-MD5 if named; AUTH= of MAIL |
//! | 1870, 6152, 6531 | SIZE, 8BITMIME, SMTPUTF8: nothing leaves that the server cannot take |
//! | 3461, 6533 | RET, ENVID, NOTIFY, ORCPT; where they are not offered, which notices are ours |
//! | 8689, 4865, 2852, 6710 | REQUIRETLS, HOLDFOR and HOLDUNTIL, BY, MT-PRIORITY |
//! | 9422 | RCPTMAX, MAILMAX and RCPTDOMAINMAX are obeyed |
//!
//! What it does not do: choose a server, convert a message, try again. Those are its caller's.

mod capabilities;
mod chunks;
mod config;
mod dsn;
mod envelope;
mod event;
mod login;
mod outcome;
mod session;
mod state;
mod terms;
mod transaction;

pub use capabilities::Capabilities;
pub use config::{ClientConfig, ClientLimits, ClientTimeouts};
pub use dsn::{DsnError, EnvelopeId, OriginalRecipient};
pub use envelope::{Envelope, Recipient, Submitter};
pub use event::{Answer, CloseReason, Event, Failure, FailureCause, Phase};
pub use outcome::{Acceptance, Lack, RecipientOutcome};
pub use session::ClientSession;

pub use pillarbox_core::StartTls;
pub use pillarbox_core::sasl::{ClientPolicy, Credentials, Login};

pub use crate::command::{ByMode, DeliverBy, FutureRelease, MtPriority};
pub use crate::server::{BodyKind, Notify, Orcpt, Protocol, Ret};
