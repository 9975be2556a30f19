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
    /// The mechanisms that AUTH offers; empty: no AUTH. CRAM-MD5 is offered where it stands here: only where a client that cannot
    /// be changed has nothing better.
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
    /// The listener takes messages from users and sends them on (RFC 6409): every domain of an envelope must be fully
    /// qualified (§4.2; `localhost` is), ETRN is never on offer (§7). A login is what
    /// [`auth_required`](ServerConfig::auth_required) asks for; [`ServerConfig::submission`] sets both.
    pub submission: bool,
    /// REQUIRETLS is offered under TLS (RFC 8689). Off by default: offering it is a promise that what stands behind hands such
    /// a message on under verified TLS to others that promise the same, or gives it back.
    pub require_tls: bool,
    /// FUTURERELEASE is offered (RFC 4865), with this as the longest hold in seconds (1 to 999,999,999). Only where
    /// `submission` is, because anybody else could fill our disk with messages that are not to be sent for years (§6), and
    /// where [`Peer::origin`](super::Peer::origin) says what date it is. Off by default: what stands behind must hold the message.
    pub future_release: Option<u32>,
    /// DELIVERBY is offered (RFC 2852), with this as the shortest time in seconds in which a message that is to come back
    /// otherwise can be delivered (0: none is named). Off by default: what stands behind must keep the time.
    pub deliver_by: Option<u32>,
    /// MT-PRIORITY is offered (RFC 6710), with the name of the profile by which priorities are given (1 to 20 letters, digits,
    /// `-`, `_` and `.`; otherwise none is named). Off by default: what stands behind must know priorities, and the answer to
    /// [`Event::Mail`](super::Event::Mail) must refuse or lower those of strangers above 0 (§4.1).
    pub mt_priority: Option<String>,
    /// LIMITS is offered (RFC 9422): EHLO tells `recipients_max` and those of [`Limits::mails_max`] and
    /// [`Limits::recipient_domains_max`] that are set. They hold whether they are told or not.
    pub tell_limits: bool,
    /// EXPN is asked about ([`Event::Expand`](super::Event::Expand)) instead of refused with 502. Off by default: who is on a
    /// list is the list's business (RFC 5321 §7.3).
    pub expn: bool,
    /// ETRN is offered and asked about ([`Event::Etrn`](super::Event::Etrn)) instead of refused with 502 (RFC 1985). Never
    /// over LMTP, which has no queue to run, nor with `submission`.
    pub etrn: bool,
    /// Keywords of the embedder's own that EHLO offers, each with its arguments: a line of printable ASCII. What does not fit
    /// the grammar of RFC 5321 §4.1.1.1 is left out.
    pub ehlo_keywords: Vec<String>,
    /// Parameters of MAIL that the embedder understands beside those of this crate; they come in [`Mail::others`], at most one
    /// of each. Others are refused with 555 (RFC 5321 §4.1.1.11).
    ///
    /// [`Mail::others`]: super::Mail::others
    pub mail_parameters: Vec<String>,
    /// The same for RCPT, in [`Rcpt::others`](super::Rcpt::others).
    pub rcpt_parameters: Vec<String>,
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
            submission: false,
            require_tls: false,
            future_release: None,
            deliver_by: None,
            mt_priority: None,
            tell_limits: false,
            expn: false,
            etrn: false,
            ehlo_keywords: Vec::new(),
            mail_parameters: Vec::new(),
            rcpt_parameters: Vec::new(),
            bare_newlines: BareNewlines::Repair,
            limits: Limits::default(),
        }
    }

    /// A configuration for submission (RFC 6409): a login is required, and domains must be fully qualified. Say which
    /// `mechanisms` there are.
    ///
    /// ```
    /// let config = pillarbox_smtp::server::ServerConfig::submission("mx.example");
    /// assert!(config.submission && config.auth_required);
    /// ```
    pub fn submission(hostname: impl Into<String>) -> Self {
        ServerConfig { submission: true, auth_required: true, ..ServerConfig::new(hostname) }
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
    /// once and the connection closed. Less than one and a half of `message_size_max` and a KiB counts as that. Chunks and
    /// commands that are in flight behind a refusal are part of it, each with 16 KiB at least, and are no errors.
    pub refused_size_max: u64,
    /// Recipients of a message; more get 452 4.5.3 (RFC 5321 §4.5.3.1.10 asks for at least 100).
    pub recipients_max: usize,
    /// MAIL commands of a connection, refused ones among them; the next one gets 421 (RFC 9422, MAILMAX). `None`: as many as
    /// the other limits allow.
    pub mails_max: Option<u32>,
    /// Domains of accepted recipients of a connection; a recipient at another one gets 452 4.5.3 (RFC 9422, RCPTDOMAINMAX).
    /// `None`: they are not counted.
    pub recipient_domains_max: Option<u32>,
    /// Refused commands (5yz) since the last delivery before the reply to each further one is delayed.
    pub errors_soft: u32,
    /// Refused commands since the last delivery with which the connection is closed.
    pub errors_hard: u32,
    /// How long a reply is held back once `errors_soft` is passed.
    pub error_delay: Duration,
    /// NOOP, RSET, VRFY, HELP and the like without mail between them, before they count as errors. So do chunks of BDAT without
    /// octets, and those behind a wait in which less came than `data_rate_min` asks for.
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
    /// How long a peer may take to read what waits for it, all of it, before it is given up.
    pub output_timeout: Duration,
    /// What the three times above are under stress, where they are longer: see
    /// [`ServerSession::under_stress`](super::ServerSession::under_stress).
    pub stress_timeout: Duration,
    /// What `errors_hard` is under stress, where it is more.
    pub stress_errors_hard: u32,
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
            mails_max: None,
            recipient_domains_max: None,
            errors_soft: 10,
            errors_hard: 20,
            error_delay: Duration::from_secs(1),
            junk_commands_max: 100,
            logins_max: 3,
            command_timeout: Duration::from_secs(300),
            data_rate_min: 500,
            data_window: Duration::from_secs(60),
            output_timeout: Duration::from_secs(300),
            stress_timeout: Duration::from_secs(10),
            stress_errors_hard: 1,
        }
    }
}
