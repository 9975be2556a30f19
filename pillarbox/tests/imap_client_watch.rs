//! The IMAP client against our server, two sessions at a time: what one does, the other is told in types.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;

use std::sync::Arc;
use std::time::Duration;

use imap_support::{Server, YOU};
use pillarbox::imap::{ClientConfig, Command, Credentials, Event, ImapClient, Login, Response, RunError};
use pillarbox::parts::Identity;
use pillarbox::store::{AclStore, MemoryStore};
use pillarbox_imap::client::{
    Code, ContextUpdate, ESearch, FlagChange, ListReturn, NotifyEvent, NotifyFilter, SearchReturn,
};
use pillarbox_imap::types::{Flag, Flags, MailboxName, NameEncoding, Uid, UidSet};

async fn client(server: &Server) -> ImapClient {
    let mut config = ClientConfig::default();
    let mut login = Login::new(Credentials::plain("", YOU, "secret"));
    login.policy.clear_text_without_tls = true;
    config.login = Some(login);
    let (stream, _) = server.connect(1 << 16, None);
    ImapClient::over(stream, config, None, Arc::new(server.clock.clone())).await.unwrap()
}

/// Runs a command that has to succeed, and tells what was told meanwhile.
#[track_caller]
fn run(client: &mut ImapClient, command: Command) -> impl Future<Output = Vec<Response>> {
    let here = std::panic::Location::caller();
    async move {
        let mut told = Vec::new();
        let tell = |event: Event<'_>| {
            if let Event::Response(response) = event {
                told.push(response);
            }
        };
        client.run(command, tell).await.unwrap_or_else(|error| panic!("{error} at {here}"));
        told
    }
}

async fn append(client: &mut ImapClient, mailbox: &str) {
    client.append(Command::append(mailbox, &Flags::new(), None, 6), &b"a: b\r\n"[..], |_| {}).await.unwrap();
}

fn uids(numbers: &[u32]) -> UidSet {
    numbers.iter().map(|number| Uid::new(*number).unwrap()).collect()
}

fn seen(number: u32) -> Command {
    Command::uid_store(&uids(&[number]), FlagChange::Add, &[Flag::Seen].into_iter().collect(), None)
}

/// The results of a search that is watched, after what was told of them.
#[derive(Default)]
struct Results(Vec<u32>);

impl Results {
    fn hear(&mut self, told: &[Response]) {
        for search in told.iter().filter_map(|response| match response {
            Response::ESearch(search) => Some(search),
            _ => None,
        }) {
            self.hear_one(search);
        }
    }

    fn hear_one(&mut self, search: &ESearch) {
        if let Some(all) = &search.all {
            self.0 = all.iter().collect();
        }
        for update in &search.updates {
            match update {
                ContextUpdate::Add { position, numbers } => {
                    let at = (*position as usize).saturating_sub(1).min(self.0.len());
                    self.0.splice(at..at, numbers.iter());
                }
                ContextUpdate::Remove { numbers, .. } => {
                    self.0.retain(|own| !numbers.ranges().iter().any(|range| range.contains(own)));
                }
                _ => {}
            }
        }
    }
}

/// RFC 5267 §4.3
#[tokio::test]
async fn searches_are_followed() {
    for server in Server::each() {
        let (mut a, mut b) = (client(&server).await, client(&server).await);
        for _ in 0..3 {
            append(&mut b, "INBOX").await;
        }
        for client in [&mut a, &mut b] {
            run(client, Command::select("INBOX")).await;
        }
        let (mut unseen, mut newest) = (Results::default(), Results::default());
        let told =
            run(&mut a, Command::uid_search_returning(&[SearchReturn::All, SearchReturn::Update], "UNSEEN")).await;
        let [Response::ESearch(first)] = &told[..] else { panic!("{told:?}") };
        assert!(first.is_uid && first.updates.is_empty() && first.others.is_empty(), "{first:?}");
        let tag = first.tag.clone().unwrap();
        unseen.hear(&told);
        assert_eq!(unseen.0, [1, 2, 3]);

        append(&mut b, "INBOX").await;
        run(&mut b, seen(2)).await;
        unseen.hear(&run(&mut a, Command::noop()).await);
        unseen.0.sort_unstable();
        assert_eq!(unseen.0, [1, 3, 4]);

        // In an order, places are told.
        let sort = [SearchReturn::All, SearchReturn::Update];
        let told = run(&mut a, Command::uid_sort_returning(&sort, "REVERSE ARRIVAL", "UNSEEN")).await;
        let Some(Response::ESearch(sorted)) = told.last() else { panic!("{told:?}") };
        let sorted_tag = sorted.tag.clone().unwrap();
        newest.hear(&told);
        let before = newest.0.clone();
        assert_eq!(before.len(), 3);
        run(&mut b, seen(before[1])).await;
        append(&mut b, "INBOX").await;
        let told = run(&mut a, Command::noop()).await;
        let of = |tag: &str| {
            let own = |response: &&Response| matches!(response, Response::ESearch(s) if s.tag.as_deref() == Some(tag));
            told.iter().filter(own).cloned().collect::<Vec<_>>()
        };
        newest.hear(&of(&sorted_tag));
        unseen.hear(&of(&tag));
        let mut all = newest.0.clone();
        all.sort_unstable();
        unseen.0.sort_unstable();
        assert_eq!(all, unseen.0);
        assert!(newest.0.contains(&5) && !newest.0.contains(&before[1]), "{:?}", newest.0);

        // A part of what is found.
        let told = run(&mut a, Command::uid_search_returning(&[SearchReturn::Partial(-1, -2)], "UID 1:4")).await;
        let [Response::ESearch(ESearch { partial: Some((range, found)), .. })] = &told[..] else { panic!("{told:?}") };
        assert_eq!((range.as_str(), found.iter().collect::<Vec<_>>()), ("-1:-2", vec![3, 4]));

        run(&mut a, Command::cancel_update(&[&tag, &sorted_tag])).await;
        append(&mut b, "INBOX").await;
        let told = run(&mut a, Command::noop()).await;
        assert!(!told.iter().any(|response| matches!(response, Response::ESearch(_))), "{told:?}");
    }
}

/// Time passes wherever the server's session gathers what happens before it tells more, as long as this is there.
struct Hurry(tokio::task::JoinHandle<()>);

impl Hurry {
    fn of(server: &Server) -> Self {
        let clock = server.clock.clone();
        let pauses = [Duration::from_secs(1), Duration::from_millis(250)];
        Hurry(tokio::spawn(async move { clock.pass_over(&pauses).await }))
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The next that is told without having been asked for, which has to come.
#[track_caller]
fn heard(client: &mut ImapClient) -> impl Future<Output = Response> {
    let here = std::panic::Location::caller();
    let next = async move {
        loop {
            if let Event::Response(response) = client.next().await.unwrap_or_else(|| panic!("it has ended at {here}")) {
                return response;
            }
        }
    };
    async move {
        let told = tokio::time::timeout(Duration::from_secs(15), next).await;
        told.unwrap_or_else(|_| panic!("nothing was heard at {here}"))
    }
}

fn text(name: &pillarbox_imap::client::WireName) -> String {
    name.to_text(NameEncoding::ModifiedUtf7).unwrap()
}

/// RFC 5465
#[tokio::test]
async fn mailboxes_are_watched() {
    for server in Server::each() {
        let _hurry = Hurry::of(&server);
        let (mut a, mut b) = (client(&server).await, client(&server).await);
        run(&mut b, Command::create("Entwürfe")).await;
        append(&mut b, "Entwürfe").await;
        let messages = [NotifyEvent::MessageNew(""), NotifyEvent::MessageExpunge, NotifyEvent::FlagChange];
        let names = [NotifyEvent::MailboxName, NotifyEvent::SubscriptionChange, NotifyEvent::MailboxMetadataChange];
        let notify = Command::notify_set(true)
            .watching(&NotifyFilter::SelectedDelayed, &messages)
            .watching(&NotifyFilter::Mailboxes(vec!["Entwürfe".into()]), &messages)
            .watching(&NotifyFilter::Personal, &names);
        let told = run(&mut a, notify).await;
        let [Response::MailboxStatus { name, status }] = &told[..] else { panic!("{told:?}") };
        assert_eq!((text(name).as_str(), status.messages), ("Entwürfe", Some(1)));

        append(&mut b, "Entwürfe").await;
        let Response::MailboxStatus { status, .. } = heard(&mut a).await else { panic!() };
        assert_eq!((status.messages, status.uid_next), (Some(2), Some(3)));
        run(&mut b, Command::create("Lists")).await;
        let Response::List(entry) = heard(&mut a).await else { panic!() };
        assert!(text(&entry.name) == "Lists" && !entry.has("\\NonExistent") && entry.old_name().is_none(), "{entry:?}");
        run(&mut b, Command::rename("Lists", "Old lists")).await;
        let Response::List(entry) = heard(&mut a).await else { panic!() };
        assert_eq!(entry.old_name().map(|name| text(&name)).as_deref(), Some("Lists"));
        run(&mut b, Command::subscribe("Old lists")).await;
        let Response::List(entry) = heard(&mut a).await else { panic!() };
        assert!(entry.has("\\Subscribed"), "{entry:?}");
        run(&mut b, Command::set_metadata("Old lists", &[("/shared/comment", Some(b"old"))])).await;
        let Response::MetadataChanged { name, entries } = heard(&mut a).await else { panic!() };
        assert_eq!((text(&name).as_str(), entries), ("Old lists", vec![b"/shared/comment".to_vec()]));
        run(&mut b, Command::delete("Old lists")).await;
        let Response::List(entry) = heard(&mut a).await else { panic!() };
        assert!(entry.has("\\NonExistent"), "{entry:?}");

        // New messages of the selected one, with what was asked for.
        run(&mut a, Command::select("INBOX")).await;
        let new = [NotifyEvent::MessageNew("UID RFC822.SIZE"), NotifyEvent::MessageExpunge];
        run(&mut a, Command::notify_set(false).watching(&NotifyFilter::Selected, &new)).await;
        append(&mut b, "INBOX").await;
        let mut fetched = None;
        while fetched.is_none() {
            if let Response::Fetch(fetch) = heard(&mut a).await {
                fetched = Some((fetch.uid, fetch.size));
            }
        }
        assert_eq!(fetched, Some((Uid::new(1), Some(6))));

        run(&mut a, Command::notify_none()).await;
        append(&mut b, "Entwürfe").await;
        assert_eq!(run(&mut a, Command::noop()).await, []);
        // Events that go together.
        let alone = Command::notify_set(false).watching(&NotifyFilter::Selected, &[NotifyEvent::MessageExpunge]);
        assert!(matches!(a.run(alone, |_| {}).await, Err(RunError::Refused(_))));
    }
}

/// RFC 5465 §5.8: more happens than is kept for one who does not listen.
#[tokio::test]
async fn too_much_to_be_told() {
    let (server, user) = (Server::memory(), Identity::new(YOU));
    let mut a = client(&server).await;
    run(&mut a, Command::notify_set(false).watching(&NotifyFilter::Personal, &[NotifyEvent::SubscriptionChange])).await;
    let subscribe = async |number: usize| {
        server.store.subscribe(&user, &MailboxName::new(&format!("s{number}")).unwrap(), true).await.unwrap();
    };
    subscribe(0).await;
    let Response::List(entry) = heard(&mut a).await else { panic!() };
    assert!(entry.has("\\Subscribed") && entry.has("\\NonExistent"), "{entry:?}");
    for number in 1..=1001 {
        subscribe(number).await;
    }
    server.clock.advance(Duration::from_secs(1));
    let Response::Status(status) = heard(&mut a).await else { panic!() };
    assert_eq!(status.code, Some(Code::NotificationOverflow));
}

/// RFC 5258, RFC 5819, RFC 8440, RFC 9590, RFC 5464
#[tokio::test]
async fn names_with_all_that_is_known_of_them() {
    let server = Server::over(Arc::new(AclStore::new(MemoryStore::new())));
    let mut a = client(&server).await;
    for capability in ["LIST-METADATA", "LIST-MYRIGHTS", "LIST-STATUS"] {
        assert!(a.capabilities().has(capability), "{:?}", a.capabilities());
    }
    run(&mut a, Command::create("Fruit")).await;
    run(&mut a, Command::create("Fruit/Pear")).await;
    run(&mut a, Command::subscribe("Fruit/Pear")).await;
    append(&mut a, "Fruit/Pear").await;
    let values = [("/shared/comment", Some(&b"NIL"[..])), ("/private/a b", Some(&b"two\r\nlines \"quoted\""[..]))];
    run(&mut a, Command::set_metadata("Fruit/Pear", &values)).await;
    let told = run(&mut a, Command::get_metadata("Fruit/Pear", &["/private/a b", "/private/none"])).await;
    let [Response::Metadata { entries, .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(
        entries[..],
        [(b"/private/a b".to_vec(), Some(b"two\r\nlines \"quoted\"".to_vec())), (b"/private/none".to_vec(), None)]
    );

    let more = [
        ListReturn::Subscribed,
        ListReturn::MyRights,
        ListReturn::Status("MESSAGES"),
        ListReturn::Metadata(&["/shared/comment", "/private/none"]),
    ];
    let told = run(&mut a, Command::list("", "Fruit/*").list_returning(&more)).await;
    let [
        Response::List(entry),
        Response::MailboxStatus { status, .. },
        Response::MyRights { name, rights },
        Response::Metadata { name: of, entries },
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert!(entry.has("\\Subscribed") && entry.child_info().count() == 0, "{entry:?}");
    assert_eq!((status.messages, rights.as_str()), (Some(1), "lrswipkxteacd"));
    assert!(name == of && text(of) == "Fruit/Pear");
    let told = [(b"/shared/comment".to_vec(), Some(b"NIL".to_vec())), (b"/private/none".to_vec(), None)];
    assert_eq!(entries[..], told);

    // What leads to something that is asked for says so, and no more.
    let select = Command::new("LIST").raw("(SUBSCRIBED RECURSIVEMATCH)").mailbox("").mailbox("%");
    let told = run(&mut a, select.list_returning(&more)).await;
    let [Response::List(entry)] = &told[..] else { panic!("{told:?}") };
    assert!(text(&entry.name) == "Fruit" && entry.child_info().eq([b"SUBSCRIBED"]), "{entry:?}");

    // The annotation is too large, or there are too many.
    let large = vec![b'x'; 70_000];
    let refused = a.run(Command::set_metadata("Fruit", &[("/shared/comment", Some(&large))]), |_| {}).await;
    let Err(RunError::Refused(status)) = refused else { panic!("{refused:?}") };
    assert_eq!(status.code, Some(Code::MetadataMaxSize(65_536)));
    let names: Vec<String> = (0..65).map(|number| format!("/private/{number}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), Some(&b"x"[..]))).collect();
    let refused = a.run(Command::set_metadata("Fruit", &many), |_| {}).await;
    let Err(RunError::Refused(status)) = refused else { panic!("{refused:?}") };
    assert_eq!(status.code, Some(Code::MetadataTooMany));
}
