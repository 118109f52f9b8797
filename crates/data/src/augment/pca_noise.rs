//! §2.1 step 5: "Add PCA noise with a coefficient sampled from a normal distribution N(0,0.1)."
//!
//! x ↦ x + E (α ∘ λ), one α ∈ R³ for each image, each αᵢ ~ N(0, σ); E and λ are the eigenvectors and eigenvalues of
//! ImageNet's RGB values in levels of 0..=255, by AlexNet's table.

use rand_chacha::rand_core::RngCore;

use crate::random::normal;

pub(crate) const EIGENVALUES: [f64; 3] = [55.46, 4.794, 1.148];

/// A row for each of R, G, B; a column for each eigenvector.
pub(crate) const EIGENVECTORS: [[f64; 3]; 3] =
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]];

/// α of one image.
pub(super) fn draw(sigma: f64, rng: &mut impl RngCore) -> [f64; 3] {
    [0, 1, 2].map(|_| sigma * normal(rng))
}

/// What is added to R, G and B.
pub(crate) fn offset(alpha: [f64; 3]) -> [f64; 3] {
    EIGENVECTORS.map(|row| (0..3).map(|k| row[k] * alpha[k] * EIGENVALUES[k]).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Stream, at};

    #[test]
    fn offsets_are_the_table_times_alpha() {
        assert_eq!(offset([0.0; 3]), [0.0; 3]);
        assert_eq!(
            offset([1.0, 0.0, 0.0]).map(|x| (x * 1e4).round()),
            [-314736., -322112., -323665.]
        );
        assert_eq!(offset([0.0, 0.0, 2.0]).map(|x| (x * 1e4).round()), [9205., -18689., 9650.]);
    }

    #[test]
    fn alpha_has_the_asked_deviation() {
        let mut rng = at(0, Stream::Augment, 0, 0);
        let squares: f64 =
            (0..10_000).flat_map(|_| draw(0.1, &mut rng)).map(|alpha| alpha * alpha).sum();
        assert!((squares / 30_000.0 - 0.01).abs() < 0.0005);
    }
}
