//! How dialog files drive a server session: their settings, events and answers. Shared by every test that plays them.

use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::dialog::{Config, Seen, Subject, Turn};
use pillarbox_core::dot::BareNewlines;
use pillarbox_core::sasl::{CramChallenge, Mechanism};
use pillarbox_core::{EnhancedCode, Reply, SeededRandom, TlsFacts, WallTime};
use pillarbox_smtp::command::{ClientAttributes, Parameter, Told, Verb};
use pillarbox_smtp::server::{
    Answer, BodyKind, CloseReason, Event, HelloVerb, Identity, Limits, Peer, Protocol, ServerConfig, ServerSession, Why,
};

/// Settings: `protocol=lmtp`, `starttls`, `tls` (from the start), `auth=PLAIN,LOGIN`, `auth_without_tls`, `auth_required`,
/// `bare_newlines=reject`, `no_chunking`, `binary_mime`, `smtputf8`, `dsn`, `submission`, `require_tls`, `future_release=3600`,
/// `deliver_by=60`, `mt_priority=profile`, `tell_limits`, `expn`, `etrn`, `ehlo_keywords="X-A 1,X-B"`, `mail_parameters=X-A`,
/// `rcpt_parameters=X-B`, `xclient`, `xforward`, `stress`, and the limits by their names (times in seconds). The clock begins
/// at 2009-02-14T00:31:30Z.
///
/// Questions are answered with `accept [reply]`, `refuse <reply>`, `hangup <reply>`, `login <identity>` or `challenge` (always the
/// same one); the default is `accept`, and for a login whose password is `secret` its identity. `N: refuse <reply>` gives the
/// message up early.
#[derive(Debug, Default)]
pub(crate) struct ServerSubject {
    login: Option<(String, bool)>,
}

impl Subject for ServerSubject {
    type Machine = ServerSession;

    fn connect(&mut self, _: usize, config: &Config) -> Result<ServerSession, String> {
        let mut peer = Peer::default();
        if config.flag("tls")? {
            let mut facts = TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384");
            facts.peer_certificate = config.flag("certificate")?.then(|| b"DER".to_vec());
            peer.tls = Some(facts);
        }
        peer.origin = Some(WallTime::new(1_234_571_490, 0));
        peer.may_xclient = config.flag("xclient")?;
        peer.may_xforward = config.flag("xforward")?;
        let mut session = ServerSession::new(Arc::new(server_config(config)?), peer);
        session.under_stress(config.flag("stress")?);
        Ok(session)
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
            Event::CramChallenge => "CramChallenge".into(),
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
                let tls = if mail.require_tls { " REQUIRETLS" } else { "" };
                let release = mail.future_release.map(|release| format!(" {release}")).unwrap_or_default();
                let by = mail.deliver_by.map(|by| format!(" {by}")).unwrap_or_default();
                let priority = mail.mt_priority.map(|level| format!(" priority={level}")).unwrap_or_default();
                let others = others(&mail.others);
                format!("Mail {}{size}{body}{auth}{utf8}{ret}{envid}{tls}{release}{by}{priority}{others}", mail.from)
            }
            Event::Rcpt(rcpt) => {
                let notify = rcpt.notify.map(|notify| {
                    let words = [(notify.success, " success"), (notify.failure, " failure"), (notify.delay, " delay")];
                    let asked: String = words.iter().filter(|(asked, _)| *asked).map(|(_, word)| *word).collect();
                    format!(" notify:{}", if notify.is_never() { " never" } else { &asked })
                });
                let orcpt = rcpt.orcpt.map(|orcpt| format!(" orcpt={}<{}>", orcpt.addr_type, orcpt.address));
                let (notify, orcpt) = (notify.unwrap_or_default(), orcpt.unwrap_or_default());
                format!("Rcpt {} {}{notify}{orcpt}{}", rcpt.index, rcpt.to, others(&rcpt.others))
            }
            Event::Data => "Data".into(),
            Event::Body(octets) => return Seen::Body(octets.to_vec()),
            Event::Outcome { recipient: None } => "Outcome".into(),
            Event::Outcome { recipient: Some(index) } => format!("Outcome {index}"),
            Event::Verify(name) => format!("Verify {name}"),
            Event::Expand(name) => format!("Expand {name}"),
            Event::Etrn(node) => format!("Etrn {node}"),
            Event::XClient(told) => return Seen::Note(format!("XClient{}", attributes(&told))),
            Event::XForward(told) => return Seen::Note(format!("XForward{}", attributes(&told))),
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
            ("challenge", "") => Answer::CramChallenge(challenge()),
            ("login", name) => Answer::LoggedIn(Identity(name.into())),
            _ => return Err(format!("{text}: accept, refuse, hangup or login")),
        };
        turn.machine.answer(turn.now, answer).map_err(|misuse| misuse.to_string())
    }

    fn answer_by_default(&mut self, turn: Turn<'_, ServerSession>, event: &str) -> Result<bool, String> {
        // A login that the file answered itself is over.
        match self.login.take().filter(|_| event.starts_with("Login")) {
            None if event == "CramChallenge" => self.answer(turn, "challenge")?,
            None if event.starts_with("Expand") => self.answer(turn, "refuse 550 5.7.1 lists are not shown")?,
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

/// What clients of CRAM-MD5 are to answer.
fn challenge() -> CramChallenge {
    CramChallenge::new("mx.example", WallTime::new(1_234_571_490, 0), &mut SeededRandom::new(1))
}

/// ` keyword=value` for each.
fn others(parameters: &[Parameter<'_>]) -> String {
    let text = |parameter: &Parameter<'_>| match &parameter.value {
        Some(value) => format!(" {}={value}", parameter.keyword),
        None => format!(" {}", parameter.keyword),
    };
    parameters.iter().map(text).collect()
}

/// ` attribute=value` for each that was told.
fn attributes(told: &ClientAttributes) -> String {
    fn text<T: std::fmt::Debug>(name: &str, told: Option<&Told<T>>) -> String {
        match told {
            Some(Told::Value(value)) => format!(" {name}={value:?}"),
            Some(told) => format!(" {name}:{told:?}"),
            None => String::new(),
        }
    }
    [
        text("name", told.name.as_ref()),
        text("addr", told.addr.as_ref()),
        text("port", told.port.as_ref()),
        text("proto", told.proto.as_ref()),
        text("hello", told.hello.as_ref()),
        text("login", told.login.as_ref()),
        text("dest_addr", told.dest_addr.as_ref()),
        text("dest_port", told.dest_port.as_ref()),
        text("ident", told.ident.as_ref()),
        text("source", told.source.as_ref()),
    ]
    .concat()
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
    server.submission = config.flag("submission")?;
    server.require_tls = config.flag("require_tls")?;
    let number = |key| config.value(key).map(|text| text.parse().map_err(|_| format!("{key}={text}"))).transpose();
    server.future_release = number("future_release")?;
    server.deliver_by = number("deliver_by")?;
    server.mt_priority = config.value("mt_priority").map(Into::into);
    server.tell_limits = config.flag("tell_limits")?;
    server.expn = config.flag("expn")?;
    server.etrn = config.flag("etrn")?;
    let list = |key| config.value(key).map(|text| text.split(',').map(Into::into).collect()).unwrap_or_default();
    server.ehlo_keywords = list("ehlo_keywords");
    server.mail_parameters = list("mail_parameters");
    server.rcpt_parameters = list("rcpt_parameters");
    server.limits.mails_max = number("mails_max")?;
    server.limits.recipient_domains_max = number("recipient_domains_max")?;
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
    limits.stress_timeout = seconds("stress_timeout", limits.stress_timeout)?;
    limits.stress_errors_hard = config.parsed("stress_errors_hard", limits.stress_errors_hard)?;
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
