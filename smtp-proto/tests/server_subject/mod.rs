//! How dialog files drive a server session: their settings, events and answers. Shared by every test that plays them.

use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::dialog::{Config, Seen, Subject, Turn};
use pillarbox_core::dot::BareNewlines;
use pillarbox_core::sasl::Mechanism;
use pillarbox_core::{EnhancedCode, Reply, TlsFacts};
use pillarbox_smtp::command::Verb;
use pillarbox_smtp::server::{
    Answer, BodyKind, CloseReason, Event, HelloVerb, Identity, Limits, Peer, Protocol, ServerConfig, ServerSession, Why,
};

/// Settings: `protocol=lmtp`, `starttls`, `tls` (from the start), `auth=PLAIN,LOGIN`, `auth_without_tls`, `auth_required`,
/// `bare_newlines=reject`, `no_chunking`, `binary_mime`, `smtputf8`, `dsn`, and the limits by their names (times in seconds).
///
/// Questions are answered with `accept [reply]`, `refuse <reply>`, `hangup <reply>` or `login <identity>`; the default is
/// `accept`, and for a login whose password is `secret` its identity. `N: refuse <reply>` gives the message up early.
#[derive(Debug, Default)]
pub(crate) struct ServerSubject {
    login: Option<(String, bool)>,
}

impl Subject for ServerSubject {
    type Machine = ServerSession;

    fn connect(&mut self, _: usize, config: &Config) -> Result<ServerSession, String> {
        let mut peer = Peer::default();
        if config.flag("tls")? {
            peer.tls = Some(TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384"));
        }
        Ok(ServerSession::new(Arc::new(server_config(config)?), peer))
    }

    fn describe(&mut self, _: usize, event: Event<'_>) -> Seen {
        Seen::Question(match event {
            Event::Connect => "Connect".into(),
            Event::Hello(hello) => {
                let verb = match hello.verb {
                    HelloVerb::Ehlo => "EHLO",
                    HelloVerb::Helo => "HELO",
                    HelloVerb::Lhlo => "LHLO",
                };
                format!("Hello {verb} {}", hello.name)
            }
            Event::StartTls => "StartTls".into(),
            Event::ScramKeys { mechanism, user, .. } => format!("ScramKeys {mechanism} {user}"),
            Event::Login { mechanism, credentials } => {
                let name = credentials.authorization_id().unwrap_or(credentials.authentication_id());
                let good = credentials.password().is_some_and(|password| password.same_as(b"secret"));
                self.login = Some((name.into(), good));
                let acting = credentials.authorization_id().map(|name| format!(" as {name}")).unwrap_or_default();
                format!("Login {mechanism} {}{acting}", credentials.authentication_id())
            }
            Event::Mail(mail) => {
                let size = mail.size.map(|size| format!(" size={size}")).unwrap_or_default();
                let body = match mail.body {
                    BodyKind::EightBitMime => " body=8BITMIME",
                    BodyKind::BinaryMime => " body=BINARYMIME",
                    _ => "",
                };
                let auth = mail.auth.map(|auth| format!(" auth=<{auth}>")).unwrap_or_default();
                let utf8 = if mail.smtputf8 { " SMTPUTF8" } else { "" };
                let ret = mail.ret.map(|ret| format!(" ret={ret:?}")).unwrap_or_default();
                let envid = mail.envid.map(|envid| format!(" envid=<{envid}>")).unwrap_or_default();
                format!("Mail {}{size}{body}{auth}{utf8}{ret}{envid}", mail.from)
            }
            Event::Rcpt(rcpt) => {
                let notify = rcpt.notify.map(|notify| {
                    let words = [(notify.success, " success"), (notify.failure, " failure"), (notify.delay, " delay")];
                    let asked: String = words.iter().filter(|(asked, _)| *asked).map(|(_, word)| *word).collect();
                    format!(" notify:{}", if notify.is_never() { " never" } else { &asked })
                });
                let orcpt = rcpt.orcpt.map(|orcpt| format!(" orcpt={}<{}>", orcpt.addr_type, orcpt.address));
                let (notify, orcpt) = (notify.unwrap_or_default(), orcpt.unwrap_or_default());
                format!("Rcpt {} {}{notify}{orcpt}", rcpt.index, rcpt.to)
            }
            Event::Data => "Data".into(),
            Event::Body(octets) => return Seen::Body(octets.to_vec()),
            Event::Outcome { recipient: None } => "Outcome".into(),
            Event::Outcome { recipient: Some(index) } => format!("Outcome {index}"),
            Event::Verify(name) => format!("Verify {name}"),
            Event::Abandoned(why) => {
                return Seen::Note(format!(
                    "Abandoned {}",
                    match why {
                        Why::Reset => "reset",
                        Why::Hello => "hello",
                        Why::Quit => "quit",
                        Why::Refused => "refused",
                        _ => "closed",
                    }
                ));
            }
            Event::Refused { line, reply } => {
                let code = reply.enhanced_code().map(|code| format!(" {code}")).unwrap_or_default();
                return Seen::Note(format!("Refused {}{code} \"{}\"", reply.code(), line.escape_ascii()));
            }
            other => return Seen::Note(format!("{other:?}")),
        })
    }

    fn answer(&mut self, turn: Turn<'_, ServerSession>, text: &str) -> Result<(), String> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let answer = match (word, rest) {
            ("accept", "") => Answer::Accept,
            ("accept", reply) => Answer::AcceptWith(parse_reply(reply)?),
            ("refuse", reply) => Answer::Refuse(parse_reply(reply)?),
            ("hangup", reply) => Answer::Hangup(parse_reply(reply)?),
            ("login", name) => Answer::LoggedIn(Identity(name.into())),
            _ => return Err(format!("{text}: accept, refuse, hangup or login")),
        };
        turn.machine.answer(turn.now, answer).map_err(|misuse| misuse.to_string())
    }

    fn answer_by_default(&mut self, turn: Turn<'_, ServerSession>, _: &str) -> Result<bool, String> {
        match self.login.take() {
            None => self.answer(turn, "accept")?,
            Some((name, true)) => self.answer(turn, &format!("login {name}"))?,
            Some((_, false)) => self.answer(turn, "refuse 535 5.7.8 wrong name or password")?,
        }
        Ok(true)
    }

    fn news(&mut self, turn: Turn<'_, ServerSession>, text: &str) -> Result<(), String> {
        self.answer(turn, text)
    }

    fn is_sync_point(&mut self, _: usize, sent: &[u8], expected: &str) -> bool {
        // A SASL response looks like nothing else; what is expected behind it tells.
        let of_login = ["334", "235", "535", "501"].iter().any(|code| expected.starts_with(code));
        of_login || Verb::of(sent.trim_ascii_end()).is_some_and(Verb::waits)
    }

    fn close_reason(&self, machine: &ServerSession) -> String {
        match machine.close_reason() {
            None => "open",
            Some(CloseReason::Quit) => "quit",
            Some(CloseReason::EndOfInput) => "eof",
            Some(CloseReason::Refused) => "refused",
            Some(CloseReason::Timeout) => "timeout",
            Some(CloseReason::TooManyErrors) => "too many errors",
            Some(CloseReason::Overrun) => "overrun",
            Some(CloseReason::Synchronisation) => "synchronisation",
            Some(CloseReason::Tls) => "tls",
            Some(CloseReason::ShutDown) => "shut down",
            Some(_) => "another reason",
        }
        .into()
    }
}

/// The configuration that the `cfg:` lines of a file describe.
pub(crate) fn server_config(config: &Config) -> Result<ServerConfig, String> {
    let mut server = ServerConfig::new("mx.example");
    server.protocol = match config.value("protocol") {
        None | Some("smtp") => Protocol::Smtp,
        Some("lmtp") => Protocol::Lmtp,
        Some(other) => return Err(format!("protocol={other} is neither smtp nor lmtp")),
    };
    server.starttls = config.flag("starttls")?;
    for name in config.value("auth").unwrap_or_default().split(',').filter(|name| !name.is_empty()) {
        server.mechanisms.push(Mechanism::parse(name).ok_or(format!("{name} is no mechanism"))?);
    }
    server.auth_without_tls = config.flag("auth_without_tls")?;
    server.auth_required = config.flag("auth_required")?;
    server.bare_newlines = match config.value("bare_newlines") {
        None | Some("repair") => BareNewlines::Repair,
        Some("reject") => BareNewlines::Reject,
        Some(other) => return Err(format!("bare_newlines={other} is neither repair nor reject")),
    };
    server.chunking = !config.flag("no_chunking")?;
    server.binary_mime = config.flag("binary_mime")?;
    server.smtputf8 = config.flag("smtputf8")?;
    server.dsn = config.flag("dsn")?;
    let limits: &mut Limits = &mut server.limits;
    limits.command_line_max = config.parsed("command_line_max", limits.command_line_max)?;
    limits.sasl_line_max = config.parsed("sasl_line_max", limits.sasl_line_max)?;
    limits.message_size_max = config.parsed("message_size_max", limits.message_size_max)?;
    limits.header.field_size_max = config.parsed("field_size_max", limits.header.field_size_max)?;
    limits.header.size_max = config.parsed("header_size_max", limits.header.size_max)?;
    limits.header.fields_max = config.parsed("fields_max", limits.header.fields_max)?;
    limits.header.received_max = config.parsed("received_max", limits.header.received_max)?;
    limits.refused_size_max = config.parsed("refused_size_max", limits.refused_size_max)?;
    limits.recipients_max = config.parsed("recipients_max", limits.recipients_max)?;
    limits.errors_soft = config.parsed("errors_soft", limits.errors_soft)?;
    limits.errors_hard = config.parsed("errors_hard", limits.errors_hard)?;
    limits.junk_commands_max = config.parsed("junk_commands_max", limits.junk_commands_max)?;
    limits.logins_max = config.parsed("logins_max", limits.logins_max)?;
    limits.data_rate_min = config.parsed("data_rate_min", limits.data_rate_min)?;
    let seconds = |key, default: Duration| config.parsed(key, default.as_secs()).map(Duration::from_secs);
    limits.error_delay = seconds("error_delay", limits.error_delay)?;
    limits.command_timeout = seconds("command_timeout", limits.command_timeout)?;
    limits.data_window = seconds("data_window", limits.data_window)?;
    limits.output_timeout = seconds("output_timeout", limits.output_timeout)?;
    Ok(server)
}

/// A reply as a dialog file writes it: `550 5.1.1 no such user`.
pub(crate) fn parse_reply(text: &str) -> Result<Reply, String> {
    let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
    let code = code.parse().ok().filter(|code| (200..600).contains(code)).ok_or(format!("{text} is no reply"))?;
    Ok(match EnhancedCode::take(rest) {
        Some((enhanced, rest)) => {
            Reply::enhanced(code, enhanced.class, enhanced.subject, enhanced.detail, rest.to_owned())
        }
        None => Reply::new(code, rest.to_owned()),
    })
}
