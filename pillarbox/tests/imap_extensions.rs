//! IMAP's extensions from the client to the stores that ship, and back.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

use imap_support::bent::Bent;
use imap_support::{Client, Server, YOU};
use pillarbox::imap::{ImapServer, ServerConfig};
use pillarbox::parts::{MemoryAuthenticator, Parts, StoreErrorKind};
use pillarbox::store::MemoryStore;

const MESSAGE: &[u8] = b"Subject: hi\r\n\r\nHello\r\n";

// ---- moving

#[tokio::test]
async fn messages_move() {
    for server in Server::each() {
        for _ in 0..3 {
            server.add("INBOX", MESSAGE).await;
        }
        let (mut a, mut b) = (server.in_inbox().await, server.in_inbox().await);
        a.fails("MOVE 1 Archive", "NO [TRYCREATE]").await;
        a.ok("CREATE Archive").await;
        let answer = a.ok("MOVE 1,3 Archive").await;
        let code = answer.strip_prefix("* OK [COPYUID ").and_then(|rest| rest.split_once(" 1,3 1:2] "));
        let (_, rest) = code.unwrap_or_else(|| panic!("{answer}"));
        assert!(rest.ends_with("\r\n* 3 EXPUNGE\r\n* 1 EXPUNGE\r\nOK Moved\r\n"), "{answer}");
        assert_eq!(a.ok("UID SEARCH ALL").await, "* SEARCH 2\r\nOK Searched\r\n");
        // RFC 6851 §4.4: who was too late moves nothing, and nothing twice.
        b.fails("MOVE 1 Archive", "NO [EXPUNGEISSUED]").await;
        let answer = b.ok("UID MOVE 1:3 Archive").await;
        assert!(answer.contains(" 2 3] "), "{answer}");
        assert!(b.ok("STATUS Archive (MESSAGES)").await.contains("(MESSAGES 3)"));
        assert!(b.ok("STATUS INBOX (MESSAGES)").await.contains("(MESSAGES 0)"));
    }
}

#[tokio::test]
async fn two_sessions_that_move_the_same_messages() {
    for server in Server::each() {
        for _ in 0..20 {
            server.add("INBOX", MESSAGE).await;
        }
        let (mut a, mut b) = (server.in_inbox().await, server.in_inbox().await);
        a.ok("CREATE Archive").await;
        let (first, second) = (a.begin("UID MOVE 1:20 Archive").await, b.begin("UID MOVE 1:20 Archive").await);
        let (first, second) = (a.answer(&first).await, b.answer(&second).await);
        assert!(first.contains(" OK ") && second.contains(" OK "), "{first}{second}");
        assert!(a.ok("STATUS Archive (MESSAGES)").await.contains("(MESSAGES 20)"), "none is lost and none is double");
    }
}

// ---- several messages at once

#[tokio::test]
async fn several_messages_or_none() {
    for server in Server::each() {
        let mut client = server.in_inbox().await;
        let tag = client.begin("APPEND INBOX (\\Seen) {5+}\r\nfirst (\\Flagged) {6}").await;
        assert!(client.line().await.starts_with("+ "));
        client.send("second \"17-Jul-1996 02:44:25 +0000\" {5+}\r\nthird\r\n").await;
        let answer = client.answer(&tag).await;
        assert!(answer.contains("* 3 EXISTS\r\n") && answer.contains(" 1:3] Stored"), "{answer}");
        let answer = client.ok("FETCH 1:3 (FLAGS RFC822.SIZE BODY.PEEK[])").await;
        for told in ["(FLAGS (\\Seen) RFC822.SIZE 5 BODY[] {5}\r\nfirst)", "(\\Flagged) RFC822.SIZE 6", "{5}\r\nthird)"]
        {
            assert!(answer.contains(told), "{answer}");
        }
        // The third is refused: none of them is there.
        let tag = client.begin("APPEND INBOX {1+}\r\na {1+}\r\nb {99999999}").await;
        assert!(client.answer(&tag).await.contains("NO [TOOBIG]"));
        let tag = client.begin("APPEND INBOX {1+}\r\na {1+}\r\nb junk").await;
        assert!(client.answer(&tag).await.contains("BAD"));
        assert!(client.ok("STATUS INBOX (MESSAGES)").await.contains("(MESSAGES 3)"));
    }
}

#[tokio::test]
async fn a_disk_that_fills_up_within_the_second_message() {
    let store = Bent::over(MemoryStore::new());
    let server = Server::over(Arc::new(store.clone()));
    let mut client = server.in_inbox().await;
    store.bend.unwritable_from.store(10, SeqCst);
    let tag = client.begin(&format!("APPEND INBOX {{5+}}\r\nsmall {{20+}}\r\n{}", "x".repeat(20))).await;
    let answer = client.answer(&tag).await;
    assert!(answer.contains("NO [UNAVAILABLE]"), "{answer}");
    assert!(client.ok("STATUS INBOX (MESSAGES)").await.contains("(MESSAGES 0)"));
}

// ---- binary

#[tokio::test]
async fn parts_undone_of_their_encoding() {
    let mail = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Transfer-Encoding: base64\r\n\r\n\
        aGkAeW91\r\n--x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9\r\n--x\r\n\
        Content-Transfer-Encoding: x-own\r\n\r\n?\r\n--x--\r\n";
    for server in Server::each() {
        server.add("INBOX", mail).await;
        let mut client = server.in_inbox().await;
        for (item, told) in [
            ("BINARY.PEEK[1]", "BINARY[1] ~{6}\r\nhi\0you"),
            ("BINARY.PEEK[1]<3.100>", "BINARY[1]<3> {3}\r\nyou"),
            ("BINARY.PEEK[1]<6.1>", "BINARY[1]<6> {0}\r\n"),
            ("BINARY.PEEK[2]", "BINARY[2] {5}\r\ncafé"),
            ("BINARY.SIZE[2]", "BINARY.SIZE[2] 5"),
            ("(BINARY.SIZE[1] BINARY.PEEK[2]<0.1>)", "BINARY.SIZE[1] 6 BINARY[2]<0> {1}\r\nc"),
            ("BINARY.PEEK[9]", "BINARY[9] NIL"),
            ("BINARY.SIZE[9]", "BINARY.SIZE[9] 0"),
        ] {
            let answer = client.ok(&format!("FETCH 1 {item}")).await;
            assert_eq!(answer, format!("* 1 FETCH ({told})\r\nOK Fetched\r\n"), "{item}");
        }
        let answer = client.fails("FETCH 1 (BINARY.PEEK[3] BINARY.SIZE[3] UID)", "NO [UNKNOWN-CTE]").await;
        assert!(answer.starts_with("* 1 FETCH (UID 1)\r\n"), "{answer}");
        assert!(client.ok("FETCH 1 FLAGS").await.contains("FLAGS ()"), "nothing was seen yet");
        assert!(client.ok("FETCH 1 BINARY[1]").await.contains("FLAGS (\\Seen)"));
    }
}

#[tokio::test]
async fn a_message_with_nul_reads_back_by_binary_alone() {
    for server in Server::each() {
        let mut client = server.in_inbox().await;
        let tag = client.begin("APPEND INBOX ~{8+}\r\n\r\n\0a\n\r\0b").await;
        assert!(client.answer(&tag).await.contains(" OK [APPENDUID "));
        let answer = client.ok("FETCH 1 BINARY.PEEK[]").await;
        assert!(answer.contains("BINARY[] ~{8}\r\n\r\n\0a\n\r\0b)"), "{answer:?}");
        let tag = client.begin("FETCH 1 BODY.PEEK[]").await;
        let octets = client.octets().await;
        assert!(octets.ends_with(b"{8}\r\n\r\n\x80a\n\r\x80b)\r\n"), "{}", octets.escape_ascii());
        client.answer(&tag).await;
    }
}

// ---- annotations

/// RFC 5464, from the socket to the stores.
#[tokio::test]
async fn mailboxes_have_annotations() {
    for server in Server::each() {
        let mut client = server.client().await;
        assert!(client.ok("CAPABILITY").await.contains(" METADATA "));
        client.ok("SETMETADATA INBOX (/private/comment \"My own\" /Shared/Comment {3+}\r\na\r\n)").await;
        assert_eq!(
            client.ok("GETMETADATA inbox (/shared/comment /private/comment /private/x)").await,
            "* METADATA INBOX (/private/comment \"My own\" /shared/comment {3}\r\na\r\n /private/x NIL)\r\n\
             OK Annotations told\r\n"
        );
        let told = client.ok("GETMETADATA INBOX (MAXSIZE 3 DEPTH infinity) (/private /shared)").await;
        assert!(told.ends_with("\r\nOK [METADATA LONGENTRIES 6] Annotations told\r\n"), "{told}");
        client.fails("SETMETADATA Nowhere (/private/comment \"x\")", "NO [NONEXISTENT]").await;
        client.fails("GETMETADATA Nowhere /private/comment", "NO [NONEXISTENT]").await;
        let large =
            format!("SETMETADATA INBOX (/private/new \"x\" /private/comment {{65537+}}\r\n{})", "x".repeat(65537));
        client.fails(&large, "NO [METADATA MAXSIZE 65536]").await;
        let many: Vec<String> = (0..65).map(|number| format!("/private/{number} \"\"")).collect();
        client.fails(&format!("SETMETADATA INBOX ({})", many.join(" ")), "NO [METADATA TOOMANY]").await;
        let told = client.ok("GETMETADATA INBOX (DEPTH 1) /private").await;
        assert_eq!(told, "* METADATA INBOX (/private/comment \"My own\")\r\nOK Annotations told\r\n");
        // The server's: each user has private ones, and what all would see is the operator's.
        client.ok("SETMETADATA \"\" (/private/vendor/x/y \"mine\")").await;
        let told = client.ok("GETMETADATA (DEPTH infinity) \"\" (/private /shared)").await;
        assert!(told.starts_with("* METADATA \"\" (/private/vendor/x/y \"mine\")\r\n"), "{told}");
        client.fails("SETMETADATA \"\" (/shared/comment \"x\")", "NO [NOPERM]").await;
        // RFC 6154 §4
        client.ok("CREATE Spam").await;
        client.ok("SETMETADATA Spam (/private/specialuse \"\\\\Junk\")").await;
        assert!(client.ok("LIST (SPECIAL-USE) \"\" *").await.contains("\\Junk) \"/\" Spam\r\n"));
        client.fails("SETMETADATA INBOX (/private/specialuse \"\\\\Sent\")", "NO [USEATTR]").await;
        client.fails("SETMETADATA Spam (/private/specialuse NIL /private/x NIL)", "NO [CANNOT]").await;
    }
}

/// RFC 9590: as GETMETADATA of each mailbox that is listed.
#[tokio::test]
async fn lists_with_annotations() {
    for server in Server::each() {
        let mut client = server.client().await;
        let capabilities = client.ok("CAPABILITY").await;
        assert!(capabilities.contains(" LIST-METADATA ") && !capabilities.contains("LIST-MYRIGHTS"), "{capabilities}");
        for command in [
            "CREATE Fruit",
            "CREATE Fruit/Banana",
            "CREATE Sent (USE (\\Sent))",
            "SUBSCRIBE Fruit/Banana",
            "SUBSCRIBE Lost",
        ] {
            client.ok(command).await;
        }
        let large = "x".repeat(60_000);
        client.ok(&format!("SETMETADATA Fruit/Banana (/private/comment {{60000+}}\r\n{large} /shared/a \"1\")")).await;
        client.ok("SETMETADATA Sent (/shared/a \"2\")").await;
        assert_eq!(
            client
                .ok("LIST \"\" (Fruit* Sent) RETURN (METADATA (/Shared/A /private/comment /private/specialuse))")
                .await,
            format!(
                "* LIST (\\HasChildren) \"/\" Fruit\r\n\
                 * METADATA Fruit (/shared/a NIL /private/comment NIL /private/specialuse NIL)\r\n\
                 * LIST (\\HasNoChildren) \"/\" Fruit/Banana\r\n\
                 * METADATA Fruit/Banana (/private/comment {{60000}}\r\n{large} /shared/a \"1\" /private/specialuse NIL)\r\n\
                 * LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\n\
                 * METADATA Sent (/shared/a \"2\" /private/specialuse \"\\\\Sent\" /private/comment NIL)\r\n\
                 OK Done\r\n"
            )
        );
        // What does not exist, or is told for what lies below it, has none; and no numbers (RFC 5819 §2).
        assert_eq!(
            client.ok("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" % RETURN (STATUS (MESSAGES) METADATA (/shared/a))").await,
            "* LIST (\\HasChildren) \"/\" Fruit (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n\
             * LIST (\\NonExistent \\HasNoChildren \\Subscribed) \"/\" Lost\r\n\
             OK Done\r\n"
        );
        client.fails("LIST \"\" * RETURN (MYRIGHTS)", "BAD ").await;
    }
}

// ---- mailboxes

#[tokio::test]
async fn lists_with_options() {
    for server in Server::each() {
        let mut client = server.client().await;
        for command in ["CREATE Fruit/Banana", "CREATE Sent (USE (\\Sent))", "SUBSCRIBE Fruit/Banana", "SUBSCRIBE Lost"]
        {
            client.ok(command).await;
        }
        client.append("Sent", MESSAGE).await;
        let answer = client.ok("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %").await;
        let fruit = "\"/\" Fruit (\"CHILDINFO\" (\"SUBSCRIBED\"))\r\n";
        let lost = "* LIST (\\NonExistent \\HasNoChildren \\Subscribed) \"/\" Lost\r\n";
        assert!(answer.contains(fruit) && answer.contains(lost) && !answer.contains("Sent"), "{answer}");
        let answer = client.ok("LIST \"\" (Sent Fruit/Ban% Nothing) RETURN (STATUS (MESSAGES SIZE) SUBSCRIBED)").await;
        assert_eq!(
            answer,
            "* LIST (\\HasNoChildren \\Subscribed) \"/\" Fruit/Banana\r\n* STATUS Fruit/Banana (MESSAGES 0 SIZE 0)\r\n\
            * LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\n* STATUS Sent (MESSAGES 1 SIZE 22)\r\nOK Done\r\n"
        );
        let answer = client.ok("LIST (SPECIAL-USE) \"\" *").await;
        assert_eq!(answer, "* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\nOK Done\r\n");
        client.fails("CREATE More (USE (\\Sent))", "NO [USEATTR]").await;
        client.fails("CREATE All (USE (\\All))", "NO [USEATTR]").await;
        // RFC 3501 §6.3.9: LSUB tells what leads to a subscription.
        let answer = client.ok("LSUB \"\" %").await;
        assert!(answer.contains("* LSUB (\\Noselect) \"/\" Fruit\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn one_mailbox_under_both_encodings() {
    for server in Server::each() {
        let (mut old, mut new) = (server.client().await, server.client().await);
        new.ok("ENABLE IMAP4rev2").await;
        new.ok("CREATE \"Entwu\u{308}rfe & Co\"").await;
        old.ok("SELECT \"Entw&APw-rfe &- Co\"").await;
        assert!(old.ok("LIST \"\" E*").await.contains("\"Entw&APw-rfe &- Co\"\r\n"));
        assert!(new.ok("LIST \"\" E*").await.contains("\"Entwürfe & Co\"\r\n"));
        old.fails("CREATE \"Entw&APw-rfe &- Co\"", "NO [ALREADYEXISTS]").await;
        let answer = new.ok("RENAME \"Entwürfe & Co\" \"ä\"").await;
        assert!(answer.starts_with("* LIST () \"/\" \"ä\" (\"OLDNAME\" (\"Entwürfe & Co\"))\r\n"), "{answer}");
        // An atom holds no UTF-8 (RFC 9051 §9).
        new.fails("SELECT ä", "BAD").await;
    }
}

/// No name of a mailbox is one of the files and folders that a mailbox is made of, or leads out of the account.
#[tokio::test]
async fn names_that_mean_something_on_disk() {
    let server = Server::maildir();
    server.add("INBOX", MESSAGE).await;
    let mut client = server.in_inbox().await;
    for name in ["cur", "new", "tmp", "subscriptions", "dovecot-uidlist", "maildirfolder", "special-use"] {
        client.ok(&format!("CREATE {name}")).await;
        client.ok(&format!("SUBSCRIBE {name}")).await;
        client.ok(&format!("COPY 1 {name}")).await;
        client.ok(&format!("DELETE {name}")).await;
    }
    let mut subscribed = Vec::new();
    for name in ["a.b", ".a", "a.", "a..b", ".", "..", "../x", "a/../../b", "/abs", "~root", "a//b", "\"\""] {
        for command in ["CREATE", "SELECT", "DELETE", "SUBSCRIBE", "RENAME INBOX", "COPY 1"] {
            let answer = client.say(&format!("{command} {name}")).await;
            // A line in a file, which names a mailbox that somebody else may have.
            if command == "SUBSCRIBE" && answer == "OK Done\r\n" {
                subscribed.push(name);
                continue;
            }
            assert!(
                answer.contains("NO [CANNOT]") || answer.contains("NO [NONEXISTENT]"),
                "{command} {name}: {answer}"
            );
            client.say("SELECT INBOX").await;
        }
    }
    assert_eq!(subscribed, ["a.b", ".a", "a.", "a..b"]);
    assert!(client.ok("FETCH 1 UID").await.contains("UID 1"), "INBOX is what it was");
    let account = server.folder().join(YOU);
    let names = |folder: &std::path::Path| {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        entries.map(|name| name.into_string().unwrap()).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names(server.folder()), [YOU.to_owned()].into(), "nothing beside the account");
    assert_eq!(names(&account), ["Maildir".to_owned()].into(), "nothing beside its mail");
}

/// Who makes mailboxes without end comes to one.
#[tokio::test]
async fn ten_thousand_mailboxes_are_enough() {
    let server = Server::memory();
    let user = pillarbox::parts::Identity::new(YOU);
    for number in 1..10_000 {
        let name = pillarbox_imap::types::MailboxName::new(&format!("box {number}")).unwrap();
        server.store.create(&user, &name, &[]).await.unwrap();
    }
    let mut client = server.client().await;
    client.fails("CREATE another", "NO [LIMIT]").await;
    assert_eq!(client.ok("LIST \"\" *").await.lines().count(), 10_001);
    client.ok("DELETE \"box 7\"").await;
    client.fails("CREATE a/b", "NO [LIMIT]").await;
    client.ok("CREATE another").await;
}

/// Each kind of trouble has its code (RFC 5530), and the private cause stays with us.
#[tokio::test]
async fn why_a_store_refuses() {
    let store = Bent::over(MemoryStore::new());
    let server = Server::over(Arc::new(store.clone()));
    let mut client = server.client().await;
    for (kind, code) in [
        (StoreErrorKind::NoSuchMailbox, "NONEXISTENT"),
        (StoreErrorKind::AlreadyExists, "ALREADYEXISTS"),
        (StoreErrorKind::Cannot, "CANNOT"),
        (StoreErrorKind::Limit, "LIMIT"),
        (StoreErrorKind::OverQuota, "OVERQUOTA"),
        (StoreErrorKind::HasChildren, "HASCHILDREN"),
        (StoreErrorKind::NoPermission, "NOPERM"),
        (StoreErrorKind::NotForThatUse, "USEATTR"),
        (StoreErrorKind::NoSpace, "UNAVAILABLE"),
        (StoreErrorKind::Unavailable, "UNAVAILABLE"),
    ] {
        *store.bend.refusal.lock().unwrap() = Some(kind);
        let answer = client.fails("CREATE x", &format!("NO [{code}] ")).await;
        assert!(!answer.contains("as the test wants it"), "{answer}");
    }
}

/// A store that has children and keeps them.
#[tokio::test]
async fn what_has_children_stays() {
    let mut client = Server::memory().client().await;
    client.ok("CREATE a/b").await;
    client.fails("DELETE a", "NO [HASCHILDREN]").await;
    client.fails("DELETE INBOX", "NO [CANNOT]").await;
}

// ---- searching

#[tokio::test]
async fn what_was_found_is_kept() {
    for server in Server::each() {
        for n in 0..5 {
            server.add("INBOX", format!("Subject: number {n}\r\n\r\n{}", "x".repeat(n * 10)).as_bytes()).await;
        }
        let mut client = server.in_inbox().await;
        assert_eq!(client.ok("SEARCH RETURN (SAVE) LARGER 50").await, "OK Searched\r\n");
        let answer = client.ok("UID SEARCH RETURN (MIN COUNT ALL) $ NOT SUBJECT \"number 3\"").await;
        assert!(answer.contains(" UID ALL 5 MIN 5 COUNT 1\r\n"), "{answer}");
        client.ok("STORE $ +FLAGS.SILENT (\\Deleted)").await;
        client.ok("UID EXPUNGE $").await;
        assert_eq!(client.ok("FETCH $ UID").await, "OK No such messages\r\n");
        assert!(client.ok("SEARCH RETURN (COUNT) YOUNGER 3600").await.contains("COUNT "));
    }
}

// ---- who is there

#[tokio::test]
async fn one_connection_serves_two_users_in_turn() {
    let mut config = ServerConfig::default();
    config.login_without_tls = true;
    config.extensions.unauthenticate = true;
    let accounts = MemoryAuthenticator::new().with(YOU, "secret").with("me@localhost", "secret");
    let parts = Parts { authenticator: Arc::new(accounts), ..Parts::in_memory() };
    let server = ImapServer::new(config, parts).user_sessions_max(1);
    let shutdown = pillarbox::Shutdown::new();
    let connect = async || {
        let (here, there) = tokio::io::duplex(1 << 16);
        let (server, shutdown) = (server.clone(), shutdown.clone());
        tokio::spawn(async move { server.serve_connection(there, Some([192, 0, 2, 1].into()), &shutdown).await });
        let mut client = Client::new(here);
        client.line().await;
        client
    };
    let mut client = connect().await;
    client.ok("LOGIN you@localhost secret").await;
    client.ok("CREATE Mine").await;
    client.ok("APPEND Mine {2+}\r\nhi").await;
    client.fails("APPEND INBOX CATENATE (URL /Mine/;UID=1 URL /Mine/;UID=2)", "NO [BADURL").await;
    let mut other = connect().await;
    other.fails("LOGIN you@localhost secret", "NO [LIMIT]").await;
    client.ok("UNAUTHENTICATE").await;
    client.fails("LIST \"\" *", "BAD").await;
    other.ok("LOGIN you@localhost secret").await;
    client.ok("LOGIN me@localhost secret").await;
    assert!(!client.ok("LIST \"\" *").await.contains("Mine"), "nothing of the first user is left");
    client.fails("APPEND INBOX CATENATE (URL /Mine/;UID=1)", "NO [BADURL").await;
}

// ---- coming back

#[tokio::test]
async fn what_the_store_does_not_keep_is_not_on_offer() {
    let little = Bent::over(MemoryStore::new());
    little.bend.keeps_little.store(true, SeqCst);
    let [memory, maildir] = Server::each();
    for (server, keeps) in [(memory, true), (maildir, true), (Server::over(Arc::new(little)), false)] {
        server.add("INBOX", MESSAGE).await;
        let mut client = server.in_inbox().await;
        let offered = client.ok("CAPABILITY").await;
        for name in ["CONDSTORE", "QRESYNC", "OBJECTID"] {
            assert_eq!(offered.split_whitespace().any(|word| word == name), keeps, "{name}: {offered}");
        }
        if !keeps {
            client.fails("SELECT INBOX (CONDSTORE)", "BAD").await;
            client.fails("FETCH 1 MODSEQ", "BAD").await;
            client.fails("FETCH 1 EMAILID", "BAD").await;
            assert_eq!(client.ok("CREATE Other").await, "OK Done\r\n");
        }
        // The file's name knows when it came.
        assert!(offered.split_whitespace().any(|word| word == "SAVEDATE"), "{offered}");
        let answer = client.ok("FETCH 1 SAVEDATE").await;
        assert!(answer.starts_with("* 1 FETCH (SAVEDATE \"") && !answer.contains("-1970 "), "{answer}");
        assert_eq!(client.ok("SEARCH SAVEDATESUPPORTED SAVEDSINCE 1-Jan-2000").await, "* SEARCH 1\r\nOK Searched\r\n");
    }
}

/// RFC 7162 §3.1.2.2: where nothing can be written down, mail is there all the same.
#[tokio::test]
async fn a_mailbox_without_mod_sequences_says_so() {
    let server = Server::maildir();
    std::fs::create_dir_all(server.folder().join(YOU).join("Maildir/pillarbox-journal")).unwrap();
    server.add("INBOX", MESSAGE).await;
    let mut client = server.client().await;
    client.ok("ENABLE QRESYNC").await;
    let answer = client.ok("SELECT INBOX").await;
    assert!(answer.contains("* OK [NOMODSEQ] ") && !answer.contains("HIGHESTMODSEQ"), "{answer}");
    let answer = client.ok("STORE 1 +FLAGS (\\Seen)").await;
    assert!(answer.contains("FLAGS (\\Seen)") && !answer.contains("MODSEQ"), "{answer}");
    client.fails("STORE 1 (UNCHANGEDSINCE 1) +FLAGS (\\Seen)", "BAD").await;
    client.fails("FETCH 1 (MODSEQ)", "BAD").await;
    assert!(client.ok("STATUS INBOX (MESSAGES HIGHESTMODSEQ)").await.contains("(MESSAGES 1 HIGHESTMODSEQ 0)"));
    client.ok("STORE 1 +FLAGS.SILENT (\\Deleted)").await;
    assert!(client.ok("EXPUNGE").await.contains("* 1 EXPUNGE"));
}

#[tokio::test]
async fn identifiers_outlive_names_and_places() {
    for server in Server::each() {
        identifiers_outlive(&server).await;
    }
}

async fn identifiers_outlive(server: &Server) {
    server.add("INBOX", MESSAGE).await;
    let mut client = server.in_inbox().await;
    let between = |text: &str, before: &str| {
        let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before}: {text}"));
        rest.split_once(')').expect("it ends").0.to_owned()
    };
    let mailbox = between(&client.ok("CREATE Archive").await, "OK [MAILBOXID (");
    client.ok("RENAME Archive Old").await;
    assert_eq!(between(&client.ok("STATUS Old (MAILBOXID)").await, "(MAILBOXID ("), mailbox);
    let message = between(&client.ok("FETCH 1 (EMAILID THREADID)").await, "* 1 FETCH (EMAILID (");
    client.ok("MOVE 1 Old").await;
    assert_eq!(between(&client.ok("SELECT Old").await, "* OK [MAILBOXID ("), mailbox);
    let answer = client.ok("FETCH 1 (EMAILID THREADID)").await;
    assert_eq!(answer, format!("* 1 FETCH (EMAILID ({message}) THREADID NIL)\r\nOK Fetched\r\n"));
    assert_eq!(client.ok(&format!("SEARCH EMAILID {message}")).await, "* SEARCH 1\r\nOK Searched\r\n");
    assert_eq!(client.ok("SEARCH THREADID T1").await, "* SEARCH\r\nOK Searched\r\n");
}

#[tokio::test]
async fn many_that_are_gone_are_told_in_lines_of_some_size() {
    let server = Server::memory();
    let mut client = server.client().await;
    let many = " {1+}\r\nx".repeat(100);
    for _ in 0..40 {
        client.ok(&format!("APPEND INBOX{many}")).await;
    }
    client.ok("ENABLE QRESYNC").await;
    let answer = client.ok("SELECT INBOX").await;
    let number = |name: &str| {
        let (_, rest) = answer.split_once(name).expect("it is told");
        rest.split_once(']').expect("it ends").0.to_owned()
    };
    let (validity, highest) = (number("[UIDVALIDITY "), number("[HIGHESTMODSEQ "));
    let odd = (1..4000).step_by(2).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    client.ok(&format!("STORE {odd} +FLAGS.SILENT (\\Deleted)")).await;
    let lines_of = |answer: &str, what: &str| {
        let lines: Vec<&str> = answer.lines().filter_map(|line| line.strip_prefix(what)).collect();
        assert!(lines.iter().all(|line| line.len() < 8192), "{}", answer.len());
        lines.join(",")
    };
    assert_eq!(lines_of(&client.ok("EXPUNGE").await, "* VANISHED "), odd);
    let answer = client.ok(&format!("UID FETCH 1:4000 (FLAGS) (CHANGEDSINCE {highest} VANISHED)")).await;
    assert_eq!(lines_of(&answer, "* VANISHED (EARLIER) "), odd);
    // Who takes what it is told a little at a time is told all of it.
    let (wire, _) = server.connect(100, None);
    let mut slow = Client::new(wire);
    slow.line().await;
    slow.ok("LOGIN you@localhost secret").await;
    slow.ok("ENABLE QRESYNC").await;
    let answer = slow.ok(&format!("SELECT INBOX (QRESYNC ({validity} {highest}))")).await;
    assert_eq!(lines_of(&answer, "* VANISHED (EARLIER) "), odd);
}

#[tokio::test]
async fn a_store_in_trouble_makes_nobody_think_that_nothing_changed() {
    let store = Bent::over(MemoryStore::new());
    let server = Server::over(Arc::new(store.clone()));
    let mut client = server.in_inbox().await;
    client.ok("ENABLE QRESYNC").await;
    let answer = client.ok("SELECT INBOX").await;
    let (_, rest) = answer.split_once("[UIDVALIDITY ").expect("it is told");
    let select = format!("SELECT INBOX (QRESYNC ({} 1))", rest.split_once(']').expect("it ends").0);
    client.append("INBOX", MESSAGE).await;
    store.bend.blind.store(true, SeqCst);
    client.fails(&select, "NO [UNAVAILABLE]").await;
    client.fails("FETCH 1 FLAGS", "BAD").await;
    store.bend.blind.store(false, SeqCst);
    let answer = client.ok(&select).await;
    assert!(answer.contains("* 1 FETCH (UID 1 FLAGS () MODSEQ ("), "{answer}");
}
