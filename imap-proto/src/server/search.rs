//! SEARCH.

use alloc::boxed::Box;

use super::read::Served;
use super::reply::End;
use super::session::{Asked, Standing};
use super::{Event, ServerSession};
use crate::search::Query;
use crate::types::Uid;
use crate::wire::encode::push;
use crate::wire::parse::SearchKey;

impl ServerSession {
    /// RFC 9051 §6.4.4
    pub(super) fn search<'b>(&mut self, key: Option<SearchKey>, uid: bool) -> Served<'b> {
        // RFC 3501 §6.4.4
        let unknown =
            || End { code: Some("BADCHARSET (US-ASCII UTF-8)".into()), ..End::no_such("Unknown character set") };
        let query = self.query(key.ok_or_else(unknown)?)?;
        Ok(self.ask(Asked::Search { uid, open: false }, Event::Search(query)))
    }

    /// The key with its numbers resolved. The parser limited the depth.
    fn query(&mut self, key: SearchKey) -> Result<Query, End> {
        Ok(match key {
            SearchKey::Query(query) => query,
            SearchKey::Seqs(set) => Query::Uids(self.resolve(&set, false)?),
            SearchKey::Uids(set) => Query::Uids(self.resolve(&set, true)?),
            SearchKey::And(keys) => Query::And(keys.into_iter().map(|key| self.query(key)).collect::<Result<_, _>>()?),
            SearchKey::Or(one, other) => Query::Or(Box::new(self.query(*one)?), Box::new(self.query(*other)?)),
            SearchKey::Not(key) => Query::Not(Box::new(self.query(*key)?)),
        })
    }

    /// Messages were found. `open`: the line has begun.
    pub(super) fn found(&mut self, uids: &[Uid], uid: bool, open: bool) {
        let Standing::Selected { mailbox, .. } = &self.standing else { return };
        let out = self.out.end();
        if !open {
            // RFC 3501 §7.2.5
            out.extend_from_slice(b"* SEARCH");
        }
        for &found in uids {
            match mailbox.view.seq(found) {
                Some(_) if uid => push(out, format_args!(" {found}")),
                Some(seq) => push(out, format_args!(" {seq}")),
                // The client was not told of it yet.
                None => {}
            }
        }
    }
}
