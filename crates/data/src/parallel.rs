//! Numbered pieces of work, done by several threads, with the results in order.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Finished results, for each thread, that may wait for an earlier result.
const AHEAD: usize = 16;

/// Does `work` for each number below `count` with one thread for each of `memories`. The calling thread hands the results
/// to `take` in order, until `take` breaks. Only a few results exist at once, however large `count` is.
pub(crate) fn in_order<M: Send, T: Send>(
    count: usize,
    memories: &mut [M],
    work: impl Fn(usize, &mut M) -> T + Sync,
    mut take: impl FnMut(usize, T) -> ControlFlow<()>,
) {
    let window = memories.len() * AHEAD;
    let queue = OrderedQueue { state: Mutex::default(), changed: Condvar::new(), count, window };
    thread::scope(|scope| {
        for memory in memories.iter_mut() {
            let (queue, work) = (&queue, &work);
            scope.spawn(move || {
                // A panic of the work ends the others too, and then comes out of the scope.
                let _end = EndOnDrop(queue);
                while let Some(number) = queue.begin() {
                    queue.put(number, work(number, memory));
                }
            });
        }
        let _end = EndOnDrop(&queue);
        for number in 0..count {
            let Some(result) = queue.take(number) else { return };
            if take(number, result).is_break() {
                return;
            }
        }
    });
}

struct OrderedQueue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    count: usize,
    window: usize,
}

struct State<T> {
    begun: usize,
    taken: usize,
    done: BTreeMap<usize, T>,
    ended: bool,
}

impl<T> Default for State<T> {
    fn default() -> State<T> {
        State { begun: 0, taken: 0, done: BTreeMap::new(), ended: false }
    }
}

impl<T> OrderedQueue<T> {
    /// Locks the state, also after a panic: no panic leaves it half-written.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the state changes.
    fn wait<'a>(&self, state: MutexGuard<'a, State<T>>) -> MutexGuard<'a, State<T>> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// The next number to work on. Waits while it is too far ahead of the results that were taken.
    fn begin(&self) -> Option<usize> {
        let mut state = self.lock();
        loop {
            if state.ended || state.begun == self.count {
                return None;
            }
            if state.begun < state.taken + self.window {
                state.begun += 1;
                return Some(state.begun - 1);
            }
            state = self.wait(state);
        }
    }

    fn put(&self, number: usize, result: T) {
        self.lock().done.insert(number, result);
        self.changed.notify_all();
    }

    /// The result of a number; None when a thread ended without making it.
    fn take(&self, number: usize) -> Option<T> {
        let mut state = self.lock();
        loop {
            if let Some(result) = state.done.remove(&number) {
                state.taken = number + 1;
                self.changed.notify_all();
                return Some(result);
            }
            if state.ended {
                return None;
            }
            state = self.wait(state);
        }
    }
}

/// Ends the other threads when its own leaves before all work is begun.
struct EndOnDrop<'a, T>(&'a OrderedQueue<T>);

impl<T> Drop for EndOnDrop<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() || self.0.lock().begun < self.0.count {
            self.0.lock().ended = true;
        }
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_once_and_in_order() {
        for (count, threads) in [(0, 2), (1, 3), (1000, 1), (1000, 4)] {
            let mut taken = Vec::new();
            let square = |number: usize, _: &mut ()| number * number;
            in_order(count, &mut vec![(); threads], square, |number, result| {
                assert_eq!(result, number * number);
                taken.push(number);
                ControlFlow::Continue(())
            });
            assert_eq!(taken, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_break_ends_it_and_nobody_runs_far_ahead() {
        let begun = std::sync::atomic::AtomicUsize::new(0);
        let work = |_: usize, _: &mut ()| {
            begun.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        };
        let until = |number, ()| {
            if number == 9 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        in_order(100_000, &mut [(); 2], work, until);
        assert!(begun.into_inner() <= 10 + 2 * AHEAD);
    }

    #[test]
    fn a_panic_comes_out() {
        let outcome = std::panic::catch_unwind(|| {
            let work = |number: usize, _: &mut ()| assert!(number != 30, "thirty");
            in_order(100, &mut [(); 2], work, |_, ()| ControlFlow::Continue(()));
        });
        assert!(outcome.is_err());
    }
}
