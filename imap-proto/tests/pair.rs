//! Our client against our server over a link in memory that splits everything and breaks behind any octet; then a second
//! connection, whose mirror has to come to be what the mailbox is.

mod pair_link;

use std::collections::BTreeMap;

use pair_link::store::Store;
use pair_link::{APPENDED, Fault, OTHER, Plan, Report, Stage, connect};
use pillarbox_imap::client::Mirror;
use pillarbox_imap::types::{Flag, Flags};

fn plans() -> Vec<Plan> {
    let mut plans = Vec::new();
    for qresync in [true, false] {
        for (starttls, compress) in [(false, false), (true, false), (false, true), (true, true)] {
            plans.push(Plan { starttls, compress, qresync, piece: 1000, fault: Fault::None });
        }
    }
    plans
}

/// One connection with the fault, one without; gives what the first came to.
fn check(plan: Plan) -> Report {
    let (mut mirror, mut store) = (Mirror::default(), Store::default());
    let report = connect(plan, true, &mut mirror, &mut store);
    let (is_done, is_unsent) = (|stage| report.done.contains(&stage), |stage| report.unsent.contains(&stage));
    let kept: Vec<&[u8]> = store.messages.iter().map(|message| &message.octets[..]).collect();

    // Whole or not at all, both or none; what was told is there, what was not sent is not.
    let first = kept.first().is_some_and(|octets| *octets == APPENDED[0]);
    let second = kept.contains(&APPENDED[1]);
    assert!(kept.iter().all(|octets| [APPENDED[0], APPENDED[1], OTHER].contains(octets)), "{plan:?} {kept:?}");
    assert!(!is_done(Stage::Append) || second, "{plan:?}");
    assert!(!is_unsent(Stage::Append) || !second, "{plan:?}");
    assert!(!is_done(Stage::Expunge) || !first, "{plan:?}");
    assert!(!second || first || report.done.contains(&Stage::Idle), "one of two is kept: {plan:?}");
    if is_done(Stage::Store) && first {
        assert!(store.messages[0].flags.contains(&Flag::Deleted), "{plan:?}");
    }
    // What was fetched was fetched whole.
    for (uid, octets) in &report.fetched {
        let wanted = [&APPENDED[..], &[OTHER]].concat()[*uid as usize - 1];
        assert!(octets == wanted, "{plan:?} {}", octets.escape_ascii());
    }
    assert!(!is_done(Stage::Fetch) || report.fetched.len() == 2, "{plan:?}");

    // The mirror knows of the first connection what it knows; the second brings it up to date.
    let again = connect(Plan { fault: Fault::None, ..plan }, false, &mut mirror, &mut store);
    assert!(!again.failed && mirror.is_right(), "{plan:?} {again:?} {mirror:?}");
    let mirrored: BTreeMap<u32, Flags> =
        mirror.messages().map(|(uid, message)| (uid.get(), message.flags.clone().unwrap_or_default())).collect();
    let truth = store.messages.iter().map(|message| (message.uid.get(), message.flags.clone())).collect();
    assert_eq!(mirrored, truth, "{plan:?} {mirror:?} {report:?}");
    report
}

#[test]
fn a_link_that_works_in_pieces_of_any_size() {
    for plan in plans() {
        for piece in [1, 2, 3, 7, 50, 1000] {
            let report = check(Plan { piece, ..plan });
            assert!(!report.failed && report.done.len() == 7, "{report:?}");
            assert!(report.unsure.is_empty() && report.unsent.is_empty(), "{report:?}");
        }
    }
}

/// Breaks the link behind each octet; gives how often the client could not know what was done, and what was done at all.
fn break_after_each_octet(plan: Plan, step: usize) -> (usize, usize) {
    let whole = check(plan);
    let to_server = (0..whole.to_server).step_by(step).map(Fault::BreakToServer);
    let to_client = (0..whole.to_client).step_by(step).map(Fault::BreakToClient);
    let (mut unsure, mut done) = (0, 0);
    for fault in to_server.chain(to_client) {
        let report = check(Plan { fault, ..plan });
        unsure += usize::from(!report.unsure.is_empty());
        done += report.done.len();
    }
    (unsure, done)
}

#[test]
fn a_link_that_breaks_behind_any_octet() {
    for plan in plans() {
        // The test sees both: commands of which nobody knows, and those that were done. One layer alone: here and there will do.
        let step = if plan.starttls == plan.compress { 1 } else { 5 };
        let (unsure, done) = break_after_each_octet(plan, step);
        assert!(unsure > 20 && done > 200, "{unsure} {done} {plan:?}");
    }
}

#[test]
fn a_link_that_breaks_in_a_drip() {
    for plan in plans() {
        let (unsure, done) = break_after_each_octet(Plan { piece: 1, ..plan }, 13);
        assert!(unsure > 5 && done > 50, "{unsure} {done} {plan:?}");
    }
}
