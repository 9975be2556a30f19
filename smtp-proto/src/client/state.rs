//! What happens next: the states of a client session, and what each reply makes of them.

use alloc::format;
use core::time::Duration;
use core::{fmt, mem};

use pillarbox_core::Reply;
use pillarbox_core::dot::DotEncoder;

use super::transaction::Transaction;
use super::{Capabilities, ClientSession, CloseReason, Event, Failure, FailureCause, Phase, StartTls};
use crate::reply_parser::RawReply;
use crate::server::{BodyKind, HelloVerb, Protocol};

/// Where a session is, and what a reply makes of it:
///
/// | state | a reply | next |
/// |---|---|---|
/// | Greeting | 2yz | EHLO or LHLO |
/// | Hello | 2yz | STARTTLS, or Ready |
/// | Hello(EHLO) | 5yz | HELO |
/// | StartTls | 220 | Upgrading; then EHLO again |
/// | StartTls | 4yz, 5yz | Ready, if TLS is not required |
/// | Mail | 2yz | RCPT |
/// | Mail | 4yz, 5yz | `Sent`, Ready |
/// | Rcpt | any | RCPT; DATA if one was accepted; else `Sent`, RSET |
/// | Data | 3yz | Body |
/// | Data | 4yz, 5yz | `Sent`, RSET |
/// | Body | 4yz, 5yz | `BodyRefused`, `Sent`, `Failed` |
/// | EndOfData | 2yz, 4yz, 5yz | `Sent` when each recipient has its reply, Ready |
/// | Reset | 2yz | Ready |
/// | Quitting | any | Closed |
/// | every other | 421 | `Sent` for an open message, `Failed`, Closed |
/// | | anything else | the same |
#[derive(Debug)]
pub(super) enum State {
    /// Nothing was polled yet.
    Connecting,
    Greeting,
    Hello(HelloVerb),
    StartTls,
    Upgrading,
    Ready {
        asked: bool,
    },
    Mail(Transaction),
    Rcpt(Transaction),
    Data(Transaction),
    Body {
        transaction: Transaction,
        encoder: DotEncoder,
        asked: bool,
    },
    EndOfData(Transaction),
    Reset,
    Quitting(CloseReason),
    Closed(CloseReason),
}

impl State {
    /// The question that the embedder has to answer.
    pub(super) const fn question(&self) -> Option<&'static str> {
        match self {
            State::Ready { asked: true } => Some("Ready"),
            State::Body { asked: true, .. } => Some("NeedBody"),
            _ => None,
        }
    }

    /// Whether a reply to something that we sent (or the greeting) is due.
    pub(super) const fn awaits_reply(&self) -> bool {
        !matches!(self, State::Upgrading | State::Ready { .. } | State::Body { .. } | State::Closed(_))
    }

    const fn phase(&self) -> Phase {
        match self {
            State::Connecting | State::Greeting => Phase::Greeting,
            State::Hello(_) => Phase::Hello,
            State::StartTls | State::Upgrading => Phase::StartTls,
            State::Ready { .. } => Phase::Idle,
            State::Mail(_) => Phase::Mail,
            State::Rcpt(_) => Phase::Rcpt,
            State::Data(_) => Phase::Data,
            State::Body { .. } => Phase::Body,
            State::EndOfData(_) => Phase::EndOfData,
            State::Reset => Phase::Reset,
            State::Quitting(_) | State::Closed(_) => Phase::Quit,
        }
    }

    pub(super) fn into_transaction(self) -> Option<Transaction> {
        match self {
            State::Mail(transaction)
            | State::Rcpt(transaction)
            | State::Data(transaction)
            | State::Body { transaction, .. }
            | State::EndOfData(transaction) => Some(transaction),
            _ => None,
        }
    }
}

/// Takes the state out for a transition. What is left says "closed", so that a transition that forgets to put a state back
/// ends the session and nothing worse.
pub(super) const fn take(state: &mut State) -> State {
    mem::replace(state, State::Closed(CloseReason::Failed))
}

impl ClientSession {
    /// Takes a whole reply. `early`: it began before all of what it should answer had left.
    pub(super) fn on_reply(&mut self, state: State, raw: &RawReply, early: bool) -> State {
        let reply = raw.to_reply();
        let class = reply.code() / 100;
        match (state, class) {
            (State::Quitting(reason) | State::Closed(reason), _) => self.close(reason),
            // RFC 5321 §3.8: 421 may answer any command, and may come when nothing was asked.
            (state, _) if reply.code() == 421 => self.fail(state, FailureCause::Closing, Some(reply)),
            (state @ State::Body { .. }, 4 | 5) => self.fail(state, FailureCause::BodyRefused, Some(reply)),
            (state @ State::EndOfData(_), 4 | 5) if early => self.fail(state, FailureCause::BodyRefused, Some(reply)),
            (state, _) if early => self.fail(state, FailureCause::UnaskedReply, Some(reply)),

            (State::Connecting | State::Greeting, 2) => self.hello(),
            (State::Hello(verb), 2) => {
                self.capabilities =
                    if verb == HelloVerb::Helo { Capabilities::default() } else { Capabilities::from_reply(raw) };
                self.identified()
            }
            (State::Hello(HelloVerb::Ehlo), 5) if self.needs_tls() => {
                self.refuse(State::Hello(HelloVerb::Ehlo), FailureCause::TlsNotOffered, reply)
            }
            // RFC 5321 §3.2: a server that knows no EHLO says 500 or 502; others that do not want it are tried, too.
            (State::Hello(HelloVerb::Ehlo), 5) => {
                self.command(&format!("HELO {}", self.config.hello_name()), self.config.timeouts.hello);
                State::Hello(HelloVerb::Helo)
            }
            (State::StartTls, 2) if reply.code() == 220 => {
                self.timer = None;
                State::Upgrading
            }
            (State::StartTls, 4 | 5) if self.needs_tls() => {
                self.refuse(State::StartTls, FailureCause::TlsRefused, reply)
            }
            (State::StartTls, 4 | 5) => self.ready(),
            (state @ (State::Connecting | State::Greeting | State::Hello(_) | State::Reset), 4 | 5) => {
                self.refuse(state, FailureCause::Refused, reply)
            }

            (State::Mail(transaction), 2) => self.next_rcpt(transaction),
            (State::Mail(transaction), 4 | 5) => {
                self.events.push_back(Event::Sent(transaction.end(Some(&reply))));
                self.ready()
            }
            (State::Rcpt(mut transaction), 2 | 4 | 5) => {
                let index = transaction.rcpt_replied(reply.clone());
                self.events.push_back(Event::RcptReply { index, reply });
                self.next_rcpt(transaction)
            }
            (State::Data(transaction), 3) => {
                self.timer = None;
                State::Body { transaction, encoder: DotEncoder::new(), asked: false }
            }
            (State::Data(transaction), 4 | 5) => self.reset(transaction, Some(&reply)),
            (State::EndOfData(mut transaction), 2 | 4 | 5) => {
                match self.config.protocol {
                    Protocol::Smtp => transaction.all_replied(&reply),
                    Protocol::Lmtp => transaction.one_replied(reply),
                }
                if transaction.has_accepted() {
                    return State::EndOfData(transaction);
                }
                self.events.push_back(Event::Sent(transaction.end(None)));
                self.ready()
            }
            (State::Reset, 2) => self.ready(),
            (state, _) => self.fail(state, FailureCause::UnexpectedReply, Some(reply)),
        }
    }

    /// Begins a message, or is through with it if there is nobody whom this server could take.
    pub(super) fn begin(&mut self, mut transaction: Transaction) -> State {
        if transaction.next_rcpt().is_none() {
            self.events.push_back(Event::Sent(transaction.end(None)));
            return self.ready();
        }
        let envelope = transaction.envelope();
        // RFC 1870 §5: the size is told to whoever says that it wants to know.
        let size = envelope.size.filter(|_| self.capabilities.has("SIZE"));
        let eight_bit = envelope.body == BodyKind::EightBitMime;
        let parameters = MailParameters { size, eight_bit, utf8: transaction.needs_utf8() };
        self.command(&format!("MAIL FROM:{}{parameters}", envelope.from), self.config.timeouts.mail);
        State::Mail(transaction)
    }

    fn next_rcpt(&mut self, mut transaction: Transaction) -> State {
        if let Some((_, to)) = transaction.next_rcpt() {
            self.command(&format!("RCPT TO:{to}"), self.config.timeouts.rcpt);
            State::Rcpt(transaction)
        } else if transaction.has_accepted() {
            self.command("DATA", self.config.timeouts.data_start);
            State::Data(transaction)
        } else {
            self.reset(transaction, None)
        }
    }

    /// Ends a message that the server has heard of and does not take.
    fn reset(&mut self, transaction: Transaction, reply: Option<&Reply>) -> State {
        self.events.push_back(Event::Sent(transaction.end(reply)));
        self.command("RSET", self.config.timeouts.quit);
        State::Reset
    }

    pub(super) fn hello(&mut self) -> State {
        // RFC 2033 §4.1: LHLO, and no way back to HELO.
        let (verb, name) = match self.config.protocol {
            Protocol::Smtp => (HelloVerb::Ehlo, "EHLO"),
            Protocol::Lmtp => (HelloVerb::Lhlo, "LHLO"),
        };
        self.command(&format!("{name} {}", self.config.hello_name()), self.config.timeouts.hello);
        State::Hello(verb)
    }

    fn identified(&mut self) -> State {
        let offered = self.capabilities.has("STARTTLS");
        match self.config.starttls {
            StartTls::IfOffered | StartTls::Required if self.tls.is_none() && offered => {
                self.command("STARTTLS", self.config.timeouts.hello);
                State::StartTls
            }
            _ if self.needs_tls() => {
                self.failed(Phase::StartTls, FailureCause::TlsNotOffered, None);
                self.quit(CloseReason::Failed)
            }
            _ => self.ready(),
        }
    }

    fn needs_tls(&self) -> bool {
        self.config.starttls == StartTls::Required && self.tls.is_none()
    }

    fn ready(&mut self) -> State {
        self.timer = None;
        State::Ready { asked: false }
    }

    /// Says goodbye. Commands that have not left are taken back.
    pub(super) fn quit(&mut self, reason: CloseReason) -> State {
        self.clear_output();
        self.command("QUIT", self.config.timeouts.quit);
        State::Quitting(reason)
    }

    /// The server said no to the session: it gets a goodbye (RFC 5321 §3.1, §4.1.1.10).
    fn refuse(&mut self, state: State, cause: FailureCause, reply: Reply) -> State {
        self.failed(state.phase(), cause, Some(reply));
        self.quit(CloseReason::Failed)
    }

    /// Gives the connection up at once: there is nobody to say goodbye to, or no telling what the server would take it for.
    /// An open message is settled first.
    pub(super) fn fail(&mut self, state: State, cause: FailureCause, reply: Option<Reply>) -> State {
        if let State::Quitting(reason) | State::Closed(reason) = state {
            return self.close(reason);
        }
        let phase = state.phase();
        let verdict = match cause {
            FailureCause::Closing => reply.as_ref(),
            // In LMTP one refusal is one recipient's, and which one it is cannot be known before the end of data.
            FailureCause::BodyRefused if self.config.protocol == Protocol::Smtp => reply.as_ref(),
            _ => None,
        };
        self.settle(state, reply.clone(), verdict);
        self.failed(phase, cause, reply);
        self.close(CloseReason::Failed)
    }

    /// Takes back an open question for the message and tells the outcome.
    fn settle(&mut self, state: State, words: Option<Reply>, verdict: Option<&Reply>) {
        if matches!(state, State::Body { asked: true, .. }) {
            self.events.push_back(Event::BodyRefused { reply: words });
        }
        if let Some(transaction) = state.into_transaction() {
            self.events.push_back(Event::Sent(transaction.end(verdict)));
        }
    }

    /// Our side stops: gives up what is not with the server yet, waits for what may be.
    pub(super) fn stop(&mut self, state: State) -> State {
        match state {
            State::EndOfData(_) | State::Quitting(_) | State::Closed(_) | State::Upgrading => state,
            // QUIT would be a line of the message, and the end mark would deliver it.
            State::Body { .. } => {
                self.settle(state, None, None);
                self.close(CloseReason::ShutDown)
            }
            state => {
                self.settle(state, None, None);
                self.quit(CloseReason::ShutDown)
            }
        }
    }

    /// The end: nothing is sent any more, and nothing is waited for.
    pub(super) fn close(&mut self, reason: CloseReason) -> State {
        self.clear_output();
        self.timer = None;
        State::Closed(reason)
    }

    fn failed(&mut self, phase: Phase, cause: FailureCause, reply: Option<Reply>) {
        self.events.push_back(Event::Failed(Failure { phase, cause, reply }));
    }

    /// Writes a command and starts the clock for its reply.
    fn command(&mut self, line: &str, timeout: Duration) {
        self.output.extend_from_slice(line.as_bytes());
        self.output.extend_from_slice(b"\r\n");
        self.timer = Some(self.now + timeout);
    }
}

struct MailParameters {
    size: Option<u64>,
    eight_bit: bool,
    utf8: bool,
}

impl fmt::Display for MailParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(size) = self.size {
            write!(f, " SIZE={size}")?;
        }
        if self.eight_bit {
            f.write_str(" BODY=8BITMIME")?;
        }
        if self.utf8 {
            f.write_str(" SMTPUTF8")?;
        }
        Ok(())
    }
}
