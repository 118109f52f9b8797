//! Gradient clipping by global norm (Pascanu et al. 2013)
//!
//! Formula: g ← g · min(1, c/‖g‖), where ‖g‖ is the norm over all parameters together.
//!
//! What it does: bounds the length of a step and keeps its direction.
//!
//! Why: one wild batch then cannot undo a run. Not in the paper; practitioners expect it.
//!
//! Seam: update, before momentum. Recipe key: `update.clip`.

/// What a gradient of this norm is multiplied with under the limit c.
pub fn factor(norm: f64, limit: f64) -> f64 {
    // A norm of NaN is not hidden: the gradient stays as it is, and the next loss tells.
    if norm > limit { limit / norm } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::factor;

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
}
