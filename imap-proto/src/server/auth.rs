//! LOGIN, AUTHENTICATE, and the commands of any state.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};

use pillarbox_core::line::{LineScanner, Scan};
use pillarbox_core::sasl::{self, Credentials, Mechanism, Progress, SaslError, ScramAnswer, ServerExchange};

use super::read::Served;
use super::reply::End;
use super::session::{Asked, Doing, Enabled, Next, Standing};
use super::{CloseReason, Event, ServerSession};
use crate::types::ResponseCode;
use crate::wire::encode::{push, string};

/// A SASL exchange that is under way.
#[derive(Debug)]
pub(super) struct Login {
    mechanism: Mechanism,
    exchange: ServerExchange,
    /// The exchange has failed, and the client was told why. It gets this once it has said that it heard (RFC 7628 §3.2.3).
    refusal: Option<End>,
}

impl ServerSession {
    /// RFC 9051 §6.1.1
    pub(super) fn capability<'b>(&mut self) -> Served<'b> {
        let capabilities = self.capabilities();
        push(self.out.end(), format_args!("* {capabilities}\r\n"));
        self.finish(End::ok("Capabilities told"));
        Ok(None)
    }

    /// RFC 2971 §3.1: we tell nothing about ourselves, and believe nothing of what we are told.
    pub(super) fn id<'b>(&mut self) -> Served<'b> {
        push(self.out.end(), format_args!("* ID NIL\r\n"));
        self.finish(End::ok("No more to tell"));
        Ok(None)
    }

    /// RFC 5161 §3.1: what is known and was not enabled before is enabled and told; the rest is no error.
    pub(super) fn enable<'b>(&mut self, names: &[&str]) -> Served<'b> {
        let extensions = &self.config.extensions;
        let enabled = &mut self.enabled;
        let mut told = String::new();
        for (name, offered, is_on) in [
            // RFC 9051 Appendix A
            ("IMAP4rev2", extensions.offers_rev2(), &mut enabled.rev2),
            // RFC 6855 §3
            ("UTF8=ACCEPT", extensions.utf8, &mut enabled.utf8),
            // RFC 9586
            ("UIDONLY", extensions.uid_only, &mut enabled.uid_only),
            // RFC 7162 §3.1, §3.2.3
            ("CONDSTORE", extensions.condstore, &mut enabled.condstore),
            ("QRESYNC", extensions.offers_qresync(), &mut enabled.qresync),
        ] {
            if offered && !*is_on && names.iter().any(|asked| asked.eq_ignore_ascii_case(name)) {
                *is_on = true;
                told.push(' ');
                told.push_str(name);
            }
        }
        push(self.out.end(), format_args!("* ENABLED{told}\r\n"));
        if self.enabled.condstore || self.enabled.qresync {
            self.enable_condstore();
        }
        if let Standing::Selected { mailbox, .. } = &mut self.standing
            && self.enabled.qresync
        {
            mailbox.view.tell_vanished();
        }
        if let Standing::Selected { mailbox, .. } = &mut self.standing
            && self.enabled.uid_only
        {
            mailbox.view.tell_uids_only();
        }
        self.finish(End::ok("Enabled"));
        Ok(None)
    }

    /// RFC 8437 §3: everything is as it was before login, but for TLS.
    pub(super) fn unauthenticate<'b>(&mut self) -> Served<'b> {
        if !self.config.extensions.unauthenticate {
            return Err(End::bad("UNAUTHENTICATE is not on offer"));
        }
        if self.deselect() {
            self.queue.push_back(Event::Deselected);
        }
        self.queue.push_back(Event::Unauthenticated);
        self.standing = Standing::NotAuthenticated;
        self.enabled = Enabled::default();
        self.may_set_quota = false;
        self.notify = None;
        self.timer.begin_again();
        // RFC 8437 §3: there is no NO.
        self.finish(End::ok("Who next?"));
        Ok(None)
    }

    /// RFC 9051 §6.1.3
    pub(super) fn logout<'b>(&mut self) -> Served<'b> {
        self.untagged("BYE", None, "Goodbye");
        let tag = core::mem::take(&mut self.running.tag);
        push(self.out.end(), format_args!("{tag} OK Logged out\r\n"));
        self.close(CloseReason::Logout);
        Ok(None)
    }

    fn refuse_clear_text(&self) -> Result<(), End> {
        if self.takes_passwords() {
            return Ok(());
        }
        // RFC 5530 §3
        Err(End::no(&ResponseCode::PrivacyRequired, "Use TLS before you tell a password"))
    }

    /// RFC 9051 §6.2.3
    pub(super) fn login<'b>(&mut self, user: &[u8], password: &[u8]) -> Served<'b> {
        self.refuse_clear_text()?;
        let (Ok(user), Ok(password)) = (core::str::from_utf8(user), core::str::from_utf8(password)) else {
            return self.login_failed();
        };
        if user.is_empty() || password.is_empty() {
            return self.login_failed();
        }
        let credentials = Credentials::plain("", user, password);
        Ok(self.ask(Asked::Login(None), Event::Login { mechanism: Mechanism::Plain, credentials }))
    }

    /// Credentials that nobody needs to judge. The client is told no more than if somebody had.
    fn login_failed<'b>(&mut self) -> Served<'b> {
        self.login_refused(None, None, Cow::Borrowed("Wrong name or password"));
        Ok(None)
    }

    /// RFC 9051 §6.2.2
    pub(super) fn authenticate<'b>(&mut self, mechanism: &str, initial_response: Option<&[u8]>) -> Served<'b> {
        let unknown = || End::no(&ResponseCode::Cannot, "This mechanism is not on offer");
        let mechanism = Mechanism::parse(mechanism).ok_or_else(unknown)?;
        self.refuse_clear_text()?;
        let exchange = ServerExchange::among(&self.config.mechanisms, &mechanism, self.tls.as_ref());
        let mut exchange = exchange.map_err(|_| unknown())?;
        let progress = match initial_response.map(sasl::decode_initial_response).transpose() {
            Ok(response) => exchange.start(response.as_deref()),
            Err(error) => Progress::Failed(error),
        };
        Ok(self.progress(Login { mechanism, exchange, refusal: None }, progress))
    }

    /// A line within AUTHENTICATE, whatever it looks like, is a response.
    pub(super) fn read_sasl<'b>(&mut self, input: &mut &'b [u8]) -> Next<'b> {
        let Doing::Sasl { scanner, .. } = &mut self.doing else { return Next::Again };
        let len = match scanner.scan(input, sasl::LINE_MAX) {
            Scan::Incomplete => return Next::NeedInput,
            Scan::TooLong => {
                self.bye(CloseReason::TooManyErrors, Some("TOOBIG"), "This response is too long");
                return Next::Again;
            }
            Scan::Line { len } => len,
        };
        let (line, rest) = input.split_at(len);
        *input = rest;
        let Doing::Sasl { mut login, .. } = core::mem::replace(&mut self.doing, Doing::Reading) else {
            return Next::Again;
        };
        if let Some(end) = login.refusal {
            // RFC 7628 §3.2.3: whatever was answered, and if it is `*`.
            self.finish_refused(end);
            return Next::Again;
        }
        let progress = match sasl::decode_response(&line[..len - 2]) {
            Ok(response) => login.exchange.respond(&response),
            Err(error) => Progress::Failed(error),
        };
        match self.progress(login, progress) {
            Some(event) => Next::Event(event),
            None => Next::Again,
        }
    }

    /// What an exchange came to.
    fn progress<'b>(&mut self, login: Login, progress: Progress) -> Option<Event<'b>> {
        let mechanism = login.mechanism.clone();
        match progress {
            Progress::Challenge(challenge) => {
                self.challenge(login, &challenge);
                None
            }
            Progress::Credentials(credentials) => {
                self.ask(Asked::Login(Some(login)), Event::Login { mechanism, credentials })
            }
            Progress::NeedsKeys { user, hash } => {
                self.ask(Asked::ScramKeys(login), Event::ScramKeys { mechanism, user, hash })
            }
            Progress::Refused { authentication_id } => {
                self.ask(Asked::WrongProof, Event::WrongProof { mechanism, authentication_id })
            }
            // RFC 9051 §6.2.2: a client that gives up, or sends no base64, is told BAD.
            Progress::Failed(error @ (SaslError::Cancelled | SaslError::BadBase64)) => {
                self.finish(End::bad(error.to_string()));
                None
            }
            Progress::Failed(error) => {
                self.login_refused(None, None, error.to_string().into());
                None
            }
            // A kind of progress from a later version has no words in this one.
            _ => {
                self.login_refused(None, None, "Not supported".into());
                None
            }
        }
    }

    fn challenge(&mut self, login: Login, challenge: &[u8]) {
        push(self.out.end(), format_args!("+ {}\r\n", sasl::encode(challenge)));
        self.doing = Doing::Sasl { login, scanner: LineScanner::new() };
    }

    /// The keys that were asked for.
    pub(super) fn keys(&mut self, mut login: Login, answer: ScramAnswer) {
        match login.exchange.keys(answer) {
            Progress::Challenge(challenge) => self.challenge(login, &challenge),
            Progress::Failed(error) => self.login_refused(None, None, error.to_string().into()),
            _ => self.login_refused(None, None, "Not supported".into()),
        }
    }

    /// The credentials are good.
    pub(super) fn logged_in(&mut self, identity: String) {
        self.standing = Standing::Authenticated { identity };
        self.bad = 0;
        let capabilities = self.capabilities();
        self.finish(End::ok_with(capabilities, "Logged in"));
    }

    /// The credentials are not good. A failed login counts as a refused command: three guesses a connection.
    pub(super) fn login_refused(&mut self, login: Option<Login>, code: Option<ResponseCode>, text: Cow<'_, str>) {
        let code = code.unwrap_or(ResponseCode::AuthenticationFailed);
        let end = End::no(&code, text.into_owned());
        if let Some(Login { mechanism, exchange, .. }) = login
            && code != ResponseCode::Unavailable
            && let Some(challenge) = exchange.clone().refuse()
        {
            return self.challenge(Login { mechanism, exchange, refusal: Some(end) }, challenge);
        }
        self.finish_refused(end);
    }

    fn finish_refused(&mut self, end: End) {
        self.finish(end);
        self.count_bad();
    }

    /// RFC 2342 §5: of each kind one namespace at most.
    pub(super) fn namespace<'b>(&mut self) -> Served<'b> {
        let out = self.out.end();
        push(out, format_args!("* NAMESPACE"));
        let config = &self.config;
        for prefix in [&Some(config.namespace_prefix.clone()), &config.other_users_prefix, &config.shared_prefix] {
            match prefix {
                Some(prefix) => {
                    push(out, format_args!(" (("));
                    string(out, prefix.as_bytes());
                    push(out, format_args!(" \"{}\"))", config.separator.as_char()));
                }
                None => out.extend_from_slice(b" NIL"),
            }
        }
        out.extend_from_slice(b"\r\n");
        self.finish(End::ok("Namespaces told"));
        Ok(None)
    }
}
