//! One piece of many messages, read in the order of the file.

use super::record::{self, Begins};
use super::scan::Window;
use crate::store::lock;
use crate::{Mailbox, Uid};

/// Where the records that are wanted lie farther apart on average, each is read by itself.
const APART: u64 = 8 << 10;

impl Mailbox {
    /// One piece of each of these messages, in their order; `None` where it was not kept. As [`cached`](Mailbox::cached), and for
    /// many messages several times as fast: the file is read in large pieces, and nothing else of its records is copied.
    pub fn cached_piece(&mut self, uids: &[Uid], kind: u8, name: &[u8]) -> Vec<Option<Vec<u8>>> {
        self.look_at_cache();
        let mut found: Vec<Option<Vec<u8>>> = vec![None; uids.len()];
        let Some(open) = &self.cache.open else { return found };
        let mut places: Vec<(u32, usize)> =
            uids.iter().zip(0..).filter_map(|(uid, at)| Some((open.table.find(*uid)?, at))).collect();
        places.sort_unstable();
        let (Some((first, _)), Some((last, _))) = (places.first(), places.last()) else { return found };
        if u64::from(last - first) / places.len() as u64 > APART {
            for (uid, found) in uids.iter().zip(&mut found) {
                *found = self.cached_now(*uid).and_then(|pieces| pieces.find(kind, name).map(<[u8]>::to_vec));
            }
            return found;
        }
        let file = lock(&open.file);
        let mut window = Window::new(&file, u64::from(*first), open.len);
        for (place, at) in places {
            let Some(octets) = window.from(u64::from(place)) else { break };
            let Some(message) = self.view.find(uids[at]) else { continue };
            if let Begins::Record { len, uid } = record::begin(octets)
                && uid == uids[at]
                && let Some(mut pieces) = record::pieces(&octets[..len], record::key(message.base))
            {
                found[at] =
                    pieces.find(|piece| piece.kind == kind && piece.name == name).map(|piece| piece.octets.to_vec());
            }
        }
        found
    }
}
