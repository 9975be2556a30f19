//! `mailserver import` and `export`, and mailboxes below a prefix as clients of another server knew them.

use std::fs;

use crate::client::{Client, base64};
use crate::process::{Server, run};
use crate::serve::Site;

const MAILBOXES: &str = "\n[mailboxes]\nlayout = \"fs\"\nprefix = \"INBOX.\"\nseparator = \".\"\n";

const MBOX: &str = "From a@b.example Wed Feb  3 10:11:12 2021\nStatus: RO\nX-Status: F\nX-Keywords: work\nSubject: one\n\n>From me\n\n\
    From a@b.example Wed Feb  3 10:11:13 2021\nSubject: two\n\nhello\n\n";

#[test]
fn mail_comes_in_and_goes_out() {
    let site = Site::new(MAILBOXES);
    let config = site.config();
    let at = |command: &str, args: &[&str]| {
        let config = config.to_str().unwrap();
        run(&[&[command, "--config", config, "--user", "joe@example.org"], args].concat())
    };
    let path = |name: &str| site.path(name).to_str().unwrap().to_owned();
    fs::write(site.path("old.mbox"), MBOX).unwrap();
    let imported = at("import", &["--mailbox", "Old/a.b", "--json", &path("old.mbox")]);
    assert!(imported.0.contains("\"mailbox\":\"Old/a.b\"") && imported.0.contains("\"messages\":2,"), "{imported:?}");
    assert_eq!(imported.2, 0);
    let folder = site.path("mail/example.org/joe/Maildir/Old/a.b");
    assert_eq!(fs::read_dir(folder.join("cur")).unwrap().count(), 1);
    assert_eq!(fs::read_dir(folder.join("new")).unwrap().count(), 1);
    // Once is enough, unless somebody says otherwise.
    let again = at("import", &["--mailbox", "Old/a.b", &path("old.mbox")]);
    assert!(again.0.contains("was brought in before") && again.2 == 0, "{again:?}");
    let again = at("import", &["--mailbox", "Old/a.b", "--again", &path("old.mbox")]);
    assert_eq!((again.0.as_str(), again.2), ("Old/a.b: 2 messages\n", 0));
    let into_inbox = at("import", &[folder.to_str().unwrap()]);
    assert_eq!(into_inbox.0, "INBOX: 4 messages\n");

    let exported = at("export", &[&path("out")]);
    assert_eq!(exported.2, 0, "{exported:?}");
    assert_eq!(exported.0.lines().count(), 2);
    let written = fs::read_to_string(site.path("out/Old.a%2Eb.mbox")).unwrap();
    assert_eq!(written.matches("From MAILER-DAEMON Wed Feb  3 10:11:1").count(), 4, "{written}");
    assert!(written.contains("Status: RO\nX-Status: F\nX-Keywords: work\nSubject: one\n\n>From me\n\n"), "{written}");
    let refused = at("export", &[&path("out")]);
    assert!(refused.1.contains("it exists") && refused.2 == 1, "{refused:?}");
    let exported = at("export", &["--mailbox", "inbox", "--format", "maildir", "--json", &path("out")]);
    assert!(exported.0.contains("\"messages\":4,\"gone\":0}"), "{exported:?}");
    assert_eq!(fs::read_dir(site.path("out/INBOX/cur")).unwrap().count(), 4);

    for (args, message) in [
        (&["--user", "nobody@example.org", &path("old.mbox")][..], "there is no account nobody@example.org"),
        (&["--user", "joe@example.org", &path("mail.toml")], "mail.toml: line 2: no mbox"),
        (&["--user", "joe@example.org", &path("mail")], "neither an mbox file nor a Maildir folder"),
        (&["--user", "joe@example.org", &path("nothing")], "No such file"),
        (&["--user", "joe@example.org", "--mailbox", "../x", &path("old.mbox")], "a name must not hold a dot there"),
        (&["--user", "joe@example.org", "--mailbox", "a/cur", &path("old.mbox")], "the name is reserved"),
    ] {
        let (_, told, code) = run(&[&["import", "--config", config.to_str().unwrap()], args].concat());
        assert!(told.contains(message) && code == 1, "{told}");
    }
}

/// A mailbox whose name is too long for a file keeps nobody from the others.
#[test]
fn a_name_that_no_file_can_have_is_passed_over() {
    let site = Site::new("");
    let config = site.config();
    let at = |command: &str, args: &[&str]| {
        run(&[&[command, "--config", config.to_str().unwrap(), "--user", "joe@example.org"], args].concat())
    };
    let path = |name: &str| site.path(name).to_str().unwrap().to_owned();
    fs::write(site.path("old.mbox"), MBOX).unwrap();
    let long = "x".repeat(252);
    for mailbox in ["Before", &long, "zz"] {
        assert_eq!(at("import", &["--mailbox", mailbox, &path("old.mbox")]).2, 0);
    }
    let (stdout, stderr, code) = at("export", &[&path("out")]);
    assert_eq!(stdout.lines().count(), 3, "{stdout}");
    let told = format!(
        "{long}: passed over: its file would have a name of 257 octets, and no name has more than 255\n\
         not all mailboxes were written\n"
    );
    assert_eq!((stderr, code), (told, 1));
    let mut written: Vec<_> = fs::read_dir(site.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    written.sort();
    assert_eq!(written, ["Before.mbox", "INBOX.mbox", "zz.mbox"]);
    // As a folder it has room.
    assert_eq!(at("export", &["--format", "maildir", &path("folders")]).2, 0);
}

#[test]
fn clients_see_mailboxes_below_the_prefix() {
    let site = Site::new(MAILBOXES);
    let server = Server::serve(&site.config(), site.listeners());
    let mut imap = Client::over_tls(&server.address("imap, TLS"));
    imap.line();
    let mut answers = |command: &str| {
        imap.send(&format!("a {command}"));
        let mut lines = Vec::new();
        loop {
            let line = imap.line();
            if line.starts_with("a ") {
                lines.push(line.split(' ').take(3).collect::<Vec<_>>().join(" ").trim_end().to_owned());
                return lines;
            }
            lines.push(line.trim_end().to_owned());
        }
    };
    let login = base64("\0joe@example.org\0pässword");
    assert!(answers(&format!("AUTHENTICATE PLAIN {login}")).last().unwrap().starts_with("a OK"));
    assert_eq!(answers("NAMESPACE")[0], "* NAMESPACE ((\"INBOX.\" \".\")) NIL NIL");
    for (command, answer) in [
        ("CREATE INBOX.Lists.rust", "a OK"),
        ("SUBSCRIBE INBOX.Lists.rust", "a OK"),
        ("CREATE Lists", "a NO [CANNOT]"),
        ("CREATE INBOX.INBOX", "a NO [CANNOT]"),
        ("CREATE INBOX.cur", "a NO [CANNOT]"),
        ("CREATE INBOX.a/b", "a NO [CANNOT]"),
        ("SELECT INBOX.Lists.rust", "a OK"),
        ("RENAME INBOX.Lists.rust INBOX.rust", "a OK"),
    ] {
        let told = answers(command);
        assert!(told.last().unwrap().starts_with(answer), "{command}: {told:?}");
    }
    let listed = answers("LIST \"\" *");
    assert_eq!(
        listed[..listed.len() - 1],
        ["* LIST (\\HasChildren) \".\" INBOX", "* LIST (\\HasNoChildren) \".\" INBOX.rust"]
    );
    let root = site.path("mail/example.org/joe/Maildir");
    assert!(root.join("rust/cur").is_dir() && !root.join("INBOX").exists());
    assert_eq!(fs::read_to_string(root.join("subscriptions")).unwrap(), "V\t2\n\nLists\trust\n");
}
