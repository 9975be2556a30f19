//! The lines of a UID list in memory, shared by the list and the views that were made from it.

use std::sync::Arc;

use crate::Uid;
use crate::chunks::Chunks;
use crate::file_name::{self, Sizes, whole_number};

/// Keys and values of a line, each a letter and text up to a space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn value(self, key: u8) -> Option<&'a [u8]> {
        let mut fields = self.0.split(|octet| *octet == b' ');
        fields.find_map(|field| field.split_first().filter(|(first, _)| **first == key)).map(|(_, value)| value)
    }

    /// Both sizes, from the name where it tells them, and otherwise from the line.
    pub(crate) fn sizes(self, base: &[u8]) -> Option<Sizes> {
        let (file, message) = file_name::sizes(base);
        let field = |key| whole_number(self.value(key)?);
        Some(Sizes { file: file.or_else(|| field(b'S'))?, message: message.or_else(|| field(b'W'))? })
    }
}

/// Lines by rising UID, some of them dead. Each has a number, which it keeps while the list grows.
///
/// A line takes 12 octets and its text. A clone shares all of that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    texts: Chunks<u8, TEXT>,
    rows: Chunks<Row, 1024>,
    /// Two values with the same one number the lines that both have alike.
    lineage: Arc<()>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    uid: Uid,
    /// Where the fields begin; the name stands behind them.
    start: u32,
    fields: u16,
    /// 0: the line is dead.
    base: u16,
}

const TEXT: usize = 1 << 16;

impl Lines {
    /// How many there are, dead ones included.
    pub(crate) fn len(&self) -> u32 {
        self.rows.len() as u32
    }

    /// Adds a line, whose UID must be above all others. False if it is longer than any that names a file.
    pub(crate) fn push(&mut self, uid: Uid, fields: &[u8], base: &[u8]) -> bool {
        if fields.len() + base.len() >= TEXT {
            return false;
        }
        let start = self.texts.append(&[fields, base]);
        // A list of the greatest size that is read fills a fraction of this.
        let Ok(start) = u32::try_from(start) else { return false };
        self.rows.append(&[&[Row { uid, start, fields: fields.len() as u16, base: base.len() as u16 }]]);
        true
    }

    /// Marks a line as dead: it has no name any more.
    pub(crate) fn kill(&mut self, line: u32) {
        self.rows.get_mut(line as usize).base = 0;
    }

    /// Drops the lines from this one on. Others may get their numbers.
    pub(crate) fn truncate(&mut self, line: u32) {
        self.rows.truncate(line as usize);
        self.lineage = Arc::default();
    }

    fn row(&self, line: u32) -> Row {
        self.rows.slice(line as usize, 1)[0]
    }

    pub(crate) fn uid(&self, line: u32) -> Uid {
        self.row(line).uid
    }

    /// The first part of the file's name; empty if the line is dead.
    pub(crate) fn base(&self, line: u32) -> &[u8] {
        let row = self.row(line);
        self.texts.slice(row.start as usize + usize::from(row.fields), usize::from(row.base))
    }

    pub(crate) fn is_dead(&self, line: u32) -> bool {
        self.row(line).base == 0
    }

    /// Keys and values before the name, each with a space behind it.
    pub(crate) fn fields(&self, line: u32) -> Fields<'_> {
        let row = self.row(line);
        Fields(self.texts.slice(row.start as usize, usize::from(row.fields)))
    }

    /// The first line with a UID from `uid` on.
    pub(crate) fn first_from(&self, uid: u32) -> u32 {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.uid(middle).get() < uid {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Lines that both have are the same, except that some may be dead in one.
    pub(crate) fn is_kin(&self, other: &Lines) -> bool {
        Arc::ptr_eq(&self.lineage, &other.lineage)
    }
}
