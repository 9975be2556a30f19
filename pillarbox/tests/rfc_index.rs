//! Holds the sources to `docs/rfc-index.tsv`: every RFC that a source cites is listed there, every RFC that is listed as
//! supported is cited by the crate that supports it, and the tables in the READMEs say what the index says.
//!
//! `UPDATE_TABLES=1 cargo test -p pillarbox --test rfc_index` writes the tables anew. The test looks at the whole
//! repository; in a published crate, where that is absent, it has nothing to look at.

#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// One line of the index.
struct Row {
    number: u32,
    title: String,
    status: String,
    crates: Vec<String>,
    remark: String,
}

fn root() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    root.join("docs/rfc-index.tsv").exists().then(|| root.to_owned())
}

fn index(root: &Path) -> Vec<Row> {
    let text = std::fs::read_to_string(root.join("docs/rfc-index.tsv")).expect("docs/rfc-index.tsv is readable");
    let mut rows: Vec<Row> = Vec::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        let place = format!("docs/rfc-index.tsv:{}", number + 1);
        let cells: Vec<&str> = line.split('\t').collect();
        let [rfc, title, status, crates, remark] = cells[..] else { panic!("{place}: {} cells, not 5", cells.len()) };
        let row = Row {
            number: rfc.parse().unwrap_or_else(|_| panic!("{place}: `{rfc}` is no number")),
            title: title.to_owned(),
            status: status.to_owned(),
            crates: crates.split(' ').filter(|c| !c.is_empty()).map(str::to_owned).collect(),
            remark: remark.to_owned(),
        };
        assert!(
            matches!(status, "yes" | "partial" | "no"),
            "{place}: the status is yes, partial or no, not `{status}`"
        );
        assert_eq!(
            row.crates.is_empty(),
            status == "no",
            "{place}: a crate stands there exactly if the status is not no"
        );
        assert!(rows.last().is_none_or(|last| last.number < row.number), "{place}: the numbers must rise");
        rows.push(row);
    }
    rows
}

/// The folder of each package of the family.
const FOLDERS: [(&str, &str); 9] = [
    ("pillarbox-core", "mailcore"),
    ("pillarbox-smtp", "smtp-proto"),
    ("pillarbox-lmtp", "lmtp-proto"),
    ("pillarbox-imap", "imap-proto"),
    ("pillarbox-auth", "mailauth"),
    ("pillarbox-fs", "mailfs"),
    ("pillarbox-maildir", "maildir"),
    ("pillarbox-spool", "spool"),
    ("pillarbox", "pillarbox"),
];

fn files(folder: &Path, endings: &[&str], found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            files(&path, endings, found);
        } else if path.extension().is_some_and(|ending| endings.iter().any(|e| ending == *e)) {
            found.push(path);
        }
    }
}

/// The numbers behind `RFC ` in a text.
fn citations(text: &str) -> BTreeSet<u32> {
    let mut numbers = BTreeSet::new();
    for (at, _) in text.match_indices("RFC ") {
        let digits: String = text[at + 4..].chars().take_while(char::is_ascii_digit).collect();
        numbers.extend(digits.parse::<u32>());
    }
    numbers
}

#[test]
fn every_citation_is_listed_and_every_support_is_cited() {
    let Some(root) = root() else { return println!("skipped: this is not the repository") };
    let rows = index(&root);
    let listed: BTreeSet<u32> = rows.iter().map(|row| row.number).collect();
    let mut wrong = Vec::new();
    let mut cited_by: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    let folders = FOLDERS.iter().copied().chain([("examples", "examples"), ("docs", "docs"), ("fuzz", "fuzz")]);
    for (package, folder) in folders {
        let mut paths = Vec::new();
        files(&root.join(folder), &["rs", "dialog", "md"], &mut paths);
        for path in paths {
            let numbers = citations(&std::fs::read_to_string(&path).unwrap_or_default());
            for number in numbers.difference(&listed) {
                wrong.push(format!("{} cites RFC {number}, which the index does not list", path.display()));
            }
            cited_by.entry(package).or_default().extend(numbers);
        }
    }
    let cited: usize = cited_by.values().map(BTreeSet::len).sum();
    assert!(cited > 50, "only {cited} citations were found: the walk is broken");
    for row in &rows {
        for package in &row.crates {
            if !FOLDERS.iter().any(|(name, _)| name == package) {
                wrong.push(format!("RFC {} is listed for `{package}`, which is no package", row.number));
            } else if !cited_by.get(package.as_str()).is_some_and(|numbers| numbers.contains(&row.number)) {
                wrong.push(format!("RFC {} is listed for {package}, which never cites it", row.number));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_tables_in_the_readmes_say_what_the_index_says() {
    let Some(root) = root() else { return println!("skipped: this is not the repository") };
    let rows = index(&root);
    let mut wrong = Vec::new();
    let mut tables = 0;
    for (package, folder) in FOLDERS {
        let path = root.join(folder).join("README.md");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let begin = format!("<!-- rfc-index: {package} -->\n");
        let Some(start) = text.find(&begin).map(|at| at + begin.len()) else { continue };
        tables += 1;
        let end = start + text[start..].find("<!-- end -->").expect("a table ends with <!-- end -->");
        let mut table = String::from("| RFC | title | status | remark |\n|---|---|---|---|\n");
        for row in rows.iter().filter(|row| row.crates.iter().any(|name| name == package)) {
            table.push_str(&format!("| {} | {} | {} | {} |\n", row.number, row.title, row.status, row.remark));
        }
        if text[start..end] != table {
            if std::env::var_os("UPDATE_TABLES").is_some() {
                std::fs::write(&path, format!("{}{table}{}", &text[..start], &text[end..]))
                    .expect("the README is writable");
            } else {
                wrong.push(format!(
                    "{}: the table differs from the index (UPDATE_TABLES=1 writes it anew)",
                    path.display()
                ));
            }
        }
    }
    assert!(tables > 0, "no README has a table");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
