//! The names of message files: `<unique>,S=<size>,W=<size with CRLF>:2,<flags>`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crate::{Flags, Store};

/// The part that stays the same for the life of a message: everything before the colon.
pub(crate) type Base = Arc<[u8]>;

/// Cuts a file name in two at the colon; the second part holds the colon, or is empty.
pub(crate) fn split(name: &[u8]) -> (&[u8], &[u8]) {
    name.split_at(memchr::memchr(b':', name).unwrap_or(name.len()))
}

pub(crate) fn join(base: &[u8], info: &[u8]) -> OsString {
    OsString::from_vec([base, info].concat())
}

pub(crate) fn bytes(name: &OsStr) -> &[u8] {
    name.as_bytes()
}

/// The flags in the second part of a name.
pub(crate) fn flags(info: &[u8]) -> Flags {
    letters(info).iter().filter_map(|letter| Flags::of_letter(*letter)).fold(Flags::NONE, |all, flag| all | flag)
}

/// The second part with other flags. Letters that we have no meaning for stay, and so does what another program put
/// behind a comma.
pub(crate) fn with_flags(info: &[u8], flags: Flags) -> Vec<u8> {
    let old = letters(info);
    let mut new: Vec<u8> = old.iter().copied().filter(|letter| Flags::of_letter(*letter).is_none()).collect();
    new.extend(flags.letters());
    new.sort_unstable();
    new.dedup();
    let rest = if info.starts_with(b":2,") { &info[3 + old.len()..] } else { b"" };
    [b":2,", &new[..], rest].concat()
}

/// How the second part of a name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// It is empty.
    Bare,
    /// As [`with_flags`] writes it where nothing was before: the flags tell all of it.
    Plain,
    /// With something that we have no meaning for, or in another order.
    Odd,
}

/// The flags in the second part of a name, and whether they tell all of it.
pub(crate) fn read_info(info: &[u8]) -> (Flags, Form) {
    let Some(letters) = info.strip_prefix(b":2,") else {
        return (Flags::NONE, if info.is_empty() { Form::Bare } else { Form::Odd });
    };
    let mut read = Flags::NONE;
    let mut last = 0;
    for letter in letters {
        match Flags::of_letter(*letter) {
            Some(flag) if *letter > last => read |= flag,
            _ => return (flags(info), Form::Odd),
        }
        last = *letter;
    }
    (read, Form::Plain)
}

fn letters(info: &[u8]) -> &[u8] {
    let letters = info.strip_prefix(b":2,").unwrap_or(b"");
    &letters[..memchr::memchr(b',', letters).unwrap_or(letters.len())]
}

/// The size of the file, from `,S=`, and with every line end as CRLF, from `,W=`; or from fields of the UID list, where the name
/// has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub(crate) file: u64,
    pub(crate) message: u64,
}

/// The sizes that a name holds, the file's and the message's.
pub(crate) fn sizes(base: &[u8]) -> (Option<u64>, Option<u64>) {
    let (mut file, mut message) = (None, None);
    let mut rest = &base[memchr::memchr(b',', base).unwrap_or(base.len())..];
    while let Some(field) = rest.strip_prefix(b",") {
        let end = memchr::memchr(b',', field).unwrap_or(field.len());
        match &field[..end] {
            [b'S', b'=', digits @ ..] => file = file.or(whole_number(digits)),
            [b'W', b'=', digits @ ..] => message = message.or(whole_number(digits)),
            _ => {}
        }
        rest = &field[end..];
    }
    (file, message)
}

/// One digit at least, and nothing else: `from_str` would take a sign.
pub(crate) fn whole_number(digits: &[u8]) -> Option<u64> {
    let add = |n: u64, digit: &u8| {
        digit.is_ascii_digit().then_some(())?;
        n.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    };
    digits.iter().try_fold(0, add).filter(|_| !digits.is_empty())
}

pub(crate) fn with_sizes(unique: &str, sizes: Sizes) -> Base {
    format!("{unique},S={},W={}", sizes.file, sizes.message).into_bytes().into()
}

/// Sorts files by the time that their names were made: leading seconds, then `M` microseconds, then the name itself.
pub(crate) fn arrival(base: &[u8]) -> (u64, u64, &[u8]) {
    let (seconds, rest) = number(base);
    let micros = rest.strip_prefix(b".M").map_or(0, |rest| number(rest).0);
    (seconds, micros, base)
}

fn number(digits: &[u8]) -> (u64, &[u8]) {
    let end = digits.iter().position(|octet| !octet.is_ascii_digit()).unwrap_or(digits.len());
    let add = |n: u64, digit: &u8| n.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    (digits[..end].iter().fold(0, add), &digits[end..])
}

impl Store {
    /// A name that no other program, container or thread makes: time, process, a count and a random number.
    pub(crate) fn unique_name(&self) -> String {
        let now = self.options().clock.now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let (count, random) = self.next_unique();
        let (seconds, micros, pid) = (now.as_secs(), now.subsec_micros(), self.options().pid);
        format!("{seconds}.M{micros:06}P{pid}Q{count}R{random:016x}.{}", self.host())
    }
}

/// A host name as it may stand in a file name; the Maildir convention writes `/` as `\057` and `:` as `\072`.
pub(crate) fn escape_host(host: &str) -> String {
    let mut out = String::new();
    for octet in host.bytes().take(64) {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'_') {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("\\{octet:03o}"));
        }
    }
    if out.is_empty() { "localhost".into() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_foreign_letters_stay() {
        assert_eq!(flags(b":2,FRSa"), Flags::FLAGGED | Flags::ANSWERED | Flags::SEEN | Flags::keyword(0).unwrap());
        assert_eq!(flags(b":1,FRS"), Flags::NONE);
        assert_eq!(flags(b""), Flags::NONE);
        assert_eq!(with_flags(b":2,FXZa", Flags::SEEN), b":2,SXZ");
        assert_eq!(with_flags(b":2,SS,foo", Flags::SEEN | Flags::DRAFT), b":2,DS,foo");
        assert_eq!(with_flags(b"", Flags::NONE), b":2,");
        assert_eq!(with_flags(b":1,x", Flags::DELETED), b":2,T");
    }

    #[test]
    fn what_the_flags_do_not_tell_is_odd() {
        for (info, form) in [
            (&b""[..], Form::Bare),
            (b":2,", Form::Plain),
            (b":2,DFPRSTaz", Form::Plain),
            (b":2,SF", Form::Odd),
            (b":2,SS", Form::Odd),
            (b":2,SX", Form::Odd),
            (b":2,S,foo", Form::Odd),
            (b":1,S", Form::Odd),
            (b":", Form::Odd),
        ] {
            assert_eq!(read_info(info), (flags(info), form), "{:?}", info.escape_ascii().to_string());
            assert_eq!(with_flags(b"", flags(info)) == info, form == Form::Plain);
        }
    }

    #[test]
    fn sizes_are_numbers_behind_a_comma() {
        assert_eq!(sizes(b"1.M2P3.vm,S=108,W=114"), (Some(108), Some(114)));
        assert_eq!(sizes(b"1.M2P3.vm,W=114,S=108"), (Some(108), Some(114)));
        assert_eq!(sizes(b"1,S=1"), (Some(1), None));
        assert_eq!(sizes(b"1"), (None, None));
        for bad in [&b"1.S=1,W=2"[..], b"1,S=+1,W=2", b"1,S=,W=2", b"1,S=99999999999999999999,W=2"] {
            assert_eq!(sizes(bad), (None, Some(2)));
        }
    }

    #[test]
    fn arrival_is_by_number_not_by_text() {
        let mut names = [&b"10.M5P1.h"[..], b"9.M10P1.h", b"9.M9P1.h", b"9.P1.h", b"x"];
        names.sort_by_key(|name| arrival(name));
        assert_eq!(names, [&b"x"[..], b"9.P1.h", b"9.M9P1.h", b"9.M10P1.h", b"10.M5P1.h"]);
    }

    #[test]
    fn a_host_name_cannot_leave_its_place() {
        assert_eq!(escape_host("../a:b,S=1"), "..\\057a\\072b\\054S\\0751");
        assert_eq!(escape_host(""), "localhost");
    }
}
