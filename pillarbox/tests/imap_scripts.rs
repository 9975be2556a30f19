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
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use imap_script_told::session::{Exchange, Session, parse};
use imap_script_told::{compare, material, scripts};
use pillarbox::imap::{ImapServer, ServerConfig};
use pillarbox::parts::{MemoryAuthenticator, Parts};
use pillarbox::store::MemoryStore;
use pillarbox_imap::types::Separator;

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

/// XLIST, which nobody standardised.
const NOT_OFFERED: &[&str] = &["XList"];

/// Scripts that need more than an empty account: `imap_scripts_elsewhere` plays them; and all in the folder of rights
/// `imap_rights_scripts`.
const ELSEWHERE: &[&str] = &[
    "ACLCommandsOnOtherUser",
    "ACLCommandsOnOwner",
    "CondstoreDisable",
    "ListSpecialChar",
    "ListWithSharedMailbox",
    "Metadata",
    "MetadataWithBinaryData",
    "MetadataWithLimitation",
    "Quota",
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
    let Some(folder) = material("") else { return };
    let names = scripts(&folder);
    let is_played = |name: &str| !NOT_OFFERED.contains(&name) && !ELSEWHERE.contains(&name);
    let (mut commands, mut differing, mut played) = (0, 0, 0);
    let mut found: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for name in names.iter().filter(|name| is_played(name)) {
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
    println!("{} scripts are played elsewhere, {} ask for what is not offered", ELSEWHERE.len(), NOT_OFFERED.len());
    assert_eq!(played + ELSEWHERE.len() + NOT_OFFERED.len(), names.len());
    let mut listed: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (name, numbers) in DIFFERENCES.iter().flat_map(|(_, scripts)| scripts.iter()) {
        listed.entry(name).or_default().extend_from_slice(numbers);
    }
    listed.values_mut().for_each(|numbers| numbers.sort_unstable());
    assert_eq!(found, listed, "left: what differs; right: what may");
    assert_eq!((names.len(), commands > 1900), (138, true), "{} scripts with {commands} commands", names.len());
}
