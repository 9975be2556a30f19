//! Records that are shared: a cache hands the same ones out again and again.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Name, Record};

/// The records of one name and kind. A clone shares them and copies nothing.
///
/// ```
/// use pillarbox_core::dns::{Record, RecordSet};
///
/// let set = RecordSet::new("example.org".parse()?, 3600, vec![Record::txt("v=spf1 mx -all")]);
/// assert_eq!(set.records()[0].text(), Some(&b"v=spf1 mx -all"[..]));
/// let older = set.clone().with_ttl(3540);
/// assert_eq!((set.ttl(), older.ttl()), (3600, 3540));
/// # Ok::<(), pillarbox_core::dns::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSet {
    /// Apart from what is shared, as it grows less while that is kept.
    ttl: u32,
    shared: Arc<Shared>,
}

#[derive(Debug, PartialEq, Eq)]
struct Shared {
    owner: Name,
    records: Vec<Record>,
}

impl RecordSet {
    /// Records, at least one, and the seconds that they may be kept: there is one number for all of them (RFC 2181 §5.2).
    pub fn new(owner: Name, ttl: u32, records: Vec<Record>) -> Self {
        RecordSet { ttl, shared: Arc::new(Shared { owner, records }) }
    }

    /// The same records, to be kept for another number of seconds.
    #[must_use]
    pub fn with_ttl(self, ttl: u32) -> Self {
        RecordSet { ttl, ..self }
    }

    /// The name that they belong to, after all aliases.
    pub fn owner(&self) -> &Name {
        &self.shared.owner
    }

    /// The records.
    pub fn records(&self) -> &[Record] {
        &self.shared.records
    }

    /// How many seconds they may be kept.
    pub const fn ttl(&self) -> u32 {
        self.ttl
    }
}
