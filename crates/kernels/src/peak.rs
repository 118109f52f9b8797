//! The peak of this machine's multiply-add units, against which the speed of kernels is quoted.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::isa::Isa;
use crate::parallel;

/// Independent sums: enough to hide the latency of a multiply-add at two a cycle, and few enough
/// to stay in registers.
const SUMS: usize = 12;
/// Multiply-adds on each sum in one turn.
const TURN: usize = 20_000;

/// GFLOP/s of independent multiply-adds in registers on all threads of the current pool, measured
/// for about `seconds`: the best of turns of a few milliseconds.
pub fn peak_gigaflops(seconds: f64) -> f64 {
    let isa = Isa::current();
    let tasks = rayon::current_num_threads().max(1);
    let end = Instant::now() + Duration::from_secs_f64(seconds.max(0.0));
    let mut best = 0.0f64;
    loop {
        let start = Instant::now();
        parallel::indices(tasks, |_| {
            for _ in 0..16 {
                black_box(turn(isa));
            }
        });
        let operations = 2 * 16 * tasks * TURN * SUMS * lanes(isa);
        best = best.max(operations as f64 / start.elapsed().as_secs_f64() / 1e9);
        if Instant::now() >= end {
            return best;
        }
    }
}

fn lanes(isa: Isa) -> usize {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => 16,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2Fma => 8,
        Isa::Portable => 8,
    }
}

fn turn(isa: Isa) -> f32 {
    match isa {
        // SAFETY: the variant is only made after AVX-512F was detected.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => unsafe { turn_avx512() },
        // SAFETY: the variant is only made after AVX2 and FMA were detected.
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2Fma => unsafe { turn_avx2() },
        Isa::Portable => {
            let mut sums = [[1.0f32; 8]; SUMS];
            let (factor, term) = (black_box(0.5f32), black_box(0.25f32));
            for _ in 0..TURN {
                for sum in sums.iter_mut().flatten() {
                    *sum = *sum * factor + term;
                }
            }
            sums.iter().flatten().sum()
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn turn_avx2() -> f32 {
    use std::arch::x86_64::{_mm256_add_ps, _mm256_cvtss_f32, _mm256_fmadd_ps, _mm256_set1_ps};
    let mut sums = [_mm256_set1_ps(1.0); SUMS];
    let (factor, term) = (_mm256_set1_ps(black_box(0.5)), _mm256_set1_ps(black_box(0.25)));
    for _ in 0..TURN {
        for sum in &mut sums {
            *sum = _mm256_fmadd_ps(*sum, factor, term);
        }
    }
    _mm256_cvtss_f32(sums.into_iter().fold(term, |a, b| _mm256_add_ps(a, b)))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn turn_avx512() -> f32 {
    use std::arch::x86_64::{_mm512_add_ps, _mm512_cvtss_f32, _mm512_fmadd_ps, _mm512_set1_ps};
    let mut sums = [_mm512_set1_ps(1.0); SUMS];
    let (factor, term) = (_mm512_set1_ps(black_box(0.5)), _mm512_set1_ps(black_box(0.25)));
    for _ in 0..TURN {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, term);
        }
    }
    _mm512_cvtss_f32(sums.into_iter().fold(term, |a, b| _mm512_add_ps(a, b)))
}
