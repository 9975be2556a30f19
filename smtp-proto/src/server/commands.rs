//! What becomes of a line: which commands are asked about, answered, or refused.

use pillarbox_core::sasl::Progress;
use pillarbox_core::{Reply, Step};

use super::login::Login;
use super::replying::cut;
use super::session::{Kind, Question, ServerSession, State};
use super::{BodyKind, CloseReason, Event, HelloVerb, Protocol, Rcpt, Why, replies};
use crate::command::{self, Command, CommandError, Verb};

/// The step that a line leads to; `None` if the session is to go on by itself.
pub(super) type Next<'b> = Option<Step<Event<'b>>>;

impl ServerSession {
    /// Serves a command line without its CRLF; `last` if nothing was sent behind it.
    pub(super) fn command<'b>(&mut self, line: &'b [u8], last: bool) -> Next<'b> {
        if command::is_foreign(line) {
            return Some(self.refuse_foreign(line));
        }
        let verb = Verb::of(line);
        let parsed = match verb {
            // RFC 3030 §2: as any word that EHLO did not offer.
            Some(Verb::Bdat) if !self.config.chunking => Err(CommandError::Unknown),
            _ => command::parse_in(line, self.is_utf8()),
        };
        let waits = verb.is_some_and(Verb::waits) && !is_complete_login(&parsed);
        // RFC 2920 §3.2 (6)
        self.begin_reply(waits, verb.is_none_or(Verb::is_prompt), last);
        let decided = match parsed {
            Ok(Command::Quit) => {
                let reply = replies::bye(&self.config);
                let turned_away = matches!(self.state, State::TurnedAway);
                self.close(if turned_away { CloseReason::Refused } else { CloseReason::Quit }, Some(&reply));
                return None;
            }
            Ok(Command::Bdat { size, last }) => return self.chunk(line, size, last),
            Err(error @ CommandError::ChunkSize) => {
                // Octets follow, and where commands begin again is not known.
                let reply = error.reply();
                self.close(CloseReason::Synchronisation, Some(&reply));
                return Some(Step::Event(Event::Refused { line: cut(line), reply }));
            }
            // RFC 5321 §3.1
            _ if matches!(self.state, State::TurnedAway) => {
                Err(replies::sequence("The connection was refused: say QUIT"))
            }
            Ok(command) => self.decide(command),
            Err(error) => Err(error.reply()),
        };
        match decided {
            Ok(next) => {
                if verb.is_some_and(Verb::is_idle) {
                    self.count_idle();
                }
                match next {
                    Decision::Ask(question, event) => self.ask(question, event),
                    Decision::Reply(reply) => {
                        self.write_in_time(reply);
                        None
                    }
                    Decision::Exchange(progress, login) => self.progress(progress, login),
                }
            }
            Err(reply) => self.refuse_line(command::without_secrets(line), reply),
        }
    }

    /// What the state makes of a command. RFC 5321 §4.1.4 has the order of commands.
    fn decide<'b>(&mut self, command: Command<'b>) -> Result<Decision<'b>, Reply> {
        let in_transaction = matches!(self.state, State::Transaction { .. } | State::Chunks(_));
        match command {
            Command::Hello(hello) => {
                // RFC 2033 §4.1: so that a mistaken port is noticed.
                match (self.config.protocol, hello.verb) {
                    (Protocol::Smtp, HelloVerb::Lhlo) => return Err(replies::unknown("This is SMTP: say EHLO")),
                    (Protocol::Lmtp, HelloVerb::Ehlo | HelloVerb::Helo) => {
                        return Err(replies::unknown("This is LMTP: say LHLO"));
                    }
                    _ => {}
                }
                let owned = hello.clone().into_owned();
                Ok(Decision::Ask(Question::Hello(owned), Event::Hello(hello)))
            }
            Command::Mail(mail) => {
                if self.hello.is_none() {
                    return Err(replies::sequence("Say EHLO first"));
                }
                self.check_login()?;
                if in_transaction {
                    return Err(replies::sequence("A transaction is open already"));
                }
                // RFC 5321 §4.1.1.11: a parameter of an extension that is not offered.
                if mail.auth.is_some() && self.config.mechanisms.is_empty() {
                    return Err(CommandError::UnknownParameter.reply());
                }
                // RFC 1870 §6.1
                if mail.size.is_some_and(|size| size > self.config.limits.message_size_max) {
                    return Err(replies::too_large());
                }
                let notices = mail.ret.is_some() || mail.envid.is_some();
                if (mail.smtputf8 && !self.config.smtputf8) || (notices && !self.config.dsn) {
                    return Err(CommandError::UnknownParameter.reply());
                }
                let kind = Kind { binary: mail.body == BodyKind::BinaryMime, utf8: mail.smtputf8 };
                if kind.binary && !(self.config.chunking && self.config.binary_mime) {
                    return Err(CommandError::Parameter.reply());
                }
                Ok(Decision::Ask(Question::Mail(kind), Event::Mail(mail)))
            }
            Command::Rcpt(rcpt) => {
                self.check_login()?;
                if (rcpt.notify.is_some() || rcpt.orcpt.is_some()) && !self.config.dsn {
                    return Err(CommandError::UnknownParameter.reply());
                }
                match self.state {
                    State::Transaction { recipients } if recipients < self.config.limits.recipients_max => {
                        Ok(Decision::Ask(Question::Rcpt, Event::Rcpt(Rcpt { index: recipients, ..rcpt })))
                    }
                    State::Transaction { .. } => Err(replies::too_many_recipients()),
                    State::Chunks(_) => Err(replies::sequence("The message has begun: say BDAT or RSET")),
                    _ => Err(replies::sequence("Say MAIL first")),
                }
            }
            Command::Data => {
                self.check_login()?;
                match self.state {
                    // RFC 2033 §4.2 and RFC 2920 §3.2 (3): never 354 without a recipient.
                    State::Transaction { recipients: 0 } => Err(replies::sequence("No recipient was accepted")),
                    // RFC 3030 §3
                    State::Transaction { .. } if self.kind.binary => {
                        Err(replies::sequence("A message of BINARYMIME comes by BDAT"))
                    }
                    State::Transaction { .. } => Ok(Decision::Ask(Question::Data, Event::Data)),
                    // RFC 3030 §2
                    State::Chunks(_) => Err(replies::sequence("The message has begun: say BDAT or RSET")),
                    _ => Err(replies::sequence("Say MAIL and RCPT first")),
                }
            }
            Command::Rset => {
                self.abandon(Why::Reset);
                Ok(Decision::Reply(Reply::enhanced(250, 2, 0, 0, "Forgotten")))
            }
            Command::Noop => Ok(Decision::Reply(Reply::enhanced(250, 2, 0, 0, "Here"))),
            Command::Help => Ok(Decision::Reply(Reply::enhanced(214, 2, 0, 0, "The commands are those of RFC 5321"))),
            Command::Vrfy { name, smtputf8 } => {
                self.check_login()?;
                if smtputf8 && !self.config.smtputf8 {
                    return Err(CommandError::UnknownParameter.reply());
                }
                Ok(Decision::Ask(Question::Verify, Event::Verify(name)))
            }
            // RFC 5321 §7.3: who is on a list is the list's business.
            Command::Expn => Err(replies::not_offered("Lists are not shown")),
            Command::StartTls => {
                if self.tls.is_some() {
                    return Err(replies::sequence("TLS is in use already"));
                }
                if !self.config.starttls {
                    return Err(replies::not_offered("STARTTLS is not offered"));
                }
                if in_transaction {
                    return Err(replies::sequence("Not while a transaction is open"));
                }
                Ok(Decision::Ask(Question::StartTls, Event::StartTls))
            }
            Command::Auth { mechanism, initial } => {
                if self.config.mechanisms.is_empty() {
                    return Err(replies::not_offered("AUTH is not offered"));
                }
                if !self.may_log_in() {
                    return Err(replies::encryption_required());
                }
                if !self.is_extended() {
                    return Err(replies::sequence("Say EHLO first"));
                }
                // RFC 4954 §4
                if self.identity.is_some() {
                    return Err(replies::sequence("You are logged in already"));
                }
                if in_transaction {
                    return Err(replies::sequence("Not while a transaction is open"));
                }
                let (progress, login) = self.begin_login(mechanism, initial)?;
                Ok(Decision::Exchange(progress, login))
            }
            Command::Quit | Command::Bdat { .. } => unreachable!("served before this is called"),
        }
    }

    /// RFC 4954 §6: what needs a login where one is asked for.
    pub(super) fn check_login(&self) -> Result<(), Reply> {
        if self.config.auth_required && self.identity.is_none() {
            return Err(replies::login_required(!self.may_log_in()));
        }
        Ok(())
    }

    /// Ends the transaction, if one is open.
    pub(super) fn abandon(&mut self, why: Why) {
        match &self.state {
            State::Transaction { .. } => self.abandoned = Some(why),
            State::Chunks(body) if body.is_wanted() => self.abandoned = Some(why),
            State::Chunks(_) | State::Spoilt { .. } => {}
            _ => return,
        }
        self.state = State::Ready;
    }
}

/// What is done about a command that is not refused.
enum Decision<'b> {
    Ask(Question, Event<'b>),
    Reply(Reply),
    Exchange(Progress, Login),
}

/// RFC 4954 §4: a client may go on behind an AUTH that is complete with its initial response.
fn is_complete_login(parsed: &Result<Command<'_>, CommandError>) -> bool {
    matches!(parsed, Ok(Command::Auth { mechanism, initial: Some(_) }) if mechanism.eq_ignore_ascii_case("PLAIN"))
}
