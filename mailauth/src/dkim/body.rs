//! Bodies in the form that is signed, while they arrive (RFC 6376 §3.4.3, §3.4.4), and the hashes over them.

use alloc::boxed::Box;
use alloc::vec::Vec;

use pillarbox_core::crypto::{Crypto, CryptoError, Digest, HashAlgorithm};

use super::Canonicalization;
use super::white_space::{BLOCK, Blocks, Compactor, is_space};

/// Octets without a change that are worth a run of their own.
const LENT_MIN: usize = 128;

/// Brings a body into a form, in slices of any cut. What does not change is lent on without a copy, in runs as long as they
/// can be.
///
/// Line ends are CRLF; a bare CR or LF is an octet as any other.
///
/// ```
/// use pillarbox_auth::dkim::{BodyCanonicalizer, Canonicalization};
///
/// let mut canonicalizer = BodyCanonicalizer::new(Canonicalization::Relaxed);
/// let mut body = Vec::new();
/// canonicalizer.write(b" C \r\nD \t", |run| body.extend_from_slice(run));
/// canonicalizer.write(b" E\r\n\r\n \r\n", |run| body.extend_from_slice(run));
/// canonicalizer.finish(|run| body.extend_from_slice(run));
/// assert_eq!(body, b" C\r\nD E\r\n");
/// ```
#[derive(Clone, Debug)]
pub struct BodyCanonicalizer {
    form: Canonicalization,
    /// Line ends that were not passed on yet, as they may be the empty lines at the end.
    line_ends: u64,
    /// White space that was not passed on yet, as a line may end behind it.
    space: bool,
    /// A CR that may belong to a line end.
    cr: bool,
    empty: bool,
}

/// Line ends that are passed on in one run, and the space that may follow them.
const HELD_BACK: [u8; 129] = {
    let mut octets = [b'\r'; 129];
    let mut at = 1;
    while at < octets.len() {
        octets[at] = b'\n';
        at += 2;
    }
    octets[128] = b' ';
    octets
};

impl BodyCanonicalizer {
    /// At the start of a body.
    pub const fn new(form: Canonicalization) -> Self {
        BodyCanonicalizer { form, line_ends: 0, space: false, cr: false, empty: true }
    }

    /// Takes the next octets of the body and gives what is certain by now.
    pub fn write(&mut self, slice: &[u8], mut run: impl FnMut(&[u8])) {
        let mut blocks = Blocks::new(slice);
        let mut compactor = None;
        // Whether the octets before are put together already.
        let mut compacted = false;
        let mut at = 0;
        while let Some(&first) = slice.get(at) {
            if self.cr {
                self.cr = false;
                if first == b'\n' {
                    self.space = false;
                    self.line_ends += 1;
                    at += 1;
                } else {
                    self.flush(&mut run);
                    run(b"\r");
                }
                continue;
            }
            if self.form == Canonicalization::Simple {
                return self.pass_on(&slice[at..], &mut run);
            }
            if is_space(first) {
                at += slice[at..].iter().position(|octet| !is_space(*octet)).unwrap_or(slice.len() - at);
                // A space that is followed by a word is lent with the word.
                self.space = slice[at - 1] != b' ' || slice.get(at).is_none_or(|next| *next <= b' ');
                if self.space {
                    continue;
                }
                at -= 1;
            } else if self.space && first == b'\r' {
                self.cr = true;
                at += 1;
                continue;
            }
            let end = blocks.next_irregular(at);
            compacted = !compacted && end - at < LENT_MIN && slice.len() - at >= Compactor::WINDOW;
            if compacted {
                let compactor = compactor.get_or_insert_with(Compactor::new);
                at += self.compact(&slice[at..], compactor, &mut run);
            } else {
                self.pass_on(&slice[at..end], &mut run);
                at = end;
            }
        }
    }

    /// Passes on what has much white space in it, put together in a buffer: a hash takes one long piece in less time than many
    /// short ones. Gives how many octets it took.
    fn compact(&mut self, slice: &[u8], compactor: &mut Compactor, run: &mut impl FnMut(&[u8])) -> usize {
        let (mut at, mut unchanged) = (0, 0);
        while unchanged < LENT_MIN
            && let Some(window) = slice[at..].first_chunk()
        {
            unchanged = if compactor.take(window) { 0 } else { unchanged + BLOCK };
            at += BLOCK;
            if compactor.is_full() {
                self.pass_on(compactor.octets(), run);
                compactor.clear();
                if core::mem::take(&mut self.cr) {
                    compactor.push(b'\r');
                }
            }
        }
        self.pass_on(compactor.octets(), run);
        compactor.clear();
        at
    }

    /// The body has ended.
    pub fn finish(mut self, mut run: impl FnMut(&[u8])) {
        if self.cr {
            self.flush(&mut run);
            run(b"\r");
        }
        // RFC 6376 §3.4.3, §3.4.4: one line end at the end, whether there was none or many. An empty body is one in the
        // simple form, and nothing in the relaxed one.
        if !self.empty || self.form == Canonicalization::Simple {
            run(b"\r\n");
        }
    }

    /// Passes on octets that need no change, but for the line ends behind them.
    fn pass_on(&mut self, octets: &[u8], run: &mut impl FnMut(&[u8])) {
        let mut octets = octets;
        if let Some(before) = octets.strip_suffix(b"\r") {
            self.cr = true;
            octets = before;
        }
        let mut line_ends = 0;
        while let Some(before) = octets.strip_suffix(b"\r\n") {
            line_ends += 1;
            octets = before;
        }
        if !octets.is_empty() {
            self.flush(run);
            run(octets);
        }
        self.line_ends += line_ends;
    }

    /// Passes on what was held back, as something follows it.
    fn flush(&mut self, run: &mut impl FnMut(&[u8])) {
        self.empty = false;
        const LINE_ENDS_MAX: u64 = 64;
        while self.line_ends > LINE_ENDS_MAX {
            run(&HELD_BACK[..128]);
            self.line_ends -= LINE_ENDS_MAX;
        }
        let start = 128 - 2 * usize::try_from(self.line_ends).expect("they are no more than 64");
        let end = 128 + usize::from(self.space);
        if start < end {
            run(&HELD_BACK[start..end]);
        }
        self.line_ends = 0;
        self.space = false;
    }
}

/// The hashes of one body: each canonicalisation is made once, each distinct (canonicalisation, length) is hashed once.
#[derive(Debug, Default)]
pub(crate) struct BodyHashes {
    forms: Vec<Form>,
}

#[derive(Debug)]
struct Form {
    form: Canonicalization,
    canonicalizer: Option<BodyCanonicalizer>,
    hashed: Hashed,
}

/// A body in one form, on its way into hashes.
#[derive(Debug)]
struct Hashed {
    /// Octets of the body.
    size: u64,
    hashes: Vec<Hash>,
}

#[derive(Debug)]
struct Hash {
    /// Octets that are hashed; `u64::MAX` stands for all.
    length: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Open(Box<dyn Digest>),
    Finished(Vec<u8>),
}

/// Names a hash among those of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyHashId {
    form: usize,
    hash: usize,
}

impl BodyHashes {
    /// Asks for a SHA-256 over the body in a form, or over its first `length` octets. Before the first octet.
    pub(crate) fn want(
        &mut self,
        crypto: &dyn Crypto,
        form: Canonicalization,
        length: Option<u64>,
    ) -> Result<BodyHashId, CryptoError> {
        let at = self.forms.iter().position(|other| other.form == form).unwrap_or_else(|| {
            let canonicalizer = Some(BodyCanonicalizer::new(form));
            self.forms.push(Form { form, canonicalizer, hashed: Hashed { size: 0, hashes: Vec::new() } });
            self.forms.len() - 1
        });
        let hashes = &mut self.forms[at].hashed.hashes;
        let length = length.unwrap_or(u64::MAX);
        let hash = match hashes.iter().position(|other| other.length == length) {
            Some(hash) => hash,
            None => {
                hashes.push(Hash { length, state: State::Open(crypto.start_digest(HashAlgorithm::Sha256)?) });
                hashes.len() - 1
            }
        };
        Ok(BodyHashId { form: at, hash })
    }

    /// Takes the next octets of the body.
    pub(crate) fn write(&mut self, slice: &[u8]) {
        for Form { canonicalizer, hashed, .. } in &mut self.forms {
            if let Some(canonicalizer) = canonicalizer {
                canonicalizer.write(slice, |run| hashed.take(run));
            }
        }
    }

    /// The body has ended.
    pub(crate) fn finish(&mut self) {
        for Form { canonicalizer, hashed, .. } in &mut self.forms {
            if let Some(canonicalizer) = canonicalizer.take() {
                canonicalizer.finish(|run| hashed.take(run));
                hashed.finish();
            }
        }
    }

    /// A hash, and how many octets the whole body has in its form. After [`finish`](BodyHashes::finish); before it, no hash.
    pub(crate) fn result(&self, id: BodyHashId) -> (&[u8], u64) {
        let Hashed { size, hashes, .. } = &self.forms[id.form].hashed;
        match &hashes[id.hash].state {
            State::Finished(hash) => (hash, *size),
            State::Open(_) => (&[], *size),
        }
    }
}

impl Hashed {
    /// Hashes the next octets.
    fn take(&mut self, run: &[u8]) {
        for Hash { length, state } in &mut self.hashes {
            let room = usize::try_from(length.saturating_sub(self.size)).unwrap_or(usize::MAX).min(run.len());
            if let (State::Open(digest), 1..) = (state, room) {
                digest.update(&run[..room]);
            }
        }
        self.size = self.size.saturating_add(run.len() as u64);
    }

    fn finish(&mut self) {
        for hash in &mut self.hashes {
            if let State::Open(digest) = core::mem::replace(&mut hash.state, State::Finished(Vec::new())) {
                hash.state = State::Finished(digest.finish());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn canonical<'a>(form: Canonicalization, slices: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
        let mut body = Vec::new();
        let mut canonicalizer = BodyCanonicalizer::new(form);
        for slice in slices {
            canonicalizer.write(slice, |run| body.extend_from_slice(run));
        }
        canonicalizer.finish(|run| body.extend_from_slice(run));
        body
    }

    /// The words of RFC 6376 §3.4.3 and §3.4.4, one after another.
    fn model(form: Canonicalization, body: &[u8]) -> Vec<u8> {
        let mut lines = vec![Vec::new()];
        let mut at = 0;
        while at < body.len() {
            if body[at..].starts_with(b"\r\n") {
                lines.push(Vec::new());
                at += 2;
            } else {
                lines.last_mut().unwrap().push(body[at]);
                at += 1;
            }
        }
        if form == Canonicalization::Relaxed {
            for line in &mut lines {
                while line.last().is_some_and(|octet| is_space(*octet)) {
                    line.pop();
                }
                for octet in line.iter_mut().filter(|octet| **octet == b'\t') {
                    *octet = b' ';
                }
                line.dedup_by(|a, b| *a == b' ' && *b == b' ');
            }
        }
        while lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        if lines.is_empty() && form == Canonicalization::Simple {
            return b"\r\n".to_vec();
        }
        lines.into_iter().flat_map(|line| [line, b"\r\n".to_vec()].concat()).collect()
    }

    #[test]
    fn bodies_of_the_rfc() {
        // RFC 6376 §3.4.5
        let body = b" C \r\nD \t E\r\n\r\n\r\n";
        assert_eq!(canonical(Canonicalization::Simple, [&body[..]]), b" C \r\nD \t E\r\n");
        assert_eq!(canonical(Canonicalization::Relaxed, [&body[..]]), b" C\r\nD E\r\n");
        for (body, simple, relaxed) in [
            (&b""[..], &b"\r\n"[..], &b""[..]),
            (b"\r\n\r\n", b"\r\n", b""),
            (b" \r\n\t\r\n", b" \r\n\t\r\n", b""),
            (b"a", b"a\r\n", b"a\r\n"),
            (b"a \t", b"a \t\r\n", b"a\r\n"),
            (b"a\r\n ", b"a\r\n \r\n", b"a\r\n"),
            (b"a\r\n \r\nb", b"a\r\n \r\nb\r\n", b"a\r\n\r\nb\r\n"),
            (b"a\n", b"a\n\r\n", b"a\n\r\n"),
            (b"a \n", b"a \n\r\n", b"a \n\r\n"),
            (b"a\r", b"a\r\r\n", b"a\r\r\n"),
            (b"a \r\r\n", b"a \r\r\n", b"a \r\r\n"),
        ] {
            assert_eq!(canonical(Canonicalization::Simple, [body]), simple, "{body:?}");
            assert_eq!(canonical(Canonicalization::Relaxed, [body]), relaxed, "{body:?}");
        }
    }

    #[test]
    fn many_line_ends_are_passed_on_when_something_follows() {
        let body = [b"a".to_vec(), b"\r\n".repeat(1000), b"b\r\n".to_vec()].concat();
        for form in [Canonicalization::Simple, Canonicalization::Relaxed] {
            assert_eq!(canonical(form, [&body[..]]), body);
            assert_eq!(canonical(form, body.chunks(1)), body);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Any body in any cut comes out as the model says.
        #[test]
        fn the_obvious_reading(
            body in prop_oneof![
                prop::collection::vec(prop::sample::select(&b"\r\n \ta"[..]), 0..40),
                // Long enough for blocks, with something to find in few of them.
                prop::collection::vec(prop_oneof![
                    30 => Just(&b"words and "[..]), 1 => Just(&b"  "[..]), 1 => Just(&b"\t"[..]), 2 => Just(&b"\r\n"[..]),
                    1 => Just(&b" \r\n"[..]), 1 => Just(&b"\r"[..]), 1 => Just(&b"\n"[..]),
                ], 0..60).prop_map(|parts| parts.concat()),
            ],
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        ) {
            let mut cuts = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect::<Vec<_>>();
            cuts.extend([0, body.len()]);
            cuts.sort_unstable();
            for form in [Canonicalization::Simple, Canonicalization::Relaxed] {
                let slices = cuts.windows(2).map(|cut| &body[cut[0]..cut[1]]);
                prop_assert_eq!(canonical(form, slices), model(form, &body));
                prop_assert_eq!(canonical(form, body.chunks(1)), model(form, &body));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// So much white space that it is put together, buffer after buffer, and runs that are lent between.
        #[test]
        fn the_obvious_reading_of_much(
            parts in prop::collection::vec(prop::sample::select(vec![
                "  word", "  word", "  word", "\r\n      ", "\r\n      ", "\t\tx \t", " \r\n\r\n", " \rx", "\r", "\n",
            ]), 0..200),
            long in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&b"x \r\n"[..]), 60..600_usize), 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut body = parts.concat().into_bytes();
            for (at, octet, count) in long {
                let at = at.index(body.len() + 1);
                body.splice(at..at, core::iter::repeat_n(octet, count));
            }
            let (first, second) = body.split_at(cut.index(body.len() + 1));
            let form = Canonicalization::Relaxed;
            prop_assert_eq!(canonical(form, [first, second]), model(form, &body));
        }
    }
}
