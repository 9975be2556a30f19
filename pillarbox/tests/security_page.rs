//! The pages about what is tried against us, and what befalls us, name dialogs, tests and scripts that are there.

use std::fs;
use std::path::{Path, PathBuf};

/// The dialogs of a crate without their endings, and its sources.
#[derive(Default)]
struct Shown {
    dialogs: Vec<String>,
    sources: Vec<(PathBuf, String)>,
}

impl Shown {
    fn of(folder: &Path) -> Self {
        let mut shown = Shown::default();
        ["src", "tests"].iter().for_each(|name| shown.look(&folder.join(name)));
        shown
    }

    fn look(&mut self, folder: &Path) {
        for path in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            match path.extension().and_then(|extension| extension.to_str()) {
                None => self.look(&path),
                Some("dialog") => self.dialogs.push(path.with_extension("").to_str().unwrap().to_owned()),
                Some("rs") => self.sources.push((path.clone(), fs::read_to_string(path).unwrap())),
                Some(_) => {}
            }
        }
    }

    /// A dialog by the end of its name, or several by their folder or by how their names begin.
    fn has_dialog(&self, name: &str) -> bool {
        let begin = name.strip_suffix('*');
        self.dialogs.iter().any(|dialog| match begin {
            Some(begin) => dialog.contains(&format!("/{begin}")),
            None => dialog.ends_with(name) || dialog.contains(&format!("/{name}/")),
        })
    }

    /// `file::test`, `module::tests`, a test or a file.
    fn has_test(&self, name: &str) -> bool {
        let (file, name) = name.rsplit_once("::").unwrap_or(("", name));
        let file = file.trim_end_matches("::tests").replace("::", "/");
        self.sources.iter().filter(|(path, _)| path.to_str().unwrap().contains(&file)).any(|(path, text)| {
            text.contains(&format!("fn {name}("))
                || text.contains(&format!("mod {name} {{"))
                || path.ends_with(format!("{name}.rs"))
        })
    }
}

#[test]
fn everything_that_it_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("docs/security/smtp.md")).unwrap();
    let cases = page.split("## Measured").next().unwrap();
    let smtp = Shown::of(&root.join("smtp-proto"));
    let mut named = 0;
    for part in cases.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split([';', '|'])) {
        let mut of = None;
        for name in part.split('`').skip(1).step_by(2) {
            if let Some(folder) =
                [root, &root.join("examples")].map(|at| at.join(name)).into_iter().find(|at| at.is_dir())
            {
                of = Some(Shown::of(&folder));
                continue;
            }
            let shown = if name.contains("dialogs/") { &smtp } else { of.as_ref().unwrap_or(&smtp) };
            assert!(shown.has_dialog(name) || shown.has_test(name), "{name} in{part}");
            named += 1;
        }
    }
    assert!(named > 150, "{named}");
}

/// `path/to/file.rs` is followed by names of functions in it; what else has a slash is a file too.
#[test]
fn everything_that_the_page_about_maildir_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("docs/security/maildir.md")).unwrap();
    let (mut files, mut functions) = (0, 0);
    for row in page.lines().filter(|line| line.starts_with('|')) {
        let cell = row.trim_end_matches('|').rsplit('|').next().unwrap();
        let mut text = None;
        for name in cell.split('`').skip(1).step_by(2) {
            if name.contains('/') {
                let path = root.join(name);
                text = fs::read_to_string(&path).ok();
                assert!(text.is_some(), "{name} in {row}");
                files += 1;
            } else {
                let file = text.as_ref().unwrap_or_else(|| panic!("{name} is in no file in {row}"));
                assert!(file.contains(&format!("fn {name}(")), "{name} in {row}");
                functions += 1;
            }
        }
    }
    assert!(files > 40 && functions > 45, "{files} files, {functions} functions");
}

/// On these pages `file::function` is a test; a file in `src` or `tests` is one of the page's crate.
#[test]
fn every_test_that_the_pages_of_one_crate_name_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (page, of, least) in [("mail-authentication.md", "mailauth", 100), ("queue.md", "spool", 40)] {
        let page = fs::read_to_string(root.join("docs/security").join(page)).unwrap();
        let mut named = 0;
        for name in page.split('`').skip(1).step_by(2) {
            let Some((file, function)) = name.split_once("::") else { continue };
            let of_crate = file.starts_with("tests/") || file.starts_with("src/");
            let folder = if of_crate { root.join(of) } else { root.to_owned() };
            let text = fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(text.contains(&format!("fn {function}(")), "{name}");
            named += 1;
        }
        assert!(named > least, "{of}: {named}");
    }
}

/// On the page about IMAP a name with `_` in it is a function or a target of fuzzing, one that ends in `.rs` a file, and one that begins with an RFC or with a
/// folder of dialogs is a dialog; all of any crate.
#[test]
fn everything_that_the_page_about_imap_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let page = fs::read_to_string(root.join("docs/security/imap.md")).unwrap();
    let mut shown = Shown::default();
    for of in ["imap-proto", "pillarbox", "maildir", "mailcore", "mailfs", "examples/mailserver"] {
        ["src", "tests"].iter().for_each(|name| shown.look(&root.join(of).join(name)));
    }
    shown.look(&root.join("fuzz/fuzz_targets"));
    let dialogs = root.join("imap-proto/tests/dialogs");
    let (mut functions, mut files, mut played) = (0, 0, 0);
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        for name in row.split('`').skip(1).step_by(2) {
            let folder = name.split_once('/').map_or("", |(folder, _)| folder);
            let is_function = name.contains('_') && name.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_'));
            if name.ends_with(".rs") {
                assert!(shown.sources.iter().any(|(path, _)| path.ends_with(name)), "{name} in {row}");
                files += 1;
            } else if is_function && row.contains(".rs`") {
                assert!(shown.has_test(name), "{name} in {row}");
                functions += 1;
            } else if !folder.is_empty() && (folder.starts_with("rfc") || dialogs.join(folder).is_dir()) {
                assert!(shown.has_dialog(name), "{name} in {row}");
                played += 1;
            }
        }
    }
    assert!(functions > 60 && files > 60 && played > 55, "{functions} functions, {files} files, {played} dialogs");
}
