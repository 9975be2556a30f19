//! The policy: read, written, and applied to a host (RFC 8461 §3.2, §4, §5).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::address::Domain;
use pillarbox_core::dns::Name;

use crate::text_record::trim;
use crate::tls_rpt::FailureType;

/// RFC 8461 §3.2: the longest `max_age`, about a year.
const MAX_AGE_MAX: u32 = 31_557_600;

/// A policy.
///
/// ```
/// use pillarbox_auth::mta_sts::{Mode, Policy};
///
/// let policy = Policy::parse(b"version: STSv1\nmode: enforce\nmx: *.example.net\nmax_age: 604800\n")?;
/// assert_eq!((policy.mode, policy.max_age), (Mode::Enforce, 604_800));
/// assert!(policy.lists(&"mx1.example.net".parse().unwrap()));
/// assert!(!policy.lists(&"a.mx1.example.net".parse().unwrap()));
/// # Ok::<(), pillarbox_auth::mta_sts::PolicyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// What becomes of mail when a host does not follow the policy.
    pub mode: Mode,
    /// The hosts that take the domain's mail, at least one unless the mode is [`Mode::None`].
    pub mx: Vec<MxPattern>,
    /// Seconds from fetching on that the policy is in force.
    pub max_age: u32,
}

/// What becomes of mail when a host does not follow the policy (RFC 8461 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Mode {
    /// It does not go to this host.
    Enforce,
    /// It goes, and the domain hears of it by a report.
    Testing,
    /// The domain has no policy any more.
    None,
}

impl Mode {
    /// The word of the policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        }
    }
}

/// A host that may take mail, or all hosts one label below a domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MxPattern {
    is_wildcard: bool,
    name: Name,
}

/// Why a text is no policy, and on which line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("line {line}: {fault}")]
#[non_exhaustive]
pub struct PolicyError {
    /// What is wrong.
    pub fault: PolicyFault,
    /// The line, counted from 1; for what is missing, the last one.
    pub line: usize,
}

/// What is wrong with a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PolicyFault {
    /// A line is no `name: value`.
    Malformed,
    /// The version is missing, or another.
    Version,
    /// The mode is missing, or none of the three.
    Mode,
    /// `max_age` is missing, no number, or more than 31,557,600.
    MaxAge,
    /// An `mx` is no domain name, with or without `*.` before it.
    Mx,
    /// No `mx`, and the mode is not `none`.
    MissingMx,
}

impl fmt::Display for PolicyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PolicyFault::Malformed => "not a name and a value",
            PolicyFault::Version => "no version STSv1",
            PolicyFault::Mode => "no mode",
            PolicyFault::MaxAge => "no max_age up to 31557600",
            PolicyFault::Mx => "the mx is no domain name",
            PolicyFault::MissingMx => "no mx",
        })
    }
}

impl Policy {
    /// Reads a policy, with lines that end in CRLF or LF.
    ///
    /// Deviates from RFC 8461 §3.2: because editors leave them behind, lines without anything are passed over.
    ///
    /// # Errors
    ///
    /// [`PolicyError`] with the first fault. How long the text may be is for
    /// [`read_response`](super::read_response) to judge.
    pub fn parse(text: &[u8]) -> Result<Self, PolicyError> {
        let (mut version, mut mode, mut max_age, mut mx) = (None, None, None, Vec::new());
        let mut last = 1;
        for (index, line) in text.split(|octet| *octet == b'\n').enumerate() {
            let error = |fault| PolicyError { fault, line: index + 1 };
            let line = trim(line.strip_suffix(b"\r").unwrap_or(line));
            if line.is_empty() {
                continue;
            }
            last = index + 1;
            let (name, value) = field(line).ok_or(error(PolicyFault::Malformed))?;
            // RFC 8461 §3.2: of fields that stand twice, all but `mx`, the first counts; what is unknown does not.
            match name {
                "version" if version.is_none() => {
                    version = Some((value == "STSv1").then_some(()).ok_or(error(PolicyFault::Version))?);
                }
                "mode" if mode.is_none() => {
                    mode = Some(match value {
                        "enforce" => Mode::Enforce,
                        "testing" => Mode::Testing,
                        "none" => Mode::None,
                        _ => return Err(error(PolicyFault::Mode)),
                    });
                }
                "max_age" if max_age.is_none() => {
                    let is_number = value.len() <= 10 && value.bytes().all(|octet| octet.is_ascii_digit());
                    let age = is_number.then(|| value.parse::<u32>().ok()).flatten();
                    max_age = Some(age.filter(|age| *age <= MAX_AGE_MAX).ok_or(error(PolicyFault::MaxAge))?);
                }
                "mx" => mx.push(MxPattern::parse(value).ok_or(error(PolicyFault::Mx))?),
                _ => {}
            }
        }
        let missing = |fault| PolicyError { fault, line: last };
        version.ok_or(missing(PolicyFault::Version))?;
        let mode = mode.ok_or(missing(PolicyFault::Mode))?;
        let max_age = max_age.ok_or(missing(PolicyFault::MaxAge))?;
        if mx.is_empty() && mode != Mode::None {
            return Err(missing(PolicyFault::MissingMx));
        }
        Ok(Policy { mode, mx, max_age })
    }

    /// Whether the policy lists a host, by the name that the MX record has (RFC 8461 §4.1).
    pub fn lists(&self, host: &Name) -> bool {
        self.mx.iter().any(|pattern| pattern.matches(host))
    }

    /// The lines of the policy, as reports show them (RFC 8460 §4.5).
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let head = [String::from("version: STSv1"), alloc::format!("mode: {}", self.mode.as_str())];
        let mx = self.mx.iter().map(|pattern| alloc::format!("mx: {pattern}"));
        head.into_iter().chain(mx).chain([alloc::format!("max_age: {}", self.max_age)])
    }
}

impl fmt::Display for Policy {
    /// The text that [`Policy::parse`] reads back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// RFC 8461 §3.2: a name, a colon, white space, a value without controls.
fn field(line: &[u8]) -> Option<(&str, &str)> {
    let line = core::str::from_utf8(line).ok()?;
    let (name, value) = line.split_once(':')?;
    let value = value.trim_start_matches([' ', '\t']);
    let is_name = name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-' | b'.'));
    (is_name && !value.is_empty() && !value.contains(|c: char| c.is_control())).then_some((name, value))
}

impl MxPattern {
    fn parse(pattern: &str) -> Option<Self> {
        let name = pattern.strip_prefix("*.");
        // RFC 8461 §3.2: a domain of RFC 5321, so no literal, no `*` inside, and A-labels only.
        let domain = Domain::parse(name.unwrap_or(pattern)).ok()?;
        Some(MxPattern { is_wildcard: name.is_some(), name: Name::parse(domain.name()?).ok()? })
    }

    /// Whether a host fits: a `*` stands for one label, whole (RFC 8461 §4.1).
    pub fn matches(&self, host: &Name) -> bool {
        if self.is_wildcard { host.parent().is_some_and(|parent| parent == self.name) } else { *host == self.name }
    }
}

impl fmt::Display for MxPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_wildcard { "*." } else { "" }, self.name)
    }
}

/// What came of TLS with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsOutcome {
    /// Its certificate is in force, comes from an authority that we trust, and has a DNS-ID that is the host's name (RFC 8461
    /// §4.2): the name of the MX record, whatever it is an alias of.
    Authenticated,
    /// Anything else: what a report would call it.
    Failed(FailureType),
}

/// What to do with a message at a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
#[non_exhaustive]
pub enum Verdict {
    /// Deliver it.
    Deliver,
    /// Deliver it, and count the failure for the domain's report.
    DeliverAndReport(FailureType),
    /// Do not deliver it here; try the next host. If none is left the message waits (RFC 8461 §5): it is never returned
    /// before the domain was looked at for a new policy.
    Refuse(FailureType),
}

/// Applies a policy to a host, by the name of its MX record, and to what came of TLS with it. A host that the policy does not
/// list need not be connected to at all: [`Policy::lists`].
pub fn judge(policy: &Policy, host: &Name, tls: TlsOutcome) -> Verdict {
    let failure = match tls {
        // RFC 8460 §4.3.1 has no word of its own for a host that is not listed.
        _ if !policy.lists(host) => FailureType::ValidationFailure,
        TlsOutcome::Failed(failure) => failure,
        TlsOutcome::Authenticated => return Verdict::Deliver,
    };
    match policy.mode {
        Mode::Enforce => Verdict::Refuse(failure),
        Mode::Testing => Verdict::DeliverAndReport(failure),
        Mode::None => Verdict::Deliver,
    }
}
