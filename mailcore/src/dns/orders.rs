//! Machines run with their answers in every order, for tests: what comes out must not depend on which server was quicker.

use alloc::vec::Vec;

use super::{DnsMachine, DnsStep, FixedZone, Question};
use crate::{Random, SeededRandom};

/// Up to this many open questions every order is tried.
const EVERY_ORDER_MAX: usize = 4;
/// How many random orders are tried where more are open.
const SEEDS: u64 = 50;
/// Runs that one call makes at most; from then on random orders stand for the rest.
const RUNS_MAX: usize = 2000;

/// The results of a machine for each order in which a zone's answers can come: all of them as long as no more than four
/// questions are open at once, else 50 that are drawn from fixed seeds. `make` makes the machine anew for each run.
///
/// ```
/// use pillarbox_core::dns::{self, DnsAnswer, DnsMachine, DnsStep, FixedZone, Question, QuestionId, RecordKind};
///
/// /// Asks for three names and keeps the order of the answers: just what a machine must not let its result depend on.
/// struct Order { asked: u32, answered: Vec<u32> }
///
/// impl DnsMachine for Order {
///     type Output = Vec<u32>;
///     fn poll(&mut self) -> DnsStep<Vec<u32>> {
///         if self.asked < 3 {
///             self.asked += 1;
///             DnsStep::Ask(Question::new(QuestionId(self.asked), "example.org".parse().unwrap(), RecordKind::A))
///         } else if self.answered.len() < 3 {
///             DnsStep::Wait
///         } else {
///             DnsStep::Done(self.answered.clone())
///         }
///     }
///     fn answer(&mut self, id: QuestionId, _: DnsAnswer) { self.answered.push(id.0); }
///     fn give_up(&mut self) {}
/// }
///
/// let results = dns::run_in_orders(|| Order { asked: 0, answered: Vec::new() }, &FixedZone::new());
/// assert_eq!(results.len(), 6);
/// assert!(results.contains(&vec![3, 1, 2]));
/// ```
///
/// # Panics
///
/// If the machine waits for an answer although every question was answered: it breaks its contract.
pub fn run_in_orders<M: DnsMachine>(mut make: impl FnMut() -> M, zone: &FixedZone) -> Vec<M::Output> {
    let mut results = Vec::new();
    // The choices of the run to come, and how many there were at each: a counter whose digits have different bases.
    let mut script = Vec::<usize>::new();
    loop {
        let mut bases = Vec::new();
        results.push(run_choosing(&mut make(), zone, |open| {
            let choice = script.get(bases.len()).copied().unwrap_or(0);
            bases.push(open);
            choice
        }));
        if bases.iter().any(|open| *open > EVERY_ORDER_MAX) || results.len() >= RUNS_MAX {
            break;
        }
        script.resize(bases.len(), 0);
        loop {
            let Some(last) = script.pop() else { return results };
            if last + 1 < bases[script.len()] {
                script.push(last + 1);
                break;
            }
        }
    }
    for seed in 0..SEEDS {
        let mut random = SeededRandom::new(seed);
        results.push(run_choosing(&mut make(), zone, |open| {
            usize::try_from(random.below(open as u64)).expect("it is below a usize")
        }));
    }
    results
}

/// Runs a machine; `choose` gets the number of open questions and says which is answered next.
fn run_choosing<M: DnsMachine>(machine: &mut M, zone: &FixedZone, mut choose: impl FnMut(usize) -> usize) -> M::Output {
    let mut open = Vec::<Question>::new();
    loop {
        match machine.poll() {
            DnsStep::Ask(question) => open.push(question),
            DnsStep::Done(output) => return output,
            DnsStep::Wait => {
                assert!(!open.is_empty(), "the machine waits for an answer to nothing");
                let question = open.remove(choose(open.len()));
                machine.answer(question.id, zone.answer(&question));
            }
        }
    }
}
