//! Headers: the fields put together are the header, and the scanner counts the same in any cuts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillarbox_core::header::{Fields, HeaderLimit, HeaderLimits, HeaderScanner, HeaderStatus, split};
use pillarbox_fuzz::cut;

fuzz_target!(|data: &[u8]| {
    let (message, pieces) = cut(data);
    let (header, body) = split(message);
    let fields = Fields::new(message).collect::<Vec<_>>();
    let raw = fields.iter().flat_map(|field| field.raw).copied().collect::<Vec<_>>();
    assert!(header.starts_with(&raw) && matches!(&header[raw.len()..], b"" | b"\n" | b"\r\n"));
    assert!(Fields::new(header).eq(fields.iter().copied()), "the body shows through");
    for field in &fields {
        assert!(field.name.iter().all(|octet| (33..=126).contains(octet) && *octet != b':'));
        assert!(!field.unfolded().contains(&b'\n'));
    }

    let mut scanner = HeaderScanner::new(HeaderLimits::default());
    let mut seen = Vec::new();
    for piece in pieces {
        match scanner.feed(piece) {
            Ok(HeaderStatus::Open) => assert!(!scanner.is_complete()),
            Ok(HeaderStatus::Complete { body }) => seen.extend_from_slice(&piece[piece.len() - body..]),
            Err(HeaderLimit::Hops) => return assert!(scanner.received() > 100),
            Err(HeaderLimit::Fields) => return assert!(scanner.fields() > 1000),
            Err(limit) => panic!("{limit} in {} octets", message.len()),
        }
    }
    if scanner.finish().is_ok() {
        assert_eq!(seen, body);
        assert_eq!(scanner.size(), header.len());
        assert_eq!(scanner.fields(), fields.len());
        assert_eq!(scanner.received(), fields.iter().filter(|field| field.name_is("received")).count());
        assert_eq!(scanner.longest_field(), fields.iter().map(|field| field.raw.len()).max().unwrap_or(0));
    }
});
