//! What an answer tells and what patterns for it want, drawn together until words, quotes and order no longer matter.

pub(crate) mod session;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex_lite::Regex;

/// Where the scripts are; none if they are not at hand.
pub(crate) fn material(below: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("PILLARBOX_SHARED").map(PathBuf::from);
    if folder.is_none() {
        println!("skipped: PILLARBOX_SHARED is not set");
    }
    Some(folder?.join("conformance/imap/james-mpt").join(below))
}

/// The names of the scripts of a folder, in order.
pub(crate) fn scripts(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// What an answer tells, without its words. Lines of literals are lines like all others.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// `OK`, `NO`, `BAD`, or `+`.
    condition: String,
    /// Flags by sequence number; none if any will do.
    flags: BTreeMap<u32, Option<Vec<String>>>,
    /// The UIDs of messages, as far as they were told.
    uids: BTreeMap<u32, String>,
    /// Messages that are gone, by the numbers that they had before the command.
    expunged: Vec<u32>,
    /// Everything else, in no order.
    lines: Vec<String>,
}

/// Lines of which neither says anything that the other must say too: \Recent is told at selection only, mailbox ids and
/// mod-sequences are of extensions, which flags can be kept is the store's affair, and the rest is words.
fn is_beside_the_point(line: &str) -> bool {
    let beside = [
        "RECENT",
        "[MAILBOXID",
        "[HIGHESTMODSEQ",
        "* FLAGS",
        "[PERMANENTFLAGS",
        "[CLOSED",
        "* CAPABILITY",
        "* BYE",
        "[COPYUID",
        "[URLMECH",
    ];
    beside.iter().any(|word| line.contains(word)) || line.starts_with("* OK ") && !line.contains('[')
}

impl Told {
    /// Reads lines of an answer, or patterns for such lines, which are regular expressions.
    fn read<'l>(lines: impl Iterator<Item = &'l str>, tag: &str) -> Told {
        let (mut told, tag) = (Told::default(), tag.to_ascii_uppercase());
        for line in lines {
            let line = unescaped(line);
            if let Some(rest) = line.strip_prefix(&format!("{tag} ")).filter(|_| !tag.is_empty()) {
                told.condition = rest.split(' ').next().unwrap_or_default().to_owned();
            } else if line.starts_with('+') {
                told.condition = "+".into();
            } else if line.starts_with("* BAD") {
                told.condition = "BAD".into();
            } else if !is_beside_the_point(&line) && !line.is_empty() {
                told.untagged(&line);
            }
        }
        told.expunged.sort_unstable();
        // Of a section that there is not James tells an empty literal, and we NIL (RFC 9051 §7.5.2).
        while let Some(at) = told.lines.iter().position(|line| line.ends_with("] {0}")) {
            told.lines[at] = told.lines[at].replace("{0}", "NIL)");
            told.lines.remove(at + 1);
        }
        told
    }

    fn untagged(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = words.get(1).and_then(|word| word.parse().ok());
        match (number, words.get(2)) {
            (Some(number), Some(&"EXPUNGE")) => {
                // The order in which a server tells them is its own.
                let mut before: u32 = number;
                self.expunged.sort_unstable();
                for gone in &self.expunged {
                    before += u32::from(*gone <= before);
                }
                self.expunged.push(before);
            }
            (Some(number), Some(&"FETCH")) => {
                let mut rest = line.to_owned();
                if rest.ends_with("FETCH .*") {
                    // Whatever it is.
                    self.flags.insert(number, None);
                    return;
                }
                if let Some((flags, without)) = taken(&rest, "FLAGS (", ')') {
                    let any = flags.contains(".*") || flags.contains(".+");
                    let mut flags: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
                    flags.sort();
                    self.flags.insert(number, (!any).then_some(flags));
                    rest = without;
                }
                if let Some((uid, without)) = taken(&rest, "UID ", ' ').or(taken(&rest, "UID ", ')')) {
                    self.uids.insert(number, uid);
                    rest = if without.contains('(') && !without.contains(')') && !rest.ends_with('}') {
                        without + ")"
                    } else {
                        without
                    };
                }
                let rest = rest.replace(" )", ")");
                if !rest.ends_with("FETCH ()") && !rest.ends_with("FETCH (") {
                    self.lines.push(rest);
                }
            }
            // The words behind a response code are anybody's, and so is the number of a mailbox.
            _ if line.starts_with("* OK [UIDVALIDITY") => {}
            _ if line.starts_with("* OK [") => {
                self.lines.push(line[..line.find(']').unwrap_or(line.len() - 1) + 1].to_owned());
            }
            _ => self.lines.push(line.to_owned()),
        }
    }
}

/// What stands behind a word up to its end, and the line without both.
fn taken(line: &str, word: &str, end: char) -> Option<(String, String)> {
    let start = line.find(word)?;
    let rest = &line[start + word.len()..];
    let at = rest.find(end)?;
    if end == ' ' && rest[..at].contains(')') {
        return None;
    }
    let without = format!("{}{}", &line[..start], rest[at + 1..].trim_start());
    Some((rest[..at].to_owned(), without))
}

/// A line, or a pattern for one, drawn together: in capitals, without quotes, escapes and \Recent. Of an expression's own
/// escapes `\d` and `\w` stay, as [`DIGIT`] and [`LETTER`].
fn unescaped(line: &str) -> String {
    let line =
        line.replace("\\\"", "").replace("\\\\", "\\").replace("\\Recent", "").replace("\\r", "").replace('"', "");
    let line = line.replace("\\d", DIGIT).replace("\\w", LETTER).replace('\\', "");
    let plain = line.split_whitespace().collect::<Vec<_>>().join(" ");
    plain.replace("( ", "(").replace(" )", ")").to_ascii_uppercase()
}

const DIGIT: &str = "\u{1}";
const LETTER: &str = "\u{2}";

/// Whether a line is what a pattern describes, or one of the alternatives in it.
fn fits(pattern: &str, line: &str) -> bool {
    alternatives(pattern).iter().any(|pattern| fits_one(pattern, line))
}

/// A pattern with each of the alternatives that it has in parentheses within parentheses, or as a whole.
fn alternatives(pattern: &str) -> Vec<String> {
    if let Some((before, rest)) = pattern.split_once("((")
        && let Some(inner) = rest.strip_suffix("))")
        && inner.contains('|')
    {
        return inner.split('|').map(|inner| format!("{before}({inner})")).collect();
    }
    let whole = pattern.split("|*").enumerate();
    whole.map(|(number, line)| if number == 0 { line.to_owned() } else { format!("*{line}") }).collect()
}

fn fits_one(pattern: &str, line: &str) -> bool {
    if pattern == line {
        return true;
    }
    // What was unescaped is escaped again, but for what only an expression has.
    let mut regex = String::from("(?i)^");
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        let special = [(".*", ".*"), (".+", ".+"), ("[^]*", ".*"), (DIGIT, "\\d+"), (LETTER, "\\w+")];
        if let Some((found, written)) = special.iter().find(|(special, _)| rest.starts_with(special)) {
            regex.push_str(written);
            // How many is not looked at.
            rest = rest[found.len()..].trim_start_matches('+');
            if rest.starts_with('{') && found.len() == 1 {
                rest = rest.split_once('}').map_or("", |(_, rest)| rest);
            }
            continue;
        }
        regex.push_str(&regex_lite::escape(&letter.to_string()));
        rest = &rest[letter.len_utf8()..];
    }
    regex.push('$');
    Regex::new(&regex).is_ok_and(|regex| regex.is_match(line))
}

/// Nothing, or what differs.
pub(crate) fn compare(patterns: &[String], answer: &str, tag: &str) -> Option<String> {
    let (wanted, told) = (Told::read(patterns.iter().map(String::as_str), tag), Told::read(answer.lines(), tag));
    if patterns == [".*"] || patterns == ["(.)*"] {
        return None;
    }
    if wanted.condition != told.condition {
        return Some(format!("{} instead of {}", told.condition, wanted.condition));
    }
    if wanted.expunged != told.expunged {
        return Some(format!("{:?} expunged instead of {:?}", told.expunged, wanted.expunged));
    }
    for (number, flags) in &wanted.flags {
        if told.flags.get(number).is_none_or(|told| flags.is_some() && flags != told) {
            return Some(format!("flags of {number}: {:?} instead of {flags:?}", told.flags.get(number)));
        }
    }
    for (number, uid) in &wanted.uids {
        if told.uids.get(number).is_none_or(|told| told != uid && uid.parse::<u32>().is_ok()) {
            return Some(format!("UID of {number}: {:?} instead of {uid}", told.uids.get(number)));
        }
    }
    let mut left = told.lines;
    for pattern in &wanted.lines {
        match left.iter().position(|line| fits(pattern, line)) {
            Some(at) => drop(left.remove(at)),
            None if pattern == ".*" || pattern == "(.)*" => {}
            None => return Some(format!("nothing like {pattern} in {left:?}")),
        }
    }
    (!left.is_empty()).then(|| format!("more than expected: {left:?}"))
}
