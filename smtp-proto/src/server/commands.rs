//! What becomes of a line: which commands are asked about, answered, or refused.

use alloc::borrow::Cow;
use alloc::boxed::Box;

use pillarbox_core::address::ForwardPath;
use pillarbox_core::sasl::Progress;
use pillarbox_core::{Reply, Step};

use super::login::Login;
use super::replying::cut;
use super::session::ServerSession;
use super::state::{Counts, Question, State};
use super::{CloseReason, Event, HelloVerb, Identity, Protocol, Rcpt, Why, replies};
use crate::command::{self, ClientAttributes, Command, CommandError, Told, Understood, Verb};

/// The step that a line leads to; `None` if the session is to go on by itself.
pub(super) type Next<'b> = Option<Step<Event<'b>>>;

impl ServerSession {
    /// Serves a command line without its CRLF; `last` if nothing was sent behind it.
    pub(super) fn command<'b>(&mut self, line: &'b [u8], last: bool) -> Next<'b> {
        let taken = Verb::take(line);
        let verb = taken.map(|(verb, _)| verb);
        match verb {
            Some(verb) => self.after_auth = verb == Verb::Auth,
            // No verb of ours is the first word of another protocol.
            None if command::is_foreign(line) => return Some(self.refuse_foreign(line)),
            None => {}
        }
        let parsed = match verb {
            // RFC 3030 §2: as any word that EHLO did not offer.
            Some(Verb::Bdat) if !self.config.chunking => Err(CommandError::Unknown),
            _ => {
                let (mail, rcpt) = (&*self.config.mail_parameters, &*self.config.rcpt_parameters);
                command::parse_taken(line, taken, self.is_utf8(), Understood { mail, rcpt })
            }
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
            Err(error) if self.announces_octets(line) => return Some(self.lose_track(line, error.reply())),
            // RFC 5321 §3.1
            _ if matches!(self.state, State::TurnedAway) => {
                Err(replies::sequence("The connection was refused: say QUIT"))
            }
            // Whatever stands behind them: strangers are told nothing about what they take.
            _ if verb == Some(Verb::XClient) && !self.may_xclient => Err(replies::untrusted()),
            _ if verb == Some(Verb::XForward) && !self.may_xforward => Err(replies::untrusted()),
            _ if verb == Some(Verb::Etrn) && !self.config.offers_etrn() => {
                Err(replies::not_offered("ETRN is not offered"))
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
                    Decision::Tell(event) => Some(Step::Event(event)),
                    Decision::Hangup(reply) => {
                        self.close(CloseReason::TooManyErrors, Some(&reply));
                        Some(Step::Event(Event::Refused { line: cut(line), reply }))
                    }
                }
            }
            Err(reply) if self.was_in_flight(verb) => {
                self.write(&reply);
                Some(Step::Event(Event::Refused { line: cut(line), reply }))
            }
            Err(reply) => {
                // A client that says MAIL between chunks takes the message for complete, and its next chunk for another's.
                if verb == Some(Verb::Mail) {
                    self.spoil();
                }
                self.refuse_line(self.shown(line), reply)
            }
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
                // RFC 9422: refused ones count as well.
                self.counts.mails = self.counts.mails.saturating_add(1);
                if self.config.limits.mails_max.is_some_and(|max| self.counts.mails > max.max(1)) {
                    return Ok(Decision::Hangup(replies::too_many_mails(&self.config)));
                }
                let kind = self.check_mail(&mail)?;
                Ok(Decision::Ask(Question::Mail(kind), Event::Mail(mail)))
            }
            Command::Rcpt(rcpt) => {
                self.check_login()?;
                self.check_rcpt(&rcpt)?;
                match self.state {
                    State::Transaction { recipients } if recipients < self.config.limits.recipients_max => {
                        let domain = self.one_more_domain(&rcpt.to)?;
                        Ok(Decision::Ask(Question::Rcpt(domain), Event::Rcpt(Rcpt { index: recipients, ..rcpt })))
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
                if core::mem::take(&mut self.forwarded) {
                    self.abandoned = Some(Why::Reset);
                }
                Ok(Decision::Reply(Reply::enhanced(250, 2, 0, 0, "Forgotten")))
            }
            Command::Noop => Ok(Decision::Reply(Reply::enhanced(250, 2, 0, 0, "Here"))),
            Command::Help => Ok(Decision::Reply(Reply::enhanced(214, 2, 0, 0, "The commands are those of RFC 5321"))),
            Command::Obsolete => Err(replies::not_offered("This command is not implemented")),
            Command::Vrfy { name, smtputf8 } => {
                self.check_login()?;
                if smtputf8 && !self.config.smtputf8 {
                    return Err(CommandError::UnknownParameter.reply());
                }
                Ok(Decision::Ask(Question::Verify, Event::Verify(name)))
            }
            // RFC 5321 §7.3: who is on a list is the list's business.
            Command::Expn { .. } if !self.config.expn => Err(replies::not_offered("Lists are not shown")),
            Command::Expn { name } => {
                self.check_login()?;
                Ok(Decision::Ask(Question::Expand, Event::Expand(name)))
            }
            Command::Etrn { node } => {
                if !self.is_extended() {
                    return Err(replies::sequence("Say EHLO first"));
                }
                self.check_login()?;
                // RFC 1985 §5
                if in_transaction {
                    return Err(replies::sequence("Not while a transaction is open"));
                }
                Ok(Decision::Ask(Question::Etrn, Event::Etrn(node)))
            }
            Command::XClient(told) => {
                if in_transaction {
                    return Err(replies::sequence("Not while a transaction is open"));
                }
                self.begin_anew(&told);
                Ok(Decision::Tell(Event::XClient(told)))
            }
            Command::XForward(told) => {
                if in_transaction {
                    return Err(replies::sequence("Not while a transaction is open"));
                }
                self.forwarded = true;
                self.write(&Reply::enhanced(250, 2, 0, 0, "Noted"));
                Ok(Decision::Tell(Event::XForward(told)))
            }
            Command::StartTls => {
                if self.tls.is_some() {
                    return Err(replies::sequence("TLS is in use already"));
                }
                if self.proxied {
                    return Err(replies::sequence("TLS comes before XCLIENT"));
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
                self.begin_login(mechanism, initial.as_ref())
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

    /// A proxy named its client: as if that had connected just now. TLS stays, because there is no way back from it.
    fn begin_anew(&mut self, told: &ClientAttributes) {
        // The login of the proxy itself is not that of its client.
        let login = told.login.as_ref().and_then(Told::value);
        self.identity = login.map(|login| Identity(Cow::Owned(login.clone())));
        // From here on it may be the client's own octets that the proxy hands on: it is trusted no further, and neither what
        // was said of it nor the proxy's address is to be had by starting anew.
        self.proxied = true;
        (self.may_xclient, self.may_xforward) = (false, false);
        self.hello = None;
        self.forwarded = false;
        self.counts = Counts::default();
        self.state = State::Fresh;
    }

    /// The domain of a recipient, if it is to be counted when the recipient is accepted.
    fn one_more_domain(&self, to: &ForwardPath<'_>) -> Result<Option<Box<str>>, Reply> {
        let Some(max) = self.config.limits.recipient_domains_max else { return Ok(None) };
        // `<Postmaster>` is one of ours, wherever the others are.
        let ForwardPath::Address(to) = to else { return Ok(None) };
        let domain = to.domain();
        if self.counts.domains.iter().any(|known| domain.eq_ignore_ascii_case(known)) {
            return Ok(None);
        }
        if self.counts.domains.len() as u64 >= u64::from(max.max(1)) {
            return Err(replies::too_many_domains());
        }
        Ok(Some(domain.as_str().into()))
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
pub(super) enum Decision<'b> {
    Ask(Question, Event<'b>),
    Reply(Reply),
    Exchange(Progress, Box<Login>),
    /// What was said is told, and needs no answer.
    Tell(Event<'b>),
    /// The last reply.
    Hangup(Reply),
}

/// RFC 4954 §4: a client may go on behind an AUTH that is complete with its initial response.
fn is_complete_login(parsed: &Result<Command<'_>, CommandError>) -> bool {
    matches!(parsed, Ok(Command::Auth { mechanism, initial: Some(_) }) if mechanism.eq_ignore_ascii_case("PLAIN"))
}
