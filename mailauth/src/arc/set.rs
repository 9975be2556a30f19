//! The sets of a chain: which fields belong together, and whether the chain is whole (RFC 8617 §4.2, §5.2).

use alloc::vec::Vec;

use pillarbox_core::header::{Field, skip_cfws};

use super::{ArcReason, FieldKind, SETS_MAX};
use crate::dkim::intake::Header;
use crate::dkim::signature::number;
use crate::tag_list::{TagList, trim};

/// The fields of one set, by their places in the header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Set {
    pub(crate) results: usize,
    pub(crate) message: usize,
    pub(crate) seal: usize,
}

/// The chain as it stands in a header.
#[derive(Debug)]
pub(crate) struct Chain {
    /// The highest instance that a field names; 0 without a chain.
    pub(crate) highest: u8,
    /// Whether the seal of that instance says that the chain is broken.
    pub(crate) declared_failed: bool,
    /// The sets from 1 on, or why they are no chain.
    pub(crate) sets: Result<Vec<Set>, ArcReason>,
}

/// What a seal says about the chain before it: `cv=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cv {
    None,
    Pass,
    Fail,
}

impl Chain {
    pub(crate) fn read(header: &Header) -> Self {
        // The three fields of each instance.
        let mut found = Vec::<[Option<usize>; 3]>::new();
        let mut broken = None;
        for kind in [FieldKind::Results, FieldKind::MessageSignature, FieldKind::Seal] {
            for &index in header.named(kind.name().as_bytes()) {
                let instance = match instance(kind, &header.field(index)) {
                    Ok(instance) => instance,
                    Err(reason) => {
                        broken.get_or_insert(reason);
                        continue;
                    }
                };
                let at = usize::from(instance) - 1;
                if found.len() <= at {
                    found.resize(at + 1, [None; 3]);
                }
                if found[at][kind as usize].replace(index).is_some() {
                    broken.get_or_insert(ArcReason::Duplicate { kind, instance });
                }
            }
        }
        let cv = |index: usize| cv(&header.field(index));
        let highest = u8::try_from(found.len()).expect("instances end at 50");
        let declared_failed = found.last().and_then(|set| set[2]).is_some_and(|seal| cv(seal) == Some(Cv::Fail));
        let sets = match broken {
            // RFC 8617 §5.2, step 2: before anything else is looked at.
            _ if declared_failed => Err(ArcReason::DeclaredFailed { instance: highest }),
            Some(reason) => Err(reason),
            None => found.iter().zip(1..).map(|(set, instance)| complete(*set, instance, cv)).collect(),
        };
        Chain { highest, declared_failed, sets }
    }
}

// RFC 8617 §5.2, step 3
fn complete(set: [Option<usize>; 3], instance: u8, cv: impl Fn(usize) -> Option<Cv>) -> Result<Set, ArcReason> {
    let field = |kind: FieldKind| set[kind as usize].ok_or(ArcReason::Missing { kind, instance });
    let set = Set {
        results: field(FieldKind::Results)?,
        message: field(FieldKind::MessageSignature)?,
        seal: field(FieldKind::Seal)?,
    };
    let expected = if instance == 1 { Cv::None } else { Cv::Pass };
    if cv(set.seal) == Some(expected) { Ok(set) } else { Err(ArcReason::ChainValue { instance }) }
}

fn cv(seal: &Field<'_>) -> Option<Cv> {
    match TagList::parse(seal.value).ok()?.find("cv")? {
        b"none" => Some(Cv::None),
        b"pass" => Some(Cv::Pass),
        b"fail" => Some(Cv::Fail),
        _ => None,
    }
}

/// RFC 8617 §4.2.1
fn instance(kind: FieldKind, field: &Field<'_>) -> Result<u8, ArcReason> {
    let value = match kind {
        FieldKind::Results => split_results(field.value).map(|(instance, _)| instance),
        FieldKind::MessageSignature | FieldKind::Seal => {
            TagList::parse(field.value).ok().and_then(|list| list.find("i"))
        }
    };
    let instance = value.and_then(|value| number(value, 2)).and_then(|number| u8::try_from(number).ok());
    match instance {
        Some(instance @ 1..=SETS_MAX) => Ok(instance),
        Some(instance @ 51..) => Err(ArcReason::TooManySets { instance }),
        _ => Err(ArcReason::NoInstance { kind }),
    }
}

/// The instance of an ARC-Authentication-Results field, and the results behind it (RFC 8617 §4.1.1).
pub(crate) fn split_results(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = skip_cfws(value).strip_prefix(b"i")?;
    let rest = skip_cfws(skip_cfws(rest).strip_prefix(b"=")?);
    let digits = rest.iter().position(|octet| !octet.is_ascii_digit()).unwrap_or(rest.len());
    let (instance, rest) = rest.split_at(digits);
    Some((instance, trim(skip_cfws(rest).strip_prefix(b";")?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Chain {
        Chain::read(&Header::new(text.as_bytes().to_vec()))
    }

    fn set(instance: &str, cv: &str) -> alloc::string::String {
        alloc::format!(
            "ARC-Seal: i={instance}; cv={cv}\r\nARC-Message-Signature: i={instance}\r\n\
             ARC-Authentication-Results: i={instance}; a.example; spf=pass\r\n"
        )
    }

    #[test]
    fn chains() {
        assert!(matches!(read("From: x\r\n"), Chain { highest: 0, sets: Ok(sets), .. } if sets.is_empty()));
        let two = set("2", "pass") + &set("1", "none");
        assert!(matches!(read(&two), Chain { highest: 2, sets: Ok(sets), .. } if sets.len() == 2));
        let reason = |text: &str| read(text).sets.unwrap_err();
        let missing = |kind, instance| ArcReason::Missing { kind, instance };
        assert_eq!(reason(&set("2", "pass")), missing(FieldKind::Results, 1));
        assert_eq!(reason(&two.replace("ARC-Seal: i=1", "X: i=1")), missing(FieldKind::Seal, 1));
        assert_eq!(
            reason(&(two + "ARC-Seal: i=1; cv=none\r\n")),
            ArcReason::Duplicate { kind: FieldKind::Seal, instance: 1 }
        );
        assert_eq!(reason(&set("1", "pass")), ArcReason::ChainValue { instance: 1 });
        assert_eq!(reason(&(set("1", "none") + &set("2", "none"))), ArcReason::ChainValue { instance: 2 });
        assert_eq!(reason(&set("51", "pass")), ArcReason::TooManySets { instance: 51 });
        for instance in ["0", "", "x", "1 1", "001"] {
            assert_eq!(
                reason(&set(instance, "none")),
                ArcReason::NoInstance { kind: FieldKind::Results },
                "{instance}"
            );
        }
        let failed = read(&(set("1", "none") + &set("3", "fail")));
        assert!(failed.declared_failed && failed.highest == 3);
        assert_eq!(failed.sets.unwrap_err(), ArcReason::DeclaredFailed { instance: 3 });
    }

    #[test]
    fn instances_of_results() {
        let split = |text: &'static str| split_results(text.as_bytes());
        let expected = Some((&b"12"[..], &b"a.example; none"[..]));
        assert_eq!(split(" i=12; a.example; none"), expected);
        assert_eq!(split("\r\n (a (\\) comment)) i (x) =\t12 (y) ; \r\n a.example; none "), expected);
        for text in ["a.example; i=1", "i=1 a.example", "i;", "(i=1;", ""] {
            assert_eq!(split(text), None, "{text}");
        }
    }
}
