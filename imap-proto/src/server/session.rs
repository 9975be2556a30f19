//! The session: its state, and what happens next.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use pillarbox_core::line::LineScanner;
use pillarbox_core::sasl;
use pillarbox_core::{Layer, Misuse, Step, Time, TlsFacts};

use super::append::Incoming;
use super::arrivals::{Afterwards, Wanted};
use super::auth::Login;
use super::context::Contexts;
use super::fetch::Fetching;
use super::flags_in_use::FlagsInUse;
use super::list::Listing;
use super::mailbox::Renamed;
use super::messages::Silent;
use super::metadata::Getting;
use super::multisearch::SearchingMailboxes;
use super::notify::Notify;
use super::recheck::Rechecking;
use super::reply::{End, Output};
use super::search::Searching;
use super::sort::Threading;
use super::timer::Timer;
use super::{Answer, Change, CloseReason, Event, Peer, ServerConfig};
use crate::acl::AclQuestion;
use crate::command::CommandRow;
use crate::quota::QuotaQuestion;
use crate::server::StatusItem;
use crate::types::{MailboxName, ModSeq, Uid, UidSet, UidValidity};
use crate::view::View;
use crate::wire::frame::{FrameLimits, Framer, Skipped, Skipper};
use crate::wire::parse::Resync;

/// The server's side of one IMAP connection: bytes and answers in, events and bytes out.
///
/// The loop that drives it, and a whole conversation, are on the [crate's page](crate). What happens is an [`Event`], what
/// the embedder says is an [`Answer`], what changed in the selected mailbox meanwhile is told to
/// [`learn`](ServerSession::learn).
#[derive(Debug)]
pub struct ServerSession {
    pub(super) config: Arc<ServerConfig>,
    pub(super) peer: Peer,
    pub(super) tls: Option<TlsFacts>,
    /// DEFLATE is under the session.
    pub(super) compressed: bool,
    pub(super) standing: Standing,
    pub(super) enabled: Enabled,
    /// What the client wants to hear; none: it never gave a NOTIFY.
    pub(super) notify: Option<Box<Notify>>,
    pub(super) doing: Doing,
    /// The command that is being served, or was last.
    pub(super) running: Running,
    /// Events that lend nothing and go out before anything else happens.
    pub(super) queue: VecDeque<Event<'static>>,
    pub(super) out: Output,
    pub(super) framer: Framer,
    pub(super) timer: Timer,
    /// Commands that were refused.
    pub(super) bad: u32,
    /// The next line may be part of a login that was refused.
    pub(super) next_line_is_secret: bool,
    pub(super) eof: bool,
    pub(super) stopping: bool,
    /// The selected mailbox is no more.
    pub(super) gone: bool,
    /// The user may set limits.
    pub(super) may_set_quota: bool,
}

/// Who the client is, and where (RFC 9051 §3).
#[derive(Debug)]
pub(super) enum Standing {
    NotAuthenticated,
    Authenticated { identity: String },
    Selected { identity: String, mailbox: Box<Selected> },
}

#[derive(Debug)]
pub(super) struct Selected {
    pub(super) view: View,
    pub(super) flags: FlagsInUse,
    pub(super) read_only: bool,
    pub(super) name: MailboxName,
    pub(super) uid_validity: UidValidity,
    /// What `$` means (RFC 5182). May name messages that are gone.
    pub(super) saved: UidSet,
    /// Searches whose results are kept up to date (RFC 5267).
    pub(super) contexts: Contexts,
    /// Messages that this client put here since it was last told of new ones.
    pub(super) brought: UidSet,
}

/// What the client asked for with ENABLE (RFC 5161).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Enabled {
    pub(super) rev2: bool,
    pub(super) utf8: bool,
    pub(super) uid_only: bool,
    /// By that name; what it means is [`mod_seqs`](Self::mod_seqs).
    pub(super) condstore: bool,
    pub(super) qresync: bool,
    /// The client is told mod-sequences, because it gave a command that asks for that (RFC 7162 §3.1).
    pub(super) mod_seqs: bool,
}

/// What the session is at.
#[derive(Debug)]
pub(super) enum Doing {
    /// Nothing was said yet.
    Connecting,
    /// Waiting for a command, or for the rest of one.
    Reading,
    /// Eating a refused command; then comes the refusal.
    Skipping {
        skipper: Skipper,
        end: End,
    },
    /// Inside AUTHENTICATE, waiting for a response.
    Sasl {
        login: Login,
        scanner: LineScanner,
    },
    /// A message of APPEND arrives.
    Appending {
        left: u64,
        incoming: Incoming,
    },
    /// A message of APPEND is there; what stands behind it is not.
    AppendTail {
        incoming: Incoming,
    },
    /// A message of parts comes.
    Catenating(Incoming),
    /// Inside IDLE.
    Idling {
        scanner: LineScanner,
    },
    /// A question is open.
    Asked(Asked),
    /// A layer is to be started. `announced`: where in the output the go-ahead is.
    Upgrading {
        layer: Layer,
        announced: Option<u64>,
    },
    Closed(CloseReason),
}

/// The open question, with what its answer needs.
#[derive(Debug)]
pub(super) enum Asked {
    Acl(AclQuestion),
    Quota(QuotaQuestion),
    GetMetadata(Getting),
    SetMetadata,
    Connect,
    StartTls,
    ScramKeys(Login),
    /// None with LOGIN, which is no exchange.
    Login(Option<Login>),
    WrongProof,
    List(Listing),
    Status {
        mailbox: MailboxName,
        items: alloc::vec::Vec<StatusItem>,
    },
    Select {
        mailbox: MailboxName,
        read_only: bool,
        told: Renamed,
        resync: Option<Resync>,
    },
    Create {
        told: Renamed,
    },
    /// DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE.
    Simple {
        told: Renamed,
    },
    AppendStart(Incoming),
    /// A part that a URL names is to be copied.
    AppendPart(Incoming, Box<[u8]>),
    AppendEnd {
        mailbox: MailboxName,
        replaces: Option<Uid>,
    },
    Sync {
        idle: bool,
    },
    /// What happened in the selected mailbox, once NOTIFY is in force.
    NotifySync,
    Fetch(Fetching),
    /// Flags that were forgotten are asked for before a command ends.
    Refresh {
        fetching: Fetching,
        uids: UidSet,
        end: End,
    },
    /// Which messages are gone; then follows a FETCH of what changed since.
    Vanished {
        since: ModSeq,
        fetch: UidSet,
        fetching: Fetching,
    },
    /// `modified`: messages that were left alone.
    Store {
        silent: Option<Silent>,
        uid: bool,
        modified: UidSet,
    },
    /// SEARCH and SORT.
    Search(Searching),
    SearchMailboxes(SearchingMailboxes),
    Thread(Threading),
    /// What changed, on behalf of the contexts.
    Recheck(Box<Rechecking>),
    Copy {
        target: MailboxName,
    },
    Move {
        target: MailboxName,
    },
    /// `set`: it was no NOTIFY NONE.
    Notify {
        notify: Box<Notify>,
        set: bool,
    },
    /// Of messages that have come, the client is told what it asked for with NOTIFY, and with UPDATE of those that it searched for.
    Arrived {
        fetching: Fetching,
        /// Of these after that.
        left: Wanted,
        then: Afterwards,
    },
    Expunge {
        close: bool,
    },
    /// Which of the messages of a UID EXPUNGE have `\Deleted`; then follows the EXPUNGE of the last.
    Deleted(Vec<Uid>),
}

/// The command that is being served.
#[derive(Debug)]
pub(super) struct Running {
    /// `*` where none could be read.
    pub(super) tag: String,
    pub(super) row: Option<&'static CommandRow>,
    /// Sequence numbers stand in the criteria of a UID SEARCH.
    pub(super) seqs_in_search: bool,
    /// The first message that was taken, where a limit left out those before it (RFC 9738).
    pub(super) taken_from: Option<Uid>,
    /// A NOTIFY SET has succeeded: what has gathered in the selected mailbox is told, whatever the client wants from now on.
    pub(super) tells_all: bool,
    /// When the client was told how far it has come, or when it began.
    pub(super) progress_told: Time,
}

impl ServerSession {
    /// A session for a connection that was just accepted.
    pub fn new(config: Arc<ServerConfig>, peer: Peer) -> Self {
        ServerSession {
            tls: peer.tls.clone(),
            compressed: false,
            config,
            peer,
            standing: Standing::NotAuthenticated,
            enabled: Enabled::default(),
            notify: None,
            doing: Doing::Connecting,
            running: Running {
                tag: "*".into(),
                row: None,
                seqs_in_search: false,
                taken_from: None,
                tells_all: false,
                progress_told: Time::ZERO,
            },
            queue: VecDeque::new(),
            out: Output::default(),
            framer: Framer::new(),
            timer: Timer::default(),
            bad: 0,
            next_line_is_secret: false,
            eof: false,
            stopping: false,
            gone: false,
            may_set_quota: false,
        }
    }

    /// Why the session ended; `None` while it goes on.
    pub fn close_reason(&self) -> Option<CloseReason> {
        match self.doing {
            Doing::Closed(why) => Some(why),
            _ => None,
        }
    }

    /// Who is logged in, in the embedder's own spelling.
    pub fn identity(&self) -> Option<&str> {
        match &self.standing {
            Standing::NotAuthenticated => None,
            Standing::Authenticated { identity } | Standing::Selected { identity, .. } => Some(identity),
        }
    }

    /// What the client knows of the selected mailbox; `None` if none is selected.
    pub fn view(&self) -> Option<&View> {
        match &self.standing {
            Standing::Selected { mailbox, .. } => Some(&mailbox.view),
            _ => None,
        }
    }

    /// Whether the client waits in IDLE and hears of changes at once.
    pub fn is_idling(&self) -> bool {
        matches!(self.doing, Doing::Idling { .. })
    }

    /// What is known about the client.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What is known about TLS, if the connection has it.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_ref()
    }

    /// Takes note of a change in the selected mailbox; legal in every state, and without effect where no mailbox is
    /// selected. Changes come in commit order, those that this session's own commands made too. The client hears of them
    /// where the protocol allows it: at the end of a command, or within IDLE at once.
    pub fn learn(&mut self, now: Time, change: Change) {
        self.learn_all(now, [change]);
    }

    /// The same for changes that came together, in commit order: where the client hears of them at once, it does in as few words as
    /// they come to.
    pub fn learn_all(&mut self, now: Time, changes: impl IntoIterator<Item = Change>) {
        self.timer.advance(now);
        for change in changes {
            self.take_note(change);
        }
        self.tell_at_once();
        self.timer.output(!self.out.is_empty());
    }

    fn take_note(&mut self, change: Change) {
        let Standing::Selected { mailbox, .. } = &mut self.standing else { return };
        match change {
            Change::Gone => {
                // What came before it is still told.
                self.tell_at_once();
                self.gone = true;
                self.leave_if_due();
            }
            Change::Keywords { keywords, can_be_made } => mailbox.flags.learn_keywords(keywords, can_be_made),
            Change::Rights(rights) => {
                mailbox.flags.learn_rights(rights);
                mailbox.read_only = mailbox.flags.is_read_only();
            }
            change => {
                if let Doing::Asked(Asked::Store { silent: Some(silent), .. }) = &mut self.doing {
                    silent.learn(&change, &mailbox.view);
                }
                mailbox.learn(change, self.config.limits.context_changes_max);
            }
        }
    }

    /// [`Machine::poll`](pillarbox_core::Machine::poll)
    pub fn poll<'b>(&mut self, now: Time, input: &mut &'b [u8]) -> Step<Event<'b>> {
        self.timer.advance(now);
        let step = self.step(input);
        self.timer.output(!self.out.is_empty());
        step
    }

    fn step<'b>(&mut self, input: &mut &'b [u8]) -> Step<Event<'b>> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Step::Event(event);
            }
            let next = match &mut self.doing {
                Doing::Closed(_) => return Step::Closed,
                Doing::Asked(_) => return Step::NeedAnswer,
                Doing::Connecting => {
                    self.doing = Doing::Asked(Asked::Connect);
                    Next::Event(Event::Connect)
                }
                Doing::Reading => self.read_command(input),
                Doing::Skipping { skipper, .. } => match skipper.skip(input) {
                    Skipped::More => Next::NeedInput,
                    Skipped::Done => self.skipped(),
                    Skipped::TooMuch => {
                        self.bye(CloseReason::TooManyErrors, Some("TOOBIG"), "This is too long");
                        Next::Again
                    }
                },
                Doing::Sasl { .. } => self.read_sasl(input),
                Doing::Appending { .. } => self.read_message(input),
                Doing::AppendTail { .. } => self.read_append_tail(input),
                Doing::Catenating(_) => self.read_parts(input),
                Doing::Idling { .. } => self.read_done(input),
                Doing::Upgrading { .. } => match self.upgrade(input) {
                    Some(layer) => return Step::Upgrade(layer),
                    None => Next::Again,
                },
            };
            match next {
                Next::Event(event) => return Step::Event(event),
                Next::Again => {}
                Next::NeedInput if self.eof => self.close(CloseReason::EndOfInput),
                Next::NeedInput => return Step::NeedInput,
            }
        }
    }

    /// The refused command is eaten.
    fn skipped<'b>(&mut self) -> Next<'b> {
        if let Doing::Skipping { end, .. } = core::mem::replace(&mut self.doing, Doing::Reading) {
            self.finish(end);
        }
        Next::Again
    }

    /// [`Machine::answer`](pillarbox_core::Machine::answer). An answer that comes when the session is over, because its client took nothing of what was sent
    /// meanwhile, is dropped.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn answer(&mut self, now: Time, answer: Answer<'_>) -> Result<(), Misuse> {
        self.timer.advance(now);
        let result = self.take_answer(answer);
        self.timer.output(!self.out.is_empty());
        result
    }

    /// [`Machine::output`](pillarbox_core::Machine::output)
    pub fn output(&self) -> &[u8] {
        self.out.unsent()
    }

    /// [`Machine::consume_output`](pillarbox_core::Machine::consume_output)
    pub fn consume_output(&mut self, now: Time, n: usize) {
        self.timer.advance(now);
        if n > 0 {
            self.out.consume(n);
            self.timer.progress();
        }
        self.tell_at_once();
        self.timer.output(!self.out.is_empty());
    }

    /// Whether [`poll`](Self::poll) has an event to give without more input. Sending output, and
    /// [`learn`](Self::learn), can bring one: ask before waiting for anything.
    pub fn has_events(&self) -> bool {
        !self.queue.is_empty()
    }

    /// [`Machine::room`](pillarbox_core::Machine::room)
    pub fn room(&self) -> usize {
        self.config.limits.output_high_water.saturating_sub(self.out.len())
    }

    /// [`Machine::handle_eof`](pillarbox_core::Machine::handle_eof)
    pub fn handle_eof(&mut self, now: Time) {
        self.timer.advance(now);
        self.eof = true;
    }

    /// [`Machine::shut_down`](pillarbox_core::Machine::shut_down)
    pub fn shut_down(&mut self, now: Time) {
        self.timer.advance(now);
        self.stopping = true;
        match self.doing {
            // The running command is answered first: stored mail must not look refused.
            Doing::Asked(_) | Doing::Closed(_) => {}
            // The client waits for a handshake and would not understand a text.
            Doing::Upgrading { .. } => self.close(CloseReason::ShutDown),
            _ => self.leave_if_due(),
        }
        self.timer.output(!self.out.is_empty());
    }

    /// [`Machine::max_unread`](pillarbox_core::Machine::max_unread)
    pub fn max_unread(&self) -> usize {
        match self.doing {
            Doing::Sasl { .. } => sasl::LINE_MAX,
            Doing::Idling { .. } => self.config.limits.before_login.line_max,
            _ => self.framer.max_unread(self.frame_limits()),
        }
    }

    pub(super) fn frame_limits(&self) -> &FrameLimits {
        match self.standing {
            Standing::NotAuthenticated => &self.config.limits.before_login,
            _ => &self.config.limits.after_login,
        }
    }

    /// Ends the session.
    pub(super) fn close(&mut self, why: CloseReason) {
        let abandoned = matches!(self.doing, Doing::Appending { .. } | Doing::AppendTail { .. } | Doing::Catenating(_));
        if !matches!(self.doing, Doing::Closed(_)) {
            // No question outlives the connection.
            self.queue.clear();
            self.queue.extend(abandoned.then_some(Event::Abandoned));
            self.doing = Doing::Closed(why);
        }
    }

    /// Leaves the selected mailbox; false if there is none.
    pub(super) fn deselect(&mut self) -> bool {
        self.gone = false;
        match core::mem::replace(&mut self.standing, Standing::NotAuthenticated) {
            Standing::Selected { identity, .. } => {
                self.standing = Standing::Authenticated { identity };
                true
            }
            other => {
                self.standing = other;
                false
            }
        }
    }

    /// Asks the embedder.
    pub(super) fn ask<'b>(&mut self, asked: Asked, event: Event<'b>) -> Option<Event<'b>> {
        self.doing = Doing::Asked(asked);
        Some(event)
    }
}

/// What a part of `poll` came to.
pub(super) enum Next<'b> {
    Event(Event<'b>),
    NeedInput,
    Again,
}

pillarbox_core::machine_by_inherent_methods!(ServerSession, Event<'b> = Event<'b>, Answer<'a> = Answer<'a>);
