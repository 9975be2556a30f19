//! Published test suites, which are not part of this repository.

use std::path::PathBuf;

/// Reads a suite from the folder that the variable `PILLARBOX_SHARED` names; `None`, with a line that says so, if it is unset.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn suite(path: &str) -> Option<serde_json::Value> {
    let Some(folder) = std::env::var_os("PILLARBOX_SHARED") else {
        eprintln!("skipped: PILLARBOX_SHARED is not set, so conformance/{path} is not read");
        return None;
    };
    let file = PathBuf::from(folder).join("conformance").join(path);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
}

/// The text under a key.
pub(crate) fn text<'v>(value: &'v serde_json::Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no text under {key:?} in {value}"))
}
