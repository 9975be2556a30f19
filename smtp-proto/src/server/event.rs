//! What the server session tells and asks, and what it takes for an answer.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use pillarbox_core::address::{ForwardPath, ReversePath};
use pillarbox_core::crypto::HashAlgorithm;
use pillarbox_core::sasl::{CramChallenge, Credentials, Mechanism, ScramAnswer};
use pillarbox_core::{Reply, Text, WallTime};

use crate::command::{ClientAttributes, DeliverBy, FutureRelease, MtPriority, Parameter};

/// What happened. Events marked with a question mark must be answered before anything else is read:
///
/// | event | ? | answers | what the safe default says |
/// |---|---|---|---|
/// | [`Connect`](Event::Connect) | ? | `Accept`, `AcceptWith` (220), `Refuse` (554 waits for QUIT, 4yz closes), `Hangup` | `Accept` greets |
/// | [`Hello`](Event::Hello) | ? | `Accept`, `Refuse`, `Hangup` | `Accept` |
/// | [`StartTls`](Event::StartTls) | ? | `Accept`, `Refuse` (454), `Hangup` | `Accept` |
/// | [`ScramKeys`](Event::ScramKeys) | ? | `ScramKeys`, `Refuse` (454), `Hangup` | `Refuse` |
/// | [`CramChallenge`](Event::CramChallenge) | ? | `CramChallenge`, `Refuse` (454), `Hangup` | `Refuse` |
/// | [`Login`](Event::Login) | ? | `LoggedIn`, `Refuse` (535, 454), `Hangup` | `Refuse` |
/// | [`WrongProof`](Event::WrongProof) | ? | `Refuse` (535), `Hangup` | `Refuse` |
/// | [`Mail`](Event::Mail) | ? | `Accept`, `AcceptWith` (250), `Refuse`, `Hangup` | by policy |
/// | [`Rcpt`](Event::Rcpt) | ? | `Accept`, `AcceptWith` (250, 251), `Refuse`, `Hangup` | by policy |
/// | [`Data`](Event::Data) | ? | `Accept`, `Refuse`, `Hangup` | `Accept` |
/// | [`Body`](Event::Body) | | an early `Refuse` or `Hangup` is allowed while bodies arrive | |
/// | [`Outcome`](Event::Outcome) | ? | `Accept`, `AcceptWith` (250), `Refuse`, `Hangup` | after the message is safe: `Accept` |
/// | [`Verify`](Event::Verify) | ? | `Accept` (252), `AcceptWith` (250, 251, 252), `Refuse`, `Hangup` | `Accept` says 252 |
/// | [`Expand`](Event::Expand) | ? | `AcceptWith` (250, 252), `Refuse`, `Hangup` | `Refuse` (550) |
/// | [`Etrn`](Event::Etrn) | ? | `Accept`, `AcceptWith` (250 to 253), `Refuse` (458, 459), `Hangup` | `Refuse` (459) |
/// | [`XClient`](Event::XClient), [`XForward`](Event::XForward) | | | |
/// | [`Abandoned`](Event::Abandoned), [`Refused`](Event::Refused) | | | |
///
/// A `Refuse` with 421 closes like `Hangup` (RFC 5321 §4.2.2 gives that code no other meaning); of an outcome in LMTP it becomes
/// 451, because the other recipients have to hear of theirs. A reply without an enhanced
/// code gets `x.0.0` where RFC 2034 wants one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'b> {
    /// ? The connection is there: greet or refuse it.
    Connect,
    /// ? EHLO, HELO or LHLO.
    Hello(Hello<'b>),
    /// ? STARTTLS; after `Accept` the next step is [`Upgrade`](pillarbox_core::Step::Upgrade).
    StartTls,
    /// ? A SCRAM exchange needs the keys of an account (RFC 5802). For a name that there is not, answer with those of
    /// [`ScramKeys::decoy`](pillarbox_core::sasl::ScramKeys::decoy): a refusal here would tell strangers which there are.
    ScramKeys {
        /// The mechanism.
        mechanism: Mechanism,
        /// Whose keys.
        user: String,
        /// The hash that they are for.
        hash: HashAlgorithm,
    },
    /// ? A client wants to log in by CRAM-MD5 (RFC 2195), where [`mechanisms`](super::ServerConfig::mechanisms) names it: what
    /// to send it first. What it makes of it comes as [`Login`](Event::Login) with
    /// [`Credentials::Challenged`].
    CramChallenge,
    /// ? A SASL exchange came to its credentials (RFC 4954).
    Login {
        /// The mechanism that carried them.
        mechanism: Mechanism,
        /// Who says to be who.
        credentials: Credentials,
    },
    /// ? A SCRAM exchange has failed: the proof is wrong, or the keys were a decoy's. It is a wrong password like any other:
    /// refuse it in the same words, and as slowly.
    WrongProof {
        /// The mechanism.
        mechanism: Mechanism,
        /// Who the client said to be.
        authentication_id: String,
    },
    /// ? MAIL FROM: a transaction wants to begin.
    Mail(Mail<'b>),
    /// ? RCPT TO: one more recipient.
    Rcpt(Rcpt<'b>),
    /// ? DATA or the first BDAT: the message wants to follow.
    Data,
    /// A piece of the message, dots removed and line ends repaired (with BINARYMIME: every octet as it came); a slice of the
    /// caller's buffer.
    Body(&'b [u8]),
    /// ? The message is complete. SMTP asks once (`None`), LMTP once for each accepted recipient, in order (RFC 2033 §4.2).
    ///
    /// `Accept` is a promise: the message is on stable storage (RFC 5321 §4.5.5).
    Outcome {
        /// The index of the recipient among the accepted ones, counted from 0 (LMTP only).
        recipient: Option<usize>,
    },
    /// ? VRFY with its argument.
    Verify(&'b str),
    /// ? EXPN with its argument, where [`expn`](super::ServerConfig::expn) is on.
    Expand(&'b str),
    /// ? ETRN, where [`etrn`](super::ServerConfig::etrn) is on: whose queue is to be run (RFC 1985 §5). Where a message waits
    /// is not for everybody to know, nor is who may have it sent.
    Etrn(&'b str),
    /// A proxy whom [`Peer::may_xclient`] trusts says who its client is. All that was said before is forgotten, and
    /// [`Connect`](Event::Connect) is asked again, to be answered for this client. A `LOGIN` among the attributes is who is
    /// logged in from here on; EHLO comes again and counts more than `HELO`. It comes once: what follows may be the client's own
    /// octets, so that no more is believed, and STARTTLS is no way back.
    XClient(Box<ClientAttributes>),
    /// A filter whom [`Peer::may_xforward`] trusts says where the next message came from. It changes nothing, and holds until
    /// the end of that transaction, RSET or EHLO.
    XForward(Box<ClientAttributes>),
    /// The transaction is gone: forget it, and with it what XFORWARD told, which RSET takes back before MAIL as well.
    Abandoned(Why),
    /// The session refused this line without asking (for logs; SASL lines are not shown).
    Refused {
        /// The line without its CRLF, cut at 512 octets; empty for a SASL response, for what is said behind AUTH and is no
        /// command, and where the peer spoke out of turn.
        /// The octets are the peer's: escape them before they are shown.
        line: &'b [u8],
        /// What it was told.
        reply: Reply,
    },
}

/// EHLO, HELO or LHLO.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hello<'b> {
    /// Which of the three.
    pub verb: HelloVerb,
    /// What the client calls itself: a domain or an address literal, checked to hold nothing but printable ASCII (or
    /// UTF-8 letters) without parentheses, so that it can stand in a Received field.
    pub name: Text<'b>,
}

impl Hello<'_> {
    /// The same with bytes of its own.
    pub fn into_owned(self) -> Hello<'static> {
        Hello { verb: self.verb, name: self.name.into_owned() }
    }
}

/// Which greeting command was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelloVerb {
    /// RFC 5321 §4.1.1.1, with extensions.
    Ehlo,
    /// RFC 5321 §4.1.1.1, without.
    Helo,
    /// RFC 2033 §4.1.
    Lhlo,
}

/// The kind of body that MAIL announced (RFC 6152, RFC 3030).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyKind {
    /// `BODY=7BIT`, or no BODY parameter.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`.
    EightBitMime,
    /// `BODY=BINARYMIME`: it comes by BDAT and holds any octets (RFC 3030 §3).
    BinaryMime,
}

/// MAIL FROM with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mail<'b> {
    /// Where notices about the message go; may be null.
    pub from: ReversePath<'b>,
    /// The size that the client announced, in octets (RFC 1870).
    pub size: Option<u64>,
    /// The kind of body that the client announced.
    pub body: BodyKind,
    /// The AUTH parameter, decoded (RFC 4954 §5); `<>` is an empty text.
    pub auth: Option<String>,
    /// The SMTPUTF8 parameter: addresses, and the header of the message, may hold UTF-8 (RFC 6531 §3.4).
    pub smtputf8: bool,
    /// How much of the message a notice of failure should hold (RFC 3461 §4.3).
    pub ret: Option<Ret>,
    /// The ENVID parameter, decoded: printable ASCII, at most 100 octets (RFC 3461 §4.4).
    pub envid: Option<Cow<'b, str>>,
    /// The REQUIRETLS parameter: from here on the message may only go where TLS protects it, or back (RFC 8689 §4).
    pub require_tls: bool,
    /// When the message may be released (RFC 4865).
    pub future_release: Option<FutureRelease>,
    /// How soon it has to be delivered (RFC 2852).
    pub deliver_by: Option<DeliverBy>,
    /// Its priority (RFC 6710). Who may raise one above 0 is for the embedder to say (§4.1).
    pub mt_priority: Option<MtPriority>,
    /// Parameters of the embedder's own: those in [`mail_parameters`](super::ServerConfig::mail_parameters), as they came.
    pub others: Vec<Parameter<'b>>,
}

impl<'b> Mail<'b> {
    /// A sender without parameters.
    pub const fn new(from: ReversePath<'b>) -> Self {
        Mail {
            from,
            size: None,
            body: BodyKind::SevenBit,
            auth: None,
            smtputf8: false,
            ret: None,
            envid: None,
            require_tls: false,
            future_release: None,
            deliver_by: None,
            mt_priority: None,
            others: Vec::new(),
        }
    }
}

impl Mail<'_> {
    /// The same with bytes of its own, to be answered later.
    pub fn into_owned(self) -> Mail<'static> {
        Mail {
            from: self.from.into_owned(),
            size: self.size,
            body: self.body,
            auth: self.auth,
            smtputf8: self.smtputf8,
            ret: self.ret,
            envid: self.envid.map(owned),
            require_tls: self.require_tls,
            future_release: self.future_release,
            deliver_by: self.deliver_by,
            mt_priority: self.mt_priority,
            others: self.others.into_iter().map(Parameter::into_owned).collect(),
        }
    }
}

/// RCPT TO.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rcpt<'b> {
    /// To whom; `<Postmaster>` without a domain is allowed (RFC 5321 §4.5.1).
    pub to: ForwardPath<'b>,
    /// The index that this recipient gets if it is accepted, counted from 0.
    pub index: usize,
    /// When the sender wants to be told; `None` leaves it to the server (RFC 3461 §4.1).
    pub notify: Option<Notify>,
    /// The recipient as the sender named it (RFC 3461 §4.2).
    pub orcpt: Option<Orcpt<'b>>,
    /// Parameters of the embedder's own: those in [`rcpt_parameters`](super::ServerConfig::rcpt_parameters), as they came.
    pub others: Vec<Parameter<'b>>,
}

impl<'b> Rcpt<'b> {
    /// A recipient without parameters.
    pub const fn new(to: ForwardPath<'b>, index: usize) -> Self {
        Rcpt { to, index, notify: None, orcpt: None, others: Vec::new() }
    }
}

impl Rcpt<'_> {
    /// The same with bytes of its own, to be answered later.
    pub fn into_owned(self) -> Rcpt<'static> {
        Rcpt {
            to: self.to.into_owned(),
            index: self.index,
            notify: self.notify,
            orcpt: self.orcpt.map(Orcpt::into_owned),
            others: self.others.into_iter().map(Parameter::into_owned).collect(),
        }
    }
}

/// How much of a message a notice of its failure should hold (RFC 3461 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ret {
    /// `RET=FULL`: all of it.
    Full,
    /// `RET=HDRS`: its header.
    Hdrs,
}

/// When a sender wants a notice about a recipient (RFC 3461 §4.1). None of the three is `NOTIFY=NEVER`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notify {
    /// When it was delivered.
    pub success: bool,
    /// When it could not be.
    pub failure: bool,
    /// When it is late.
    pub delay: bool,
}

impl Notify {
    /// `NOTIFY=NEVER`: no notice of any kind.
    pub const fn is_never(self) -> bool {
        !self.success && !self.failure && !self.delay
    }
}

/// The ORCPT parameter: the recipient that the sender named, whatever became of the address on its way (RFC 3461 §4.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Orcpt<'b> {
    /// The type of the address, usually `rfc822` or `utf-8` (RFC 6533 §3).
    pub addr_type: Text<'b>,
    /// The address, decoded: printable, and ASCII unless the type is `utf-8`. It need not fit the type's own grammar.
    pub address: Text<'b>,
}

impl Orcpt<'_> {
    /// The same with bytes of its own.
    pub fn into_owned(self) -> Orcpt<'static> {
        Orcpt { addr_type: self.addr_type.into_owned(), address: self.address.into_owned() }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// Why a transaction was abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// RSET.
    Reset,
    /// A new EHLO, HELO or LHLO.
    Hello,
    /// QUIT.
    Quit,
    /// The embedder refused the message (early, or at [`Event::Data`]), or the session did: for its size, its header, or bare
    /// newlines.
    Refused,
    /// The client went away, was too slow, or the connection was closed for another reason.
    Closed,
}

/// What the embedder says to a question.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Answer<'a> {
    /// Yes, with the session's own words.
    Accept,
    /// Yes, with this reply; its code is one that RFC 5321 §4.3.2 has for it.
    AcceptWith(Reply),
    /// No, with this reply (4yz or 5yz; 421 closes the connection).
    Refuse(Reply),
    /// The credentials are good.
    LoggedIn(Identity<'a>),
    /// The keys that a SCRAM exchange needs.
    ScramKeys(ScramAnswer),
    /// What a client of CRAM-MD5 is to answer.
    CramChallenge(CramChallenge),
    /// No, and close the connection after this reply (usually 421).
    Hangup(Reply),
}

/// Who logged in, in the embedder's own spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity<'a>(pub Cow<'a, str>);

/// What is known about the client when the session begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Its address; `None` on a unix socket.
    pub ip: Option<core::net::IpAddr>,
    /// Facts about TLS where the listener starts with it (implicit TLS).
    pub tls: Option<pillarbox_core::TlsFacts>,
    /// The client talked before the greeting: how many octets were seen.
    pub early_talk: usize,
    /// What date it is at [`Time::ZERO`](pillarbox_core::Time::ZERO) of the caller's clock. `None`: FUTURERELEASE is not
    /// offered, for it speaks of dates.
    pub origin: Option<WallTime>,
    /// It is a proxy of ours: XCLIENT is offered, and what it says is believed, once.
    pub may_xclient: bool,
    /// It is a filter of ours: XFORWARD is offered.
    pub may_xforward: bool,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// QUIT.
    Quit,
    /// The peer closed its side.
    EndOfInput,
    /// The embedder refused the connection or hung up.
    Refused,
    /// A deadline passed.
    Timeout,
    /// Too many errors, logins, messages or useless commands.
    TooManyErrors,
    /// The peer went on with a message that was refused, beyond
    /// [`refused_size_max`](super::Limits::refused_size_max).
    Overrun,
    /// Something else than SMTP was spoken (RFC 5321 clients never say GET), or bytes stood behind a synchronisation point.
    Synchronisation,
    /// The TLS handshake failed.
    Tls,
    /// Our side stopped.
    ShutDown,
}
