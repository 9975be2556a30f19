//! The line between messages.

use pillarbox_core::WallTime;

/// What a From_ line says.
///
/// ```
/// use pillarbox_maildir::mbox::Envelope;
///
/// let envelope = Envelope::parse(b"From alice@example.org Wed Feb  3 10:11:12 2021").unwrap();
/// assert_eq!(envelope.sender, "alice@example.org");
/// assert_eq!(envelope.date.unwrap().to_string(), "Wed, 3 Feb 2021 10:11:12 +0000");
/// assert_eq!(Envelope::parse(b"From here on it is text"), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Who sent it: an address, or whatever stands there.
    pub sender: String,
    /// When it arrived. Without a zone it is taken for UTC (RFC 4155, Appendix A).
    pub date: Option<WallTime>,
}

/// Longer lines are text.
pub(super) const LINE_MAX: usize = 1024;

const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// RFC 5322 §4.3; all other names are taken for UTC, as it says there.
const ZONES: [(&str, i32); 8] =
    [("EST", -5), ("EDT", -4), ("CST", -6), ("CDT", -5), ("MST", -7), ("MDT", -6), ("PST", -8), ("PDT", -7)];

impl Envelope {
    /// Reads a From_ line, without its line end; `None` if it is none.
    pub fn parse(line: &[u8]) -> Option<Self> {
        if line.len() > LINE_MAX || !line.starts_with(b"From ") {
            return None;
        }
        let line = String::from_utf8_lossy(&line[5..]);
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        // The sender may hold spaces, and a weekday too: the date is what comes last.
        let at = words.iter().rposition(|word| WEEKDAYS.contains(&word.trim_end_matches(',')))?;
        let date = parse_date(&words[at + 1..])?;
        Some(Envelope { sender: words[..at].join(" "), date: Some(date) })
    }

    /// The first line of a file, of which less is asked.
    pub(super) fn parse_first(line: &[u8]) -> Option<Self> {
        let rest = line.strip_prefix(b"From ")?;
        Self::parse(line).or_else(|| {
            let rest = String::from_utf8_lossy(&rest[..rest.len().min(LINE_MAX)]);
            Some(Envelope { sender: rest.split_ascii_whitespace().next().unwrap_or_default().into(), date: None })
        })
    }
}

/// As it is written: a sender that would not be read back is called MAILER-DAEMON, as one that is empty is.
impl std::fmt::Display for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let writable = |sender: &str| {
            !sender.is_empty() && sender.len() <= LINE_MAX / 2 && sender.bytes().all(|octet| octet.is_ascii_graphic())
        };
        let sender = if writable(&self.sender) { &self.sender } else { "MAILER-DAEMON" };
        let date = WallTime::new(self.date.unwrap_or_default().unix_seconds(), 0).civil();
        let (weekday, month) = (date.weekday_name(), date.month_name());
        let (hour, minute, second) = (date.hour, date.minute, date.second);
        write!(f, "From {sender} {weekday} {month} {:2} {hour:02}:{minute:02}:{second:02} {:04}", date.day, date.year)
    }
}

/// What comes behind the weekday: month, day, time, year, and a zone before or behind the year. Some write day, month and year, as
/// in a Date field.
fn parse_date(words: &[&str]) -> Option<WallTime> {
    let (month, day, words) = match words {
        [month, day, rest @ ..] if MONTHS.contains(month) => (month, day, rest),
        // RFC 5322 §3.3
        [day, month, year, time, rest @ ..] if MONTHS.contains(month) => {
            let rest: Vec<&str> = [&[*time, *year], rest].concat();
            return parse_rest(month, day, &rest);
        }
        _ => return None,
    };
    parse_rest(month, day, words)
}

fn parse_rest(month: &str, day: &str, words: &[&str]) -> Option<WallTime> {
    let month = MONTHS.iter().position(|name| *name == month)? as u8 + 1;
    // UUCP added the name of the host.
    let words = match words {
        [words @ .., "remote", "from", _] => words,
        words => words,
    };
    let (time, year, offset) = match words {
        [time, year] => (time, parse_year(year)?, 0),
        [time, one, other] => match (parse_year(one), parse_year(other)) {
            (Some(year), _) => (time, year, parse_zone(other)?),
            (None, Some(year)) => (time, year, parse_zone(one)?),
            (None, None) => return None,
        },
        _ => return None,
    };
    let mut parts = time.split(':').map(|part| number(part, 2));
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    if parts.next().is_some() {
        return None;
    }
    WallTime::from_civil(year, month, number(day, 2)? as u8, hour as u8, minute as u8, second as u8, offset)
}

fn parse_year(word: &str) -> Option<i64> {
    let year = i64::from(number(word, 4)?);
    match word.len() {
        4 => Some(year),
        // RFC 5322 §4.3
        2 => Some(if year < 50 { 2000 + year } else { 1900 + year }),
        _ => None,
    }
}

fn parse_zone(word: &str) -> Option<i32> {
    if let Some(digits) = word.strip_prefix(['+', '-']) {
        let value = number(digits, 4).filter(|_| digits.len() == 4)? as i32;
        let offset = value / 100 * 3600 + value % 100 * 60;
        return Some(if word.starts_with('-') { -offset } else { offset });
    }
    let is_name = (1..=5).contains(&word.len()) && word.bytes().all(|octet| octet.is_ascii_uppercase());
    is_name.then(|| ZONES.iter().find(|(name, _)| *name == word).map_or(0, |(_, hours)| hours * 3600))
}

/// Digits only, and not too many.
fn number(word: &str, digits_max: usize) -> Option<u32> {
    let digits = (1..=digits_max).contains(&word.len()) && word.bytes().all(|octet| octet.is_ascii_digit());
    word.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_that_programs_write() {
        for (line, sender, date) in [
            ("From a@b.c Thu Jan  1 00:00:00 1970", "a@b.c", "Thu, 1 Jan 1970 00:00:00 +0000"),
            ("From mox Sun Jan 23 20:41:55 2022", "mox", "Sun, 23 Jan 2022 20:41:55 +0000"),
            ("From MAILER-DAEMON Fri Jul  8 12:08:34 2011", "MAILER-DAEMON", "Fri, 8 Jul 2011 12:08:34 +0000"),
            ("From a  Sat Feb 29 23:59 2020", "a", "Sat, 29 Feb 2020 23:59:00 +0000"),
            ("From a Sat Feb 29 23:59:01 +0130 2020", "a", "Sat, 29 Feb 2020 23:59:01 +0130"),
            ("From a Sat Feb 29 23:59:01 2020 -0800", "a", "Sat, 29 Feb 2020 23:59:01 -0800"),
            ("From a Sat Feb 29 23:59:01 PST 2020", "a", "Sat, 29 Feb 2020 23:59:01 -0800"),
            ("From a Sat Feb 29 23:59:01 MET 20", "a", "Sat, 29 Feb 2020 23:59:01 +0000"),
            ("From u Sat Feb 29 23:59:01 1992 remote from ihnp4", "u", "Sat, 29 Feb 1992 23:59:01 +0000"),
            (
                "From bob at example.org  Tue Mar  1 10:00:00 2005",
                "bob at example.org",
                "Tue, 1 Mar 2005 10:00:00 +0000",
            ),
            ("From a Wed, 10 Nov 2021 23:47:13 +0100", "a", "Wed, 10 Nov 2021 23:47:13 +0100"),
            ("From  Thu Jan  1 00:00:00 1970", "", "Thu, 1 Jan 1970 00:00:00 +0000"),
        ] {
            let envelope = Envelope::parse(line.as_bytes()).unwrap_or_else(|| panic!("{line}"));
            assert_eq!((&*envelope.sender, &*envelope.date.unwrap().to_string()), (sender, date), "{line}");
        }
    }

    #[test]
    fn lines_that_are_text() {
        for line in [
            "From",
            "From a",
            "From Monday on",
            "From a Thu Jan  1 1970",
            "From a Thu Jan 32 00:00:00 1970",
            "From a Sun Feb 29 00:00:00 2021",
            "From a Thu Jan  1 24:00:00 1970",
            "From a Thu Jan  1 00:00:00:00 1970",
            "From a Thu Jan  1 00:00:00 1970 he said",
            "From a Thu Jan  1 00:00:00 1970 +1",
            "From a Thu Jan  1 +0:00:00 1970",
            "from a Thu Jan  1 00:00:00 1970",
            ">From a Thu Jan  1 00:00:00 1970",
            "From a Xyz Jan  1 00:00:00 1970",
        ] {
            assert_eq!(Envelope::parse(line.as_bytes()), None, "{line}");
        }
        let long = format!("From {} Thu Jan  1 00:00:00 1970", "a".repeat(LINE_MAX));
        assert_eq!(Envelope::parse(long.as_bytes()), None);
        assert_eq!(Envelope::parse_first(b"From somebody at some time").unwrap().sender, "somebody");
        assert_eq!(Envelope::parse_first(b"Subject: x"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(sender in "[!-~]{0,20}", seconds in -62_167_219_200i64..253_402_300_799) {
            let envelope = Envelope { sender: sender.clone(), date: Some(WallTime::new(seconds, 0)) };
            let read = Envelope::parse(envelope.to_string().as_bytes()).unwrap();
            prop_assert_eq!(read.date, envelope.date);
            prop_assert_eq!(read.sender, if sender.is_empty() { "MAILER-DAEMON".to_owned() } else { sender });
        }

        #[test]
        fn any_line_is_one_or_none(line in "From [ -~]{0,60}|From a (Mon|Tue),? (Jan|1|32) {0,2}(Feb|9) [0-9:]{0,9} [0-9+A-Z]{0,5} ?[0-9]{0,5}") {
            if let Some(envelope) = Envelope::parse(line.as_bytes()) {
                prop_assert!(Envelope::parse(envelope.to_string().as_bytes()).is_some());
            }
        }
    }
}
