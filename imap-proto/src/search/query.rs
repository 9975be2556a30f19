//! What a SEARCH command asks.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::WallTime;

use crate::types::{Flag, ObjectId, UidSet};

/// A search key (`search-key` in RFC 9051 §9), in the fewest words: what is shorthand in the protocol is spelled out.
///
/// | key | query |
/// |---|---|
/// | `SEEN`, `UNSEEN`, `KEYWORD x`, `UNKEYWORD x` | [`Flag`](Query::Flag), within [`Not`](Query::Not) for the negative ones |
/// | `RECENT`, `OLD`, `NEW` | `Flag(Flag::Recent)`, its negation, and both that and not `\Seen` |
/// | `FROM x`, `TO x`, `CC x`, `BCC x`, `SUBJECT x` | [`Header`](Query::Header) of that name |
/// | `2,4:7`, `UID 2,4:7`, `$` | [`Uids`](Query::Uids), after the view resolved the numbers |
/// | several keys | [`And`](Query::And) |
///
/// Texts are in UTF-8: whoever parses the command converts them from its CHARSET.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Query {
    /// Every message.
    All,
    /// Messages that match all of these; all messages if there are none.
    And(Vec<Query>),
    /// Messages that match one or both.
    Or(Box<Query>, Box<Query>),
    /// Messages that do not match.
    Not(Box<Query>),
    /// Messages with these UIDs.
    Uids(UidSet),
    /// Messages with this flag or keyword.
    Flag(Flag),
    /// INTERNALDATE before the day. Time and zone are disregarded, here and in the other date keys (RFC 9051 §6.4.4).
    Before(Date),
    /// INTERNALDATE within the day.
    On(Date),
    /// INTERNALDATE within the day or later.
    Since(Date),
    /// Date field before the day. A message without a readable Date field counts as sent in 1970, as Dovecot has it.
    SentBefore(Date),
    /// Date field within the day.
    SentOn(Date),
    /// Date field within the day or later.
    SentSince(Date),
    /// More octets than this.
    Larger(u64),
    /// Fewer octets than this.
    Smaller(u64),
    /// A field of this name whose decoded value contains the text; with an empty text, any field of this name.
    Header {
        /// The field name, compared without case.
        name: String,
        /// The text to find.
        text: String,
    },
    /// The decoded body contains the text.
    Body(String),
    /// The decoded header or body contains the text.
    Text(String),
    /// INTERNALDATE this many seconds ago or longer (RFC 5032).
    Older(u32),
    /// INTERNALDATE less than or exactly this many seconds ago (RFC 5032).
    Younger(u32),
    /// The message's mod-sequence is at least this (RFC 7162 §3.1.5).
    ModSeq(u64),
    /// The message has this EMAILID (RFC 8474 §6).
    EmailId(ObjectId),
    /// The message has this THREADID (RFC 8474 §6).
    ThreadId(ObjectId),
    /// The message came into the mailbox before the day. Where that is not known INTERNALDATE counts instead, here and in the
    /// next two (RFC 8514 §4.3).
    SavedBefore(Date),
    /// The message came into the mailbox within the day.
    SavedOn(Date),
    /// The message came into the mailbox within the day or later.
    SavedSince(Date),
    /// It is known when the message came into the mailbox.
    SaveDateSupported,
}

impl Query {
    /// Whether a message may come to match, or cease to, by the time that passes: OLDER and YOUNGER (RFC 5032).
    pub(crate) fn depends_on_time(&self) -> bool {
        match self {
            Query::Older(_) | Query::Younger(_) => true,
            Query::And(all) => all.iter().any(Query::depends_on_time),
            Query::Or(one, other) => one.depends_on_time() || other.depends_on_time(),
            Query::Not(query) => query.depends_on_time(),
            _ => false,
        }
    }

    /// The messages that a query can match at most, by the sets that all of it is limited to; `None`: any. Whoever looks at messages
    /// one by one need not look at others.
    ///
    /// ```
    /// use pillarbox_imap::search::Query;
    /// use pillarbox_imap::types::{Flag, Uid, UidSet};
    ///
    /// let uid = |n| Uid::new(n).unwrap();
    /// let five = Query::Uids(UidSet::one(uid(5)));
    /// let query = Query::And(vec![five.clone(), Query::Flag(Flag::Seen)]);
    /// assert_eq!(query.within(), Some(UidSet::one(uid(5))));
    /// assert_eq!(Query::Not(Box::new(five)).within(), None);
    /// ```
    pub fn within(&self) -> Option<UidSet> {
        match self {
            Query::Uids(uids) => Some(uids.clone()),
            Query::And(all) => all.iter().filter_map(Query::within).reduce(|one, other| one.intersect(&other)),
            Query::Or(one, other) => {
                let mut both = one.within()?;
                both.add(&other.within()?);
                Some(both)
            }
            _ => None,
        }
    }
}

/// A day, such as SEARCH keys take. Days compare by calendar.
///
/// ```
/// use pillarbox_imap::search::Date;
///
/// assert!(Date::new(2024, 2, 29) < Date::new(2024, 3, 1));
/// assert_eq!(Date::new(2023, 2, 29), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    // The order of these is what the derived order compares by.
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// The day, or `None` if the calendar has no such day.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        WallTime::from_civil(i64::from(year), month, day, 0, 0, 0, 0).map(|_| Date { year, month, day })
    }

    /// The day that a calendar shows at that moment in its own zone.
    pub fn of(time: WallTime) -> Self {
        let civil = time.civil();
        // `WallTime` keeps its years within 0 to 9999.
        Date { year: civil.year.clamp(0, 9999) as u16, month: civil.month, day: civil.day }
    }
}

impl fmt::Display for Date {
    /// As SEARCH spells it: `1-Feb-1994`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let name = month.get(usize::from(self.month).wrapping_sub(1)).copied().unwrap_or_default();
        write!(f, "{}-{name}-{:04}", self.day, self.year)
    }
}
