//! Secrets are compared in constant time only: the types have no `==`, and no source compares what is inside of them by one.

use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use pillarbox::mailcore::Secret;
use pillarbox::mailcore::sasl::{Credentials, ScramKeys};

/// Says of a type whether its values can be compared by `==`.
struct Compares<T>(PhantomData<T>);

impl<T: PartialEq> Compares<T> {
    const WITH_ITSELF: bool = true;
}

/// What is found where the constant above is not, for want of a `PartialEq`.
trait Otherwise {
    const WITH_ITSELF: bool = false;
}

impl<T> Otherwise for Compares<T> {}

#[test]
fn secrets_have_no_equality() {
    const { assert!(<Compares<String>>::WITH_ITSELF) };
    const { assert!(!<Compares<Secret<String>>>::WITH_ITSELF) };
    const { assert!(!<Compares<Secret<Vec<u8>>>>::WITH_ITSELF) };
    const { assert!(!<Compares<Secret<&str>>>::WITH_ITSELF) };
    const { assert!(!<Compares<Credentials>>::WITH_ITSELF) };
    const { assert!(!<Compares<ScramKeys>>::WITH_ITSELF) };
}

/// The Rust sources under a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.map(|entry| entry.expect("the folder is readable").path()) {
        if entry.is_dir() {
            sources(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

/// Whether a line takes a secret out and compares it in the same breath.
fn compares_a_secret(line: &str) -> bool {
    let line = line.split("//").next().unwrap_or_default();
    line.contains("expose()") && (line.contains("==") || line.contains("!="))
}

#[test]
fn no_source_compares_what_a_secret_holds() {
    assert!(
        compares_a_secret("if known.expose() == given {") && !compares_a_secret("known.same_as(given.expose()) // ==")
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package has a folder");
    let mut files = Vec::new();
    for package in fs::read_dir(root).expect("the repository is readable") {
        sources(&package.expect("the repository is readable").path().join("src"), &mut files);
    }
    assert!(!files.is_empty());
    for file in files {
        let text = fs::read_to_string(&file).expect("sources are UTF-8");
        // Tests compare what they put in themselves.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            assert!(!compares_a_secret(line), "{}:{}: use Secret::same_as", file.display(), number + 1);
        }
    }
}
