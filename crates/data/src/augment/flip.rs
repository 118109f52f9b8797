//! §2.1 step 3: "Flip horizontally with 0.5 probability."
//!
//! Column i ↦ column W − 1 − i, in every row.

use rand_chacha::rand_core::RngCore;

use crate::random::unit;

/// Whether this image is flipped.
pub(super) fn draw(probability: f64, rng: &mut impl RngCore) -> bool {
    unit(rng) < probability
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::random::{Stream, at};

    #[test]
    fn flips_as_often_as_asked() {
        let mut rng = at(0, Stream::Augment, 0, 0);
        for (probability, low, high) in [(0.0, 0, 0), (0.5, 4800, 5200), (1.0, 10_000, 10_000)] {
            let flips = (0..10_000).filter(|_| draw(probability, &mut rng)).count();
            assert!((low..=high).contains(&flips), "{flips} at {probability}");
        }
    }
}
