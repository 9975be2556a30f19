//! Section 4: what a connection that says nothing holds.

use std::sync::Arc;

use pillarbox_core::{Step, Time};
use pillarbox_imap::server::{ServerConfig, ServerSession};
use pillarbox_smtp::server as smtp;

use crate::allocation::counted;
use crate::imap;
use crate::report::{Goal, Quantity, Row, Spread, Unit};

pub fn rows() -> Vec<Row> {
    let config = Arc::new(smtp::ServerConfig::new("mx.example"));
    let imap_config = imap::config();
    vec![
        row("SMTP session after EHLO", || greeted(&config), vec![Goal::AtMost(1024.0)]),
        row("SMTP session after a message", || after_a_message(&config), vec![Goal::AtMost(1024.0)]),
        row("IMAP session after LOGIN", || imap::logged_in(&imap_config), vec![]),
        row("IMAP session in IDLE, 1,000 messages", || idling(&imap_config), vec![]),
    ]
}

fn greeted(config: &Arc<smtp::ServerConfig>) -> smtp::ServerSession {
    let mut session = smtp::ServerSession::new(config.clone(), smtp::Peer::default());
    accept_all(&mut session, b"");
    accept_all(&mut session, b"EHLO client.example.com\r\n");
    session
}

fn after_a_message(config: &Arc<smtp::ServerConfig>) -> smtp::ServerSession {
    let mut session = greeted(config);
    accept_all(&mut session, b"MAIL FROM:<a@client.example.com>\r\nRCPT TO:<joe@mx.example>\r\nDATA\r\n");
    accept_all(&mut session, b"Subject: hi\r\n\r\nhello\r\n.\r\n");
    session
}

fn accept_all(session: &mut smtp::ServerSession, mut unread: &[u8]) {
    loop {
        match session.poll(Time::ZERO, &mut unread) {
            Step::Event(smtp::Event::Body(_)) => {}
            Step::Event(smtp::Event::Refused { reply, .. }) => unreachable!("{reply:?}"),
            Step::Event(_) => session.answer(Time::ZERO, smtp::Answer::Accept).expect("a question was open"),
            _ => break,
        }
    }
    session.consume_output(Time::ZERO, usize::MAX);
}

/// The view holds four octets a message.
fn idling(config: &Arc<ServerConfig>) -> ServerSession {
    let mut session = imap::selected(config);
    imap::turn(&mut session, b"c IDLE\r\n");
    assert!(session.is_idling());
    session
}

/// The struct and what it holds on the heap, as the mean of many. The configuration is shared and not counted.
fn row<T>(name: &str, make: impl Fn() -> T, goals: Vec<Goal>) -> Row {
    const SESSIONS: usize = 1000;
    let (sessions, _, live) = counted(|| (0..SESSIONS).map(|_| make()).collect::<Vec<T>>());
    let own = size_of::<T>();
    let each = live as f64 / SESSIONS as f64;
    drop(sessions);
    Row {
        section: 4,
        name: name.into(),
        ours: Quantity { unit: Unit::Octets, spread: Spread::exact(each) },
        allocations: None,
        peer: None,
        ratio: None,
        goals,
        note: format!("{own} in the struct, {:.0} on the heap, output buffer included", each - own as f64),
    }
}
