//! Every kernel against its textbook twin, on every path and on several thread counts.

mod branches;
mod conv2d;
mod detection;
mod gradients;
mod half;
mod linear;
mod loss;
mod map_loss;
mod norm;
mod norm_depthwise;
mod pool;
mod simple;
mod update;

use std::sync::{LazyLock, Mutex, PoisonError};

use crate::isa::{self, Isa};

/// A small generator of random numbers (xorshift64*), so that a failing case can be run again.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number of `range`.
    pub(crate) fn of(&mut self, range: std::ops::RangeInclusive<usize>) -> usize {
        let (low, high) = range.into_inner();
        low + ((self.next() >> 33) as usize) % (high - low + 1)
    }

    pub(crate) fn flip(&mut self) -> bool {
        self.of(0..=1) == 1
    }

    /// `length` numbers in [−1, 1).
    pub(crate) fn numbers(&mut self, length: usize) -> Vec<f32> {
        (0..length).map(|_| (self.next() >> 40) as f32 / 8_388_608.0 - 1.0).collect()
    }
}

static POOLS: LazyLock<Vec<rayon::ThreadPool>> = LazyLock::new(|| {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    [1, 2, 3, 7].into_iter().map(|threads| pool(threads).expect("threads start")).collect()
});

/// Held while the pools work: a thread that waits may steal another test's call, and which path that
/// takes is a property of the thread.
static TURN: Mutex<()> = Mutex::new(());

/// The results of a kernel on each instruction set, after checking that 1, 2, 3 and 7 threads give
/// the same bits.
pub(crate) fn results(run: impl Fn() -> Vec<Vec<f32>> + Sync) -> Vec<Vec<Vec<f32>>> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let bits = |results: &[Vec<f32>]| -> Vec<Vec<u32>> {
        results.iter().map(|one| one.iter().map(|value| value.to_bits()).collect()).collect()
    };
    Isa::all()
        .into_iter()
        .map(|isa| {
            let on = |pool: &rayon::ThreadPool| pool.install(|| isa::with(isa, &run));
            let first = on(&POOLS[0]);
            for pool in &POOLS[1..] {
                let other = on(pool);
                let threads = pool.current_num_threads();
                assert!(bits(&first) == bits(&other), "other bits on {threads} threads");
            }
            first
        })
        .collect()
}

pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Asserts that `found` is `expected` up to `tolerance` of the greatest magnitude expected.
#[track_caller]
pub(crate) fn assert_close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    let scale = expected.iter().fold(1e-3f64, |most, value| most.max(value.abs()));
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(
            error <= tolerance * scale,
            "{what}: [{at}] is {found}, not {expected} (scale {scale})"
        );
    }
}

/// Asserts every path's results against the textbook's.
#[track_caller]
pub(crate) fn assert_results(
    what: &str,
    run: impl Fn() -> Vec<Vec<f32>> + Sync,
    expected: &[Vec<f64>],
    tolerance: f64,
) {
    for (path, found) in results(run).iter().enumerate() {
        assert_eq!(found.len(), expected.len());
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert_close(
                &format!("{what}, path {path}, result {index}"),
                found,
                expected,
                tolerance,
            );
        }
    }
}
