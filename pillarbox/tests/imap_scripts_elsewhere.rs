//! Scripts of Apache James that need more than an empty account: mailboxes of others, annotations, limits, mailboxes that are there
//! before. Compared is what `imap_scripts` compares.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]
#![allow(clippy::print_stdout, reason = "what was played and what differs has to be told")]
#![allow(dead_code, reason = "the other scripts have several sessions")]

mod imap_script_told;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use imap_script_told::session::{Exchange, Session, parse};
use imap_script_told::{compare, material};
use pillarbox::imap::{ImapServer, ServerConfig};
use pillarbox::parts::{Append, Identity, MailboxStore, MemoryAuthenticator, Parts};
use pillarbox::store::{AclStore, MemoryStore};
use pillarbox_imap::acl::RightsChange;
use pillarbox_imap::types::{MailboxName, Separator};

/// The scripts, and what they need.
const SCRIPTS: &[(&str, Need)] = &[
    ("ACLCommandsOnOtherUser", Need::Shared(&[("boby", "INBOX", "rsw", 0)])),
    ("ACLCommandsOnOwner", Need::Shared(&[])),
    ("CondstoreDisable", Need::NoCondstore),
    ("ListSpecialChar", Need::Mailboxes(&["projects & abc", "\u{e9}valuations", "mailbox #17"])),
    (
        "ListWithSharedMailbox",
        Need::Shared(&[
            ("diana", "sharedMailbox", "lr", 0),
            ("boby", "sharedMailbox", "lr", 0),
            ("boby", "sharedMailbox/child", "lr", 0),
            ("boby", "Sent", "lr", 0),
        ]),
    ),
    ("Metadata", Need::Nothing),
    ("MetadataWithBinaryData", Need::Nothing),
    ("MetadataWithLimitation", Need::Nothing),
    ("Quota", Need::Quota),
    (
        "RenameSharedMailbox",
        Need::Shared(&[
            ("boby", "sharedMailbox", "eiklprstwx", 0),
            ("boby", "sharedMailbox-eilprstwx", "eilprstwx", 0),
            ("boby", "sharedMailbox/child1-eiklprstwx", "eiklprstwx", 10),
            ("boby", "sharedMailbox/child2-eiklprstw", "eiklprstw", 0),
            ("boby", "otherSharedMailbox", "eiklprstwx", 0),
            ("boby", "sharedMailbox/child3", "eiklprstwx", 0),
            ("boby", "sharedMailbox/child3/sub1", "eiklprstwx", 0),
        ]),
    ),
    ("Rights", Need::Shared(&[])),
    ("SharedMailbox", Need::Nothing),
    ("SharingAccessL", Need::Shared(BOX_FOR_BOX)),
    ("SharingAccessLR", Need::Shared(BOX_FOR_BOX)),
    ("SharingAccessLRA", Need::Shared(BOX_FOR_BOX)),
    ("SharingAccessLRI", Need::Shared(BOX_FOR_BOX)),
    ("SharingAccessLRK", Need::Shared(BOX_FOR_BOX)),
    ("SharingAccessLRS", Need::Shared(BOX_FOR_BOX)),
    ("SharingAccessLRT", Need::Shared(BOX_FOR_BOX)),
    ("SharingAccessLRTE", Need::Shared(BOX_FOR_BOX)),
    ("SharingAccessLRW", Need::Shared(BOX_FOR_BOX)),
    ("SharingAccessLRX", Need::Shared(BOX_FOR_BOX)),
];

/// A mailbox for each right.
const BOX_FOR_BOX: &[Shared] = &[
    ("boby", "mailbox-l", "l", 1),
    ("boby", "mailbox-lr", "lr", 10),
    ("boby", "mailbox-lrs", "lrs", 10),
    ("boby", "mailbox-lrw", "lrw", 10),
    ("boby", "mailbox-lri", "lri", 10),
    ("boby", "mailbox-lrk", "lrk", 10),
    ("boby", "mailbox-lrx", "lrx", 10),
    ("boby", "mailbox-lrt", "lrt", 10),
    ("boby", "mailbox-lrte", "lrte", 10),
    ("boby", "mailbox-lra", "lra", 10),
    ("imapuser", "INBOX", "", 1),
];

/// Whose mailbox, its name, what it lets the player do, and its messages.
type Shared = (&'static str, &'static str, &'static str, usize);

#[derive(Clone, Copy)]
enum Need {
    Nothing,
    NoCondstore,
    Mailboxes(&'static [&'static str]),
    Quota,
    Shared(&'static [Shared]),
}

/// How the scripts call mailboxes and quota roots, and how they are called here. James asks for its own names in some.
const NAMES: [(&str, &str); 5] = [
    ("user.Boby", "#user.boby.INBOX"),
    ("#private.imapuser.", ""),
    ("#private\\.imapuser\\.", ""),
    ("#private&imapuser", "#user/imapuser"),
    ("#private.", ""),
];

/// A script and numbers of its exchanges.
type Script = (&'static str, &'static [usize]);

/// Answers that are not James's, by the numbers of the exchanges in their scripts, and why.
const DIFFERENCES: &[(&str, &[Script])] = &[
    (
        "mailboxes of others are listed where a pattern names whose they are, or where they are subscribed",
        &[
            ("ListWithSharedMailbox", &[1, 2, 3, 5, 6, 7, 12, 13]),
            ("RenameSharedMailbox", &[1, 17]),
            ("SharingAccessL", &[1]),
            ("SharingAccessLR", &[1]),
            ("SharingAccessLRA", &[1]),
            ("SharingAccessLRI", &[1]),
            ("SharingAccessLRK", &[1]),
            ("SharingAccessLRS", &[1]),
            ("SharingAccessLRT", &[1]),
            ("SharingAccessLRTE", &[1]),
            ("SharingAccessLRW", &[1]),
            ("SharingAccessLRX", &[1]),
        ],
    ),
    (
        "reference and pattern stand one behind the other, without a separator between them",
        &[("ListWithSharedMailbox", &[10, 27])],
    ),
    ("levels that are no mailboxes are listed as \\NonExistent", &[("ListWithSharedMailbox", &[28])]),
    ("no prefixes of James: #private, #any", &[("ListWithSharedMailbox", &[8]), ("SharedMailbox", &[6, 7])]),
    ("a mailbox stays in its account", &[("RenameSharedMailbox", &[10, 11])]),
    (
        "what the grammar does not know is BAD: GETMETADATA without entries or with two lists of options, two lists in SETQUOTA, a space before a parenthesis, none before RETURN",
        &[("ListWithSharedMailbox", &[29, 31]), ("Metadata", &[6, 7, 20, 24, 25, 28, 45, 47, 49]), ("Quota", &[10])],
    ),
    ("too many mistakes end a session", &[("Metadata", &[36])]),
    ("MAXSIZE may be 0 (RFC 5464 §4.2.1)", &[("Metadata", &[37])]),
    (
        "a value of several lines is told as a literal, for no line ends within quotes",
        &[("MetadataWithBinaryData", &[3])],
    ),
    (
        "a value may have 65,536 octets, and a mailbox 64 private annotations of one user",
        &[("MetadataWithLimitation", &[2, 6])],
    ),
    ("all resources of a root stand in one QUOTA (RFC 9208 §4.2.1)", &[("Quota", &[5, 6, 8, 9])]),
    (
        "the owner is called by name, and an identifier that has lost all rights is still told",
        &[("Rights", &[7, 9, 11, 13, 15, 17])],
    ),
    (
        "`a` to an owner is required of nobody there; rights stand in their order, and those from 0 to 9 are James's own",
        &[("ACLCommandsOnOwner", &[12, 13, 15]), ("Rights", &[3])],
    ),
    ("its pattern looks ahead, which is not read here: capabilities are not compared", &[("CondstoreDisable", &[1])]),
];

/// The text of a script with our names. Where mailboxes of others are seen, a slash parts the levels.
fn with_our_names(text: &str, need: Need) -> String {
    let text = NAMES.iter().fold(text.to_owned(), |text, (theirs, ours)| text.replace(theirs, ours));
    if !matches!(need, Need::Shared(_)) {
        return text;
    }
    let text = text.replace("\\\".\\\"", "\"/\"").replace("\\\"\\.\\\"", "\"/\"").replace("\".\"", "\"/\"");
    let line = |line: &str| {
        let word = |word: &str| {
            if word.contains("#user") { word.replace("\\.", "/").replace('.', "/") } else { word.to_owned() }
        };
        line.split(' ').map(word).collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

async fn fill(store: &dyn MailboxStore, user: &Identity, mailbox: &str, messages: usize) {
    for _ in 0..messages {
        let mut incoming = store.append(user, &name(mailbox), Append::default()).await.unwrap();
        incoming.write(b"Subject: x\r\n\r\n").await.unwrap();
        incoming.publish().await.unwrap();
    }
}

async fn store(need: Need) -> Arc<dyn MailboxStore> {
    let you = Identity::new("imapuser");
    match need {
        Need::Nothing | Need::NoCondstore => Arc::new(MemoryStore::new()),
        Need::Mailboxes(names) => {
            let store = MemoryStore::new();
            for mailbox in names {
                store.create(&you, &name(mailbox), &[]).await.unwrap();
            }
            Arc::new(store)
        }
        Need::Quota => {
            let store = MemoryStore::new().with_quota(Some(5_242_880 << 10), Some(7));
            fill(&store, &you, "INBOX", 4).await;
            Arc::new(store)
        }
        Need::Shared(mailboxes) => {
            let store = AclStore::new(MemoryStore::new()).other_users(name("#user")).for_anyone();
            for (owner, mailbox, rights, messages) in mailboxes {
                let owner = Identity::new(*owner);
                if *mailbox != "INBOX" {
                    // The one above it may have come to be with it.
                    let _ = store.create(&owner, &name(mailbox), &[]).await;
                }
                fill(&store, &owner, mailbox, *messages).await;
                if owner != you {
                    store.set_acl(&owner, &name(mailbox), "imapuser", RightsChange::parse(rights)).await.unwrap();
                }
            }
            Arc::new(store)
        }
    }
}

/// Letters of rights mean the same in any order; `c` and `d` are told where some of what they stand for is there, and James, which has
/// rights of its own in some scripts, does not tell them in others.
fn in_order(line: &str) -> String {
    if !["* MYRIGHTS", "* ACL", "* LISTRIGHTS"].iter().any(|word| line.contains(word)) {
        return line.to_owned();
    }
    let word = |word: &str| {
        let plain = word.trim_matches(|letter| letter == '"' || letter == '\\');
        if plain.len() > 1 && plain.bytes().all(|letter| b"lrswipkxtecda".contains(&letter)) {
            let mut letters: Vec<char> = plain.chars().filter(|letter| !"cd".contains(*letter)).collect();
            letters.sort_unstable();
            return letters.into_iter().collect::<String>();
        }
        word.to_owned()
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

async fn play(script: &str, need: Need, exchanges: &[Exchange]) -> Vec<(usize, String)> {
    let mut config = ServerConfig::default();
    config.login_without_tls = true;
    config.separator = if let Need::Shared(_) = need { Separator::Slash } else { Separator::Dot };
    if let Need::NoCondstore = need {
        (config.extensions.condstore, config.extensions.qresync) = (false, false);
    }
    let accounts = MemoryAuthenticator::new().with("imapuser", "password");
    let parts = Parts { store: store(need).await, authenticator: Arc::new(accounts), ..Parts::in_memory() };
    let server = ImapServer::new(config, parts);
    let mut session = Session::new(&server).await;
    let logs_in = exchanges.iter().any(|exchange| exchange.sent.iter().any(|line| line.contains(" LOGIN ")));
    if !logs_in {
        session.log_in().await;
    }
    let mut differences = Vec::new();
    for (number, exchange) in exchanges.iter().enumerate().filter(|(_, exchange)| !exchange.sent.is_empty()) {
        let tag = exchange.sent[0].split(' ').next().unwrap_or_default();
        // Too many mistakes end a session.
        if session.ended {
            session = Session::new(&server).await;
            session.log_in().await;
        }
        let Ok(answer) = tokio::time::timeout(Duration::from_secs(5), session.play(exchange)).await else {
            differences.push((number + 1, format!("{}: no answer", exchange.sent[0])));
            break;
        };
        let answer: Vec<String> = answer.lines().map(in_order).collect();
        let patterns: Vec<String> = exchange.patterns.iter().map(|pattern| in_order(pattern)).collect();
        if let Some(difference) = compare(&patterns, &answer.join("\r\n"), tag) {
            differences.push((number + 1, format!("{}: {difference}", exchange.sent[0])));
        }
    }
    assert!(!exchanges.is_empty(), "{script} is empty");
    differences
}

#[tokio::test]
async fn scripts_of_james_that_need_something() {
    let Some(folder) = material("") else { return };
    let (mut commands, mut differing) = (0, 0);
    let mut found: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (script, need) in SCRIPTS {
        let text = std::fs::read_to_string(folder.join(format!("{script}.test"))).unwrap();
        let text = with_our_names(&text, *need);
        let exchanges = parse(&text);
        let differences = play(script, *need, &exchanges).await;
        commands += exchanges.iter().filter(|exchange| !exchange.sent.is_empty()).count();
        differing += differences.len();
        for (number, why) in &differences {
            println!("{script} {number}: {}", why.chars().take(300).collect::<String>());
        }
        if !differences.is_empty() {
            found.insert(script, differences.into_iter().map(|(number, _)| number).collect());
        }
    }
    println!(
        "{} scripts with {commands} commands played, {differing} answers in {} differ",
        SCRIPTS.len(),
        found.len()
    );
    let mut listed: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (script, numbers) in DIFFERENCES.iter().flat_map(|(_, scripts)| scripts.iter()) {
        listed.entry(script).or_default().extend_from_slice(numbers);
    }
    listed.values_mut().for_each(|numbers| numbers.sort_unstable());
    assert_eq!(found, listed, "left: what differs; right: what may");
}
