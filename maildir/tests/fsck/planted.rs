//! One damage after the other.

use super::*;

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    damage(true, |_| {}, &[]);
}

#[test]
fn new_mail_is_usual() {
    let deliver = |account: &Account| {
        for name in ["new/1700000001.x", "cur/1700000002.y:2,S"] {
            fs::write(account.path(name), "Subject: new\n\n").unwrap();
        }
    };
    damage(true, deliver, &[Problem::NoUid(2)]);
}

#[test]
fn missing_directories() {
    damage(true, |account| fs::remove_dir(account.path("new")).unwrap(), &[Problem::NoDirectory]);
    damage(true, |account| fs::remove_dir(account.path("tmp")).unwrap(), &[Problem::NoDirectory]);
    let unfinished = |account: &Account| {
        fs::create_dir(account.path(".Begun")).unwrap();
        fs::write(account.path(".Begun/maildirfolder"), "").unwrap();
    };
    // Those that are missing, each.
    damage(true, unfinished, &[Problem::NoDirectory, Problem::NoDirectory, Problem::NoDirectory]);
}

#[test]
fn leftovers_in_tmp() {
    let leave = |account: &Account| {
        let path = account.path("tmp/1000000000.M1P1.h");
        fs::write(&path, "half a mess").unwrap();
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
        // Somebody may be at work on this one.
        fs::write(account.path("tmp/1000000001.M1P1.h"), "another").unwrap();
    };
    damage(true, leave, &[Problem::Leftovers(1)]);
}

#[test]
fn two_files_of_one_name() {
    let copy = |account: &Account| {
        let file = account.files().swap_remove(3);
        let name = file.to_str().unwrap().split(':').next().unwrap().to_owned();
        fs::write(format!("{name}:2,FT"), fs::read(&file).unwrap()).unwrap();
    };
    damage(true, copy, &[Problem::Double]);
    let link = |account: &Account| {
        let file = account.files().swap_remove(3);
        let name = file.to_str().unwrap().split(':').next().unwrap().to_owned();
        fs::hard_link(&file, format!("{name}:2,FT")).unwrap();
    };
    damage(true, link, &[Problem::Double]);
}

#[test]
fn names_that_no_list_can_hold() {
    let plant = |account: &Account| {
        fs::write(account.path("cur/:2,S"), "Subject: nameless\n\n").unwrap();
        fs::write(account.path("new/a\nb"), "Subject: two lines\n\n").unwrap();
    };
    let account = Account::new();
    plant(&account);
    let mut found = problems(&check(&account.tree, Repair::No));
    found.sort_by_key(|problem| problem.name());
    assert_eq!(found, [Problem::NoMessageName, Problem::NoMessageName]);
    check(&account.tree, Repair::Yes);
    assert!(check(&account.tree, Repair::No).findings.is_empty());
    let (after, ..) = messages(&account.tree);
    assert!(
        after.contains_key(&b"Subject: nameless\r\n\r\n"[..]) && after.contains_key(&b"Subject: two lines\r\n\r\n"[..])
    );
}

#[test]
fn sizes_that_are_wrong() {
    let lie = |from: &'static str, to: &'static str| {
        move |account: &Account| {
            account.rename(4, |name| {
                let at = name.find(from).unwrap() + from.len();
                let end = at + name[at..].find([',', ':']).unwrap();
                format!("{}{to}{}", &name[..at], &name[end..])
            });
            // The list knows it by the name that it has.
            let file = account.files().swap_remove(4);
            let name = file.file_name().unwrap().to_str().unwrap().split(':').next().unwrap().to_owned();
            let unique = name.split(',').next().unwrap().to_owned();
            account.edit("dovecot-uidlist", |list| {
                list.lines()
                    .map(|line| match line.split_once(':') {
                        Some((uid, base)) if base.starts_with(&unique) => format!("{uid}:{name}\n"),
                        _ => format!("{line}\n"),
                    })
                    .collect()
            });
            // What was kept under the old name is of no message.
            fs::remove_file(account.path("pillarbox-cache")).unwrap();
        }
    };
    damage(true, lie(",W=", "9999"), &[Problem::WrongSizes]);
    damage(true, lie(",W=", "x"), &[Problem::WrongSizes]);
    damage(true, lie(",W=", "1"), &[Problem::WrongSizes]);
    damage(true, lie(",S=", "99999999999999999999"), &[Problem::WrongSizes]);
    damage(true, lie(",S=", "1"), &[Problem::WrongSizes]);
    // Of a name without sizes the list tells them.
    let in_the_list = |account: &Account| {
        fs::write(account.path("cur/1700000002.y:2,S"), "Subject: y\n\n").unwrap();
        messages(&account.tree);
        account.edit("dovecot-uidlist", |list| list.replace(" :1700000002.y", " S12 W99 Gguid :1700000002.y"));
    };
    damage(true, in_the_list, &[Problem::WrongSizes]);
    let account = Account::new();
    in_the_list(&account);
    check(&account.tree, Repair::Yes);
    let list = fs::read_to_string(account.path("dovecot-uidlist")).unwrap();
    assert!(list.contains(" Gguid :1700000002.y\n"), "{list}");
}

#[test]
fn the_quota_counts_what_names_tell_after_a_repair() {
    let account = Account::new();
    let limits = Quota { bytes: Some(1 << 30), messages: None };
    account.tree.usage(limits).unwrap();
    let counted = || -> u64 {
        let file = fs::read_to_string(account.path("maildirsize")).unwrap();
        file.lines().skip(1).map(|line| line.split_whitespace().next().unwrap().parse::<u64>().unwrap()).sum()
    };
    let right = counted();
    account.rename(4, |name| name.replacen(",S=", ",S=1", 1));
    account.tree.recount(limits).unwrap();
    assert_ne!(counted(), right);
    check(&account.tree, Repair::Yes);
    assert_eq!(counted(), right);
}

#[test]
fn a_snapshot_that_is_wrong() {
    let account = Account::new();
    let inbox = account.path("");
    let mut options = Options::from_system();
    let clock = TestClock::new();
    clock.advance(std::time::Duration::from_secs(10));
    (options.snapshot_from, options.clock) = (1, clock);
    let store = Store::new(RealFs, options);
    let tree = Tree::open(&store, &inbox).unwrap();
    drop(Mailbox::open(&tree.mailbox(&MailboxName::inbox()).unwrap(), Access::ReadWrite).unwrap());
    let index = inbox.join("pillarbox-index");
    assert!(check(&tree, Repair::No).findings.is_empty());
    // The flags of the first message, under a checksum that is right.
    let mut octets = fs::read(&index).unwrap();
    let end = octets.len() - 4;
    octets[8 + 16 + 108 + 12 + 4] ^= 2;
    let sum = crc32fast::hash(&octets[..end]);
    octets[end..].copy_from_slice(&sum.to_le_bytes());
    fs::write(&index, octets).unwrap();
    assert_eq!(problems(&check(&tree, Repair::No)), [Problem::WrongIndex]);
    check(&tree, Repair::Yes);
    assert!(check(&tree, Repair::No).findings.is_empty() && !inbox.join("pillarbox-index").exists());
}

#[test]
fn a_message_that_was_renamed() {
    let rename = |account: &Account| {
        account.rename(2, |name| {
            let (unique, flags) = (name.split(',').next().unwrap(), name.split_once(':').unwrap().1);
            format!("{unique}:{flags}")
        });
        account.rename(5, |name| name.replacen(",W=", ",S=", 1).replacen(",S=", ",W=", 1));
    };
    let account = Account::new();
    rename(&account);
    let found = problems(&check(&account.tree, Repair::No));
    assert_eq!(found.iter().filter(|problem| **problem == Problem::RenamedMessage).count(), 2, "{found:?}");
    let before = {
        let account = Account::new();
        messages(&account.tree).0
    };
    check(&account.tree, Repair::Yes);
    assert!(check(&account.tree, Repair::No).findings.is_empty());
    assert_eq!(messages(&account.tree).0, before);
}

/// A line may be long, and its message get a longer name.
#[test]
fn a_message_that_was_renamed_in_a_line_as_long_as_can_be() {
    let account = Account::new();
    account.edit("dovecot-uidlist", |list| {
        let mut lines: Vec<String> = list.lines().map(str::to_owned).collect();
        let (uid, name) = lines[1].split_once(" :").unwrap();
        lines[1] = format!("{uid} X{} :{name}", "x".repeat(65_533 - name.len()));
        lines.join("\n") + "\n"
    });
    account.rename(0, |name| {
        let (unique, flags) = (name.split(',').next().unwrap(), name.split_once(':').unwrap().1);
        format!("{unique}:{flags}")
    });
    check(&account.tree, Repair::Yes);
    assert!(check(&account.tree, Repair::No).findings.is_empty());
}

#[test]
fn a_damaged_uid_list() {
    let torn = |account: &Account| account.edit("dovecot-uidlist", |list| list + "9 :170");
    damage(true, torn, &[Problem::TornUidList]);
    let in_the_middle = |account: &Account| {
        account.edit("dovecot-uidlist", |list| {
            list.lines()
                .map(|line| if line.starts_with("4 ") { "\0\0\0\n".into() } else { format!("{line}\n") })
                .collect()
        });
    };
    damage(false, in_the_middle, &[Problem::DamagedUidList(Some(1)), Problem::NoUid(1)]);
    let not_rising = |account: &Account| {
        account.edit("dovecot-uidlist", |list| list.replace("\n4 ", "\n400 "));
    };
    damage(false, not_rising, &[Problem::DamagedUidList(Some(1)), Problem::NoUid(1)]);
    for lost in [&b""[..], b"2 V1 N1\n", b"3 Vx N1\n5 :a\n", &[0; 300]] {
        let lose = |account: &Account| fs::write(account.path("dovecot-uidlist"), lost).unwrap();
        damage(false, lose, &[Problem::DamagedUidList(None), Problem::NoUid(7)]);
    }
    let account = Account::new();
    account.edit("dovecot-uidlist", |list| list.replace("\n4 ", "\nx "));
    let damaged = fs::read(account.path("dovecot-uidlist")).unwrap();
    check(&account.tree, Repair::Yes);
    assert_eq!(fs::read(account.path("dovecot-uidlist.damaged")).unwrap(), damaged);
}

#[test]
fn a_lost_uid_list() {
    let lose = |account: &Account| fs::remove_file(account.path("dovecot-uidlist")).unwrap();
    // The cache is of the UIDVALIDITY that is gone, but nobody can know that before there is another.
    let account = Account::new();
    let (before, validity, _) = messages(&account.tree);
    lose(&account);
    assert_eq!(problems(&check(&account.tree, Repair::No)), [Problem::NoUid(7)]);
    check(&account.tree, Repair::Yes);
    assert!(check(&account.tree, Repair::No).findings.is_empty());
    let (after, validity_after, _) = messages(&account.tree);
    assert!(validity_after > validity);
    assert!(before.keys().eq(after.keys()));
}

#[test]
fn keywords() {
    let forget = |account: &Account| fs::remove_file(account.path("dovecot-keywords")).unwrap();
    damage(true, forget, &[Problem::NamelessLetter('a'), Problem::NamelessLetter('b')]);
    let zeros = |account: &Account| fs::write(account.path("dovecot-keywords"), [0; 20]).unwrap();
    damage(true, zeros, &[Problem::DamagedKeywords, Problem::NamelessLetter('a'), Problem::NamelessLetter('b')]);
    let twice = |account: &Account| account.edit("dovecot-keywords", |text| text + "1 other\n");
    damage(true, twice, &[Problem::DamagedKeywords]);
    // The letter is not given to another keyword.
    let account = Account::new();
    fs::remove_file(account.path("dovecot-keywords")).unwrap();
    check(&account.tree, Repair::Yes);
    let inbox = account.tree.mailbox(&MailboxName::inbox()).unwrap();
    let (flags, _) = inbox.keyword_flags(&["new"]).unwrap();
    assert_eq!(flags.to_string(), "c");
    assert_eq!(inbox.keywords().unwrap().name(1), Some("lost-keyword-b"));
}

#[test]
fn the_accounts_own_files() {
    let fallen = |account: &Account| {
        for entry in fs::read_dir(account.path("")).unwrap() {
            let path = entry.unwrap().path();
            if path.to_str().unwrap().contains("dovecot-uidvalidity") {
                fs::remove_file(path).unwrap();
            }
        }
        fs::write(account.path("dovecot-uidvalidity.00000007"), "").unwrap();
        fs::write(account.path("dovecot-uidvalidity"), "00000007").unwrap();
    };
    let account = Account::new();
    fallen(&account);
    let found = problems(&check(&account.tree, Repair::No));
    assert!(
        matches!(found[..], [Problem::LowUidValidity { last: 7, mailbox }] if mailbox > 1_000_000_000),
        "{found:?}"
    );
    check(&account.tree, Repair::Yes);
    assert!(check(&account.tree, Repair::No).findings.is_empty());

    let subscriptions = |account: &Account| account.edit("subscriptions", |text| text + "..\nINBOX\n");
    damage(true, subscriptions, &[Problem::BadSubscriptions(2)]);
    let account = Account::new();
    subscriptions(&account);
    let before = account.tree.subscriptions().unwrap();
    check(&account.tree, Repair::Yes);
    assert_eq!(account.tree.subscriptions().unwrap(), before[..2]);
}

#[test]
fn a_cache_that_is_wrong() {
    let changed = |account: &Account| {
        let file = account.files().swap_remove(3);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replacen("Subject: ", "Subject; ", 1)).unwrap();
    };
    let account = Account::new();
    changed(&account);
    assert_eq!(problems(&check(&account.tree, Repair::No)), [Problem::WrongCache(1)]);
    check(&account.tree, Repair::Yes);
    assert!(check(&account.tree, Repair::No).findings.is_empty());
    let damaged = |account: &Account| {
        let path = account.path("pillarbox-cache");
        let mut bytes = fs::read(&path).unwrap();
        let len = bytes.len();
        bytes[len - 3] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    damage(true, damaged, &[Problem::UnreadableCache]);
    let of_another = |account: &Account| fs::write(account.path("pillarbox-cache"), [0; 30]).unwrap();
    damage(true, of_another, &[Problem::UnreadableCache]);
}

// MDR-11
#[test]
fn what_is_no_file_is_told_and_not_touched() {
    let account = Account::new();
    std::os::unix::fs::symlink("/etc/passwd", account.path("cur/link:2,S")).unwrap();
    nix::unistd::mkfifo(&account.path("new/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir(account.path("cur/folder")).unwrap();
    fs::create_dir_all(account.path(".B&d/cur")).unwrap();
    let disk = account.disk();
    for repair in [Repair::No, Repair::Yes] {
        let report = check(&account.tree, repair);
        let mut found = problems(&report);
        found.sort_by_key(|problem| problem.name());
        assert_eq!(found, [Problem::NoMailboxName, Problem::NotAFile, Problem::NotAFile, Problem::NotAFile]);
        assert!(report.is_left() && report.findings.iter().all(|finding| matches!(finding.state, State::Left)));
        assert_eq!(account.disk(), disk);
    }
    // One mailbox that cannot be read keeps nobody from the others.
    fs::remove_dir(account.path("new/../.Archive.2026/new")).unwrap();
    fs::write(account.path(".Archive.2026/new"), "").unwrap();
    let report = check(&account.tree, Repair::Yes);
    assert!(problems(&report).contains(&Problem::NotADirectory) && report.mailboxes == 2);
}

#[test]
fn a_journal_that_is_damaged() {
    let change = |change: fn(&mut Vec<u8>)| {
        move |account: &Account| {
            let path = account.path("pillarbox-journal");
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes);
            fs::write(path, bytes).unwrap();
        }
    };
    for planted in [
        change(|bytes| bytes[3] ^= 1),
        change(|bytes| bytes[30] ^= 1),
        change(|bytes| bytes.truncate(bytes.len() - 1)),
        change(|bytes| bytes.truncate(10)),
        change(|bytes| bytes.truncate(24)),
        change(|bytes| bytes.extend([0; 100])),
        change(|bytes| bytes.fill(0)),
    ] {
        damage(true, planted, &[Problem::DamagedJournal]);
        // No mod-sequence falls.
        let account = Account::new();
        let highest = || {
            let inbox = account.tree.mailbox(&MailboxName::inbox()).unwrap();
            Mailbox::open(&inbox, Access::ReadOnly).unwrap().highest_mod_seq().unwrap()
        };
        let before = highest();
        planted(&account);
        check(&Tree::open(&store(RealFs), account.path("")).unwrap(), Repair::Yes);
        assert!(highest() > before);
    }
    // One that is not there, or of which nothing is written yet, is none.
    damage(true, |account| fs::remove_file(account.path("pillarbox-journal")).unwrap(), &[]);
    damage(true, change(Vec::clear), &[]);
    let elsewhere = |account: &Account| {
        fs::remove_file(account.path("pillarbox-journal")).unwrap();
        fs::create_dir(account.path("pillarbox-journal")).unwrap();
    };
    let account = Account::new();
    elsewhere(&account);
    assert_eq!(problems(&check(&account.tree, Repair::No)), [Problem::DamagedJournal]);
    let report = check(&account.tree, Repair::Yes);
    assert!(report.is_left() && matches!(report.findings[0].state, State::Failed(_)), "{report:?}");
}

#[test]
fn a_quota_file_that_is_wrong() {
    let of = |bytes, messages| Usage { bytes, messages };
    let there = Account::new().tree.usage(LIMITS).unwrap();
    assert_eq!(there.messages, 10);
    for (text, problem) in [
        ("1048576S\n5 1\n", Problem::WrongQuota { told: of(5, 1), counted: there }),
        ("1048576S\n0 0\n", Problem::WrongQuota { told: of(0, 0), counted: there }),
        ("1048576S\n5 1\n20", Problem::DamagedQuota),
        ("1048576S\n", Problem::DamagedQuota),
        ("1048576S\n5 x\n", Problem::DamagedQuota),
        ("1048576S\n-5 0\n", Problem::DamagedQuota),
    ] {
        damage(true, |account| fs::write(account.path("maildirsize"), text).unwrap(), &[problem]);
        let account = Account::new();
        fs::write(account.path("maildirsize"), text).unwrap();
        check(&account.tree, Repair::Yes);
        let right = format!("1048576S\n{} {}\n", there.bytes, there.messages);
        assert_eq!(fs::read_to_string(account.path("maildirsize")).unwrap(), right, "{text:?}");
    }
    // Whose limits are lost nobody can write anew.
    for text in ["", "\0\0\0\0", "NOQUOTA\n5 1\n"] {
        damage(true, |account| fs::write(account.path("maildirsize"), text).unwrap(), &[Problem::DamagedQuota]);
        let account = Account::new();
        fs::write(account.path("maildirsize"), text).unwrap();
        check(&account.tree, Repair::Yes);
        assert!(!account.path("maildirsize").exists());
        assert_eq!(fs::read_to_string(account.path("maildirsize.damaged")).unwrap(), text);
    }
    damage(true, |account| fs::create_dir(account.path("maildirsize")).unwrap(), &[Problem::DamagedQuota]);
    // What is right, or so long that whoever asks writes it anew, is no damage.
    let lines = format!("1048576S\n{} {}\n{}", there.bytes - 100, there.messages - 1, "100 1\n");
    damage(true, |account| fs::write(account.path("maildirsize"), &lines).unwrap(), &[]);
    let long = format!("1048576S\n{}", "1 1\n".repeat(2000));
    damage(true, |account| fs::write(account.path("maildirsize"), &long).unwrap(), &[]);
}

#[test]
fn limits_that_cannot_be_read() {
    for text in ["", "pillarbox-limits 1\nstorage x\n", "pillarbox-limits 2\n"] {
        damage(true, |account| fs::write(account.path("pillarbox-limits"), text).unwrap(), &[Problem::DamagedLimits]);
        // Those that stand in `maildirsize` are taken, for they were the same.
        let account = Account::new();
        account.tree.usage(LIMITS).unwrap();
        fs::write(account.path("pillarbox-limits"), text).unwrap();
        check(&account.tree, Repair::Yes);
        assert_eq!(account.tree.limits().unwrap(), Some(LIMITS), "{text:?}");
        // Where there are none, nobody knows them any more.
        let account = Account::new();
        fs::write(account.path("pillarbox-limits"), text).unwrap();
        check(&account.tree, Repair::Yes);
        assert_eq!(account.tree.limits().unwrap(), None, "{text:?}");
    }
    let limits = Quota { bytes: Some(7), messages: None };
    damage(true, |account| account.tree.set_limits(limits).unwrap(), &[]);
}

/// A name that tells terabytes costs no memory.
#[test]
fn a_size_that_nothing_can_have() {
    let account = Account::new();
    let huge = 99_999_999_999_999_u64;
    account.rename(4, |name| {
        let at = name.find(",W=").unwrap();
        format!("{},W={huge}{}", &name[..at], &name[name.find(':').unwrap()..])
    });
    let inbox = account.tree.mailbox(&MailboxName::inbox()).unwrap();
    let mut mailbox = Mailbox::open(&inbox, Access::ReadWrite).unwrap();
    let uid = mailbox.messages().next_back().unwrap().uid;
    let mut reader = mailbox.read(uid).unwrap();
    assert!(reader.len() < 1000, "{}", reader.len());
    let mut pieces = Pieces::new();
    pieces.insert(FIRST_LINE, b"", &first_line(&whole(&mut reader)));
    mailbox.remember(&[(uid, pieces)]);
    drop(mailbox);
    assert!(problems(&check(&account.tree, Repair::No)).contains(&Problem::WrongSizes));
    check(&account.tree, Repair::Yes);
    assert!(check(&account.tree, Repair::No).findings.is_empty());
}
