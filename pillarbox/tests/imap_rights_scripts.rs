//! What James lets somebody do with the mailbox of another, right by right, beside what we do: its scripts, played over [`AclStore`].
//!
//! A script says by its first answers which rights there are, and how many messages. Names are spelled as here.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]
#![allow(clippy::print_stdout, reason = "what was played and what differs has to be told")]
#![allow(dead_code, reason = "the other scripts have several sessions")]

mod imap_script_told;

use std::collections::BTreeMap;
use std::sync::Arc;

use imap_script_told::session::{Exchange, Session, parse};
use imap_script_told::{compare, material, scripts};
use pillarbox::imap::{ImapServer, ServerConfig};
use pillarbox::parts::{Append, Identity, MailboxStore, MemoryAuthenticator, Parts};
use pillarbox::store::{AclStore, MemoryStore};
use pillarbox_imap::acl::RightsChange;
use pillarbox_imap::types::{Flag, MailboxName};

/// How the scripts call mailboxes, and how they are called here.
const NAMES: [(&str, &str); 6] = [
    ("\"user.\" \"Boby\"", "\"user/boby/\" Box"),
    ("\".\"", "\"/\""),
    ("user.Boby.", "user/boby/Box/"),
    ("user.Boby", "user/boby/Box"),
    ("user.imapuser.", "Mine/"),
    ("user.imapuser", "Mine"),
];

/// A script and numbers of its exchanges.
type Script = (&'static str, &'static [usize]);

/// Answers that are not James's, by the numbers of the exchanges in their scripts, and why.
const DIFFERENCES: &[(&str, &[Script])] = &[
    (
        "\\Seen takes the right `s`, also of a message that comes by APPEND or COPY (RFC 4314 §4), and without it the message is unseen",
        &[
            ("ACLIntegrationCopyWithoutS", &[7, 8]),
            ("ACLIntegrationRightI", &[8]),
            ("ACLIntegrationRightIT", &[8]),
            ("ACLIntegrationRightIW", &[8]),
        ],
    ),
    (
        "STORE FLAGS names also what it removes: what of that may be changed is (RFC 4314 §4)",
        &[
            ("ACLIntegrationWithoutRightS", &[7]),
            ("ACLIntegrationWithoutRightT", &[7]),
            ("ACLIntegrationWithoutRightW", &[7]),
        ],
    ),
    ("LISTRIGHTS takes the right `a` (RFC 4314 §4)", &[("ACLIntegrationWithoutRightA", &[5])]),
    (
        "`a` to an owner is required of nobody there; the rights 0 to 9 are James's own",
        &[("ACLIntegrationRightA", &[5])],
    ),
    ("a mailbox stays in its account", &[("ACLIntegrationRightK", &[4]), ("ACLIntegrationRightX", &[3])]),
    (
        "names are subscribed without a look at what is there, so that nothing is told of it (RFC 4314 §4)",
        &[("ACLIntegrationWithoutRightL", &[4, 5])],
    ),
    ("items of STATUS stand in the order in which they were asked for", &[("ACLIntegrationRightR", &[5])]),
];

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}

/// Letters of rights mean the same in any order.
fn in_order(line: &str) -> String {
    if !line.contains("* MYRIGHTS") && !line.contains("* ACL") {
        return line.to_owned();
    }
    let word = |word: &str| {
        let mut letters: Vec<char> = word.chars().collect();
        if letters.iter().all(|letter| "lrswipkxtecda".contains(*letter)) {
            letters.sort_unstable();
        }
        letters.into_iter().collect::<String>()
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The mailboxes of both as a script expects them.
async fn mailboxes(exchanges: &[Exchange]) -> AclStore<MemoryStore> {
    let store = AclStore::new(MemoryStore::new()).other_users(name("user"));
    let (boby, you) = (Identity::new("boby"), Identity::new("imapuser"));
    store.create(&boby, &name("Box"), &[]).await.unwrap();
    store.create(&you, &name("Mine"), &[]).await.unwrap();
    let patterns = || exchanges.iter().flat_map(|exchange| &exchange.patterns);
    for (user, mailbox, seen) in
        [(&boby, "Box", "user/boby/Box"), (&boby, "Box/test", "user/boby/Box/test"), (&you, "Mine/test", "Mine/test")]
    {
        let told = format!("\\* MYRIGHTS {seen} ");
        let Some(rights) = patterns().find_map(|pattern| pattern.strip_prefix(&told)) else { continue };
        if mailbox.contains('/') {
            store.create(user, &name(mailbox), &[]).await.unwrap();
        }
        // `c` and `d` are told where some of what they stand for is there.
        let rights: String = rights.chars().filter(|letter| !"cd".contains(*letter)).collect();
        store.set_acl(user, &name(mailbox), "imapuser", RightsChange::parse(&rights)).await.unwrap();
    }
    let selected = exchanges.iter().find(|exchange| exchange.sent[0].contains(" SELECT "));
    let four = selected.filter(|exchange| exchange.patterns.iter().any(|pattern| pattern == "\\* 4 EXISTS"));
    if let Some(selected) = four {
        let place = if selected.sent[0].ends_with("Mine") { (&you, "Mine") } else { (&boby, "Box") };
        for flag in [None, None, Some(Flag::Flagged), Some(Flag::Deleted)] {
            let mut append = Append::default();
            append.flags = flag.into_iter().collect();
            let mut incoming = store.append(place.0, &name(place.1), append).await.unwrap();
            incoming.write(b"Subject: x\r\n\r\n").await.unwrap();
            incoming.publish().await.unwrap();
        }
    }
    store
}

async fn play(exchanges: &[Exchange]) -> Vec<(usize, String)> {
    let mut config = ServerConfig::default();
    config.login_without_tls = true;
    let accounts = MemoryAuthenticator::new().with("imapuser", "password");
    let store = Arc::new(mailboxes(exchanges).await);
    let parts = Parts { store, authenticator: Arc::new(accounts), ..Parts::in_memory() };
    let server = ImapServer::new(config, parts);
    let mut session = Session::new(&server).await;
    let mut differences = Vec::new();
    for (number, exchange) in exchanges.iter().enumerate() {
        let tag = exchange.sent[0].split(' ').next().unwrap_or_default();
        let answer = session.play(exchange).await;
        let answer: Vec<String> = answer.lines().map(in_order).collect();
        let patterns: Vec<String> = exchange.patterns.iter().map(|pattern| in_order(pattern)).collect();
        if let Some(difference) = compare(&patterns, &answer.join("\r\n"), tag) {
            differences.push((number + 1, format!("{}: {difference}", exchange.sent[0])));
        }
    }
    differences
}

#[tokio::test]
async fn scripts_of_james_about_rights() {
    let Some(folder) = material("aclIntegration") else { return };
    let names = scripts(&folder);
    let (mut commands, mut differing) = (0, 0);
    let mut found: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for script in &names {
        let text = std::fs::read_to_string(folder.join(format!("{script}.test"))).unwrap();
        let text = NAMES.iter().fold(text, |text, (theirs, ours)| text.replace(theirs, ours));
        let exchanges = parse(&text);
        let differences = play(&exchanges).await;
        commands += exchanges.len();
        differing += differences.len();
        for (number, why) in &differences {
            println!("{script} {number}: {why}");
        }
        if !differences.is_empty() {
            found.insert(script.clone(), differences.into_iter().map(|(number, _)| number).collect());
        }
    }
    println!("{} scripts with {commands} commands played, {differing} answers in {} differ", names.len(), found.len());
    let mut listed: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (script, numbers) in DIFFERENCES.iter().flat_map(|(_, scripts)| scripts.iter()) {
        listed.entry((*script).to_owned()).or_default().extend_from_slice(numbers);
    }
    listed.values_mut().for_each(|numbers| numbers.sort_unstable());
    assert_eq!(found, listed, "left: what differs; right: what may");
    assert_eq!((names.len(), commands), (31, 213));
}
