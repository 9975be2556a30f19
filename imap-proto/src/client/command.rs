//! Commands, as an embedder gives them to the session.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use pillarbox_core::WallTime;

use super::mirror::KnownMailbox;
use super::words::WireName;
use crate::command::row_of;
use crate::server::FlagChange;
use crate::types::{Flags, ModSeq, SequenceSet, UidSet};
use crate::wire::encode;

/// The most octets of a set of UIDs that a mirror has in a command: servers read lines, and those have limits.
pub(super) const SET_MAX: usize = 4096;

/// A command with its arguments, not yet written: how its strings go (quoted, or as literals of which kind) depends on what
/// the server can do.
///
/// ```
/// use pillarbox_imap::client::Command;
/// use pillarbox_imap::types::UidSet;
///
/// let inbox = Command::select("INBOX");
/// let flags = Command::uid_fetch("1:*", "(FLAGS)");
/// // Anything that there is no function for. Text cannot leave its argument: an end of line goes as a literal.
/// let rights = Command::new("GETACL").mailbox("INBOX").string("a\r\nb LOGOUT");
/// ```
///
/// What cannot be written at all (a NUL, a control character in an argument that is no string) makes
/// [`submit`](super::ClientSession::submit) say [`Misuse`](pillarbox_core::Misuse).
#[derive(Clone, PartialEq, Eq)]
pub struct Command {
    pub(super) name: String,
    pub(super) parts: Vec<Part>,
    /// An argument that cannot be written.
    pub(super) forbidden: Option<&'static str>,
    pub(super) rules: Rules,
    pub(super) messages: usize,
}

/// Keys of searches and one option behind which a number, a set or a word is none of a message in its place, nor a key.
/// HEADER has two of them.
#[rustfmt::skip]
const ONE_ARGUMENT: [&[u8]; 20] = [
    b"UID", b"LARGER", b"SMALLER", b"MODSEQ", b"YOUNGER", b"OLDER", b"PARTIAL", b"UIDAFTER", b"UIDBEFORE",
    b"BCC", b"BODY", b"CC", b"EMAILID", b"FROM", b"KEYWORD", b"SUBJECT", b"TEXT", b"THREADID", b"TO", b"UNKEYWORD",
];

/// The first word of the keys of a search, which may be a string with its quotes or a parenthesis, and what is behind it.
fn first_word(keys: &[u8]) -> Option<(&[u8], &[u8])> {
    let keys = keys.trim_ascii_start();
    let len = match keys.first()? {
        b'(' | b')' => 1,
        b'"' => {
            let mut is_escaped = false;
            let end = keys[1..].iter().position(|octet| {
                let ends = *octet == b'"' && !is_escaped;
                is_escaped = *octet == b'\\' && !is_escaped;
                ends
            });
            // One that never ends is no string.
            end.map_or(1, |end| end + 2)
        }
        _ => keys.iter().position(|octet| b" ()".contains(octet)).unwrap_or(keys.len()),
    };
    Some(keys.split_at(len))
}

/// A piece of a command.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Octets that go as they are.
    Raw(Vec<u8>),
    /// A string, or where that is enough an atom.
    Text(Vec<u8>),
    /// A string that may not be an atom, as an atom would be something else: NIL, or a mistake.
    Value(Vec<u8>),
    /// A name of a mailbox that is still to be encoded.
    Name(String),
    /// The octets of a message, which the embedder brings when they are wanted.
    Message { size: u64, is_binary: bool },
}

/// What a command may do to others that are under way (RFC 9051 §5.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    /// Nothing else is under way while it is.
    pub(super) alone: bool,
    /// It takes or gives sequence numbers.
    pub(super) uses_seqs: bool,
    /// It names messages by their numbers.
    pub(super) takes_seqs: bool,
    /// Behind it numbers are those of another mailbox.
    pub(super) selects: bool,
    /// EXPUNGE may be told before its end, so numbers that are sent later may not mean what they meant.
    pub(super) may_expunge: bool,
    /// It is not known to this crate, and perhaps not to the server.
    pub(super) is_unknown: bool,
    /// What it tells can be taken for what another of this kind tells, as neither has a tag.
    pub(super) tells: Option<Tells>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    Found,
    Names,
}

impl Rules {
    /// Of a command by its name. One that is not known goes alone: nothing is known of what it does to others.
    fn of(name: &str) -> Self {
        let tells = match name.strip_prefix("UID ").unwrap_or(name) {
            "SEARCH" | "SORT" | "THREAD" => Some(Tells::Found),
            "LIST" | "LSUB" | "STATUS" | "NOTIFY" => Some(Tells::Names),
            _ => None,
        };
        match name {
            // RFC 5256 §3: EXPUNGE is withheld from both; the UID forms may tell it.
            "SORT" | "THREAD" => return Rules { uses_seqs: true, tells, ..Rules::default() },
            "UID SORT" | "UID THREAD" => return Rules { may_expunge: true, tells, ..Rules::default() },
            "ENABLE" | "IDLE" | "LOGOUT" | "UNAUTHENTICATE" | "CAPABILITY" => {
                return Rules { alone: true, ..Rules::default() };
            }
            _ => {}
        }
        match row_of(name.as_bytes()) {
            Some(row) => Rules {
                alone: row.changes_selection || row.states == crate::command::States::NotAuthenticated,
                uses_seqs: row.uses_seqs,
                // Searches give numbers, and take them as keys alone, which are not there yet.
                takes_seqs: row.uses_seqs && tells != Some(Tells::Found),
                selects: row.changes_selection,
                may_expunge: row.may_expunge,
                is_unknown: false,
                tells,
            },
            None => Rules { alone: true, is_unknown: true, ..Rules::default() },
        }
    }

    /// Whether a command with these rules may be sent while one with `running` is under way.
    pub(super) fn may_follow(self, running: Rules) -> bool {
        let is_ambiguous = self.uses_seqs && running.may_expunge;
        let is_mistaken = self.tells.is_some() && self.tells == running.tells;
        !(self.alone || running.alone || is_ambiguous || is_mistaken)
    }
}

/// A mailbox in a command: a text, which is encoded as the server wants it, or a name as the server spelled it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Name {
    /// A text; its levels are parted as the server parts them.
    Text(String),
    /// A name that LIST told.
    Wire(WireName),
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Name::Text(text.into())
    }
}

impl From<&String> for Name {
    fn from(text: &String) -> Self {
        Name::Text(text.clone())
    }
}

impl From<&WireName> for Name {
    fn from(name: &WireName) -> Self {
        Name::Wire(name.clone())
    }
}

impl From<WireName> for Name {
    fn from(name: WireName) -> Self {
        Name::Wire(name)
    }
}

impl Command {
    /// A command of this name (one word, or UID and one), without arguments yet: for extensions. One that this crate does not know is sent while
    /// no other is under way. STARTTLS and COMPRESS are the session's own: what they begin is no text.
    pub fn new(name: &str) -> Self {
        let is_name = |word: &str| !word.is_empty() && word.bytes().all(|octet| crate::octet::ATOM.holds(octet));
        let name = name.to_ascii_uppercase();
        let fits = is_name(name.strip_prefix("UID ").unwrap_or(&name));
        let rules = Rules::of(&name);
        Command { name, parts: Vec::new(), forbidden: (!fits).then_some("the name of a command"), rules, messages: 0 }
    }

    /// Adds an argument that goes as it is: atoms, numbers, sets, lists. Printable octets only, and no `{` or `}`, as those
    /// would announce a literal: what may hold them is a [`string`](Command::string).
    #[must_use]
    pub fn raw(mut self, argument: &str) -> Self {
        let fits = argument.bytes().all(|octet| matches!(octet, b' '..=b'~') && octet != b'{' && octet != b'}');
        if !fits || argument.is_empty() {
            self.forbidden = self.forbidden.or(Some("an argument"));
        }
        self.push_raw(argument.as_bytes());
        self
    }

    /// Adds a string, whatever is in it but NUL.
    #[must_use]
    pub fn string(mut self, argument: impl AsRef<[u8]>) -> Self {
        let octets = argument.as_ref();
        self.refuse_nul(octets);
        self.space();
        self.parts.push(Part::Text(octets.to_vec()));
        self
    }

    /// Adds a string that never goes as an atom.
    pub(super) fn value(mut self, octets: &[u8]) -> Self {
        self.refuse_nul(octets);
        self.space();
        self.parts.push(Part::Value(octets.to_vec()));
        self
    }

    fn refuse_nul(&mut self, octets: &[u8]) {
        if octets.contains(&0) {
            self.forbidden = self.forbidden.or(Some("a string"));
        }
    }

    /// Adds the name of a mailbox.
    #[must_use]
    pub fn mailbox(mut self, name: impl Into<Name>) -> Self {
        match name.into() {
            Name::Wire(name) => self.string(name.as_bytes()),
            Name::Text(name) => {
                if name.contains('\0') {
                    self.forbidden = self.forbidden.or(Some("the name of a mailbox"));
                }
                self.space();
                self.parts.push(Part::Name(name));
                self
            }
        }
    }

    /// What is known once all arguments are there. RFC 9051 §5.5: also UID SEARCH may hold sequence numbers.
    pub(super) fn settle_rules(&mut self) {
        if self.rules.tells == Some(Tells::Found) && self.has_number_keys() {
            (self.rules.uses_seqs, self.rules.takes_seqs) = (true, true);
        }
    }

    /// Whether the keys of a search name messages by their numbers; what may be that is taken for it.
    fn has_number_keys(&self) -> bool {
        // So many words more are arguments of the last key.
        let mut arguments = 0_usize;
        for part in &self.parts {
            let Part::Raw(octets) = part else {
                arguments = arguments.saturating_sub(1);
                continue;
            };
            let mut rest = &octets[..];
            while let Some((word, behind)) = first_word(rest) {
                rest = behind;
                let is_set = word.iter().all(|octet| octet.is_ascii_digit() || b"*:,".contains(octet));
                match word {
                    // What SORT sorts by is called as keys are, and has no arguments.
                    b"(" | b")" => arguments = 0,
                    _ if arguments > 0 => arguments -= 1,
                    _ if is_set => return true,
                    key if key.eq_ignore_ascii_case(b"HEADER") => arguments = 2,
                    key => arguments = ONE_ARGUMENT.iter().any(|own| key.eq_ignore_ascii_case(own)).into(),
                }
            }
        }
        false
    }

    pub(super) fn space(&mut self) {
        self.parts.push(Part::Raw(b" ".to_vec()));
    }

    fn push_raw(&mut self, octets: &[u8]) {
        self.space();
        self.parts.push(Part::Raw(octets.to_vec()));
    }

    /// CAPABILITY, asked anew. The session does so by itself when it begins.
    pub fn capability() -> Self {
        Command::new("CAPABILITY")
    }

    /// NOOP.
    pub fn noop() -> Self {
        Command::new("NOOP")
    }

    /// LOGOUT: the session ends behind it.
    pub fn logout() -> Self {
        Command::new("LOGOUT")
    }

    /// ID (RFC 2971): fields and their values.
    pub fn id(fields: &[(&str, &str)]) -> Self {
        let mut command = Command::new("ID");
        if fields.is_empty() {
            return command.raw("NIL");
        }
        command.parts.push(Part::Raw(b" (".to_vec()));
        for (index, (name, value)) in fields.iter().enumerate() {
            let with_space = index > 0;
            command = command.bare_string(name.as_bytes(), with_space).bare_string(value.as_bytes(), true);
        }
        command.parts.push(Part::Raw(b")".to_vec()));
        command
    }

    fn bare_string(mut self, octets: &[u8], with_space: bool) -> Self {
        // RFC 2971 §3.3: strings.
        self = self.value(octets);
        if !with_space {
            let at = self.parts.len() - 2;
            self.parts.remove(at);
        }
        self
    }

    /// ENABLE (RFC 5161): words such as `QRESYNC`. The session enables what its configuration says by itself.
    pub fn enable(extensions: &[&str]) -> Self {
        extensions.iter().fold(Command::new("ENABLE"), |command, word| command.raw(word))
    }

    /// SELECT.
    pub fn select(name: impl Into<Name>) -> Self {
        Command::new("SELECT").mailbox(name)
    }

    /// EXAMINE: as SELECT, and nothing may be changed.
    pub fn examine(name: impl Into<Name>) -> Self {
        Command::new("EXAMINE").mailbox(name)
    }

    /// Asks SELECT or EXAMINE for mod-sequences (RFC 7162 §3.1.8).
    #[must_use]
    pub fn condstore(self) -> Self {
        self.raw("(CONDSTORE)")
    }

    /// Asks SELECT or EXAMINE for what has changed since (RFC 7162 §3.2.5); QRESYNC has to be enabled.
    #[must_use]
    pub fn qresync(self, known: &KnownMailbox) -> Self {
        let (validity, mod_seq, uids) = (known.uid_validity, known.mod_seq, &known.uids);
        let uids = uids.to_string();
        // Without them the server tells of all that have gone.
        match uids.is_empty() || uids.len() > SET_MAX {
            true => self.raw(&alloc::format!("(QRESYNC ({validity} {mod_seq}))")),
            false => self.raw(&alloc::format!("(QRESYNC ({validity} {mod_seq} {uids}))")),
        }
    }

    /// CLOSE: leaves the mailbox, and expunges what has `\Deleted`.
    pub fn close() -> Self {
        Command::new("CLOSE")
    }

    /// UNSELECT (RFC 3691): leaves the mailbox.
    pub fn unselect() -> Self {
        Command::new("UNSELECT")
    }

    /// CREATE.
    pub fn create(name: impl Into<Name>) -> Self {
        Command::new("CREATE").mailbox(name)
    }

    /// DELETE.
    pub fn delete(name: impl Into<Name>) -> Self {
        Command::new("DELETE").mailbox(name)
    }

    /// RENAME.
    pub fn rename(from: impl Into<Name>, to: impl Into<Name>) -> Self {
        Command::new("RENAME").mailbox(from).mailbox(to)
    }

    /// SUBSCRIBE.
    pub fn subscribe(name: impl Into<Name>) -> Self {
        Command::new("SUBSCRIBE").mailbox(name)
    }

    /// UNSUBSCRIBE.
    pub fn unsubscribe(name: impl Into<Name>) -> Self {
        Command::new("UNSUBSCRIBE").mailbox(name)
    }

    /// LIST of the names below `reference` that `pattern` matches (`*`: anything, `%`: one level).
    pub fn list(reference: &str, pattern: &str) -> Self {
        Command::new("LIST").mailbox(reference).mailbox(pattern)
    }

    /// Asks LIST for more of each name (RFC 5258): such as `STATUS (MESSAGES)`, `SPECIAL-USE`, `SUBSCRIBED`.
    #[must_use]
    pub fn list_return(self, options: &str) -> Self {
        self.raw(&alloc::format!("RETURN ({options})"))
    }

    /// LSUB, for servers without LIST-EXTENDED.
    pub fn lsub(reference: &str, pattern: &str) -> Self {
        Command::new("LSUB").mailbox(reference).mailbox(pattern)
    }

    /// NAMESPACE.
    pub fn namespace() -> Self {
        Command::new("NAMESPACE")
    }

    /// STATUS with items such as `MESSAGES UIDNEXT`.
    pub fn status(name: impl Into<Name>, items: &str) -> Self {
        Command::new("STATUS").mailbox(name).raw(&alloc::format!("({items})"))
    }

    /// APPEND of one message of `size` octets, which the session asks for. CRLF ends its lines.
    pub fn append(name: impl Into<Name>, flags: &Flags, date: Option<WallTime>, size: u64) -> Self {
        Command::new("APPEND").mailbox(name).and_message(flags, date, size)
    }

    /// Adds another message to APPEND (RFC 3502): all are stored, or none is.
    #[must_use]
    pub fn and_message(mut self, flags: &Flags, date: Option<WallTime>, size: u64) -> Self {
        self.message(flags, date, size, false);
        self
    }

    /// Adds a message to APPEND that may hold NUL (RFC 3516 §4.4).
    #[must_use]
    pub fn and_binary_message(mut self, flags: &Flags, date: Option<WallTime>, size: u64) -> Self {
        self.message(flags, date, size, true);
        self
    }

    fn message(&mut self, flags: &Flags, date: Option<WallTime>, size: u64, is_binary: bool) {
        if !flags.is_empty() {
            self.push_raw(alloc::format!("{flags}").as_bytes());
        }
        if let Some(date) = date {
            let mut written = Vec::new();
            encode::date_time(&mut written, date);
            self.push_raw(&written);
        }
        self.space();
        self.parts.push(Part::Message { size, is_binary });
        self.messages += 1;
    }

    /// IDLE (RFC 2177): the server tells what happens as it happens. It ends with [`done`](super::ClientSession::done), and
    /// by itself when another command is submitted.
    pub fn idle() -> Self {
        Command::new("IDLE")
    }

    /// CHECK.
    pub fn check() -> Self {
        Command::new("CHECK")
    }

    /// EXPUNGE: removes what has `\Deleted`.
    pub fn expunge() -> Self {
        Command::new("EXPUNGE")
    }

    /// UID EXPUNGE (RFC 4315): removes those of these that have `\Deleted`.
    pub fn uid_expunge(uids: &UidSet) -> Self {
        Command::new("UID EXPUNGE").raw(&uids.to_string())
    }

    /// FETCH by sequence numbers, of items such as `(FLAGS BODY.PEEK[])`. What it names is what they are when it is sent.
    pub fn fetch(numbers: &SequenceSet, items: &str) -> Self {
        Command::new("FETCH").raw(&numbers.to_string()).raw(items)
    }

    /// UID FETCH of a set such as `1:*`.
    pub fn uid_fetch(uids: &str, items: &str) -> Self {
        Command::new("UID FETCH").raw(uids).raw(items)
    }

    /// Asks FETCH only for messages that changed after this (RFC 7162 §3.1.4.1); with `vanished` for those that went, too,
    /// which needs QRESYNC.
    #[must_use]
    pub fn changed_since(self, mod_seq: ModSeq, vanished: bool) -> Self {
        let vanished = if vanished { " VANISHED" } else { "" };
        self.raw(&alloc::format!("(CHANGEDSINCE {mod_seq}{vanished})"))
    }

    /// UID STORE. With `unchanged_since` only messages that did not change after that are changed (RFC 7162 §3.1.3).
    pub fn uid_store(uids: &UidSet, change: FlagChange, flags: &Flags, unchanged_since: Option<ModSeq>) -> Self {
        let mut command = Command::new("UID STORE").raw(&uids.to_string());
        if let Some(mod_seq) = unchanged_since {
            command = command.raw(&alloc::format!("(UNCHANGEDSINCE {mod_seq})"));
        }
        let sign = match change {
            FlagChange::Replace => "",
            FlagChange::Add => "+",
            FlagChange::Remove => "-",
        };
        command.raw(&alloc::format!("{sign}FLAGS {flags}"))
    }

    /// UID COPY.
    pub fn uid_copy(uids: &UidSet, to: impl Into<Name>) -> Self {
        Command::new("UID COPY").raw(&uids.to_string()).mailbox(to)
    }

    /// UID MOVE (RFC 6851).
    pub fn uid_move(uids: &UidSet, to: impl Into<Name>) -> Self {
        Command::new("UID MOVE").raw(&uids.to_string()).mailbox(to)
    }

    /// UID SEARCH for keys that hold no strings, such as `UNSEEN SINCE 1-Feb-2024`. Strings are added with
    /// [`string`](Command::string): `Command::uid_search("SUBJECT").string("a \"b\"")`.
    pub fn uid_search(keys: &str) -> Self {
        Command::new("UID SEARCH").raw(keys)
    }

    /// SEARCH, which tells sequence numbers.
    pub fn search(keys: &str) -> Self {
        Command::new("SEARCH").raw(keys)
    }
}

impl fmt::Debug for Command {
    /// Without strings, which may be secrets of an extension.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_messages_and_others() {
        let has = |mut command: Command| {
            command.settle_rules();
            command.rules.takes_seqs
        };
        for keys in [
            "1:3",
            "UNSEEN 4,*",
            "NOT (2)",
            "FROM older 1:3",
            "OR SUBJECT 2024 7",
            "HEADER X-Count 1 2",
            "(FROM 1) 2",
            "SUBJECT \"a 1\" 2",
            "SUBJECT \"a \\\" 1\" 2",
            "\"SUBJECT\" 1",
            "SUBJECT \"1 2 3",
        ] {
            assert!(has(Command::uid_search(keys)), "{keys}");
        }
        for keys in [
            "SUBJECT 2024",
            "subject 2024 FROM 7 UNSEEN",
            "HEADER X-Count 1",
            "KEYWORD 5 UNKEYWORD 6",
            "EMAILID 12 THREADID 13",
            "UID 1:3 LARGER 7",
            "TEXT \"1 2\"",
            "TEXT \"\\\" 2\" OLDER 9",
            "RETURN (PARTIAL 1:10) TO 9",
        ] {
            assert!(!has(Command::uid_search(keys)), "{keys}");
        }
        assert!(!has(Command::uid_search("HEADER").string("X-Count").raw("1")));
        assert!(has(Command::uid_search("SUBJECT").string("FROM").raw("1")));
        let sort = |keys: &str| Command::new("UID SORT").raw("(SUBJECT)").raw("UTF-8").raw(keys);
        assert!(has(sort("1:3")) && has(sort("FROM 1 2")) && !has(sort("FROM 1")));
    }

    #[test]
    fn what_may_be_under_way_together() {
        let may = |first: &str, then: &str| Rules::of(then).may_follow(Rules::of(first));
        // RFC 9051 §5.5 names these.
        for (first, then) in [("FETCH", "STORE"), ("FETCH", "FETCH"), ("STORE", "FETCH"), ("UID FETCH", "UID STORE")] {
            assert!(may(first, then), "{first} {then}");
        }
        for (first, then) in [
            ("NOOP", "FETCH"),
            ("UID FETCH", "FETCH"),
            ("COPY", "STORE"),
            ("EXPUNGE", "SEARCH"),
            ("SELECT", "UID FETCH"),
            ("UID FETCH", "SELECT"),
            ("UID SEARCH", "UID SEARCH"),
            ("UID SORT", "UID SEARCH"),
            ("LIST", "STATUS"),
            ("NOOP", "XFROB"),
            ("IDLE", "NOOP"),
        ] {
            assert!(!may(first, then), "{first} {then}");
        }
    }
}
