//! `mailserver fsck`: what is wrong with mail is told, repaired if that is wanted, and the status says so.

use std::fs;

use crate::process::run;
use crate::serve::Site;

#[test]
fn an_account_is_checked_repaired_and_clean() {
    let site = Site::new("");
    let config = site.config();
    let fsck = |more: &[&str]| run(&[&["fsck", "--config", config.to_str().unwrap()], more].concat());
    // Nobody has mail yet.
    let (stdout, stderr, code) = fsck(&["--all"]);
    assert_eq!((stderr.as_str(), code), ("", 0), "{stdout}");
    assert_eq!(stdout.lines().count(), 4, "{stdout}");

    let inbox = site.path("mail/example.org/joe/Maildir");
    for name in ["tmp", "new", "cur"] {
        fs::create_dir_all(inbox.join(name)).unwrap();
    }
    fs::write(inbox.join("cur/1700000000.a,S=12,W=99:2,Sa"), "Subject: a\n\n").unwrap();
    let (stdout, stderr, code) = fsck(&["--user", "Joe@example.org"]);
    assert_eq!((stderr.as_str(), code), ("", 1), "{stdout}");
    let folder = inbox.display();
    let expected = format!(
        "joe@example.org: 1 mailboxes, 1 messages\n\
        \x20 {folder}/cur/1700000000.a,S=12,W=99:2,Sa: the sizes in the name are wrong\n\
        \x20   clients may be told a wrong size\n\
        \x20   --repair: its name gets the right ones, and its UID stays\n\
        \x20 {folder}/dovecot-keywords: messages have the letter a, which is no keyword\n\
        \x20   the next keyword that gets this letter would be on messages that never had it\n\
        \x20   --repair: it gets a name, lost-keyword- and the letter\n\
        \x20 {folder}/dovecot-uidlist: 1 messages have no UID yet\n\
        \x20   they are new, or were put here by a program that gives none\n\
        \x20   usual\n"
    );
    assert_eq!(stdout, expected);

    let (stdout, stderr, code) = fsck(&["--all", "--repair", "--json"]);
    assert_eq!((stderr.as_str(), code), ("", 1), "{stdout}");
    let joe = stdout.lines().next().unwrap();
    for part in [
        r#""account":"joe@example.org""#,
        r#""clean":false"#,
        r#""problem":"wrong-sizes""#,
        r#""problem":"nameless-letter""#,
        r#""problem":"no-uid""#,
        r#""state":"repaired""#,
    ] {
        assert!(joe.contains(part), "{part}: {joe}");
    }
    let (stdout, _, code) = fsck(&["--user", "joe@example.org"]);
    assert_eq!((stdout.as_str(), code), ("joe@example.org: 1 mailboxes, 1 messages\n", 0));

    // What no repair touches.
    std::os::unix::fs::symlink("/etc/passwd", inbox.join("new/link")).unwrap();
    assert_eq!(fsck(&["--user", "joe@example.org"]).2, 1);
    assert_eq!(fsck(&["--user", "joe@example.org", "--repair"]).2, 2);
}

/// Without a repair nothing is made, not even what a server makes in passing.
#[test]
fn an_account_without_a_whole_inbox() {
    let site = Site::new("");
    let config = site.config();
    let fsck = |more: &[&str]| run(&[&["fsck", "--config", config.to_str().unwrap()], more].concat());
    let inbox = site.path("mail/example.org/joe/Maildir");
    fs::create_dir_all(inbox.join("new")).unwrap();
    fs::write(inbox.join("new/1700000000.a"), "Subject: a\n\n").unwrap();
    let before = fs::metadata(&inbox).unwrap().modified().unwrap();
    let (stdout, stderr, code) = fsck(&["--user", "joe@example.org"]);
    assert_eq!((stderr.as_str(), code), ("", 1), "{stdout}");
    assert_eq!(stdout.matches("a directory is missing").count(), 2, "{stdout}");
    assert_eq!(fs::read_dir(&inbox).unwrap().count(), 1);
    assert_eq!(fs::metadata(&inbox).unwrap().modified().unwrap(), before);
    assert_eq!(fsck(&["--user", "joe@example.org", "--repair"]).2, 1);
    let (stdout, _, code) = fsck(&["--user", "joe@example.org"]);
    assert_eq!((stdout.as_str(), code), ("joe@example.org: 1 mailboxes, 1 messages\n", 0));
}

#[test]
fn what_cannot_be_checked() {
    let site = Site::new("");
    let config = site.config();
    let fsck = |more: &[&str]| run(&[&["fsck", "--config", config.to_str().unwrap()], more].concat());
    let (stdout, stderr, code) = fsck(&["--user", "nobody@example.org", "--user", "joe@example.org"]);
    assert_eq!(
        (stdout.as_str(), stderr.as_str(), code),
        ("joe@example.org: 0 mailboxes, 0 messages\n", "nobody@example.org: there is no such account\n", 2)
    );
    fs::create_dir_all(site.path("mail/example.org/joe/Maildir")).unwrap();
    assert_eq!(fsck(&["--user", "joe@example.org"]).2, 2, "a folder that is no Maildir");
    assert_eq!(run(&["fsck", "--config", "/nowhere", "--all"]).2, 2);
    assert_eq!(fsck(&[]).2, 2, "whom?");
}
