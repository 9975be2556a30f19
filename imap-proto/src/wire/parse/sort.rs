//! The arguments of SORT and THREAD (RFC 5256 §5).

use super::search::{returned, search_criteria};
use super::token::{fails, list_of, sp};
use super::{Command, Parsed};
use crate::octet::{word, words};
use crate::sort::{CRITERIA_MAX, SortCriterion, SortKey};
use crate::thread::ThreadAlgorithm;

words! {
    ARRIVAL, CC, DATE, DISPLAYFROM, DISPLAYTO, FROM, ORDEREDSUBJECT, REFERENCES, REVERSE, SIZE, SUBJECT, TO,
}

/// `sort = "SORT" [search-return-opts] SP sort-criteria SP search-criteria` (RFC 5256 §5, RFC 5267 §3)
pub(crate) fn sort(uid: bool, input: &[u8]) -> Parsed<'_, Command<'_>> {
    let (input, (returns, wanted)) = returned(input)?;
    let (input, ()) = sp(input)?;
    let (input, criteria) = list_of(1, CRITERIA_MAX, criterion)(input)?;
    let (rest, key) = search_criteria(input)?;
    Ok((rest, Command::Sort { criteria, key, returns, wanted, uid }))
}

/// `sort-criterion = ["REVERSE" SP] sort-key`
fn criterion(input: &[u8]) -> Parsed<'_, SortCriterion> {
    let (first, rest) = word(input);
    let reverse = first == REVERSE;
    let (name, rest) = if reverse { word(sp(rest)?.0) } else { (first, rest) };
    let key = match name {
        ARRIVAL => SortKey::Arrival,
        CC => SortKey::Cc,
        DATE => SortKey::Date,
        DISPLAYFROM => SortKey::DisplayFrom,
        DISPLAYTO => SortKey::DisplayTo,
        FROM => SortKey::From,
        SIZE => SortKey::Size,
        SUBJECT => SortKey::Subject,
        TO => SortKey::To,
        _ => return fails(input),
    };
    Ok((rest, SortCriterion { key, reverse }))
}

/// `thread = "THREAD" SP thread-alg SP search-criteria`
pub(crate) fn thread(uid: bool, input: &[u8]) -> Parsed<'_, Command<'_>> {
    let (input, ()) = sp(input)?;
    let (name, rest) = word(input);
    let algorithm = match name {
        ORDEREDSUBJECT => ThreadAlgorithm::OrderedSubject,
        REFERENCES => ThreadAlgorithm::References,
        _ => return fails(input),
    };
    let (rest, key) = search_criteria(rest)?;
    Ok((rest, Command::Thread { algorithm, key, uid }))
}
