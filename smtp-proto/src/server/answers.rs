//! What becomes of the embedder's answers.

use alloc::string::String;

use pillarbox_core::{Misuse, Reply, Time};

use super::body::{Body, Fault};
use super::session::ServerSession;
use super::state::{Question, State};
use super::{Answer, CloseReason, HelloVerb, Protocol, Why, replies};

impl ServerSession {
    /// Answers the open question. While a message arrives `Refuse` and `Hangup` are legal without one: the rest of the message
    /// is then eaten, and the reply sent at its end.
    ///
    /// # Errors
    ///
    /// [`Misuse`] if no question is open, or the answer (or the code of its reply) does not fit it. Nothing has changed then.
    pub fn answer(&mut self, now: Time, answer: Answer<'_>) -> Result<(), Misuse> {
        let name = match (&self.question, &self.state) {
            (Some(question), _) => question.name(),
            (None, State::Body(body) | State::Chunks(body)) if body.is_wanted() => "Body",
            _ => return Err(Misuse::NoOpenQuestion),
        };
        check(name, &answer)?;
        let answer = match (&self.question, answer) {
            (Some(Question::Outcome), Answer::Refuse(reply)) if self.config.protocol == Protocol::Lmtp => {
                Answer::Refuse(without_closing(reply))
            }
            (_, answer) => answer,
        };
        let now = self.begin_answer(now);
        let question = self.question.take();
        if let Some(reply) = as_hangup(&question, &answer) {
            if let Some(Question::Outcome) = question {
                self.count_outcome();
            }
            self.close(CloseReason::Refused, Some(&replies::with_code(reply.clone())));
            return Ok(());
        }
        match (question, answer) {
            (None, Answer::Refuse(reply)) => {
                if let State::Body(body) | State::Chunks(body) = &mut self.state {
                    body.refuse(replies::with_code(reply));
                    self.abandoned = Some(Why::Refused);
                }
            }
            (Some(Question::Connect), Answer::Refuse(reply)) => {
                // RFC 5321 §3.1: after 554 the server waits for QUIT.
                self.state = State::TurnedAway;
                self.write(&reply);
            }
            (Some(question), Answer::Refuse(reply)) => self.refused(question, replies::with_code(reply)),
            (Some(Question::Login(_)), Answer::LoggedIn(identity)) => self.logged_in(identity),
            (Some(Question::ScramKeys(login)), Answer::ScramKeys(keys)) => self.keys(login, keys),
            (Some(Question::CramChallenge), Answer::CramChallenge(challenge)) => self.begin_cram(challenge),
            (Some(question), Answer::AcceptWith(reply)) => self.accepted(now, question, Some(reply)),
            (Some(question), _) => self.accepted(now, question, None),
            (None, _) => unreachable!("checked above: only Refuse and Hangup come without a question"),
        }
        Ok(())
    }

    fn accepted(&mut self, now: Time, question: Question, reply: Option<Reply>) {
        let own = match question {
            Question::Connect => {
                self.state = State::Ready;
                let reply = reply.unwrap_or_else(|| replies::greeting(&self.config));
                return self.write(&reply);
            }
            Question::Hello(hello) => {
                // RFC 5321 §4.1.4: as if RSET had been said.
                self.abandon(Why::Hello);
                self.forwarded = false;
                let reply = match hello.verb {
                    HelloVerb::Helo => replies::helo(&self.config),
                    _ => self.offers(),
                };
                self.hello = Some(hello);
                return self.write_in_time(reply);
            }
            Question::StartTls => {
                self.state = State::Upgrading;
                Reply::enhanced(220, 2, 0, 0, "Go ahead with TLS")
            }
            Question::Mail(kind) => {
                self.kind = kind;
                self.forwarded = false;
                self.state = State::Transaction { recipients: 0 };
                Reply::enhanced(250, 2, 1, 0, "The sender is fine")
            }
            Question::Rcpt(domain) => {
                if let State::Transaction { recipients } = &mut self.state {
                    *recipients += 1;
                }
                self.counts.domains.extend(domain);
                Reply::enhanced(250, 2, 1, 5, "The recipient is fine")
            }
            Question::Data => {
                if let State::Transaction { recipients } = self.state {
                    self.state = State::Body(Body::new(now, recipients, &self.config));
                }
                return self.write(&Reply::new(354, "Send the message, and a line with a dot behind it"));
            }
            Question::Chunk { size, last } => return self.begin_chunks(now, size, last),
            Question::Outcome => {
                // A client that delivers mail may make new mistakes.
                self.counts.errors = 0;
                self.counts.idle = 0;
                self.count_outcome();
                Reply::enhanced(250, 2, 0, 0, "The message is safe here")
            }
            Question::Verify | Question::Expand | Question::Etrn => {
                let reply = reply.unwrap_or_else(|| match question {
                    Question::Etrn => Reply::enhanced(250, 2, 0, 0, "The queue is run"),
                    // RFC 5321 §3.5.3
                    _ => Reply::enhanced(252, 2, 5, 0, "Cannot say, but will try to deliver"),
                });
                return self.write_in_time(replies::with_code(reply));
            }
            Question::ScramKeys(_) | Question::CramChallenge | Question::Login(_) | Question::WrongProof => {
                unreachable!("checked before: these are never answered with Accept")
            }
        };
        self.write(&reply.map_or(own, replies::with_code));
    }

    fn refused(&mut self, question: Question, reply: Reply) {
        match question {
            Question::Outcome => self.count_outcome(),
            Question::Mail(_) => self.spoil(),
            Question::Data => self.abandon(Why::Refused),
            Question::Login(login) => return self.login_refused(Some(login), reply),
            Question::ScramKeys(_) | Question::CramChallenge | Question::WrongProof => {
                return self.login_refused(None, reply);
            }
            // RFC 3030 §2: its octets come all the same.
            Question::Chunk { size, last } => return self.begin_stray(size, last, reply, Fault::Refusal),
            _ => {}
        }
        self.write_refusal(reply);
    }

    /// One recipient (LMTP) or all of them (SMTP) have their outcome.
    fn count_outcome(&mut self) {
        if let State::Stored { recipients, next } = &mut self.state {
            *next += 1;
            if self.config.protocol == Protocol::Smtp || *next >= *recipients {
                self.state = State::Ready;
            }
        }
    }
}

impl Question {
    const fn name(&self) -> &'static str {
        match self {
            Question::Connect => "Connect",
            Question::Hello(_) => "Hello",
            Question::StartTls => "StartTls",
            Question::ScramKeys(_) => "ScramKeys",
            Question::CramChallenge => "CramChallenge",
            Question::Login(_) => "Login",
            Question::WrongProof => "WrongProof",
            Question::Mail(_) => "Mail",
            Question::Rcpt(_) => "Rcpt",
            Question::Data | Question::Chunk { .. } => "Data",
            Question::Outcome => "Outcome",
            Question::Verify => "Verify",
            Question::Expand => "Expand",
            Question::Etrn => "Etrn",
        }
    }
}

/// The table of questions and answers on [`Event`](super::Event).
fn check(question: &'static str, answer: &Answer<'_>) -> Result<(), Misuse> {
    let wrong = |answer| Err(Misuse::WrongAnswer { question, answer });
    match (answer, question) {
        (Answer::Accept, "ScramKeys" | "CramChallenge" | "Login" | "WrongProof" | "Body" | "Expand") => wrong("Accept"),
        (Answer::Accept, _) => Ok(()),
        // RFC 5321 §4.3.2: 221, for one, would make the client hang up.
        (Answer::AcceptWith(reply), "Connect" | "Mail" | "Rcpt" | "Outcome" | "Verify" | "Expand" | "Etrn") => {
            match (reply.code(), question) {
                (220, "Connect")
                | (250, "Mail" | "Rcpt" | "Outcome" | "Verify" | "Expand" | "Etrn")
                | (251, "Rcpt" | "Verify" | "Etrn")
                | (252, "Verify" | "Expand" | "Etrn")
                // RFC 1985 §5.1
                | (253, "Etrn") => Ok(()),
                _ => wrong("AcceptWith a code that means something else"),
            }
        }
        (Answer::AcceptWith(_), _) => wrong("AcceptWith"),
        (Answer::LoggedIn(_), "Login") => Ok(()),
        (Answer::LoggedIn(_), _) => wrong("LoggedIn"),
        (Answer::ScramKeys(_), "ScramKeys") => Ok(()),
        (Answer::ScramKeys(_), _) => wrong("ScramKeys"),
        (Answer::CramChallenge(_), "CramChallenge") => Ok(()),
        (Answer::CramChallenge(_), _) => wrong("CramChallenge"),
        (Answer::Refuse(reply), _) if reply.is_positive() => wrong("Refuse with a reply that is not 4yz or 5yz"),
        (Answer::Hangup(reply), _) if reply.is_positive() => wrong("Hangup with a reply that is not 4yz or 5yz"),
        (Answer::Refuse(_) | Answer::Hangup(_), _) => Ok(()),
    }
}

/// The refusal of one recipient of several (RFC 2033 §4.2). To a client 421 is the end of the session (RFC 5321 §3.8): it would
/// not look for the replies behind it, and send the message to those once more who have it.
fn without_closing(reply: Reply) -> Reply {
    match (reply.code(), reply.enhanced_code()) {
        (421, Some(code)) => Reply::enhanced(451, code.class, code.subject, code.detail, String::from(reply.text())),
        (421, None) => Reply::new(451, String::from(reply.text())),
        _ => reply,
    }
}

/// The last reply, if this answer ends the connection.
fn as_hangup<'r>(question: &Option<Question>, answer: &'r Answer<'_>) -> Option<&'r Reply> {
    match answer {
        Answer::Hangup(reply) => Some(reply),
        // RFC 5321 §4.2.2: 421 means that the channel is being closed.
        Answer::Refuse(reply) if reply.code() == 421 => Some(reply),
        // Only a 554 keeps the connection until QUIT (RFC 5321 §3.1).
        Answer::Refuse(reply) if matches!(question, Some(Question::Connect)) && reply.is_temporary() => Some(reply),
        _ => None,
    }
}
