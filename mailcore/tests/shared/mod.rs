//! Published test suites, which are not part of this repository.

#![allow(dead_code, reason = "each test uses its part")]

use std::path::{Path, PathBuf};

/// What `tests/suites/fetch` gets; where the variable `SUITES` is set it has to be there.
const FETCHED: [&str; 8] = [
    "arc/mail-auth",
    "authres",
    "dkim/dkimpy",
    "dkim/mail-auth",
    "dmarc/psl/public_suffix_list.dat",
    "dmarc/psl/tests.txt",
    "smtp/isemail/tests.json",
    "spf",
];

/// The path of a suite: in the folder that the variable `PILLARBOX_SHARED` names, where it has to be, or else where
/// `tests/suites/fetch` put it. `None`, with a line that says so, if neither has it.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub(crate) fn path(path: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("PILLARBOX_SHARED") {
        let suite = Path::new(&folder).join("conformance").join(path);
        assert!(suite.exists(), "{} is not there", suite.display());
        return Some(suite);
    }
    let named = std::env::var_os("SUITES").map(PathBuf::from);
    let has_to_be = named.is_some() && FETCHED.iter().any(|fetched| Path::new(path).starts_with(fetched));
    let folder = named.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/suites"));
    let suite = folder.join(path);
    if suite.exists() {
        return Some(suite);
    }
    assert!(!has_to_be, "{} is not there: tests/suites/fetch gets it", suite.display());
    eprintln!("skipped: PILLARBOX_SHARED is not set and {} is not there", suite.display());
    None
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
