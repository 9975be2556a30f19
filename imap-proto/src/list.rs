//! LIST: what is asked, and which of a user's names answer it (RFC 9051 §6.3.9, RFC 5258, RFC 3501 §6.3.9).

use alloc::borrow::Cow;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use crate::metadata::WantedEntries;
use crate::server::{Listed, StatusItem};
use crate::types::{ListPattern, MailboxName, SpecialUse};

/// The most octets of all patterns of one LIST with their references: each name is matched with them.
pub const PATTERNS_SIZE_MAX: usize = 1000;

/// LIST or LSUB.
///
/// A store gives every name that it knows to [`List::answer`], which knows what each selection option means; a store with
/// many names may leave out those that are no part of the answer.
///
/// ```
/// use pillarbox_imap::list::{KnownName, List};
/// use pillarbox_imap::types::MailboxName;
///
/// let name = |text| MailboxName::new(text).unwrap();
/// let mut fruit = KnownName::existing(name("Fruit/Banana"));
/// fruit.subscribed = true;
///
/// let mut list = List::new("%");
/// list.subscribed = true;
/// list.recursive = true;
/// let listed = list.answer([KnownName::existing(name("Fruit")), KnownName::existing(name("Tofu")), fruit]);
/// assert_eq!(listed.len(), 1);
/// assert_eq!(listed[0].name.as_str(), "Fruit");
/// assert!(listed[0].subscribed_below, "something below it is subscribed, and % does not reach it");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct List {
    /// The patterns, one of which a name has to match: each with the reference in front of it, decoded to UTF-8, levels
    /// parted by `/`; `*` and `%` are wildcards.
    pub patterns: Vec<String>,
    /// LSUB: subscribed names whether they exist or not, and `\Noselect` for those that only lead to one.
    pub lsub: bool,
    /// Only subscribed names, whether they exist or not.
    pub subscribed: bool,
    /// Only mailboxes with a special use (RFC 6154 §2).
    pub special_use: bool,
    /// Also names that only lead to what is selected, if no pattern reaches that (RECURSIVEMATCH).
    pub recursive: bool,
    /// `\Subscribed` is wanted of each name.
    pub tell_subscribed: bool,
    /// What STATUS would tell of each mailbox (RFC 5819), to be put into [`Listed::status`]; nothing: leave that out.
    pub status: Vec<StatusItem>,
    /// The user's rights in each mailbox (RFC 8440) are wanted in [`Listed::rights`].
    pub my_rights: bool,
    /// The annotations that are wanted of each mailbox (RFC 9590), behind it: see [`Listed::has_metadata`]. Nothing: none.
    pub metadata: WantedEntries,
    /// The client knows `\NonExistent`.
    pub extended: bool,
}

/// What ESEARCH searches (RFC 7377 §2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SearchScope {
    /// Those of the user's own into which mail may be delivered; all of the user's own where that is not known.
    Inboxes,
    /// The user's own.
    Personal,
    /// Those that the user subscribes to.
    Subscribed,
    /// This and all below it.
    Subtree(MailboxName),
    /// This and those one level below it.
    SubtreeOne(MailboxName),
    /// This one, whatever wildcards stand in its name.
    Mailbox(MailboxName),
}

impl SearchScope {
    /// Whether a mailbox is meant, which is one of the user's own or not, and subscribed to or not.
    ///
    /// ```
    /// use pillarbox_imap::list::SearchScope;
    /// use pillarbox_imap::types::MailboxName;
    ///
    /// let name = |text| MailboxName::new(text).unwrap();
    /// let scope = SearchScope::SubtreeOne(name("Lists"));
    /// assert!(scope.covers(&name("Lists"), true, false) && scope.covers(&name("Lists/Lemonade"), true, false));
    /// assert!(!scope.covers(&name("Lists/Lemonade/Old"), true, false) && !scope.covers(&name("Listsx"), true, false));
    /// ```
    pub fn covers(&self, mailbox: &MailboxName, is_own: bool, is_subscribed: bool) -> bool {
        match self {
            SearchScope::Inboxes | SearchScope::Personal => is_own,
            SearchScope::Subscribed => is_subscribed,
            SearchScope::Subtree(top) => mailbox == top || mailbox.is_below(top),
            SearchScope::SubtreeOne(top) => {
                let below = |below: &str| !below.trim_start_matches('/').contains('/');
                mailbox == top || mailbox.is_below(top) && below(&mailbox.as_str()[top.as_str().len()..])
            }
            SearchScope::Mailbox(name) => mailbox == name,
        }
    }

    /// The name that is written in it.
    pub fn name(&self) -> Option<&MailboxName> {
        match self {
            SearchScope::Subtree(name) | SearchScope::SubtreeOne(name) | SearchScope::Mailbox(name) => Some(name),
            _ => None,
        }
    }
}

/// A name that a store knows: of a mailbox, or of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownName {
    /// The name.
    pub name: MailboxName,
    /// There is such a mailbox.
    pub exists: bool,
    /// The user subscribes to it.
    pub subscribed: bool,
    /// What it is for.
    pub uses: Vec<SpecialUse>,
    /// Other attributes, such as `\Marked` or `\Noinferiors`.
    pub attributes: Vec<Cow<'static, str>>,
}

impl KnownName {
    /// A mailbox without attributes that nobody subscribes to.
    pub const fn existing(name: MailboxName) -> Self {
        KnownName { name, exists: true, subscribed: false, uses: Vec::new(), attributes: Vec::new() }
    }

    /// A subscription. Whether the mailbox exists is said by another [`KnownName`].
    pub const fn subscription(name: MailboxName) -> Self {
        KnownName { name, exists: false, subscribed: true, uses: Vec::new(), attributes: Vec::new() }
    }
}

impl List {
    /// A plain LIST with one pattern.
    pub fn new(pattern: impl Into<String>) -> Self {
        List { patterns: alloc::vec![pattern.into()], ..List::default() }
    }

    /// The patterns, made ready: a name has to match one of them.
    pub fn ready_patterns(&self) -> Vec<ListPattern> {
        // RFC 5258 §3: in an extended LIST the empty pattern is no question for the separator; it matches nothing.
        self.patterns.iter().filter(|pattern| !pattern.is_empty()).map(|pattern| ListPattern::new(pattern)).collect()
    }

    /// The answer, in the order of the names. `names` may come in any order and more than once. The time grows with the
    /// number of names, times that of patterns and levels.
    ///
    /// Levels above a mailbox that are no mailboxes themselves need not be among `names`; they are told where the protocol
    /// wants them.
    pub fn answer(&self, names: impl IntoIterator<Item = KnownName>) -> Vec<Listed> {
        let patterns = self.ready_patterns();
        let reached = |name: &MailboxName| patterns.iter().any(|pattern| pattern.matches(name.as_str()));
        let mut known: BTreeMap<MailboxName, Known> = BTreeMap::new();
        for name in names {
            let entry = known.entry(name.name).or_default();
            entry.exists |= name.exists;
            entry.subscribed |= name.subscribed;
            entry.uses.extend(name.uses);
            entry.attributes.extend(name.attributes);
        }
        let parents = levels_above(known.iter().filter(|(_, entry)| entry.exists).map(|(name, _)| name));
        // Below these something is selected; and something that no pattern reaches.
        let selected = || known.iter().filter(|(name, entry)| self.selects(entry, parents.contains(name.as_str())));
        let above_selected = levels_above(selected().map(|(name, _)| name));
        let above_unreached = levels_above(selected().map(|(name, _)| name).filter(|name| !reached(name)));
        let only_levels = parents.iter().chain(&above_unreached).filter_map(|name| MailboxName::new(name).ok());
        let only_levels: Vec<_> = only_levels.filter(|name| !known.contains_key(name)).collect();
        for name in only_levels {
            known.insert(name, Known::default());
        }
        let matching = known.iter().filter(|(name, _)| reached(name));
        let listed = matching.filter_map(|(name, entry)| {
            let is_parent = parents.contains(name.as_str());
            let selects = self.selects(entry, is_parent);
            let leads_there = above_unreached.contains(name.as_str());
            if self.lsub {
                // RFC 3501 §6.3.9: where only what is below is subscribed, `\Noselect` says so.
                let attributes = if selects { Vec::new() } else { alloc::vec!["\\Noselect".into()] };
                return (selects || leads_there).then(|| Listed::new(name.clone(), attributes));
            }
            if !(selects || self.recursive && leads_there) {
                return None;
            }
            let mut listed = Listed::new(name.clone(), self.attributes(entry, is_parent));
            listed.matches_itself = selects;
            // RFC 5258 §3.5
            listed.subscribed_below = self.recursive && above_selected.contains(name.as_str());
            Some(listed)
        });
        listed.collect()
    }

    /// Whether a name is asked for, patterns aside.
    fn selects(&self, entry: &Known, is_parent: bool) -> bool {
        match self.lsub || self.subscribed || self.special_use {
            true => {
                (!(self.lsub || self.subscribed) || entry.subscribed) && (!self.special_use || !entry.uses.is_empty())
            }
            false => entry.exists || is_parent,
        }
    }

    fn attributes(&self, entry: &Known, is_parent: bool) -> Vec<Cow<'static, str>> {
        let mut attributes = Vec::new();
        if !entry.exists {
            attributes.push(if self.extended { "\\NonExistent".into() } else { "\\Noselect".into() });
        }
        attributes.extend(entry.attributes.iter().cloned());
        attributes.push(if is_parent { "\\HasChildren".into() } else { "\\HasNoChildren".into() });
        if entry.subscribed && (self.subscribed || self.tell_subscribed) {
            attributes.push("\\Subscribed".into());
        }
        attributes.extend(entry.uses.iter().map(|special| Cow::Borrowed(special.as_str())));
        attributes
    }
}

/// What is known of one name.
#[derive(Default)]
struct Known {
    exists: bool,
    subscribed: bool,
    uses: BTreeSet<SpecialUse>,
    attributes: Vec<Cow<'static, str>>,
}

/// All levels above these names, however far up.
fn levels_above<'n>(names: impl Iterator<Item = &'n MailboxName>) -> BTreeSet<String> {
    let mut levels = BTreeSet::new();
    for name in names {
        for (at, _) in name.as_str().rmatch_indices('/') {
            // What is above a level that is known already is known as well.
            if !levels.insert(String::from(&name.as_str()[..at])) {
                break;
            }
        }
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn name(text: &str) -> MailboxName {
        MailboxName::new(text).unwrap()
    }

    /// The mailboxes of the examples in RFC 5258 §5. `Fruit/Peach` is a subscription without a mailbox.
    fn store() -> Vec<KnownName> {
        let mut names: Vec<KnownName> = ["Fruit", "Fruit/Apple", "Fruit/Banana", "Tofu", "Vegetable"]
            .into_iter()
            .chain(["Vegetable/Broccoli", "Vegetable/Corn", "Lost/Child"])
            .map(|text| KnownName::existing(name(text)))
            .collect();
        names[3].uses.push(SpecialUse::Trash);
        let subscribed = ["Fruit/Banana", "Fruit/Peach", "Vegetable", "Vegetable/Broccoli"];
        names.extend(subscribed.map(|text| KnownName::subscription(name(text))));
        names
    }

    fn listed(list: &List) -> Vec<String> {
        let line = |listed: Listed| {
            let below = if listed.subscribed_below { " +" } else { "" };
            alloc::format!("{} {}{below}", listed.name, listed.attributes.join(" ")).trim_end().to_string()
        };
        list.answer(store()).into_iter().map(line).collect()
    }

    #[test]
    fn what_each_option_selects() {
        let list = |pattern: &str, options: &str| {
            let has = |option| options.split(' ').any(|word| word == option);
            List {
                subscribed: has("subscribed"),
                special_use: has("special"),
                recursive: has("recursive"),
                tell_subscribed: has("tell"),
                lsub: has("lsub"),
                extended: has("extended"),
                ..List::new(pattern)
            }
        };
        for (pattern, options, expected) in [
            (
                "%",
                "",
                &[
                    "Fruit \\HasChildren",
                    "Lost \\Noselect \\HasChildren",
                    "Tofu \\HasNoChildren \\Trash",
                    "Vegetable \\HasChildren",
                ][..],
            ),
            ("L*", "extended", &["Lost \\NonExistent \\HasChildren", "Lost/Child \\HasNoChildren"]),
            ("V%", "tell", &["Vegetable \\HasChildren \\Subscribed"]),
            (
                "*",
                "subscribed extended",
                &[
                    "Fruit/Banana \\HasNoChildren \\Subscribed",
                    "Fruit/Peach \\NonExistent \\HasNoChildren \\Subscribed",
                    "Vegetable \\HasChildren \\Subscribed",
                    "Vegetable/Broccoli \\HasNoChildren \\Subscribed",
                ],
            ),
            ("%", "subscribed", &["Vegetable \\HasChildren \\Subscribed"]),
            ("%", "subscribed recursive", &["Fruit \\HasChildren +", "Vegetable \\HasChildren \\Subscribed +"]),
            // RFC 5258 §3.5: a name that only leads to what is told anyway is not told.
            (
                "V*",
                "subscribed recursive",
                &["Vegetable \\HasChildren \\Subscribed +", "Vegetable/Broccoli \\HasNoChildren \\Subscribed"],
            ),
            (
                "Fruit*",
                "subscribed recursive",
                &["Fruit/Banana \\HasNoChildren \\Subscribed", "Fruit/Peach \\Noselect \\HasNoChildren \\Subscribed"],
            ),
            ("*", "special", &["Tofu \\HasNoChildren \\Trash"]),
            ("*", "special subscribed", &[]),
            ("", "extended", &[]),
            ("%", "lsub", &["Fruit \\Noselect", "Vegetable"]),
            ("*", "lsub", &["Fruit/Banana", "Fruit/Peach", "Vegetable", "Vegetable/Broccoli"]),
        ] {
            assert_eq!(listed(&list(pattern, options)), expected, "{pattern} {options}");
        }
    }

    #[test]
    fn several_patterns_name_each_mailbox_once() {
        let list = List { patterns: ["T%", "*fu", "Veg%"].map(String::from).to_vec(), ..List::default() };
        assert_eq!(listed(&list), ["Tofu \\HasNoChildren \\Trash", "Vegetable \\HasChildren"]);
    }

    #[test]
    fn a_subscription_leads_to_levels_that_nobody_made() {
        let list = List { subscribed: true, recursive: true, extended: true, ..List::new("%") };
        let listed = list.answer([KnownName::subscription(name("a/b/c"))]);
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].name.as_str(), listed[0].subscribed_below), ("a", true));
        assert_eq!(listed[0].attributes, ["\\NonExistent", "\\HasNoChildren"]);
    }

    #[test]
    fn many_names_take_no_more_than_their_number() {
        let names = (0..20_000).map(|n| KnownName::existing(name(&alloc::format!("a/b/c/d/e/f/g/{n}"))));
        assert_eq!(List::new("*").answer(names).len(), 20_007);
    }
}
