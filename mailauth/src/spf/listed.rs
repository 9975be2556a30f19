//! The terms of a record that somebody keeps parsed, so that a check need not read it.

use alloc::vec::Vec;

use super::scan::{self, ClientIp};
use super::stops::{Kind, Stop, Stops};
use super::term;
use super::{Mechanism, Term};

/// A record with its terms.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) text: Vec<u8>,
    terms: Vec<ListedTerm>,
    /// Where the last of them ends; there may be more in the text.
    end: usize,
}

/// How many terms are listed; the longest records in use have two hundred. Those behind them are read where they stand.
const TERMS_MAX: usize = 256;

/// A term, as it is to a client that no network has in it, and its network.
#[derive(Debug)]
struct ListedTerm {
    stop: Stop,
    network: Option<Network>,
}

#[derive(Debug)]
enum Network {
    V4(u32, u8),
    /// As octets: in a list, a number would stand at a multiple of 16.
    V6([u8; 16], u8),
}

impl Listed {
    /// Of a text that was checked.
    pub(super) fn new(text: Vec<u8>) -> Self {
        let (mut terms, mut end) = (Vec::new(), usize::from(Stops::START));
        while terms.len() < TERMS_MAX
            && let Some(stop) = scan::term_behind(&text, end, ClientIp::Nobody)
        {
            let written = core::str::from_utf8(&text[stop.start.into()..stop.end.into()]).ok();
            let network = match written.and_then(term::lend) {
                Some(Term::Directive(_, Mechanism::Ip4 { network, prefix })) => {
                    Some(Network::V4(network.into(), prefix))
                }
                Some(Term::Directive(_, Mechanism::Ip6 { network, prefix })) => {
                    Some(Network::V6(network.octets(), prefix))
                }
                _ => None,
            };
            end = stop.end.into();
            terms.push(ListedTerm { stop, network });
        }
        // It is kept for hours.
        terms.shrink_to_fit();
        Listed { text, terms, end }
    }

    /// Notes the terms that may match, as [`scan::whole`] does.
    pub(super) fn look(&self, client: ClientIp, stops: &mut Stops) {
        let mut is_behind_networks = false;
        for ListedTerm { stop, network } in &self.terms {
            let kind = match network {
                None => stop.kind,
                Some(Network::V4(network, prefix)) => client.look_at_ip4(*network, *prefix),
                Some(Network::V6(network, prefix)) => client.look_at_ip6(|| u128::from_be_bytes(*network), *prefix),
            };
            if kind.may_match() {
                stops.note(Stop { kind, is_behind_networks, ..*stop });
                is_behind_networks = false;
                if kind.matches() || stops.is_full() {
                    return;
                }
            }
            is_behind_networks |= kind == Kind::Outside;
        }
        let next = scan::next(&self.text, self.end, client);
        stops.note(Stop { is_behind_networks: is_behind_networks || next.is_behind_networks, ..next });
    }
}
