//! Who answers DNS questions.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use pillarbox_core::dns::{DnsAnswer, DnsMachine, DnsStep, FixedZone, Question, QuestionId};

use super::{BoxFuture, Clock};

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

/// Drives any [`DnsMachine`] to its end, with all of its open questions looked up side by side.
pub async fn resolve<M: DnsMachine>(machine: M, resolver: &dyn Resolver) -> M::Output {
    drive(machine, resolver, Box::pin(std::future::pending())).await
}

/// Drives any [`DnsMachine`] to its end as [`resolve`] does, and gives it up when its time is over.
///
/// ```
/// use std::time::Duration;
/// use pillarbox::mailauth::iprev::{IprevResult, ReverseCheck};
/// use pillarbox::parts::{Parts, resolve_within};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let parts = Parts::in_memory();
/// let check = ReverseCheck::new([192, 0, 2, 1].into(), 10);
/// let outcome = resolve_within(check, &*parts.resolver, &*parts.clock, Duration::from_secs(20)).await;
/// assert_eq!(outcome.result, IprevResult::PermError);
/// # }
/// ```
pub async fn resolve_within<M: DnsMachine>(
    machine: M,
    resolver: &dyn Resolver,
    clock: &dyn Clock,
    patience: Duration,
) -> M::Output {
    drive(machine, resolver, clock.sleep_until(clock.now() + patience)).await
}

async fn drive<M: DnsMachine>(mut machine: M, resolver: &dyn Resolver, mut alarm: BoxFuture<'_, ()>) -> M::Output {
    let mut open = Vec::<BoxFuture<'_, (QuestionId, DnsAnswer)>>::new();
    loop {
        match machine.poll() {
            DnsStep::Ask(question) => {
                open.push(Box::pin(async move { (question.id, resolver.resolve(&question).await) }));
            }
            DnsStep::Done(output) => return output,
            // A machine that waits for nothing would wait for ever.
            DnsStep::Wait if open.is_empty() => machine.give_up(),
            DnsStep::Wait => {
                let first = poll_fn(|context| {
                    for index in 0..open.len() {
                        if let Poll::Ready(answer) = open[index].as_mut().poll(context) {
                            drop(open.swap_remove(index));
                            return Poll::Ready(Some(answer));
                        }
                    }
                    alarm.as_mut().poll(context).map(|()| None)
                });
                match first.await {
                    Some((id, answer)) => machine.answer(id, answer),
                    None => {
                        open.clear();
                        machine.give_up();
                    }
                }
            }
        }
    }
}
