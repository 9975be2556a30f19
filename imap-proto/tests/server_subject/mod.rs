//! How dialog files drive an IMAP session: their settings, events and answers. Shared by every test that plays them.

mod notify;
pub(crate) mod words;

use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::dialog::{Config, Seen, Subject, Turn};
use pillarbox_core::sasl::Mechanism;
use pillarbox_core::{Misuse, TlsFacts, WallTime};
use pillarbox_imap::acl::{AclQuestion, Grantable, Rights};
use pillarbox_imap::message::Section;
use pillarbox_imap::quota::QuotaQuestion;
use pillarbox_imap::server::{
    Answer, AppendStart, CloseReason, Event, FetchData, FetchItem, FlagChange, Peer, SectionName, ServerConfig,
    ServerSession, Snapshot, Status,
};
use pillarbox_imap::thread::ThreadPart;
use pillarbox_imap::types::{Flags, MailboxName, ModSeq, Separator, Uid, UidSet};
use words::{flags, no, query, quoted, uid, uid_validity, uids};

/// Settings: `starttls`, `tls` (from the start), `auth=PLAIN,LOGIN`, `clear` (passwords without TLS; on unless `clear=no`),
/// `separator=.`, `prefix=..`, `others=..` and `shared=..` (of the namespaces), `may_set_quota` (the user may), `messages=n` (UIDs 1 to n in every mailbox, default 3), `modseq=n` (the mod-sequence of every
/// message and mailbox; none by default), `without=MOVE,BINARY` and
/// `with=UNAUTHENTICATE` (extensions by their capabilities), limits by their names (times in seconds), `line_max` for both
/// states.
///
/// The answers are those of [`Answer`] in lower case; parts of a streamed answer stand one to a line:
///
/// ```text
/// done | no [CODE] text | bye text | login joe
/// listed "a name" \HasNoChildren | status messages=3 unseen=1 | appended 7 12,13 | copied 7 1:101 2:102
/// part 5 | nopart                                                    (a part of CATENATE: so many octets)
/// listed "a name" \HasChildren + messages=3      (+: something below is subscribed; numbers: its status)
/// selected uids=1,5,9 validity=7 next=10 unseen=5 recent=1 keywords=$a,$b fixed readonly
/// message 5 | data flags \Seen | data size 10 | data date 0 | data envelope (..) | end
/// section 0 "octets" | literal 0 6 | chunk "octets" | nosection 0      (0: the first section that was asked for)
/// binary 0 "oc\0tets" | data binarysize 0 8                             (the octets of a literal8; of the first BINARY.SIZE)
/// flags 5 \Seen | found 1,2,3 | expunged 1,2
/// threads (1 2 (3)(4))(5)
/// searched "a name" 7                                               (what is found next is of this mailbox and UIDVALIDITY)
/// flags 5 \Seen modseq=9 | modified 6 \Seen modseq=8 | found 1@7,2@9 | vanished 3:5 | created F1
/// acl ann:lrs -bob:w | grantable la r sw | rights lrs                  (selected .. rights=lrs: as much of the mailbox)
/// entry /private/comment "a value"                                    (of GETMETADATA)
/// quotaroots a b | quota "a" storage 1000 4096 message 3 10
/// data modseq 9 | data emailid M1 | data threadid nil | data savedate 0
/// ```
///
/// `N:` brings `added 4,5`, `flags 3 \Seen` or `removed 1,2`, with `modseq=9` behind it in a mailbox that has them; `gone`,
/// `keywords $a $b fixed` (all that there are) or `rights lrs`;
/// `N: told ..` tells of other mailboxes, as the answer to NOTIFY does: `told numbers "a name" mf first messages=3 next=4` (m, f:
/// messages, flags), `told listed "a name" \Attribute old=before`, `told overflow`.
///
/// `N: no ..` refuses a message while it arrives; `N: progress 5 10` says how far a command has come.
///
/// A question without an answer is answered as by a store that has those messages and knows the password `secret`.
#[derive(Debug, Default)]
pub(crate) struct ImapSubject {
    messages: u32,
    mod_seq: Option<ModSeq>,
    question: Option<Asked>,
    /// What the last FETCH wanted.
    wanted: Vec<FetchItem>,
    /// Messages of the APPEND under way.
    appending: u32,
}

/// The open question, for its default answer.
#[derive(Clone, Debug)]
enum Asked {
    Login(Option<String>),
    Status,
    Select,
    AppendPart,
    AppendEnd,
    /// The messages still to come, the last of them first; how far the answer about the last is; octets of its literal.
    Fetch {
        uids: Vec<Uid>,
        step: usize,
        left: usize,
    },
    Store {
        uids: Vec<Uid>,
        change: FlagChange,
        flags: Flags,
    },
    Search {
        mod_seqs: bool,
    },
    Thread,
    Acl(AclQuestion),
    Copy(UidSet),
    Other,
}

impl Subject for ImapSubject {
    type Machine = ServerSession;

    fn connect(&mut self, _: usize, config: &Config) -> Result<ServerSession, String> {
        self.messages = config.parsed("messages", 3)?;
        self.mod_seq = ModSeq::new(config.parsed("modseq", 0)?);
        let mut peer = Peer::default();
        if config.flag("tls")? {
            peer.tls = Some(TlsFacts::new("TLSv1.3", "TLS_AES_256_GCM_SHA384"));
        }
        let mut session = ServerSession::new(Arc::new(server_config(config)?), peer);
        session.let_set_quota(config.flag("may_set_quota")?);
        Ok(session)
    }

    fn describe(&mut self, _: usize, event: Event<'_>) -> Seen {
        let mut asked = Asked::Other;
        let text = match event {
            Event::Connect => "Connect".into(),
            Event::StartTls => "StartTls".into(),
            Event::Quota(QuotaQuestion::Root(root)) => format!("GetQuota {root}"),
            Event::Quota(QuotaQuestion::Set { root, limits }) => {
                let limits: Vec<String> = limits.iter().map(|(of, limit)| format!(" {of:?} {limit}")).collect();
                format!("SetQuota {root}{}", limits.concat())
            }
            Event::Quota(QuotaQuestion::Roots(mailbox)) => format!("GetQuotaRoot {mailbox}"),
            Event::Metadata(question) => words::metadata_question(&question),
            Event::Acl(question) => {
                let text = words::acl_question(&question);
                asked = Asked::Acl(question);
                text
            }
            Event::ScramKeys { mechanism, user, .. } => format!("ScramKeys {mechanism} {user}"),
            Event::Login { mechanism, credentials } => {
                let name = credentials.authorization_id().unwrap_or(credentials.authentication_id()).to_string();
                let good = credentials.password().is_some_and(|password| password.same_as(b"secret"));
                asked = Asked::Login(good.then_some(name));
                let acting = credentials.authorization_id().map(|name| format!(" as {name}")).unwrap_or_default();
                format!("Login {mechanism} {}{acting}", credentials.authentication_id())
            }
            Event::List(list) => words::list(&list),
            Event::Status { mailbox, items } => {
                asked = Asked::Status;
                format!("Status {mailbox} {items:?}")
            }
            Event::Select { mailbox, read_only } => {
                asked = Asked::Select;
                format!("{} {mailbox}", if read_only { "Examine" } else { "Select" })
            }
            Event::Create { mailbox, uses } if uses.is_empty() => format!("Create {mailbox}"),
            Event::Create { mailbox, uses } => {
                let uses: Vec<&str> = uses.iter().map(|special| special.as_str()).collect();
                format!("Create {mailbox} for {}", uses.join(" "))
            }
            Event::Delete(mailbox) => format!("Delete {mailbox}"),
            Event::Rename { from, to } => format!("Rename {from} to {to}"),
            Event::Subscribe(mailbox) => format!("Subscribe {mailbox}"),
            Event::Unsubscribe(mailbox) => format!("Unsubscribe {mailbox}"),
            Event::AppendStart(AppendStart { mailbox, index, flags, date, size, binary, replaces, .. }) => {
                self.appending = u32::try_from(index + 1).expect("few messages");
                let date = date.map(|date| format!(" {date}")).unwrap_or_default();
                let after = if index > 0 { format!(" after {index}") } else { String::new() };
                let size = size.map_or("in parts".into(), |size| format!("size={size}"));
                let replaces = replaces.map(|uid| format!(" for {uid}")).unwrap_or_default();
                let binary = if binary { " binary" } else { "" };
                format!("AppendStart {mailbox} {flags}{date} {size}{binary}{after}{replaces}")
            }
            Event::AppendPart(part) => {
                asked = Asked::AppendPart;
                words::append_part(&part)
            }
            Event::AppendBody(octets) => return Seen::Body(octets.to_vec()),
            Event::AppendEnd => {
                asked = Asked::AppendEnd;
                "AppendEnd".into()
            }
            Event::Notify(watch) => notify::watch(&watch),
            Event::Sync => "Sync".into(),
            Event::Fetch { uids, wanted, mark_seen, changed_since } => {
                asked = Asked::Fetch { uids: uids.iter().rev().collect(), step: 0, left: 0 };
                let items: Vec<String> = wanted.iter().map(words::item).collect();
                self.wanted = wanted;
                let since = changed_since.map(|since| format!(" since {since}")).unwrap_or_default();
                format!("Fetch {uids} [{}]{}{since}", items.join(", "), if mark_seen { " and mark seen" } else { "" })
            }
            Event::Vanished { uids, since } => format!("Vanished {uids} since {since}"),
            Event::Store { uids, change, flags, silent, unchanged_since } => {
                let sign = match change {
                    FlagChange::Add => "+",
                    FlagChange::Remove => "-",
                    FlagChange::Replace => "",
                };
                let since = unchanged_since.map(|since| format!(" unless since {since}")).unwrap_or_default();
                let text = format!("Store {uids} {sign}{flags}{}{since}", if silent { " silent" } else { "" });
                asked = Asked::Store { uids: uids.iter().rev().collect(), change, flags };
                text
            }
            Event::Search { query: key, mod_seqs } => {
                asked = Asked::Search { mod_seqs };
                format!("Search {}{}", query(&key), if mod_seqs { " with mod-sequences" } else { "" })
            }
            Event::Sort { query: key, criteria, mod_seqs } => {
                asked = Asked::Search { mod_seqs };
                let criteria: Vec<String> = criteria.iter().map(words::criterion).collect();
                let with = if mod_seqs { " with mod-sequences" } else { "" };
                format!("Sort {} by {}{with}", query(&key), criteria.join(", "))
            }
            Event::SearchMailboxes { sources, query: key, mailboxes_max } => {
                let sources: Vec<String> = sources.iter().map(words::scope).collect();
                let among: Vec<Uid> = [5, 7, 9, 11].into_iter().filter_map(Uid::new).collect();
                let in_mailbox = |name: &str| match key.clone().in_mailbox(&MailboxName::new(name).unwrap(), &among) {
                    Ok(found) => found.as_ref().map_or("nothing".into(), query),
                    Err(error) => error.to_string(),
                };
                // Of what there is once in an account, once elsewhere.
                let (there, inbox) = (in_mailbox("Elsewhere"), in_mailbox("INBOX"));
                let inbox = if inbox == there { String::new() } else { format!(", in INBOX {inbox}") };
                format!("SearchMailboxes {} of {mailboxes_max}: {there}{inbox}", sources.join(", "))
            }
            Event::Recheck { query: key, criteria } => {
                asked = Asked::Search { mod_seqs: false };
                let criteria: Vec<String> = criteria.iter().map(words::criterion).collect();
                let by = if criteria.is_empty() { String::new() } else { format!(" by {}", criteria.join(", ")) };
                format!("Recheck {}{by}", query(&key))
            }
            Event::Thread { query: key, algorithm } => {
                asked = Asked::Thread;
                format!("Thread {} by {}", query(&key), algorithm.as_str())
            }
            Event::Copy { uids, mailbox } => {
                let text = format!("Copy {uids} to {mailbox}");
                asked = Asked::Copy(uids);
                text
            }
            Event::Move { uids, mailbox } => {
                let text = format!("Move {uids} to {mailbox}");
                asked = Asked::Copy(uids);
                text
            }
            Event::Expunge { only: None } => "Expunge".into(),
            Event::Expunge { only: Some(uids) } => format!("Expunge only {uids}"),
            Event::Idle => return Seen::Note("Idle".into()),
            Event::IdleEnd => return Seen::Note("IdleEnd".into()),
            Event::Deselected => return Seen::Note("Deselected".into()),
            Event::Abandoned => return Seen::Note("Abandoned".into()),
            Event::Unauthenticated => return Seen::Note("Unauthenticated".into()),
            Event::Refused { line, told } => return Seen::Note(format!("Refused {told} \"{}\"", line.escape_ascii())),
            other => return Seen::Note(format!("{other:?}")),
        };
        self.question = Some(asked);
        Seen::Question(text)
    }

    fn answer(&mut self, turn: Turn<'_, ServerSession>, text: &str) -> Result<(), String> {
        self.question = None;
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let (now, machine) = (turn.now, turn.machine);
        let mut give = |answer: Answer<'_>| machine.answer(now, answer);
        let given = match word {
            "done" => give(Answer::Done),
            "done-in-part" => give(Answer::DoneInPart),
            "no" => give(no(rest)?),
            "bye" => give(Answer::Bye(rest.into())),
            "login" => give(Answer::LoggedIn(rest.into())),
            "listed" => {
                let (name, attributes) = quoted(rest)?;
                let name = MailboxName::new(&String::from_utf8_lossy(&name)).map_err(|error| error.to_string())?;
                give(Answer::Listed(words::listed(name, attributes)?))
            }
            "status" => give(Answer::Status(words::status(rest)?)),
            "told" => give(Answer::Notification(notify::notification(rest)?)),
            "selected" => give(Answer::Selected(words::snapshot(rest)?)),
            "appended" => {
                let (validity, numbers) = rest.split_once(' ').ok_or("appended <validity> <uids>")?;
                give(Answer::Appended { uid_validity: uid_validity(validity)?, uids: &uids(numbers)? })
            }
            "part" => give(Answer::Part(rest.parse().map_err(|_| "part <octets>")?)),
            "nopart" => give(Answer::NoPart),
            "message" => give(Answer::Message(uid(rest)?)),
            "data" if rest.starts_with("binarysize ") => {
                let mut numbers = rest.split(' ').skip(1).map(|word| word.parse::<usize>().unwrap_or(usize::MAX));
                let (index, size) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
                let mut sections = self.wanted.iter().filter_map(|item| match item {
                    FetchItem::BinarySize(section) => Some(section),
                    _ => None,
                });
                let section = sections.nth(index).ok_or("data binarysize <index> <size>")?;
                give(Answer::Data(FetchData::BinarySize { section, size: size as u64 }))
            }
            "binary" => {
                let (section, _, origin, rest) = self.section(rest)?;
                let (octets, _) = quoted(rest)?;
                give(Answer::BinaryLiteral { section: &section, origin, len: octets.len() as u64 })
                    .and_then(|()| give(Answer::Chunk(&octets)))
            }
            "data" => {
                let (what, value) = rest.split_once(' ').unwrap_or((rest, ""));
                let written = |item| FetchData::Written { item, text: value.as_bytes() };
                give(Answer::Data(match what {
                    "flags" => FetchData::Flags(flags(value)?),
                    "modseq" => {
                        FetchData::ModSeq(words::mod_seq(&format!("modseq={value}"))?.ok_or("data modseq <number>")?)
                    }
                    "preview" if value == "nil" => FetchData::Preview(None),
                    "preview" => FetchData::Preview(Some(value)),
                    "emailid" => FetchData::EmailId(words::object_id(value)?),
                    "threadid" if value == "nil" => FetchData::ThreadId(None),
                    "threadid" => FetchData::ThreadId(Some(words::object_id(value)?)),
                    "savedate" if value == "nil" => FetchData::SaveDate(None),
                    "savedate" => FetchData::SaveDate(Some(WallTime::new(
                        value.parse().map_err(|_| "data savedate <seconds>")?,
                        0,
                    ))),
                    "size" => FetchData::Rfc822Size(value.parse().map_err(|_| "data size <number>")?),
                    "date" => {
                        FetchData::InternalDate(WallTime::new(value.parse().map_err(|_| "data date <seconds>")?, 0))
                    }
                    "envelope" => written(FetchItem::Envelope),
                    "body" => written(FetchItem::Body),
                    "bodystructure" => written(FetchItem::BodyStructure),
                    _ => return Err(format!("no data: {rest}")),
                }))
            }
            "section" => {
                let (section, name, origin, rest) = self.section(rest)?;
                let (octets, _) = quoted(rest)?;
                give(Answer::Literal { section: &section, name, origin, len: octets.len() as u64 })
                    .and_then(|()| give(Answer::Chunk(&octets)))
            }
            "literal" => {
                let (section, name, origin, rest) = self.section(rest)?;
                let len = rest.parse().map_err(|_| "literal <index> <octets>")?;
                give(Answer::Literal { section: &section, name, origin, len })
            }
            "nosection" => {
                let (section, name, origin, _) = self.section(rest)?;
                give(Answer::NoSection { section: &section, name, origin })
            }
            "chunk" => give(Answer::Chunk(&quoted(rest)?.0)),
            "end" => give(Answer::MessageEnd),
            "flags" => {
                let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                give(Answer::Flags { uid: uid(number)?, flags: flags(rest)?, mod_seq: words::mod_seq(rest)? })
            }
            "modified" => {
                let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let mod_seq = words::mod_seq(rest)?.ok_or("modified <uid> <flags> modseq=<number>")?;
                give(Answer::Modified { uid: uid(number)?, flags: flags(rest)?, mod_seq })
            }
            "quota" => give(Answer::Quota(&words::quota_root(rest)?)),
            "quotaroots" => give(Answer::QuotaRoots(&rest.split_whitespace().collect::<Vec<_>>())),
            "entry" => {
                let (name, value) = words::entry(rest)?;
                give(Answer::Entry { name: &name, value: &value })
            }
            "acl" => give(Answer::Acl(&words::acl(rest)?)),
            "grantable" => give(Answer::Grantable(words::grantable(rest)?)),
            "rights" => give(Answer::Rights(words::rights(rest)?)),
            "created" => give(Answer::Created(words::object_id(rest)?)),
            "vanished" => give(Answer::Vanished(&words::uid_set(rest)?)),
            "found" if rest.contains('@') => give(Answer::FoundWithModSeqs(&words::uids_with_mod_seqs(rest)?)),
            "found" => give(Answer::Found(&uids(rest)?)),
            "searched" => {
                let (name, validity) = quoted(rest)?;
                let mailbox = MailboxName::new(&String::from_utf8_lossy(&name)).map_err(|error| error.to_string())?;
                give(Answer::Searched { mailbox, uid_validity: uid_validity(validity.trim())? })
            }
            "threads" => give(Answer::Threads(&words::threads(rest)?)),
            "expunged" => give(Answer::Expunged(&uids(rest)?)),
            "copied" => {
                let (validity, pairs) = rest.split_once(' ').ok_or("copied <validity> <uid>:<uid> ..")?;
                let pair = |pair: &str| {
                    let (from, to) = pair.split_once(':').ok_or("<uid>:<uid>")?;
                    Ok::<_, String>((uid(from)?, uid(to)?))
                };
                let pairs: Vec<_> = pairs.split_whitespace().map(pair).collect::<Result<_, _>>()?;
                give(Answer::Copied { uid_validity: uid_validity(validity)?, uids: &pairs })
            }
            _ => return Err(format!("no such answer: {text}")),
        };
        given.map_err(|misuse| misuse.to_string())
    }

    fn answer_by_default(&mut self, turn: Turn<'_, ServerSession>, _: &str) -> Result<bool, String> {
        let Some(mut question) = self.question.take() else { return Ok(false) };
        let (now, machine) = (turn.now, turn.machine);
        let number = |number: u32| Uid::new(number).expect("numbers here are not 0");
        let ended = match &mut question {
            Asked::Login(Some(name)) => machine.answer(now, Answer::LoggedIn(name.as_str().into())).map(|()| true),
            Asked::Login(None) => {
                machine.answer(now, Answer::No { code: None, text: "Wrong name or password".into() }).map(|()| true)
            }
            Asked::Status => {
                let mut status = Status::new(uid_validity("1")?, number(self.messages + 1));
                status.messages = self.messages;
                status.highest_mod_seq = self.mod_seq;
                machine.answer(now, Answer::Status(status)).map(|()| true)
            }
            Asked::Select => {
                let mut snapshot = Snapshot::new(uid_validity("1")?, number(self.messages + 1));
                snapshot.uids = (1..=self.messages).map(number).collect();
                snapshot.highest_mod_seq = self.mod_seq;
                machine.answer(now, Answer::Selected(snapshot)).map(|()| true)
            }
            Asked::AppendPart => machine.answer(now, Answer::Part(5)).map(|()| true),
            Asked::AppendEnd => {
                let uids: Vec<Uid> = (1..=self.appending).map(|n| number(self.messages + n)).collect();
                machine.answer(now, Answer::Appended { uid_validity: uid_validity("1")?, uids: &uids }).map(|()| true)
            }
            Asked::Fetch { uids, step, left } => match uids.last() {
                Some(uid) => self.fetch_step(machine, now, *uid, *step, left).map(|ends| {
                    *step = if ends { 0 } else { *step + usize::from(*left == 0) };
                    if ends {
                        uids.pop();
                    }
                    false
                }),
                None => machine.answer(now, Answer::Done).map(|()| true),
            },
            Asked::Store { uids, change, flags } => match uids.pop() {
                Some(uid) => {
                    let flags = if *change == FlagChange::Remove { Flags::new() } else { flags.clone() };
                    machine.answer(now, Answer::Flags { uid, flags, mod_seq: self.mod_seq }).map(|()| false)
                }
                None => machine.answer(now, Answer::Done).map(|()| true),
            },
            Asked::Search { mod_seqs } => {
                let all: Vec<Uid> = (1..=self.messages).map(number).collect();
                let with: Vec<_> =
                    all.iter().filter_map(|uid| Some((*uid, self.mod_seq.filter(|_| *mod_seqs)?))).collect();
                let found = if with.is_empty() { Answer::Found(&all) } else { Answer::FoundWithModSeqs(&with) };
                machine.answer(now, found).and_then(|()| machine.answer(now, Answer::Done)).map(|()| true)
            }
            Asked::Thread => {
                let one = |uid| [ThreadPart::Open, ThreadPart::Message(number(uid)), ThreadPart::Close];
                let parts: Vec<_> = (1..=self.messages).flat_map(one).collect();
                machine
                    .answer(now, Answer::Threads(&parts))
                    .and_then(|()| machine.answer(now, Answer::Done))
                    .map(|()| true)
            }
            Asked::Copy(uids) => {
                let pairs: Vec<_> = uids.iter().map(|uid| (uid, number(uid.get().saturating_add(100)))).collect();
                machine.answer(now, Answer::Copied { uid_validity: uid_validity("9")?, uids: &pairs }).map(|()| true)
            }
            Asked::Acl(AclQuestion::List(_)) => machine.answer(now, Answer::Acl(&[])).map(|()| true),
            Asked::Acl(AclQuestion::Grantable { .. }) => {
                machine.answer(now, Answer::Grantable(Grantable::default())).map(|()| true)
            }
            Asked::Acl(AclQuestion::Mine(_)) => machine.answer(now, Answer::Rights(Rights::ALL)).map(|()| true),
            Asked::Acl(_) | Asked::Other => machine.answer(now, Answer::Done).map(|()| true),
        };
        if !ended.map_err(|misuse| misuse.to_string())? {
            self.question = Some(question);
        }
        Ok(true)
    }

    fn news(&mut self, turn: Turn<'_, ServerSession>, text: &str) -> Result<(), String> {
        if let Some(refusal) = text.strip_prefix("no ") {
            return turn.machine.answer(turn.now, no(refusal)?).map_err(|misuse| misuse.to_string());
        }
        if let Some(progress) = text.strip_prefix("progress ") {
            let (done, goal) = progress.split_once(' ').unwrap_or((progress, ""));
            let done = done.parse().map_err(|_| "progress <done> [<goal>]")?;
            turn.machine.in_progress(turn.now, done, goal.parse().ok());
            return Ok(());
        }
        if let Some(told) = text.strip_prefix("told ") {
            return turn.machine.notify(turn.now, notify::notification(told)?).map_err(|misuse| misuse.to_string());
        }
        let changes = text.split(" & ").map(words::news).collect::<Result<Vec<_>, _>>()?;
        turn.machine.learn_all(turn.now, changes);
        Ok(())
    }

    fn is_sync_point(&mut self, _: usize, sent: &[u8], expected: &str) -> bool {
        // A response within AUTHENTICATE looks like nothing else; what was sent before tells, and it ends in one of these.
        let line = sent.trim_ascii_end().to_ascii_uppercase();
        let has = |word: &[u8]| line.windows(word.len()).any(|w| w == word);
        has(b" STARTTLS")
            || has(b" COMPRESS")
            || has(b" AUTHENTICATE")
            || expected.starts_with("+ ") && line.ends_with(b"}")
    }

    fn close_reason(&self, machine: &ServerSession) -> String {
        match machine.close_reason() {
            None => "open",
            Some(CloseReason::Logout) => "logout",
            Some(CloseReason::EndOfInput) => "eof",
            Some(CloseReason::Refused) => "refused",
            Some(CloseReason::Timeout) => "timeout",
            Some(CloseReason::TooManyErrors) => "too many errors",
            Some(CloseReason::Synchronisation) => "synchronisation",
            Some(CloseReason::Tls) => "tls",
            Some(CloseReason::Compression) => "compression",
            Some(CloseReason::Broken) => "broken",
            Some(CloseReason::MailboxGone) => "mailbox gone",
            Some(CloseReason::ShutDown) => "shut down",
            Some(_) => "another reason",
        }
        .into()
    }
}

impl ImapSubject {
    /// The section that `<index> rest` names, and the rest.
    fn section<'t>(&self, text: &'t str) -> Result<(Section, SectionName, Option<u64>, &'t str), String> {
        let (index, rest) = text.split_once(' ').unwrap_or((text, ""));
        let index: usize = index.parse().map_err(|_| format!("{text}: an index first"))?;
        let sections = self.wanted.iter().filter_map(|item| match item {
            FetchItem::Section { section, partial, name, .. } => Some((section, partial, *name)),
            FetchItem::Binary { section, partial, .. } => Some((section, partial, SectionName::Binary)),
            _ => None,
        });
        let (section, partial, name) =
            sections.clone().nth(index).ok_or(format!("no section {index} was asked for"))?;
        Ok((section.clone(), name, partial.map(|(origin, _)| origin), rest))
    }

    /// One part of a message as it comes by default: no flags, 5 octets, 1970. True at its end. The octets of a literal wait
    /// for room, which the player makes between the calls.
    fn fetch_step(
        &self,
        machine: &mut ServerSession,
        now: pillarbox_core::Time,
        uid: Uid,
        step: usize,
        left: &mut usize,
    ) -> Result<bool, Misuse> {
        if *left > 0 {
            let octets = &b"hello"[5 - *left..][..machine.room().min(*left).min(3)];
            *left -= octets.len();
            return machine.answer(now, Answer::Chunk(octets)).map(|()| false);
        }
        let Some(index) = step.checked_sub(1) else { return machine.answer(now, Answer::Message(uid)).map(|()| false) };
        let Some(item) = self.wanted.get(index) else { return machine.answer(now, Answer::MessageEnd).map(|()| true) };
        let written = |text| Answer::Data(FetchData::Written { item: item.clone(), text });
        let answer = match item {
            FetchItem::Flags => Answer::Data(FetchData::Flags(Flags::new())),
            FetchItem::InternalDate => Answer::Data(FetchData::InternalDate(WallTime::new(0, 0))),
            FetchItem::ModSeq => Answer::Data(FetchData::ModSeq(self.mod_seq.unwrap_or(ModSeq::MIN))),
            FetchItem::Preview { lazy: true } => Answer::Data(FetchData::Preview(None)),
            FetchItem::Preview { lazy: false } => Answer::Data(FetchData::Preview(Some("hello"))),
            FetchItem::SaveDate => Answer::Data(FetchData::SaveDate(None)),
            FetchItem::ThreadId => Answer::Data(FetchData::ThreadId(None)),
            FetchItem::EmailId => Answer::Data(FetchData::EmailId(words::object_id("M1").expect("it is one"))),
            FetchItem::Rfc822Size => Answer::Data(FetchData::Rfc822Size(5)),
            FetchItem::Envelope => written(b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"),
            FetchItem::Body | FetchItem::BodyStructure => written(b"(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 5 1)"),
            FetchItem::BinarySize(section) => Answer::Data(FetchData::BinarySize { section, size: 5 }),
            FetchItem::Binary { section, partial, .. } => {
                *left = 5;
                let origin = partial.map(|(origin, _)| origin);
                Answer::Literal { section, name: SectionName::Binary, origin, len: 5 }
            }
            FetchItem::Section { section, partial, name, .. } => {
                *left = 5;
                Answer::Literal { section, name: *name, origin: partial.map(|(origin, _)| origin), len: 5 }
            }
            _ => return Ok(false),
        };
        machine.answer(now, answer).map(|()| false)
    }
}

/// The configuration that the `cfg:` lines of a file describe.
pub(crate) fn server_config(config: &Config) -> Result<ServerConfig, String> {
    let mut server = ServerConfig::default();
    server.starttls = config.flag("starttls")?;
    if let Some(names) = config.value("auth") {
        let mechanism = |name: &str| Mechanism::parse(name).ok_or(format!("{name} is no mechanism"));
        server.mechanisms = names.split(',').map(mechanism).collect::<Result<_, _>>()?;
    }
    server.login_without_tls = config.value("clear") != Some("no");
    for (words, on) in [(config.value("without"), false), (config.value("with"), true)] {
        for word in words.unwrap_or_default().split(',').filter(|word| !word.is_empty()) {
            *words::extension(&mut server.extensions, word)? = on;
        }
    }
    server.separator = match config.value("separator") {
        None | Some("/") => Separator::Slash,
        Some(".") => Separator::Dot,
        Some(other) => return Err(format!("separator={other} is neither / nor .")),
    };
    server.namespace_prefix = config.value("prefix").unwrap_or_default().into();
    server.server_comment = config.value("server_comment").map(Into::into);
    server.server_admin = config.value("server_admin").map(Into::into);
    server.other_users_prefix = config.value("others").map(Into::into);
    server.shared_prefix = config.value("shared").map(Into::into);
    let limits = &mut server.limits;
    limits.before_login.line_max = config.parsed("line_max", limits.before_login.line_max)?;
    limits.after_login.line_max = config.parsed("line_max", limits.after_login.line_max)?;
    limits.after_login.literal_max = config.parsed("literal_max", limits.after_login.literal_max)?;
    limits.after_login.literals_max = config.parsed("literals_max", limits.after_login.literals_max)?;
    limits.after_login.literals_size_max = config.parsed("literals_size_max", limits.after_login.literals_size_max)?;
    limits.after_login.skip_max = config.parsed("skip_max", limits.after_login.skip_max)?;
    limits.before_login.skip_max = config.parsed("skip_max", limits.before_login.skip_max)?;
    limits.append_size_max = config.parsed("append_size_max", limits.append_size_max)?;
    limits.append_messages_max = config.parsed("append_messages_max", limits.append_messages_max)?;
    limits.append_parts_max = config.parsed("append_parts_max", limits.append_parts_max)?;
    limits.bad_before_login = config.parsed("bad_before_login", limits.bad_before_login)?;
    limits.metadata_value_max = config.parsed("metadata_value_max", limits.metadata_value_max)?;
    limits.bad_after_login = config.parsed("bad_after_login", limits.bad_after_login)?;
    limits.notify_names_max = config.parsed("notify_names_max", limits.notify_names_max)?;
    limits.pending_flags_max = config.parsed("pending_flags_max", limits.pending_flags_max)?;
    limits.contexts_max = config.parsed("contexts_max", limits.contexts_max)?;
    limits.context_changes_max = config.parsed("context_changes_max", limits.context_changes_max)?;
    limits.copied_messages_max =
        config.value("copied_messages_max").map(str::parse).transpose().map_err(|_| "copied_messages_max=<number>")?;
    limits.messages_max =
        config.value("messages_max").map(str::parse).transpose().map_err(|_| "messages_max=<number>")?;
    limits.search_mailboxes_max = config.parsed("search_mailboxes_max", limits.search_mailboxes_max)?;
    limits.output_high_water = config.parsed("output_high_water", limits.output_high_water)?;
    let seconds = |key, default: Duration| config.parsed(key, default.as_secs()).map(Duration::from_secs);
    limits.login_timeout = seconds("login_timeout", limits.login_timeout)?;
    limits.idle_timeout = seconds("idle_timeout", limits.idle_timeout)?;
    limits.output_timeout = seconds("output_timeout", limits.output_timeout)?;
    limits.progress_interval = seconds("progress_interval", limits.progress_interval)?;
    limits.keep_alive = seconds("keep_alive", limits.keep_alive)?;
    Ok(server)
}
