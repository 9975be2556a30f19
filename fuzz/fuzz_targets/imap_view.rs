//! The view: whatever happens in a mailbox, and whenever clients are told, each can rebuild the mailbox.
#![no_main]

#[path = "../../imap-proto/tests/view.rs"]
#[allow(dead_code, unused_imports, reason = "its tests are not built here")]
mod view;

use libfuzzer_sys::fuzz_target;
use pillarbox_core::Random;

/// Chances taken from the input; nothing but zeros behind its end.
struct Chances<'b>(&'b [u8]);

impl Random for Chances<'_> {
    fn next_u64(&mut self) -> u64 {
        let Some((&octet, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        octet.into()
    }

    fn fill(&mut self, buffer: &mut [u8]) {
        buffer.iter_mut().for_each(|octet| *octet = self.next_u64() as u8);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&flags_max, chances)) = data.split_first() else { return };
    // An operation takes two chances or more.
    view::play(&mut Chances(chances), chances.len() / 2, usize::from(flags_max) + 1);
});
