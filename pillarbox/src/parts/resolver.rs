//! Who answers DNS questions.

use std::future::poll_fn;
use std::task::{Context, Poll};
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

async fn drive<M: DnsMachine>(machine: M, resolver: &dyn Resolver, alarm: BoxFuture<'_, ()>) -> M::Output {
    let mut driven = Driven::new(machine, resolver, alarm);
    poll_fn(|context| driven.poll(context)).await
}

/// A [`DnsMachine`] with the look-ups that it waits for.
pub(crate) struct Driven<'r, M> {
    machine: M,
    resolver: &'r dyn Resolver,
    open: Vec<BoxFuture<'r, (QuestionId, DnsAnswer)>>,
    alarm: BoxFuture<'r, ()>,
}

impl<'r, M: DnsMachine> Driven<'r, M> {
    /// Begins; when the alarm goes off, the machine is given up.
    pub(crate) fn new(machine: M, resolver: &'r dyn Resolver, alarm: BoxFuture<'r, ()>) -> Self {
        Driven { machine, resolver, open: Vec::new(), alarm }
    }

    /// Goes as far as there are answers. While it is pending, the machine knows all of them.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<M::Output> {
        let resolver = self.resolver;
        loop {
            match self.machine.poll() {
                DnsStep::Ask(question) => {
                    self.open.push(Box::pin(async move { (question.id, resolver.resolve(&question).await) }));
                }
                DnsStep::Done(output) => return Poll::Ready(output),
                // A machine that waits for nothing would wait for ever.
                DnsStep::Wait if self.open.is_empty() => self.machine.give_up(),
                DnsStep::Wait => {
                    let answered =
                        self.open.iter_mut().enumerate().find_map(|(index, open)| match open.as_mut().poll(context) {
                            Poll::Ready(answer) => Some((index, answer)),
                            Poll::Pending => None,
                        });
                    match answered {
                        Some((index, (id, answer))) => {
                            drop(self.open.swap_remove(index));
                            self.machine.answer(id, answer);
                        }
                        None if self.alarm.as_mut().poll(context).is_ready() => {
                            self.open.clear();
                            self.machine.give_up();
                        }
                        None => return Poll::Pending,
                    }
                }
            }
        }
    }

    /// The machine, to see what it knows.
    #[cfg(feature = "outbound")]
    pub(crate) fn machine(&self) -> &M {
        &self.machine
    }
}
