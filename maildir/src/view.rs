//! The messages that a mailbox shows, by rising UID.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;

use crate::file_name::{self, Form, Sizes};
use crate::lines::{Fields, Lines};
use crate::listing::Found;
use crate::{Flags, Maildir, Uid};

/// Rows over the lines of a UID list. A message takes 12 octets beside its line.
#[derive(Debug, Default)]
pub(crate) struct View {
    lines: Lines,
    rows: Vec<Row>,
    /// The second parts of file names that are odd.
    odd: HashMap<Uid, Box<[u8]>>,
    /// Rows that wait to be dropped.
    dropped: usize,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    line: u32,
    /// `None` once it is dropped.
    found: Option<Found>,
}

/// A message's file, as it was when somebody last looked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MessageFile<'a> {
    pub(crate) uid: Uid,
    pub(crate) base: &'a [u8],
    fields: Fields<'a>,
    pub(crate) found: Found,
    odd: Option<&'a [u8]>,
}

impl<'a> MessageFile<'a> {
    /// The second part of its name.
    pub(crate) fn info(&self) -> Cow<'a, [u8]> {
        self.found.info(self.odd)
    }

    /// Both sizes, if name or line tell them. They may have been true once.
    pub(crate) fn sizes(&self) -> Option<Sizes> {
        self.fields.sizes(self.base)
    }

    /// What names the message in every mailbox that it is copied to: as Dovecot has it, the name that it had first.
    pub(crate) fn guid(&self) -> &'a [u8] {
        self.fields.value(b'G').filter(|guid| !guid.is_empty()).unwrap_or(self.base)
    }

    pub(crate) fn flags(&self) -> Flags {
        self.found.flags
    }

    pub(crate) fn path(&self, maildir: &Maildir) -> PathBuf {
        maildir.dir(self.found.dir.name()).join(file_name::join(self.base, &self.info()))
    }
}

impl View {
    /// A view of these lines, with nothing in it.
    pub(crate) fn of(lines: &Lines, room: usize) -> Self {
        View { lines: lines.clone(), rows: Vec::with_capacity(room), ..View::default() }
    }

    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Goes over to a list that has grown.
    pub(crate) fn grow(&mut self, lines: &Lines) {
        debug_assert!(self.lines.is_kin(lines), "numbers of lines say nothing about another list");
        self.lines = lines.clone();
    }

    /// Adds a message; its line is behind those of all others.
    pub(crate) fn push(&mut self, line: u32, found: Found, odd: Option<&[u8]>) {
        if self.rows.len() == self.rows.capacity() {
            // A doubling would cost a large mailbox as much as it holds.
            self.rows.reserve_exact(self.rows.len() / 8 + 8);
        }
        if let Some(odd) = odd.filter(|_| found.form == Form::Odd) {
            self.odd.insert(self.lines.uid(line), odd.into());
        }
        self.rows.push(Row { line, found: Some(found) });
    }

    /// All messages. Nothing may wait to be dropped.
    pub(crate) fn files(&self) -> impl ExactSizeIterator<Item = MessageFile<'_>> + DoubleEndedIterator {
        debug_assert_eq!(self.dropped, 0, "swept after each change");
        self.rows.iter().map(|row| self.file(row, row.found.expect("none is dropped")))
    }

    pub(crate) fn find(&self, uid: Uid) -> Option<MessageFile<'_>> {
        let row = &self.rows[self.place(uid)?];
        Some(self.file(row, row.found?))
    }

    /// The message of a line, by the line's number.
    pub(crate) fn lines_shown(&self) -> impl Iterator<Item = u32> {
        self.rows.iter().filter(|row| row.found.is_some()).map(|row| row.line)
    }

    /// The file has another name.
    pub(crate) fn rename(&mut self, uid: Uid, found: Found, info: &[u8]) {
        let Some(place) = self.place(uid) else { return };
        let row = &mut self.rows[place];
        if row.found.replace(found).is_some_and(|old| old.form == Form::Odd) {
            self.odd.remove(&uid);
        }
        if found.form == Form::Odd {
            self.odd.insert(uid, info.into());
        }
    }

    /// The file is gone. [`sweep`](View::sweep) when all are told.
    pub(crate) fn drop_row(&mut self, uid: Uid) {
        if let Some(place) = self.place(uid)
            && self.rows[place].found.take().is_some()
        {
            self.dropped += 1;
            self.odd.remove(&uid);
        }
    }

    pub(crate) fn sweep(&mut self) {
        if self.dropped > 0 {
            self.rows.retain(|row| row.found.is_some());
            self.dropped = 0;
        }
    }

    fn file(&self, row: &Row, found: Found) -> MessageFile<'_> {
        let uid = self.lines.uid(row.line);
        let odd = if found.form == Form::Odd { self.odd.get(&uid).map(|odd| &odd[..]) } else { None };
        let (base, fields) = (self.lines.base(row.line), self.lines.fields(row.line));
        MessageFile { uid, base, fields, found, odd }
    }

    fn place(&self, uid: Uid) -> Option<usize> {
        self.rows.binary_search_by_key(&uid, |row| self.lines.uid(row.line)).ok()
    }
}
