//! Published test suites, which are not part of this repository.

#![allow(dead_code, reason = "each test uses its part")]

use std::path::PathBuf;

/// The path of a suite in the folder that the variable `PILLARBOX_SHARED` names; `None`, with a line that says so, if it is
/// unset.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn path(path: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("PILLARBOX_SHARED") else {
        eprintln!("skipped: PILLARBOX_SHARED is not set, so conformance/{path} is not read");
        return None;
    };
    Some(PathBuf::from(folder).join("conformance").join(path))
}

/// The octets of a file of a suite.
pub(crate) fn octets(file: &str) -> Option<Vec<u8>> {
    let file = path(file)?;
    Some(std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
}

/// The names of the files in a folder of a suite, sorted.
pub(crate) fn names(folder: &str) -> Option<Vec<String>> {
    let folder = path(folder)?;
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    Some(names)
}

/// Reads a suite.
pub(crate) fn suite(file: &str) -> Option<serde_json::Value> {
    let text = octets(file)?;
    Some(serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{file}: {error}")))
}

/// The text under a key.
pub(crate) fn text<'v>(value: &'v serde_json::Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no text under {key:?} in {value}"))
}
