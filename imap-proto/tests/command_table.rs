//! The command table keeps the rules of the RFCs, and is what the documentation says.

use pillarbox_imap::command::{COMMANDS, States, row_of};

#[test]
fn expunge_is_withheld_where_numbers_are_at_stake() {
    // RFC 9051 §7.5.1, RFC 5256 §3
    for name in ["FETCH", "STORE", "SEARCH", "SORT", "THREAD"] {
        let row = row_of(name.as_bytes()).unwrap();
        assert!(row.uses_seqs && !row.may_expunge, "{name}");
        let by_uid = row_of(format!("UID {name}").as_bytes()).unwrap();
        assert!(!by_uid.uses_seqs && by_uid.may_expunge, "UID {name}");
    }
    let withhold = COMMANDS.iter().filter(|row| !row.may_expunge && !row.changes_selection);
    let withhold: Vec<_> = withhold.filter(|row| row.states != States::NotAuthenticated).map(|row| row.name).collect();
    assert_eq!(withhold, ["COMPRESS", "FETCH", "LOGOUT", "SEARCH", "SORT", "STORE", "THREAD", "UNAUTHENTICATE"]);
}

#[test]
fn names_are_in_order_and_in_capitals() {
    assert!(COMMANDS.windows(2).all(|pair| pair[0].name < pair[1].name));
    assert!(COMMANDS.iter().all(|row| row.name.bytes().all(|b| b.is_ascii_uppercase() || b == b' ')));
}

#[test]
fn selections_change_where_they_may() {
    let changes: Vec<_> = COMMANDS.iter().filter(|row| row.changes_selection).map(|row| row.name).collect();
    assert_eq!(changes, ["CLOSE", "EXAMINE", "SELECT", "UNSELECT"]);
}

/// The table on the crate's page is this table.
#[test]
fn the_documentation_shows_the_table() {
    let page = include_str!("../src/lib.rs");
    let yes = |is: bool| if is { "yes" } else { "" };
    for row in COMMANDS {
        let states = match row.states {
            States::Any => "any",
            States::NotAuthenticated => "not authenticated",
            States::Authenticated => "authenticated",
            States::Selected => "selected",
        };
        let line = format!(
            "//! | {} | {states} | {} | {} | {} |",
            row.name,
            yes(row.uses_seqs),
            yes(row.may_expunge),
            yes(row.changes_selection)
        );
        assert!(page.contains(&line), "not on the page:\n{line}");
    }
}
