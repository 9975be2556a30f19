//! Wrong calls are told to the caller and change nothing; a client that does not read is let go.

use std::sync::Arc;
use std::time::Duration;

use pillarbox_core::{LayerFacts, Misuse, Step, Time, TlsFacts};
use pillarbox_imap::message::Section;
use pillarbox_imap::server::{
    Answer, Change, CloseReason, Event, FetchData, FetchItem, Listed, Peer, SectionName, ServerConfig, ServerSession,
    Snapshot,
};
use pillarbox_imap::types::{Flags, MailboxName, Uid, UidSet, UidValidity};

const NOW: Time = Time::ZERO;

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

/// Shows a line; gives the question that comes of it, and answers those on the way there.
fn ask(session: &mut ServerSession, line: &str) -> Option<Event<'static>> {
    let mut unread = line.as_bytes();
    match session.poll(NOW, &mut unread) {
        Step::Event(event) => event.into_owned(),
        step => {
            assert!(matches!(step, Step::NeedInput), "{step:?}");
            None
        }
    }
}

/// A session with the messages 1 to 3 selected.
fn selected(config: ServerConfig) -> ServerSession {
    let mut config = config;
    config.login_without_tls = true;
    let mut session = ServerSession::new(Arc::new(config), Peer::default());
    ask(&mut session, "");
    session.answer(NOW, Answer::Done).unwrap();
    ask(&mut session, "a LOGIN joe secret\r\n");
    session.answer(NOW, Answer::LoggedIn("joe".into())).unwrap();
    ask(&mut session, "b SELECT INBOX\r\n");
    let mut snapshot = Snapshot::new(UidValidity::MIN, uid(4));
    snapshot.uids = vec![uid(1), uid(2), uid(3)];
    session.answer(NOW, Answer::Selected(snapshot)).unwrap();
    session.consume_output(NOW, usize::MAX);
    session
}

fn wrong(result: Result<(), Misuse>) {
    assert!(matches!(result, Err(Misuse::WrongAnswer { .. })), "{result:?}");
}

#[test]
fn answers_that_do_not_fit() {
    let mut session = ServerSession::new(Arc::new(ServerConfig::default()), Peer::default());
    assert_eq!(session.answer(NOW, Answer::Done), Err(Misuse::NoOpenQuestion));
    assert!(matches!(ask(&mut session, ""), Some(Event::Connect)));
    wrong(session.answer(NOW, Answer::LoggedIn("joe".into())));
    wrong(session.answer(NOW, Answer::No { code: None, text: "no".into() }));
    assert!(session.output().is_empty());
    assert_eq!(session.upgraded(NOW, LayerFacts::Tls(TlsFacts::default())), Err(Misuse::NoUpgrade));
    session.answer(NOW, Answer::Done).unwrap();
    assert_eq!(session.answer(NOW, Answer::Done), Err(Misuse::NoOpenQuestion));
    assert_eq!((session.identity(), session.view()), (None, None));
}

#[test]
fn a_fetch_is_answered_in_its_order() {
    let mut session = selected(ServerConfig::default());
    let question = ask(&mut session, "c FETCH 1 (RFC822.SIZE BODY.PEEK[])\r\n");
    let Some(Event::Fetch { wanted, .. }) = question else { panic!("{question:?}") };
    let Some(FetchItem::Section { section, name, .. }) = wanted.last() else { panic!("{wanted:?}") };
    let size = || Answer::Data(FetchData::Rfc822Size(5));
    let literal = |section, len| Answer::Literal { section, name: *name, origin: None, len };
    wrong(session.answer(NOW, size()));
    wrong(session.answer(NOW, Answer::MessageEnd));
    session.answer(NOW, Answer::Message(uid(1))).unwrap();
    wrong(session.answer(NOW, Answer::Message(uid(2))));
    wrong(session.answer(NOW, Answer::Done));
    // Only what was asked for.
    wrong(session.answer(NOW, Answer::Data(FetchData::Flags(Flags::new()))));
    let first_part = Section { path: vec![1], ..Section::default() };
    wrong(session.answer(NOW, literal(&first_part, 5)));
    let other = Answer::Literal { section, name: SectionName::Rfc822, origin: None, len: 5 };
    wrong(session.answer(NOW, other));
    assert!(session.output().is_empty());
    assert_eq!(session.answer(NOW, Answer::Chunk(b"x")), Err(Misuse::TooLong { what: "a chunk" }));
    session.answer(NOW, literal(section, 5)).unwrap();
    // Nothing but the octets that were announced.
    wrong(session.answer(NOW, size()));
    wrong(session.answer(NOW, Answer::MessageEnd));
    assert_eq!(session.answer(NOW, Answer::Chunk(b"sixsix")), Err(Misuse::TooLong { what: "a chunk" }));
    session.answer(NOW, Answer::Chunk(b"hello")).unwrap();
    session.answer(NOW, size()).unwrap();
    session.answer(NOW, Answer::MessageEnd).unwrap();
    session.answer(NOW, Answer::Done).unwrap();
    assert_eq!(session.output(), b"* 1 FETCH (BODY[] {5}\r\nhello RFC822.SIZE 5)\r\nc OK Fetched\r\n");
}

#[test]
fn chunks_wait_for_room() {
    let mut config = ServerConfig::default();
    config.limits.output_high_water = 100;
    let mut session = selected(config);
    let Some(Event::Fetch { wanted, .. }) = ask(&mut session, "c FETCH 1 RFC822\r\n") else { panic!("no question") };
    let Some(FetchItem::Section { section, name, .. }) = wanted.first() else { panic!("{wanted:?}") };
    session.answer(NOW, Answer::Message(uid(1))).unwrap();
    session.answer(NOW, Answer::Literal { section, name: *name, origin: None, len: 1000 }).unwrap();
    let mut sent = 0;
    while sent < 1000 {
        let room = session.room().min(1000 - sent);
        assert_eq!(session.answer(NOW, Answer::Chunk(&[b'x'; 101])), Err(Misuse::TooLong { what: "a chunk" }));
        session.answer(NOW, Answer::Chunk(&vec![b'x'; room])).unwrap();
        assert!(session.output().len() <= 100);
        sent += room;
        session.consume_output(NOW, usize::MAX);
    }
    session.answer(NOW, Answer::MessageEnd).unwrap();
    session.answer(NOW, Answer::Done).unwrap();
}

#[test]
fn attributes_stay_in_their_list() {
    let mut session = selected(ServerConfig::default());
    ask(&mut session, "c LIST \"\" *\r\n");
    for attribute in ["", "\\A)\r\n* BYE x", "a b", "(", "\u{e9}"] {
        let listed = Listed::new(MailboxName::inbox(), vec![attribute.to_string().into()]);
        let result = session.answer(NOW, Answer::Listed(listed));
        assert_eq!(result, Err(Misuse::ForbiddenOctet { what: "an attribute of a mailbox" }), "{attribute:?}");
    }
    assert!(session.output().is_empty());
}

#[test]
fn a_client_that_does_not_read_is_let_go() {
    let mut session = selected(ServerConfig::default());
    ask(&mut session, "c FETCH 1 FLAGS\r\n");
    session.answer(NOW, Answer::Message(uid(1))).unwrap();
    session.answer(NOW, Answer::Data(FetchData::Flags(Flags::new()))).unwrap();
    // The clock runs although a question is open: the driver that answers it waits for the client.
    let stalled = NOW + Duration::from_secs(300);
    assert_eq!(session.deadline(), Some(stalled));
    session.consume_output(NOW + Duration::from_secs(200), 1);
    let stalled = NOW + Duration::from_secs(500);
    assert_eq!(session.deadline(), Some(stalled));
    session.handle_timeout(stalled);
    assert_eq!((session.close_reason(), session.deadline()), (Some(CloseReason::Timeout), None));
    // The answer that was under way has nobody to go to.
    assert_eq!(session.answer(stalled, Answer::MessageEnd), Ok(()));
    assert!(matches!(session.poll(stalled, &mut &b"d NOOP\r\n"[..]), Step::Closed));
}

#[test]
fn within_idle_a_slow_client_gets_news_in_portions() {
    let mut config = ServerConfig::default();
    config.limits.output_high_water = 30;
    let mut session = selected(config);
    ask(&mut session, "c IDLE\r\n");
    session.answer(NOW, Answer::Done).unwrap();
    assert!(matches!(ask(&mut session, ""), Some(Event::Idle)) && session.is_idling());
    session.learn(NOW, Change::Added { uids: vec![uid(4)], mod_seq: None });
    session.learn(NOW, Change::Added { uids: vec![uid(5)], mod_seq: None });
    session.learn(NOW, Change::Added { uids: vec![uid(6), uid(7)], mod_seq: None });
    session.learn(NOW, Change::Removed { uids: UidSet::one(uid(6)), mod_seq: None });
    // What comes while the output is full is drawn together until some of it left.
    assert_eq!(session.output(), b"+ Idling\r\n* 4 EXISTS\r\n* 5 EXISTS\r\n");
    session.consume_output(NOW, usize::MAX);
    assert_eq!(session.output(), b"* 6 EXISTS\r\n");
}
