//! Gradient clipping (Pascanu et al. 2013)
//!
//! Formula: g ← g · min(1, c/‖g‖), where ‖g‖ is the norm over all parameters together; or each number of g is cut off at
//! −c and c.
//!
//! What it does: by its norm, a gradient is shortened and keeps its direction; by value, each number is bounded alone.
//!
//! Why: one wild batch then cannot undo a run. Not in the paper; practitioners expect it.
//!
//! Seam: update, before momentum. Recipe key: `update.clip`, which is `{ norm = c }` or `{ value = c }`.

/// The factor that brings a gradient of this norm down to the limit c.
pub fn factor(norm: f64, limit: f64) -> f64 {
    // A norm of NaN is not hidden: the gradient stays as it is, and the next loss shows it.
    if norm > limit { limit / norm } else { 1.0 }
}

/// A number of the gradient, cut off at −c and c. NaN stays NaN.
pub fn cut_off(gradient: f32, limit: f32) -> f32 {
    gradient.clamp(-limit, limit)
}

#[cfg(test)]
mod tests {
    use super::{cut_off, factor};

    #[test]
    fn only_a_longer_gradient_is_shortened() {
        let cases =
            [(5.0, 1.0, 0.2), (0.5, 1.0, 1.0), (1.0, 1.0, 1.0), (0.0, 1.0, 1.0), (8.0, 2.0, 0.25)];
        for (norm, limit, expected) in cases {
            assert_eq!(factor(norm, limit), expected, "{norm} under {limit}");
        }
        assert_eq!(factor(f64::NAN, 1.0), 1.0);
        assert_eq!(factor(f64::INFINITY, 1.0), 0.0);
    }

    #[test]
    fn only_a_larger_number_is_cut_off() {
        let cases = [(0.3, 0.5, 0.3), (-0.3, 0.5, -0.3), (7.0, 0.5, 0.5), (-7.0, 0.5, -0.5)];
        for (gradient, limit, expected) in cases {
            assert_eq!(cut_off(gradient, limit), expected, "{gradient} under {limit}");
        }
        assert_eq!(cut_off(f32::NEG_INFINITY, 2.0), -2.0);
        assert!(cut_off(f32::NAN, 2.0).is_nan());
    }
}
