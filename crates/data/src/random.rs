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
    /// §5.4; index: the step.
    Mixup = 4,
    /// The held-out images of a dataset without a validation part; index: the class.
    Split = 5,
    /// Units a dropout layer drops; index: the step.
    Dropout = 6,
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
