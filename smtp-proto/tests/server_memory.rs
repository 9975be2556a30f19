//! What a session costs, counted by the allocator.

use std::hint::black_box;
use std::sync::Arc;

use peak_alloc::PeakAlloc;
use pillarbox_core::sasl::Mechanism;
use pillarbox_core::{Step, Time};
use pillarbox_smtp::server::{Answer, Event, Peer, ServerConfig, ServerSession};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MIB: usize = 1024 * 1024;

/// What a driver would do: shows bytes, answers, and sends the output. Gives how many octets of a body came, and how the last
/// poll ended.
fn show(session: &mut ServerSession, mut unread: &[u8]) -> (usize, bool) {
    let mut body = 0;
    loop {
        match session.poll(Time::ZERO, &mut unread) {
            Step::Event(Event::Body(octets)) => body += black_box(octets).len(),
            Step::Event(Event::Abandoned(_) | Event::Refused { .. }) => {}
            Step::Event(_) => session.answer(Time::ZERO, Answer::Accept).unwrap(),
            step => {
                session.consume_output(Time::ZERO, usize::MAX);
                return (body, matches!(step, Step::Closed));
            }
        }
    }
}

fn session(config: ServerConfig) -> ServerSession {
    let mut session = ServerSession::new(Arc::new(config), Peer::default());
    for flight in ["", "EHLO c.example\r\n", "MAIL FROM:<a@c.example>\r\nRCPT TO:<joe@mx.example>\r\nDATA\r\n"] {
        show(&mut session, flight.as_bytes());
    }
    session
}

/// One test, because what the others allocate would be counted.
#[test]
fn memory_is_flat() {
    let line = [&b"x"[..].repeat(70)[..], b"\r\n"].concat();
    let mut piece = line.repeat(64 * 1024 / line.len());
    piece.extend_from_slice(b"..stuffed\r\n");

    // A message of a GiB.
    let mut config = ServerConfig::new("mx.example");
    config.limits.message_size_max = 2 << 30;
    let mut big = session(config);
    show(&mut big, b"\r\n");
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let mut came = 0;
    while came < 1 << 30 {
        came += show(&mut big, &piece).0;
    }
    show(&mut big, b".\r\n");
    let used = ALLOCATOR.peak_usage() - before;
    assert!(used < 256 * 1024, "{used} bytes for a message of {came}");
    assert_eq!(show(&mut big, b"QUIT\r\n"), (0, true));

    // The same in chunks of a MiB.
    let mut config = ServerConfig::new("mx.example");
    config.limits.message_size_max = 2 << 30;
    let mut chunked = ServerSession::new(Arc::new(config), Peer::default());
    for flight in ["", "EHLO c.example\r\n", "MAIL FROM:<a@c.example>\r\nRCPT TO:<joe@mx.example>\r\n"] {
        show(&mut chunked, flight.as_bytes());
    }
    let mut octets = vec![b'x'; 64 * 1024];
    octets[70..72].copy_from_slice(b"\r\n");
    show(&mut chunked, b"BDAT 2\r\n\r\n");
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let mut came = 0;
    for _ in 0..1024 {
        show(&mut chunked, b"BDAT 1048576\r\n");
        came += (0..16).map(|_| show(&mut chunked, &octets).0).sum::<usize>();
    }
    assert_eq!(came, 1 << 30);
    assert_eq!(show(&mut chunked, b"BDAT 0 LAST\r\nQUIT\r\n"), (0, true));
    let used = ALLOCATOR.peak_usage() - before;
    assert!(used < 256 * 1024, "{used} bytes for a message in chunks");

    // One that is far too large is eaten in the same way.
    let mut refused = session(ServerConfig::new("mx.example"));
    let (mut shown, _) = show(&mut refused, b"\r\n");
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    for _ in 0..(100 * MIB).div_ceil(piece.len()) {
        shown += show(&mut refused, &piece).0;
    }
    assert_eq!(shown, 52_428_800);
    let used = ALLOCATOR.peak_usage() - before;
    assert!(used < 16 * 1024, "{used} bytes for a message that is too large");

    // A line without an end, until the session loses patience.
    let mut endless = ServerSession::new(Arc::new(ServerConfig::new("mx.example")), Peer::default());
    show(&mut endless, b"");
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let mut eaten = 0;
    while !show(&mut endless, &[b'x'; 2048]).1 {
        eaten += 2048;
        assert!(eaten <= 64 * 1024, "{eaten} octets of a line were taken");
    }
    let used = ALLOCATOR.peak_usage() - before;
    assert!(used < 16 * 1024, "{used} bytes for a line without an end");

    // Very many recipients: they are counted, not kept.
    let mut config = ServerConfig::new("mx.example");
    config.limits.recipients_max = 1000;
    let mut many = ServerSession::new(Arc::new(config), Peer::default());
    for flight in ["", "EHLO c.example\r\n", "MAIL FROM:<a@c.example>\r\n"] {
        show(&mut many, flight.as_bytes());
    }
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    for _ in 0..100_000 {
        show(&mut many, b"RCPT TO:<joe@mx.example>\r\n");
    }
    let used = ALLOCATOR.peak_usage() - before;
    assert!(used < 16 * 1024, "{used} bytes for recipients");

    // A caller that never gets rid of the last octet, as one whose socket is always full.
    let mut clogged = ServerSession::new(Arc::new(ServerConfig::new("mx.example")), Peer::default());
    for flight in ["", "EHLO c.example\r\n", "MAIL FROM:<a@c.example>\r\n"] {
        show(&mut clogged, flight.as_bytes());
    }
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    for _ in 0..100_000 {
        let mut unread = &b"RCPT TO:<joe@mx.example>\r\n"[..];
        while let Step::Event(event) = clogged.poll(Time::ZERO, &mut unread) {
            if let Event::Rcpt(_) = event {
                clogged.answer(Time::ZERO, Answer::Accept).unwrap();
            }
        }
        clogged.consume_output(Time::ZERO, clogged.output().len() - 1);
    }
    let used = ALLOCATOR.peak_usage() - before;
    assert!(used < 16 * 1024, "{used} bytes for output that was sent");

    // Logins that break off at each of their steps, the last ones with the credentials unjudged.
    let mut config = ServerConfig::new("mx.example");
    config.auth_without_tls = true;
    config.mechanisms =
        ["PLAIN", "LOGIN", "SCRAM-SHA-256", "OAUTHBEARER"].map(|it| Mechanism::parse(it).unwrap()).to_vec();
    let config = Arc::new(config);
    let break_off = |flights: &[&str]| {
        let mut session = ServerSession::new(Arc::clone(&config), Peer::default());
        for flight in ["", "EHLO c.example\r\n"].iter().chain(flights) {
            let mut unread = flight.as_bytes();
            while let Step::Event(event) = session.poll(Time::ZERO, &mut unread) {
                match event {
                    Event::Connect | Event::Hello(_) => session.answer(Time::ZERO, Answer::Accept).unwrap(),
                    Event::Login { .. } | Event::ScramKeys { .. } => return true,
                    event => panic!("{event:?}"),
                }
            }
            session.consume_output(Time::ZERO, usize::MAX);
        }
        false
    };
    let steps: [(&[&str], bool); 7] = [
        (&["AUTH PLAIN\r\n"], false),
        (&["AUTH PLAIN\r\n", "AGpvZQBodW50ZXIy\r\n"], true),
        (&["AUTH LOGIN\r\n"], false),
        (&["AUTH LOGIN\r\n", "am9l\r\n"], false),
        (&["AUTH LOGIN\r\n", "am9l\r\n", "aHVudGVyMg==\r\n"], true),
        (&["AUTH SCRAM-SHA-256 biwsbj1qb2Uscj1hYmM=\r\n"], true),
        (&["AUTH OAUTHBEARER biwsAWF1dGg9QmVhcmVyIHgBAQ==\r\n"], true),
    ];
    let before = ALLOCATOR.current_usage();
    for _ in 0..15_000 {
        for (flights, asked) in steps {
            assert_eq!(break_off(flights), asked, "{flights:?}");
        }
    }
    assert_eq!(ALLOCATOR.current_usage(), before, "octets are left of logins that broke off");

    // An idle session.
    let config = Arc::new(ServerConfig::new("mx.example"));
    let before = ALLOCATOR.current_usage();
    let idle: Vec<ServerSession> = (0..1000)
        .map(|_| {
            let mut session = ServerSession::new(config.clone(), Peer::default());
            show(&mut session, b"");
            show(&mut session, b"EHLO c.example\r\n");
            session
        })
        .collect();
    let each = (ALLOCATOR.current_usage() - before) / idle.len();
    assert!(each <= 1024, "{each} bytes for an idle session");
}
