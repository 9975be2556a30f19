//! What a failed play looks like.

use std::fmt;

use super::Mode;

/// Why a dialog file could not be read or did not go as it says. Prints as a report of several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The name of the file.
    pub name: String,
    /// The line, counted from 1.
    pub line: usize,
    /// How it was played; `None` if it could not be read.
    pub mode: Option<Mode>,
    /// What is wrong, in one sentence.
    pub why: String,
    details: Option<Box<Details>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Details {
    /// The last lines that were exchanged before.
    pub(super) before: Vec<String>,
    /// The lines of the file, and what happened.
    pub(super) expected: Vec<String>,
    pub(super) got: Vec<String>,
}

impl Failure {
    pub(super) fn new(name: &str, line: usize, why: String) -> Self {
        Failure { name: name.into(), line, mode: None, why, details: None }
    }

    pub(super) fn with(mut self, mode: Option<Mode>, details: Details) -> Self {
        self.mode = mode;
        self.details = Some(Box::new(details));
        self
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.name, self.line, self.why)?;
        if let Some(mode) = self.mode {
            write!(f, " (played {mode})")?;
        }
        let Some(details) = &self.details else { return Ok(()) };
        for line in &details.before {
            write!(f, "\n    {}", cut(line, 2 * WIDTH))?;
        }
        let heading = |text: &str| format!("-- {text} {}", "-".repeat(WIDTH - 4 - text.len()));
        write!(f, "\n  {}   {}", heading("the file"), heading("what happened"))?;
        for (expected, got) in aligned(&details.expected, &details.got) {
            let mark = if expected == got { ' ' } else { '|' };
            let (expected, got) = (expected.unwrap_or_default(), got.unwrap_or_default());
            let row = format!("  {:<WIDTH$} {mark} {}", cut(expected, WIDTH), cut(got, WIDTH));
            write!(f, "\n{}", row.trim_end())?;
        }
        Ok(())
    }
}

const WIDTH: usize = 58;

/// The beginning of a line that is too long to show.
fn cut(line: &str, width: usize) -> String {
    if line.chars().count() <= width {
        return line.into();
    }
    line.chars().take(width - 1).chain(['…']).collect()
}

/// Puts equal lines side by side: the longest common subsequence, and the rest around it.
fn aligned<'l>(left: &'l [String], right: &'l [String]) -> Vec<(Option<&'l str>, Option<&'l str>)> {
    // The table is quadratic; a report longer than this is read from its beginning anyway.
    const LINES_MAX: usize = 400;
    let (left, right) = (&left[..left.len().min(LINES_MAX)], &right[..right.len().min(LINES_MAX)]);
    let mut common = vec![vec![0usize; right.len() + 1]; left.len() + 1];
    for (i, a) in left.iter().enumerate().rev() {
        for (j, b) in right.iter().enumerate().rev() {
            common[i][j] = if a == b { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let mut rows = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        let both = i < left.len() && j < right.len();
        if both && left[i] == right[j] {
            rows.push((Some(left[i].as_str()), Some(right[j].as_str())));
            (i, j) = (i + 1, j + 1);
        } else if both && common[i + 1][j + 1] == common[i][j] {
            // Neither line has a partner: they differ side by side.
            rows.push((Some(left[i].as_str()), Some(right[j].as_str())));
            (i, j) = (i + 1, j + 1);
        } else if j >= right.len() || i < left.len() && common[i + 1][j] >= common[i][j + 1] {
            rows.push((Some(left[i].as_str()), None));
            i += 1;
        } else {
            rows.push((None, Some(right[j].as_str())));
            j += 1;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_lines_stand_side_by_side() {
        let lines = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        let (left, right) = (lines("a b c d"), lines("a x c e d"));
        let rows = aligned(&left, &right);
        let expected = [
            (Some("a"), Some("a")),
            (Some("b"), Some("x")),
            (Some("c"), Some("c")),
            (None, Some("e")),
            (Some("d"), Some("d")),
        ];
        assert_eq!(rows, expected);
    }
}
