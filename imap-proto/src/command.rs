//! The commands as a table: where each may be given, and what it may do to sequence numbers.

use crate::octet::capitals;
use crate::wire::parse::{self, Command, Parsed};

/// In which states of the connection a command may be given (RFC 9051 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum States {
    /// In each.
    Any,
    /// Before login.
    NotAuthenticated,
    /// After login, with a mailbox or without.
    Authenticated,
    /// While a mailbox is selected.
    Selected,
}

/// One row of [`COMMANDS`].
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct CommandRow {
    /// The name, in capitals.
    pub name: &'static str,
    /// Where it may be given.
    pub states: States,
    /// It takes or gives sequence numbers.
    pub uses_seqs: bool,
    /// EXPUNGE may be told before its tagged answer (RFC 9051 §7.5.1). Where it uses sequence numbers the answer is no,
    /// for the client may already have sent the next command with the old numbers.
    pub may_expunge: bool,
    /// It selects another mailbox, or none.
    pub changes_selection: bool,
    pub(crate) arguments: Arguments,
}

/// What may stand behind the name of a command.
#[derive(Clone, Copy)]
pub(crate) enum Arguments {
    /// Nothing.
    Absent(Bare),
    /// A space and more.
    Parsed(for<'b> fn(&'b [u8]) -> Parsed<'b, Command<'b>>),
}

/// A command that nothing stands behind. Not a function that gives one: a large value that is written by one function and copied by
/// another at once makes the processor wait for its own writes.
#[derive(Clone, Copy)]
pub(crate) enum Bare {
    Capability,
    Check,
    Close,
    Expunge,
    Idle,
    Logout,
    Namespace,
    Noop,
    StartTls,
    Unauthenticate,
    Unselect,
}

impl Bare {
    #[inline(always)]
    pub(crate) const fn command(self) -> Command<'static> {
        match self {
            Bare::Capability => Command::Capability,
            Bare::Check => Command::Check,
            Bare::Close => Command::Close,
            Bare::Expunge => Command::Expunge { only: None },
            Bare::Idle => Command::Idle,
            Bare::Logout => Command::Logout,
            Bare::Namespace => Command::Namespace,
            Bare::Noop => Command::Noop,
            Bare::StartTls => Command::StartTls,
            Bare::Unauthenticate => Command::Unauthenticate,
            Bare::Unselect => Command::Unselect,
        }
    }
}

impl CommandRow {
    /// It removes messages itself, and tells the client so.
    pub(crate) fn removes(&self) -> bool {
        ["EXPUNGE", "MOVE", "REPLACE"].contains(&self.name.strip_prefix("UID ").unwrap_or(self.name))
    }
}

impl core::fmt::Debug for CommandRow {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("CommandRow")
            .field("name", &self.name)
            .field("states", &self.states)
            .field("uses_seqs", &self.uses_seqs)
            .field("may_expunge", &self.may_expunge)
            .field("changes_selection", &self.changes_selection)
            .finish_non_exhaustive()
    }
}

const fn row(
    name: &'static str,
    states: States,
    [uses_seqs, may_expunge, changes_selection]: [bool; 3],
    arguments: for<'b> fn(&'b [u8]) -> Parsed<'b, Command<'b>>,
) -> CommandRow {
    let arguments = Arguments::Parsed(arguments);
    CommandRow { name, states, uses_seqs, may_expunge, changes_selection, arguments }
}

/// A command without arguments.
const fn bare(
    name: &'static str,
    states: States,
    [uses_seqs, may_expunge, changes_selection]: [bool; 3],
    command: Bare,
) -> CommandRow {
    let arguments = Arguments::Absent(command);
    CommandRow { name, states, uses_seqs, may_expunge, changes_selection, arguments }
}

use States::{Any, Authenticated, NotAuthenticated, Selected};

const NONE: [bool; 3] = [false, false, false];
const EXPUNGES: [bool; 3] = [false, true, false];
const SELECTS: [bool; 3] = [false, false, true];
const USES: [bool; 3] = [true, false, false];
/// A command that takes sequence numbers, and after which numbers may change nevertheless.
const USES_AND_EXPUNGES: [bool; 3] = [true, true, false];

/// Every command there is, in alphabetical order.
///
/// FETCH, STORE, SEARCH, SORT and THREAD withhold EXPUNGE; their UID forms do not (RFC 9051 §7.5.1, RFC 5256 §3). COPY, MOVE and
/// REPLACE take sequence numbers
/// but may tell EXPUNGE: RFC 9051 forbids it for the three only, and a pipelined command after them is the client's risk
/// (RFC 9051 §5.5).
pub const COMMANDS: &[CommandRow] = &[
    row("APPEND", Authenticated, EXPUNGES, parse::append),
    row("AUTHENTICATE", NotAuthenticated, NONE, parse::authenticate),
    row("CANCELUPDATE", Selected, EXPUNGES, parse::cancel_update),
    bare("CAPABILITY", Any, EXPUNGES, Bare::Capability),
    bare("CHECK", Selected, EXPUNGES, Bare::Check),
    bare("CLOSE", Selected, SELECTS, Bare::Close),
    row("COMPARATOR", Authenticated, EXPUNGES, parse::comparator),
    row("COMPRESS", Authenticated, NONE, parse::compress),
    row("COPY", Selected, USES_AND_EXPUNGES, |input| parse::copy(false, input)),
    row("CREATE", Authenticated, EXPUNGES, parse::create),
    row("DELETE", Authenticated, EXPUNGES, parse::delete),
    row("DELETEACL", Authenticated, EXPUNGES, parse::delete_acl),
    row("ENABLE", Authenticated, EXPUNGES, parse::enable),
    row("ESEARCH", Authenticated, EXPUNGES, parse::esearch),
    row("EXAMINE", Authenticated, SELECTS, |input| parse::select(true, input)),
    bare("EXPUNGE", Selected, EXPUNGES, Bare::Expunge),
    row("FETCH", Selected, USES, |input| parse::fetch(false, input)),
    row("GETACL", Authenticated, EXPUNGES, parse::get_acl),
    row("GETMETADATA", Authenticated, EXPUNGES, parse::get_metadata),
    row("GETQUOTA", Authenticated, EXPUNGES, parse::get_quota),
    row("GETQUOTAROOT", Authenticated, EXPUNGES, parse::get_quota_root),
    row("ID", Any, EXPUNGES, parse::id),
    bare("IDLE", Authenticated, EXPUNGES, Bare::Idle),
    row("LANGUAGE", Any, EXPUNGES, parse::language),
    row("LIST", Authenticated, EXPUNGES, parse::list),
    row("LISTRIGHTS", Authenticated, EXPUNGES, parse::list_rights),
    row("LOGIN", NotAuthenticated, NONE, parse::login),
    bare("LOGOUT", Any, NONE, Bare::Logout),
    row("LSUB", Authenticated, EXPUNGES, parse::lsub),
    row("MOVE", Selected, USES_AND_EXPUNGES, |input| parse::move_messages(false, input)),
    row("MYRIGHTS", Authenticated, EXPUNGES, parse::my_rights),
    bare("NAMESPACE", Authenticated, EXPUNGES, Bare::Namespace),
    bare("NOOP", Any, EXPUNGES, Bare::Noop),
    row("NOTIFY", Authenticated, EXPUNGES, parse::notify),
    row("RENAME", Authenticated, EXPUNGES, parse::rename),
    row("REPLACE", Selected, USES_AND_EXPUNGES, |input| parse::replace(false, input)),
    row("SEARCH", Selected, USES, |input| parse::search(false, input)),
    row("SELECT", Authenticated, SELECTS, |input| parse::select(false, input)),
    row("SETACL", Authenticated, EXPUNGES, parse::set_acl),
    row("SETMETADATA", Authenticated, EXPUNGES, parse::set_metadata),
    row("SETQUOTA", Authenticated, EXPUNGES, parse::set_quota),
    row("SORT", Selected, USES, |input| parse::sort(false, input)),
    bare("STARTTLS", NotAuthenticated, NONE, Bare::StartTls),
    row("STATUS", Authenticated, EXPUNGES, parse::status),
    row("STORE", Selected, USES, |input| parse::store(false, input)),
    row("SUBSCRIBE", Authenticated, EXPUNGES, parse::subscribe),
    row("THREAD", Selected, USES, |input| parse::thread(false, input)),
    row("UID COPY", Selected, EXPUNGES, |input| parse::copy(true, input)),
    row("UID EXPUNGE", Selected, EXPUNGES, parse::uid_expunge),
    row("UID FETCH", Selected, EXPUNGES, |input| parse::fetch(true, input)),
    row("UID MOVE", Selected, EXPUNGES, |input| parse::move_messages(true, input)),
    row("UID REPLACE", Selected, EXPUNGES, |input| parse::replace(true, input)),
    row("UID SEARCH", Selected, EXPUNGES, |input| parse::search(true, input)),
    row("UID SORT", Selected, EXPUNGES, |input| parse::sort(true, input)),
    row("UID STORE", Selected, EXPUNGES, |input| parse::store(true, input)),
    row("UID THREAD", Selected, EXPUNGES, |input| parse::thread(true, input)),
    bare("UNAUTHENTICATE", Authenticated, NONE, Bare::Unauthenticate),
    bare("UNSELECT", Selected, SELECTS, Bare::Unselect),
    row("UNSUBSCRIBE", Authenticated, EXPUNGES, parse::unsubscribe),
];

/// The row of a command, by its name in any case.
///
/// ```
/// use pillarbox_imap::command::row_of;
///
/// assert!(!row_of(b"fetch").unwrap().may_expunge);
/// assert!(row_of(b"uid fetch").unwrap().may_expunge);
/// assert!(row_of(b"frob").is_none() && row_of(b"noop\0").is_none());
/// ```
#[inline]
pub fn row_of(name: &[u8]) -> Option<&'static CommandRow> {
    // NUL behind a name is not in its number.
    row_of_number(capitals(name)).filter(|row| row.name.len() == name.len())
}

/// As [`row_of`], for a name that is a number already.
#[inline]
pub(crate) fn row_of_number(name: u128) -> Option<&'static CommandRow> {
    place_of_number(name).map(|place| place.row)
}

/// Where the command is whose name is this number.
#[inline(always)]
pub(crate) fn place_of_number(name: u128) -> Option<&'static Place> {
    // Every command is looked up, so no list of names is walked.
    let place = &PLACES[place_of(name, MULTIPLIER)];
    if place.name == name { Some(place) } else { None }
}

/// A command in the table that is looked into.
pub(crate) struct Place {
    name: u128,
    pub(crate) row: &'static CommandRow,
    /// What it is, if nothing stands behind it. Here as well as in the row, whose octets have to be waited for.
    pub(crate) bare: Option<Bare>,
}

/// Commands, each at the place of the hash of its name.
static PLACES: [Place; PLACES_LEN] = {
    // No word is as large a number as those at the places that are left.
    let mut places = [const { Place { name: u128::MAX, row: &COMMANDS[0], bare: None } }; PLACES_LEN];
    let mut at = 0;
    while at < COMMANDS.len() {
        let row = &COMMANDS[at];
        let name = capitals(row.name.as_bytes());
        assert!(name != 0, "a longer name is not found");
        let bare = match row.arguments {
            Arguments::Absent(bare) => Some(bare),
            Arguments::Parsed(_) => None,
        };
        places[place_of(name, MULTIPLIER)] = Place { name, row, bare };
        at += 1;
    }
    places
};

const PLACES_LEN: usize = 256;

/// The place that a name belongs to: eight bits that depend on all octets.
#[inline(always)]
const fn place_of(name: u128, multiplier: u64) -> usize {
    let folded = name as u64 ^ (name >> 64) as u64;
    (folded.wrapping_mul(multiplier) >> 56) as usize
}

/// With it no two commands have the same place. One in some twenty numbers is such a one.
const MULTIPLIER: u64 = {
    let mut multiplier: u64 = 0x9e37_79b9_7f4a_7c15;
    while !parts_all(multiplier) {
        multiplier = multiplier.wrapping_add(2);
    }
    multiplier
};

const fn parts_all(multiplier: u64) -> bool {
    let mut taken = [false; PLACES_LEN];
    let mut row = 0;
    while row < COMMANDS.len() {
        let place = place_of(capitals(COMMANDS[row].name.as_bytes()), multiplier);
        if taken[place] {
            return false;
        }
        taken[place] = true;
        row += 1;
    }
    true
}
