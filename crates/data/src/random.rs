//! Counter-based randomness: every draw is a pure function of its position (seed, stream, epoch, index).
//!
//! A position keys a ChaCha8 generator of its own, so a run resumes from a step number alone and the number of
//! threads changes nothing. The ids and the key's layout are part of what a seed means: they never change.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What the numbers are for. Streams share nothing, so a new draw in one leaves all others as they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Stream {
    /// Weights of the network; index: the parameter.
    Init = 1,
    /// Order of the images in an epoch.
    Order = 2,
    /// §2.1 steps 2 to 5; index: the image.
    Augment = 3,
    /// §5.4, partners and λ; index: the step.
    Mixup = 4,
    /// The held-out images of a dataset without a validation part; index: the class.
    Split = 5,
    /// Units a dropout layer drops; index: the step.
    Dropout = 6,
    /// CutMix: partners, λ and boxes; index: the step.
    Cutmix = 7,
    /// Mixup or CutMix, where both are on; index: the step.
    Coin = 8,
    /// Which images stand in for one that does not decode; index: that image.
    StandIn = 9,
    /// The anchors and regions that a detector's losses look at; epoch: the step, index: the part.
    Regions = 10,
}

/// The generator at a position. Its key is the four numbers, little-endian.
pub fn at(seed: u64, stream: Stream, epoch: u64, index: u64) -> ChaCha8Rng {
    let mut key = [0u8; 32];
    for (bytes, number) in key.chunks_exact_mut(8).zip([seed, stream as u64, epoch, index]) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// Any 64 bits alike.
pub fn bits(rng: &mut impl RngCore) -> u64 {
    rng.next_u64()
}

/// Uniform in [0, 1): the 53 high bits of one draw.
pub fn unit(rng: &mut impl RngCore) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Uniform in [low, high).
pub fn between(rng: &mut impl RngCore, [low, high]: [f64; 2]) -> f64 {
    low + (high - low) * unit(rng)
}

/// Uniform in 0..count, by the high word of a 128-bit product; its bias is below count/2⁶⁴.
pub fn below(rng: &mut impl RngCore, count: u64) -> u64 {
    ((u128::from(rng.next_u64()) * u128::from(count)) >> 64) as u64
}

/// Standard normal, by Box and Muller: √(−2 ln u) cos 2πv with u in (0, 1].
pub fn normal(rng: &mut impl RngCore) -> f64 {
    let u = 1.0 - unit(rng);
    let v = unit(rng);
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// Gamma(a, 1), by Marsaglia and Tsang 2000, as its logarithm: for a small `a` the value itself may be too small for a float.
fn log_gamma_variate(rng: &mut impl RngCore, a: f64) -> f64 {
    if a < 1.0 {
        // Gamma(a) = Gamma(a + 1) U^(1/a).
        let boost = (1.0 - unit(rng)).ln() / a;
        return log_gamma_variate(rng, a + 1.0) + boost;
    }
    let d = a - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = normal(rng);
        let v = (1.0 + c * x).powi(3);
        let u = 1.0 - unit(rng);
        if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return (d * v).ln();
        }
    }
}

/// Beta(α, α), in [0, 1].
pub fn beta(rng: &mut impl RngCore, alpha: f64) -> f64 {
    let (x, y) = (log_gamma_variate(rng, alpha), log_gamma_variate(rng, alpha));
    1.0 / (1.0 + (y - x).exp())
}

/// A random order of 0..len: Fisher and Yates.
pub fn permutation(rng: &mut impl RngCore, len: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..len).collect();
    for last in (1..order.len()).rev() {
        order.swap(last, below(rng, last as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The meaning of a seed is frozen: these numbers must never change.
    #[test]
    fn a_position_gives_these_numbers_forever() {
        let mut rng = at(1, Stream::Augment, 2, 3);
        let drawn = [rng.next_u64(), rng.next_u64(), below(&mut rng, 1000)];
        assert_eq!(drawn, FROZEN);
        assert_eq!(at(1, Stream::Augment, 2, 3).next_u64(), FROZEN[0]);
    }

    const FROZEN: [u64; 3] = [7_100_975_674_232_274_879, 9_251_429_015_614_869_756, 155];

    #[test]
    fn every_part_of_the_position_matters() {
        let positions = [
            (1, Stream::Order, 0, 0),
            (0, Stream::Init, 0, 0),
            (0, Stream::Order, 1, 0),
            (0, Stream::Order, 0, 1),
            (0, Stream::Order, 0, 0),
        ];
        let mut first: Vec<u64> =
            positions.iter().map(|&(s, stream, e, i)| at(s, stream, e, i).next_u64()).collect();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), positions.len());
    }

    #[test]
    fn draws_have_their_moments() {
        let mut rng = at(7, Stream::Augment, 0, 0);
        let n = 100_000;
        let (mut sum, mut squares, mut uniform) = (0.0, 0.0, 0.0);
        for _ in 0..n {
            let z = normal(&mut rng);
            sum += z;
            squares += z * z;
            let u = between(&mut rng, [0.6, 1.4]);
            assert!((0.6..1.4).contains(&u));
            uniform += u;
        }
        let n = f64::from(n);
        assert!((sum / n).abs() < 0.02, "mean {}", sum / n);
        assert!((squares / n - 1.0).abs() < 0.02, "variance {}", squares / n);
        assert!((uniform / n - 1.0).abs() < 0.005, "mean {}", uniform / n);
    }

    /// Mean ½, variance 1/(4 (2α + 1)); α = 0.2 lies near the ends, α = 1 is uniform.
    #[test]
    fn beta_has_its_moments() {
        for alpha in [0.05, 0.2, 1.0, 3.5] {
            let mut rng = at(7, Stream::Mixup, 0, 0);
            let n = 50_000;
            let values: Vec<f64> = (0..n).map(|_| beta(&mut rng, alpha)).collect();
            assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
            let n = f64::from(n);
            let mean = values.iter().sum::<f64>() / n;
            let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
            let expected = 1.0 / (4.0 * (2.0 * alpha + 1.0));
            assert!((mean - 0.5).abs() < 0.01, "α = {alpha}: mean {mean}");
            assert!((variance / expected - 1.0).abs() < 0.02, "α = {alpha}: variance {variance}");
        }
    }

    #[test]
    fn below_reaches_both_ends_evenly() {
        let mut rng = at(7, Stream::Order, 0, 0);
        let mut seen = [0u32; 5];
        for _ in 0..10_000 {
            seen[below(&mut rng, 5) as usize] += 1;
        }
        assert!(seen.iter().all(|&count| (1800..2200).contains(&count)), "{seen:?}");
    }
}
