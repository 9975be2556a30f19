//! How a client session is made and told what to do by dialog files and by the law kit.
//!
//! `cfg:` keys: `starttls=never|offered|required`, `implicit-tls`, `login` (joe with the password hunter2), `login-in-clear`,
//! `mechanisms=A,B` (`mechanisms=` for none), `enable=A,B`, `compress`, `response=octets`, `output=octets`, `script` (a
//! fixed list of commands is submitted at once).
//! `N:` lines submit commands: `select name`, `fetch set items`, `uidfetch set items`, `uidsearch key`, `uidsearch key "text"`,
//! `append name size..`, `string NAME "text"`, `idle`, `logout`, `run NAME argument..`; or they say `done`. Answers: `body "text"`, `end`, `abort`.

use pillarbox_core::dialog::{Config, Seen, Subject, Turn};
use pillarbox_core::sasl::Mechanism;
use pillarbox_core::{Misuse, Time, TlsFacts};
use pillarbox_imap::client::{
    Answer, ClientConfig, ClientSession, Command, Credentials, Event, Login, StartTls, Status,
};
use pillarbox_imap::types::{Flags, SequenceSet};

/// One client per connection.
#[derive(Debug, Default)]
pub(crate) struct Client;

impl Subject for Client {
    type Machine = ClientSession;

    fn connect(&mut self, _: usize, config: &Config) -> Result<ClientSession, String> {
        let mut made = ClientConfig::default();
        made.starttls = match config.value("starttls") {
            None | Some("offered") => StartTls::IfOffered,
            Some("never") => StartTls::Never,
            Some("required") => StartTls::Required,
            Some(other) => return Err(format!("starttls={other}")),
        };
        let (in_clear, mechanisms) = (config.flag("login-in-clear")?, config.value("mechanisms"));
        if config.flag("login")? {
            let mut login = Login::new(Credentials::plain("", "joe", "hunter2"));
            login.policy.clear_text_without_tls = in_clear;
            if let Some(names) = mechanisms {
                login.policy.mechanisms = names.split(',').filter_map(Mechanism::parse).collect();
            }
            made.login = Some(login);
        }
        if let Some(words) = config.value("enable") {
            made.enable = words.split(',').filter(|word| !word.is_empty()).map(String::from).collect();
        }
        made.compress = config.flag("compress")?;
        made.limits.response_max = config.parsed("response", made.limits.response_max)?;
        made.limits.output_max = config.parsed("output", made.limits.output_max)?;
        let mut session = match config.flag("implicit-tls")? {
            true => ClientSession::over_tls(made, TlsFacts::new("TLSv1.3", "TLS_AES_128_GCM_SHA256")),
            false => ClientSession::new(made),
        };
        if config.flag("script")? {
            for text in ["select INBOX", "uidfetch 1:* (FLAGS BODY.PEEK[])", "append INBOX 7", "idle", "logout"] {
                submit(&mut session, Time::ZERO, text)?;
            }
        }
        Ok(session)
    }

    fn describe(&mut self, _: usize, event: Event<'_>) -> Seen {
        match event {
            Event::Body(octets) => Seen::Body(octets.into_owned()),
            Event::NeedMessage(_) => Seen::Question("NeedMessage".into()),
            Event::Completed { status, .. } => Seen::Note(format!("Completed {}", say(&status))),
            Event::Lost { was_sent, .. } => Seen::Note(format!("Lost {}", if was_sent { "sent" } else { "unsent" })),
            Event::Failed(failure) => Seen::Note(format!("Failed {failure}")),
            other => Seen::Note(format!("{other:?}")),
        }
    }

    fn answer(&mut self, turn: Turn<'_, ClientSession>, text: &str) -> Result<(), String> {
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        let answer = match verb {
            "body" => Answer::Body(rest.trim_matches('"').as_bytes()),
            "end" => Answer::BodyEnd,
            "abort" => Answer::Abort,
            other => return Err(format!("{other} is no answer: body, end, abort")),
        };
        turn.machine.answer(turn.now, answer).map_err(|misuse| misuse.to_string())
    }

    fn answer_by_default(&mut self, turn: Turn<'_, ClientSession>, _: &str) -> Result<bool, String> {
        // Two octets at a time, until no more were announced.
        let answer = match turn.machine.answer(turn.now, Answer::BodyEnd) {
            Ok(()) => return Ok(true),
            Err(Misuse::WrongAnswer { .. }) => Answer::Body(&b"ab"[..turn.machine.room().min(2)]),
            Err(misuse) => return Err(misuse.to_string()),
        };
        turn.machine.answer(turn.now, answer).map_err(|misuse| misuse.to_string())?;
        Ok(true)
    }

    fn news(&mut self, turn: Turn<'_, ClientSession>, text: &str) -> Result<(), String> {
        submit(turn.machine, turn.now, text)
    }

    /// A server answers commands of ours, and says what comes next behind an answer only.
    fn is_sync_point(&mut self, _: usize, _: &[u8], _: &str) -> bool {
        true
    }

    fn close_reason(&self, machine: &ClientSession) -> String {
        machine.close_reason().map_or_else(|| "open".into(), |reason| format!("{reason:?}"))
    }
}

fn say(status: &Status) -> String {
    match &status.code {
        Some(code) => format!("{status} {code:?}"),
        None => status.to_string(),
    }
}

fn submit(session: &mut ClientSession, now: Time, text: &str) -> Result<(), String> {
    let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (first, behind) = rest.split_once(' ').unwrap_or((rest, ""));
    let command = match verb {
        "done" => {
            session.done(now);
            return Ok(());
        }
        "select" => Command::select(rest),
        "fetch" => Command::fetch(&SequenceSet::parse(first.as_bytes()).ok_or("a set")?, behind),
        "uidfetch" => Command::uid_fetch(first, behind),
        "string" => Command::new(first).string(behind.trim_matches('"').replace("\\r\\n", "\r\n")),
        "uidsearch" if behind.is_empty() => Command::uid_search(first),
        "uidsearch" => Command::uid_search(first).string(behind.trim_matches('"').replace("\\r\\n", "\r\n")),
        "append" => {
            let mut sizes = behind.split(' ').map(|size| size.parse::<u64>().map_err(|error| error.to_string()));
            let mut command = Command::append(first, &Flags::new(), None, sizes.next().ok_or("a size")??);
            for size in sizes {
                command = command.and_message(&Flags::new(), None, size?);
            }
            command
        }
        "idle" => Command::idle(),
        "logout" => Command::logout(),
        "run" => rest.split(' ').skip(1).fold(Command::new(first), Command::raw),
        other => return Err(format!("{other} is no command")),
    };
    session.submit(now, command).map(|_| ()).map_err(|misuse| misuse.to_string())
}
