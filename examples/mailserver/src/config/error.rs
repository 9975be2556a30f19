//! Where a configuration file is wrong, why, and what would be right.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One mistake, with the place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong and how to mend it.
    pub message: String,
    /// The octets of the file that it is about.
    pub span: Range<usize>,
    /// The line holds a secret, and is not shown.
    pub is_secret: bool,
}

impl Mistake {
    pub fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Mistake { message: message.into(), span, is_secret: false }
    }

    /// The same about a line that must not come into a log.
    pub fn secret(span: Range<usize>, message: impl Into<String>) -> Self {
        Mistake { is_secret: true, ..Mistake::new(span, message) }
    }
}

/// All that is wrong with a configuration file, in the order of the file. It prints like a compiler's messages:
///
/// ```text
/// mail.toml:3:1: unknown key `hostnme`; did you mean `hostname`?
///   3 | hostnme = "mail.example.org"
///     | ^^^^^^^
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    path: PathBuf,
    text: String,
    mistakes: Vec<Mistake>,
}

impl ConfigError {
    pub fn new(path: &Path, text: &str, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.span.start);
        ConfigError { path: path.to_owned(), text: text.to_owned(), mistakes }
    }

    /// Line and column of an octet, both counted from 1; the column counts characters.
    fn place(&self, offset: usize) -> (usize, usize) {
        let before = &self.text.as_bytes()[..offset.min(self.text.len())];
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        (line, String::from_utf8_lossy(&before[line_start..]).chars().count() + 1)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.mistakes.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            let (line, column) = self.place(mistake.span.start);
            write!(f, "{}:{line}:{column}: {}", self.path.display(), mistake.message)?;
            let is_shown = |text: &&str| !mistake.is_secret && !text.trim().is_empty();
            let Some(text) = self.text.lines().nth(line - 1).filter(is_shown) else { continue };
            let (end_line, end_column) = self.place(mistake.span.end);
            let width =
                if end_line == line { end_column.saturating_sub(column) } else { text.chars().count() + 1 - column };
            let margin = line.to_string().len();
            write!(f, "\n  {line} | {text}\n  {:margin$} | {:>column$}", "", "^")?;
            write!(f, "{}", "^".repeat(width.saturating_sub(1)))?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// The known word nearest to a wrong one, if it is near enough to be a slip of the fingers.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near_enough = wrong.chars().count().max(3) / 3 + 1;
    known
        .into_iter()
        .map(|word| (distance(&wrong.to_lowercase(), word), word))
        .filter(|(distance, _)| *distance <= near_enough)
        .min()
        .map(|(_, word)| word)
}

/// How many letters must be put in, left out, changed or swapped with their neighbour to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_fingers_are_found() {
        let known = ["hostname", "domains", "mail", "accounts"];
        assert_eq!(nearest("hostnme", known), Some("hostname"));
        assert_eq!(nearest("Hostname", known), Some("hostname"));
        assert_eq!(nearest("mial", known), Some("mail"));
        assert_eq!(nearest("domain", known), Some("domains"));
        assert_eq!(nearest("relay_transport", known), None);
    }

    #[test]
    fn the_place_is_shown_under_the_line() {
        let text = "a = 1\nü = \"bad\"\n";
        let at = text.find('"').unwrap();
        let error = ConfigError::new(Path::new("m.toml"), text, vec![Mistake::new(at..at + 5, "no")]);
        assert_eq!(error.to_string(), "m.toml:2:5: no\n  2 | ü = \"bad\"\n    |     ^^^^^");
    }
}
