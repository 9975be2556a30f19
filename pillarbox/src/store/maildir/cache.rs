//! What FETCH, SORT and THREAD computed, in the cache file of a folder.

use pillarbox_imap::types::Uid;
use pillarbox_maildir::{self as maildir, Examiner, Mailbox, MessageReader, Pieces, Progress};

use super::number;
use super::shared::Shared;
use crate::imap::pieces::compute;
use crate::parts::{Cached, Computed, Piece};

/// So many pieces are known to be asked for here, the latest first.
const ASKED_MAX: usize = 32;

/// Messages, from the last one on, whose pieces show what was asked for before this process looked.
const NEWEST: usize = 16;

/// So much of a message is read at a time.
const PIECE: usize = 64 << 10;

// Whoever changes what is computed of a message takes a new number here: a cache may have been filled by an older program.
const ENVELOPE: u8 = 16;
const BODY: u8 = 17;
const BODY_STRUCTURE: u8 = 18;
const FIELD: u8 = 19;
const HEADER_END: u8 = 20;
const PREVIEW: u8 = 23;
// 21 and 22 were keys before days without a time and unknown charsets counted as such.
const SORT_KEYS: u8 = 24;
const THREAD_KEYS: u8 = 25;

/// The kind and the name that a piece has in the file.
fn key(piece: &Piece) -> (u8, &[u8]) {
    match piece {
        Piece::Envelope => (ENVELOPE, b""),
        Piece::Body => (BODY, b""),
        Piece::BodyStructure => (BODY_STRUCTURE, b""),
        Piece::Field(name) => (FIELD, name.as_bytes()),
        Piece::HeaderEnd => (HEADER_END, b""),
        Piece::SortKeys => (SORT_KEYS, b""),
        Piece::ThreadKeys => (THREAD_KEYS, b""),
        Piece::Preview => (PREVIEW, b""),
    }
}

/// What a piece in the file is; `None` if it is none of ours.
fn piece(kind: u8, name: &[u8]) -> Option<Piece> {
    match kind {
        ENVELOPE => Some(Piece::Envelope),
        BODY => Some(Piece::Body),
        BODY_STRUCTURE => Some(Piece::BodyStructure),
        FIELD => Some(Piece::Field(std::str::from_utf8(name).ok()?.to_owned())),
        HEADER_END => Some(Piece::HeaderEnd),
        SORT_KEYS => Some(Piece::SortKeys),
        THREAD_KEYS => Some(Piece::ThreadKeys),
        PREVIEW => Some(Piece::Preview),
        _ => None,
    }
}

/// Computes anew what a cache keeps, for a check.
pub(super) struct Recomputing<F>(pub(super) F);

impl<F: FnMut(&Progress<'_>)> Examiner for Recomputing<F> {
    fn recompute(&mut self, message: &mut MessageReader, pieces: &Pieces) -> maildir::Result<Option<Pieces>> {
        // Memory for what is there, and not for what a name says.
        let (mut octets, mut buffer) = (Vec::new(), vec![0; PIECE]);
        loop {
            match message.read_at(octets.len() as u64, &mut buffer)? {
                0 => break,
                read => octets.extend_from_slice(&buffer[..read]),
            }
        }
        let kept: Vec<Piece> = pieces.iter().filter_map(|kept| piece(kept.kind, kept.name)).collect();
        let mut computed = Pieces::new();
        for (piece, text) in compute(kept.iter(), &octets) {
            let (kind, name) = key(&piece);
            computed.insert(kind, name, &text);
        }
        // Of kinds that a later program made nothing can be said.
        for other in pieces.iter().filter(|kept| piece(kept.kind, kept.name).is_none()) {
            computed.insert(other.kind, other.name, other.octets);
        }
        Ok(Some(computed))
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        (self.0)(progress);
    }
}

/// What is asked for in a folder.
#[derive(Default)]
pub(super) struct Asked {
    pieces: Vec<Piece>,
    looked: bool,
}

impl Asked {
    /// Notes what is wanted now, and returns what was wanted before.
    fn note(&mut self, view: &mut Mailbox, wanted: &[Piece]) -> Vec<Piece> {
        if !std::mem::replace(&mut self.looked, true) {
            let newest: Vec<_> = view.messages().rev().take(NEWEST).map(|message| message.uid).collect();
            let known = view.cached(&newest).into_iter().flatten().next().unwrap_or_default();
            self.pieces = known.iter().filter_map(|known| piece(known.kind, known.name)).take(ASKED_MAX).collect();
        }
        let before = self.pieces.clone();
        self.pieces.retain(|piece| !wanted.contains(piece));
        self.pieces.splice(0..0, wanted.iter().cloned());
        self.pieces.truncate(ASKED_MAX);
        before
    }
}

impl Shared {
    pub(super) fn cached(&self, uids: &[Uid], wanted: &[Piece]) -> Cached {
        let mut view = self.view();
        let also = self.asked().note(&mut view, wanted);
        let uids: Vec<_> = uids.iter().copied().map(number).collect();
        if let [only] = wanted {
            let (kind, name) = key(only);
            let found = view.cached_piece(&uids, kind, name).into_iter();
            return Cached::new(found.map(|piece| piece.map(|octets| vec![octets])).collect(), also);
        }
        let all = |pieces: Pieces| {
            wanted
                .iter()
                .map(|piece| {
                    let (kind, name) = key(piece);
                    pieces.find(kind, name).map(<[u8]>::to_vec)
                })
                .collect()
        };
        Cached::new(view.cached(&uids).into_iter().map(|pieces| pieces.and_then(all)).collect(), also)
    }

    pub(super) fn remember(&self, computed: Vec<Computed>) {
        let pieces = computed.into_iter().map(|(uid, computed)| {
            let mut pieces = Pieces::new();
            for (piece, octets) in computed {
                let (kind, name) = key(&piece);
                pieces.insert(kind, name, &octets);
            }
            (number(uid), pieces)
        });
        let pieces: Vec<_> = pieces.collect();
        self.view().remember(&pieces);
    }
}
