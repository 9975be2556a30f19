//! Where the last record of each message begins.

use crate::Uid;

/// Eight octets a message, by rising UID.
#[derive(Debug, Default)]
pub(super) struct Table(Vec<(Uid, u32)>);

impl Table {
    pub(super) fn find(&self, uid: Uid) -> Option<u32> {
        let place = self.0.binary_search_by_key(&uid, |(known, _)| *known).ok()?;
        Some(self.0[place].1)
    }

    /// Takes in places in the order of the file. At the end of the table that costs what it adds; what is for messages
    /// further up costs a pass over the table, once for all of it.
    pub(super) fn add(&mut self, mut new: Vec<(Uid, u32)>) {
        // Stable, so that of several the last one stays last.
        new.sort_by_key(|(uid, _)| *uid);
        keep_last(&mut new);
        let in_order = self.0.last().is_none_or(|last| new.first().is_none_or(|first| first.0 > last.0));
        if self.0.capacity() - self.0.len() < new.len() {
            // A doubling would cost a large mailbox as much as it holds.
            self.0.reserve_exact(new.len() + self.0.len() / 8);
        }
        self.0.append(&mut new);
        if !in_order {
            self.0.sort_by_key(|(uid, _)| *uid);
            keep_last(&mut self.0);
        }
    }
}

/// Of neighbours with one UID.
fn keep_last(places: &mut Vec<(Uid, u32)>) {
    places.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            *kept = *later;
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn the_last_place_counts(batches in proptest::collection::vec(proptest::collection::vec((1..40u32, any::<u32>()), 0..12), 0..8)) {
            let (mut table, mut map) = (Table::default(), BTreeMap::new());
            for batch in batches {
                let batch: Vec<_> = batch.into_iter().map(|(uid, at)| (Uid::new(uid).unwrap(), at)).collect();
                map.extend(batch.iter().copied());
                table.add(batch);
                for uid in 1..40 {
                    let uid = Uid::new(uid).unwrap();
                    prop_assert_eq!(table.find(uid), map.get(&uid).copied());
                }
            }
        }
    }
}
