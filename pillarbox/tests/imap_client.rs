//! The IMAP client against our server, over pipes that cut everything into pieces: one script of operations, and mirrors that
//! come to be what the mailbox is, whatever others do to it.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use imap_support::{Server, YOU};
use pillarbox::imap::{
    ClientConfig, Command, ConnectError, Credentials, Event, ImapClient, ImapServer, Login, Mirror, Response, RunError,
    ServerConfig,
};
use pillarbox::parts::{MemoryAuthenticator, Parts};
use pillarbox::store::MemoryStore;
use pillarbox::testing::SteppedClock;
use pillarbox_core::sasl::Mechanism;
use pillarbox_imap::client::{
    Code, ContextUpdate, FlagChange, ListReturn, NotifyEvent, NotifyFilter, SearchReturn, Wanted,
};
use pillarbox_imap::types::{Flag, Flags, ResponseCode, SequenceSet, Uid, UidSet};

fn config(enable: &[&str]) -> ClientConfig {
    let mut config = ClientConfig::default();
    let mut login = Login::new(Credentials::plain("", YOU, "secret"));
    login.policy.clear_text_without_tls = true;
    config.login = Some(login);
    config.enable = enable.iter().map(ToString::to_string).collect();
    config
}

async fn client(server: &Server, pipe: usize, enable: &[&str]) -> ImapClient {
    let (stream, _) = server.connect(pipe, None);
    ImapClient::over(stream, config(enable), None, Arc::new(server.clock.clone())).await.unwrap()
}

fn uids(numbers: &[u32]) -> UidSet {
    numbers.iter().map(|number| Uid::new(*number).unwrap()).collect()
}

fn flags(flags: &[Flag]) -> Flags {
    flags.iter().cloned().collect()
}

#[tokio::test]
async fn one_script_of_everything() {
    for server in Server::each() {
        for pipe in [7, 1 << 16] {
            script(&mut client(&server, pipe, &["CONDSTORE", "QRESYNC"]).await).await;
        }
    }
}

#[cfg(feature = "compress")]
#[tokio::test]
async fn one_script_of_everything_compressed() {
    for pipe in [1, 7, 1 << 16] {
        let server = Server::compressing(Arc::new(MemoryStore::new()));
        let (stream, session) = server.connect(pipe, None);
        let mut config = config(&["CONDSTORE", "QRESYNC"]);
        config.compress = true;
        let mut client = ImapClient::over(stream, config, None, Arc::new(server.clock.clone())).await.unwrap();
        assert!(client.is_compressed());
        script(&mut client).await;
        client.log_out().await;
        session.await.unwrap();
    }
}

/// A connection to another server, by what `PILLARBOX_IMAP_PEER` says: `tcp:` and an address where `PILLARBOX_IMAP_USER` logs in
/// with the password of these tests; or the command of a program that speaks IMAP to its standard input and output with a user
/// who is logged in, such as Dovecot's `imap`.
#[cfg(all(unix, feature = "compress"))]
async fn peer(told: &str, compress: bool) -> (ImapClient, Option<tokio::process::Child>) {
    let mut config = self::config(&["CONDSTORE", "QRESYNC"]);
    config.compress = compress;
    let clock = Arc::new(SteppedClock::new());
    if let Some(address) = told.strip_prefix("tcp:") {
        let user = std::env::var("PILLARBOX_IMAP_USER").unwrap_or_else(|_| YOU.into());
        let mut login = Login::new(Credentials::plain("", &user, "secret"));
        login.policy.clear_text_without_tls = true;
        config.login = Some(login);
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        return (ImapClient::over(stream, config, None, clock).await.unwrap(), None);
    }
    let mut peer = tokio::process::Command::new("sh")
        .args(["-c", told])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let stream = tokio::io::join(peer.stdout.take().unwrap(), peer.stdin.take().unwrap());
    (ImapClient::over(stream, config, None, clock).await.unwrap(), Some(peer))
}

/// The same with another server, without compression and with it.
#[cfg(all(unix, feature = "compress"))]
#[tokio::test]
async fn the_same_script_with_another_server() {
    let Ok(told) = std::env::var("PILLARBOX_IMAP_PEER") else { return };
    for compress in [false, true] {
        let (mut client, program) = peer(&told, compress).await;
        assert_eq!(client.is_compressed(), compress, "{:?}", client.capabilities());
        script(&mut client).await;
        for flags in [&[][..], &[Flag::Seen]] {
            client
                .append(Command::append("INBOX", &self::flags(flags), None, 6), &b"a: b\r\n"[..], |_| {})
                .await
                .unwrap();
        }
        let mut mirror = Mirror::default();
        client.sync(Command::select("INBOX"), &mut mirror, |_| {}).await.unwrap();
        let mut known: Vec<usize> = mirrored(&mirror).values().map(Flags::len).collect();
        known.sort_unstable();
        // Dovecot tells of \Recent.
        assert!(known.len() == 2 && mirror.is_right(), "{mirror:?}");
        client.run(Command::close(), |_| {}).await.unwrap();
        client.sync(Command::select("INBOX"), &mut mirror, |_| {}).await.unwrap();
        assert!(mirror.exists() == 2 && mirror.is_right(), "{mirror:?}");
        let all = uids(&mirrored(&mirror).into_keys().collect::<Vec<_>>());
        let store = Command::uid_store(&all, FlagChange::Add, &flags(&[Flag::Deleted]), None);
        client.run(store, |_| {}).await.unwrap();
        client.run(Command::close(), |_| {}).await.unwrap();
        client.log_out().await;
        if let Some(mut program) = program {
            assert!(program.wait().await.unwrap().success());
        }
    }
}

/// Leaves the account as it found it.
async fn script(client: &mut ImapClient) {
    let nothing = |_: Event<'_>| {};
    client.run(Command::noop(), nothing).await.unwrap();
    client.run(Command::create("Entwürfe"), nothing).await.unwrap();
    let mut names = Vec::new();
    let listed = |event: Event<'_>| {
        if let Event::Response(Response::List(entry)) = event {
            names.push(entry.name);
        }
    };
    client.run(Command::list("", "Entw*"), listed).await.unwrap();
    assert_eq!(names.len(), 1);
    assert_eq!(names[0].to_text(pillarbox_imap::types::NameEncoding::ModifiedUtf7).as_deref(), Some("Entwürfe"));

    // Longer than what is read of it at a time, and than a literal that does not wait.
    let message = [&b"Subject: hi\r\n\r\n"[..], &b"0123456789abcdef\r\n".repeat(2000)].concat();
    let append = Command::append(&names[0], &flags(&[Flag::Seen]), None, message.len() as u64);
    let stored = client.append(append, &message[..], nothing).await.unwrap();
    let Some(Code::AppendUid { uids: stored, .. }) = stored.code else { panic!("{stored:?}") };
    assert!(stored.iter().eq([1]));
    // Cyrus takes no bare newlines.
    let two = Command::append("Entwürfe", &Flags::new(), None, 6).and_message(&Flags::new(), None, 7);
    client.append(two, &b"a: b\r\nc: dd\r\n"[..], nothing).await.unwrap();

    client.run(Command::select("Entwürfe"), nothing).await.unwrap();
    let (mut octets, mut sections, mut told) = (Vec::new(), Vec::new(), Vec::new());
    let fetched = |event: Event<'_>| match event {
        Event::Section(section) => sections.push((section.uid.map(Uid::get), section.name, section.len)),
        Event::Body(piece) => octets.extend_from_slice(&piece),
        Event::Response(Response::Fetch(fetch)) => told.push(fetch),
        _ => {}
    };
    let items = "(UID FLAGS RFC822.SIZE INTERNALDATE ENVELOPE BODYSTRUCTURE BODY.PEEK[])";
    client.run(Command::uid_fetch("1", items), fetched).await.unwrap();
    assert!(octets == message);
    assert_eq!(sections, [(Some(1), "BODY[]".to_string(), Some(message.len() as u64))]);
    let [fetch] = &told[..] else { panic!("{told:?}") };
    assert_eq!((fetch.uid, fetch.size), (Uid::new(1), Some(message.len() as u64)));
    assert!(fetch.flags.as_ref().unwrap().flags.contains(&Flag::Seen) && fetch.internal_date.is_some());
    assert_eq!(fetch.envelope.as_ref().unwrap().subject.as_deref(), Some(&b"hi"[..]));
    assert_eq!(fetch.structure.as_ref().unwrap().subtype, "PLAIN");
    assert!(fetch.others.is_empty(), "{:?}", fetch.others);

    let mut found = Vec::new();
    let search = |event: Event<'_>| {
        if let Event::Response(Response::Search { numbers, .. }) = event {
            found.extend(numbers);
        }
    };
    client.run(Command::uid_search("UNSEEN"), search).await.unwrap();
    assert_eq!(found, [2, 3]);
    let store = Command::uid_store(&uids(&[2]), FlagChange::Add, &flags(&[Flag::Deleted, Flag::Flagged]), None);
    client.run(store, nothing).await.unwrap();
    let copied = client.run(Command::uid_copy(&uids(&[1, 3]), "INBOX"), nothing).await.unwrap();
    assert!(matches!(copied.code, Some(Code::CopyUid { .. })), "{copied:?}");
    client.run(Command::uid_expunge(&uids(&[2])), nothing).await.unwrap();
    client.run(Command::uid_move(&uids(&[3]), "INBOX"), nothing).await.unwrap();

    // Together: the session sends what may be, and holds back the rest.
    let many = [Command::uid_search("ALL"), Command::uid_search("SEEN"), Command::status("INBOX", "MESSAGES UIDNEXT")];
    let mut open: Vec<_> = many.into_iter().map(|command| client.submit(command).unwrap()).collect();
    let mut answers = Vec::new();
    while !open.is_empty() {
        match client.next().await.unwrap() {
            Event::Completed { id, status } => {
                assert!(status.is_ok(), "{status:?}");
                open.retain(|own| *own != id);
            }
            Event::Response(Response::Search { numbers, .. }) => answers.push(numbers),
            Event::Response(Response::MailboxStatus { status, .. }) => assert_eq!(status.messages, Some(3)),
            _ => {}
        }
    }
    assert_eq!(answers, [[1], [1]]);

    client.run(Command::select("INBOX"), nothing).await.unwrap();
    let store =
        Command::uid_store(&uids(&(1..20).collect::<Vec<_>>()), FlagChange::Add, &flags(&[Flag::Deleted]), None);
    client.run(store, nothing).await.unwrap();
    client.run(Command::close(), nothing).await.unwrap();
    words_of_extensions(client).await;
    client.run(Command::delete("Entwürfe"), nothing).await.unwrap();
    let Err(RunError::Refused(status)) = client.run(Command::select("Entwürfe"), nothing).await else { panic!() };
    // Dovecot says it in words alone.
    assert!(status.code.is_none() || status.has(&ResponseCode::NonExistent), "{status:?}");
    assert!(matches!(client.run(Command::new("XFROB").string("a\r\nb"), nothing).await, Err(RunError::Refused(_))));
    assert!(client.is_open());
}

/// What was told while a command was done.
async fn told(client: &mut ImapClient, command: Command) -> Vec<Response> {
    let mut told = Vec::new();
    let tell = |event: Event<'_>| {
        if let Event::Response(response) = event {
            told.push(response);
        }
    };
    client.run(command, tell).await.unwrap();
    told
}

/// What the server offers of lists with options, annotations, searches that are followed and mailboxes that are watched.
async fn words_of_extensions(client: &mut ImapClient) {
    let capabilities = client.capabilities().clone();
    let offers = |word: &str| capabilities.has(word);
    let mut more = Vec::new();
    more.extend(offers("LIST-EXTENDED").then_some(ListReturn::Children));
    more.extend(offers("LIST-STATUS").then_some(ListReturn::Status("MESSAGES")));
    more.extend(offers("LIST-MYRIGHTS").then_some(ListReturn::MyRights));
    more.extend(offers("LIST-METADATA").then_some(ListReturn::Metadata(&["/private/comment"])));
    if offers("METADATA") {
        let set = Command::set_metadata("Entwürfe", &[("/private/comment", Some(b"mine"))]);
        client.run(set, |_| {}).await.unwrap();
        let got = told(client, Command::get_metadata("Entwürfe", &["/private/comment"])).await;
        let values = got.iter().filter_map(|response| match response {
            Response::Metadata { entries, .. } => entries[0].1.as_deref(),
            _ => None,
        });
        assert!(values.eq([b"mine"]), "{got:?}");
    }
    if !more.is_empty() {
        let listed = told(client, Command::list("", "Entw*").list_returning(&more)).await;
        let count = |is: fn(&Response) -> bool| listed.iter().filter(|response| is(response)).count();
        assert_eq!(count(|response| matches!(response, Response::List(_))), 1, "{listed:?}");
        for (word, is_told) in [
            ("LIST-STATUS", count(|response| matches!(response, Response::MailboxStatus { .. }))),
            ("LIST-MYRIGHTS", count(|response| matches!(response, Response::MyRights { .. }))),
            ("LIST-METADATA", count(|response| matches!(response, Response::Metadata { .. }))),
        ] {
            assert_eq!(is_told == 1, offers(word), "{word}: {listed:?}");
        }
        assert_eq!(count(|response| matches!(response, Response::Other { .. } | Response::Unread(_))), 0, "{listed:?}");
    }
    if offers("CONTEXT=SEARCH") {
        client.run(Command::select("Entwürfe"), |_| {}).await.unwrap();
        let search = Command::uid_search_returning(&[SearchReturn::Count, SearchReturn::Update], "UNDELETED");
        let found = told(client, search).await;
        let search = found.iter().find_map(|response| match response {
            Response::ESearch(search) => Some(search.clone()),
            _ => None,
        });
        let search = search.unwrap_or_else(|| panic!("{found:?}"));
        assert_eq!(search.count, Some(1));
        let gone = Command::uid_store(&uids(&[1]), FlagChange::Add, &flags(&[Flag::Deleted]), None);
        let mut changed = told(client, gone).await;
        changed.extend(told(client, Command::noop()).await);
        let updates = changed.iter().filter_map(|response| match response {
            Response::ESearch(told) if told.tag == search.tag => Some(&told.updates),
            _ => None,
        });
        let removed =
            |update: &ContextUpdate| matches!(update, ContextUpdate::Remove { numbers, .. } if numbers.iter().eq([1]));
        assert!(updates.flatten().any(removed), "{changed:?}");
        client.run(Command::cancel_update(&[search.tag.as_deref().unwrap()]), |_| {}).await.unwrap();
        client.run(Command::close(), |_| {}).await.unwrap();
    }
    if offers("NOTIFY") {
        let messages = [NotifyEvent::MessageNew(""), NotifyEvent::MessageExpunge];
        // Dovecot takes and tells other names there in UTF-8.
        let watch = NotifyFilter::Mailboxes(vec!["INBOX".into()]);
        let numbers = told(client, Command::notify_set(true).watching(&watch, &messages)).await;
        let told = |response: &Response| matches!(response, Response::MailboxStatus { status, .. } if status.messages.is_some());
        assert!(numbers.iter().any(told), "{numbers:?}");
        client.run(Command::notify_none(), |_| {}).await.unwrap();
    }
}

#[tokio::test]
async fn wrong_passwords_and_short_messages() {
    let server = Server::memory();
    let mut wrong = config(&[]);
    wrong.login = Some(Login::new(Credentials::plain("", YOU, "guess")));
    if let Some(login) = &mut wrong.login {
        login.policy.clear_text_without_tls = true;
        login.policy.mechanisms = vec![Mechanism::Plain];
    }
    let (stream, _) = server.connect(1 << 16, None);
    let connecting = ImapClient::over(stream, wrong, None, Arc::new(server.clock.clone()));
    // The server takes its time with a refusal.
    let clock = server.clock.clone();
    let refused = tokio::select! {
        refused = connecting => refused,
        () = async { loop { clock.advance(std::time::Duration::from_secs(1)); tokio::task::yield_now().await; } } => panic!(),
    };
    assert!(matches!(refused, Err(ConnectError::Session(_))));

    let mut client = client(&server, 1 << 16, &[]).await;
    let append = Command::append("INBOX", &Flags::new(), None, 100);
    let told = client.append(append, &b"not so much"[..], |_| {}).await;
    assert!(matches!(told, Err(RunError::Message(_))), "{told:?}");
    assert!(!client.is_open());

    // The octets of one command are not those of another that waits for its own.
    let mut client = self::client(&server, 1 << 16, &[]).await;
    let other = client.submit(Command::append("INBOX", &Flags::new(), None, 5)).unwrap();
    let append = Command::append("INBOX", &Flags::new(), None, 5);
    let mut lost = Vec::new();
    let tell = |event: Event<'_>| {
        if let Event::Lost { id, .. } = event {
            lost.push(id);
        }
    };
    let told = client.append(append, &b"a: b\n"[..], tell).await;
    assert!(matches!(told, Err(RunError::Lost(None))), "{told:?}");
    assert!(lost.len() == 2 && lost[0] == other && !client.is_open(), "{lost:?}");
    let mut client = self::client(&server, 1 << 16, &[]).await;
    let mut count = None;
    let select = |event: Event<'_>| {
        if let Event::Response(Response::Exists(exists)) = event {
            count = Some(exists);
        }
    };
    client.run(Command::select("INBOX"), select).await.unwrap();
    assert_eq!(count, Some(0), "half a message was stored");
    client.log_out().await;
}

/// A message that never comes; tells that it was asked for.
struct Never(Arc<tokio::sync::Notify>);

impl tokio::io::AsyncRead for Never {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        self.0.notify_one();
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn a_message_that_nobody_brings_ends_the_connection() {
    let server = Server::memory();
    let append = || Command::append("INBOX", &Flags::new(), None, 5);
    for is_dropped in [true, false] {
        let mut client = client(&server, 1 << 16, &[]).await;
        if is_dropped {
            let asked = Arc::new(tokio::sync::Notify::new());
            tokio::select! {
                biased;
                told = client.append(append(), Never(Arc::clone(&asked)), |_| {}) => panic!("{told:?}"),
                () = asked.notified() => {}
            }
        } else {
            client.submit(append()).unwrap();
            while !matches!(client.next().await, Some(Event::NeedMessage(_))) {}
        }
        let told = client.run(Command::select("a\0b"), |_| {}).await;
        assert!(matches!(told, Err(RunError::Misuse(_))) && client.is_open(), "{told:?}");
        let mut lost = Vec::new();
        let tell = |event: Event<'_>| {
            if let Event::Lost { was_sent, .. } = event {
                lost.push(was_sent);
            }
        };
        let run = client.append(append(), &b"a: b\n"[..], tell);
        let told = tokio::time::timeout(std::time::Duration::from_secs(20), run).await.expect("it does not wait");
        assert!(matches!(told, Err(RunError::Lost(None))), "{told:?}");
        assert!(lost.len() == 2 && !lost[1] && !client.is_open(), "{lost:?}");
        assert!(matches!(client.run(Command::noop(), |_| {}).await, Err(RunError::Misuse(_))));
    }
    assert_eq!(truth(&server).await.len(), 0, "something was stored");
}

#[tokio::test]
async fn numbers_that_mean_others_are_not_sent() {
    let server = Server::memory();
    let mut client = client(&server, 1 << 16, &[]).await;
    for flag in [Flag::Deleted, Flag::Seen] {
        client.append(Command::append("INBOX", &flags(&[flag]), None, 2), &b"\r\n"[..], |_| {}).await.unwrap();
    }
    client.run(Command::select("INBOX"), |_| {}).await.unwrap();
    client.submit(Command::expunge()).unwrap();
    let first = SequenceSet::parse(b"1").unwrap();
    let told = client.run(Command::fetch(&first, "(UID)"), |_| {}).await;
    assert!(matches!(told, Err(RunError::Renumbered)), "{told:?}");
    let mut found = None;
    let fetched = |event: Event<'_>| {
        if let Event::Response(Response::Fetch(fetch)) = event {
            found = fetch.uid;
        }
    };
    client.run(Command::fetch(&first, "(UID)"), fetched).await.unwrap();
    assert_eq!(found, Uid::new(2));
    client.log_out().await;
}

/// What is in INBOX by a look of its own.
async fn truth(server: &Server) -> BTreeMap<u32, Flags> {
    let mut client = client(server, 1 << 16, &[]).await;
    client.run(Command::examine("INBOX"), |_| {}).await.unwrap();
    let mut all = BTreeMap::new();
    let fetched = |event: Event<'_>| {
        if let Event::Response(Response::Fetch(fetch)) = event {
            all.insert(fetch.uid.unwrap().get(), fetch.flags.unwrap().flags);
        }
    };
    client.run(Command::uid_fetch("1:*", "(UID FLAGS)"), fetched).await.unwrap();
    client.log_out().await;
    all
}

fn mirrored(mirror: &Mirror) -> BTreeMap<u32, Flags> {
    mirror.messages().map(|(uid, message)| (uid.get(), message.flags.clone().unwrap())).collect()
}

fn bare_server() -> Server {
    let mut server = Server::memory();
    let mut config = ServerConfig::default();
    config.login_without_tls = true;
    (config.extensions.condstore, config.extensions.qresync) = (false, false);
    server.clock = SteppedClock::new();
    let parts = Parts {
        store: Arc::new(MemoryStore::new()),
        authenticator: Arc::new(MemoryAuthenticator::new().with(YOU, "secret")),
        clock: Arc::new(server.clock.clone()),
        ..Parts::in_memory()
    };
    server.store = Arc::clone(&parts.store);
    server.server = ImapServer::new(config, parts);
    server
}

#[tokio::test]
async fn mirrors_come_to_be_what_the_mailbox_is() {
    let qresync: &[&str] = &["CONDSTORE", "QRESYNC"];
    for (server, enable) in
        [(Server::memory(), qresync), (Server::maildir(), qresync), (Server::memory(), &[]), (bare_server(), &[])]
    {
        for seed in 0..6 {
            converge(&server, enable, seed).await;
        }
    }
}

/// Two clients with mirrors change a mailbox, leave it now and then, come back, and know what is in it each time.
async fn converge(server: &Server, enable: &[&str], seed: u64) {
    let mut random = pillarbox_core::SeededRandom::new(seed);
    let mut draw = move |below: u32| pillarbox_core::Random::below(&mut random, u64::from(below)) as u32;
    let pipe = [3, 50, 1 << 16][draw(3) as usize];
    let mut here = client(server, pipe, enable).await;
    let mut there = client(server, 1 << 16, enable).await;
    let mut mirror = Mirror::default();
    there.run(Command::select("INBOX"), |_| {}).await.unwrap();
    for round in 0..12 {
        here.sync(Command::select("INBOX"), &mut mirror, |_| {}).await.unwrap();
        assert_eq!(mirrored(&mirror), truth(server).await, "seed {seed}, round {round}: {mirror:?}");
        assert!(mirror.is_right());
        for _ in 0..draw(6) {
            let known: Vec<u32> = mirror.messages().map(|(uid, _)| uid.get()).collect();
            let some = match known.len() {
                0 => uids(&[1]),
                len => uids(&[known[draw(len as u32) as usize]]),
            };
            let flag =
                [Flag::Seen, Flag::Flagged, Flag::Deleted, Flag::parse("$Junk").unwrap()][draw(4) as usize].clone();
            let command = match draw(5) {
                0 | 1 => Command::append("INBOX", &Flags::new(), None, 2),
                2 => Command::uid_store(&some, FlagChange::Add, &flags(&[flag]), None),
                3 => Command::uid_store(&some, FlagChange::Remove, &flags(&[flag]), None),
                _ => Command::expunge(),
            };
            if draw(2) == 0 {
                there.append(command, &b"\r\n"[..], |_| {}).await.unwrap();
                continue;
            }
            let learn = |event: Event<'_>| {
                if let Event::Response(response) = &event {
                    mirror.learn(response);
                }
            };
            let told = here.append(command, &b"\r\n"[..], learn).await.unwrap();
            mirror.completed(&told, false);
        }
        // Without leaving: news come with NOOP, and what they leave open is asked for.
        for _ in 0..20 {
            let was_right = mirror.wanted() == Wanted::Nothing;
            let own = mirror.command(here.capabilities());
            let is_own = own.is_some();
            let command = own.unwrap_or_else(Command::noop);
            let learn = |event: Event<'_>| {
                if let Event::Response(response) = &event {
                    mirror.learn(response);
                }
            };
            let told = here.run(command, learn).await.unwrap();
            mirror.completed(&told, is_own);
            if was_right && mirror.is_right() {
                break;
            }
        }
        assert_eq!(mirrored(&mirror), truth(server).await, "seed {seed}, after round {round}: {mirror:?}");
        if draw(3) == 0 {
            // What is remembered is all that is left.
            let messages = mirror.messages().map(|(uid, message)| (uid, message.clone())).collect();
            mirror = Mirror::restored(mirror.uid_validity().unwrap(), mirror.mod_seq(), messages);
            here.log_out().await;
            there.append(Command::append("INBOX", &Flags::new(), None, 2), &b"\r\n"[..], |_| {}).await.unwrap();
            let known: Vec<u32> = truth(server).await.into_keys().collect();
            let some = uids(&[known[draw(known.len() as u32) as usize]]);
            there
                .run(Command::uid_store(&some, FlagChange::Add, &flags(&[Flag::Answered]), None), |_| {})
                .await
                .unwrap();
            here = client(server, pipe, enable).await;
        }
    }
    here.log_out().await;
    there.log_out().await;
}
