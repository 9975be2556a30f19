//! NOTIFY (RFC 5465): what the client hears of without asking, in the selected mailbox and elsewhere.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::vec::Vec;

use pillarbox_core::{Misuse, Time};

use super::arrivals::Afterwards;
use super::read::Served;
use super::recheck::Then;
use super::reply::{End, Verdict};
use super::session::{Asked, Doing, Standing};
use super::{Event, Extensions, FetchItem, Listed, ServerSession, StatusItem};
use crate::metadata::EntryName;
use crate::notify::{Events, Filter, Notification, Watch, WatchGroup};
use crate::types::{MailboxName, ResponseCode};
use crate::view::Telling;
use crate::wire::encode::{astring, mailbox, push};
use crate::wire::parse::{EventGroup, FilterMailboxes, NotifyCommand, NotifyEvent};

/// RFC 5465 §3.1: all events there are here, besides those of annotations.
const EVENTS: &str = "MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange";

/// What the client wants to hear, from its first NOTIFY on.
#[derive(Clone, Debug, Default)]
pub(super) struct Notify {
    selected: InSelected,
    /// It wants to hear of other mailboxes.
    watches: bool,
}

/// What it wants to hear of the selected mailbox, whichever that is.
#[derive(Clone, Debug, Default)]
struct InSelected {
    messages: bool,
    flags: bool,
    /// EXPUNGE is told only where a command allows it.
    delayed: bool,
    /// Of each new message.
    wanted: Vec<FetchItem>,
}

/// What one group asks for.
#[derive(Default)]
struct Group {
    events: Events,
    /// MessageExpunge, which has to stand beside MessageNew.
    expunge: bool,
    wanted: Option<Vec<FetchItem>>,
    unknown: bool,
}

fn has_server_annotations(offered: &Extensions) -> bool {
    offered.metadata || offered.metadata_server
}

impl Group {
    fn of(events: Vec<NotifyEvent<'_>>, offered: &Extensions) -> Group {
        let mut group = Group::default();
        for event in events {
            match event {
                NotifyEvent::MessageNew(wanted) => {
                    group.events.messages = true;
                    group.wanted = wanted.or(group.wanted);
                }
                NotifyEvent::MessageExpunge => group.expunge = true,
                NotifyEvent::FlagChange => group.events.flags = true,
                NotifyEvent::MailboxName => group.events.names = true,
                NotifyEvent::SubscriptionChange => group.events.subscriptions = true,
                NotifyEvent::AnnotationChange => (group.events.flags, group.unknown) = (true, true),
                NotifyEvent::MailboxMetadataChange if offered.metadata => group.events.annotations = true,
                NotifyEvent::ServerMetadataChange if has_server_annotations(offered) => {
                    group.events.server_annotations = true;
                }
                NotifyEvent::MailboxMetadataChange | NotifyEvent::ServerMetadataChange | NotifyEvent::Other(_) => {
                    group.unknown = true;
                }
            }
        }
        group
    }
}

impl ServerSession {
    /// RFC 5465 §3.1
    pub(super) fn notify_command<'b>(&mut self, command: NotifyCommand<'b>) -> Served<'b> {
        if !self.config.extensions.notify {
            return Err(End::bad("NOTIFY is not on offer"));
        }
        let set = matches!(command, NotifyCommand::Set { .. });
        let (notify, watch) = match command {
            NotifyCommand::None => Default::default(),
            NotifyCommand::Set { status, groups } => self.notify_set(status, groups)?,
        };
        Ok(self.ask(Asked::Notify { notify: Box::new(notify), set }, Event::Notify(watch)))
    }

    fn notify_set(&self, status: bool, groups: Vec<EventGroup<'_>>) -> Result<(Notify, Watch), End> {
        let (mut notify, mut watch) = (Notify::default(), Watch { groups: Vec::new(), status });
        let (mut unknown, mut selected, mut names_left) = (false, false, self.config.limits.notify_names_max);
        for EventGroup { filter, events } in groups {
            let group = Group::of(events, &self.config.extensions);
            let Group { events, expunge, wanted, .. } = group;
            // RFC 5465 §5: the two go together, and flags with them.
            if events.messages != expunge || events.flags && !events.messages {
                return Err(End::bad("MessageNew and MessageExpunge go together, and changes of flags with them"));
            }
            unknown |= group.unknown;
            let mut names = |names: Vec<alloc::borrow::Cow<'_, [u8]>>| {
                names_left = names_left
                    .checked_sub(names.len())
                    .ok_or_else(|| End::no(&ResponseCode::Limit, "These are too many names of mailboxes"))?;
                names.iter().map(|name| self.mailbox_name(name)).collect::<Result<Vec<MailboxName>, End>>()
            };
            let filter = match filter {
                FilterMailboxes::Selected | FilterMailboxes::SelectedDelayed => {
                    if core::mem::replace(&mut selected, true) {
                        return Err(End::bad("The selected mailbox is spoken of twice"));
                    }
                    if events.names || events.subscriptions || events.annotations || events.server_annotations {
                        // RFC 5465 §6.1
                        return Err(End::bad("Of the selected mailbox only its messages can be told"));
                    }
                    let wanted = wanted.unwrap_or_default();
                    self.refuse_items(&wanted)?;
                    let delayed = filter == FilterMailboxes::SelectedDelayed;
                    notify.selected = InSelected { messages: events.messages, flags: events.flags, delayed, wanted };
                    continue;
                }
                FilterMailboxes::Inboxes => Filter::Inboxes,
                FilterMailboxes::Personal => Filter::Personal,
                FilterMailboxes::Subscribed => Filter::Subscribed,
                FilterMailboxes::Subtree(of) => Filter::Subtree(names(of)?),
                FilterMailboxes::Mailboxes(of) => Filter::Mailboxes(names(of)?),
            };
            if wanted.is_some() {
                // RFC 5465 §8: of other mailboxes there are numbers only.
                return Err(End::bad("What is to be fetched can be said of the selected mailbox only"));
            }
            if events != Events::default() {
                watch.groups.push(WatchGroup { filter, events });
            }
        }
        if unknown {
            return Err(self.bad_event());
        }
        notify.watches = !watch.groups.is_empty();
        Ok((notify, watch))
    }

    fn bad_event(&self) -> End {
        let offered = &self.config.extensions;
        let mut code = format!("BADEVENT ({EVENTS}");
        // RFC 5465 §5.6, §5.7
        if offered.metadata {
            code.push_str(" MailboxMetadataChange");
        }
        if has_server_annotations(offered) {
            code.push_str(" ServerMetadataChange");
        }
        code.push(')');
        End { verdict: Verdict::No, ..End::ok_with(code, "There is no such event here") }
    }

    /// The embedder watches what was asked for. RFC 5465 §3.1: after a SET, what has gathered in the selected mailbox
    /// is told at once.
    pub(super) fn notify_begun(&mut self, notify: Box<Notify>, set: bool) {
        if notify.selected.wanted.contains(&FetchItem::ModSeq) {
            // RFC 7162 §3.1
            self.enable_condstore();
        }
        self.notify = Some(notify);
        self.running.tells_all = set;
        match self.standing {
            Standing::Selected { .. } => {
                self.doing = Doing::Asked(Asked::NotifySync);
                self.queue.push_back(Event::Sync);
            }
            _ => self.finish(End::ok("Done")),
        }
    }

    /// What the client wants to be told of each new message in the selected mailbox.
    pub(super) fn wanted_of_all(&self) -> &[FetchItem] {
        self.notify.as_ref().map_or(&[], |notify| &notify.selected.wanted)
    }

    /// What may be told of the selected mailbox, where EXPUNGE may be or not.
    pub(super) fn telling(&self, may_expunge: bool) -> Telling {
        // What a command did itself is no event: the client hears of the messages that it removed.
        let by_itself = self.running.row.is_some_and(|row| row.removes());
        let (messages, flags) = match &self.notify {
            Some(notify) if !self.running.tells_all => (notify.selected.messages, notify.selected.flags),
            _ => (true, true),
        };
        Telling { expunges: may_expunge && (messages || by_itself), arrivals: messages, flags }
    }

    /// Whether [`learn`](Self::learn) should hear at once what happens in the selected mailbox, because the client does:
    /// within IDLE, and after a NOTIFY that speaks of the selected mailbox always.
    pub fn listens(&self) -> bool {
        match &self.notify {
            None => self.is_idling(),
            Some(notify) => notify.selected.messages,
        }
    }

    /// Whether [`notify`](Self::notify) takes something now: the client asked for it, no command is in the middle of its answers,
    /// and the client takes what it is sent.
    pub fn takes_notifications(&self) -> bool {
        self.notify.as_ref().is_some_and(|notify| notify.watches) && self.is_between_answers() && self.room() > 0
    }

    /// No answer is being written, so that another may be.
    fn is_between_answers(&self) -> bool {
        matches!(self.doing, Doing::Reading | Doing::Idling { .. })
    }

    /// Tells the client what happened elsewhere than in the selected mailbox. Numbers of that one are dropped: NOTIFY speaks of it
    /// in words of its own.
    ///
    /// # Errors
    ///
    /// [`Misuse::NoOpenQuestion`] unless [`takes_notifications`](Self::takes_notifications), and
    /// [`Misuse::ForbiddenOctet`] if an attribute of a name is none.
    pub fn notify(&mut self, now: Time, notification: Notification) -> Result<(), Misuse> {
        self.timer.advance(now);
        if !self.takes_notifications() {
            return Err(Misuse::NoOpenQuestion);
        }
        self.write_notification(notification)?;
        self.timer.output(!self.out.is_empty());
        Ok(())
    }

    pub(super) fn write_notification(&mut self, notification: Notification) -> Result<(), Misuse> {
        match notification {
            Notification::Numbers { mailbox, events, first, status } => {
                let is_selected = |selected: &MailboxName| *selected == mailbox;
                if !self.selected_name().is_some_and(is_selected) {
                    self.status_line(&mailbox, &self.numbers(events, first), &status);
                }
            }
            Notification::Listed { listed, old_name } => self.name_line(&listed, old_name.as_ref())?,
            Notification::Annotated { mailbox, entries } => self.annotated_line(mailbox.as_ref(), &entries),
            Notification::Overflow => {
                self.untagged("OK", Some("NOTIFICATIONOVERFLOW"), "Too much happened: ask again");
                // RFC 5465 §5.8: as if NOTIFY NONE had come.
                self.notify = Some(Box::default());
            }
        }
        self.timer.alive();
        Ok(())
    }

    fn selected_name(&self) -> Option<&MailboxName> {
        match &self.standing {
            Standing::Selected { mailbox, .. } => Some(&mailbox.name),
            _ => None,
        }
    }

    /// RFC 5465 §3.1, §5.1 to §5.3
    fn numbers(&self, events: Events, first: bool) -> Vec<StatusItem> {
        let mut items = Vec::new();
        if events.messages {
            items.extend([StatusItem::Messages, StatusItem::UidNext]);
        }
        items.push(StatusItem::UidValidity);
        if events.flags && !first {
            items.push(StatusItem::Unseen);
        }
        let condstore = self.config.extensions.condstore;
        if self.enabled.mod_seqs && condstore || first && events.flags && condstore {
            items.push(StatusItem::HighestModSeq);
        }
        items
    }

    /// RFC 5465 §5.4 and §5.5
    fn name_line(&mut self, listed: &Listed, old_name: Option<&MailboxName>) -> Result<(), Misuse> {
        if !listed.has_good_attributes() {
            return Err(Misuse::ForbiddenOctet { what: "an attribute of a mailbox" });
        }
        if !self.list_line("LIST", &listed.name, &listed.attributes.join(" ")) {
            return Ok(());
        }
        let (separator, encoding) = (self.config.separator, self.name_encoding());
        let out = self.out.end();
        if let Some(old) = old_name.filter(|old| old.to_wire(separator, encoding).is_some()) {
            out.extend_from_slice(b" (\"OLDNAME\" (");
            mailbox(out, old, separator, encoding);
            out.extend_from_slice(b"))");
        }
        push(out, format_args!("\r\n"));
        Ok(())
    }

    /// RFC 5464 §4.4.2: names alone.
    fn annotated_line(&mut self, of: Option<&MailboxName>, entries: &BTreeSet<EntryName>) {
        if entries.is_empty() {
            return;
        }
        match of {
            Some(name) if !self.begin_line("METADATA", name) => return,
            Some(_) => {}
            None => self.out.end().extend_from_slice(b"* METADATA \"\""),
        }
        let out = self.out.end();
        for name in entries {
            out.push(b' ');
            astring(out, name.as_str().as_bytes());
        }
        push(out, format_args!("\r\n"));
    }

    /// Between commands and within IDLE: tells what waits and may be told, unless the client does not take what it was told before.
    pub(super) fn tell_at_once(&mut self) {
        let may_expunge = match (&self.doing, &self.notify) {
            // RFC 2177 §3: IDLE is a command in progress, so EXPUNGE may be told.
            (Doing::Idling { .. }, _) => true,
            (Doing::Reading, Some(notify)) if notify.selected.messages => !notify.selected.delayed,
            _ => return,
        };
        if self.room() == 0 || self.stopping || self.gone {
            return;
        }
        if self.notify.is_some() && self.has_to_recheck() {
            // RFC 5465 §5.2: the contexts speak of a message before FETCH does.
            let then = match core::mem::replace(&mut self.doing, Doing::Reading) {
                Doing::Idling { scanner } => Then::Idle(scanner),
                _ => Then::Read,
            };
            match self.recheck(then) {
                None => return,
                Some(Then::Idle(scanner)) => self.doing = Doing::Idling { scanner },
                Some(_) => {}
            }
        }
        let mut telling = self.telling(may_expunge);
        let of_all = self.wanted_of_all().to_vec();
        if let (Doing::Reading, Some(notify)) = (&self.doing, &self.notify) {
            // The command before is over.
            telling.expunges &= notify.selected.messages;
        }
        let Standing::Selected { mailbox, .. } = &mut self.standing else { return };
        if !mailbox.view.has_news_to_tell(telling) && !mailbox.flags.has_news() && !mailbox.contexts.has_news() {
            return;
        }
        mailbox.flags.tell(self.out.end());
        let told = mailbox.tell(telling, &of_all, self.out.end());
        if let Some(highest) = mailbox.view.settle() {
            self.highest_mod_seq(highest);
        }
        self.timer.alive();
        let back = core::mem::replace(&mut self.doing, Doing::Reading);
        if let Some(Afterwards::Resume(back)) = self.ask_arrived(told.fetch, Afterwards::Resume(Box::new(back))) {
            self.doing = *back;
        }
    }
}
