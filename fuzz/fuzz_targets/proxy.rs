//! PROXY headers: any octets, and what is known of the front stays known, whatever comes behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pillarbox_core::proxy::{V2_MAX, parse};

fuzz_target!(|data: &[u8]| {
    let known = parse(data);
    let cut = data.first().map_or(0, |first| usize::from(*first) * data.len() / 256);
    match parse(&data[..cut]) {
        Ok(None) => assert!(cut < V2_MAX, "more is wanted than a header may have"),
        early => assert_eq!(early, known),
    }
});
