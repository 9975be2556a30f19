//! Steps of loops that no input may make long, counted for tests: an amount of work, where a clock would tell of the machine.

use core::cell::Cell;
use std::thread_local;

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

pub(crate) fn count(steps: usize) {
    STEPS.with(|all| all.set(all.get() + steps as u64));
}

/// How many steps this takes.
pub(crate) fn of(work: impl FnOnce()) -> u64 {
    let before = STEPS.with(Cell::get);
    work();
    STEPS.with(Cell::get) - before
}

/// Whether work takes n log n steps at most, where twice the input is given: twice the steps, and what the logarithm grows by.
pub(crate) fn assert_linear_logarithmic(what: &str, count: usize, work: impl Fn(usize)) {
    let (once, twice) = (of(|| work(count)), of(|| work(2 * count)));
    assert!(once > 0, "{what}: nothing was counted");
    let most = once * 2 + once * 2 * 2 / u64::from(count.ilog2());
    assert!(twice <= most + most / 4, "{what}: {count} take {once} steps, and twice as many {twice}");
}
