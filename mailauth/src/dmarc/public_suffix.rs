//! Organizational domains by a public suffix list: the way of RFC 7489 §3.2.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::dns::Name;

use crate::idn;

/// A public suffix list, in the format and by the algorithm of publicsuffix.org: the domains below which independent
/// organizations have theirs. It takes about 300 KB, and a look-up compares a few dozen names.
///
/// The list is the caller's to bring and to renew; none is compiled in, as it changes every week.
///
/// ```
/// use pillarbox_auth::dmarc::{PublicSuffixList, Sections};
///
/// let list = PublicSuffixList::parse("// a comment\ncom\nuk\nco.uk\n*.ck\n!www.ck\n", Sections::All)?;
/// let organization = |name: &str| list.organizational_domain(&name.parse().unwrap()).map(|name| name.to_string());
/// assert_eq!(organization("mail.Example.co.uk").as_deref(), Some("example.co.uk"));
/// assert_eq!(organization("co.uk"), None);
/// assert_eq!(organization("a.b.ck"), Some("a.b.ck".into()));
/// assert_eq!(organization("a.www.ck"), Some("www.ck".into()));
/// // What no rule speaks of is ruled by `*`.
/// assert_eq!(organization("a.b.test"), Some("b.test".into()));
/// # Ok::<(), pillarbox_auth::dmarc::PublicSuffixError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PublicSuffixList {
    /// The names of all rules behind one another.
    text: String,
    /// Sorted by name, then by kind.
    rules: Vec<Rule>,
    /// Labels of the longest rule.
    labels_max: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Rule {
    start: u32,
    length: u8,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The name is a public suffix.
    Plain,
    /// Every name one label below is.
    Wildcard,
    /// The name is none, whatever a wildcard says.
    Exception,
}

/// Which parts of a list count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Sections {
    /// All: also suffixes below which companies give names to their customers. Two of those have nothing to do with each
    /// other either.
    #[default]
    All,
    /// Only what stands before `===BEGIN PRIVATE DOMAINS===`: suffixes of registries.
    Registries,
}

/// Why a text is no public suffix list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum PublicSuffixError {
    /// A line is no rule: no domain name, or a wildcard elsewhere than in front.
    #[error("line {line} is no rule of a public suffix list")]
    Rule {
        /// Counted from 1.
        line: usize,
    },
    /// The text has no rules at all: it is something else.
    #[error("no rules")]
    Empty,
    /// 4 GiB or more.
    #[error("the list is too large")]
    TooLarge,
}

impl PublicSuffixList {
    /// Reads a list. Names beyond ASCII may stand as U-labels or as A-labels.
    ///
    /// # Errors
    ///
    /// [`PublicSuffixError`]: a list that is broken is not used in part, as what is missing would join strangers.
    pub fn parse(list: &str, sections: Sections) -> Result<Self, PublicSuffixError> {
        let mut text = String::new();
        let mut rules = Vec::new();
        let mut labels_max = 0;
        for (index, line) in list.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                if sections == Sections::Registries && line.contains("===BEGIN PRIVATE DOMAINS===") {
                    break;
                }
                continue;
            }
            // A rule ends at the first white space.
            let Some(rule) = line.split_whitespace().next() else { continue };
            let (kind, name) = match rule.strip_prefix('!') {
                Some(name) => (Kind::Exception, name),
                None => rule.strip_prefix("*.").map_or((Kind::Plain, rule), |name| (Kind::Wildcard, name)),
            };
            let wrong = PublicSuffixError::Rule { line: index + 1 };
            let name = idn::to_ascii(name).ok().and_then(|name| Name::parse(&name).ok()).ok_or(wrong)?;
            // Names of hosts, and nothing else that a name could hold.
            let is_plain = name.as_str().bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet));
            if name.is_root() || !is_plain {
                return Err(wrong);
            }
            let start = u32::try_from(text.len()).map_err(|_| PublicSuffixError::TooLarge)?;
            let length = u8::try_from(name.as_str().len()).map_err(|_| wrong)?;
            rules.push(Rule { start, length, kind });
            text.push_str(name.as_str());
            labels_max = labels_max.max(name.labels().count());
        }
        if rules.is_empty() {
            return Err(PublicSuffixError::Empty);
        }
        text.shrink_to_fit();
        rules.sort_unstable_by(|a, b| (a.name(&text), a.kind).cmp(&(b.name(&text), b.kind)));
        rules.dedup_by(|a, b| (a.name(&text), a.kind) == (b.name(&text), b.kind));
        Ok(PublicSuffixList { text, rules, labels_max })
    }

    /// The public suffix that a name ends with: the name itself, if it is one.
    pub fn public_suffix(&self, name: &Name) -> Name {
        name.suffix(self.suffix_labels(name))
    }

    /// The name one label below the public suffix; `None` if the name is a public suffix itself.
    pub fn organizational_domain(&self, name: &Name) -> Option<Name> {
        let labels = self.suffix_labels(name) + 1;
        (name.labels().count() >= labels).then(|| name.suffix(labels))
    }

    /// Number of labels of the public suffix of a name.
    fn suffix_labels(&self, name: &Name) -> usize {
        let text = name.as_str();
        let starts = text.rmatch_indices('.').map(|(dot, _)| dot + 1).chain((!name.is_root()).then_some(0));
        // A name that no rule matches is ruled by "*".
        let mut suffix = usize::from(!name.is_root());
        let mut labels_below_wildcard = None;
        for (index, start) in starts.take(self.labels_max + 1).enumerate() {
            let labels = index + 1;
            let kinds = self.kinds(&text[start..]);
            // An exception rules before all others, and its suffix has one label less.
            if kinds.exception {
                return labels - 1;
            }
            if kinds.plain || labels_below_wildcard == Some(labels) {
                suffix = labels;
            }
            if kinds.wildcard {
                labels_below_wildcard = Some(labels + 1);
            }
        }
        suffix
    }

    /// Which rules there are for exactly this name.
    fn kinds(&self, name: &str) -> Kinds {
        let first = self.rules.partition_point(|rule| rule.name(&self.text) < name);
        let rules = self.rules[first..].iter().take_while(|rule| rule.name(&self.text) == name);
        let mut kinds = Kinds::default();
        for rule in rules {
            match rule.kind {
                Kind::Plain => kinds.plain = true,
                Kind::Wildcard => kinds.wildcard = true,
                Kind::Exception => kinds.exception = true,
            }
        }
        kinds
    }
}

#[derive(Default)]
struct Kinds {
    plain: bool,
    wildcard: bool,
    exception: bool,
}

impl Rule {
    fn name(self, text: &str) -> &str {
        let start = self.start as usize;
        &text[start..start + usize::from(self.length)]
    }
}

impl fmt::Debug for PublicSuffixList {
    /// Not all of its thousands of rules.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicSuffixList").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<PublicSuffixList, PublicSuffixError> {
        PublicSuffixList::parse(text, Sections::All)
    }

    #[test]
    fn what_is_no_list() {
        assert_eq!(parse("// nothing\n\n"), Err(PublicSuffixError::Empty));
        for rule in ["<html>", "a..b", "*", "a.*.b", "*.*.a", "!*.a", "!!a", ".", "", "a@b"] {
            let expected = if rule.is_empty() { Ok(1) } else { Err(PublicSuffixError::Rule { line: 2 }) };
            assert_eq!(parse(&alloc::format!("com\n{rule}\n")).map(|list| list.rules.len()), expected, "{rule}");
        }
    }

    #[test]
    fn rules_of_each_kind() {
        let list = parse("com\ncom\n*.a.com \t not read\nb.a.com\n!c.a.com\n食狮.cn\nxn--85x722f.com.cn\r\n").unwrap();
        assert_eq!(list.rules.len(), 6);
        for (name, suffix, organization) in [
            ("com", "com", None),
            ("a.com", "com", Some("a.com")),
            ("x.a.com", "x.a.com", None),
            ("y.x.a.com", "x.a.com", Some("y.x.a.com")),
            ("b.a.com", "b.a.com", None),
            ("c.a.com", "a.com", Some("c.a.com")),
            ("d.c.a.com", "a.com", Some("c.a.com")),
            ("x.xn--85x722f.cn", "xn--85x722f.cn", Some("x.xn--85x722f.cn")),
            ("x.y.xn--85x722f.com.cn", "xn--85x722f.com.cn", Some("y.xn--85x722f.com.cn")),
            ("evilcom", "evilcom", None),
            ("x.evilcom", "evilcom", Some("x.evilcom")),
        ] {
            let name = Name::parse(name).unwrap();
            assert_eq!(list.public_suffix(&name).as_str(), suffix, "{name}");
            assert_eq!(list.organizational_domain(&name).as_ref().map(Name::as_str), organization, "{name}");
        }
        assert_eq!(list.public_suffix(&Name::root()), Name::root());
        assert_eq!(list.organizational_domain(&Name::root()), None);
    }

    #[test]
    fn the_private_section_is_a_choice() {
        let text = "com\n// ===BEGIN PRIVATE DOMAINS===\nblog.com\n";
        let name = Name::parse("a.blog.com").unwrap();
        let with = |sections| PublicSuffixList::parse(text, sections).unwrap().organizational_domain(&name);
        assert_eq!(with(Sections::All).unwrap().as_str(), "a.blog.com");
        assert_eq!(with(Sections::Registries).unwrap().as_str(), "blog.com");
    }
}
