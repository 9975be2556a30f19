//! How a client session is made and told what to do by dialog files and by the law kit.
//!
//! `cfg:` keys: `protocol=lmtp`, `starttls=never|offered|required`, `implicit-tls`, `output=octets`, `chunking`, `chunk=octets`,
//! `login` (joe with the password hunter2; `login=token`: a bearer token; `login=certificate`), `login-name=name`,
//! `login-in-clear`, `mechanisms=A,B`, `crypto` (with random octets that are the same each time), `exporter` (of TLS, 32 times 7),
//! `no-pipelining`.
//! Answers: `send <from> <to>...`, `quit`, `body "text"`, `end`, `abort`. Words of `send` for the message: `size=n`,
//! `8bit`, `binary`, `utf8` (in its header), `ret=`, `envid=`, `auth=`, `requiretls`, `holdfor=`, `holduntil=`, `by=`,
//! `priority=`; for the path before them: `ascii=domain`, `notify=`, `orcpt=type;address`.

#[path = "../../../mailcore/tests/ring_crypto/mod.rs"]
mod ring_crypto;

use std::sync::Arc;

use pillarbox_core::address::{Address, Domain, ForwardPath, ReversePath};
use pillarbox_core::dialog::{Config, Seen, Subject, Turn};
use pillarbox_core::sasl::Mechanism;
use pillarbox_core::{SeededRandom, TlsFacts};
use pillarbox_smtp::client::{
    Answer, BodyKind, ClientConfig, ClientSession, Credentials, DeliverBy, Envelope, EnvelopeId, Event, FutureRelease,
    Login, MtPriority, Notify, OriginalRecipient, Protocol, RecipientOutcome, Ret, StartTls, Submitter,
};

use ring_crypto::RingCrypto;

/// One client per connection. By default it sends one message to two recipients and says goodbye.
#[derive(Debug, Default)]
pub(crate) struct Client {
    sent: usize,
    body: usize,
    is_lmtp: bool,
}

/// In pieces that cut a CRLF and a stuffed dot.
const BODY: [&[u8]; 4] = [b"Subject: hi\r", b"\n\r\n", b".", b"dot\nbare\r"];

impl Subject for Client {
    type Machine = ClientSession;

    fn connect(&mut self, _connection: usize, config: &Config) -> Result<ClientSession, String> {
        let mut made = ClientConfig::new("c.example").map_err(|error| error.to_string())?;
        made.protocol = match config.value("protocol") {
            None => Protocol::Smtp,
            Some("lmtp") => Protocol::Lmtp,
            Some(other) => return Err(format!("protocol={other}")),
        };
        self.is_lmtp = made.protocol == Protocol::Lmtp;
        made.starttls = match config.value("starttls") {
            None | Some("offered") => StartTls::IfOffered,
            Some("never") => StartTls::Never,
            Some("required") => StartTls::Required,
            Some(other) => return Err(format!("starttls={other}")),
        };
        if let Some(kind) = config.value("login") {
            let name = config.value("login-name").unwrap_or("joe");
            let mut login = Login::new(match kind {
                "token" => Credentials::bearer(name, "vF9dft4qmT"),
                "certificate" => Credentials::external(""),
                _ => Credentials::plain("", name, "hunter2"),
            });
            login.policy.clear_text_without_tls = config.flag("login-in-clear")?;
            if let Some(names) = config.value("mechanisms") {
                login.policy.mechanisms = names.split(',').filter_map(Mechanism::parse).collect();
            }
            made.login = Some(login);
        }
        made.pipelining = !config.flag("no-pipelining")?;
        made.chunking = config.flag("chunking")?;
        made.limits.chunk_max = config.parsed("chunk", made.limits.chunk_max)?;
        made.limits.output_max = config.parsed("output", made.limits.output_max)?;
        let session = if config.flag("implicit-tls")? {
            let mut facts = TlsFacts::new("TLSv1.3", "TLS_AES_128_GCM_SHA256");
            facts.exporter = config.flag("exporter")?.then_some([7; 32]);
            ClientSession::over_tls(made, facts)
        } else {
            ClientSession::new(made)
        };
        Ok(match config.flag("crypto")? {
            true => session.with_crypto(Arc::new(RingCrypto), SeededRandom::new(1)),
            false => session,
        })
    }

    fn describe(&mut self, _connection: usize, event: Event) -> Seen {
        match event {
            Event::Ready => Seen::Question("Ready".into()),
            Event::NeedBody => Seen::Question("NeedBody".into()),
            Event::RcptReply { index, reply } => Seen::Note(format!("RcptReply #{index} {reply}")),
            Event::BodyRefused { reply: Some(reply) } => Seen::Note(format!("BodyRefused {reply}")),
            Event::BodyRefused { reply: None } => Seen::Note("BodyRefused".into()),
            Event::Sent(outcomes) => {
                let outcomes: Vec<String> = outcomes.iter().map(outcome).collect();
                Seen::Note(format!("Sent {}", outcomes.join("; ")))
            }
            Event::Failed(failure) => {
                let how = if failure.is_temporary() { "temporary" } else { "permanent" };
                Seen::Note(format!("Failed {how}: {failure}"))
            }
            other => Seen::Note(format!("{other:?}")),
        }
    }

    fn answer(&mut self, turn: Turn<'_, ClientSession>, text: &str) -> Result<(), String> {
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let body;
        let answer = match verb {
            "send" => Answer::Send(envelope(rest)?),
            "quit" => Answer::Quit,
            "body" => {
                body = unescaped(rest)?;
                Answer::Body(&body)
            }
            "end" => Answer::BodyEnd,
            "abort" => Answer::Abort,
            other => return Err(format!("{other} is no answer: send, quit, body, end, abort")),
        };
        turn.machine.answer(turn.now, answer).map_err(|misuse| misuse.to_string())
    }

    fn answer_by_default(&mut self, turn: Turn<'_, ClientSession>, question: &str) -> Result<bool, String> {
        let answer = match question {
            "Ready" if self.sent > 0 => Answer::Quit,
            "Ready" => {
                self.sent += 1;
                self.body = 0;
                Answer::Send(envelope("<a@c.example> <u@own.example> <v@own.example> size=30")?)
            }
            "NeedBody" => match BODY.get(self.body) {
                Some(piece) => {
                    self.body += 1;
                    Answer::Body(piece)
                }
                None => Answer::BodyEnd,
            },
            _ => return Ok(false),
        };
        turn.machine.answer(turn.now, answer).map_err(|misuse| misuse.to_string())?;
        Ok(true)
    }

    /// A server waits for our next command behind each reply, except that LMTP has several for one end of data.
    fn is_sync_point(&mut self, _connection: usize, _sent: &[u8], expected: &str) -> bool {
        !self.is_lmtp || !expected.is_empty()
    }

    fn close_reason(&self, machine: &ClientSession) -> String {
        machine.close_reason().map_or_else(|| "open".into(), |reason| format!("{reason:?}"))
    }
}

fn outcome(outcome: &RecipientOutcome) -> String {
    match outcome {
        RecipientOutcome::Delivered(yes) if yes.notice_due => format!("delivered {yes} (notice due)"),
        RecipientOutcome::Delivered(yes) => format!("delivered {yes}"),
        RecipientOutcome::Refused(reply) => format!("refused {reply}"),
        RecipientOutcome::Later(Some(reply)) => format!("later {reply}"),
        RecipientOutcome::Later(None) => "later".into(),
        RecipientOutcome::Impossible(lack) => format!("impossible {}", lack.reply()),
        other => format!("{other:?}"),
    }
}

fn envelope(text: &str) -> Result<Envelope, String> {
    let mut words = text.split(' ').filter(|word| !word.is_empty());
    let from = words.next().ok_or("send needs a sender")?;
    let (from, _) = ReversePath::take(from.as_bytes(), true).map_err(|error| error.to_string())?;
    let mut envelope = Envelope::new(from.into_owned(), [] as [ForwardPath<'static>; 0]);
    for word in words {
        let (key, value) = word.split_once('=').filter(|_| !word.starts_with('<')).unwrap_or((word, ""));
        let wrong = || word.to_string();
        match key {
            "size" => envelope.size = Some(value.parse().map_err(|_| wrong())?),
            "8bit" => envelope.body = BodyKind::EightBitMime,
            "binary" => envelope.body = BodyKind::BinaryMime,
            "utf8" => envelope.smtputf8 = true,
            "ret" => envelope.ret = Some(if value == "FULL" { Ret::Full } else { Ret::Hdrs }),
            "envid" => envelope.envid = Some(EnvelopeId::new(value).map_err(|error| error.to_string())?),
            "auth" if value == "<>" => envelope.submitter = Some(Submitter::Unknown),
            "auth" => {
                let address = Address::parse_utf8(value).map_err(|error| error.to_string())?;
                envelope.submitter = Some(Submitter::Mailbox(address.into_owned()));
            }
            "requiretls" => envelope.require_tls = true,
            "holdfor" | "holduntil" => {
                envelope.future_release = Some(FutureRelease::parse(key, value).map_err(|error| error.to_string())?);
            }
            "by" => envelope.deliver_by = Some(DeliverBy::parse(value).map_err(|error| error.to_string())?),
            "priority" => envelope.mt_priority = Some(MtPriority::parse(value).map_err(|error| error.to_string())?),
            "ascii" => {
                let domain = Domain::parse(value).map_err(|error| error.to_string())?.into_owned();
                match envelope.recipients.last_mut() {
                    Some(recipient) => recipient.ascii_domain = Some(domain),
                    None => envelope.from_ascii_domain = Some(domain),
                }
            }
            "notify" => {
                let mut notify = Notify::default();
                notify.success = value.contains("SUCCESS");
                notify.failure = value.contains("FAILURE");
                notify.delay = value.contains("DELAY");
                envelope.recipients.last_mut().ok_or_else(wrong)?.notify = Some(notify);
            }
            "orcpt" => {
                let (addr_type, address) = value.split_once(';').ok_or_else(wrong)?;
                let original = OriginalRecipient::new(addr_type, address).map_err(|error| error.to_string())?;
                envelope.recipients.last_mut().ok_or_else(wrong)?.orcpt = Some(original);
            }
            _ => {
                let (to, _) = ForwardPath::take(word.as_bytes(), true).map_err(|error| error.to_string())?;
                envelope.recipients.push(to.into_owned().into());
            }
        }
    }
    Ok(envelope)
}

/// Reads `"text"` with the escapes `\r`, `\n` and `\xNN`, and `"text"*3`.
fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let (quoted, times) = match text.rsplit_once("\"*") {
        Some((front, times)) => (format!("{front}\""), times.parse().map_err(|_| format!("no count: {times}"))?),
        None => (text.to_string(), 1),
    };
    let inner = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or("body needs a quoted text")?;
    let mut bytes = Vec::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('r')) => bytes.push(b'\r'),
            ('\\', Some('n')) => bytes.push(b'\n'),
            ('\\', Some('x')) => {
                let digits: String = chars.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&digits, 16).map_err(|_| format!("\\x{digits}"))?);
            }
            ('\\', other) => return Err(format!("no such escape: {other:?}")),
            (c, _) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Ok(bytes.repeat(times))
}
