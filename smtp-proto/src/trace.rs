//! The fields that a server puts in front of a message, and the one of others that it takes out (RFC 5321 §4.4).

use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::{self, Write as _};
use core::net::IpAddr;

use pillarbox_core::address::{Domain, ForwardPath, ReversePath};
use pillarbox_core::{TlsFacts, WallTime};

use crate::command::MtPriority;

/// A Received field. It prints as the whole field with its CRLF, folded before 78 octets.
///
/// What the client claims (its EHLO name) stands right behind `from` and nowhere else; everything behind it is what this
/// server knows by itself. A text that would not fit the grammar is left out or replaced, never written, so nothing that a
/// peer sends can end a clause, a comment or the field.
///
/// ```
/// use pillarbox_core::WallTime;
/// use pillarbox_smtp::trace::Received;
///
/// let date = WallTime::new(1_234_567_890, 3600);
/// let mut received = Received::new("mx.example", "ESMTP", date);
/// received.from = "client.example";
/// received.ip = Some([192, 0, 2, 1].into());
/// received.id = "4711";
/// assert_eq!(
///     received.to_string(),
///     "Received: from client.example ([192.0.2.1]) by mx.example with ESMTP id 4711;\r\n \
///      Sat, 14 Feb 2009 00:31:30 +0100\r\n"
/// );
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Received<'a> {
    /// What the client called itself in EHLO, HELO or LHLO.
    pub from: &'a str,
    /// The name of its address, if it was looked up and leads back to the address.
    pub reverse_name: Option<&'a str>,
    /// Its address; `None` on a unix socket.
    pub ip: Option<IpAddr>,
    /// Our name.
    pub by: &'a str,
    /// The protocol by RFC 3848; see [`protocol_word`](crate::server::ServerSession::protocol_word).
    pub with: &'a str,
    /// What TLS agreed on.
    pub tls: Option<&'a TlsFacts>,
    /// Our name of the transaction: an atom. Empty: none.
    pub id: &'a str,
    /// The recipients. They are named only if there is one: a message to several must not tell them of each other
    /// (RFC 5321 §7.2).
    pub recipients: &'a [ForwardPath<'a>],
    /// The priority that MAIL asked for (RFC 6710 §4.1).
    pub priority: Option<MtPriority>,
    /// When.
    pub date: WallTime,
}

impl<'a> Received<'a> {
    /// A field with what every one has; fill in what is known beside it.
    pub const fn new(by: &'a str, with: &'a str, date: WallTime) -> Self {
        Received {
            from: "",
            reverse_name: None,
            ip: None,
            by,
            with,
            tls: None,
            id: "",
            recipients: &[],
            priority: None,
            date,
        }
    }

    /// What the client claims to be, if that is the name of a host, and what TCP and DNS say.
    fn client(&self) -> (String, Option<String>) {
        let ip = self.ip.map(|ip| Domain::from_ip(ip.to_canonical()).to_string());
        // RFC 5321 §4.4: TCP-info has no form for a name without an address.
        let known = ip.as_ref().map(|ip| match self.reverse_name.filter(|name| is_domain(name)) {
            Some(name) => format!("({name} {ip})"),
            None => format!("({ip})"),
        });
        let claim = match ip {
            _ if is_extended_domain(self.from) => self.from.into(),
            Some(ip) => ip,
            None => "unknown".into(),
        };
        (claim, known)
    }
}

impl fmt::Display for Received<'_> {
    // RFC 5321 §4.4: Stamp = From-domain By-domain Opt-info [CFWS] ";" FWS date-time
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Folded { f, column: 0 };
        line.clause("Received:", "")?;
        let (claim, known) = self.client();
        line.clause("from ", &claim)?;
        if let Some(known) = known {
            line.clause("", &known)?;
        }
        line.clause("by ", if is_extended_domain(self.by) { self.by } else { "unknown" })?;
        // It is always there: a comment directly behind the name would count as its TCP-info.
        line.clause("with ", if is_atom(self.with) { self.with } else { "SMTP" })?;
        if let Some(tls) = self.tls.filter(|tls| is_comment(&tls.version) && is_comment(&tls.cipher)) {
            line.clause("", &format!("({tls})"))?;
        }
        if is_atom(self.id) {
            line.clause("id ", self.id)?;
        }
        // `<Postmaster>` without a domain is no Path of the grammar, and a sloppy domain is none either.
        if let [ForwardPath::Address(only)] = self.recipients
            && is_extended_domain(only.domain().as_str())
            && only.local().as_str().is_ascii()
        {
            line.clause("for ", &format!("<{only}>"))?;
        }
        // RFC 6710 §7, behind the clauses of RFC 5321.
        if let Some(priority) = self.priority {
            line.clause("PRIORITY ", &priority.to_string())?;
        }
        line.f.write_str(";")?;
        line.column += 1;
        line.clause("", &self.date.to_string())?;
        line.f.write_str("\r\n")
    }
}

/// A Return-Path field, which goes in front of all others on final delivery. It prints with its CRLF.
///
/// ```
/// use pillarbox_core::address::ReversePath;
/// use pillarbox_smtp::trace::ReturnPath;
///
/// let (from, _) = ReversePath::take(b"<joe@client.example>", false)?;
/// assert_eq!(ReturnPath(&from).to_string(), "Return-Path: <joe@client.example>\r\n");
/// assert_eq!(ReturnPath(&ReversePath::Null).to_string(), "Return-Path: <>\r\n");
/// # Ok::<(), pillarbox_core::address::AddressError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ReturnPath<'a>(pub &'a ReversePath<'a>);

impl fmt::Display for ReturnPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Return-Path: {}\r\n", self.0)
    }
}

/// A Delivered-To field (RFC 9228), which says to which address a copy was delivered. It prints with its CRLF; controls are
/// left out, so that no name can add a line.
///
/// ```
/// use pillarbox_smtp::trace::DeliveredTo;
///
/// assert_eq!(DeliveredTo("joe@example.org").to_string(), "Delivered-To: joe@example.org\r\n");
/// assert_eq!(DeliveredTo("joe\r\nX: y").to_string(), "Delivered-To: joeX: y\r\n");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DeliveredTo<'a>(pub &'a str);

impl fmt::Display for DeliveredTo<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Delivered-To: ")?;
        self.0.chars().filter(|c| !c.is_control()).try_for_each(|c| f.write_char(c))?;
        f.write_str("\r\n")
    }
}

/// Takes the fields of one name out of a message.
///
/// Those of Return-Path go where a message is delivered, so that the one of this delivery is the only one (RFC 5321 §4.4): a
/// sender could otherwise choose where errors go. Delivered-To fields stay, below the one of this delivery: RFC 9228 §4 keeps
/// them in order, and one with the same address is how a delivery agent that forwards notices a circle. As anybody can write
/// them, nothing but that follows from them.
///
/// Those of Bcc and Resent-Bcc go where a message is submitted (RFC 5322 §3.6.3): who stands there is meant to be known to nobody.
///
/// It works on the pieces of a message as they come and keeps no more of it than a field name.
///
/// ```
/// use pillarbox_smtp::trace::StripField;
///
/// let (mut strip, mut kept) = (StripField::return_path(), Vec::new());
/// for piece in [&b"Return-Pa"[..], b"th: <a@b.example>\r\n folded\r\nSubject: hi\r\n\r\nReturn-Path: text\r\n"] {
///     strip.write(piece, &mut |octets| kept.extend_from_slice(octets));
/// }
/// strip.finish(&mut |octets| kept.extend_from_slice(octets));
/// assert_eq!(kept, b"Subject: hi\r\n\r\nReturn-Path: text\r\n");
/// ```
#[derive(Clone, Debug)]
pub struct StripField {
    /// The name in small letters.
    name: &'static [u8],
    state: Strip,
    /// What may be the beginning of a field that goes.
    held: [u8; HELD_MAX],
    held_len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strip {
    /// At the start of a line of the header; the line before it was kept, or not.
    LineStart { kept: bool },
    /// In what may be a name that goes; it is held.
    Name,
    /// In a line of the header.
    Line { kept: bool },
    /// Behind a CR at the start of a line: an LF ends the header.
    EmptyLine,
    /// Behind the header.
    Body,
}

/// The name, and white space and folds that old programs put before the colon (RFC 5322 §4.5.8). Where more of it stands
/// there, the line goes without a look at the colon: only who wants to hide a field writes so.
const HELD_MAX: usize = 32;

impl StripField {
    /// Return-Path goes. At the start of a message, as the others.
    pub const fn return_path() -> Self {
        StripField::named(b"return-path")
    }

    /// Bcc goes.
    pub const fn bcc() -> Self {
        StripField::named(b"bcc")
    }

    /// Resent-Bcc goes.
    pub const fn resent_bcc() -> Self {
        StripField::named(b"resent-bcc")
    }

    const fn named(name: &'static [u8]) -> Self {
        StripField { name, state: Strip::LineStart { kept: true }, held: [0; HELD_MAX], held_len: 0 }
    }

    /// Whether the header has ended: from here on everything stays.
    pub const fn is_done(&self) -> bool {
        matches!(self.state, Strip::Body)
    }

    /// Takes the next piece of the message and gives what stays of it, in order, to `keep`.
    pub fn write(&mut self, piece: &[u8], keep: &mut dyn FnMut(&[u8])) {
        let mut rest = piece;
        while let Some(&octet) = rest.first() {
            match self.state {
                Strip::Body => return keep(rest),
                Strip::LineStart { kept } if octet == b' ' || octet == b'\t' => self.state = Strip::Line { kept },
                Strip::LineStart { .. } if octet == b'\r' => {
                    keep(b"\r");
                    self.state = Strip::EmptyLine;
                    rest = &rest[1..];
                }
                Strip::LineStart { .. } | Strip::EmptyLine if octet == b'\n' => self.state = Strip::Body,
                Strip::LineStart { .. } => {
                    self.held_len = 0;
                    self.state = Strip::Name;
                }
                Strip::EmptyLine => self.state = Strip::Line { kept: true },
                Strip::Name => rest = self.name(octet, rest, keep),
                Strip::Line { kept } => {
                    let end = rest.iter().position(|octet| *octet == b'\n').map_or(rest.len(), |at| at + 1);
                    let (line, behind) = rest.split_at(end);
                    if kept {
                        keep(line);
                    }
                    if line.ends_with(b"\n") {
                        self.state = Strip::LineStart { kept };
                    }
                    rest = behind;
                }
            }
        }
    }

    /// The message ends: gives what was held back.
    pub fn finish(&mut self, keep: &mut dyn FnMut(&[u8])) {
        if self.state == Strip::Name && self.held_len > 0 {
            keep(&self.held[..self.held_len]);
        }
        *self = StripField::named(self.name);
    }

    /// One octet of what may be a name; gives what is left of the piece.
    fn name<'p>(&mut self, octet: u8, rest: &'p [u8], keep: &mut dyn FnMut(&[u8])) -> &'p [u8] {
        let held = &self.held[..self.held_len];
        let is_whole = held.len() >= self.name.len();
        let at_line_start = held.ends_with(b"\n");
        let goes_on = match octet {
            b':' if is_whole && !at_line_start => {
                self.state = Strip::Line { kept: false };
                return rest;
            }
            b' ' | b'\t' => is_whole,
            // A line without a colon so far; the next may go on with it.
            b'\r' | b'\n' => is_whole && !at_line_start,
            _ => self.name.get(held.len()) == Some(&octet.to_ascii_lowercase()),
        };
        if !goes_on {
            if !held.is_empty() {
                keep(held);
            }
            self.state = if at_line_start { Strip::LineStart { kept: true } } else { Strip::Line { kept: true } };
            return rest;
        }
        if held.len() == HELD_MAX {
            self.state = Strip::Line { kept: false };
            return rest;
        }
        self.held[self.held_len] = octet;
        self.held_len += 1;
        &rest[1..]
    }
}

/// Writes clauses with a space between them, or a line end where the line would get longer than 77 octets.
struct Folded<'f, 'g> {
    f: &'f mut fmt::Formatter<'g>,
    column: usize,
}

impl Folded<'_, '_> {
    fn clause(&mut self, word: &str, value: &str) -> fmt::Result {
        let length = word.len() + value.len();
        // One octet is left for the semicolon.
        if self.column + 1 + length > 76 && self.column > 0 {
            self.f.write_str("\r\n ")?;
            self.column = 1;
        } else if self.column > 0 {
            self.f.write_str(" ")?;
            self.column += 1;
        }
        self.column += length;
        self.f.write_str(word)?;
        self.f.write_str(value)
    }
}

/// `Domain` of RFC 5321 §4.1.2, to the letter.
fn is_domain(text: &str) -> bool {
    text.len() <= 255
        && text.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-')
        })
}

/// `Domain / address-literal`
fn is_extended_domain(text: &str) -> bool {
    is_domain(text) || text.starts_with('[') && Domain::parse(text).is_ok()
}

/// `Atom` of RFC 5322 §3.2.3 without the space around it.
fn is_atom(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet))
}

/// A short word that can stand in a comment and needs no backslash (`ctext` of RFC 5322 §3.2.2).
fn is_comment(text: &str) -> bool {
    text.len() <= 40 && text.bytes().all(|octet| octet.is_ascii_graphic() && !b"()\\".contains(&octet))
}
