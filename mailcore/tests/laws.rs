//! The law kit, on a machine that keeps the laws and on ones that break one each.
#![cfg(feature = "dialog")]

mod toy;

use pillarbox_core::dialog::Config;
use pillarbox_core::laws::{Broken, Law, Options, check, check_bytes, check_order, seeds, torture};
use proptest::prelude::*;
use toy::{Fault, LINE_MAX, Toy};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogs/toy");

fn options() -> Options {
    let mut options = Options::default();
    options.max_unread = LINE_MAX;
    options.max_output = 4096;
    options
}

const FLIGHTS: [&[u8]; 6] = [
    b"HELLO me\r\n",
    b"ECHO a\r\nASK b\r\nLIST\r\nFETCH\r\nDELAY\r\nDATA\r\n",
    b"line\r\n..dot\r\na line that is longer than the buffer may be, so that it comes in pieces \r \r\r\n.\r\nECHO c\r\n",
    b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nTLS\r\n",
    b"EVER\r\nFLOOD\r\nMORE\r\nCRASH\r\nECHO d\r\n",
    b"QUIT\r\n",
];

fn checked(fault: Fault) -> Result<(), Broken> {
    check(|| Toy::new(fault), &FLIGHTS, &options())
}

#[test]
fn a_machine_that_keeps_the_laws_passes() {
    checked(Fault::None).unwrap();
    // Without the goodbye, the endings by EOF, by time and by our own stop are run.
    check(|| Toy::new(Fault::None), &FLIGHTS[..5], &options()).unwrap();
    check(|| Toy::new(Fault::None), &[], &options()).unwrap();
    let mut reversed = options();
    reversed.config = Config::of_text("reversed").unwrap();
    check(|| Toy::new(Fault::None), &FLIGHTS, &reversed).unwrap();
}

fn broken_law(fault: Fault, found: Result<(), Broken>, law: Law) {
    let broken = found.expect_err(&format!("{fault:?} passes"));
    assert_eq!(broken.law, law, "{fault:?}: {broken}");
    assert!(broken.to_string().contains(&law.to_string()), "{broken}");
}

#[test]
fn each_mutant_is_caught_by_its_law() {
    for (fault, law) in [
        (Fault::SeesTheCut, Law::SplitInvariance),
        (Fault::DropsCutBody, Law::SplitInvariance),
        (Fault::WaitsWithFullBuffer, Law::Progress),
        (Fault::EndlessEvents, Law::Progress),
        (Fault::HangsAfterEof, Law::Progress),
        (Fault::SwapsInput, Law::Progress),
        (Fault::GrowsMaxUnread, Law::Bounds),
        (Fault::FloodsOutput, Law::Bounds),
        (Fault::OutputAfterClosed, Law::Finality),
        (Fault::EventAfterClosed, Law::Finality),
        (Fault::Panics, Law::NoPanic),
        (Fault::CountsRuns, Law::Determinism),
    ] {
        let flights = match fault {
            Fault::HangsAfterEof => &FLIGHTS[..5],
            _ => &FLIGHTS[..],
        };
        broken_law(fault, check(|| Toy::new(fault), flights, &options()), law);
    }
    let stuck = check(|| Toy::new(Fault::StuckDeadline), &[b"ECHO a\r\n"], &options());
    broken_law(Fault::StuckDeadline, stuck, Law::Progress);
    let injected = check(|| Toy::new(Fault::KeepsInjectedBytes), &[b"TLS\r\nECHO a\r\n"], &options());
    broken_law(Fault::KeepsInjectedBytes, injected, Law::SplitInvariance);
}

fn replies(output: &[u8]) -> usize {
    let is_final = |line: &&[u8]| line.len() > 3 && line[0].is_ascii_digit() && line[3] == b' ';
    output.split(|b| *b == b'\n').filter(is_final).count()
}

#[test]
fn replies_come_one_by_one_and_in_order() {
    let commands: [&[u8]; 6] = [b"ECHO a\r\n", b"ASK b\r\n", b"FETCH\r\n", b"LIST\r\n", b"what\r\n", b"HELLO me\r\n"];
    let order = |fault: Fault| check_order(|| Toy::new(fault), &commands, replies, &options());
    order(Fault::None).unwrap();
    broken_law(Fault::LateReply, order(Fault::LateReply), Law::Order);
    broken_law(Fault::TwoReplies, order(Fault::TwoReplies), Law::Order);
}

#[test]
fn the_subject_is_blamed_for_what_is_its_own() {
    let unanswered = check(|| Toy::new(Fault::None), &[b"ASK me\r\n"], &options());
    broken_law(Fault::None, unanswered, Law::Subject);
    let mut unknown = options();
    unknown.config = Config::of_text("reversed=perhaps").unwrap();
    broken_law(Fault::None, check(|| Toy::new(Fault::None), &[], &unknown), Law::Subject);
}

#[test]
fn torture_starts_from_the_dialogs() {
    let mut seeds = seeds(FOLDER);
    assert!(seeds.len() >= 14, "{}", seeds.len());
    assert!(seeds.iter().any(|seed| seed.starts_with(b"HELLO me\r\nDATA\r\n")));
    // The one question without a default answer is for the player's tests.
    for seed in &mut seeds {
        *seed = String::from_utf8_lossy(seed).replace("ASK me", "ASK it").into_bytes();
    }
    torture(|| Toy::new(Fault::None), &seeds, 1500, &options()).unwrap();
    // It finds what needs a line that no dialog has.
    let found = torture(|| Toy::new(Fault::WaitsWithFullBuffer), &seeds, 1500, &options());
    let broken = found.unwrap_err();
    assert_eq!(broken.law, Law::Progress);
    assert!(broken.why.contains("input \""), "{broken}");
    let again = torture(|| Toy::new(Fault::WaitsWithFullBuffer), &seeds, 1500, &options());
    assert_eq!(again.unwrap_err(), broken);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..300)) {
        check_bytes(|| Toy::new(Fault::None), &data, &options()).unwrap();
    }

    #[test]
    fn any_commands(commands in prop::collection::vec("(ECHO|ASK|DATA|LIST|FETCH|DELAY|TLS|\\.|HELLO|[a-z.]{0,70})( [a-z.]{0,3})?\r?\n", 0..12)) {
        prop_assume!(!commands.iter().any(|command| command.contains("ASK me")));
        check_bytes(|| Toy::new(Fault::None), commands.concat().as_bytes(), &options()).unwrap();
    }
}
