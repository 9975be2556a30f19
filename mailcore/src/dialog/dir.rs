//! Playing all files of a folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::play::play_text;
use super::report::Failure;
use super::update::updated_text;
use super::{Mode, Subject};

/// Plays every `.dialog` file of a folder and the folders in it, sorted by path, in all modes.
///
/// With `DIALOG=substring` in the environment only the files with that in their path are played. With
/// `UPDATE_DIALOGS=1` the files are first rewritten to what the machine does.
///
/// # Panics
///
/// At the end, with all failures, if a file did not go as it says or no file was found.
pub fn play_dir<S: Subject>(folder: impl AsRef<Path>, mut subject: impl FnMut() -> S) {
    let folder = folder.as_ref();
    let updating = std::env::var("UPDATE_DIALOGS").is_ok_and(|value| value == "1");
    let filter = std::env::var("DIALOG").unwrap_or_default();
    let mut files = Vec::new();
    find(folder, &mut files);
    files.sort();
    let found = files.len();
    files.retain(|file| file.to_string_lossy().contains(&filter));
    assert!(!files.is_empty(), "no dialog to play: {found} in {}, none with DIALOG={filter}", folder.display());
    let mut failures = Vec::new();
    for file in &files {
        let name = file.strip_prefix(folder).unwrap_or(file).display().to_string();
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let played = if updating { update(file, &name, &text, &mut subject) } else { Ok(text) };
        match played.and_then(|text| play_text(&name, &text, &mut subject, &Mode::all())) {
            Ok(()) => say(&format!("ok      {name}")),
            Err(failure) => {
                say(&format!("FAILED  {name}"));
                failures.push(failure);
            }
        }
    }
    let reports: Vec<String> = failures.iter().map(ToString::to_string).collect();
    assert!(
        failures.is_empty(),
        "{} of {} dialogs in {} failed\n\n{}\n",
        failures.len(),
        files.len(),
        folder.display(),
        reports.join("\n\n")
    );
}

/// Writes what the machine does into a file; gives its new text.
fn update<S: Subject>(file: &Path, name: &str, text: &str, subject: impl FnOnce() -> S) -> Result<String, Failure> {
    let updated = updated_text(name, text, subject)?;
    if updated != text {
        fs::write(file, &updated).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        say(&format!("CHANGED {name}"));
    }
    Ok(updated)
}

/// Collects the `.dialog` files of a folder and the folders in it, in no order.
pub(crate) fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "dialog") {
            files.push(path);
        }
    }
}

#[expect(clippy::print_stdout, reason = "which file is played is what the output of a test run is for")]
fn say(line: &str) {
    println!("{line}");
}
