//! Searches that read every message: how the users of a server share it, counted in messages and never in time.
#![cfg(all(feature = "tokio", feature = "maildir", feature = "testing"))]

mod imap_support;
mod support;

use std::sync::Arc;
use std::time::Duration;

use imap_support::bent::Bent;
use imap_support::{Client, Server, YOU};
use pillarbox::parts::{Append, Identity, MailboxStore};
use pillarbox::store::MemoryStore;
use pillarbox_imap::types::MailboxName;
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The most messages that one slice opens.
const SLICE: usize = 64;

const ME: &str = "me@localhost";

/// A server with one place for searches, and so many messages in the INBOX of both of its users.
async fn server(messages: usize) -> (Server, Bent) {
    let store = Bent::over(MemoryStore::new());
    store.bend.permits.add_permits(1_000_000);
    let server = Server::with(Arc::new(store.clone()), |server| server.searches_max(1));
    for user in [YOU, ME].map(Identity::new) {
        for _ in 0..messages {
            let mut append = store.append(&user, &MailboxName::inbox(), Append::default()).await.unwrap();
            append.write(b"Subject: one of many\r\n\r\nhay\r\n").await.unwrap();
            append.publish().await.unwrap();
        }
    }
    (server, store)
}

async fn in_inbox(server: &Server, user: &str) -> Client<DuplexStream> {
    let mut client = server.stranger().await;
    client.ok(&format!("LOGIN {user} secret")).await;
    client.ok("SELECT INBOX").await;
    client
}

async fn until_opened(store: &Bent, messages: usize) {
    while store.bend.opened.lock().unwrap().len() < messages {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_found_comes_in_order_whatever_the_slices() {
    let (server, store) = server(1100).await;
    let mut client = in_inbox(&server, YOU).await;
    client.ok("STORE 3,90,1050 +FLAGS.SILENT (\\Seen)").await;
    // Some are found by their flags, the others by their text.
    let answer = client.ok("SEARCH OR SEEN TEXT hay").await;
    let all = (1..=1100).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
    assert_eq!(answer, format!("* SEARCH {all}\r\nOK Searched\r\n"));
    assert_eq!(store.bend.opened.lock().unwrap().len(), 1097);
    assert_eq!(client.ok("SEARCH 1050:1060 SEEN TEXT hay").await, "* SEARCH 1050\r\nOK Searched\r\n");
    assert_eq!(store.bend.opened.lock().unwrap().len(), 1098);
}

#[tokio::test]
async fn a_search_ends_when_its_client_is_gone() {
    let (server, store) = server(1000).await;
    let (stream, session) = server.connect(1 << 16, None);
    let mut client = Client::new(stream);
    client.line().await;
    client.ok("LOGIN you@localhost secret").await;
    client.ok("SELECT INBOX").await;
    store.bend.openings.forget_permits(100_000_000);
    client.begin("SEARCH TEXT needle").await;
    until_opened(&store, 1).await;
    drop(client);
    store.bend.openings.add_permits(1_000_000);
    session.await.unwrap();
    let opened = store.bend.opened.lock().unwrap().len();
    assert!(opened <= SLICE, "{opened} of 1000 messages were opened for nobody");
}

#[tokio::test]
async fn a_client_that_has_said_its_last_word_gets_what_one_slice_finds() {
    let (server, _) = server(SLICE).await;
    let mut client = in_inbox(&server, YOU).await;
    let tag = client.begin("SEARCH TEXT needle").await;
    tokio::io::AsyncWriteExt::shutdown(client.stream.get_mut()).await.unwrap();
    assert_eq!(client.answer(&tag).await, format!("* SEARCH\r\n{tag}OK Searched\r\n"));
}

/// A server on a socket, a client of it that is logged in and has selected INBOX, and what the session counts on.
async fn over_a_socket(messages: usize) -> (Client<TcpStream>, JoinHandle<()>, Server, Bent) {
    let (server, store) = server(messages).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (there, _) = listener.accept().await.unwrap();
    let serving = server.server.clone();
    let shutdown = server.shutdown.clone();
    let session = tokio::spawn(async move { serving.serve_connection(there, None, &shutdown).await });
    let mut client = Client::new(stream);
    client.line().await;
    client.ok("LOGIN you@localhost secret").await;
    client.ok("SELECT INBOX").await;
    (client, session, server, store)
}

#[tokio::test]
async fn a_client_that_has_said_its_last_word_gets_all_that_a_long_search_finds() {
    for (command, told) in [
        ("SEARCH TEXT hay", "* SEARCH 1 2 3 "),
        ("UID SORT (SUBJECT) UTF-8 TEXT hay", "* SORT 1 2 3 "),
        ("THREAD REFERENCES UTF-8 TEXT hay", "* THREAD "),
        ("ESEARCH IN (selected mailboxes Archive) TEXT hay", "* ESEARCH "),
    ] {
        let (mut client, session, server, store) = over_a_socket(1000).await;
        client.ok("CREATE Archive").await;
        client.ok("COPY 1:100 Archive").await;
        let before = store.bend.opened.lock().unwrap().len();
        store.bend.openings.forget_permits(100_000_000);
        let tag = client.begin(command).await;
        until_opened(&store, before + 1).await;
        client.stream.get_mut().shutdown().await.unwrap();
        // It is still there after a long time.
        server.clock.advance(Duration::from_secs(60));
        store.bend.openings.add_permits(1_000_000);
        let answer = client.answer(&tag).await;
        let answers: Vec<&str> = answer.lines().filter(|line| !line.contains("[INPROGRESS (")).collect();
        assert!(answers[0].starts_with(told), "{command}: {}", answers[0]);
        assert!(answers.last().unwrap().contains("OK "), "{command}: {:?}", answers.last());
        session.await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_has_said_its_last_word_gets_what_it_waited_to_sort() {
    let ordered = "* SORT 1 2 3\r\n";
    for (command, told) in [("SORT (SUBJECT) UTF-8 ALL", ordered), ("THREAD REFERENCES UTF-8 ALL", "* THREAD ")] {
        let (server, store) = server(3).await;
        let (mut first, mut client) = (in_inbox(&server, YOU).await, in_inbox(&server, YOU).await);
        store.bend.openings.forget_permits(100_000_000);
        let sorts = first.begin("SORT (SUBJECT) UTF-8 ALL").await;
        until_opened(&store, 1).await;
        let tag = client.begin(command).await;
        client.stream.get_mut().shutdown().await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        store.bend.openings.add_permits(1_000_000);
        assert!(first.answer(&sorts).await.contains(ordered));
        let answer = client.answer(&tag).await;
        assert!(answer.contains(told) && answer.contains(&format!("{tag}OK ")), "{command}: {answer}");
    }
}

#[tokio::test]
async fn a_client_that_has_said_its_last_word_has_parts_of_two_messages_stored() {
    let (server, _) = server(2).await;
    let mut client = in_inbox(&server, YOU).await;
    let tag = client.begin("APPEND INBOX CATENATE (URL ;UID=1/;SECTION=HEADER URL ;UID=2/;SECTION=TEXT)").await;
    client.stream.get_mut().shutdown().await.unwrap();
    let answer = client.answer(&tag).await;
    assert!(answer.contains(&format!("{tag}OK [APPENDUID ")), "{answer}");
}

#[tokio::test]
async fn a_client_whose_socket_is_closed_is_searched_for_no_longer() {
    let (client, session, server, store) = over_a_socket(5000).await;
    let before = store.bend.opened.lock().unwrap().len();
    store.bend.openings.forget_permits(100_000_000);
    let mut client = client;
    client.begin("SEARCH TEXT needle").await;
    until_opened(&store, before + 1).await;
    drop(client);
    // A slice at a time, and ten seconds between them.
    for slice in 1.. {
        store.bend.openings.add_permits(SLICE);
        while !session.is_finished() && store.bend.opened.lock().unwrap().len() <= before + slice * SLICE {
            tokio::task::yield_now().await;
        }
        if session.is_finished() {
            break;
        }
        server.clock.advance(Duration::from_secs(10));
    }
    let opened = store.bend.opened.lock().unwrap().len() - before;
    assert!(opened <= 5 * SLICE, "{opened} of 5000 messages were opened for nobody");
}

#[tokio::test]
async fn a_client_that_closed_its_side_is_searched_for_as_long_as_it_may_be_silent() {
    let (mut client, session, server, store) = over_a_socket(5000).await;
    let before = store.bend.opened.lock().unwrap().len();
    store.bend.openings.forget_permits(100_000_000);
    client.begin("SEARCH TEXT needle").await;
    until_opened(&store, before + 1).await;
    client.stream.get_mut().shutdown().await.unwrap();
    store.bend.openings.add_permits(SLICE);
    until_opened(&store, before + SLICE + 1).await;
    server.clock.advance(Duration::from_secs(29 * 60));
    store.bend.openings.add_permits(SLICE);
    until_opened(&store, before + 2 * SLICE + 1).await;
    server.clock.advance(Duration::from_secs(60));
    store.bend.openings.add_permits(1_000_000);
    session.await.unwrap();
    let opened = store.bend.opened.lock().unwrap().len() - before;
    assert!(opened <= 4 * SLICE, "{opened} of 5000 messages were opened");
}

#[tokio::test]
async fn a_client_hears_how_far_a_long_search_has_come() {
    let (server, store) = server(1000).await;
    let mut client = in_inbox(&server, YOU).await;
    store.bend.openings.forget_permits(100_000_000);
    let tag = client.begin("SEARCH TEXT hay").await;
    until_opened(&store, 1).await;
    server.clock.advance(std::time::Duration::from_secs(10));
    store.bend.openings.add_permits(1_000_000);
    let answer = client.answer(&tag).await;
    let told = format!("* OK [INPROGRESS (\"{}\" {SLICE} 1000)] Still at it\r\n* SEARCH 1 2 ", tag.trim());
    assert!(answer.starts_with(&told), "{}", &answer[..told.len().min(answer.len())]);
}

#[tokio::test]
async fn a_client_hears_how_far_a_long_fetch_has_come() {
    let (server, store) = server(100).await;
    let mut client = in_inbox(&server, YOU).await;
    store.bend.openings.forget_permits(100_000_000);
    let tag = client.begin("FETCH 1:* BODY.PEEK[TEXT]").await;
    until_opened(&store, 1).await;
    server.clock.advance(std::time::Duration::from_secs(10));
    store.bend.openings.add_permits(1_000_000);
    let answer = client.answer(&tag).await;
    let told = answer.lines().filter(|line| line.starts_with("* OK")).collect::<Vec<_>>();
    assert_eq!(told, [format!("* OK [INPROGRESS (\"{}\" 32 100)] Still at it", tag.trim())]);
    assert_eq!(answer.matches(" FETCH (").count(), 100);
}

#[tokio::test]
async fn commands_behind_a_search_wait_for_it() {
    let (server, _) = server(1000).await;
    let mut client = in_inbox(&server, YOU).await;
    client.send("a SEARCH TEXT needle\r\nb NOOP\r\n").await;
    assert_eq!(client.answer("b").await, "* SEARCH\r\na OK Searched\r\nb OK Done\r\n");
}

#[tokio::test]
async fn ten_searches_of_one_user_take_no_more_than_one_of_another() {
    let (server, store) = server(20 * SLICE).await;
    store.bend.openings.forget_permits(100_000_000);
    let mut greedy = Vec::new();
    for _ in 0..10 {
        let mut client = in_inbox(&server, YOU).await;
        client.begin("SEARCH TEXT needle").await;
        greedy.push(client);
    }
    until_opened(&store, 1).await;
    let mut modest = in_inbox(&server, ME).await;
    let tag = modest.begin("SEARCH TEXT needle").await;
    // Its search waits by now, as all other sessions do: they and the threads that work for them had their turns.
    for _ in 0..1000 {
        std::thread::yield_now();
        tokio::task::yield_now().await;
    }
    store.bend.openings.add_permits(1_000_000);
    modest.answer(&tag).await;
    let opened = store.bend.opened.lock().unwrap().clone();
    let count = |user: &str| opened.iter().filter(|one| **one == Identity::new(user)).count();
    assert_eq!(count(ME), 20 * SLICE);
    // A turn that looks at flags may come between two that open messages.
    assert!(count(YOU) <= 23 * SLICE, "{} messages were opened for the user with ten sessions", count(YOU));
}

#[tokio::test]
async fn others_are_served_while_twenty_clients_search() {
    let (server, store) = server(1000).await;
    // They cannot be done before the NOOPs are.
    store.bend.openings.forget_permits(100_000_000 - 10_000);
    let mut searching = Vec::new();
    for number in 0..20 {
        let mut client = in_inbox(&server, if number % 2 == 0 { YOU } else { ME }).await;
        let tag = client.begin("SEARCH TEXT needle").await;
        searching.push((client, tag));
    }
    let mut other = in_inbox(&server, ME).await;
    for _ in 0..20 {
        other.ok("NOOP").await;
    }
    assert!(store.bend.opened.lock().unwrap().len() <= 10_001);
    store.bend.openings.add_permits(1_000_000);
    for (mut client, tag) in searching {
        assert!(client.answer(&tag).await.ends_with("OK Searched\r\n"));
    }
    assert_eq!(store.bend.opened.lock().unwrap().len(), 20_000);
}

/// Prints timings; `MESSAGES` says of how many. Run with `--release -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures, and takes a minute"]
#[allow(clippy::print_stdout, reason = "that is what it is for")]
async fn timings_of_twenty_clients_that_search() {
    let messages = std::env::var("MESSAGES").map_or(100_000, |text| text.parse().unwrap());
    let (server, store) = server(messages).await;
    let mut searching = Vec::new();
    let start = std::time::Instant::now();
    for number in 0..20 {
        let mut client = in_inbox(&server, if number % 2 == 0 { YOU } else { ME }).await;
        let tag = client.begin("SEARCH TEXT needle").await;
        searching.push(tokio::spawn(async move { client.answer(&tag).await }));
    }
    let mut other = in_inbox(&server, ME).await;
    let mut waits = Vec::new();
    while !searching.iter().all(tokio::task::JoinHandle::is_finished) {
        let asked = std::time::Instant::now();
        other.ok("NOOP").await;
        waits.push(asked.elapsed());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let opened = store.bend.opened.lock().unwrap().len();
    println!("20 clients searched {messages} messages each, {opened} in all, in {:?}", start.elapsed());
    waits.sort();
    let of = |part: usize| waits[(waits.len() * part / 1000).min(waits.len() - 1)];
    println!(
        "{} NOOPs of another: median {:?}, 99 % below {:?}, longest {:?}",
        waits.len(),
        of(500),
        of(990),
        of(1000)
    );
}
