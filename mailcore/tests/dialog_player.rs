//! The player of dialog files, played on a toy protocol.
#![cfg(feature = "dialog")]

mod toy;

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use pillarbox_core::Machine;
use pillarbox_core::dialog::{
    Failure, Mode, Seen, Stream, Subject, Turn, parse, play_dir, play_stream, play_text, updated_text,
};
use pillarbox_core::{Step, Time};
use toy::{Event, Fault, Toy};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogs/toy");

fn play(text: &str) -> Result<(), Failure> {
    play_text("x", text, || Toy::new(Fault::None), &Mode::all())
}

#[test]
fn a_folder_plays() {
    play_dir(FOLDER, || Toy::new(Fault::None));
}

/// Every expectation is needed: changing it, dropping it, or doubling it fails, in each mode by itself.
#[test]
fn every_line_of_the_files_can_fail() {
    let mut tried = 0;
    for (name, text) in files() {
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let Some((tag, rest)) = line.split_once([':', '~']) else { continue };
            let tag = tag.trim_start_matches(|c: char| c.is_ascii_digit());
            let with = |replacement: Vec<&str>| {
                let mut changed = lines.clone();
                changed.splice(index..=index, replacement);
                changed.join("\n")
            };
            let wrong = match tag {
                "S" if rest.trim() == "..." => continue,
                "S" => line.replacen(rest, " wrong", 1),
                "E" | "closed" => line.replacen(rest, " Wrong", 1),
                "B" => line.replacen(rest, " \"wrong\"", 1),
                "wait" if rest != " closed" => line.replacen(rest, " closed", 1),
                _ => continue,
            };
            let wrong = match line.rfind('"').filter(|_| line.contains("S~")) {
                Some(end) => format!("{}!\"", &line[..end]),
                None => wrong,
            };
            for mode in [Mode::Whole, Mode::Bytes, Mode::Pipelined, Mode::Cuts(1)] {
                let changed = play_text("x", &with(vec![&wrong]), || Toy::new(Fault::None), &[mode]);
                assert!(changed.is_err(), "{name}:{} as {wrong:?} passes {mode}", index + 1);
                tried += 1;
                // Blocks take their lines in any order, and only what is asked for; `B:` and `wait:` are optional.
                let swallowed = lines.get(index + 1).is_some_and(|next| next.ends_with("S: ..."));
                if tag == "S" && !name.contains("untagged") && !swallowed || tag == "closed" {
                    let dropped = play_text("x", &with(vec![]), || Toy::new(Fault::None), &[mode]);
                    assert!(dropped.is_err(), "{name}:{} dropped passes {mode}", index + 1);
                }
                if tag == "S" && !name.contains("untagged") && !swallowed || tag == "E" {
                    let doubled = play_text("x", &with(vec![line, line]), || Toy::new(Fault::None), &[mode]);
                    assert!(doubled.is_err(), "{name}:{} twice passes {mode}", index + 1);
                }
            }
        }
    }
    assert!(tried > 300, "{tried}");
}

fn files() -> Vec<(String, String)> {
    let entries = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.display().to_string(), fs::read_to_string(path).unwrap())).collect()
}

const START: &str = "E: Connect\nS: 220 *\n";

/// The line and the reason of the failure of a file that starts with two lines of greeting.
fn failure(rest: &str) -> (usize, String) {
    let failure = play(&format!("{START}{rest}")).expect_err(rest);
    (failure.line, failure.why)
}

#[test]
fn a_wrong_expectation_names_its_line() {
    assert_eq!(failure("C: ECHO a\nE: Echo a\nS: 250 b\n"), (5, "this came instead: 250 a".into()));
    assert_eq!(failure("C: ECHO a\nE: Echo b\nS: 250 a\n"), (4, "another event came: Echo a".into()));
    assert_eq!(
        failure("C: ECHO a\nE: Echo a\nS: 250 a\nS: 250 a\n"),
        (6, "nothing came; the machine waits for input".into())
    );
    let (line, why) = failure("C: WHAT\nE: Echo a\nS: 500 *\n");
    assert_eq!((line, why.as_str()), (4, "this event did not come; the machine waits for input"));
}

#[test]
fn a_report_shows_both_columns_and_what_went_before() {
    let text = format!("{START}C: ASK one\nE: Ask one\nA: text right\nS: 250 wrong\n");
    let report = play(&text).unwrap_err().to_string();
    assert!(report.starts_with("x:6: this came instead: 250 right (played whole)\n"), "{report}");
    assert!(report.contains("\n    E: Connect\n    S: 220 toy\n"), "{report}");
    let rows: Vec<&str> = report.lines().skip_while(|line| !line.contains("-- the file")).skip(1).collect();
    let columns: Vec<Vec<&str>> = rows.iter().map(|row| row.split("  ").filter(|c| !c.is_empty()).collect()).collect();
    assert_eq!(columns[0][0], "C: ASK one");
    assert_eq!(
        columns.last().unwrap().iter().map(|c| c.trim()).collect::<Vec<_>>(),
        ["S: 250 wrong", "| S: 250 right"]
    );
}

#[test]
fn what_is_not_listed_fails() {
    assert_eq!(failure("C: FOO\n"), (3, "output that the file does not list: 500 what".into()));
    assert_eq!(failure("C: ECHO a\nS: 250 a\n"), (3, "an event that the file does not list: E: Echo a".into()));
    let (line, why) = failure("C: QUIT\nS: 221 bye\n");
    assert_eq!((line, why.as_str()), (4, "connection 1 is closed (quit), and no closed: line says so"));
    assert!(failure("C: QUIT\nS: 221 bye\nclosed: idle\n").1.contains("because: quit"));
    assert!(failure("closed: quit\n").1.contains("not closed"));
    assert_eq!(failure("C: QUIT\nS: 221 bye\nclosed: *\nC: MORE\n"), (6, "the connection is closed already".into()));
}

#[test]
fn a_missing_answer_fails() {
    let (line, why) = failure("C: ASK me\nE: Ask me\nS: 250 yes\n");
    assert_eq!((line, why.as_str()), (4, "an A: line is missing for the question: Ask me"));
    let (line, why) = failure("C: LIST\nE: List\nA: item a\nS: * a\nC: ECHO a\n");
    assert_eq!(line, 3);
    assert!(why.contains("still open"), "{why}");
}

/// A question that the file leaves open may stay so over the steps that follow, but not beyond its answer.
#[test]
fn a_question_stays_open_as_long_as_the_file_says() {
    let open = "C: ASK me\nE: Ask me\nwait: answer\nT: +1h\nC: ECHO a\n";
    play(&format!("{START}{open}stop\nS: 421 stopping\nclosed: stopped\n")).unwrap();
    play(&format!("{START}{open}A: yes\nS: 250 yes\nE: Echo a\nS: 250 a\n")).unwrap();
    let (line, why) = failure("C: LIST\nE: List\nT: +1h\nA: item a\nS: * a\nC: ECHO a\n");
    assert_eq!(line, 6);
    assert!(why.contains("still open"), "{why}");
}

/// With `side=client` the letters change places: the machine's output is expected by `C:` lines.
#[test]
fn the_machine_can_be_the_client() {
    let text = "cfg: side=client\nE: Connect\nC: 220 *\nS: ECHO a\nE: Echo a\nC: 250 a\n";
    play(text).unwrap();
    let failure = play(&text.replace("C: 250 a", "C: 250 b")).unwrap_err();
    assert_eq!((failure.line, failure.why.as_str()), (6, "this came instead: 250 a"));
    assert!(failure.to_string().contains("| C: 250 a"), "{failure}");
}

#[test]
fn an_answer_to_nothing_fails() {
    let late = play("E: Connect\nA: yes\nS: 220 *\nC: FOO\nS: 500 *\nA: yes\n").unwrap_err();
    assert_eq!((late.line, late.why.as_str()), (6, "an answer, but no question is open"));
    // The answer is taken for that to the greeting, which therefore waits.
    let late = failure("C: FOO\nS: 500 *\nA: yes\n");
    assert_eq!(late, (2, "nothing came; the machine waits for answer".into()));
    assert!(failure("C: ECHO a\nE: Echo a\nA: yes\nS: 250 a\n").1.contains("no question"));
    assert!(failure("C: ASK a\nE: Ask a\nA: yes\nA: yes\nS: 250 yes\n").1.contains("no question is open"));
    assert!(failure("C: ASK a\nE: Ask a\nA: perhaps\nS: 250 yes\n").1.contains("perhaps is no answer"));
}

#[test]
fn forbidden_output_fails() {
    let block = |never: &str| format!("{START}C: FETCH\nS: ...\nS: 250 fetched\n!S: {never}\n");
    play(&block("* 2 EXISTS")).unwrap();
    let failure = play(&block("* 1 EXISTS")).unwrap_err();
    assert_eq!((failure.line, failure.why.as_str()), (6, "this line came all the same: * 1 EXISTS"));
}

#[test]
fn unknown_settings_news_and_names_fail() {
    let reason = |text: &str| play(text).expect_err(text).to_string();
    assert!(reason(&format!("cfg: size=5\n{START}")).starts_with("x:1: cfg: nobody knows the key size"));
    assert!(reason(&format!("{START}C: ECHO $id\n")).contains("$id was not seen yet"));
    assert!(reason(&format!("{START}L: tls started\n")).contains("nobody asked for tls"));
    assert!(reason(&format!("{START}C: TLS\nS: 220 *\nL: tls started color=red\n")).contains("color is no fact"));
    assert!(reason(&format!("{START}C: TLS\nS: 220 *\nEOF\n")).contains("tls failed lost"));
    assert!(reason(&format!("{START}2S: 220 *\n")).contains("does not list: E: Connect"));
    assert!(reason("# nothing\n").contains("no line to play"));
}

#[test]
fn laws_are_watched_while_a_file_plays() {
    let broken = |fault: Fault, rest: &str| {
        let text = format!("{START}{rest}");
        play_text("x", &text, || Toy::new(fault), &Mode::all()).expect_err(rest).to_string()
    };
    assert!(broken(Fault::WaitsWithFullBuffer, "C~ \"x\"*70 \"\\r\\n\"\nS: 500 *\n").contains("law 2 (progress)"));
    assert!(broken(Fault::EndlessEvents, "cfg: events=off\nC: EVER\nS: 500 *\n").contains("law 2 (progress)"));
    assert!(broken(Fault::HangsAfterEof, "EOF\nclosed: eof\n").contains("law 2 (progress)"));
    assert!(broken(Fault::StuckDeadline, "T: +1h\nS: 421 *\nclosed: idle\n").contains("is due again"));
    assert!(
        broken(Fault::SeesTheCut, "C: ECHO a\nC: ECHO b\nE: Echo a\nE: Echo b\nS: 250 a\nS: 250 b\n")
            .contains("and more")
    );
    let injection = "C: TLS\nC: ECHO a\nS: 220 go\nwait: upgrade\n";
    assert!(broken(Fault::KeepsInjectedBytes, injection).contains("law 1 (split invariance)"));
}

/// A fault that only one way of cutting shows is found by that mode.
#[test]
fn modes_cut_as_they_say() {
    let text = "E: Connect\nS: 220 *\nC: ECHO a\nE: Echo a\nS: 250 a\nC: ECHO b\nE: Echo b\nS: 250 b\n";
    let with = |mode: Mode| play_text("x", text, || Toy::new(Fault::SeesTheCut), &[mode]);
    with(Mode::Whole).unwrap();
    with(Mode::Bytes).unwrap();
    assert!(with(Mode::Pipelined).unwrap_err().to_string().contains("(played pipelined)"));
    let data =
        "E: Connect\nS: 220 *\nC: DATA\nE: Data\nS: 354 *\nC: line\nC: .\nB: \"line\\r\\n\"\nE: Outcome\nS: 250 yes\n";
    let with = |mode: Mode| play_text("x", data, || Toy::new(Fault::DropsCutBody), &[mode]);
    with(Mode::Whole).unwrap();
    assert!(with(Mode::Bytes).is_err());
    let failed = (0..20).map(Mode::Cuts).filter_map(|mode| with(mode).err()).next().expect("a cut inside the line");
    let Some(Mode::Cuts(seed)) = failed.mode else { panic!("{failed}") };
    assert!(failed.to_string().contains(&format!("DIALOG_SEED={seed}")));
    assert_eq!(with(Mode::Cuts(seed)).unwrap_err(), failed);
    // A file that names its modes is played in no other.
    play_text("x", &format!("cfg: modes=whole,cuts\n{data}"), || Toy::new(Fault::DropsCutBody), &[Mode::Bytes])
        .unwrap();
}

#[test]
fn expectations_are_rewritten() {
    let before = "\
# A remark at the top.
E: Wrong
S: 220 *
C: ECHO a
# A remark inside.
E: Echo *
S: 251 a
C: ASK me
A: text fine
C: ASK you
S: 1
S: 250 *
C: DATA
E: Data
S: 354 *
C: line
C: .
B: \"?\"
E: Outcome
S: 250 *
C: QUIT
# The end.
";
    let after = "\
# A remark at the top.
E: Connect
S: 220 *
C: ECHO a
# A remark inside.
E: Echo *
S: 250 a
C: ASK me
E: Ask me
A: text fine
S: 250 fine
C: ASK you
E: Ask you
S: 250 *
C: DATA
E: Data
S: 354 *
C: line
C: .
B: \"line\\r\\n\"
E: Outcome
S: 250 *
C: QUIT
S: 221 bye
closed: quit
# The end.
";
    let updated = updated_text("x", before, || Toy::new(Fault::None)).unwrap();
    // An answer that stood by itself is left where it was, behind the question that it answers.
    assert_eq!(updated, after);
    play(&updated).unwrap();
    for (name, text) in files() {
        assert_eq!(updated_text(&name, &text, || Toy::new(Fault::None)).unwrap(), text, "{name}");
    }
    let unanswered = updated_text("x", &format!("{START}C: ASK me\n"), || Toy::new(Fault::None)).unwrap_err();
    assert!(unanswered.why.contains("A: line is missing"));
}

/// Not a test by itself: the folder in `TOY_DIALOGS`, for the test below.
#[test]
#[ignore = "run by folders_are_filtered_updated_and_reported with its environment"]
fn play_the_folder_of_the_environment() {
    play_dir(std::env::var("TOY_DIALOGS").unwrap(), || Toy::new(Fault::None));
}

/// Runs this test program again, since the environment of a running one is not to be changed.
fn play_folder(folder: &Path, variables: &[(&str, &str)]) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "play_the_folder_of_the_environment", "--ignored", "--nocapture"]);
    command.env_remove("UPDATE_DIALOGS").env_remove("DIALOG").env("TOY_DIALOGS", folder);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn folders_are_filtered_updated_and_reported() {
    let folder = Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("dialogs-{}", std::process::id())));
    fs::create_dir_all(folder.0.join("inner")).unwrap();
    let (done, text) = play_folder(&folder.0, &[]);
    assert!(!done && text.contains("no dialog to play: 0 in"), "{text}");

    let wrong = folder.0.join("inner/wrong.dialog");
    fs::write(&wrong, format!("{START}C: ECHO a\nE: Echo a\nS: 250 b\n")).unwrap();
    fs::write(folder.0.join("broken.dialog"), "what\n").unwrap();
    fs::write(folder.0.join("fine.dialog"), START).unwrap();
    fs::write(folder.0.join("notes.txt"), "no dialog").unwrap();
    let (done, text) = play_folder(&folder.0, &[]);
    assert!(!done && text.contains("2 of 3 dialogs in") && text.contains("ok      fine.dialog"), "{text}");
    assert!(text.contains("inner/wrong.dialog:5: this came instead: 250 a"), "{text}");
    assert!(text.contains("broken.dialog:1: not a line of a dialog: what"), "{text}");

    let (done, text) = play_folder(&folder.0, &[("DIALOG", "fine")]);
    assert!(done && !text.contains("wrong.dialog"), "{text}");
    let (done, text) = play_folder(&folder.0, &[("DIALOG", "inner"), ("UPDATE_DIALOGS", "1")]);
    assert!(done && text.contains("CHANGED inner/wrong.dialog"), "{text}");
    assert_eq!(fs::read_to_string(&wrong).unwrap(), format!("{START}C: ECHO a\nE: Echo a\nS: 250 a\n"));
    let (done, text) = play_folder(&folder.0, &[("DIALOG_SEED", "not a number"), ("DIALOG", "fine")]);
    assert!(!done && text.contains("DIALOG_SEED=not a number is no number"), "{text}");
}

/// The toy behind a stream, as a server: reading from the stream lets it work.
struct Wire {
    subject: Toy,
    machine: toy::Echo,
    answers: Vec<(String, Vec<String>)>,
    unread: Vec<u8>,
    closed: bool,
}

impl Wire {
    fn work(&mut self) {
        loop {
            let mut rest = self.unread.as_slice();
            let step = self.machine.poll(Time::ZERO, &mut rest);
            let left = rest.len();
            let question = match step {
                Step::Event(Event::Body(_)) => None,
                Step::Event(event) => match self.subject.describe(1, event) {
                    Seen::Question(text) => Some(text),
                    _ => None,
                },
                Step::Closed => {
                    self.closed = true;
                    return;
                }
                _ => return self.unread.drain(..self.unread.len() - left).for_each(drop),
            };
            self.unread.drain(..self.unread.len() - left);
            let Some(question) = question else { continue };
            let scripted = self.answers.iter().position(|(event, _)| *event == question);
            let answers = scripted.map(|at| self.answers.remove(at).1).unwrap_or_default();
            if answers.is_empty() {
                self.subject.answer_by_default(turn(&mut self.machine), &question).unwrap();
            }
            for answer in answers {
                self.subject.answer(turn(&mut self.machine), &answer).unwrap();
            }
        }
    }
}

fn turn(machine: &mut toy::Echo) -> Turn<'_, toy::Echo> {
    Turn::new(machine, 1, Time::ZERO)
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.work();
        // A few bytes at a time, so that lines arrive in pieces.
        let n = self.machine.output().len().min(buffer.len()).min(5);
        buffer[..n].copy_from_slice(&self.machine.output()[..n]);
        self.machine.consume_output(Time::ZERO, n);
        if n == 0 && !self.closed { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(n) }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unread.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Wire {
    fn end(&mut self) -> io::Result<()> {
        self.machine.handle_eof(Time::ZERO);
        Ok(())
    }

    fn start_layer(mut self: Box<Self>, layer: &str) -> io::Result<Box<dyn Stream>> {
        if layer.starts_with("tls started") {
            let facts = self.subject.layer_facts(pillarbox_core::Layer::Tls, "").map_err(io::Error::other)?;
            self.machine.upgraded(Time::ZERO, facts).map_err(io::Error::other)?;
        } else {
            self.machine.upgrade_failed(Time::ZERO, pillarbox_core::UpgradeError::Handshake);
        }
        Ok(self)
    }
}

fn over_a_stream(name: &str, text: &str) -> Result<bool, Failure> {
    let dialog = parse(name, text)?;
    let answers = dialog.answers().into_iter().map(|question| (question.event, question.answers)).collect::<Vec<_>>();
    let mut connect = |connection: usize| -> io::Result<Box<dyn Stream>> {
        let mut subject = Toy::new(Fault::None);
        let machine = subject.connect(connection, &dialog.config(connection)).map_err(io::Error::other)?;
        Ok(Box::new(Wire { subject, machine, answers: answers.clone(), unread: Vec::new(), closed: false }))
    };
    play_stream(&dialog, &mut connect)
}

#[test]
fn the_same_files_play_over_a_stream() {
    let mut played = Vec::new();
    for (name, text) in files() {
        // Each connection has a toy of its own here, which knows no names in answers and never waits for room.
        let beyond = ["two-connections", "names", "streamed"];
        if !beyond.iter().any(|beyond| name.contains(beyond)) && over_a_stream(&name, &text).unwrap() {
            played.push(name);
        }
    }
    assert!(played.len() >= 8, "{played:?}");
}

#[test]
fn a_server_that_strays_fails_over_a_stream() {
    let reason = |rest: &str| over_a_stream("x", &format!("{START}{rest}")).expect_err(rest).to_string();
    assert!(reason("C: ECHO a\nS: 250 b\n").starts_with("x:4: this came instead: 250 a"));
    assert!(reason("C: ECHO a\nS: 250 a\nS: 250 a\n").contains("nothing came within the stream's timeout"));
    assert!(reason("C: ECHO a\nC: ECHO b\nS: 250 a\nC: FOO\n").contains("x:5: output that the file does not list: "));
    assert!(reason("C: QUIT\nS: 221 bye\nS: more\n").contains("nothing came"));
    assert!(reason("C: FOO\nclosed: *\n").contains("but sends: "));
    assert!(reason("C: FETCH\nS: ...\nS: 250 fetched\n!S: * 1 EXISTS\n").contains("all the same"));
    assert!(!over_a_stream("x", "cfg: loopback=no\nC: ECHO a\nS: 250 b\n").unwrap());
    assert!(!over_a_stream("x", "C: ECHO a\nT: +1s\nS: 250 b\n").unwrap());
}
