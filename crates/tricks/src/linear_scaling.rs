//! §3.1 Linear scaling learning rate
//!
//! Formula: the initial rate for batch size b is `0.1 × b/256`; here `base × batch / reference_batch`.
//!
//! What it does: "linearly increasing the learning rate with the batch size".
//!
//! Why: "Increasing the batch size does not change the expectation of the stochastic gradient but reduces its
//! variance. In other words, a large batch size reduces the noise in the gradient, so we may increase the learning
//! rate to make a larger progress along the opposite of the gradient direction."
//!
//! Seam: resolving the recipe, where `rate.base` becomes the initial rate η. Recipe key: `rate.linear_scaling`.
//!
//! Deviation: the paper scales up to larger batches only; here the same formula also holds below the reference batch.
//!
//! Table 4.

/// The initial learning rate η for `batch`, where `base` is the one meant for `reference_batch`.
pub fn rate(base: f64, batch: usize, reference_batch: usize) -> f64 {
    assert!(reference_batch > 0, "linear scaling needs a reference batch above 0");
    // The ratio first: at the reference batch it is exactly 1.
    base * (batch as f64 / reference_batch as f64)
}

#[cfg(test)]
mod tests {
    use super::rate;

    #[test]
    fn the_papers_examples() {
        let cases = [
            (0.1, 256, 256, 0.1),
            (0.1, 1024, 256, 0.4),
            (0.1, 64, 256, 0.025),
            (0.05, 32, 256, 0.00625),
            (0.1, 100, 100, 0.1),
        ];
        for (base, batch, reference_batch, expected) in cases {
            let rate = rate(base, batch, reference_batch);
            assert!((rate - expected).abs() < 1e-15, "{base} {batch}/{reference_batch}: {rate}");
        }
    }

    #[test]
    fn the_reference_batch_leaves_the_rate_alone_to_the_last_bit() {
        for batch in [1, 3, 100, 256, 257] {
            for base in [0.1, 0.3, 1e-3] {
                assert_eq!(rate(base, batch, batch), base, "{base} at {batch}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "reference batch above 0")]
    fn a_reference_batch_of_zero_is_a_mistake_of_the_program() {
        rate(0.1, 256, 0);
    }
}
