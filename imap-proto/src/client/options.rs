//! Commands with options that hold names: what LIST tells of each, what NOTIFY watches, what a search keeps, annotations.

use alloc::format;
use alloc::string::String;

use super::command::{Command, Name, Part};
use crate::types::Uid;

/// What LIST tells of each name beside it (RFC 5258 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListReturn<'a> {
    /// Whether it is subscribed.
    Subscribed,
    /// Whether there is something below it.
    Children,
    /// What it is for (RFC 6154).
    SpecialUse,
    /// Our rights (RFC 8440), told by [`Response::MyRights`](super::Response::MyRights) behind it.
    MyRights,
    /// Its numbers (RFC 5819), such as `MESSAGES UNSEEN`, told by [`Response::MailboxStatus`](super::Response::MailboxStatus) behind it.
    Status(&'a str),
    /// These annotations (RFC 9590), told by [`Response::Metadata`](super::Response::Metadata) behind it.
    Metadata(&'a [&'a str]),
}

/// Which mailboxes NOTIFY watches (RFC 5465 §6).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifyFilter {
    /// The selected one, with expunges as they happen. Numbers of messages can then change at any time: name messages by their UIDs.
    Selected,
    /// The selected one, with expunges where they are told without NOTIFY.
    SelectedDelayed,
    /// Our own into which mail may be delivered.
    Inboxes,
    /// Our own.
    Personal,
    /// Those that we subscribe to.
    Subscribed,
    /// These and all below them.
    Subtree(alloc::vec::Vec<Name>),
    /// These.
    Mailboxes(alloc::vec::Vec<Name>),
}

/// What NOTIFY tells of (RFC 5465 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotifyEvent<'a> {
    /// New messages. FETCH of these items is told of those in the selected mailbox, such as `UID FLAGS`; empty, as it must be for other
    /// mailboxes: nothing but that they are there.
    MessageNew(&'a str),
    /// Messages that go. Goes with [`MessageNew`](NotifyEvent::MessageNew).
    MessageExpunge,
    /// Flags that change.
    FlagChange,
    /// Names that come, go and change.
    MailboxName,
    /// Subscriptions that change.
    SubscriptionChange,
    /// Annotations of mailboxes that change, told by [`Response::MetadataChanged`](super::Response::MetadataChanged).
    MailboxMetadataChange,
    /// Annotations of the server that change.
    ServerMetadataChange,
}

/// What a search returns, and what becomes of it (RFC 4731, RFC 5182, RFC 5267, RFC 9394).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SearchReturn {
    /// All that was found.
    All,
    /// How many.
    Count,
    /// The lowest.
    Min,
    /// The highest.
    Max,
    /// `$` stands for them from now on.
    Save,
    /// The server may want to keep them, as more will be asked about them.
    Context,
    /// Changes of the results are told by [`ESearch::updates`](super::ESearch::updates), until [`Command::cancel_update`].
    Update,
    /// Those between these two positions; negative ones count from the end.
    Partial(i32, i32),
}

/// Writes a list in parentheses: raw words, strings and names, with spaces between them.
struct Writer {
    command: Command,
    is_first: bool,
}

impl Writer {
    /// Behind a space and, if there is one, a word.
    fn begin(command: Command, word: &str) -> Self {
        let mut command = if word.is_empty() { command } else { command.raw(word) };
        command.space();
        command.parts.push(Part::Raw(b"(".to_vec()));
        Writer { command, is_first: true }
    }

    fn word(mut self, word: &str) -> Self {
        self.command = self.command.raw(word);
        self.drop_space(2);
        self
    }

    fn string(mut self, octets: &[u8]) -> Self {
        self.command = self.command.string(octets);
        self.drop_space(2);
        self
    }

    fn value(mut self, octets: &[u8]) -> Self {
        self.command = self.command.value(octets);
        self.drop_space(2);
        self
    }

    fn name(mut self, name: &Name) -> Self {
        self.command = self.command.mailbox(name.clone());
        self.drop_space(2);
        self
    }

    /// The first needs no space before it.
    fn drop_space(&mut self, parts: usize) {
        if core::mem::take(&mut self.is_first) {
            let at = self.command.parts.len() - parts;
            self.command.parts.remove(at);
        }
    }

    /// A list within the list.
    fn nested(self, word: &str) -> Self {
        let mut inner = self.word(word);
        inner.command.space();
        inner.command.parts.push(Part::Raw(b"(".to_vec()));
        inner.is_first = true;
        inner
    }

    fn close(mut self) -> Self {
        self.command.parts.push(Part::Raw(b")".to_vec()));
        self.is_first = false;
        self
    }

    fn end(self) -> Command {
        self.close().command
    }
}

impl Command {
    /// Asks LIST for more of each name (RFC 5258 §3.2), as [`list_return`](Command::list_return) does in words.
    ///
    /// ```
    /// use pillarbox_imap::client::{Command, ListReturn};
    ///
    /// let more = [ListReturn::MyRights, ListReturn::Status("UNSEEN"), ListReturn::Metadata(&["/shared/comment"])];
    /// let list = Command::list("", "*").list_returning(&more);
    /// ```
    #[must_use]
    pub fn list_returning(self, options: &[ListReturn<'_>]) -> Self {
        let list = options.iter().fold(Writer::begin(self, "RETURN"), |list, option| match option {
            ListReturn::Subscribed => list.word("SUBSCRIBED"),
            ListReturn::Children => list.word("CHILDREN"),
            ListReturn::SpecialUse => list.word("SPECIAL-USE"),
            ListReturn::MyRights => list.word("MYRIGHTS"),
            ListReturn::Status(items) => list.word(&format!("STATUS ({items})")),
            ListReturn::Metadata(entries) => {
                entries.iter().fold(list.nested("METADATA"), |list, entry| list.string(entry.as_bytes())).close()
            }
        });
        list.end()
    }

    /// NOTIFY NONE (RFC 5465 §3.2): nothing is watched any more, not even the selected mailbox.
    pub fn notify_none() -> Self {
        Command::new("NOTIFY").raw("NONE")
    }

    /// NOTIFY SET (RFC 5465 §3.1): what is watched from now on is what [`watching`](Command::watching) adds, and nothing else. With
    /// `with_status` the numbers of each mailbox are told at once.
    ///
    /// ```
    /// use pillarbox_imap::client::{Command, NotifyEvent, NotifyFilter};
    ///
    /// let messages = [NotifyEvent::MessageNew(""), NotifyEvent::MessageExpunge, NotifyEvent::FlagChange];
    /// let notify = Command::notify_set(true)
    ///     .watching(&NotifyFilter::SelectedDelayed, &messages)
    ///     .watching(&NotifyFilter::Subtree(vec!["Lists".into()]), &messages[..2])
    ///     .watching(&NotifyFilter::Personal, &[NotifyEvent::MailboxName]);
    /// ```
    pub fn notify_set(with_status: bool) -> Self {
        Command::new("NOTIFY").raw(if with_status { "SET STATUS" } else { "SET" })
    }

    /// Adds mailboxes to NOTIFY SET, and what is to be told of them: nothing, if there is no event.
    #[must_use]
    pub fn watching(self, filter: &NotifyFilter, events: &[NotifyEvent<'_>]) -> Self {
        let group = Writer::begin(self, "");
        let (word, names) = match filter {
            NotifyFilter::Selected => ("selected", None),
            NotifyFilter::SelectedDelayed => ("selected-delayed", None),
            NotifyFilter::Inboxes => ("inboxes", None),
            NotifyFilter::Personal => ("personal", None),
            NotifyFilter::Subscribed => ("subscribed", None),
            NotifyFilter::Subtree(names) => ("subtree", Some(names)),
            NotifyFilter::Mailboxes(names) => ("mailboxes", Some(names)),
        };
        let group = match names {
            None => group.word(word),
            Some(names) => names.iter().fold(group.nested(word), |list, name| list.name(name)).close(),
        };
        if events.is_empty() {
            return group.word("NONE").end();
        }
        let words = events.iter().map(|event| match event {
            NotifyEvent::MessageNew("") => "MessageNew".into(),
            NotifyEvent::MessageNew(items) => format!("MessageNew ({items})"),
            NotifyEvent::MessageExpunge => "MessageExpunge".into(),
            NotifyEvent::FlagChange => "FlagChange".into(),
            NotifyEvent::MailboxName => "MailboxName".into(),
            NotifyEvent::SubscriptionChange => "SubscriptionChange".into(),
            NotifyEvent::MailboxMetadataChange => "MailboxMetadataChange".into(),
            NotifyEvent::ServerMetadataChange => "ServerMetadataChange".into(),
        });
        let words: alloc::vec::Vec<String> = words.collect();
        group.word(&format!("({})", words.join(" "))).end()
    }

    /// UID SEARCH that says what is wanted of its results. [`uid_after`](Command::uid_after) and
    /// [`uid_before`](Command::uid_before) add keys, and [`string`](Command::string) one's text.
    ///
    /// ```
    /// use pillarbox_imap::client::{Command, SearchReturn};
    ///
    /// let unseen = Command::uid_search_returning(&[SearchReturn::All, SearchReturn::Update], "UNSEEN");
    /// let first = Command::uid_search_returning(&[SearchReturn::Partial(-1, -100)], "ALL");
    /// ```
    pub fn uid_search_returning(returns: &[SearchReturn], keys: &str) -> Self {
        Command::new("UID SEARCH").raw(&returning(returns)).raw(keys)
    }

    /// UID SORT (RFC 5256) by criteria such as `REVERSE ARRIVAL`, of what the keys find, with what is wanted of the results
    /// (RFC 5267 §3). Of results that are watched places are told.
    pub fn uid_sort_returning(returns: &[SearchReturn], criteria: &str, keys: &str) -> Self {
        Command::new("UID SORT").raw(&returning(returns)).raw(&format!("({criteria})")).raw("UTF-8").raw(keys)
    }

    /// Adds the search key UIDAFTER (RFC 9738, for servers that offer MESSAGELIMIT): messages with higher UIDs than this.
    #[must_use]
    pub fn uid_after(self, uid: Uid) -> Self {
        self.raw(&format!("UIDAFTER {uid}"))
    }

    /// Adds the search key UIDBEFORE (RFC 9738, for servers that offer MESSAGELIMIT): messages with lower UIDs than this.
    #[must_use]
    pub fn uid_before(self, uid: Uid) -> Self {
        self.raw(&format!("UIDBEFORE {uid}"))
    }

    /// CANCELUPDATE (RFC 5267 §4.3.5): changes of the results of the searches with these tags, as
    /// [`ESearch::tag`](super::ESearch::tag) told them, are not wanted any more.
    pub fn cancel_update(tags: &[&str]) -> Self {
        // RFC 5267 §5: a tag is always between quotes.
        tags.iter().fold(Command::new("CANCELUPDATE"), |command, tag| command.raw(&format!("\"{tag}\"")))
    }

    /// GETMETADATA (RFC 5464 §4.2) of these entries, such as `/shared/comment`; of the server if the name is empty.
    ///
    /// ```
    /// use pillarbox_imap::client::Command;
    ///
    /// let set = Command::set_metadata("INBOX", &[("/shared/comment", Some(&b"ours"[..])), ("/private/comment", None)]);
    /// let get = Command::get_metadata("INBOX", &["/shared/comment", "/private/comment"]);
    /// ```
    pub fn get_metadata(name: impl Into<Name>, entries: &[&str]) -> Self {
        let list = Writer::begin(Command::new("GETMETADATA").mailbox(name), "");
        entries.iter().fold(list, |list, entry| list.string(entry.as_bytes())).end()
    }

    /// SETMETADATA (RFC 5464 §4.3): entries with their values, which hold no NUL; without a value an entry goes.
    pub fn set_metadata(name: impl Into<Name>, entries: &[(&str, Option<&[u8]>)]) -> Self {
        let list = Writer::begin(Command::new("SETMETADATA").mailbox(name), "");
        let list = entries.iter().fold(list, |list, (entry, value)| {
            let list = list.string(entry.as_bytes());
            match value {
                // A value is never an atom.
                Some(value) => list.value(value),
                None => list.word("NIL"),
            }
        });
        list.end()
    }
}

fn returning(returns: &[SearchReturn]) -> String {
    let words = returns.iter().map(|option| match option {
        SearchReturn::All => "ALL".into(),
        SearchReturn::Count => "COUNT".into(),
        SearchReturn::Min => "MIN".into(),
        SearchReturn::Max => "MAX".into(),
        SearchReturn::Save => "SAVE".into(),
        SearchReturn::Context => "CONTEXT".into(),
        SearchReturn::Update => "UPDATE".into(),
        SearchReturn::Partial(from, to) => format!("PARTIAL {from}:{to}"),
    });
    let words: alloc::vec::Vec<String> = words.collect();
    format!("RETURN ({})", words.join(" "))
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;

    use pillarbox_core::{Misuse, Step, Time};

    use super::*;
    use crate::client::{ClientConfig, ClientSession};

    /// What a server is sent that takes literals without waiting.
    fn sent(command: Command) -> String {
        let mut session = ClientSession::new(ClientConfig::default());
        let mut input = &b"* PREAUTH [CAPABILITY IMAP4rev1 LITERAL+] hi\r\n"[..];
        while let Step::Event(_) = session.poll(Time::ZERO, &mut input) {}
        session.consume_output(Time::ZERO, usize::MAX);
        session.submit(Time::ZERO, command).unwrap();
        let line = String::from_utf8(session.output().to_owned()).unwrap();
        line.split_once(' ').unwrap().1.trim_end().to_owned()
    }

    #[test]
    fn lists() {
        let all = [
            ListReturn::Subscribed,
            ListReturn::Children,
            ListReturn::SpecialUse,
            ListReturn::MyRights,
            ListReturn::Status("MESSAGES UNSEEN"),
            ListReturn::Metadata(&["/shared/comment", "/private/a b"]),
        ];
        assert_eq!(
            sent(Command::list("", "*").list_returning(&all)),
            "LIST \"\" \"*\" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE MYRIGHTS STATUS (MESSAGES UNSEEN) \
             METADATA (/shared/comment \"/private/a b\"))"
        );
        let metadata = [ListReturn::Metadata(&["/shared/comment"]), ListReturn::MyRights];
        let list = Command::list("", "a").list_returning(&metadata);
        assert_eq!(sent(list), "LIST \"\" a RETURN (METADATA (/shared/comment) MYRIGHTS)");
    }

    #[test]
    fn what_is_watched() {
        assert_eq!(sent(Command::notify_none()), "NOTIFY NONE");
        let messages = [NotifyEvent::MessageNew("UID FLAGS"), NotifyEvent::MessageExpunge];
        let names = [
            NotifyEvent::MailboxName,
            NotifyEvent::SubscriptionChange,
            NotifyEvent::MailboxMetadataChange,
            NotifyEvent::ServerMetadataChange,
        ];
        let notify = Command::notify_set(true)
            .watching(&NotifyFilter::Selected, &messages)
            .watching(&NotifyFilter::Subtree(alloc::vec!["Lists".into(), "Entw\u{fc}rfe".into()]), &[])
            .watching(&NotifyFilter::Personal, &names);
        assert_eq!(
            sent(notify),
            "NOTIFY SET STATUS (selected (MessageNew (UID FLAGS) MessageExpunge)) \
             (subtree (Lists Entw&APw-rfe) NONE) \
             (personal (MailboxName SubscriptionChange MailboxMetadataChange ServerMetadataChange))"
        );
        let flags = [NotifyEvent::MessageNew(""), NotifyEvent::MessageExpunge, NotifyEvent::FlagChange];
        for (filter, word) in [
            (NotifyFilter::SelectedDelayed, "selected-delayed"),
            (NotifyFilter::Inboxes, "inboxes"),
            (NotifyFilter::Subscribed, "subscribed"),
            (NotifyFilter::Mailboxes(alloc::vec!["a b".into()]), "mailboxes (\"a b\")"),
        ] {
            let notify = Command::notify_set(false).watching(&filter, &flags);
            assert_eq!(sent(notify), format!("NOTIFY SET ({word} (MessageNew MessageExpunge FlagChange))"));
        }
    }

    #[test]
    fn searches() {
        use SearchReturn::*;
        let uid = Uid::new(7).unwrap();
        let search = Command::uid_search_returning(&[All, Count, Min, Max, Save, Context, Update], "UNSEEN");
        assert_eq!(sent(search), "UID SEARCH RETURN (ALL COUNT MIN MAX SAVE CONTEXT UPDATE) UNSEEN");
        let search = Command::uid_search_returning(&[Partial(-1, -100)], "ALL").uid_after(uid).uid_before(uid);
        assert_eq!(sent(search), "UID SEARCH RETURN (PARTIAL -1:-100) ALL UIDAFTER 7 UIDBEFORE 7");
        let sort = Command::uid_sort_returning(&[Update], "REVERSE ARRIVAL", "ALL");
        assert_eq!(sent(sort), "UID SORT RETURN (UPDATE) (REVERSE ARRIVAL) UTF-8 ALL");
        assert_eq!(sent(Command::cancel_update(&["A1", "A2"])), "CANCELUPDATE \"A1\" \"A2\"");
    }

    #[test]
    fn annotations() {
        let set = [("/shared/comment", Some(&b"mine"[..])), ("/private/a", Some(b"NIL")), ("/private/b", None)];
        assert_eq!(
            sent(Command::set_metadata("INBOX", &set)),
            "SETMETADATA INBOX (/shared/comment \"mine\" /private/a \"NIL\" /private/b NIL)"
        );
        let get = Command::get_metadata("", &["/shared/comment", "/private/a b"]);
        assert_eq!(sent(get), "GETMETADATA \"\" (/shared/comment \"/private/a b\")");
        let mut session = ClientSession::new(ClientConfig::default());
        for bad in [
            Command::set_metadata("INBOX", &[("/shared/comment", Some(b"\0"))]),
            Command::list("", "*").list_returning(&[ListReturn::Status("MESSAGES\r\nb LOGOUT")]),
            Command::notify_set(false).watching(&NotifyFilter::Selected, &[NotifyEvent::MessageNew("UID {1}")]),
        ] {
            assert!(matches!(session.submit(Time::ZERO, bad), Err(Misuse::ForbiddenOctet { .. })));
        }
    }
}
