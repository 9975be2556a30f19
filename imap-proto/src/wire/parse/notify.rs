//! The arguments of NOTIFY (RFC 5465 §8).

use alloc::borrow::Cow;
use alloc::vec::Vec;

use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::tag_no_case;
use nom::combinator::{map, opt, value};
use nom::sequence::{delimited, preceded, separated_pair};

use super::fetch::items;
use super::token::{astring, atom, fails, list_of, sp, spaced};
use super::{Command, Parsed};
use crate::server::FetchItem;

/// The most groups of one command.
const GROUPS_MAX: usize = 100;
/// The most names in one list; a session may take fewer.
const NAMES_MAX: usize = 1000;
/// The most events of one group. There are not so many different ones.
const EVENTS_MAX: usize = 32;

/// What NOTIFY says.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the fields are the arguments, under the names that RFC 5465 §8 gives them")]
pub enum NotifyCommand<'b> {
    None,
    Set { status: bool, groups: Vec<EventGroup<'b>> },
}

/// `event-group`
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are the arguments, under the names that RFC 5465 §8 gives them")]
pub struct EventGroup<'b> {
    pub filter: FilterMailboxes<'b>,
    /// None: NONE.
    pub events: Vec<NotifyEvent<'b>>,
}

/// `filter-mailboxes`
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the variants are the words of RFC 5465 §8")]
pub enum FilterMailboxes<'b> {
    Selected,
    SelectedDelayed,
    Inboxes,
    Personal,
    Subscribed,
    Subtree(Vec<Cow<'b, [u8]>>),
    Mailboxes(Vec<Cow<'b, [u8]>>),
}

/// `event`
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the variants are the words of RFC 5465 §8")]
pub enum NotifyEvent<'b> {
    /// With what FETCH is to tell of each new message, if anything.
    MessageNew(Option<Vec<FetchItem>>),
    MessageExpunge,
    FlagChange,
    AnnotationChange,
    MailboxName,
    SubscriptionChange,
    MailboxMetadataChange,
    ServerMetadataChange,
    /// `event-ext`
    Other(&'b str),
}

/// `notify = "NOTIFY" SP ("SET" [SP "STATUS"] SP event-groups / "NONE")`
pub(crate) fn notify(input: &[u8]) -> Parsed<'_, Command<'_>> {
    let groups = spaced(GROUPS_MAX, group);
    let status = map(opt((sp, tag_no_case("STATUS"))), |status| status.is_some());
    let set = preceded(tag_no_case("SET"), (status, preceded(sp, groups)));
    let set = map(set, |(status, groups)| NotifyCommand::Set { status, groups });
    let none = value(NotifyCommand::None, tag_no_case("NONE"));
    map(preceded(sp, alt((set, none))), Command::Notify).parse(input)
}

/// `event-group = "(" filter-mailboxes SP events ")"`
fn group(input: &[u8]) -> Parsed<'_, EventGroup<'_>> {
    let none = value(Vec::new(), tag_no_case("NONE"));
    let events = alt((none, list_of(1, EVENTS_MAX, event)));
    let both = separated_pair(filter, sp, events);
    map(delimited(tag_no_case("("), both, tag_no_case(")")), |(filter, events)| EventGroup { filter, events })
        .parse(input)
}

fn filter(input: &[u8]) -> Parsed<'_, FilterMailboxes<'_>> {
    let (rest, word) = atom(input)?;
    let is = |known: &str| known.eq_ignore_ascii_case(word);
    match () {
        () if is("SELECTED") => Ok((rest, FilterMailboxes::Selected)),
        () if is("SELECTED-DELAYED") => Ok((rest, FilterMailboxes::SelectedDelayed)),
        () if is("INBOXES") => Ok((rest, FilterMailboxes::Inboxes)),
        () if is("PERSONAL") => Ok((rest, FilterMailboxes::Personal)),
        () if is("SUBSCRIBED") => Ok((rest, FilterMailboxes::Subscribed)),
        () if is("SUBTREE") => map(preceded(sp, names), FilterMailboxes::Subtree).parse(rest),
        () if is("MAILBOXES") => map(preceded(sp, names), FilterMailboxes::Mailboxes).parse(rest),
        () => fails(input),
    }
}

/// `one-or-more-mailbox = mailbox / "(" mailbox *(SP mailbox) ")"`
fn names(input: &[u8]) -> Parsed<'_, Vec<Cow<'_, [u8]>>> {
    match input.first() {
        Some(b'(') => list_of(1, NAMES_MAX, astring).parse(input),
        _ => map(astring, |name| alloc::vec![name]).parse(input),
    }
}

fn event(input: &[u8]) -> Parsed<'_, NotifyEvent<'_>> {
    let (rest, word) = atom(input)?;
    let is = |known: &str| known.eq_ignore_ascii_case(word);
    let event = match () {
        () if is("MessageNew") => {
            return match rest {
                [b' ', b'(', ..] => map(items, |wanted| NotifyEvent::MessageNew(Some(wanted))).parse(&rest[1..]),
                _ => Ok((rest, NotifyEvent::MessageNew(None))),
            };
        }
        () if is("MessageExpunge") => NotifyEvent::MessageExpunge,
        () if is("FlagChange") => NotifyEvent::FlagChange,
        () if is("AnnotationChange") => NotifyEvent::AnnotationChange,
        () if is("MailboxName") => NotifyEvent::MailboxName,
        () if is("SubscriptionChange") => NotifyEvent::SubscriptionChange,
        () if is("MailboxMetadataChange") => NotifyEvent::MailboxMetadataChange,
        () if is("ServerMetadataChange") => NotifyEvent::ServerMetadataChange,
        () => NotifyEvent::Other(word),
    };
    Ok((rest, event))
}
