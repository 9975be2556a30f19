//! The page about sending names tests that are there.

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_it_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../docs/security/outbound.md")).unwrap();
    let source = |name: &str| fs::read_to_string(root.join("tests/outbound").join(name)).unwrap();
    let sources = [
        "answers.rs",
        "cases.rs",
        "connect.rs",
        "crash.rs",
        "eyeballs.rs",
        "forward.rs",
        "https.rs",
        "logins.rs",
        "policies.rs",
        "race.rs",
        "tls_failures.rs",
        "tls_reports.rs",
        "trouble.rs",
        "unread.rs",
        "worlds/mod.rs",
    ]
    .map(source)
    .concat();
    let mut named = 0;
    for row in page.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let shown = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
        for name in shown.split(',').map(|name| name.trim().trim_matches('`')) {
            let function = |name: &str| format!("fn {name}(");
            let is_there = match name.split_once("::") {
                // Of another crate, or a dialog, below the root of the repository.
                Some((file, name)) => fs::read_to_string(root.join("..").join(file)).unwrap().contains(&function(name)),
                None if name.contains('/') => root.join("..").join(name).exists(),
                None => sources.contains(&function(name)),
            };
            assert!(is_there, "{name}");
            named += 1;
        }
    }
    assert!(named > 60, "only {named}");
}
