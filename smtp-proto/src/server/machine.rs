//! The session as a [`Machine`]: the same methods by the name of the trait.

use pillarbox_core::{LayerFacts, Machine, Misuse, Step, Time, UpgradeError};

use super::{Answer, Event, ServerSession};

impl Machine for ServerSession {
    type Event<'b> = Event<'b>;
    type Answer<'a> = Answer<'a>;

    fn poll<'b>(&mut self, now: Time, input: &mut &'b [u8]) -> Step<Event<'b>> {
        self.poll(now, input)
    }

    fn answer(&mut self, now: Time, answer: Answer<'_>) -> Result<(), Misuse> {
        self.answer(now, answer)
    }

    fn output(&self) -> &[u8] {
        self.output()
    }

    fn consume_output(&mut self, now: Time, n: usize) {
        self.consume_output(now, n);
    }

    fn room(&self) -> usize {
        self.room()
    }

    fn deadline(&self) -> Option<Time> {
        self.deadline()
    }

    fn handle_timeout(&mut self, now: Time) {
        self.handle_timeout(now);
    }

    fn handle_eof(&mut self, now: Time) {
        self.handle_eof(now);
    }

    fn upgraded(&mut self, now: Time, facts: LayerFacts) -> Result<(), Misuse> {
        self.upgraded(now, facts)
    }

    fn upgrade_failed(&mut self, now: Time, why: UpgradeError) {
        self.upgrade_failed(now, why);
    }

    fn shut_down(&mut self, now: Time) {
        self.shut_down(now);
    }

    fn max_unread(&self) -> usize {
        self.max_unread()
    }
}
