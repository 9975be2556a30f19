//! The page about sending names tests that are there.

use std::fs;
use std::path::Path;

#[test]
fn every_test_that_it_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../docs/security/outbound.md")).unwrap();
    let source = |name: &str| fs::read_to_string(root.join("tests/outbound").join(name)).unwrap();
    let sources =
        ["cases.rs", "forward.rs", "https.rs", "policies.rs", "race.rs", "tls_reports.rs", "trouble.rs", "worlds.rs"]
            .map(source)
            .concat();
    let mut named = 0;
    for row in page.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let shown = row.trim_end_matches([' ', '|']).rsplit('|').next().unwrap();
        for name in shown.split(',').map(|name| name.trim().trim_matches('`')) {
            assert!(sources.contains(&format!("fn {name}(")), "{name}");
            named += 1;
        }
    }
    assert!(named > 30, "only {named}");
}
