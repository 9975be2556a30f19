//! What stands in `maildirsize`: limits, and under them what came and went.

use pillarbox_fs::File;

use super::{Quota, SIZE_MAX, Usage};

/// The file's bytes, with nothing believed of them yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MaildirSize(Vec<u8>);

impl MaildirSize {
    /// The first bytes, one more than there may be, so that a longer file is seen.
    pub(super) fn read(file: &File) -> pillarbox_fs::Result<Self> {
        let (mut bytes, mut filled) = (vec![0; SIZE_MAX + 1], 0);
        while filled < bytes.len() {
            match file.read_at(filled as u64, &mut bytes[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        bytes.truncate(filled);
        Ok(MaildirSize(bytes))
    }

    /// Longer than anybody believes: whoever asks writes it anew.
    pub(super) fn is_long(&self) -> bool {
        self.0.len() > SIZE_MAX
    }

    /// The first line: `1000000S,500C`, each part at most once; 0 is no limit.
    pub(super) fn limits(&self) -> Option<Quota> {
        let line = self.0.split(|octet| *octet == b'\n').next()?;
        let mut quota = Quota::default();
        for part in std::str::from_utf8(line).ok()?.split(',') {
            let (number, unit) = part.split_at_checked(part.len().checked_sub(1)?)?;
            let limit = Some(digits(number)?).filter(|limit| *limit > 0);
            match unit {
                "S" if quota.bytes.is_none() => quota.bytes = limit,
                "C" if quota.messages.is_none() => quota.messages = limit,
                _ => return None,
            }
        }
        Some(quota)
    }

    /// What the lines come to, and how many there are. None if one of them is no line, or cut, or the sum is one that nothing can
    /// be.
    pub(super) fn sum(&self) -> Option<(Usage, usize)> {
        if self.is_long() {
            return None;
        }
        let (_, lines) = std::str::from_utf8(&self.0).ok()?.split_once('\n')?;
        let lines = if lines.is_empty() { return None } else { lines.strip_suffix('\n')? };
        let (mut bytes, mut messages, mut count) = (0_i64, 0_i64, 0);
        for line in lines.split('\n') {
            let mut numbers = line.split(' ').filter(|number| !number.is_empty());
            bytes = bytes.checked_add(signed(numbers.next()?)?)?;
            messages = messages.checked_add(signed(numbers.next()?)?)?;
            if numbers.next().is_some() {
                return None;
            }
            count += 1;
        }
        let usage = Usage { bytes: u64::try_from(bytes).ok()?, messages: u64::try_from(messages).ok()? };
        Some((usage, count))
    }
}

/// A whole file: limits and one line.
pub(super) fn encode(limits: Quota, usage: Usage) -> Vec<u8> {
    let head = match (limits.bytes, limits.messages) {
        (bytes, None) => format!("{}S", bytes.unwrap_or(0)),
        (None, Some(messages)) => format!("{messages}C"),
        (Some(bytes), Some(messages)) => format!("{bytes}S,{messages}C"),
    };
    format!("{head}\n{} {}\n", usage.bytes, usage.messages).into_bytes()
}

/// A line to append.
pub(super) fn line(bytes: i128, messages: i64) -> Vec<u8> {
    format!("{bytes} {messages}\n").into_bytes()
}

/// `from_str` would take a sign.
fn digits(number: &str) -> Option<u64> {
    number.parse().ok().filter(|_| number.bytes().all(|octet| octet.is_ascii_digit()))
}

fn signed(number: &str) -> Option<i64> {
    let value = digits(number.strip_prefix('-').unwrap_or(number))?;
    i64::try_from(value).ok().map(|value| if number.starts_with('-') { -value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> (Option<Quota>, Option<(u64, u64, usize)>) {
        let file = MaildirSize(text.as_bytes().to_vec());
        (file.limits(), file.sum().map(|(usage, lines)| (usage.bytes, usage.messages, lines)))
    }

    fn quota(bytes: u64, messages: u64) -> Option<Quota> {
        let limit = |limit| Some(limit).filter(|limit| *limit > 0);
        Some(Quota { bytes: limit(bytes), messages: limit(messages) })
    }

    #[test]
    fn lines_are_added_up() {
        for (text, limits, sum) in [
            ("1000000S,500C\n4711 3\n100 1\n-11 -1\n", quota(1_000_000, 500), Some((4800, 3, 3))),
            ("500C,1000000S\n0 0\n", quota(1_000_000, 500), Some((0, 0, 1))),
            ("500C\n  12   1\n", quota(0, 500), Some((12, 1, 1))),
            ("0S\n5 1\n", quota(0, 0), Some((5, 1, 1))),
            ("0S,0C\n-5 1\n6 1\n", quota(0, 0), Some((1, 2, 2))),
        ] {
            assert_eq!(read(text), (limits, sum), "{text:?}");
        }
    }

    #[test]
    fn what_is_damaged_has_no_sum() {
        for lines in [
            "",
            "5",
            "5 1",
            "5 1\n20",
            "5\n",
            "5 1 1\n",
            "5 x\n",
            "5 1\n\n",
            "+5 1\n",
            "--5 1\n",
            "5 1\r\n",
            "5\t1\n",
            "-1 1\n",
            "1 -1\n",
            "9223372036854775807 1\n1 1\n",
            "9223372036854775808 1\n",
            "5 1\n\0\0\0\0",
            "5 1\u{e4}\n",
        ] {
            assert_eq!(read(&format!("9S\n{lines}")).1, None, "{lines:?}");
        }
        assert_eq!(read("9S"), (quota(9, 0), None));
        assert_eq!(read(""), (None, None));
        for limits in
            ["S", "9", "9X", "9S,", ",9S", "9S,9S", "-9S", "+9S", "9 S", "18446744073709551616S", "9\u{e4}", "NOQUOTA"]
        {
            assert_eq!(read(&format!("{limits}\n5 1\n")), (None, Some((5, 1, 1))), "{limits:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in 0..i64::MAX as u64, messages in 0..i64::MAX as u64, limits in any::<[u64; 2]>()) {
            let limit = |limit| Some(limit).filter(|limit| *limit > 0);
            let limits = Quota { bytes: limit(limits[0]), messages: limit(limits[1]) };
            let usage = Usage { bytes, messages };
            let file = MaildirSize(encode(limits, usage));
            prop_assert_eq!((file.limits(), file.sum()), (Some(limits), Some((usage, 1))));
        }

        #[test]
        fn garbage_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let file = MaildirSize(bytes);
            let _ = (file.limits(), file.sum());
        }

        #[test]
        fn a_file_that_was_cut_has_no_other_sum(cut in 0..24_usize) {
            let whole = b"1000S\n123 1\n456 1\n-10 -1\n";
            let sum = MaildirSize(whole[..cut].to_vec()).sum().map(|(usage, _)| usage.bytes);
            prop_assert!([None, Some(123), Some(579)].contains(&sum), "{:?} at {}", sum, cut);
        }
    }
}
