//! Aliases as other programs keep them in `/etc/aliases`.

use std::collections::BTreeMap;

use pillarbox_core::address::{Address, Domain};

/// Where mail for a name goes.
///
/// ```
/// use pillarbox::outbound::Aliases;
/// use pillarbox::mailcore::address::Address;
///
/// let text = "# who is who\npostmaster: root\nroot: joe, ann@example.org\njoe: \\joe, joe@example.com\nteam@example.net: ann@example.org\n";
/// let aliases = Aliases::parse(text, "example.net")?;
/// let targets = |of: &str| {
///     let targets = aliases.of(&Address::parse(of).unwrap()).unwrap_or_default();
///     targets.iter().map(ToString::to_string).collect::<Vec<_>>()
/// };
/// assert_eq!(targets("Root@example.net"), ["joe@example.net", "ann@example.org"]);
/// assert_eq!(targets("joe@example.net"), ["joe@example.net", "joe@example.com"], "one stays here");
/// assert!(aliases.of(&Address::parse("ann@example.net")?).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aliases(BTreeMap<String, Vec<Address<'static>>>);

/// Why a text is no list of aliases.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
#[non_exhaustive]
pub struct AliasError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub fault: AliasFault,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AliasFault {
    /// There is no name with a colon behind it.
    #[error("not a name, a colon and addresses")]
    NoName,
    /// Something is no address.
    #[error("{0:?} is no address")]
    NoAddress(String),
    /// A program, a file or a list in a file, which other programs would run, write or read.
    #[error("{0:?} is a program, a file or a list: only addresses can be forwarded to")]
    NotAnAddress(String),
    /// There is an alias of this name before.
    #[error("there are two aliases {0:?}")]
    Twice(String),
    /// More targets than one message should go to.
    #[error("more than {TARGETS_MAX} addresses")]
    TooMany,
}

/// Addresses that one alias has at most.
const TARGETS_MAX: usize = 1000;

impl Aliases {
    /// Reads lines of the form `name: address, address`. A line that begins with white space goes on with the one before; one that
    /// begins with `#` says nothing. Names without a domain are in `domain`, on either side; `\name` is `name`. Aliases of targets are
    /// followed in their turn.
    ///
    /// # Errors
    ///
    /// [`AliasError`], for the first line that is wrong. The mail would go nowhere, or to the wrong people.
    pub fn parse(text: &str, domain: &str) -> Result<Self, AliasError> {
        let mut aliases = Aliases::default();
        let mut entry: Option<(usize, String)> = None;
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
            let goes_on = line.starts_with([' ', '\t']);
            match &mut entry {
                Some((_, before)) if goes_on => before.push_str(line),
                None if goes_on => return Err(AliasError { line: number, fault: AliasFault::NoName }),
                _ => {
                    if let Some((at, whole)) = entry.replace((number, line.to_owned())) {
                        aliases.add(&whole, domain).map_err(|fault| AliasError { line: at, fault })?;
                    }
                }
            }
        }
        if let Some((at, whole)) = entry {
            aliases.add(&whole, domain).map_err(|fault| AliasError { line: at, fault })?;
        }
        Ok(aliases)
    }

    fn add(&mut self, line: &str, domain: &str) -> Result<(), AliasFault> {
        let mut parts = split(line, ':').into_iter();
        let name = parts.next().unwrap_or_default();
        let rest = line.get(name.len() + 1..).ok_or(AliasFault::NoName)?;
        let name = address(name.trim(), domain)?;
        let mut targets = Vec::new();
        for target in split(rest, ',').into_iter().map(str::trim).filter(|target| !target.is_empty()) {
            let bare = target.trim_start_matches('"');
            if bare.starts_with(['|', '/', ':']) {
                return Err(AliasFault::NotAnAddress(target.into()));
            }
            targets.push(match target.strip_prefix('\\') {
                Some(own) => address(own, domain)?,
                None => address(target, domain)?,
            });
        }
        if targets.is_empty() {
            return Err(AliasFault::NoName);
        }
        if targets.len() > TARGETS_MAX {
            return Err(AliasFault::TooMany);
        }
        match self.0.insert(key_of(&name), targets) {
            Some(_) => Err(AliasFault::Twice(name.to_string())),
            None => Ok(()),
        }
    }

    /// Where the mail for an address goes: `None` if it has no alias. An address that is among its own targets has a copy stay in
    /// its mailbox here.
    pub fn of(&self, to: &Address<'_>) -> Option<&[Address<'static>]> {
        self.0.get(&key_of(to)).map(Vec::as_slice)
    }

    /// The addresses that have aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// Parts of a text between separators that are not in quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut begin, mut in_quotes, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_quotes => escaped = true,
            '"' => in_quotes = !in_quotes,
            c if c == separator && !in_quotes => {
                parts.push(&text[begin..at]);
                begin = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

fn address(text: &str, domain: &str) -> Result<Address<'static>, AliasFault> {
    let no_address = || AliasFault::NoAddress(text.into());
    if let Ok(address) = Address::parse_utf8(text) {
        return Ok(address.into_owned());
    }
    if text.is_empty() || Domain::parse(domain).is_err() {
        return Err(no_address());
    }
    Ok(Address::parse_utf8(&format!("{text}@{domain}")).map_err(|_| no_address())?.into_owned())
}

pub(super) fn key_of(address: &Address<'_>) -> String {
    let domain = address.domain().as_str().to_lowercase();
    format!("{}@{domain}", address.local().canonical().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let fault = |text: &str| Aliases::parse(text, "here.example").unwrap_err().to_string();
        assert_eq!(fault("a: b\n\nc"), "line 3: not a name, a colon and addresses");
        assert_eq!(fault("a:\n"), "line 1: not a name, a colon and addresses");
        assert_eq!(fault("  a: b\n"), "line 1: not a name, a colon and addresses");
        assert_eq!(fault("# x\na: b,\n  c d\n"), "line 2: \"c d\" is no address");
        assert_eq!(fault("a: b\nA: c\n"), "line 2: there are two aliases \"A@here.example\"");
        let program = "line 1: \"\\\"|/bin/x\\\"\" is a program, a file or a list: only addresses can be forwarded to";
        assert_eq!(fault("a: \"|/bin/x\"\n"), program);
        assert!(fault("a: /var/mail/a\n").contains("only addresses"));
        assert!(fault("a: :include:/etc/list\n").contains("only addresses"));
        assert_eq!(fault(&format!("a: {}\n", "b,".repeat(1001))), "line 1: more than 1000 addresses");
    }

    #[test]
    fn quotes_and_lines_that_go_on() {
        let text = "\"a:b\": \"c,d\"@far.example,\n\te\n# no\n  , f\r\ng: h\r\n";
        let aliases = Aliases::parse(text, "here.example").unwrap();
        let of = |of: &str| {
            aliases.of(&Address::parse(of).unwrap()).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of("\"a:b\"@HERE.example"), ["\"c,d\"@far.example", "e@here.example", "f@here.example"]);
        assert_eq!(of("G@here.example"), ["h@here.example"]);
        assert_eq!(aliases.names().count(), 2);
        assert_eq!(Aliases::parse("", "here.example").unwrap(), Aliases::default());
    }
}
