//! The page about what the queue withstands names tests that are there.

use std::path::Path;

#[test]
fn every_test_that_it_names_is_there() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = crate_folder.parent().unwrap();
    let page = std::fs::read_to_string(root.join("docs/security/queue.md")).unwrap();
    let mut named = 0;
    for name in page.split('`').skip(1).step_by(2) {
        let Some((file, function)) = name.split_once("::") else { continue };
        let folder = if file.starts_with("tests/") || file.starts_with("src/") { crate_folder } else { root };
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(text.contains(&format!("fn {function}(")), "{name}");
        named += 1;
    }
    assert!(named > 40, "{named}");
}
