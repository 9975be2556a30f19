//! What a server session is told at its start: names, extensions, limits.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use pillarbox_core::dot::BareNewlines;
use pillarbox_core::header::HeaderLimits;
use pillarbox_core::sasl::Mechanism;

/// How a server session behaves. Shared by all sessions of a listener.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// Our name in the greeting and in replies.
    pub hostname: String,
    /// SMTP on a public port, submission, or LMTP.
    pub protocol: Protocol,
    /// STARTTLS is offered (the embedder can start TLS).
    pub starttls: bool,
    /// The mechanisms that AUTH offers; empty: no AUTH.
    pub mechanisms: Vec<Mechanism>,
    /// AUTH is offered without TLS too. Passwords then cross the wire in the clear: for loopback and tests.
    pub auth_without_tls: bool,
    /// MAIL is refused with 530 before a login (submission, RFC 6409 §4.3).
    pub auth_required: bool,
    /// CHUNKING is offered (RFC 3030): messages may come by BDAT. On by default, because it asks nothing of the parts behind a
    /// session: a message is the same pieces, however it came.
    pub chunking: bool,
    /// BINARYMIME is offered (RFC 3030 §3), if `chunking` is: bodies of any octets. Off by default: storage must keep every
    /// octet, and what relays must send such a message by BDAT or give it back.
    pub binary_mime: bool,
    /// SMTPUTF8 is offered (RFC 6531): addresses and headers beyond ASCII. Off by default: storage, lookups and what relays
    /// must be able to work with them.
    pub smtputf8: bool,
    /// DSN is offered (RFC 3461). Off by default: offering it is a promise that what stands behind sends the notices that are
    /// asked for, and none that are not.
    pub dsn: bool,
    /// What becomes of bare CR and LF in a body, BINARYMIME excepted.
    pub bare_newlines: BareNewlines,
    /// The limits.
    pub limits: Limits,
}

/// Which protocol a session speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 5321.
    Smtp,
    /// RFC 2033: LHLO, one reply per recipient.
    Lmtp,
}

impl ServerConfig {
    /// A configuration for SMTP without STARTTLS and AUTH; change what you need.
    pub fn new(hostname: impl Into<String>) -> Self {
        ServerConfig {
            hostname: hostname.into(),
            protocol: Protocol::Smtp,
            starttls: false,
            mechanisms: Vec::new(),
            auth_without_tls: false,
            auth_required: false,
            chunking: true,
            binary_mime: false,
            smtputf8: false,
            dsn: false,
            bare_newlines: BareNewlines::Repair,
            limits: Limits::default(),
        }
    }
}

/// What a session takes from its peer before it says no. Every number has a reason; 0 never means "unlimited".
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Octets of a command line with its CRLF. RFC 5321 §4.5.3.1.4 asks for 512 (less counts as that), extensions add to it.
    pub command_line_max: usize,
    /// Octets of a SASL response line with its CRLF (RFC 4954 §4 asks for 12288; less than 512 counts as 512).
    pub sasl_line_max: usize,
    /// Octets of a message, announced by SIZE (RFC 1870).
    pub message_size_max: u64,
    /// What the header of a message may come to. Beyond it the message is refused: 552 5.3.4 for octets, 554 5.6.0 for fields,
    /// and 554 5.4.6 for hops, so that mail which goes in a circle comes to an end (RFC 5321 §6.3).
    pub header: HeaderLimits,
    /// Octets on the wire up to which a message that was refused is eaten, so that the client hears the reply at its end and
    /// not a broken connection, which it would take for trouble of the net and try again. Behind them the reply is sent at
    /// once and the connection closed. Less than one and a half of `message_size_max` and a KiB counts as that.
    pub refused_size_max: u64,
    /// Recipients of a message; more get 452 4.5.3 (RFC 5321 §4.5.3.1.10 asks for at least 100).
    pub recipients_max: usize,
    /// Refused commands (5yz) since the last delivery before the reply to each further one is delayed.
    pub errors_soft: u32,
    /// Refused commands since the last delivery with which the connection is closed.
    pub errors_hard: u32,
    /// How long a reply is held back once `errors_soft` is passed.
    pub error_delay: Duration,
    /// NOOP, RSET, VRFY, HELP and the like without mail between them, before they count as errors.
    pub junk_commands_max: u32,
    /// Failed logins with which the connection is closed.
    pub logins_max: u32,
    /// How long a whole command may take to arrive (RFC 5321 §4.5.3.2.7 asks for 5 minutes). A deadline, not a gap
    /// between octets, so that a drip does not hold a connection.
    pub command_timeout: Duration,
    /// Octets of a body per second, as the mean over [`data_window`](Limits::data_window), below which the connection is
    /// closed.
    pub data_rate_min: u64,
    /// The window over which the rate of a body is measured.
    pub data_window: Duration,
    /// How long a peer may take to read our replies before it is given up.
    pub output_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            command_line_max: 2048,
            sasl_line_max: 12_288,
            message_size_max: 52_428_800,
            header: HeaderLimits::default(),
            refused_size_max: 104_857_600,
            recipients_max: 1000,
            errors_soft: 10,
            errors_hard: 20,
            error_delay: Duration::from_secs(1),
            junk_commands_max: 100,
            logins_max: 3,
            command_timeout: Duration::from_secs(300),
            data_rate_min: 500,
            data_window: Duration::from_secs(60),
            output_timeout: Duration::from_secs(300),
        }
    }
}
