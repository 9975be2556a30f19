//! Attacks on the author that a reader sees: what `from` and `dmarc` have to do with those in `conformance/attacks`.
//!
//! legit.example asks for all that is not its own to be refused. The attacker passes SPF and DKIM for attack.example, and
//! wants a message taken that a program shows as one of legit.example.

#![allow(clippy::print_stdout, reason = "the results are a table")]

#[path = "../../mailcore/tests/shared/mod.rs"]
mod shared;

use pillarbox_auth::dmarc::{
    Check, Config, Disposition, DkimInput, DmarcResult, Evidence, SeveralAuthors, SpfIdentity, SpfInput, Verification,
};
use pillarbox_auth::from::{Authors, FromFault};
use pillarbox_core::dns::{self, FixedZone, Name, Record};
use shared::{suite, text};

const ATTACKER: &str = "attack.example";
const VICTIM: &str = "legit.example";

/// What the authors of each attack are.
fn authors_of(id: u64) -> Result<&'static str, FromFault> {
    match id {
        // One field of the victim's: envelope and signatures are what is forged. A line that begins with white space before
        // all others is no From field to anybody.
        1..=9 | 11 | 31..=35 => Ok(VICTIM),
        // The victim stands behind a route, or beside a comment.
        18 | 28 => Ok(VICTIM),
        // The victim is nowhere but in a display name.
        25 => Ok(ATTACKER),
        30 => Ok("xn--bcher-kva.example"),
        10 | 12 | 22 => Err(FromFault::SeveralFields),
        13..=15 => Err(FromFault::FieldName),
        16 | 20 => Err(FromFault::SeveralDomains),
        23 | 24 => Ok("own.example"),
        // An encoded word is an atom without an `@`.
        17 => Err(FromFault::Syntax { at: 41 }),
        19 => Err(FromFault::Syntax { at: 22 }),
        21 | 27 | 29 => Err(FromFault::Syntax { at: 21 }),
        26 => Err(FromFault::NoMailbox),
        id => panic!("the suite has grown: {id}"),
    }
}

#[test]
fn attacks_on_the_author() {
    let Some(suite) = suite("attacks/composition.json") else { return };
    let cases = suite["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 35);
    let name = |text: &str| Name::parse(text).unwrap();
    let zone = FixedZone::new()
        .with("_dmarc.legit.example", Record::txt("v=DMARC1; p=reject"))
        .with("_dmarc.attack.example", Record::txt("v=DMARC1; p=none"));
    for case in cases {
        let id = case["id"].as_u64().unwrap();
        let about = text(case, "name");
        let lines = case["headers"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
        let header = lines.map(|line| format!("{line}\r\n")).collect::<String>() + "To: x@y\r\n\r\n";
        let authors = Authors::read(header.as_bytes(), &Default::default());
        let expected = authors_of(id);
        assert_eq!(authors.domain().map(Name::as_str), expected, "{id} {about}");

        let evidence = Evidence::new(
            Some(SpfInput::new(SpfIdentity::MailFrom, Verification::Pass, name(ATTACKER))),
            vec![DkimInput::new(Verification::Pass, name(ATTACKER))],
        );
        let run = |config: &Config| {
            let make = || {
                let mut check = Check::new(&authors, config);
                check.supply(evidence.clone());
                check
            };
            let outcomes = dns::run_in_orders(make, &zone);
            assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]), "{id}");
            (outcomes[0].result, outcomes[0].disposition)
        };
        let found = run(&Config::default());
        let wanted = match expected {
            Ok(VICTIM) => (DmarcResult::Fail, Disposition::Reject),
            Ok(ATTACKER) => (DmarcResult::Pass, Disposition::None),
            Ok(_) => (DmarcResult::None, Disposition::None),
            Err(_) => (DmarcResult::PermError, Disposition::Reject),
        };
        assert_eq!(found, wanted, "{id} {about}");
        // The other way of dealing with several authors lets none of them through either.
        let mut strictest = Config::default();
        strictest.several_authors = SeveralAuthors::StrictestPolicy;
        let found = run(&strictest);
        if header.contains(VICTIM) && expected != Ok(ATTACKER) {
            assert_eq!(found.1, Disposition::Reject, "{id} {about}");
        }
        println!("{id:2} {about}: {found:?}, {:?}", authors.domain().map(Name::as_str));
    }
}

/// RFC 6409 §6.1: who has logged in as user@own.example writes in no other name, however it is put.
#[test]
fn submission_sees_every_author() {
    let Some(suite) = suite("attacks/composition.json") else { return };
    let own = "user@own.example".parse().unwrap();
    let may_send = |header: &str| {
        let authors = Authors::read(header.as_bytes(), &Default::default());
        authors.mailboxes().is_ok_and(|mailboxes| mailboxes.iter().all(|mailbox| *mailbox == own))
    };
    for case in suite["cases"].as_array().unwrap() {
        let lines = case["headers"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
        let header = lines.map(|line| format!("{line}\r\n")).collect::<String>() + "\r\n";
        assert!(!may_send(&header), "{case}");
    }
    assert!(may_send("From: \"admin@own.example\" <user@OWN.example>\r\n\r\n"));
    assert!(may_send("From: user@own.example, \"user\"@own.example\r\n\r\n"));
}
