//! Who answers DNS questions.

use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsStep, FixedZone, Question};

use super::BoxFuture;

/// One method: a question to an answer.
pub trait Resolver: Send + Sync {
    /// Looks it up. Trouble on the way is an answer too ("try later"), so there is no error.
    fn resolve<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, DnsAnswer>;
}

impl Resolver for FixedZone {
    fn resolve<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, DnsAnswer> {
        Box::pin(std::future::ready(self.answer(question)))
    }
}

/// Drives any [`DnsMachine`] to its end, one question after another.
pub async fn resolve<M: DnsMachine>(mut machine: M, resolver: &dyn Resolver) -> M::Output {
    let mut asked = std::collections::VecDeque::new();
    loop {
        match machine.poll() {
            DnsStep::Ask(question) => asked.push_back(question),
            DnsStep::Done(output) => return output,
            DnsStep::Wait => match asked.pop_front() {
                Some(question) => {
                    let answer = resolver.resolve(&question).await;
                    machine.answer(question.id, answer);
                }
                // A machine that waits for nothing would wait for ever.
                None => machine.give_up(),
            },
        }
    }
}
