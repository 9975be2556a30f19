//! Addresses and paths: no panic, places inside the input, and what was parsed prints and parses again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillarbox_core::address::{Address, AddressError, Domain, ForwardPath, LocalPart, ReversePath};

fuzz_target!(|data: &[u8]| {
    for utf8 in [false, true] {
        if let Some((path, rest)) = inside(data, ReversePath::take(data, utf8)) {
            check_path(data, rest, path.address(), &path.to_string(), utf8);
            let printed = path.to_string();
            assert_eq!(ReversePath::take(printed.as_bytes(), utf8), Ok((path, &b""[..])));
        }
        if let Some((path, rest)) = inside(data, ForwardPath::take(data, utf8)) {
            check_path(data, rest, path.address(), &path.to_string(), utf8);
            let printed = path.to_string();
            assert_eq!(ForwardPath::take(printed.as_bytes(), utf8), Ok((path, &b""[..])));
        }
    }
    let Ok(text) = str::from_utf8(data) else { return };
    if let Some(address) = inside(data, Address::parse_utf8(text)) {
        assert_eq!(address.to_string(), text);
        assert_eq!(Address::parse(text).is_ok(), address.is_ascii());
    }
    if let Some(domain) = inside(data, Domain::parse_utf8(text)) {
        assert_eq!(domain.as_str(), text);
        if let Some(ip) = domain.ip() {
            assert_eq!(Domain::from_ip(ip), domain);
        }
    }
    if let Some(local) = inside(data, LocalPart::parse_utf8(text)) {
        check_local(&local);
    }
    if let Ok(local) = LocalPart::from_unquoted(text) {
        assert_eq!(local.unquoted(), text);
        check_local(&local);
    }
});

/// The value, or nothing for an error that points into the input.
fn inside<T>(data: &[u8], result: Result<T, AddressError>) -> Option<T> {
    result.map_err(|error| assert!(error.at <= data.len(), "{error:?}")).ok()
}

fn check_path(data: &[u8], rest: &[u8], address: Option<&Address<'_>>, printed: &str, utf8: bool) {
    assert!(data.ends_with(rest) && data[..data.len() - rest.len()].ends_with(b">"));
    assert!(printed.len() <= 256 && !printed.bytes().any(|octet| octet < 0x20 || octet == 0x7f));
    if let Some(address) = address {
        assert!(utf8 || address.is_ascii());
        check_local(address.local());
        assert_eq!(address.clone().into_owned(), *address);
    }
}

/// The canonical form names the same mailbox, is no longer, and is its own canonical form.
fn check_local(local: &LocalPart<'_>) {
    let canonical = local.canonical().into_owned();
    let again = LocalPart::parse_utf8(&canonical).expect("a canonical local part parses");
    assert_eq!(again, *local);
    assert_eq!(again.canonical(), canonical);
    assert_eq!(again.unquoted(), local.unquoted());
    assert!(canonical.len() <= local.as_str().len());
}
