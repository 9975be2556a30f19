//! THREAD: conversations, by subject or by what messages refer to (RFC 5256).
//!
//! What a message is threaded by follows from its header and never changes, so it can be kept: [`write_thread_keys`]
//! computes it as octets, [`ThreadKeys`] reads them again, and a [`Threader`] takes them one message after the other and makes
//! [`Threads`] of them.
//!
//! Threading takes linear-logarithmic time whatever messages refer to, and nothing in it recurses: neither cycles nor chains of
//! any length matter. Of what a message refers to the first and the last 99 count: who cuts References leaves these
//! (RFC 5256 §3 expects that they are cut).

mod dates;
mod forest;
mod ids;
mod keys;
mod links;
mod references;

use alloc::vec::Vec;

pub use forest::{ThreadPart, ThreadParts, Threads};
pub use keys::{ThreadKeys, write_thread_keys};

use crate::types::Uid;
use dates::Sent;

/// How messages are made into threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ThreadAlgorithm {
    /// Messages with the same base subject are a thread.
    OrderedSubject,
    /// Messages are below those that they answer.
    References,
}

impl ThreadAlgorithm {
    /// As the command spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            ThreadAlgorithm::OrderedSubject => "ORDEREDSUBJECT",
            ThreadAlgorithm::References => "REFERENCES",
        }
    }
}

/// Makes threads of messages.
///
/// Takes some 40 octets for each message, eight for each reference (28 and more while it finishes), and the subjects. Of references
/// two million are kept, and behind those one for each message.
///
/// ```
/// use pillarbox_imap::thread::{ThreadAlgorithm, ThreadKeys, Threader, write_thread_keys};
/// use pillarbox_imap::types::Uid;
///
/// let mut threader = Threader::new(ThreadAlgorithm::References);
/// for (uid, header) in [
///     (1, "Message-ID: <a@x>\r\nSubject: pears\r\n\r\n"),
///     (2, "Message-ID: <b@x>\r\nSubject: apples\r\n\r\n"),
///     (3, "Message-ID: <c@x>\r\nReferences: <a@x>\r\nSubject: Re: pears\r\n\r\n"),
/// ] {
///     let mut octets = Vec::new();
///     write_thread_keys(header.as_bytes(), &mut octets);
///     threader.add(Uid::new(uid).unwrap(), uid.into(), &ThreadKeys::read(&octets).unwrap());
/// }
/// assert_eq!(threader.finish().to_string(), "(1 3)(2)");
/// ```
#[derive(Clone, Debug)]
pub struct Threader {
    algorithm: ThreadAlgorithm,
    uids: Vec<Uid>,
    sent: Vec<i64>,
    subjects: Subjects,
    /// Of each message its own identifier; 0 if it has none.
    ids: Vec<u64>,
    /// What all messages refer to, and where that of each one ends.
    references: Vec<u64>,
    ends: Vec<u32>,
}

/// References of all messages that are kept in full. Behind so many a message has but its last, the parent: whoever fills a mailbox
/// with long lists takes little more of what a thread costs than the number of messages.
const REFERENCES_ALL_MAX: usize = 2_000_000;

/// The base subjects of messages, in the form in which they are compared.
#[derive(Clone, Debug, Default)]
struct Subjects {
    texts: Vec<u8>,
    ends: Vec<usize>,
    replies: Vec<bool>,
}

impl Subjects {
    fn add(&mut self, text: &[u8], is_reply: bool) {
        self.texts.extend_from_slice(text);
        self.ends.push(self.texts.len());
        self.replies.push(is_reply);
    }

    fn of(&self, message: usize) -> &[u8] {
        let start = message.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.texts[start..self.ends[message]]
    }
}

impl Threader {
    /// For this algorithm.
    pub const fn new(algorithm: ThreadAlgorithm) -> Self {
        Threader {
            algorithm,
            uids: Vec::new(),
            sent: Vec::new(),
            subjects: Subjects { texts: Vec::new(), ends: Vec::new(), replies: Vec::new() },
            ids: Vec::new(),
            references: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Adds a message. UIDs rise. `arrival` is its INTERNALDATE in seconds since 1970, which counts where the keys have no date.
    pub fn add(&mut self, uid: Uid, arrival: i64, keys: &ThreadKeys<'_>) {
        self.uids.push(uid);
        self.sent.push(keys.sent().unwrap_or(arrival));
        self.subjects.add(keys.subject(), keys.is_reply());
        if self.algorithm == ThreadAlgorithm::References {
            self.ids.push(keys.id());
            let skipped = match self.references.len() < REFERENCES_ALL_MAX {
                true => 0,
                false => keys.references().count().saturating_sub(1),
            };
            self.references.extend(keys.references().skip(skipped));
            // At most one for each of some four billion messages; memory ends before.
            self.ends.push(u32::try_from(self.references.len()).unwrap_or(u32::MAX));
        }
    }

    /// The threads of all messages.
    pub fn finish(self) -> Threads {
        let sent = Sent::new(&self.sent);
        match self.algorithm {
            ThreadAlgorithm::OrderedSubject => ordered_subject(self.uids, &self.subjects, &sent),
            ThreadAlgorithm::References => references::references(self, &sent),
        }
    }
}

/// RFC 5256 §3, ORDEREDSUBJECT
fn ordered_subject(uids: Vec<Uid>, subjects: &Subjects, sent: &Sent) -> Threads {
    let mut order: Vec<u32> = sent.order().to_vec();
    // Stable: within a subject they stay by date.
    order.sort_by(|one, other| subjects.of(*one as usize).cmp(subjects.of(*other as usize)));
    let mut parents = alloc::vec![forest::NONE; uids.len()];
    let same = |one: &u32, other: &u32| subjects.of(*one as usize) == subjects.of(*other as usize);
    for thread in order.chunk_by(same) {
        for child in &thread[1..] {
            parents[*child as usize] = thread[0];
        }
    }
    Threads::new(uids, parents, sent)
}

#[cfg(test)]
mod tests;
