//! Exponential moving average of weights (Polyak and Juditsky 1992)
//!
//! Formula: θ̄ ← d_t θ̄ + (1 − d_t) θ after each update, with d_t = min(d, (1 + t)/(10 + t)).
//!
//! What it does: evaluation and the stored model take the average; training goes on from the weights themselves.
//!
//! Why: the steps jump about a minimum, and their average lies nearer to it. Not in the paper; practitioners expect it
//! (d = 0.9999 for long runs).
//!
//! Seam: update, after it. Recipe key: `average`.
//!
//! The running statistics of batch norms are averaged in the same way. d_t grows with the updates, as in TensorFlow, so that the
//! random first weights do not linger in a short run.

/// d_t after `updates` updates, counted from 1.
pub fn decay(updates: u64, decay: f64) -> f64 {
    decay.min((1 + updates) as f64 / (10 + updates) as f64)
}

#[cfg(test)]
mod tests {
    use super::decay;

    #[test]
    fn it_grows_to_its_limit() {
        let cases = [
            (1, 0.999, 2.0 / 11.0),
            (9, 0.999, 10.0 / 19.0),
            (90, 0.999, 0.91),
            (8_990, 0.999, 0.999),
            (1_000_000, 0.999, 0.999),
            (1, 0.1, 0.1),
        ];
        for (updates, limit, expected) in cases {
            assert!((decay(updates, limit) - expected).abs() < 1e-15, "{updates} updates");
        }
    }
}
