//! Reading commands: framing, the table, the state, the parser; then the family that serves it.

use alloc::borrow::Cow;

use pillarbox_core::Secret;

use super::append::before_announcement;
use super::messages::StoreArguments;
use super::metadata::value_too_large;
use super::reply::{End, Verdict};
use super::search::Returned;
use super::session::{Doing, Next, Standing};
use super::{CloseReason, Event, ServerSession};
use crate::command::{CommandRow, States, row_of};
use crate::types::{MailboxName, MailboxNameError, NameEncoding, ResponseCode, Uid};
use crate::wire::frame::{Framed, LiteralHeader, Skipper};
use crate::wire::parse::{self, Command};

/// What serving a command came to: an event, nothing more to say, or a refusal.
pub(super) type Served<'b> = Result<Option<Event<'b>>, End>;

/// The most octets of a line that a log is shown.
const SHOWN_MAX: usize = 512;

/// The most octets of a literal that comes unasked under LITERAL- (RFC 7888 §5).
const UNASKED_MAX: u64 = 4096;

/// First words of other protocols, which a browser or a mail program on the wrong port sends.
const FOREIGN: [&str; 16] = [
    "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "PRI", "EHLO", "HELO", "LHLO",
    "USER", "PROXY", "RSET",
];

impl ServerSession {
    pub(super) fn read_command<'b>(&mut self, input: &mut &'b [u8]) -> Next<'b> {
        let bytes: &'b [u8] = input;
        let stranger = matches!(self.standing, Standing::NotAuthenticated);
        if stranger && bytes.first().is_some_and(|&b| !matches!(b, b'\r' | b'\n' | b' '..=b'~')) {
            // A TLS ClientHello, a remote desktop, anything binary: no line will ever come.
            self.close(CloseReason::Synchronisation);
            return Next::Again;
        }
        let limits = *self.frame_limits();
        match self.framer.frame(bytes, &limits) {
            Framed::Incomplete => Next::NeedInput,
            Framed::Command { len } => {
                *input = &bytes[len..];
                let rest = self.begin(&bytes[..len - 2]);
                if stranger && is_foreign(bytes) {
                    // ALPACA: another protocol's request may carry commands of ours further down.
                    let event = self.show(&bytes[..len], "BYE this is an IMAP server".into());
                    self.bye(CloseReason::Synchronisation, None, "This is an IMAP server");
                    return Next::Event(event);
                }
                let served = self.serve(rest);
                self.next_line_is_secret &= served.is_err();
                self.served(served, &bytes[..len])
            }
            Framed::Literal { header, len } => self.literal(input, header, len),
            Framed::TooLong { len, text } => {
                *input = &bytes[len..];
                self.begin(&bytes[..len]);
                let end = End::bad_with("TOOBIG", "The command is too long");
                let event = self.show(&bytes[..len], end.told());
                self.doing = Doing::Skipping { skipper: Skipper::behind(&bytes[text..len], limits.skip_max), end };
                Next::Event(event)
            }
        }
    }

    /// A command begins: its tag is known from here on. Gives what stands behind it; none if there is no tag.
    fn begin<'b>(&mut self, line: &'b [u8]) -> Option<&'b [u8]> {
        self.running.row = None;
        self.running.seqs_in_search = false;
        self.running.taken_from = None;
        self.running.tells_all = false;
        self.running.progress_told = self.timer.now;
        self.running.tag.clear();
        let Some((tag, rest)) = parse::tag(line) else {
            self.running.tag.push('*');
            return None;
        };
        self.running.tag.push_str(tag.as_str());
        Some(rest)
    }

    /// Turns what serving came to into the next step; `line` is shown where it was refused.
    pub(super) fn served<'b>(&mut self, served: Served<'b>, line: &'b [u8]) -> Next<'b> {
        match served {
            Ok(Some(event)) => Next::Event(event),
            Ok(None) => Next::Again,
            Err(end) => {
                let event = self.show(line, end.told());
                // A stranger is refused a few times who wants in, and not who asks for what everybody may (RFC 5255 §3.2).
                let is_for_all = self.running.row.is_some_and(|row| row.states == States::Any);
                let is_stranger = matches!(self.standing, Standing::NotAuthenticated);
                let counts = end.verdict == Verdict::No && is_stranger && !is_for_all;
                self.finish(end);
                if counts {
                    self.count_bad();
                }
                Next::Event(event)
            }
        }
    }

    /// The event for the log. Nobody's password is in it: a client that does not wait sends it behind a refused LOGIN or
    /// AUTHENTICATE, so the lines behind one are not shown until a command is served.
    fn show<'b>(&mut self, line: &'b [u8], told: Cow<'static, str>) -> Event<'b> {
        let (seen, of_login) = shown(line);
        let line = if self.next_line_is_secret { &[][..] } else { seen };
        self.next_line_is_secret |= of_login;
        Event::Refused { line, told }
    }

    /// The row of a command, if it may be given now.
    fn row(&mut self, rest: &[u8]) -> Result<(&'static CommandRow, usize), End> {
        let (row, arguments) = parse::row(rest).ok_or_else(|| End::bad("Unknown command"))?;
        let allowed = match (&self.standing, row.states) {
            (_, States::Any)
            | (Standing::NotAuthenticated, States::NotAuthenticated)
            | (Standing::Authenticated { .. }, States::Authenticated)
            | (Standing::Selected { .. }, States::Authenticated | States::Selected) => true,
            (Standing::NotAuthenticated, _) => return Err(End::bad("Log in first")),
            (_, States::NotAuthenticated) => return Err(End::bad("Already logged in")),
            (Standing::Authenticated { .. }, States::Selected) => return Err(End::bad("No mailbox is selected")),
        };
        debug_assert!(allowed, "every other pair was refused above");
        if row.uses_seqs && self.enabled.uid_only {
            return Err(uid_required());
        }
        self.running.row = Some(row);
        Ok((row, rest.len() - arguments.len()))
    }

    /// Serves a whole command, of which `rest` is what stands between its tag and its last line end.
    fn serve<'b>(&mut self, rest: Option<&'b [u8]>) -> Served<'b> {
        let rest = rest.ok_or_else(|| End::bad("A command begins with a tag"))?;
        let (row, at) = self.row(rest)?;
        match parse::read_arguments(row, &rest[at..]) {
            Some(command) => self.run(command),
            None => Err(End::bad(alloc::format!("Syntax error in the arguments of {}", row.name))),
        }
    }

    fn run<'b>(&mut self, command: Command<'b>) -> Served<'b> {
        match command {
            Command::Acl(command) => self.acl(command),
            Command::Append { parts } => self.append_parts(parts),
            Command::Authenticate { mechanism, initial_response } => {
                self.authenticate(mechanism, initial_response.map(Secret::into_exposed))
            }
            Command::CancelUpdate(tags) => self.cancel_update(&tags),
            Command::Capability => self.capability(),
            // RFC 9051 Appendix E, 17
            Command::Check if self.enabled.rev2 => Err(End::bad("There is no CHECK in IMAP4rev2")),
            Command::Check | Command::Noop => self.noop(),
            Command::Close => self.close_mailbox(),
            Command::Comparator(orders) => self.comparator(&orders),
            Command::Compress => self.compress(),
            Command::Copy { set, mailbox, uid } => self.copy(&set, &mailbox, uid),
            Command::Create { mailbox, uses } => self.create(&mailbox, uses),
            Command::Delete(mailbox) => self.delete(&mailbox),
            Command::Enable(names) => self.enable(&names),
            Command::Esearch { sources, key, returns, wanted, charset } => {
                self.esearch(sources, key, Returned { returns, wanted }, charset)
            }
            Command::Expunge { only } => self.expunge(only.as_ref()),
            Command::Fetch { set, wanted, modifiers, uid } => {
                let modifiers = self.fetch_modifiers(&modifiers, uid)?;
                self.fetch(&set, wanted, modifiers, uid)
            }
            Command::Id => self.id(),
            Command::Idle => self.idle(),
            Command::Language(ranges) => self.language(&ranges),
            // RFC 9051 Appendix E, 19
            Command::List(list) if list.lsub && self.enabled.rev2 => Err(End::bad("There is no LSUB in IMAP4rev2")),
            Command::List(list) => self.list(list),
            Command::Login { user, password } => self.login(&user, password.expose()),
            Command::Logout => self.logout(),
            Command::Metadata(command) => self.metadata(command),
            Command::Move { set, mailbox, uid } => self.move_messages(&set, &mailbox, uid),
            Command::Namespace => self.namespace(),
            Command::Notify(command) => self.notify_command(command),
            Command::Quota(command) => self.quota(command),
            Command::Rename { from, to } => self.rename(&from, &to),
            Command::Replace { message, parts, uid } => self.replace_parts(message, parts, uid),
            Command::Search { key, returns, wanted, charset, uid } => {
                self.search(key, Returned { returns, wanted }, charset, uid)
            }
            Command::Select { mailbox, parameters, read_only } => {
                let parameters = self.select_parameters(&parameters)?;
                self.select(&mailbox, parameters, read_only)
            }
            Command::Sort { criteria, key, returns, wanted, uid } => {
                self.sort(criteria, key, Returned { returns, wanted }, uid)
            }
            Command::StartTls => self.starttls(),
            Command::Status { mailbox, items } => self.status(&mailbox, items),
            Command::Store { set, modifiers, change, flags, silent, uid } => {
                let unchanged_since = self.store_modifiers(&modifiers)?;
                self.store(&set, StoreArguments { change, flags, silent, unchanged_since }, uid)
            }
            Command::Subscribe(mailbox) => self.subscribe(&mailbox, true),
            Command::Thread { algorithm, key, uid } => self.thread(algorithm, key, uid),
            Command::Unauthenticate => self.unauthenticate(),
            Command::Unselect => self.unselect(),
            Command::Unsubscribe(mailbox) => self.subscribe(&mailbox, false),
        }
    }

    /// A literal was announced at the end of the first `len` bytes.
    fn literal<'b>(&mut self, input: &mut &'b [u8], header: LiteralHeader, len: usize) -> Next<'b> {
        let bytes: &'b [u8] = input;
        let so_far = &bytes[..len];
        if let Err(end) = self.refuse_literal_minus(header) {
            self.framer.reset();
            *input = &bytes[len..];
            self.begin(so_far);
            return self.refuse_literal(so_far, header, end, self.config.limits.after_login.skip_max);
        }
        if let Some(append) = self.append_command(so_far, header) {
            self.framer.reset();
            *input = &bytes[len..];
            return match append {
                Ok(event) => Next::Event(event),
                Err(end) => self.refuse_literal(so_far, header, end, self.config.limits.after_login.skip_max),
            };
        }
        let limits = *self.frame_limits();
        if self.framer.accept(header, len, &limits) {
            if header.synchronising {
                self.go_ahead();
            }
            return Next::Again;
        }
        self.framer.reset();
        *input = &bytes[len..];
        let rest = self.begin(so_far);
        // RFC 7888 §5
        let too_large = || End::bad_with("TOOBIG", "The literals of this command are too large");
        let end = rest.and_then(|rest| self.annotation_too_large(rest, header)).unwrap_or_else(too_large);
        self.refuse_literal(so_far, header, end, limits.skip_max)
    }

    /// RFC 7888 §5: where only LITERAL- is on offer, a large literal is not sent without being asked for. Before login the limit
    /// on literals is no larger.
    pub(super) fn refuse_literal_minus(&self, header: LiteralHeader) -> Result<(), End> {
        let minus = !self.config.extensions.literal_plus && !matches!(self.standing, Standing::NotAuthenticated);
        match minus && !header.synchronising && header.size > UNASKED_MAX {
            true => Err(End::bad_with("TOOBIG", "Ask before you send so much")),
            false => Ok(()),
        }
    }

    /// The refusal of a literal that no command can hold, if it is larger than a value of SETMETADATA may be and one was to come.
    /// `rest` is what stands behind the tag.
    fn annotation_too_large(&mut self, rest: &[u8], header: LiteralHeader) -> Option<End> {
        let limits = &self.config.limits;
        let value_max =
            u32::try_from(limits.after_login.literal_max).unwrap_or(u32::MAX).min(limits.metadata_value_max);
        let (name, _) = parse::name(rest);
        let offered = self.config.extensions.metadata || self.config.extensions.metadata_server;
        if !offered || header.size <= u64::from(value_max) || !name.eq_ignore_ascii_case(b"SETMETADATA") {
            return None;
        }
        let (_, at) = self.row(rest).ok()?;
        let names_the_mailbox = before_announcement(rest, header).get(at..).unwrap_or_default().trim_ascii().is_empty();
        (!names_the_mailbox).then(|| value_too_large(value_max))
    }

    /// RFC 9051 §7.6
    pub(super) fn go_ahead(&mut self) {
        self.out.end().extend_from_slice(b"+ Go ahead\r\n");
    }

    /// If the command is an APPEND and the literal its message: the question, or the refusal.
    fn append_command<'b>(&mut self, so_far: &'b [u8], header: LiteralHeader) -> Option<Result<Event<'b>, End>> {
        let (_, rest) = parse::tag(so_far)?;
        let (name, _) = parse::name(rest);
        let named = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        let replaces = named("REPLACE") || named("UID REPLACE");
        if !replaces && !named("APPEND") {
            return None;
        }
        self.begin(so_far);
        let at = match self.row(rest) {
            Ok((_, at)) => at,
            Err(end) => return Some(Err(end)),
        };
        let mut arguments = before_announcement(rest, header).get(at..).unwrap_or_default();
        let replaces = match replaces {
            false => None,
            true => match self.replace_head(arguments, named("UID REPLACE")) {
                Ok((replaced, rest)) => {
                    arguments = rest;
                    Some(replaced)
                }
                Err(end) => return Some(Err(end)),
            },
        };
        let name = if replaces.is_some() { "REPLACE" } else { "APPEND" };
        match parse::append_mailbox(arguments) {
            Ok(None) => None,
            Ok(Some((mailbox, text))) => match parse::append_message(text) {
                Some(message) => Some(self.append(&mailbox, message, header, replaces)),
                None => self.append_with_parts(name, &mailbox, text, header, replaces),
            },
            Err(()) => Some(Err(End::bad(alloc::format!("Syntax error in the arguments of {name}")))),
        }
    }

    /// RFC 8508 §3.2: which message is replaced, and what stands behind its number.
    fn replace_head<'t>(&mut self, arguments: &'t [u8], uid: bool) -> Result<(Uid, &'t [u8]), End> {
        self.refuse_unoffered_replace()?;
        let number = arguments.strip_prefix(b" ").and_then(|text| parse::message_number(text).ok());
        let (rest, message) = number.ok_or_else(|| End::bad("Syntax error in the arguments of REPLACE"))?;
        Ok((self.replaced(message, uid)?, rest))
    }

    /// Refuses a command whose literal will not be taken.
    pub(super) fn refuse_literal<'b>(
        &mut self,
        line: &'b [u8],
        header: LiteralHeader,
        end: End,
        skip_max: u64,
    ) -> Next<'b> {
        if header.synchronising {
            return self.served(Err(end), line);
        }
        let event = self.show(line, end.told());
        self.eat_literal(header, end, skip_max);
        Next::Event(event)
    }

    /// Ends a command whose literal will not be taken. Octets that come unasked are eaten first, so that they are never read as
    /// commands; more than `skip_max` of them are not worth it.
    pub(super) fn eat_literal(&mut self, header: LiteralHeader, end: End, skip_max: u64) {
        if header.synchronising {
            self.finish(end);
        } else if header.size > skip_max {
            // RFC 7888 §4, the second choice
            self.bye(CloseReason::TooManyErrors, Some("TOOBIG"), "This literal is too large");
        } else {
            self.skip_literal(header.size, end);
        }
    }

    /// Eats a literal that comes unasked and the rest of its command, then ends the command.
    pub(super) fn skip_literal(&mut self, size: u64, end: End) {
        let budget = self.frame_limits().skip_max;
        self.doing = Doing::Skipping { skipper: Skipper::new(size, budget), end };
    }

    /// How the client writes names, and reads them.
    pub(super) fn name_encoding(&self) -> NameEncoding {
        match self.enabled.rev2 || self.enabled.utf8 {
            true => NameEncoding::Utf8,
            false => NameEncoding::ModifiedUtf7,
        }
    }

    /// The mailbox that a client named.
    pub(super) fn mailbox_name(&self, octets: &[u8]) -> Result<MailboxName, End> {
        MailboxName::from_wire(octets, self.config.separator, self.name_encoding()).map_err(|error| {
            let code = match error {
                MailboxNameError::TooLong => ResponseCode::Limit,
                _ => ResponseCode::Cannot,
            };
            End::no(&code, alloc::format!("{error}"))
        })
    }
}

/// RFC 9586: a client that knows no sequence numbers has none to give.
pub(super) fn uid_required() -> End {
    End::bad_with("UIDREQUIRED", "There are no sequence numbers after ENABLE UIDONLY")
}

/// Whether this is the first line of another protocol: a word of its own where the tag belongs, and no command behind it.
fn is_foreign(line: &[u8]) -> bool {
    let mut words = line.split(|&b| b == b' ' || b == b'\r');
    let first = words.next().unwrap_or_default();
    let second = words.next().unwrap_or_default();
    let foreign = FOREIGN.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(first)) || first.starts_with(b"SSH-");
    foreign && row_of(second).is_none()
}

/// What a log may show of a line: its beginning, up to where a password could stand; and whether it could.
fn shown(line: &[u8]) -> (&[u8], bool) {
    let line = &line[..line.len().min(SHOWN_MAX)];
    let end_of =
        |word: &[u8]| line.windows(word.len()).position(|w| w.eq_ignore_ascii_case(word)).map(|at| at + word.len());
    let end = [end_of(b"LOGIN"), end_of(b"AUTHENTICATE")].into_iter().flatten().min();
    (line[..end.unwrap_or(line.len())].trim_ascii_end(), end.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (line, seen) in [
            (&b"a LOGIN joe hunter2\r\n"[..], &b"a LOGIN"[..]),
            (b"a  login joe hunter2\r\n", b"a  login"),
            (b"LOGIN joe hunter2\r\n", b"LOGIN"),
            (b"a AUTHENTICATE LOGIN aHVudGVyMg==\r\n", b"a AUTHENTICATE"),
            (b"a FETCH 1 x\r\n", b"a FETCH 1 x"),
        ] {
            assert_eq!(shown(line).0, seen);
        }
        assert_eq!(shown(&[b'x'; 1000]).0.len(), SHOWN_MAX);
    }

    #[test]
    fn other_protocols() {
        for foreign in ["GET / HTTP/1.1\r\n", "post /x HTTP/1.0\r\n", "EHLO x\r\n", "SSH-2.0-x\r\n", "GET\r\n"] {
            assert!(is_foreign(foreign.as_bytes()), "{foreign:?}");
        }
        for own in ["a NOOP\r\n", "get noop\r\n", "POST LOGIN a b\r\n", "\r\n", "getx / y\r\n"] {
            assert!(!is_foreign(own.as_bytes()), "{own:?}");
        }
    }
}
