//! Rules as Dovecot's configuration and user databases write them: `*:storage=1G:messages=1000`, `Trash:storage=+100M`.

use super::{Purpose, Quota, Usage};
use crate::{MailboxName, NameError};

/// The limits of an account, those for single mailboxes, and by how much a delivery may pass them.
///
/// ```
/// use pillarbox_maildir::{MailboxName, Quota, QuotaRules};
///
/// let mut rules = QuotaRules::default();
/// rules.add("*:storage=1G:messages=1000")?;
/// rules.add("Trash:storage=+10%")?;
/// assert_eq!(rules.quota(), Quota { bytes: Some(1 << 30), messages: Some(1000) });
/// let trash = MailboxName::parse("Trash", '/')?;
/// assert_eq!(rules.quota_in(&trash).bytes, Some((1 << 30) + (1 << 30) / 10));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaRules {
    quota: Quota,
    mailboxes: Vec<(MailboxName, Limits)>,
    grace: Grace,
}

/// By how much a delivery may go over the limit of bytes, while the account is not over it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grace {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of the limit.
    Percent(u64),
}

/// Dovecot's: a tenth.
impl Default for Grace {
    fn default() -> Self {
        Grace::Percent(10)
    }
}

/// Why a rule is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// It is not of the form of a rule.
    #[error("a quota rule is written as MAILBOX:storage=SIZE:messages=NUMBER, and `{0}` is none")]
    NoRule(String),
    /// A word that is no limit.
    #[error("`{0}` is neither storage=, bytes= nor messages=")]
    NoLimit(String),
    /// A number that is none, or larger than there are.
    #[error("`{0}` is not a number such as 1000, 500M or 10%")]
    NoNumber(String),
    /// A share of nothing, or something added to nothing: only limits of single mailboxes can be that.
    #[error("`{0}` is relative to the limit of `*`, which comes first")]
    Relative(String),
    /// All mailboxes count here.
    #[error("mailboxes cannot be left out of the quota: `{0}`")]
    Ignore(String),
    /// The name in front is no mailbox's. Patterns but `*` are not understood.
    #[error("`{0}` is not the name of a mailbox: {1}")]
    Mailbox(String, NameError),
}

/// As written; what is `None` is the account's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Limits {
    bytes: Option<Limit>,
    messages: Option<Limit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Unlimited,
    Absolute(u64),
    /// So much more than the account's.
    More(u64),
    /// A share of the account's, in hundredths.
    Share(u64),
}

impl QuotaRules {
    /// Limits of an account, with Dovecot's grace for deliveries.
    pub fn new(quota: Quota) -> Self {
        QuotaRules { quota, ..QuotaRules::default() }
    }

    /// With another grace.
    #[must_use]
    pub fn with_grace(self, grace: Grace) -> Self {
        QuotaRules { grace, ..self }
    }

    /// With other limits of the account, and what is said of mailboxes as it is.
    #[must_use]
    pub fn with_quota(self, quota: Quota) -> Self {
        QuotaRules { quota, ..self }
    }

    /// The rules of one account, where these are those of all: what is said of the account itself holds in place of these limits,
    /// and what is said of mailboxes beside them.
    ///
    /// # Errors
    ///
    /// As [`add`](Self::add).
    pub fn with_rules<'a>(&self, rules: impl IntoIterator<Item = &'a str>) -> Result<Self, RuleError> {
        let mut all = self.clone();
        let mut is_first = true;
        for rule in rules {
            if rule.starts_with("*:") && std::mem::take(&mut is_first) {
                all.quota = Quota::default();
            }
            all.add(rule)?;
        }
        Ok(all)
    }

    /// The account's limits.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// True if nothing is limited, neither what the account may use nor what may be put into one of its mailboxes.
    ///
    /// ```
    /// use pillarbox_maildir::QuotaRules;
    ///
    /// let mut rules = QuotaRules::default();
    /// assert!(rules.is_unlimited());
    /// rules.add("Spam:storage=100M")?;
    /// assert!(!rules.is_unlimited());
    /// # Ok::<(), pillarbox_maildir::RuleError>(())
    /// ```
    pub fn is_unlimited(&self) -> bool {
        let nothing = Quota::default();
        self.quota == nothing && self.mailboxes.iter().all(|(name, _)| self.quota_in(name) == nothing)
    }

    /// What the account may use when something is put into this mailbox: the account's limits, unless there is a rule for it.
    pub fn quota_in(&self, mailbox: &MailboxName) -> Quota {
        let limits = self.mailboxes.iter().find(|(name, _)| name == mailbox).map(|(_, limits)| *limits);
        let Limits { bytes, messages } = limits.unwrap_or_default();
        Quota { bytes: applied(bytes, self.quota.bytes), messages: applied(messages, self.quota.messages) }
    }

    /// Adds a rule, in Dovecot's words. `*` is the account; what a later rule says of the same mailbox replaces what was said.
    /// Numbers of `storage` are KiB where no `b`, `k`, `M`, `G` or `T` stands behind them, and 0 is no limit.
    ///
    /// # Errors
    ///
    /// [`RuleError`], also for what Dovecot knows and this does not: mailboxes that do not count, and patterns.
    pub fn add(&mut self, rule: &str) -> Result<(), RuleError> {
        let (mailbox, limits) = rule.split_once(':').ok_or_else(|| RuleError::NoRule(rule.into()))?;
        let mut new = Limits::default();
        for limit in limits.split(':') {
            let (what, number) = match limit.split_once('=') {
                Some(parts) => parts,
                None if limit == "ignore" => return Err(RuleError::Ignore(rule.into())),
                None => return Err(RuleError::NoLimit(limit.into())),
            };
            let limit = match what {
                "storage" => (&mut new.bytes, 1024),
                "bytes" => (&mut new.bytes, 1),
                "messages" => (&mut new.messages, 1),
                _ => return Err(RuleError::NoLimit(limit.into())),
            };
            *limit.0 = Some(read(number, limit.1, what == "messages")?);
        }
        if mailbox == "*" {
            let account = |limit: Option<Limit>, old: Option<u64>| match limit {
                None => Ok(old),
                Some(Limit::Unlimited) => Ok(None),
                Some(Limit::Absolute(limit)) => Ok(Some(limit)),
                Some(Limit::More(_) | Limit::Share(_)) => Err(RuleError::Relative(rule.into())),
            };
            let bytes = account(new.bytes, self.quota.bytes)?;
            self.quota = Quota { bytes, messages: account(new.messages, self.quota.messages)? };
            return Ok(());
        }
        let name = MailboxName::parse(mailbox, '/').map_err(|error| RuleError::Mailbox(mailbox.into(), error))?;
        if mailbox.contains(['*', '?', '%']) {
            return Err(RuleError::NoRule(rule.into()));
        }
        match self.mailboxes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, limits)) => {
                *limits = Limits { bytes: new.bytes.or(limits.bytes), messages: new.messages.or(limits.messages) };
            }
            None => self.mailboxes.push((name, new)),
        }
        Ok(())
    }

    /// Whether there is room for more.
    pub(super) fn allow(&self, mailbox: &MailboxName, used: Usage, adding: Usage, purpose: Purpose) -> bool {
        let mut limits = self.quota_in(mailbox);
        if purpose == Purpose::Delivery && used.is_within(limits) {
            limits.bytes = limits.bytes.map(|limit| {
                limit.saturating_add(match self.grace {
                    Grace::Bytes(bytes) => bytes,
                    Grace::Percent(percent) => share(limit, percent),
                })
            });
        }
        // Nothing more needs no room.
        adding == Usage::default() || used.plus(adding).is_within(limits)
    }
}

impl Grace {
    /// Reads `10%`, or a size such as `50M` (bytes without a letter).
    ///
    /// # Errors
    ///
    /// [`RuleError::NoNumber`].
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        match read(text, 1, false)? {
            Limit::Unlimited => Ok(Grace::Bytes(0)),
            Limit::Absolute(bytes) => Ok(Grace::Bytes(bytes)),
            Limit::Share(percent) => Ok(Grace::Percent(percent)),
            Limit::More(_) => Err(RuleError::NoNumber(text.into())),
        }
    }
}

fn applied(limit: Option<Limit>, account: Option<u64>) -> Option<u64> {
    match limit {
        None => account,
        Some(Limit::Unlimited) => None,
        Some(Limit::Absolute(limit)) => Some(limit),
        // More than no limit is none.
        Some(Limit::More(more)) => account.map(|limit| limit.saturating_add(more)),
        Some(Limit::Share(percent)) => account.map(|limit| share(limit, percent)),
    }
}

fn share(of: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(of) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

/// `+100M`, `10%`, `+10%`, `500`. A share with `+` is that much more than the whole.
fn read(text: &str, unit: u64, counts: bool) -> Result<Limit, RuleError> {
    let wrong = || RuleError::NoNumber(text.into());
    let (more, number) = text.strip_prefix('+').map_or((false, text), |number| (true, number));
    let digits = number.bytes().take_while(u8::is_ascii_digit).count();
    let value: u64 = number[..digits].parse().map_err(|_| wrong())?;
    let unit = match &number[digits..] {
        "%" => {
            let percent = if more { value.checked_add(100).ok_or_else(wrong)? } else { value };
            return Ok(Limit::Share(percent));
        }
        "" => unit,
        _ if counts => return Err(wrong()),
        "b" | "B" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        "t" | "T" => 1 << 40,
        _ => return Err(wrong()),
    };
    match value.checked_mul(unit).ok_or_else(wrong)? {
        value if more => Ok(Limit::More(value)),
        0 => Ok(Limit::Unlimited),
        value => Ok(Limit::Absolute(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(lines: &[&str]) -> QuotaRules {
        let mut rules = QuotaRules::default();
        lines.iter().for_each(|line| rules.add(line).unwrap());
        rules
    }

    fn name(name: &str) -> MailboxName {
        MailboxName::parse(name, '/').unwrap()
    }

    #[test]
    fn dovecots_words() {
        for (text, bytes, messages) in [
            ("*:storage=1G", Some(1 << 30), None),
            ("*:storage=1000", Some(1_024_000), None),
            ("*:bytes=1000", Some(1000), None),
            ("*:storage=2m:messages=7", Some(2 << 20), Some(7)),
            ("*:messages=1000", None, Some(1000)),
            ("*:storage=0", None, None),
            ("*:storage=5b", Some(5), None),
        ] {
            assert_eq!(rules(&[text]).quota(), Quota { bytes, messages }, "{text}");
        }
        let all =
            rules(&["*:bytes=1000:messages=10", "Trash:bytes=+50:messages=+10%", "Spam:storage=50%", "Lists:bytes=0"]);
        assert_eq!(all.quota_in(&name("Trash")), Quota { bytes: Some(1050), messages: Some(11) });
        assert_eq!(all.quota_in(&name("Spam")), Quota { bytes: Some(500), messages: Some(10) });
        assert_eq!(all.quota_in(&name("Lists")), Quota { bytes: None, messages: Some(10) });
        assert_eq!(all.quota_in(&name("Sent")), all.quota());
        let own = all.with_rules(["*:messages=5", "Spam:bytes=7"]).unwrap();
        assert_eq!(own.quota(), Quota { bytes: None, messages: Some(5) });
        assert_eq!(own.quota_in(&name("Spam")), Quota { bytes: Some(7), messages: Some(5) });
        assert_eq!(all.with_rules([]).unwrap(), all);
        // More of nothing is nothing.
        for (lines, unlimited) in [
            (&["*:storage=0"][..], true),
            (&["Trash:storage=+10%", "Spam:messages=0"], true),
            (&["Spam:storage=5M"], false),
            (&["*:messages=1"], false),
        ] {
            assert_eq!(rules(lines).is_unlimited(), unlimited, "{lines:?}");
        }
        assert_eq!(rules(&["*:bytes=9", "*:messages=3"]).quota(), Quota { bytes: Some(9), messages: Some(3) });
    }

    #[test]
    fn what_is_no_rule_is_said() {
        for (text, told) in [
            ("1G", "MAILBOX:storage=SIZE"),
            ("*:1G", "`1G` is neither storage="),
            ("*:size=1G", "`size=1G` is neither storage="),
            ("*:storage=", "`` is not a number"),
            ("*:storage=1X", "`1X` is not a number"),
            ("*:storage=-1", "`-1` is not a number"),
            ("*:storage=99999999999T", "is not a number"),
            ("*:messages=1k", "`1k` is not a number"),
            ("*:storage=+1G", "relative to the limit of `*`"),
            ("*:storage=50%", "relative to the limit of `*`"),
            ("Trash:ignore", "cannot be left out"),
            ("Spam/*:storage=1G", "MAILBOX:storage=SIZE"),
            ("../x:storage=1G", "is not the name of a mailbox"),
        ] {
            let error = QuotaRules::default().add(text).unwrap_err().to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    #[test]
    fn a_delivery_may_pass_the_limit_once() {
        let inbox = name("INBOX");
        let rules = rules(&["*:bytes=1000:messages=10"]);
        let allow = |used, more, purpose| {
            rules.allow(&inbox, Usage { bytes: used, messages: 1 }, Usage::message(more), purpose)
        };
        assert!(allow(990, 10, Purpose::Own) && !allow(990, 11, Purpose::Own));
        assert!(allow(990, 110, Purpose::Delivery) && !allow(990, 111, Purpose::Delivery));
        assert!(!allow(1001, 1, Purpose::Delivery), "it is over the limit already");
        let full = Usage { bytes: 0, messages: 10 };
        assert!(!rules.allow(&inbox, full, Usage::message(1), Purpose::Delivery), "the grace is one of bytes");
        let none = rules.clone().with_grace(Grace::parse("0").unwrap());
        assert!(!none.allow(&inbox, Usage::message(990), Usage::message(11), Purpose::Delivery));
        assert_eq!((Grace::parse("10%"), Grace::parse("5k")), (Ok(Grace::Percent(10)), Ok(Grace::Bytes(5120))));
        assert!(Grace::parse("x").is_err() && Grace::parse("+5").is_err());
    }
}
