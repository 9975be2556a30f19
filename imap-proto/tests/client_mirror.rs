//! What a mirror makes of what servers say, line by line.

use pillarbox_core::{Step, Time};
use pillarbox_imap::client::{
    Capabilities, ClientConfig, ClientSession, Command, Event, KnownMailbox, Message, Mirror, Status, Wanted,
};
use pillarbox_imap::types::{ModSeq, Uid, UidValidity};

/// A session whose mirror hears all that the server says.
struct Line {
    session: ClientSession,
    mirror: Mirror,
    tag: u32,
    capabilities: Capabilities,
}

impl Line {
    fn new(mirror: Mirror) -> Self {
        let mut config = ClientConfig::default();
        config.enable.clear();
        let mut line =
            Line { session: ClientSession::new(config), mirror, tag: 0, capabilities: Capabilities::default() };
        line.say(b"* PREAUTH [CAPABILITY IMAP4rev1 CONDSTORE QRESYNC] hi\r\n");
        line.capabilities = line.session.capabilities().clone();
        line
    }

    fn say(&mut self, mut text: &[u8]) -> Option<Status> {
        let mut over = None;
        loop {
            match self.session.poll(Time::ZERO, &mut text) {
                Step::Event(Event::Response(response)) => self.mirror.learn(&response),
                Step::Event(Event::Completed { status, .. }) => over = Some(status),
                Step::Event(Event::Failed(failure)) => panic!("{failure}"),
                Step::Event(_) => {}
                Step::NeedInput => return over,
                _ => panic!(),
            }
        }
    }

    /// A command, what the server says to it, and OK.
    fn run(&mut self, command: Command, told: &str) -> Status {
        self.tag += 1;
        self.session.submit(Time::ZERO, command).unwrap();
        self.session.consume_output(Time::ZERO, usize::MAX);
        self.say(format!("{told}A{} OK done\r\n", self.tag).as_bytes()).unwrap()
    }

    fn select(&mut self, known: Option<&KnownMailbox>, told: &str) {
        self.mirror.selecting(known);
        self.run(Command::select("INBOX"), told);
        self.mirror.selected(true);
    }

    /// What the mirror asks for.
    fn ask(&mut self, told: &str) {
        let command = self.mirror.command(&self.capabilities).unwrap();
        let status = self.run(command, told);
        self.mirror.completed(&status, true);
    }

    fn known(&self) -> Vec<(u32, Option<String>)> {
        let flags = |message: &pillarbox_imap::client::Message| message.flags.as_ref().map(ToString::to_string);
        self.mirror.messages().map(|(uid, message)| (uid.get(), flags(message))).collect()
    }
}

const TWO: &str = "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [HIGHESTMODSEQ 5] x\r\n";
const BOTH: &str = "* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (4))\r\n* 2 FETCH (UID 2 FLAGS () MODSEQ (5))\r\n";

/// A mirror of two messages.
fn two() -> Line {
    let mut line = Line::new(Mirror::default());
    line.select(None, TWO);
    assert_eq!(line.mirror.wanted(), Wanted::Everything);
    line.ask(BOTH);
    assert!(line.mirror.is_right());
    line
}

#[test]
fn four_billion_messages_in_a_line() {
    let mut line = two();
    line.say(b"* 4294967295 EXISTS\r\n");
    assert!(line.mirror.command(&line.capabilities).is_none() && !line.mirror.is_right());
    line.say(b"* 9 FETCH (UID 9 FLAGS ())\r\n");
    assert_eq!(line.known(), []);

    let mut line = two();
    line.select(None, &TWO.replace("2 EXISTS", "4000000 EXISTS").replace("MODSEQ 5", "MODSEQ 6"));
    assert_eq!(line.mirror.wanted(), Wanted::Uids);
    line.ask("* ESEARCH (TAG \"A3\") UID ALL 1:4294967295\r\n");
    assert_eq!((line.mirror.wanted(), line.known().len()), (Wanted::Uids, 2));
    line.select(None, &TWO.replace("2 EXISTS", "4294967295 EXISTS"));
    assert!(line.mirror.command(&line.capabilities).is_none() && !line.mirror.is_right());
    // And back.
    line.select(None, TWO);
    line.ask(BOTH);
    assert!(line.mirror.is_right());
}

#[test]
fn changes_are_asked_for_behind_the_list() {
    let mut line = two();
    line.select(None, &TWO.replace("MODSEQ 5", "MODSEQ 9"));
    line.ask("* SEARCH 1 2\r\n");
    assert!(matches!(line.mirror.wanted(), Wanted::Changes(_)), "{:?}", line.mirror);
    line.ask("* 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (9))\r\n");
    assert!(line.mirror.is_right());
    assert_eq!(line.known(), [(1, Some("(\\Seen)".into())), (2, Some("(\\Flagged)".into()))]);
}

#[test]
fn what_was_told_ahead_of_a_hole_that_closes() {
    let mut line = Line::new(Mirror::default());
    line.select(None, &TWO.replace("2 EXISTS", "3 EXISTS"));
    line.ask("* 2 FETCH (UID 2 FLAGS ())\r\n* 3 FETCH (UID 3 FLAGS ())\r\n* 1 EXPUNGE\r\n");
    line.ask("* 1 FETCH (UID 2 FLAGS ())\r\n* 2 FETCH (UID 3 FLAGS ())\r\n");
    assert!(line.mirror.is_right(), "{:?}", line.mirror);
    assert_eq!(line.known().len(), 2);
}

#[test]
fn a_first_look_that_was_not_finished() {
    let mut line = Line::new(Mirror::default());
    line.select(None, TWO);
    line.say(b"* 1 FETCH (UID 1 FLAGS (\\Seen) MODSEQ (4))\r\n");
    assert_eq!((line.mirror.known(), line.mirror.mod_seq()), (None, None));
    line.select(None, TWO);
    assert_eq!(line.mirror.wanted(), Wanted::Everything);
}

#[test]
fn a_message_without_its_flags_is_not_known() {
    let mut line = two();
    line.say(b"* 3 EXISTS\r\n* 3 FETCH (UID 3 RFC822.SIZE 12)\r\n");
    assert!(matches!(line.mirror.wanted(), Wanted::New(uid) if uid.get() == 3), "{:?}", line.mirror);
    line.ask("* 3 FETCH (UID 3 FLAGS ())\r\n");
    assert!(line.mirror.is_right());
}

#[test]
fn what_was_told_of_is_resynced_and_the_rest_asked_for() {
    let mut line = two();
    let known = line.mirror.known().unwrap();
    let told = "* 3 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [HIGHESTMODSEQ 8] x\r\n* 2 FETCH (UID 2 FLAGS (\\Draft) MODSEQ (8))\r\n";
    line.select(Some(&known), told);
    assert!(matches!(line.mirror.wanted(), Wanted::New(uid) if uid.get() == 3), "{:?}", line.mirror);
    line.ask("* 3 FETCH (UID 3 FLAGS () MODSEQ (7))\r\n");
    assert!(line.mirror.is_right());
    assert_eq!(line.known()[1..], [(2, Some("(\\Draft)".into())), (3, Some("()".into()))]);

    // More than there are messages is not held.
    let known = line.mirror.known().unwrap();
    line.select(Some(&known), &format!("{told}{}", "* 2 FETCH (UID 2 FLAGS () MODSEQ (8))\r\n".repeat(4)));
    assert_eq!(line.mirror.wanted(), Wanted::Uids);
}

#[test]
fn vanished_in_few_ranges_and_in_many() {
    for step in [1, 2] {
        let mut line = Line::new(Mirror::default());
        let told: String = (1..=400).map(|uid| format!("* {uid} FETCH (UID {uid} FLAGS ())\r\n")).collect();
        line.select(None, &TWO.replace("2 EXISTS", "400 EXISTS"));
        line.ask(&told);
        assert!(line.mirror.is_right());
        let gone: Vec<String> = (101..=300).step_by(step).map(|uid| uid.to_string()).collect();
        line.say(format!("* VANISHED {}\r\n", gone.join(",")).as_bytes());
        assert!(line.mirror.is_right(), "{step}");
        assert_eq!((line.known().len(), line.mirror.exists()), (400 - gone.len(), 400 - gone.len() as u32));
        assert!(line.known().iter().all(|(uid, _)| !gone.contains(&uid.to_string())));
        line.say(b"* VANISHED (EARLIER) 1000:4294967295\r\n");
        assert!(line.mirror.is_right());
        line.say(b"* VANISHED (EARLIER) 100\r\n");
        assert_eq!(line.mirror.wanted(), Wanted::Everything);
    }
}

/// What QRESYNC is told of two messages that have not changed.
const SAME: &str = "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\n* OK [HIGHESTMODSEQ 5] x\r\n";

#[test]
fn vanished_earlier_counts_for_what_is_known_and_where_it_was_asked() {
    // As many ranges as there is room for, of UIDs that nobody knows.
    let many: String = (1..2000u32).rev().map(|n| format!("* VANISHED (EARLIER) {}\r\n", n * 100)).collect();
    let mut line = two();
    let known = line.mirror.known().unwrap();
    line.select(
        Some(&known),
        &format!("* VANISHED (EARLIER) 2:4294967295\r\n{many}{}", SAME.replace("2 EXISTS", "1 EXISTS")),
    );
    assert!(line.mirror.is_right());
    assert_eq!(line.known(), [(1, Some("(\\Seen)".into()))]);

    // Not asked: it says nothing.
    let mut line = two();
    line.select(None, &format!("* VANISHED (EARLIER) 1:2\r\n{SAME}"));
    assert!(line.mirror.is_right());
    assert_eq!(line.known().len(), 2);

    // What came before CLOSED was of the mailbox that was selected before; a mailbox is closed once.
    let mut line = two();
    let known = line.mirror.known().unwrap();
    line.select(Some(&known), &format!("* VANISHED (EARLIER) 1:2\r\n* OK [CLOSED] x\r\n{SAME}"));
    assert!(line.mirror.is_right());
    assert_eq!(line.known().len(), 2);
    line.select(Some(&known), &format!("* OK [CLOSED] x\r\n* VANISHED (EARLIER) 1\r\n* OK [CLOSED] x\r\n{SAME}"));
    assert!(line.mirror.is_right() && line.known().len() == 2);
}

#[test]
fn what_was_told_ahead_when_the_connection_was_lost() {
    let mut line = two();
    line.say(b"* 4 EXISTS\r\n* 4 FETCH (UID 5 FLAGS () MODSEQ (7))\r\n");
    let known = line.mirror.known().unwrap();
    // Nothing is said of UID 5, which was never known: it went, and another is the third message now.
    line.select(Some(&known), &SAME.replace("2 EXISTS", "3 EXISTS").replace("MODSEQ 5", "MODSEQ 9"));
    assert!(matches!(line.mirror.wanted(), Wanted::New(uid) if uid.get() == 3), "{:?}", line.mirror);
    assert_eq!(line.known().len(), 2);
    line.ask("* 3 FETCH (UID 6 FLAGS () MODSEQ (9))\r\n");
    assert!(line.mirror.is_right());
}

#[test]
fn the_end_of_another_command_is_not_the_end_of_what_was_asked() {
    let ok = |line: &mut Line| line.run(Command::noop(), "");
    let mut line = two();
    line.select(None, &TWO.replace("MODSEQ 5", "MODSEQ 9"));
    line.ask("* SEARCH 1 2\r\n");
    // It is written, and something else is over before it goes.
    let _ = line.mirror.command(&line.capabilities).unwrap();
    let status = ok(&mut line);
    line.mirror.completed(&status, false);
    assert!(matches!(line.mirror.wanted(), Wanted::Changes(_)), "{:?}", line.mirror);
    let told = line.run(Command::noop(), "* 2 FETCH (UID 2 FLAGS (\\Flagged) MODSEQ (9))\r\n");
    line.mirror.completed(&told, true);
    assert!(line.mirror.is_right());
    assert_eq!(line.known()[1], (2, Some("(\\Flagged)".into())));
}

#[test]
fn numbers_that_another_search_finds_are_no_list() {
    let mut line = two();
    line.select(None, &TWO.replace("MODSEQ 5", "MODSEQ 9"));
    assert_eq!(line.mirror.wanted(), Wanted::Uids);
    line.run(Command::search("ALL"), "* SEARCH 1 2\r\n");
    line.run(Command::uid_search("ALL"), "* ESEARCH (TAG \"A4\") UID ALL 8:9\r\n");
    assert_eq!((line.mirror.wanted(), line.known().len()), (Wanted::Uids, 2));
    line.ask("* SEARCH 2 4\r\n");
    assert!(matches!(line.mirror.wanted(), Wanted::Changes(_)), "{:?}", line.mirror);
    assert!(line.known().iter().map(|(uid, _)| *uid).eq([2, 4]));
}

#[test]
fn a_mailbox_that_was_put_back_from_a_backup() {
    for is_resync in [false, true] {
        let mut line = two();
        let known = line.mirror.known().filter(|_| is_resync);
        line.select(known.as_ref(), &TWO.replace("MODSEQ 5", "MODSEQ 3"));
        assert_eq!((line.mirror.wanted(), line.known().len()), (Wanted::Everything, 0));
        line.ask("* 1 FETCH (UID 1 FLAGS () MODSEQ (2))\r\n* 2 FETCH (UID 2 FLAGS (\\Draft) MODSEQ (3))\r\n");
        assert!(line.mirror.is_right());
        assert_eq!(line.mirror.mod_seq().map(|mod_seq| mod_seq.get()), Some(3));
    }
}

#[test]
fn a_mod_sequence_without_flags_makes_flags_unknown() {
    let mut line = two();
    // RFC 7162 §3.1.3: what .SILENT is answered with.
    let told = line.run(Command::noop(), "* 2 FETCH (UID 2 MODSEQ (8))\r\n");
    line.mirror.completed(&told, false);
    assert_eq!(line.mirror.wanted(), Wanted::Flags);
    assert_eq!(line.known(), [(1, Some("(\\Seen)".into())), (2, None)]);
    assert_eq!(line.mirror.mod_seq().map(|mod_seq| mod_seq.get()), Some(5));
    let command = line.mirror.command(&line.capabilities).unwrap();
    assert_eq!(command, Command::uid_fetch("2", "(UID FLAGS MODSEQ)"));
    let told = line.run(command, "* 2 FETCH (UID 2 FLAGS (\\Draft) MODSEQ (8))\r\n");
    line.mirror.completed(&told, true);
    assert!(line.mirror.is_right());
    assert_eq!(line.known()[1], (2, Some("(\\Draft)".into())));
    assert_eq!(line.mirror.mod_seq().map(|mod_seq| mod_seq.get()), Some(8));

    // The one that it was told before is no news.
    line.say(b"* 2 FETCH (UID 2 MODSEQ (8))\r\n* 1 FETCH (MODSEQ (4))\r\n");
    assert!(line.mirror.is_right());
    // One that goes is not asked for, and one that is remembered without flags is.
    line.say(b"* 1 FETCH (MODSEQ (9))\r\n* 2 FETCH (MODSEQ (9))\r\n* 1 EXPUNGE\r\n* VANISHED 2\r\n");
    assert!(line.mirror.is_right() && line.mirror.exists() == 0, "{:?}", line.mirror);
    let messages = [(Uid::new(4).unwrap(), Message::default())].into_iter().collect();
    let mut line = Line::new(Mirror::restored(UidValidity::new(7).unwrap(), ModSeq::new(5), messages));
    line.select(None, &TWO.replace("2 EXISTS", "1 EXISTS"));
    assert_eq!(line.mirror.wanted(), Wanted::Flags);
    // While all is asked for, too.
    let mut line = Line::new(Mirror::default());
    line.select(None, TWO);
    line.ask(&format!("{BOTH}* 1 FETCH (MODSEQ (6))\r\n"));
    assert_eq!(line.mirror.wanted(), Wanted::Flags);
    line.ask("* 1 FETCH (UID 1 FLAGS () MODSEQ (6))\r\n");
    assert!(line.mirror.is_right());
}

#[test]
fn uids_fall_behind_one_that_has_gone() {
    let first = "* 1 FETCH (UID 1 FLAGS ())\r\n* 2 FETCH (UID 2 FLAGS ())\r\n";
    // RFC 9051 §2.3.1.1: UIDs rise, whatever has gone.
    let told: [&[u8]; 2] = [
        b"* 3 EXPUNGE\r\n* 3 EXISTS\r\n* 3 FETCH (UID 5 FLAGS ())\r\n",
        b"* 3 EXPUNGE\r\n* 4 EXISTS\r\n* 4 FETCH (UID 6 FLAGS ())\r\n* 3 FETCH (UID 11 FLAGS ())\r\n",
    ];
    for told in told {
        let mut line = Line::new(Mirror::default());
        line.select(None, &TWO.replace("2 EXISTS", "3 EXISTS"));
        line.ask(&format!("{first}* 3 FETCH (UID 10 FLAGS ())\r\n"));
        assert!(line.mirror.is_right());
        line.say(told);
        assert_eq!((line.mirror.wanted(), line.known().len()), (Wanted::Everything, 0));
    }
    let mut line = Line::new(Mirror::default());
    line.select(None, &TWO.replace("2 EXISTS", "3 EXISTS"));
    line.ask(&format!("{first}* 3 FETCH (UID 10 FLAGS ())\r\n"));
    line.say(told[0]);
    line.ask(&format!("{first}* 3 FETCH (UID 5 FLAGS ())\r\n"));
    assert!(line.mirror.is_right());
    line.say(b"* VANISHED 5\r\n");
    assert!(line.mirror.is_right());
    assert!(line.known().iter().map(|(uid, _)| *uid).eq([1, 2]));
}

#[test]
fn a_uid_that_is_told_at_two_places() {
    for told in ["* 4 FETCH (UID 2 FLAGS ())\r\n", "* 3 FETCH (UID 2 FLAGS ())\r\n"] {
        let mut line = two();
        line.say(format!("* 4 EXISTS\r\n{told}").as_bytes());
        assert_eq!((line.mirror.wanted(), line.known().len()), (Wanted::Everything, 0));
    }
    // Further on than what is known, both times.
    let mut line = two();
    line.say(b"* 6 EXISTS\r\n* 4 FETCH (UID 8 FLAGS ())\r\n* 6 FETCH (UID 8 FLAGS ())\r\n");
    assert_eq!((line.mirror.wanted(), line.known().len()), (Wanted::Everything, 0));
}

#[test]
fn nothing_is_asked_of_no_mailbox() {
    let mut line = two();
    let told = line.run(Command::noop(), "* 2 FETCH (UID 2 MODSEQ (8))\r\n");
    line.mirror.completed(&told, false);
    assert_eq!(line.mirror.wanted(), Wanted::Flags);
    line.mirror.selecting(None);
    line.mirror.selected(false);
    assert_eq!((line.mirror.wanted(), line.mirror.command(&line.capabilities)), (Wanted::Nothing, None));
    // What is not known is asked for once a mailbox is selected.
    line.select(None, TWO);
    assert_eq!(line.mirror.wanted(), Wanted::Flags);
}
