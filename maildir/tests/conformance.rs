//! A tree that Dovecot made, and what Dovecot says is in it.

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use pillarbox_core::{WallTime, mutf7};
use pillarbox_maildir::{Access, Flags, Mailbox, MailboxName, MaildirError, NameError, Tree};
use serde_json::Value;
use support::{Bench, deliver};

fn imap_flags(mailbox: &Mailbox, flags: Flags) -> Vec<String> {
    let system = [
        (Flags::ANSWERED, "\\Answered"),
        (Flags::FLAGGED, "\\Flagged"),
        (Flags::DELETED, "\\Deleted"),
        (Flags::SEEN, "\\Seen"),
        (Flags::DRAFT, "\\Draft"),
    ];
    let set = system.into_iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| name);
    set.chain(mailbox.keyword_names(flags)).map(str::to_owned).collect()
}

/// `01-Jan-2024 00:00:00 +0000`
fn imap_date(seconds: u64) -> String {
    let date = WallTime::new(seconds as i64, 0).civil();
    let (day, month, year) = (date.day, date.month_name(), date.year);
    format!("{day:02}-{month}-{year} {:02}:{:02}:{:02} +0000", date.hour, date.minute, date.second)
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// The name at the end of a LIST reply.
fn listed_name(line: &str) -> MailboxName {
    let name = line.split_once("\"/\" ").unwrap().1;
    let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name).replace("\\\"", "\"");
    MailboxName::parse(&mutf7::decode(name.as_bytes()).unwrap(), '/').unwrap()
}

fn number(select: &[String], code: &str) -> u32 {
    let line = select.iter().find_map(|line| line.split_once(&format!("[{code} "))).unwrap();
    line.1.split_once(']').unwrap().0.parse().unwrap()
}

#[test]
fn dovecots_tree_is_read_as_dovecot_reads_it() {
    let Some(shared) = std::env::var_os("PILLARBOX_SHARED").map(PathBuf::from) else {
        #[allow(clippy::print_stdout)]
        {
            println!("skipped: PILLARBOX_SHARED is not set");
        }
        return;
    };
    let material = shared.join("conformance/maildir");
    let expected = std::fs::read(material.join("dovecot-maildirpp.expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let bench = Bench::new();
    let unpacked = std::process::Command::new("tar")
        .arg("xzf")
        .arg(material.join("dovecot-maildirpp.tar.gz"))
        .arg("-C")
        .arg(bench.dir.path())
        .status();
    assert!(unpacked.unwrap().success());
    let tree = Tree::open(&bench.store, bench.path("Maildir")).unwrap();

    let mut list: Vec<(MailboxName, bool, bool)> = texts(&expected["state"]["list"])
        .iter()
        .map(|line| (listed_name(line), !line.contains("\\Noselect"), line.contains("\\HasChildren")))
        .collect();
    list.sort();
    let ours: Vec<_> = tree.list().unwrap().into_iter().map(|l| (l.name, l.exists, l.has_children)).collect();
    assert_eq!(ours, list);
    assert_eq!(list.len(), 20);

    let lsub: Vec<MailboxName> = texts(&expected["state"]["lsub"]).iter().map(|line| listed_name(line)).collect();
    assert_eq!(tree.subscriptions().unwrap(), lsub);

    for result in expected["create_results"].as_array().unwrap() {
        let name = MailboxName::parse(result["name_utf8"].as_str().unwrap(), '/');
        match result["status"].as_str().unwrap().starts_with("OK") {
            true => assert!(ours.iter().any(|(listed, ..)| Ok(listed) == name.as_ref()), "{name:?}"),
            // A dot parts levels here, and is refused where a directory is made.
            false => {
                let made = tree.create_mailbox(&name.unwrap()).map(drop);
                assert!(matches!(made, Err(MaildirError::Name(NameError::Dot))), "{made:?}");
            }
        }
    }

    let mut messages = 0;
    for (name, state) in expected["state"]["boxes"].as_object().unwrap() {
        let name = MailboxName::parse(&mutf7::decode(name.as_bytes()).unwrap_or_else(|_| name.clone()), '/').unwrap();
        let mut mailbox = Mailbox::open(&tree.mailbox(&name).unwrap(), Access::ReadOnly).unwrap();
        let select = texts(&state["select"]);
        assert_eq!(mailbox.uid_validity(), number(&select, "UIDVALIDITY"), "{name}");
        assert_eq!(mailbox.uid_next(), number(&select, "UIDNEXT"), "{name}");
        let theirs = state["messages"].as_array().unwrap();
        let uids: Vec<_> = mailbox.messages().map(|message| message.uid).collect();
        assert_eq!(
            uids.iter().map(|uid| u64::from(uid.get())).collect::<Vec<_>>(),
            theirs.iter().map(|m| m["uid"].as_u64().unwrap()).collect::<Vec<_>>()
        );
        for (uid, message) in uids.into_iter().zip(theirs) {
            messages += 1;
            let flags = imap_flags(&mailbox, mailbox.message(uid).unwrap().flags);
            assert_eq!(flags, texts(&message["flags"]), "{name} {uid}");
            let info = mailbox.info(uid).unwrap();
            assert_eq!(Some(info.size), message["rfc822_size"].as_u64(), "{name} {uid}");
            let date = info.date.duration_since(UNIX_EPOCH).unwrap().as_secs();
            assert_eq!(imap_date(date), message["internaldate"].as_str().unwrap(), "{name} {uid}");
            let text = support::text(&mut mailbox, uid);
            assert_eq!(sha256(text.as_bytes()), message["body_sha256"].as_str().unwrap(), "{name} {uid}");
        }
    }
    assert_eq!(messages, 12);

    // What comes next takes the next number, of UIDs and of UIDVALIDITY.
    let inbox = tree.mailbox(&MailboxName::inbox()).unwrap();
    deliver(&inbox, "x\r\n").unwrap();
    let mailbox = Mailbox::open(&inbox, Access::ReadWrite).unwrap();
    assert_eq!(support::uids(&mailbox).last(), Some(&9));
    let new = tree.create_mailbox(&MailboxName::parse("new", '/').unwrap()).unwrap();
    assert!(Mailbox::open(&new, Access::ReadOnly).unwrap().uid_validity() > 1_795_224_457);
    let names: BTreeMap<_, _> = tree.list().unwrap().into_iter().map(|l| (l.name.to_string(), l.exists)).collect();
    assert_eq!(names.get("new"), Some(&true));
}

fn sha256(bytes: &[u8]) -> String {
    use std::io::Write;
    let mut child = std::process::Command::new("sha256sum")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}
