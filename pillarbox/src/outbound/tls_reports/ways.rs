//! Where reports still have to go, in a file: a line for each way, so that none is gone twice because another was blocked.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pillarbox_auth::tls_rpt::Destination;
use pillarbox_core::dns::Name;

/// Where a report has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) to: Destination,
    /// How often it is tried at most.
    pub(super) left: u32,
    /// Not before this second since 1970.
    pub(super) at: u64,
}

/// `LEFT AT DOMAIN URI` for each way. Neither a domain nor a URI holds a space.
pub(super) fn write(ways: &BTreeMap<Name, Vec<Way>>) -> String {
    let mut text = String::new();
    for (domain, way) in ways.iter().flat_map(|(domain, ways)| ways.iter().map(move |way| (domain, way))) {
        // Writing to memory does not fail.
        let _ = writeln!(text, "{} {} {domain} {}", way.left, way.at, way.to.uri());
    }
    text
}

/// What was written. A line that is damaged counts for nothing, and neither does one that was tried for the last time.
pub(super) fn read(octets: &[u8]) -> BTreeMap<Name, Vec<Way>> {
    let mut all = BTreeMap::<Name, Vec<Way>>::new();
    let text = String::from_utf8_lossy(octets);
    for (domain, way) in text.lines().filter_map(line) {
        // That all were tried is something else than that nobody was asked.
        let ways = all.entry(domain).or_default();
        ways.extend(Some(way).filter(|way| way.left > 0));
    }
    all
}

fn line(line: &str) -> Option<(Name, Way)> {
    let mut words = line.splitn(4, ' ');
    let (left, at) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let domain = Name::parse(words.next()?).ok()?;
    Some((domain, Way { to: words.next()?.parse().ok()?, left, at }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let way = |to: &str, left| Way { to: to.parse().unwrap(), left, at: 1_700_000_000 };
        let domain = |name: &str| Name::parse(name).unwrap();
        let mut ways = BTreeMap::new();
        let long = way("mailto:%22a%20b%22@far.example", 3);
        ways.insert(domain("far.example"), vec![long, way("https://tls.far.example/v1?a=b", 1)]);
        ways.insert(domain("other.example"), vec![way("https://tls.other.example/", 12)]);
        let text = write(&ways);
        assert_eq!(read(text.as_bytes()), ways);
        let damaged =
            format!("3 x far.example mailto:a@b\n1 1\n\u{fffd}\n{text}0 5 last.example https://last.example/\n");
        ways.insert(domain("last.example"), Vec::new());
        assert_eq!(read(damaged.as_bytes()), ways);
    }
}
