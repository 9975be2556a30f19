//! What the embedder says to a question.

use alloc::borrow::Cow;

use pillarbox_core::{Layer, Misuse};

use super::catenate::bad_url;
use super::list::Listing;
use super::reply::{End, Verdict};
use super::session::{Asked, Doing, Standing};
use super::{Answer, CloseReason, Event, ServerSession};
use crate::acl::AclQuestion;
use crate::quota::QuotaQuestion;
use crate::types::{ResponseCode, UidSet};

impl ServerSession {
    pub(super) fn take_answer(&mut self, answer: Answer<'_>) -> Result<(), Misuse> {
        if let Doing::Closed(_) = self.doing {
            return Ok(());
        }
        if !self.queue.is_empty() {
            // The question itself may still be in the queue.
            return Err(Misuse::NoOpenQuestion);
        }
        match (&mut self.doing, answer) {
            (Doing::Appending { .. } | Doing::AppendTail { .. } | Doing::Catenating(_), Answer::No { code, text }) => {
                self.append_broken_off(no(code, text));
                Ok(())
            }
            (
                Doing::Appending { .. } | Doing::AppendTail { .. } | Doing::Catenating(_) | Doing::Asked(_),
                Answer::Bye(text),
            ) => {
                self.hang_up(&text);
                Ok(())
            }
            (Doing::Asked(_), Answer::No { code, text }) => self.refused(code, text),
            (Doing::Asked(_), answer) => self.answered(answer),
            _ => Err(Misuse::NoOpenQuestion),
        }
    }

    /// The connection ends by the embedder's wish.
    fn hang_up(&mut self, text: &str) {
        if self.break_off() {
            self.bye(CloseReason::Refused, None, text);
        } else {
            self.close(CloseReason::Broken);
        }
    }

    /// Ends an answer that has begun; false if that cannot be done in a way that the client understands.
    fn break_off(&mut self) -> bool {
        match &mut self.doing {
            Doing::Asked(
                Asked::Fetch(fetching) | Asked::Refresh { fetching, .. } | Asked::Arrived { fetching, .. },
            ) => fetching.break_off(&mut self.out),
            Doing::Asked(Asked::Search(searching)) => {
                searching.break_off(&self.running.tag, &mut self.out);
                true
            }
            Doing::Asked(Asked::GetMetadata(getting) | Asked::List(Listing { getting: Some(getting), .. })) => {
                getting.close(&mut self.out);
                true
            }
            Doing::Asked(Asked::SearchMailboxes(searching)) => {
                searching.break_off(&self.running.tag, &mut self.out);
                true
            }
            Doing::Asked(Asked::Thread(threading)) => {
                threading.break_off(&mut self.out);
                true
            }
            _ => true,
        }
    }

    fn refused(&mut self, code: Option<ResponseCode>, text: Cow<'_, str>) -> Result<(), Misuse> {
        if !self.break_off() {
            // Octets of a literal are missing: whatever follows would be taken for them.
            self.close(CloseReason::Broken);
            return Ok(());
        }
        let Doing::Asked(asked) = core::mem::replace(&mut self.doing, Doing::Reading) else {
            return Err(Misuse::NoOpenQuestion);
        };
        match asked {
            Asked::Connect => {
                self.doing = Doing::Asked(Asked::Connect);
                return Err(Misuse::WrongAnswer { question: "Connect", answer: "No" });
            }
            Asked::Login(login) => self.login_refused(login, code, text),
            Asked::ScramKeys(_) | Asked::WrongProof => self.login_refused(None, code, text),
            Asked::AppendStart(incoming) => self.append_refused(incoming, no(code, text)),
            Asked::AppendPart(incoming, _) => self.parts_no(incoming, no(code, text)),
            // RFC 9051 §6.4.1: CLOSE knows no NO, and a client that hears one would not know where it is.
            // RFC 4314 §4: and where the user may not expunge, the wish is ignored.
            Asked::Expunge { close: true } => {
                if code != Some(ResponseCode::NoPerm) {
                    let code = code.map(|code| alloc::format!("{code}"));
                    self.untagged("NO", code.as_deref(), &text);
                }
                self.leave_mailbox();
            }
            // What was not told would be taken for unchanged.
            Asked::Fetch(fetching) | Asked::Vanished { fetching, .. } if fetching.is_selecting() => {
                if self.deselect() {
                    self.queue.push_back(Event::Deselected);
                }
                self.finish(no(code, text));
            }
            // RFC 9051 §6.4.9: to a UID command a message that is gone is one that never was, which is no error.
            asked @ (Asked::Fetch(_) | Asked::Store { .. } | Asked::Copy { .. } | Asked::Move { .. })
                if code == Some(ResponseCode::ExpungeIssued)
                    && self.running.row.is_some_and(|row| row.name.starts_with("UID ")) =>
            {
                let end = End::ok("Done, for the messages that are there");
                match asked {
                    Asked::Store { modified, uid, .. } => self.stored(end, &modified, uid),
                    _ => self.finish(end),
                }
            }
            Asked::Store { modified, uid, .. } => self.stored(no(code, text), &modified, uid),
            Asked::Refresh { uids, end, .. } => {
                if let Standing::Selected { mailbox, .. } = &mut self.standing {
                    mailbox.view.forget(&uids);
                }
                self.finish_now(end);
            }
            Asked::Recheck(rechecking) => self.not_rechecked(rechecking),
            // What was asked for is in force: what could not be seen now is told when it can be.
            Asked::NotifySync => self.finish(End::ok("Done")),
            // What cannot be told of new messages is not what the client waits for.
            Asked::Arrived { left, then, .. } => self.arrivals_told(left, then),
            Asked::Search(searching) => {
                if let Standing::Selected { mailbox, .. } = &mut self.standing {
                    mailbox.contexts.abandon();
                }
                if searching.saves() {
                    // RFC 5182 §2.1
                    self.save(UidSet::new());
                }
                self.finish(no(code, text));
            }
            _ => self.finish(no(code, text)),
        }
        Ok(())
    }

    fn answered(&mut self, answer: Answer<'_>) -> Result<(), Misuse> {
        let room = self.room();
        let Doing::Asked(asked) = &mut self.doing else { return Err(Misuse::NoOpenQuestion) };
        let wrong = Misuse::WrongAnswer { question: asked.name(), answer: name(&answer) };
        match (asked, answer) {
            (Asked::Connect, Answer::Done) => self.greet(),
            (Asked::Acl(AclQuestion::Set { .. } | AclQuestion::Delete { .. }), Answer::Done) => {
                self.finish(End::ok("Done"));
            }
            (Asked::Acl(AclQuestion::List(_)), Answer::Acl(entries)) => self.acl_told(entries),
            (Asked::Acl(AclQuestion::Grantable { .. }), Answer::Grantable(grantable)) => {
                self.grantable_told(&grantable);
            }
            (Asked::Acl(AclQuestion::Mine(_)), Answer::Rights(rights)) => self.rights_told(rights),
            (Asked::Quota(QuotaQuestion::Roots(_)), Answer::QuotaRoots(roots)) => self.quota_roots_told(roots),
            (Asked::Quota(_), Answer::Quota(root)) => self.quota_told(root),
            (Asked::Quota(QuotaQuestion::Set { .. }), Answer::Done) => self.finish(End::ok("Limits set")),
            (Asked::Quota(_), Answer::Done) => self.finish(End::ok("Quota told")),
            (Asked::GetMetadata(_) | Asked::List(Listing { getting: Some(_), .. }), Answer::Entry { name, value }) => {
                self.entry_told(name, value);
            }
            (Asked::GetMetadata(_), Answer::Done) => self.metadata_told(),
            (Asked::SetMetadata, Answer::Done) => self.finish(End::ok("Done")),
            (Asked::StartTls, Answer::Done) => self.begin_layer(Layer::Tls),
            (Asked::ScramKeys(_), Answer::ScramKeys(keys)) => {
                if let Doing::Asked(Asked::ScramKeys(login)) = core::mem::replace(&mut self.doing, Doing::Reading) {
                    self.keys(login, keys);
                }
            }
            (Asked::Login(_), Answer::LoggedIn(identity)) => self.logged_in(identity.into_owned()),
            (Asked::List(_), Answer::Listed(listed)) => return self.listed(&listed),
            (Asked::List(_), Answer::Done) => {
                self.end_entries();
                self.finish(End::ok("Done"));
            }
            (Asked::Create { told }, answer @ (Answer::Done | Answer::Created(_))) => {
                if let Some((name, old)) = told.take() {
                    self.tell_name(&name, Some(&old));
                }
                self.finish(match answer {
                    // RFC 8474 §4.1
                    Answer::Created(id) if self.config.extensions.object_id => {
                        End::ok_with(alloc::format!("MAILBOXID ({id})"), "Done")
                    }
                    _ => End::ok("Done"),
                });
            }
            (Asked::Simple { told }, Answer::Done) => {
                if let Some((name, old)) = told.take() {
                    self.tell_name(&name, Some(&old));
                }
                self.finish(End::ok("Done"));
            }
            (Asked::Copy { .. }, Answer::Done) => self.finish(End::ok("Done")),
            (Asked::Status { .. }, Answer::Status(status)) => self.status_told(&status),
            (Asked::Select { mailbox, read_only, told, resync }, Answer::Selected(snapshot)) => {
                let name = mailbox.clone();
                let (read_only, told, resync) = (*read_only, told.take(), resync.take());
                self.selected(name, snapshot, read_only, &told, resync.as_ref());
            }
            (Asked::AppendStart(incoming), Answer::Done) => {
                let incoming = incoming.clone();
                self.append_started(incoming);
            }
            (Asked::AppendPart(..), Answer::Part(size)) => self.part_copied(size),
            (Asked::AppendPart(..), Answer::NoPart) => {
                if let Doing::Asked(Asked::AppendPart(incoming, url)) =
                    core::mem::replace(&mut self.doing, Doing::Reading)
                {
                    self.parts_no(incoming, bad_url(&url));
                }
            }
            (Asked::AppendEnd { mailbox, replaces }, Answer::Appended { uid_validity, uids }) => {
                let (mailbox, replaces) = (mailbox.clone(), *replaces);
                self.brought(&mailbox, uids.iter().copied());
                self.appended(uid_validity, uids, replaces);
            }
            (Asked::AppendEnd { replaces: Some(replaced), .. }, Answer::Done) => {
                let replaced = *replaced;
                self.stored_in_place(replaced);
            }
            // RFC 4315 §3: a store need not know the UIDs.
            (Asked::AppendEnd { replaces: None, .. }, Answer::Done) => self.finish(End::ok("Stored")),
            (Asked::Sync { idle: false } | Asked::NotifySync, Answer::Done) => self.finish(End::ok("Done")),
            (Asked::Sync { idle: true }, Answer::Done) => self.begin_idle(),
            (Asked::Vanished { .. }, Answer::Vanished(uids)) => self.vanished_earlier(uids),
            (Asked::Vanished { .. }, Answer::Done) => {
                if let Doing::Asked(Asked::Vanished { since, fetch, fetching }) =
                    core::mem::replace(&mut self.doing, Doing::Reading)
                {
                    self.fetch_changes(since, fetch, fetching);
                }
            }
            (Asked::Fetch(fetching), Answer::Done) if !fetching.is_open() => {
                let end = fetching.end();
                self.finish(end);
            }
            (Asked::Refresh { fetching, .. }, Answer::Done) if !fetching.is_open() => {
                if let Doing::Asked(Asked::Refresh { end, .. }) = core::mem::replace(&mut self.doing, Doing::Reading) {
                    self.finish(end);
                }
            }
            (Asked::Arrived { fetching, .. }, Answer::Done) if !fetching.is_open() => {
                if let Doing::Asked(Asked::Arrived { left, then, .. }) =
                    core::mem::replace(&mut self.doing, Doing::Reading)
                {
                    self.arrivals_told(left, then);
                }
            }
            (Asked::Notify { .. }, Answer::Notification(notification)) => return self.write_notification(notification),
            (Asked::Notify { notify, set }, Answer::Done) => {
                let (notify, set) = (core::mem::take(notify), *set);
                self.notify_begun(notify, set);
            }
            (Asked::Fetch(fetching) | Asked::Refresh { fetching, .. } | Asked::Arrived { fetching, .. }, answer) => {
                // Written out, for the question is borrowed from one field while the others are written to.
                let Standing::Selected { mailbox, .. } = &mut self.standing else { return Err(wrong) };
                if matches!(answer, Answer::Message(_)) && !fetching.is_open() && mailbox.flags.has_news() {
                    mailbox.flags.tell(self.out.end());
                }
                return fetching.part(&answer, &mut mailbox.view, &mut self.out, room);
            }
            (Asked::Store { silent, .. }, Answer::Flags { uid, flags, mod_seq }) => {
                // RFC 9051 §6.4.6: .SILENT says nothing of what only this command changed.
                // Flags that changed once more after that are told when the command ends.
                let tell = silent.as_ref().is_none_or(|silent| {
                    !silent.hides(uid)
                        && !matches!(&self.standing, Standing::Selected { mailbox, .. }
                        if mailbox.view.has_newer_flags(uid, mod_seq))
                });
                self.flags_stored(uid, &flags, mod_seq, tell);
            }
            (Asked::Store { modified, .. }, Answer::Modified { uid, flags, mod_seq }) => {
                modified.insert(uid);
                // RFC 7162 §3.1.3: the client need not ask what it was that changed.
                self.flags_stored(uid, &flags, Some(mod_seq), true);
            }
            (Asked::Store { modified, uid, .. }, Answer::Done) => {
                let (modified, uid) = (core::mem::take(modified), *uid);
                self.stored(End::ok("Stored"), &modified, uid);
            }
            (Asked::Search(searching), answer @ (Answer::Found(_) | Answer::FoundWithModSeqs(_) | Answer::Done)) => {
                // Written out, for the question is borrowed from one field while the others are written to.
                let Standing::Selected { mailbox, .. } = &mut self.standing else { return Err(wrong) };
                let (view, tag, out) = (&mailbox.view, &self.running.tag, &mut self.out);
                match answer {
                    Answer::Found(uids) => {
                        searching.found(uids.iter().map(|uid| (*uid, None)), Some(view), tag, out);
                        return Ok(());
                    }
                    Answer::FoundWithModSeqs(found) => {
                        searching.found(
                            found.iter().map(|(uid, mod_seq)| (*uid, Some(*mod_seq))),
                            Some(view),
                            tag,
                            out,
                        );
                        return Ok(());
                    }
                    _ => {}
                }
                searching.end(Some(&mailbox.view), &self.running.tag, &mut self.out);
                let told = if searching.is_sorted() { "Sorted" } else { "Searched" };
                let updating = searching.take_updating();
                if let Doing::Asked(Asked::Search(searching)) = core::mem::replace(&mut self.doing, Doing::Reading)
                    && let Some(saved) = searching.into_saved()
                {
                    mailbox.saved = saved;
                }
                self.updates_begin(updating);
                self.finish(End::ok(told));
            }
            (Asked::SearchMailboxes(_), Answer::Searched { mailbox, uid_validity }) => {
                self.mailbox_searched(&mailbox, uid_validity);
            }
            (Asked::SearchMailboxes(searching), Answer::Found(uids)) => {
                searching.found(uids, &self.running.tag, &mut self.out);
            }
            (Asked::SearchMailboxes(searching), Answer::Done) => {
                searching.end(&self.running.tag, &mut self.out);
                self.finish(End::ok("Searched"));
            }
            (Asked::SearchMailboxes(searching), Answer::DoneInPart) => {
                searching.end(&self.running.tag, &mut self.out);
                self.searched_in_part();
            }
            (Asked::Deleted(deleted), Answer::Found(uids)) => deleted.extend_from_slice(uids),
            (Asked::Deleted(deleted), Answer::Done) => {
                let deleted = core::mem::take(deleted);
                self.expunge_last(deleted);
            }
            (Asked::Recheck(rechecking), Answer::Found(uids)) => rechecking.found(uids),
            (Asked::Recheck(_), Answer::Done) => self.rechecked(),
            (Asked::Thread(threading), answer @ (Answer::Threads(_) | Answer::Done)) => {
                let Standing::Selected { mailbox, .. } = &self.standing else { return Err(wrong) };
                match answer {
                    Answer::Threads(parts) => threading.parts(parts, &mailbox.view, &mut self.out),
                    _ => {
                        threading.end(&mut self.out);
                        self.finish(End::ok("Threaded"));
                    }
                }
            }
            (Asked::Copy { target }, Answer::Copied { uid_validity, uids }) => {
                let target = target.clone();
                self.brought(&target, uids.iter().map(|(_, there)| *there));
                self.copied(uid_validity, uids);
            }
            (Asked::Move { target }, Answer::Copied { uid_validity, uids }) => {
                let target = target.clone();
                self.brought(&target, uids.iter().map(|(_, there)| *there));
                self.moved(uid_validity, uids);
            }
            (Asked::Move { .. }, Answer::Expunged(uids)) => self.expunged(uids),
            (Asked::Move { .. }, Answer::Done) => self.finish(End::ok("Moved")),
            (Asked::Expunge { close }, Answer::Expunged(uids)) => {
                if !*close {
                    self.expunged(uids);
                }
            }
            (Asked::Expunge { close: false }, Answer::Done) => self.finish(End::ok("Expunged")),
            (Asked::Expunge { close: true }, Answer::Done) => self.leave_mailbox(),
            _ => return Err(wrong),
        }
        Ok(())
    }
}

/// The tagged NO that the embedder wants. Its text is made harmless where it is written.
fn no(code: Option<ResponseCode>, text: Cow<'_, str>) -> End {
    End { verdict: Verdict::No, code: code.map(|code| alloc::format!("{code}").into()), text: text.into_owned().into() }
}

impl Asked {
    fn name(&self) -> &'static str {
        match self {
            Asked::Acl(_) => "Acl",
            Asked::Quota(_) => "Quota",
            Asked::GetMetadata(_) | Asked::SetMetadata => "Metadata",
            Asked::Connect => "Connect",
            Asked::StartTls => "StartTls",
            Asked::ScramKeys(_) => "ScramKeys",
            Asked::Login(_) => "Login",
            Asked::WrongProof => "WrongProof",
            Asked::List(_) => "List",
            Asked::Status { .. } => "Status",
            Asked::Select { .. } => "Select",
            Asked::Create { .. } => "Create",
            Asked::Simple { .. } => "Delete, Rename, Subscribe or Unsubscribe",
            Asked::AppendStart(_) => "AppendStart",
            Asked::AppendPart(..) => "AppendPart",
            Asked::AppendEnd { .. } => "AppendEnd",
            Asked::Sync { .. } | Asked::NotifySync => "Sync",
            Asked::Fetch(_) | Asked::Refresh { .. } => "Fetch",
            Asked::Vanished { .. } => "Vanished",
            Asked::Store { .. } => "Store",
            Asked::Search(_) => "Search or Sort",
            Asked::Deleted(_) => "Search",
            Asked::SearchMailboxes(_) => "SearchMailboxes",
            Asked::Thread(_) => "Thread",
            Asked::Recheck(_) => "Recheck",
            Asked::Copy { .. } => "Copy",
            Asked::Move { .. } => "Move",
            Asked::Notify { .. } => "Notify",
            Asked::Arrived { .. } => "Fetch",
            Asked::Expunge { .. } => "Expunge",
        }
    }
}

/// The name of an answer, for [`Misuse`].
pub(super) fn name(answer: &Answer<'_>) -> &'static str {
    match answer {
        Answer::Acl(_) => "Acl",
        Answer::Entry { .. } => "Entry",
        Answer::Quota(_) => "Quota",
        Answer::QuotaRoots(_) => "QuotaRoots",
        Answer::Grantable(_) => "Grantable",
        Answer::Rights(_) => "Rights",
        Answer::Done => "Done",
        Answer::DoneInPart => "DoneInPart",
        Answer::No { .. } => "No",
        Answer::Bye(_) => "Bye",
        Answer::LoggedIn(_) => "LoggedIn",
        Answer::ScramKeys(_) => "ScramKeys",
        Answer::Listed(_) => "Listed",
        Answer::Status(_) => "Status",
        Answer::Selected(_) => "Selected",
        Answer::Appended { .. } => "Appended",
        Answer::Part(_) => "Part",
        Answer::NoPart => "NoPart",
        Answer::Message(_) => "Message",
        Answer::Data(_) => "Data",
        Answer::BinaryLiteral { .. } => "BinaryLiteral",
        Answer::Literal { .. } => "Literal",
        Answer::NoSection { .. } => "NoSection",
        Answer::Chunk(_) => "Chunk",
        Answer::MessageEnd => "MessageEnd",
        Answer::Flags { .. } => "Flags",
        Answer::Modified { .. } => "Modified",
        Answer::Found(_) => "Found",
        Answer::Searched { .. } => "Searched",
        Answer::FoundWithModSeqs(_) => "FoundWithModSeqs",
        Answer::Threads(_) => "Threads",
        Answer::Vanished(_) => "Vanished",
        Answer::Created(_) => "Created",
        Answer::Notification(_) => "Notification",
        Answer::Copied { .. } => "Copied",
        Answer::Expunged(_) => "Expunged",
    }
}
