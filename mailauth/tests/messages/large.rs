//! Messages that nobody holds: as large as is wanted, with as many signatures as are verified.

use std::sync::Arc;

use super::keys::{domain_key, ed25519, rsa};
use pillarbox_auth::RingCrypto;
use pillarbox_auth::dkim::{Canonicalization, SignOptions, Signer};

pub(crate) const NOW: u64 = 1_700_000_000;
pub(crate) const HEADER: &str = "From: Joe <joe@example.org>\r\nTo: ann@example.net\r\nSubject: dinner\r\n\
    MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n";
/// Octets that a message of any size may take.
pub(crate) const LIMIT: usize = 64 * 1024;

/// A body of so many MiB, in slices of 16 KiB that cost nothing here.
pub(crate) fn body(mebibytes: usize, mut write: impl FnMut(&[u8])) {
    static SLICE: [u8; 16 * 1024] = {
        let line = b"The quick brown fox jumps over the lazy dog, and goes on to do so till.\r\n\r\n";
        let mut slice = [0; 16 * 1024];
        let mut at = 0;
        while at < slice.len() {
            slice[at] = line[at % line.len()];
            at += 1;
        }
        slice
    };
    for _ in 0..mebibytes * 64 {
        write(&SLICE);
    }
}

/// Eight signatures of such a message in both forms, by keys of both kinds: what is verified of one at most. `watch` goes
/// around each signer.
pub(crate) fn eight_signatures(mebibytes: usize, mut watch: impl FnMut(&mut dyn FnMut())) -> String {
    let mut fields = String::new();
    for form in [Canonicalization::Simple, Canonicalization::Relaxed] {
        let mut options = SignOptions::default();
        (options.header, options.body) = (form, form);
        let keys = [("rsa", rsa()), ("sel", ed25519())];
        let keys = keys.iter().cycle().take(4).map(|(name, key)| domain_key("example.org", name, key.clone()));
        let (keys, mut signed) = (keys.collect::<Vec<_>>(), String::new());
        watch(&mut || {
            let mut signer = Signer::new(Arc::new(RingCrypto), keys.clone(), options.clone(), NOW);
            signer.write(HEADER.as_bytes());
            body(mebibytes, |slice| signer.write(slice));
            signed = signer.finish().unwrap();
        });
        fields.push_str(&signed);
    }
    fields
}
