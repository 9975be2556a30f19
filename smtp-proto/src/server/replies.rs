//! What the session says in its own words.

use alloc::format;
use alloc::string::String;

use pillarbox_core::header::HeaderLimit;
use pillarbox_core::{EnhancedCode, Reply};

use super::{Protocol, ServerConfig};
use crate::command::CommandError;

pub(super) fn greeting(config: &ServerConfig) -> Reply {
    let protocol = match config.protocol {
        Protocol::Smtp => "ESMTP",
        Protocol::Lmtp => "LMTP",
    };
    Reply::new(220, format!("{} {protocol}", config.hostname))
}

pub(super) fn helo(config: &ServerConfig) -> Reply {
    Reply::new(250, config.hostname.clone())
}

/// A reply that names the host, as RFC 5321 §4.2.2 shows 221 and 421.
fn of_host(config: &ServerConfig, code: u16, subject: u16, detail: u16, text: &str) -> Reply {
    let class = if code < 300 { 2 } else { 4 };
    let mut line = String::with_capacity(config.hostname.len() + 1 + text.len());
    line.push_str(&config.hostname);
    line.push(' ');
    line.push_str(text);
    Reply::enhanced(code, class, subject, detail, line)
}

pub(super) fn bye(config: &ServerConfig) -> Reply {
    of_host(config, 221, 0, 0, "closing the connection")
}

pub(super) fn timeout(config: &ServerConfig) -> Reply {
    of_host(config, 421, 4, 2, "waited too long, closing the connection")
}

pub(super) fn shutting_down(config: &ServerConfig) -> Reply {
    of_host(config, 421, 3, 2, "the service stops, try again later")
}

pub(super) fn too_many_errors(config: &ServerConfig) -> Reply {
    of_host(config, 421, 7, 0, "too many errors, closing the connection")
}

pub(super) fn too_many_logins(config: &ServerConfig) -> Reply {
    of_host(config, 421, 7, 0, "too many failed logins, closing the connection")
}

pub(super) fn foreign() -> Reply {
    // Nothing of the line is repeated: a browser might run it as a script.
    Reply::enhanced(500, 5, 5, 1, "This is a mail server")
}

pub(super) fn out_of_turn() -> Reply {
    Reply::enhanced(554, 5, 5, 0, "You sent more before you read the reply that you had to wait for")
}

pub(super) fn line_too_long() -> Reply {
    Reply::enhanced(500, 5, 5, 2, "The line is too long")
}

pub(super) fn sequence(text: &'static str) -> Reply {
    Reply::enhanced(503, 5, 5, 1, text)
}

pub(super) fn not_offered(text: &'static str) -> Reply {
    Reply::enhanced(502, 5, 5, 1, text)
}

pub(super) fn unknown(text: &'static str) -> Reply {
    Reply::enhanced(500, 5, 5, 1, text)
}

pub(super) fn unknown_mechanism() -> Reply {
    Reply::enhanced(504, 5, 5, 4, "This mechanism is not offered")
}

pub(super) fn encryption_required() -> Reply {
    // RFC 4954 §6
    Reply::enhanced(538, 5, 7, 11, "Logging in needs TLS: say STARTTLS first")
}

pub(super) fn login_required(starttls: bool) -> Reply {
    // RFC 4954 §6, RFC 3207 §4
    let text = if starttls { "Say STARTTLS and log in first" } else { "Log in first" };
    Reply::enhanced(530, 5, 7, 0, text)
}

/// RFC 8689 §2, RFC 3207 §4
pub(super) fn require_tls_without_tls(starttls: bool) -> Reply {
    match starttls {
        true => Reply::enhanced(530, 5, 7, 0, "REQUIRETLS needs TLS: say STARTTLS first"),
        false => CommandError::UnknownParameter.reply(),
    }
}

/// RFC 2852 §3: "a permanent failure (55z)".
pub(super) fn deliver_by_too_soon(least: u32) -> Reply {
    Reply::enhanced(555, 5, 5, 4, format!("This server needs {least} seconds to deliver a message"))
}

/// RFC 6409 §4.2; the detail is that of a bad system address of RFC 3463 §3.2: 2 of a recipient, 8 of a sender.
pub(super) fn unqualified(detail: u16) -> Reply {
    Reply::enhanced(554, 5, 1, detail, "The domain of the address is not fully qualified")
}

pub(super) fn untrusted() -> Reply {
    Reply::enhanced(550, 5, 7, 0, "This command is for hosts that this server knows")
}

pub(super) fn too_many_mails(config: &ServerConfig) -> Reply {
    // RFC 5321 §4.2.2: the client may come back with the rest at once.
    of_host(config, 421, 7, 0, "enough messages for one connection, send the others with another")
}

pub(super) fn too_many_domains() -> Reply {
    Reply::enhanced(452, 4, 5, 3, "Recipients at other domains must come over another connection")
}

pub(super) fn too_large() -> Reply {
    // RFC 1870 §6.1
    Reply::enhanced(552, 5, 3, 4, "The message is larger than this server takes")
}

pub(super) fn header_limit(limit: HeaderLimit) -> Reply {
    match limit {
        // RFC 5321 §6.3, RFC 3463 §3.5
        HeaderLimit::Hops => {
            Reply::enhanced(554, 5, 4, 6, "The message has passed too many hosts: it goes in a circle")
        }
        HeaderLimit::Fields => Reply::enhanced(554, 5, 6, 0, "The header has too many fields"),
        _ => Reply::enhanced(552, 5, 3, 4, "The header is larger than this server takes"),
    }
}

pub(super) fn too_many_recipients() -> Reply {
    // RFC 5321 §4.5.3.1.10: 452, so that the client sends the rest in another transaction.
    Reply::enhanced(452, 4, 5, 3, "Enough recipients for one message, send the others with another")
}

pub(super) fn bare_newline() -> Reply {
    Reply::enhanced(550, 5, 5, 2, "The message holds a CR or LF that is no part of a CRLF")
}

/// Puts a class code where an embedder's reply has none: with ENHANCEDSTATUSCODES on offer every 2yz, 4yz and 5yz needs one,
/// greetings and replies to EHLO excepted (RFC 2034 §4).
pub(super) fn with_code(reply: Reply) -> Reply {
    // RFC 2034 §4: classes are those of the reply.
    let class = u8::try_from(reply.code() / 100).unwrap_or(5);
    match reply.enhanced_code() {
        Some(EnhancedCode { class: given, .. }) if given == class => reply,
        Some(code) => Reply::enhanced(reply.code(), class, code.subject, code.detail, String::from(reply.text())),
        None => Reply::enhanced(reply.code(), class, 0, 0, String::from(reply.text())),
    }
}
