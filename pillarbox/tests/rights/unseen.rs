//! What the words of a session tell of mailboxes that its user may not know of: nothing.

use std::sync::Arc;

use pillarbox::maildir::{Quota, QuotaRules};
use pillarbox::parts::{Append, MailboxStore};
use pillarbox::store::{AclSource, AclStore, MaildirStore, MemoryStore};
use pillarbox_imap::acl::RightsChange;
use pillarbox_imap::metadata::EntryName;
use pillarbox_imap::types::MailboxName;

use crate::imap_support::{Server, YOU};
use crate::world::{name, user};

/// Commands about `<>`, of somebody with a message in INBOX that is selected.
const COMMANDS: &[&str] = &[
    "SELECT \"<>\"",
    "EXAMINE \"<>\"",
    "SELECT \"<>\" (CONDSTORE)",
    "STATUS \"<>\" (MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ SIZE MAILBOXID)",
    "LIST \"\" \"<>\"",
    "LIST \"\" \"<%\"",
    "LIST \"\" (\"<>\" \"<>/*\") RETURN (SUBSCRIBED CHILDREN STATUS (MESSAGES))",
    "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" \"<>\"",
    "LIST \"\" (\"<>\" \"<%\" \"<>/*\") RETURN (MYRIGHTS METADATA (/shared/comment /private/comment))",
    "LSUB \"\" \"<>\"",
    "ESEARCH IN (mailboxes \"<>\") RETURN (COUNT) ALL",
    "ESEARCH IN (subtree \"<>\" subtree-one \"Other Users\" personal) RETURN (COUNT) ALL",
    "SUBSCRIBE \"<>\"",
    "LIST (SUBSCRIBED) \"\" \"<>\" RETURN (CHILDREN STATUS (MESSAGES))",
    "LIST (SUBSCRIBED) \"\" \"<>\" RETURN (MYRIGHTS METADATA (/shared/comment))",
    "LSUB \"\" \"<>*\"",
    "UNSUBSCRIBE \"<>\"",
    "CREATE \"<>\"",
    "CREATE \"<>/New\"",
    "DELETE \"<>\"",
    "RENAME \"<>\" \"Mine\"",
    "RENAME \"<>\" \"<>/New\"",
    "RENAME INBOX \"<>\"",
    "RENAME INBOX \"<>/New\"",
    "APPEND \"<>\" {1+}\r\nx",
    "APPEND \"<>\" CATENATE (TEXT {1+}\r\nx)",
    "APPEND INBOX CATENATE (URL \"/URL/;UID=1\")",
    "APPEND INBOX CATENATE (TEXT {1+}\r\nx URL \"/URL;UIDVALIDITY=1/;UID=1/;SECTION=HEADER\")",
    "COPY 1 \"<>\"",
    "UID COPY 1:* \"<>\"",
    "MOVE 1 \"<>\"",
    "REPLACE 1 \"<>\" {1+}\r\nx",
    "REPLACE 1 INBOX CATENATE (URL \"/URL/;UID=1\")",
    "MYRIGHTS \"<>\"",
    "GETACL \"<>\"",
    "LISTRIGHTS \"<>\" ann",
    "SETACL \"<>\" you@localhost lr",
    "SETACL \"<>\" ann +l",
    "DELETEACL \"<>\" ann",
    "GETQUOTAROOT \"<>\"",
    "GETMETADATA \"<>\" /private/comment",
    "GETMETADATA (DEPTH infinity) \"<>\" (/shared /private)",
    "SETMETADATA \"<>\" (/private/comment \"x\")",
    "SETMETADATA \"<>\" (/shared/comment NIL)",
];

/// ACL-01 (RFC 4314 §6): to whoever has no right to a mailbox each command answers, to the letter, as if it were not there. The three
/// are one that ann has, one that she does not have, and one of an account that there is not.
async fn no_letter_tells_them_apart(source: impl AclSource + Clone + 'static, quotas: bool) {
    let ann = user("ann");
    let store = AclStore::new(source).other_users(name("Other Users"));
    store.create(&ann, &name("Work"), &[]).await.unwrap();
    let mut append = store.append(&ann, &name("Work"), Append::default()).await.unwrap();
    append.write(b"Subject: secret\r\n\r\nsecret\r\n").await.unwrap();
    append.publish().await.unwrap();
    // Rights that do not let anybody know of it, and those that others have.
    store.set_acl(&ann, &name("Work"), YOU, RightsChange::parse("sw")).await.unwrap();
    store.set_acl(&ann, &name("Work"), "eve", RightsChange::parse("lr")).await.unwrap();
    let comment = [(EntryName::parse("/shared/comment").unwrap(), Some(b"secret".to_vec()))];
    store.set_metadata(&ann, Some(&name("Work")), &comment).await.unwrap();
    let server = Server::over(Arc::new(store.clone()));
    server.add("INBOX", b"Subject: mine\r\n\r\n").await;
    let mut client = server.client().await;
    assert_eq!(client.ok("CAPABILITY").await.contains(" QUOTA "), quotas);
    for command in COMMANDS.iter().filter(|command| quotas || !command.starts_with("GETQUOTAROOT")) {
        let mut told = Vec::new();
        for mailbox in ["Other Users/ann/Work", "Other Users/ann/Wonk", "Other Users/eva/Work"] {
            client.ok("SELECT INBOX").await;
            let url = mailbox.replace(' ', "%20");
            let command = command.replace("<%", &format!("{}%", &mailbox[..mailbox.len() - 1]));
            let answer = client.say(&command.replace("<>", mailbox).replace("/URL", &format!("/{url}"))).await;
            assert!(!answer.contains("BAD "), "{command}: {answer}");
            // Each command has a tag of its own, which ESEARCH repeats.
            let words = answer.split(' ').filter(|word| !word.starts_with("\"t"));
            let answer = words.collect::<Vec<_>>().join(" ");
            told.push(answer.replace(mailbox, "<>").replace(&url, "URL"));
        }
        assert_eq!(told[0], told[1], "{command}");
        assert_eq!(told[0], told[2], "{command}");
        let refuses_all = !["ESEARCH", "LIST ", "LSUB", "SUB", "UNSUB"].iter().any(|word| command.starts_with(word));
        assert!(
            !refuses_all || told[0].lines().last().is_some_and(|last| last.starts_with("NO ")),
            "{command}: {}",
            told[0]
        );
    }
    let inbox = store.status(&user(YOU), &MailboxName::inbox(), &[]).await.unwrap();
    let work = store.status(&ann, &name("Work"), &[]).await.unwrap();
    assert_eq!((inbox.messages, work.messages), (1, 1), "and nothing came of it");
}

/// RFC 8440: rights of what is listed, and of nothing else; annotations of what may be annotated.
async fn lists_tell_rights<S: AclSource + Clone + 'static>(source: S) {
    let ann = user("ann");
    let store = AclStore::new(source).other_users(name("Other Users"));
    for (mailbox, rights) in [("Work", "lr"), ("Work/Hidden", "rw"), ("Work/Named", "l"), ("Work/Kept", "lrswi")] {
        store.create(&ann, &name(mailbox), &[]).await.unwrap();
        store.set_acl(&ann, &name(mailbox), YOU, RightsChange::parse(rights)).await.unwrap();
        let comment = [(EntryName::parse("/shared/comment").unwrap(), Some(mailbox.as_bytes().to_vec()))];
        store.set_metadata(&ann, Some(&name(mailbox)), &comment).await.unwrap();
    }
    let mut client = Server::over(Arc::new(store)).client().await;
    assert!(client.ok("CAPABILITY").await.contains(" LIST-METADATA LIST-MYRIGHTS "));
    client.ok("SUBSCRIBE \"Other Users/ann/Work/Hidden\"").await;
    assert_eq!(
        client.ok("LIST \"\" (INBOX \"Other Users/ann/*\") RETURN (MYRIGHTS METADATA (/shared/comment))").await,
        "* LIST (\\HasNoChildren) \"/\" INBOX\r\n\
         * MYRIGHTS INBOX lrswipkxteacd\r\n\
         * METADATA INBOX (/shared/comment NIL)\r\n\
         * LIST (\\HasChildren) \"/\" \"Other Users/ann/Work\"\r\n\
         * MYRIGHTS \"Other Users/ann/Work\" lr\r\n\
         * METADATA \"Other Users/ann/Work\" (/shared/comment \"Work\")\r\n\
         * LIST (\\HasNoChildren) \"/\" \"Other Users/ann/Work/Kept\"\r\n\
         * MYRIGHTS \"Other Users/ann/Work/Kept\" lrswi\r\n\
         * METADATA \"Other Users/ann/Work/Kept\" (/shared/comment \"Work/Kept\")\r\n\
         * LIST (\\HasNoChildren) \"/\" \"Other Users/ann/Work/Named\"\r\n\
         * MYRIGHTS \"Other Users/ann/Work/Named\" l\r\n\
         OK Done\r\n"
    );
    assert_eq!(
        client.ok("LIST (SUBSCRIBED) \"\" * RETURN (MYRIGHTS METADATA (/shared/comment))").await,
        "* LIST (\\NonExistent \\HasNoChildren \\Subscribed) \"/\" \"Other Users/ann/Work/Hidden\"\r\n\
         OK Done\r\n"
    );
}

#[tokio::test]
async fn rights_of_what_is_listed_in_memory() {
    lists_tell_rights(MemoryStore::new()).await;
}

#[tokio::test]
async fn rights_of_what_is_listed_in_maildirs() {
    let dir = tempfile::tempdir().unwrap();
    lists_tell_rights(crate::world::in_maildirs(dir.path())).await;
}

#[tokio::test]
async fn in_memory() {
    no_letter_tells_them_apart(MemoryStore::new(), false).await;
}

#[tokio::test]
async fn in_maildirs() {
    let dir = tempfile::tempdir().unwrap();
    let (root, rules) = (dir.path().to_owned(), QuotaRules::new(Quota { bytes: Some(100_000), messages: Some(10) }));
    let folder = move |account: &pillarbox::parts::Identity| Some(root.join(account.user()).join("Maildir"));
    no_letter_tells_them_apart(MaildirStore::with_quotas(folder, move |_| Some(rules.clone())), true).await;
}
