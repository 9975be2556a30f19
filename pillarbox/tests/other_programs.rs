//! A session that waits hears of what other programs do in its folder, by the system's notices and by rescans.
#![cfg(all(feature = "maildir", feature = "notify", target_os = "linux"))]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use pillarbox::parts::{Append, Identity, Mailbox, MailboxStore, StoreErrorKind};
use pillarbox::store::{MaildirStore, WatchOptions};
use pillarbox_imap::list::List;
use pillarbox_imap::server::Change;
use pillarbox_imap::types::{Flag, MailboxName, Uid};

const NEVER: Duration = Duration::from_secs(3600);
/// Nothing takes so long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// The ways to notice: each alone has to do.
fn ways() -> [WatchOptions; 2] {
    let mut notices = WatchOptions::default();
    (notices.rescan_every, notices.distrust_every) = (NEVER, NEVER);
    let mut rescans = notices.clone();
    (rescans.rescan_every, rescans.notices_max) = (Duration::from_millis(50), 0);
    [notices, rescans]
}

fn store(root: &Path, options: WatchOptions) -> MaildirStore {
    let root = root.to_owned();
    MaildirStore::new(move |account| Some(root.join(account.user()))).watch(options)
}

async fn open(store: &MaildirStore, user: &str) -> Box<dyn Mailbox> {
    let mut open = store.open(&Identity::new(user), &MailboxName::inbox(), false).await.unwrap();
    open.snapshot().await.unwrap();
    open
}

async fn news(mailbox: &mut Box<dyn Mailbox>) -> Vec<Change> {
    tokio::time::timeout(PATIENCE, mailbox.changes()).await.expect("nothing was heard").unwrap()
}

/// A delivery as another program makes it.
fn delivered(folder: &Path, name: &str) {
    fs::write(folder.join("tmp").join(name), "Subject: x\n\n").unwrap();
    fs::rename(folder.join("tmp").join(name), folder.join("new").join(name)).unwrap();
}

/// The UIDs, where one change tells of new messages and nothing else is told.
fn added(changes: &[Change]) -> Vec<u32> {
    let [Change::Added { uids, .. }] = changes else { panic!("{changes:?}") };
    uids.iter().map(|uid| uid.get()).collect()
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

/// The same where a keyword is new: the look that saw its name may have come before the one that saw it on a message.
async fn news_with_a_keyword(mailbox: &mut Box<dyn Mailbox>) -> Vec<Change> {
    let mut heard = news(mailbox).await;
    if matches!(heard[..], [Change::Keywords { .. }]) {
        heard.extend(news(mailbox).await);
    }
    heard
}

#[tokio::test]
async fn what_others_do_is_heard_by_all_who_wait() {
    for options in ways() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), options);
        let folder = dir.path().join("you");
        let (mut one, mut two) = (open(&store, "you").await, open(&store, "you").await);
        delivered(&folder, "1.a");
        assert_eq!(added(&news(&mut one).await), [1]);
        assert_eq!(added(&news(&mut two).await), [1]);

        // Flags, keywords first, as Dovecot sets them.
        fs::write(folder.join("dovecot-keywords"), "0 work\n").unwrap();
        fs::rename(folder.join("cur/1.a:2,"), folder.join("cur/1.a:2,Fa")).unwrap();
        let heard = news_with_a_keyword(&mut one).await;
        let [Change::Keywords { keywords, .. }, Change::Flags { uid: changed, flags, .. }] = &heard[..] else {
            panic!("{heard:?}")
        };
        assert_eq!((*changed, keywords), (uid(1), &vec![Flag::parse("work").unwrap()]));
        assert!(flags.contains(&Flag::Flagged) && flags.keywords().len() == 1, "{flags:?}");
        assert_eq!(news_with_a_keyword(&mut two).await, heard, "the same is told to both, once");

        // The letter stands for something else.
        fs::write(folder.join("dovecot-keywords"), "0 at-play\n").unwrap();
        let heard = news_with_a_keyword(&mut one).await;
        let [Change::Keywords { .. }, Change::Flags { uid: changed, flags, .. }] = &heard[..] else {
            panic!("{heard:?}")
        };
        assert_eq!((*changed, flags.keywords()[0].as_str()), (uid(1), "at-play"));
        assert_eq!(news_with_a_keyword(&mut two).await, heard);

        fs::remove_file(folder.join("cur/1.a:2,Fa")).unwrap();
        assert!(matches!(&news(&mut one).await[..], [Change::Removed { uids, .. }] if uids.contains(uid(1))));
        fs::remove_dir_all(&folder).unwrap();
        // In the middle of it the folder cannot be read, which is told as trouble.
        let end = tokio::time::timeout(PATIENCE, async {
            while !one.changes().await.is_ok_and(|changes| changes.contains(&Change::Gone)) {}
        });
        end.await.expect("the folder is gone and nobody heard");
    }
}

/// Names in another form of Unicode than clients are told, as a program on another system writes them.
// MBX-04
#[tokio::test]
async fn names_that_are_not_in_normal_form_c() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), WatchOptions::default());
    let (user, folder) = (Identity::new("you"), dir.path().join("you"));
    drop(open(&store, "you").await);
    // `A` with a mark above, the Kelvin sign, and the one beside the other.
    for directory in [".A&Awg-rger", ".A&Awg-rger.x", ".&ISo-", ".O&Awg-l", ".&ANY-l"] {
        for part in ["tmp", "new", "cur"] {
            fs::create_dir_all(folder.join(directory).join(part)).unwrap();
        }
    }
    delivered(&folder.join(".A&Awg-rger"), "1.a");
    delivered(&folder.join(".&ANY-l"), "1.a");
    fs::write(folder.join("subscriptions"), "V\t2\n\nA&Awg-rger\n").unwrap();

    let name = |text: &str| MailboxName::new(text).unwrap();
    let listed = async |list: &List| -> Vec<String> {
        let listed = store.list(&user, list).await.unwrap();
        listed.into_iter().map(|listed| listed.name.as_str().to_owned()).collect()
    };
    let mut subscribed = List::new("*");
    subscribed.subscribed = true;
    assert_eq!(listed(&List::new("*")).await, ["INBOX", "Ärger", "Ärger/x", "Öl"]);
    assert_eq!(listed(&subscribed).await, ["Ärger"]);
    for mailbox in ["Ärger", "Öl"] {
        let mut open = store.open(&user, &name(mailbox), false).await.unwrap();
        assert_eq!(open.snapshot().await.unwrap().uids, [uid(1)], "{mailbox}");
    }
    let refused = store.create(&user, &name("Ärger"), &[]).await.map_err(|error| error.kind);
    assert_eq!(refused, Err(StoreErrorKind::AlreadyExists));
    store.subscribe(&user, &name("Ärger"), false).await.unwrap();
    assert_eq!(listed(&subscribed).await, Vec::<String>::new());

    store.rename(&user, &name("Ärger"), &name("Freude")).await.unwrap();
    assert_eq!(listed(&List::new("*")).await, ["Freude", "Freude/x", "INBOX", "Öl"]);
    store.delete(&user, &name("Öl")).await.unwrap();
    assert!(folder.join(".O&Awg-l").is_dir() && !folder.join(".&ANY-l").exists());
    store.delete(&user, &name("Öl")).await.unwrap();
    assert_eq!(listed(&List::new("*")).await, ["Freude", "Freude/x", "INBOX"]);
}

/// How long it takes is printed; what is asserted is that it takes no rescan.
#[tokio::test]
#[allow(clippy::print_stdout, reason = "tests show what they measured")]
async fn with_notices_it_takes_no_time() {
    let dir = tempfile::tempdir().unwrap();
    let [notices, _] = ways();
    let store = store(dir.path(), notices);
    let mut mailbox = open(&store, "you").await;
    let mut longest = Duration::ZERO;
    for n in 1..=10 {
        delivered(&dir.path().join("you"), &format!("{n}.a"));
        let start = Instant::now();
        assert_eq!(added(&news(&mut mailbox).await), [n]);
        longest = longest.max(start.elapsed());
    }
    println!("heard after {longest:?} at most");
}

/// Watches of the kernel's on a folder, whoever in this process has them.
fn watches(folder: &Path) -> usize {
    let dirs: Vec<String> = ["", "new", "cur"]
        .iter()
        .map(|name| format!("ino:{:x} ", fs::metadata(folder.join(name)).unwrap().ino()))
        .collect();
    let infos = fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
    let infos = infos.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    let count = |info: String| {
        let lines = info.lines().filter(|line| line.starts_with("inotify "));
        lines.filter(|line| dirs.iter().any(|dir| line.contains(dir))).count()
    };
    infos.map(count).sum()
}

/// What nobody waits for is not looked at, and what nobody has open is not watched.
#[tokio::test]
async fn only_where_somebody_waits() {
    let dir = tempfile::tempdir().unwrap();
    let [notices, _] = ways();
    let store = store(dir.path(), notices);
    let (mine, other) = (dir.path().join("me"), dir.path().join("other"));
    let (mut mailbox, mut waiting) = (open(&store, "me").await, open(&store, "other").await);
    assert_eq!((watches(&mine), watches(&other)), (0, 0), "nobody has waited");
    delivered(&mine, "1.a");
    assert_eq!(news(&mut mailbox).await.len(), 1);
    assert_eq!((watches(&mine), watches(&other)), (3, 0));

    // Open, watched, and in the middle of other commands: left alone until it waits again.
    delivered(&mine, "2.a");
    delivered(&other, "1.a");
    assert_eq!(news(&mut waiting).await.len(), 1);
    assert!(mine.join("new/2.a").exists(), "nobody looked");
    assert_eq!(added(&news(&mut mailbox).await), [2]);

    drop((mailbox, waiting));
    // The thread that does it is told, and does it when it comes to that.
    let gone = tokio::time::timeout(PATIENCE, async {
        while watches(&mine) + watches(&other) > 0 {
            tokio::task::yield_now().await;
        }
    });
    gone.await.expect("a folder that nobody has open is still watched");
}

/// What this process delivers is told once, although the system tells of it too.
#[tokio::test]
async fn own_deliveries_are_told_once() {
    for options in ways() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), options);
        let (user, inbox) = (Identity::new("you"), MailboxName::inbox());
        let mut mailbox = open(&store, "you").await;
        let mut told = Vec::new();
        for n in 1..=20u32 {
            let mut incoming = store.append(&user, &inbox, Append::default()).await.unwrap();
            incoming.write(b"Subject: x\r\n\r\n").await.unwrap();
            incoming.publish().await.unwrap();
            while told.len() < n as usize {
                for change in news(&mut mailbox).await {
                    let Change::Added { uids, .. } = change else { panic!("{change:?}") };
                    told.extend(uids.into_iter().map(Uid::get));
                }
            }
        }
        assert_eq!(told, (1..=20).collect::<Vec<_>>());
    }
}

/// The names of an account, in both layouts.
#[tokio::test]
async fn names_that_others_change_are_heard() {
    use pillarbox::parts::{NameChange, NameWatch};
    async fn told(watch: &mut Box<dyn NameWatch>) -> Vec<NameChange> {
        tokio::time::timeout(PATIENCE, watch.changes()).await.expect("nothing was heard").unwrap()
    }
    let name = |text: &str| MailboxName::new(text).unwrap();
    for (options, nested) in ways().into_iter().flat_map(|options| [(options.clone(), false), (options, true)]) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = store(dir.path(), options.clone());
        let folder = dir.path().join("you");
        if nested {
            // The system tells nothing of what lies deeper: what is told of there is seen at a rescan.
            if options.notices_max > 0 {
                continue;
            }
            store = store.lying_as(|_| {
                let mut options = pillarbox::maildir::TreeOptions::default();
                options.layout = pillarbox::maildir::Layout::Fs;
                options
            });
        }
        let user = Identity::new("you");
        let nobody = store.watch_names(&user, &[]).await.unwrap();
        assert!(!folder.exists(), "nothing comes to be by watching");
        drop(nobody);
        store.list(&user, &List::new("*")).await.unwrap();
        let (mut one, mut two) =
            (store.watch_names(&user, &[]).await.unwrap(), store.watch_names(&user, &[]).await.unwrap());
        let (made, below) = if nested { ("a", "a/b") } else { (".a", ".a.b") };
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(folder.join(made).join(part)).unwrap();
        }
        assert_eq!(told(&mut one).await, [NameChange::Created(name("a"))]);
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(folder.join(below).join(part)).unwrap();
        }
        assert_eq!(told(&mut one).await, [NameChange::Created(name("a/b"))]);
        // What this process does is told once, in its own words.
        store.rename(&user, &name("a"), &name("c")).await.unwrap();
        assert_eq!(told(&mut one).await, [NameChange::Renamed { from: name("a"), to: name("c") }]);
        store.subscribe(&user, &name("c"), true).await.unwrap();
        assert_eq!(told(&mut one).await, [NameChange::Subscribed(name("c"))]);
        fs::write(folder.join("subscriptions"), if nested { "c/b\n" } else { "c.b\n" }).unwrap();
        let both = [name("c"), name("c/b")].map(NameChange::Subscribed);
        assert_eq!(told(&mut one).await, both);
        fs::remove_dir_all(folder.join(below.replace('a', "c"))).unwrap();
        assert_eq!(told(&mut one).await, [NameChange::Deleted(name("c/b"))]);
        // Who listens later hears all of it, in order.
        let mut all = Vec::new();
        while all.last() != Some(&NameChange::Deleted(name("c/b"))) {
            all.extend(told(&mut two).await);
        }
        assert_eq!(all.len(), 7, "{all:?}");
    }
}
