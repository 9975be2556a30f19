//! What the session says by itself: greeting, capabilities, the end of a command, goodbye.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pillarbox_core::sasl::Mechanism;

use super::arrivals::Afterwards;
use super::fetch::Fetching;
use super::recheck::Then;
use super::session::{Asked, Doing, Standing};
use super::{CloseReason, Event, FetchItem, ServerSession};
use crate::types::{ModSeq, ResponseCode};
use crate::wire::encode::text;

/// The bytes to send. What left is dropped from the front now and then, not each time.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: Vec<u8>,
    sent: usize,
    /// Octets that left since the connection began.
    total_sent: u64,
}

impl Output {
    pub(super) fn unsent(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where to write.
    pub(super) fn end(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    pub(super) fn consume(&mut self, n: usize) {
        let n = n.min(self.len());
        self.sent += n;
        self.total_sent += n as u64;
        if self.is_empty() {
            self.sent = 0;
            self.bytes.clear();
            // A session that waits holds no more than a page.
            self.bytes.shrink_to(4096);
        } else if self.sent > self.bytes.len() / 2 {
            self.bytes.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// How many octets were written since the connection began.
    pub(super) fn position(&self) -> u64 {
        self.total_sent + self.len() as u64
    }

    /// Takes back what was written from `position` on; false if some of it left already.
    pub(super) fn take_back(&mut self, position: u64) -> bool {
        let Some(keep) = position.checked_sub(self.total_sent) else { return false };
        // What was not sent fits in memory, so this number does.
        self.bytes.truncate(self.sent.saturating_add(keep as usize));
        true
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    No,
    Bad,
}

impl Verdict {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "OK",
            Verdict::No => "NO",
            Verdict::Bad => "BAD",
        }
    }
}

/// The tagged answer that ends a command.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) verdict: Verdict,
    /// The response code, without brackets. Never holds what a peer sent.
    pub(super) code: Option<Cow<'static, str>>,
    pub(super) text: Cow<'static, str>,
}

impl End {
    pub(super) fn ok(text: &'static str) -> End {
        End { verdict: Verdict::Ok, code: None, text: text.into() }
    }

    pub(super) fn ok_with(code: String, text: &'static str) -> End {
        End { verdict: Verdict::Ok, code: Some(code.into()), text: text.into() }
    }

    pub(super) fn no(code: &ResponseCode, text: impl Into<Cow<'static, str>>) -> End {
        End { verdict: Verdict::No, code: Some(code.to_string().into()), text: text.into() }
    }

    /// NO, with a code that is added by the caller.
    pub(super) fn no_such(text: &'static str) -> End {
        End { verdict: Verdict::No, code: None, text: text.into() }
    }

    pub(super) fn bad(text: impl Into<Cow<'static, str>>) -> End {
        End { verdict: Verdict::Bad, code: None, text: text.into() }
    }

    pub(super) fn bad_with(code: &'static str, text: &'static str) -> End {
        End { verdict: Verdict::Bad, code: Some(code.into()), text: text.into() }
    }

    /// What [`Event::Refused`] shows of it.
    pub(super) fn told(&self) -> Cow<'static, str> {
        alloc::format!("{} {}", self.verdict.as_str(), self.text).into()
    }
}

impl ServerSession {
    /// Writes `status [code] text`, whatever stands before it being written.
    fn write_status(&mut self, status: &str, code: Option<&str>, words: &str) {
        let out = self.out.end();
        out.extend_from_slice(status.as_bytes());
        out.push(b' ');
        if let Some(code) = code {
            out.push(b'[');
            out.extend_from_slice(code.as_bytes());
            out.extend_from_slice(b"] ");
        }
        text(out, words);
        out.extend_from_slice(b"\r\n");
    }

    pub(super) fn untagged(&mut self, status: &str, code: Option<&str>, words: &str) {
        self.out.end().extend_from_slice(b"* ");
        self.write_status(status, code, words);
    }

    pub(super) fn greet(&mut self) {
        let capabilities = self.capabilities();
        let greeting = self.config.greeting.clone();
        self.untagged("OK", Some(&capabilities), &greeting);
        self.doing = Doing::Reading;
        self.timer.active();
        self.leave_if_due();
    }

    /// `CAPABILITY ..` as it stands in answers and in codes: only what is really there, now.
    pub(super) fn capabilities(&self) -> String {
        let extensions = &self.config.extensions;
        let mut all = String::from("CAPABILITY IMAP4rev1");
        let mut add = |name: &str| {
            all.push(' ');
            all.push_str(name);
        };
        if extensions.offers_rev2() {
            add("IMAP4rev2");
        }
        if matches!(self.standing, Standing::NotAuthenticated) {
            // RFC 7888 §5: what a stranger sends unasked stays small.
            add("LITERAL-");
            add("SASL-IR");
            // Two that are for later: programs are known that look at the capabilities only once, before they log in.
            for name in ["ENABLE", "ID", "IDLE"] {
                add(name);
            }
            if extensions.language {
                // RFC 5255 §3.1: before login too.
                add("LANGUAGE");
            }
            if self.config.starttls && self.tls.is_none() {
                add("STARTTLS");
            }
            if self.takes_passwords() {
                for mechanism in self.mechanisms() {
                    add(&alloc::format!("AUTH={mechanism}"));
                }
            } else {
                // RFC 9051 §6.2.3
                add("LOGINDISABLED");
            }
            return all;
        }
        add(if extensions.literal_plus { "LITERAL+" } else { "LITERAL-" });
        for name in ["ENABLE", "ESEARCH", "ID", "IDLE", "NAMESPACE", "SEARCHRES", "UIDPLUS", "UNSELECT", "WITHIN"] {
            add(name);
        }
        // RFC 7889 §2: the same for every mailbox.
        add(&alloc::format!("APPENDLIMIT={}", self.config.limits.append_size_max));
        match (self.config.limits.messages_max, self.config.limits.copied_messages_max) {
            (Some(max), _) => add(&alloc::format!("MESSAGELIMIT={max}")),
            (None, Some(max)) => add(&alloc::format!("SAVELIMIT={max}")),
            (None, None) => {}
        }
        for (name, offered) in [
            ("ACL", extensions.acl),
            ("BINARY", extensions.binary),
            ("CATENATE", extensions.catenate),
            ("CHILDREN", extensions.children),
            // One layer is enough (RFC 4978 §3).
            ("COMPRESS=DEFLATE", extensions.offers_compress() && !self.compressed),
            ("CONDSTORE", extensions.condstore),
            ("CONTEXT=SEARCH", extensions.context),
            // RFC 5267 §4.1
            ("CONTEXT=SORT", extensions.context && extensions.sort),
            ("CREATE-SPECIAL-USE", extensions.create_special_use),
            // RFC 5267 §3.1
            ("ESORT", extensions.sort),
            // RFC 5255 §4.4: the higher one alone.
            ("I18NLEVEL=2", extensions.i18n),
            ("INPROGRESS", extensions.in_progress),
            ("LANGUAGE", extensions.language),
            ("LIST-EXTENDED", extensions.list_extended),
            ("LIST-METADATA", extensions.list_extended && extensions.metadata),
            ("LIST-MYRIGHTS", extensions.list_extended && extensions.acl),
            // RFC 5819 §1
            ("LIST-STATUS", extensions.list_extended),
            ("METADATA", extensions.metadata),
            ("METADATA-SERVER", extensions.metadata_server && !extensions.metadata),
            ("MOVE", extensions.moves),
            ("MULTIAPPEND", extensions.multiappend),
            ("MULTISEARCH", extensions.multisearch),
            ("NOTIFY", extensions.notify),
            ("OBJECTID", extensions.object_id),
            ("PARTIAL", extensions.partial),
            ("PREVIEW", extensions.preview),
            ("QRESYNC", extensions.offers_qresync()),
            ("QUOTA", extensions.quota),
            ("QUOTASET", extensions.quota && extensions.quota_set && self.may_set_quota),
            ("QUOTA=RES-MESSAGE", extensions.quota),
            ("QUOTA=RES-STORAGE", extensions.quota),
            ("REPLACE", extensions.replace),
            // RFC 4314 §2.2
            ("RIGHTS=kxte", extensions.acl),
            ("SAVEDATE", extensions.save_date),
            ("SORT", extensions.sort),
            ("SORT=DISPLAY", extensions.sort),
            ("SPECIAL-USE", extensions.special_use),
            ("STATUS=SIZE", extensions.status_size),
            ("THREAD=ORDEREDSUBJECT", extensions.thread),
            ("THREAD=REFERENCES", extensions.thread),
            ("UIDONLY", extensions.uid_only),
            ("UNAUTHENTICATE", extensions.unauthenticate),
            ("UTF8=ACCEPT", extensions.utf8),
        ] {
            if offered {
                add(name);
            }
        }
        all
    }

    /// RFC 9051 §11.1: passwords only where nobody listens, unless the operator says otherwise.
    pub(super) fn takes_passwords(&self) -> bool {
        self.tls.is_some() || self.config.login_without_tls
    }

    /// The mechanisms that can be served on this connection.
    fn mechanisms(&self) -> impl Iterator<Item = &Mechanism> {
        self.config.mechanisms.iter().filter(|mechanism| mechanism.is_possible(self.tls.as_ref()))
    }

    /// Ends the running command: tells what may be told, then the tagged answer.
    pub(super) fn finish(&mut self, end: End) {
        let tells_flags = self.telling(false).flags;
        if let Standing::Selected { mailbox, .. } = &mut self.standing
            && tells_flags
        {
            let view = &mut mailbox.view;
            let uids = view.take_forgotten();
            if !uids.is_empty() && (self.stopping || self.gone) {
                view.forget(&uids);
            } else if !uids.is_empty() {
                let mut wanted = alloc::vec![FetchItem::Flags];
                // RFC 7162 §3.2.4
                wanted.extend((self.enabled.mod_seqs && view.has_mod_seqs()).then_some(FetchItem::ModSeq));
                let fetching = Fetching::new(wanted.clone(), !self.enabled.uid_only, end.clone());
                self.queue.push_back(Event::Fetch {
                    uids: uids.clone(),
                    wanted,
                    mark_seen: false,
                    changed_since: None,
                });
                self.doing = Doing::Asked(Asked::Refresh { fetching, uids, end });
                return;
            }
        }
        if let Some(Then::Finish(end)) = self.recheck(Then::Finish(end)) {
            self.finish_now(end);
        }
    }

    /// As [`finish`](Self::finish), without asking for what was forgotten or what changed.
    pub(super) fn finish_now(&mut self, mut end: End) {
        // Where the command is not known, neither is what it does to numbers.
        self.tell_message_limit(&mut end);
        let may_expunge = self.running.row.is_some_and(|row| row.may_expunge) && !self.running.seqs_in_search;
        let telling = self.telling(may_expunge);
        self.tell_flags_in_use();
        let of_all = self.wanted_of_all().to_vec();
        if let Standing::Selected { mailbox, .. } = &mut self.standing {
            let told = mailbox.tell(telling, &of_all, self.out.end());
            self.running.tells_all = false;
            match mailbox.view.settle() {
                // RFC 7162 §3.2.7: behind expunges in the tagged OK.
                Some(highest) if told.expunged && end.verdict == Verdict::Ok && end.code.is_none() => {
                    end.code = Some(alloc::format!("HIGHESTMODSEQ {highest}").into());
                }
                Some(highest) => self.highest_mod_seq(highest),
                None => {}
            }
            match self.ask_arrived(told.fetch, Afterwards::Finish(end)) {
                Some(Afterwards::Finish(back)) => end = back,
                _ => return,
            }
        }
        self.doing = Doing::Reading;
        self.timer.active();
        let out = self.out.end();
        out.extend_from_slice(self.running.tag.as_bytes());
        out.push(b' ');
        self.write_status(end.verdict.as_str(), end.code.as_deref(), &end.text);
        if end.verdict == Verdict::Bad {
            self.count_bad();
        }
        self.leave_if_due();
        self.tell_at_once();
    }

    /// RFC 7162 §3.1.2.1
    pub(super) fn highest_mod_seq(&mut self, highest: ModSeq) {
        self.untagged("OK", Some(&alloc::format!("HIGHESTMODSEQ {highest}")), "Highest");
    }

    /// Another command was refused; too many end the connection.
    pub(super) fn count_bad(&mut self) {
        self.bad = self.bad.saturating_add(1);
        let limits = &self.config.limits;
        let max = match self.standing {
            Standing::NotAuthenticated => limits.bad_before_login,
            _ => limits.bad_after_login,
        };
        if self.bad >= max {
            self.bye(CloseReason::TooManyErrors, None, "Too many errors");
        }
    }

    /// Says goodbye and ends the session; nothing if it is over already.
    pub(super) fn bye(&mut self, why: CloseReason, code: Option<&str>, words: &str) {
        if !matches!(self.doing, Doing::Closed(_)) {
            self.untagged("BYE", code, words);
            self.close(why);
        }
    }

    /// Ends the session between commands if the server stops or the mailbox is gone.
    pub(super) fn leave_if_due(&mut self) {
        if matches!(self.doing, Doing::Asked(_) | Doing::Connecting | Doing::Upgrading { .. }) {
            return;
        }
        if self.stopping {
            self.bye(CloseReason::ShutDown, Some("UNAVAILABLE"), "The server is going down");
        } else if self.gone {
            self.bye(CloseReason::MailboxGone, None, "The selected mailbox is gone");
        }
    }
}
