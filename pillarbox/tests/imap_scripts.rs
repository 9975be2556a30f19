//! Whole sessions as others wrote them down: the scripts of Apache James, played on our server over the memory store.
//!
//! A script says what a client sends, and a pattern for each line that James answers. James's words are its own, so compared are:
//! the condition of each tagged answer, and what the untagged ones tell, as [`Told`](imap_script_told::Told) draws it together. What comes out otherwise
//! is listed with its reason.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]
#![allow(clippy::print_stdout, reason = "what was played and what differs has to be told")]

mod imap_script_told;
mod imap_support;
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use imap_script_told::compare;
use pillarbox::Shutdown;
use pillarbox::imap::{ImapServer, ServerConfig};
use pillarbox::parts::{MemoryAuthenticator, Parts};
use pillarbox::store::MemoryStore;
use pillarbox_imap::types::Separator;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

fn material() -> Option<PathBuf> {
    let folder = std::env::var_os("PILLARBOX_SHARED").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: PILLARBOX_SHARED is not set");
    }
    Some(folder?.join("conformance/imap/james-mpt"))
}

/// One command of a client and what is answered.
#[derive(Debug, Default)]
struct Exchange {
    session: usize,
    sent: Vec<String>,
    patterns: Vec<String>,
    /// A new connection comes first.
    anew: bool,
}

fn parse(text: &str) -> Vec<Exchange> {
    let (mut all, mut now, mut session, mut anew) = (Vec::new(), Exchange::default(), 1, false);
    let mut finish = |now: &mut Exchange| {
        if !now.sent.is_empty() || !now.patterns.is_empty() {
            all.push(std::mem::take(now));
        }
    };
    for line in text.lines() {
        let rest = |line: &str| line.strip_prefix(' ').unwrap_or(line).to_owned();
        if let Some(sent) = line.strip_prefix("C:") {
            // A synchronising literal is announced, answered with `+`, and goes on.
            let goes_on = now.patterns.iter().all(|pattern| pattern.starts_with("\\+"));
            let has_literal = (1..=now.sent.len()).any(|end| announced(&now.sent[..end]).is_some());
            if !(now.patterns.is_empty() || goes_on && has_literal) {
                finish(&mut now);
            }
            now.session = session;
            now.anew |= std::mem::take(&mut anew);
            now.sent.push(rest(sent));
        } else if let Some(pattern) = line.strip_prefix("S:") {
            now.session = session;
            now.patterns.push(rest(pattern));
        } else if let Some(number) = line.strip_prefix("SESSION:") {
            finish(&mut now);
            session = number.trim().parse().expect("a session has a number");
        } else if line.starts_with("REINIT") {
            finish(&mut now);
            anew = true;
        }
        // Comments, `SUB {`, `}`, TIMER, LOG, WAIT and AWAIT: lines are compared in no order, and nothing here is late.
    }
    finish(&mut now);
    all.iter_mut().for_each(mend);
    all
}

/// Two liberties that James allows its scripts: several spaces where the grammar has one or none, and in a few scripts a
/// literal that is announced an octet too short.
fn mend(exchange: &mut Exchange) {
    let rest: usize = exchange.sent.iter().skip(1).map(|line| line.len() + 2).sum();
    let Some(first) = exchange.sent.first_mut() else { return };
    while first.contains("  ") {
        *first = first.replace("  ", " ");
    }
    *first = first.replace("( ", "(").replace(" )", ")");
    let announced = first.strip_suffix("+}").or(first.strip_suffix('}')).and_then(|line| line.rsplit_once('{'));
    if let Some((start, size)) = announced
        && size.parse() == Ok(rest.saturating_sub(1))
    {
        // The last line end is that of the command.
        *first = format!("{start}{{{}+}}", rest - 2);
    }
}

/// The size of the synchronising literal that the last line announces.
fn announced(sent: &[String]) -> Option<usize> {
    sent.last()?.strip_suffix('}')?.rsplit_once('{')?.1.parse().ok()
}

struct Session {
    stream: DuplexStream,
    unread: Vec<u8>,
    ended: bool,
}

impl Session {
    async fn new(server: &ImapServer) -> Session {
        let (stream, there) = tokio::io::duplex(1 << 16);
        let server = server.clone();
        tokio::spawn(async move { server.serve_connection(there, None, &Shutdown::new()).await });
        let mut session = Session { stream, unread: Vec::new(), ended: false };
        assert!(session.line().await.is_some_and(|line| line.starts_with(b"* OK")));
        session
    }

    async fn log_in(&mut self) {
        self.send("login LOGIN imapuser password\r\n").await;
        assert!(self.line().await.is_some_and(|line| line.starts_with(b"login OK")));
    }

    async fn send(&mut self, text: &str) {
        if self.stream.write_all(text.as_bytes()).await.is_err() {
            self.ended = true;
        }
    }

    /// The next line with the literals in it.
    async fn line(&mut self) -> Option<Vec<u8>> {
        let (mut line, mut wanted) = (Vec::new(), None::<usize>);
        loop {
            let end = match wanted {
                Some(size) => (self.unread.len() >= size).then_some(size),
                None => self.unread.iter().position(|&octet| octet == b'\n').map(|at| at + 1),
            };
            let Some(end) = end else {
                let mut more = [0; 4096];
                match self.stream.read(&mut more).await {
                    Ok(octets) if octets > 0 => self.unread.extend_from_slice(&more[..octets]),
                    _ => {
                        self.ended = true;
                        return None;
                    }
                }
                continue;
            };
            let part: Vec<u8> = self.unread.drain(..end).collect();
            line.extend_from_slice(&part);
            if wanted.take().is_some() {
                continue;
            }
            let size = part.strip_suffix(b"}\r\n").and_then(|part| {
                let at = part.iter().rposition(|&octet| octet == b'{')?;
                std::str::from_utf8(&part[at + 1..]).ok()?.parse().ok()
            });
            match size {
                Some(size) => wanted = Some(size),
                None => return Some(line),
            }
        }
    }

    /// Plays one command and returns the lines of the answer.
    async fn play(&mut self, exchange: &Exchange) -> String {
        let mut heard = String::new();
        let tag = exchange.sent.first().and_then(|line| line.split(' ').next()).unwrap_or_default().to_owned();
        let mut rest = exchange.sent.iter().enumerate().peekable();
        while let Some((at, line)) = rest.next() {
            self.send(&format!("{line}\r\n")).await;
            if announced(&exchange.sent[..=at]).is_some() && rest.peek().is_some() {
                let Some(line) = self.line().await else { return heard };
                let line = String::from_utf8_lossy(&line).into_owned();
                let goes_on = line.starts_with('+');
                heard.push_str(&line);
                if !goes_on {
                    return heard;
                }
            }
        }
        // An answer to what has no tag, or a demand to go on, ends otherwise.
        let last = exchange.patterns.last().map_or("", String::as_str);
        let tagged = last.starts_with(&format!("{tag} ")) || last == ".*" || last == "(.)*";
        loop {
            let Some(line) = self.line().await else { return heard };
            let line = String::from_utf8_lossy(&line).into_owned();
            let is_end = line.starts_with(&format!("{tag} ")) || !tagged && !line.starts_with("* OK");
            heard.push_str(&line);
            if is_end {
                return heard;
            }
        }
    }
}

async fn play(folder: &Path, name: &str, exchanges: &[Exchange]) -> Vec<(usize, String)> {
    let owned = name.to_owned();
    let mut config = ServerConfig::default();
    config.login_without_tls = true;
    config.separator = Separator::Dot;
    let accounts = MemoryAuthenticator::new().with("imapuser", "password");
    let clock = pillarbox::testing::SteppedClock::new();
    let parts = Parts {
        store: Arc::new(MemoryStore::new()),
        authenticator: Arc::new(accounts),
        clock: Arc::new(clock.clone()),
        ..Parts::in_memory()
    };
    let server = ImapServer::new(config, parts);
    // Refused logins are answered late.
    let ticking = tokio::spawn(async move {
        while STRANGERS.contains(&&*owned) {
            clock.advance(Duration::from_millis(100));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut sessions: BTreeMap<usize, Session> = BTreeMap::new();
    if SELECTED.contains(&name) {
        let mut first = Session::new(&server).await;
        first.log_in().await;
        let setup = std::fs::read_to_string(folder.join("SelectedStateSetup.test")).unwrap();
        for exchange in parse(&setup) {
            first.play(&exchange).await;
        }
        sessions.insert(1, first);
    }
    let mut differences = Vec::new();
    for (number, exchange) in exchanges.iter().enumerate() {
        if exchange.anew {
            sessions.clear();
        }
        let session = match sessions.entry(exchange.session) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let mut session = Session::new(&server).await;
                if !STRANGERS.contains(&name) {
                    session.log_in().await;
                }
                entry.insert(session)
            }
        };
        let tag = exchange.sent.first().and_then(|line| line.split(' ').next()).unwrap_or_default();
        let tag =
            if exchange.patterns.iter().any(|pattern| pattern.starts_with(&format!("{tag} "))) { tag } else { "" };
        if exchange.sent.is_empty() {
            // The greeting, which was heard.
            continue;
        }
        let Ok(answer) = tokio::time::timeout(Duration::from_secs(5), session.play(exchange)).await else {
            differences.push((number + 1, format!("{}: no answer", exchange.sent[0])));
            break;
        };
        if let Some(difference) = compare(&exchange.patterns, &answer, tag) {
            differences.push((number + 1, format!("{}: {difference}", exchange.sent[0])));
        }
        if session.ended {
            sessions.remove(&exchange.session);
        }
    }
    ticking.abort();
    differences
}

/// What James offers and this server does not, and the scripts that ask for it; so do all in the folder of rights.
const NOT_OFFERED: &[(&str, &[&str])] = &[
    (
        "rights and mailboxes of others",
        &[
            "ACLCommandsOnOtherUser",
            "ACLCommandsOnOwner",
            "ListWithSharedMailbox",
            "RenameSharedMailbox",
            "Rights",
            "SharedMailbox",
            "SharingAccessL",
            "SharingAccessLR",
            "SharingAccessLRA",
            "SharingAccessLRI",
            "SharingAccessLRK",
            "SharingAccessLRS",
            "SharingAccessLRT",
            "SharingAccessLRTE",
            "SharingAccessLRW",
            "SharingAccessLRX",
        ],
    ),
    ("metadata", &["Metadata", "MetadataWithBinaryData", "MetadataWithLimitation"]),
    ("quota", &["Quota"]),
    ("XLIST, which nobody standardised", &["XList"]),
    ("a server without CONDSTORE", &["CondstoreDisable"]),
    ("a mailbox that a program made before", &["ListSpecialChar"]),
];

/// A script and numbers of its exchanges.
type Script = (&'static str, &'static [usize]);

/// Answers that are not James's, by the numbers of the exchanges in their scripts, and why.
const DIFFERENCES: &[(&str, &[Script])] = &[
    (
        "the order of parameters means nothing (RFC 2045 §5.1); they stand as in the message",
        &[("FetchMultipartBodyStructure", &[26]), ("FetchStructureComplex", &[130])],
    ),
    (
        "what the grammar does not know is BAD: an empty list, a macro in a list, commas in ID, a mechanism in quotes",
        &[
            ("AuthenticatePlain", &[1, 2, 3, 4, 6, 7, 8, 9, 10]),
            ("FetchMultipartBodyStructure", &[5]),
            ("FetchSimpleBodyStructure", &[6]),
            ("FetchSingleMessage", &[16, 17, 18]),
            ("FetchStructureComplex", &[9]),
            ("Id", &[2, 4]),
            ("Subscribe", &[17]),
        ],
    ),
    (
        "a line that is no command is BAD and does not end the session",
        &[
            ("BadTag", &[2]),
            ("BogusCommand", &[2]),
            ("IllegalTag", &[2]),
            ("JustTag", &[2]),
            ("NoCommand", &[2]),
            ("NoTag", &[2]),
        ],
    ),
    (
        "a command that the state does not allow is BAD (RFC 9051 §7.1.3), and three of them end a stranger's session",
        &[
            ("Login", &[4]),
            ("ValidAuthenticated", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
            ("ValidNonAuthenticated", &[1, 2]),
            ("ValidSelected", &[1, 2, 3, 4, 5, 6, 7, 8]),
        ],
    ),
    ("the last wrong password gets its answer, then BYE", &[("LoginThreeStrikes", &[4])]),
    ("a session whose mailbox is deleted answers its command before BYE", &[("ConcurrentDeleteSelected", &[5])]),
    (
        "a session whose mailbox is renamed cannot go on: rights are found by its name",
        &[
            ("ConcurrentRenameSelected", &[5]),
            ("ConcurrentRenameSelectedSub", &[6]),
            ("RenameSelected", &[13, 14, 15, 16, 19]),
        ],
    ),
    ("a message number that the client was not told of yet is BAD", &[("ConcurrentExistsResponse", &[10])]),
    (
        "COPY and CREATE tell what is known and do not ask the mailbox for news",
        &[("ConcurrentExistsResponse", &[12]), ("ConcurrentFetchResponse", &[11, 14])],
    ),
    (
        "the pattern itself is not what James sends: no tag, no FLAGS, a zone of the machine that wrote it, an own error for a mailbox that it has not",
        &[
            ("ConcurrentExpungeUIDToMSNMapping", &[8]),
            ("FetchInternalDate", &[2]),
            ("InboxDeleteMessages", &[2]),
            ("Rename", &[130]),
        ],
    ),
    (
        "names: what cannot be a name is NO, what modified UTF-7 must not encode is refused (RFC 3501 §5.1.3), no prefixes of James, levels of 255 octets instead of names of 200",
        &[
            ("Create", &[6, 12, 13, 14]),
            ("CreateErrorWithLongName", &[1, 3]),
            ("ListNamespace", &[4, 5]),
            ("Namespace", &[1]),
        ],
    ),
    (
        "a mailbox with others below it is not deleted (RFC 9051 §6.3.5)",
        &[("Create", &[25, 26]), ("Delete", &[7]), ("ListPercentWildcard", &[11, 12, 15])],
    ),
    (
        "levels that are no mailboxes are listed as \\Noselect (RFC 3501 §6.3.8)",
        &[("RenameHierarchy", &[7, 9, 11, 13, 15, 18])],
    ),
    (
        "INBOX is not subscribed by itself",
        &[("ListSubscribed", &[6, 8, 10, 12, 13, 16, 18, 29, 31, 33]), ("Subscribe", &[5, 7, 10, 12, 21])],
    ),
    (
        "REMOTE adds to what is listed, and CHILDINFO is not told where the child is (RFC 5258 §3.1, §3.5)",
        &[("ListSubscribed", &[22, 27])],
    ),
    ("UID MOVE of a UID that is not there does nothing (RFC 9051 §6.4.9)", &[("MoveNoMSG", &[4])]),
    (
        "RECENT is told at selection only; nothing is found by it",
        &[("Recent", &[4]), ("SearchAtoms", &[78, 83, 85]), ("UidSearchAtoms", &[138, 143, 145])],
    ),
    ("a UID is not used again, also when INBOX was emptied by RENAME", &[("RenameInbox", &[5])]),
    (
        "BODY does not look into what stands before and behind the parts of a multipart, as in Dovecot",
        &[("SearchAtoms", &[47]), ("UidSearchAtoms", &[107])],
    ),
    ("a store that keeps no threads says NIL (RFC 8474 §5.2)", &[("ObjectId", &[2])]),
    ("what is gone is told before what came, so that EXISTS counts what is there in the end", &[("Replace", &[4, 6])]),
    ("the store knows when each message was saved", &[("FetchNILSaveDate", &[3])]),
    ("the range of PARTIAL is told as it was asked for (RFC 9394 §4)", &[("SearchAtoms", &[152])]),
    ("PARTIAL is for UID FETCH (RFC 9394 §3.3)", &[("FetchPartial", &[3])]),
    ("SAVE alone tells nothing (RFC 5182 §2.1)", &[("SearchOptionSave", &[5])]),
    ("items of STATUS stand in the order in which they were asked for", &[("Status", &[9])]),
    ("asks for what is not offered: MYRIGHTS, DELETED-STORAGE", &[("ListPlus", &[11]), ("Status", &[15, 16, 18, 20])]),
];

/// Scripts for clients that have not logged in.
const STRANGERS: &[&str] = &[
    "Authenticate",
    "AuthenticatePlain",
    "Login",
    "LoginThreeStrikes",
    "SharedMailbox",
    "ValidAuthenticated",
    "ValidSelected",
];

/// Scripts for clients that have selected a mailbox with four messages.
const SELECTED: &[&str] = &[
    "Check",
    "Copy",
    "Expunge",
    "FetchBodyNoSection",
    "FetchEnvelope",
    "FetchInternalDate",
    "FetchMultipleMessages",
    "FetchPartial",
    "FetchPeek",
    "FetchRFC822",
    "FetchRFC822Header",
    "FetchRFC822Text",
    "FetchSingleMessage",
    "FetchText",
    "RenameHierarchy",
    "RenameInbox",
    "RenameSelected",
    "FetchSaveDate",
    "FetchNILSaveDate",
    "ObjectId",
    "SearchSaveDate",
    "Move",
    "MoveNoMSG",
    "Search",
    "Store",
    "Uid",
];

#[tokio::test]
async fn scripts_of_james() {
    let Some(folder) = material() else { return };
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    let asks_for = |name: &str| NOT_OFFERED.iter().find(|(_, names)| names.contains(&name)).map(|(what, _)| *what);
    let (mut commands, mut differing, mut played) = (0, 0, 0);
    let mut found: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for name in names.iter().filter(|name| asks_for(name).is_none()) {
        let text = std::fs::read_to_string(folder.join(format!("{name}.test"))).unwrap();
        let exchanges = parse(&text);
        let differences = play(&folder, name, &exchanges).await;
        played += 1;
        commands += exchanges.iter().filter(|exchange| !exchange.sent.is_empty()).count();
        differing += differences.len();
        for (number, why) in &differences {
            println!("{name} {number}: {}", why.chars().take(200).collect::<String>());
        }
        if !differences.is_empty() {
            found.insert(name, differences.into_iter().map(|(number, _)| number).collect());
        }
    }
    println!("{played} scripts with {commands} commands played, {differing} answers in {} scripts differ", found.len());
    println!("{} scripts ask for what is not offered", names.len() - played);
    let mut listed: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (name, numbers) in DIFFERENCES.iter().flat_map(|(_, scripts)| scripts.iter()) {
        listed.entry(name).or_default().extend_from_slice(numbers);
    }
    listed.values_mut().for_each(|numbers| numbers.sort_unstable());
    assert_eq!(found, listed, "left: what differs; right: what may");
    assert_eq!((names.len(), commands > 1900), (138, true), "{} scripts with {commands} commands", names.len());
}
