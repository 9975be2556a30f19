//! What every state says to every command: each cell of the table in the documentation of the session is played.
//!
//! With `UPDATE_TABLES=1` the table is written anew; read what changed.

use std::fmt::Write as _;
use std::sync::Arc;

use pillarbox_core::sasl::Mechanism;
use pillarbox_core::{Reply, Step, Time};
use pillarbox_smtp::server::{Answer, Event, Identity, Peer, ServerConfig, ServerSession};

/// The states in which lines are read, and the flights that lead to them.
const STATES: [(&str, &[&str]); 8] = [
    ("TurnedAway", &[]),
    ("Ready, no EHLO", &[]),
    ("Ready", &[EHLO]),
    ("Transaction, no recipient", &[EHLO, "MAIL FROM:<>\r\n"]),
    ("Transaction", &[EHLO, "MAIL FROM:<>\r\nRCPT TO:<u@mx.example>\r\n"]),
    ("Chunks", &[EHLO, "MAIL FROM:<>\r\nRCPT TO:<u@mx.example>\r\nBDAT 2\r\n\r\n"]),
    ("Spoilt", &[EHLO, "MAIL FROM:<>\r\nRCPT TO:<u@mx.example>\r\nBDAT 101\r\n", BIG]),
    ("Login", &[EHLO, "AUTH LOGIN\r\n"]),
];
const EHLO: &str = "EHLO c.example\r\n";
const BIG: &str = concat!(
    "QUIT\r\nQUIT\r\nQUIT\r\nQUIT\r\nQUIT\r\nQUIT\r\nQUIT\r\nQUIT\r\nQUIT\r\n",
    "QUIT\r\nQUIT\r\nQUIT\r\nQUIT\r\nQUIT\r\nQUIT\r\nQUIT\r\n12345",
);

/// The commands. What stands behind a `|` follows its line.
const COMMANDS: [&str; 21] = [
    "EHLO c.example",
    "HELO c.example",
    "LHLO c.example",
    "MAIL FROM:<>",
    "RCPT TO:<v@mx.example>",
    "DATA",
    "BDAT 6|QUIT\r\n",
    "BDAT 6 LAST|QUIT\r\n",
    "RSET",
    "NOOP",
    "VRFY joe",
    "EXPN joe",
    "HELP",
    "STARTTLS",
    "AUTH PLAIN AGEAYg==",
    "ETRN c.example",
    "XCLIENT ADDR=192.0.2.7",
    "XFORWARD ADDR=192.0.2.7",
    "TURN",
    "QUIT",
    "XFOO",
];

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/commands.md");

/// Shows a flight, says yes to everything, and gives the codes of the replies.
fn show(session: &mut ServerSession, flight: &str, turn_away: bool) -> Vec<String> {
    let mut unread = flight.as_bytes();
    while let Step::Event(event) = session.poll(Time::ZERO, &mut unread) {
        let answer = match event {
            Event::Body(_) | Event::XClient(_) | Event::XForward(_) | Event::Abandoned(_) | Event::Refused { .. } => {
                continue;
            }
            Event::Connect if turn_away => Answer::Refuse(Reply::new(554, "no")),
            Event::Login { .. } => Answer::LoggedIn(Identity("joe".into())),
            Event::Expand(_) => Answer::Refuse(Reply::enhanced(550, 5, 7, 1, "no")),
            _ => Answer::Accept,
        };
        session.answer(Time::ZERO, answer).unwrap();
    }
    let output = String::from_utf8(session.output().to_vec()).unwrap();
    session.consume_output(Time::ZERO, usize::MAX);
    output.lines().filter(|line| line.as_bytes()[3] == b' ').map(|line| line[..3].to_owned()).collect()
}

/// The reply of a fresh session in this state to this command.
fn cell(state: &(&str, &[&str]), command: &str) -> String {
    let mut config = ServerConfig::new("mx.example");
    config.starttls = true;
    config.mechanisms = vec![Mechanism::Plain, Mechanism::Login];
    config.auth_without_tls = true;
    config.etrn = true;
    config.limits.message_size_max = 100;
    let mut peer = Peer::default();
    (peer.may_xclient, peer.may_xforward) = (true, true);
    let mut session = ServerSession::new(Arc::new(config), peer);
    show(&mut session, "", state.0 == "TurnedAway");
    for flight in state.1 {
        show(&mut session, flight, false);
    }
    let (line, octets) = command.split_once('|').unwrap_or((command, ""));
    let octets = if state.0 == "Login" { "" } else { octets };
    let replies = show(&mut session, &format!("{line}\r\n{octets}"), false);
    assert_eq!(replies.len(), 1, "{command} in {}: {replies:?}", state.0);
    // Whatever was said, a session that is not over has found the end of it.
    if session.close_reason().is_none() && !matches!(&*replies[0], "220" | "354") {
        assert_eq!(show(&mut session, "NOOP\r\n", false).len(), 1, "behind {command} in {}", state.0);
    }
    replies[0].clone()
}

#[test]
fn every_cell() {
    let mut table = String::from("| command |");
    for (name, _) in STATES {
        write!(table, " {name} |").unwrap();
    }
    table.push_str(&format!("\n|---{}|\n", "|---".repeat(STATES.len())));
    for command in COMMANDS {
        write!(table, "| {} |", command.split(['|', ':']).next().unwrap().trim_end_matches(" c.example")).unwrap();
        for state in &STATES {
            write!(table, " {} |", cell(state, command)).unwrap();
        }
        table.push('\n');
    }
    if std::env::var_os("UPDATE_TABLES").is_some() {
        std::fs::write(TABLE, &table).unwrap();
    }
    assert_eq!(std::fs::read_to_string(TABLE).unwrap(), table);
}
