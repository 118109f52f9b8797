//! §5.2 Label smoothing
//!
//! Formula (eq. 4 of the section): q_i = 1 − ε if i = y, ε/(K − 1) otherwise.
//!
//! What it does: "changes the construction of the true probability", so that the optimal scores are finite: their gap
//! is log((K − 1)(1 − ε)/ε).
//!
//! Why: "This encourages a finite output from the fully-connected layer and can generalize better."
//!
//! Seam: target, p ↦ smooth(p, ε), before batches are mixed. Recipe key: `target.smoothing`.
//!
//! Deviation: eq. 3 of the section prints the loss as −Σ q_i log p_i, with the prediction q and the truth p swapped; the loss
//! is −Σ p_i log q_i, which is the −z_y + log Σ exp(z_i) below that equation. What eq. 4 calls q is the smoothed p.
//!
//! The authors' code spreads ε over all K classes, the true one too: 1 − ε + ε/K and ε/K. That is [`smooth_over_all`], and
//! `over = "all"` in a recipe. The paper has ε = 0.1. Table 6.

/// p ↦ (1 − ε) p + ε (1 − p)/(K − 1): eq. 4 where p is 1 for one class and 0 for the others.
pub fn smooth(p: &mut [f32], epsilon: f64) {
    assert!(p.len() > 1, "smoothing needs at least two classes");
    let others = epsilon / (p.len() - 1) as f64;
    for value in p {
        let old = f64::from(*value);
        *value = ((1.0 - epsilon) * old + others * (1.0 - old)) as f32;
    }
}

/// p ↦ (1 − ε) p + ε/K: the authors' code.
pub fn smooth_over_all(p: &mut [f32], epsilon: f64) {
    let all = epsilon / p.len() as f64;
    for value in p {
        *value = ((1.0 - epsilon) * f64::from(*value) + all) as f32;
    }
}

/// The largest ε, (K − 1)/K, which makes all classes equal.
pub fn largest_epsilon(classes: usize) -> f64 {
    (classes - 1) as f64 / classes as f64
}

/// log((K − 1)(1 − ε)/ε): by how much the optimal score of the true class exceeds the others (eq. 5 of the section).
pub fn optimal_gap(epsilon: f64, classes: usize) -> f64 {
    ((classes - 1) as f64 * (1.0 - epsilon) / epsilon).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_hot(classes: usize, label: usize) -> Vec<f32> {
        (0..classes).map(|class| f32::from(class == label)).collect()
    }

    #[test]
    fn the_papers_numbers() {
        let mut p = one_hot(5, 1);
        smooth(&mut p, 0.1);
        assert_eq!(p, [0.025, 0.9, 0.025, 0.025, 0.025]);
        let mut p = one_hot(1000, 7);
        smooth(&mut p, 0.1);
        assert_eq!((p[7], p[8]), (0.9, 0.1 / 999.0));
    }

    #[test]
    fn the_authors_numbers() {
        let mut p = one_hot(1000, 7);
        smooth_over_all(&mut p, 0.1);
        assert_eq!((p[7], p[8]), (0.9001, 0.0001));
    }

    #[test]
    fn a_distribution_stays_one_and_no_smoothing_changes_nothing() {
        for (classes, epsilon) in [(2, 0.5), (10, 0.1), (1000, 0.3)] {
            for by in [smooth, smooth_over_all] {
                let mut p = one_hot(classes, classes - 1);
                by(&mut p, epsilon);
                let sum: f64 = p.iter().map(|&value| f64::from(value)).sum();
                assert!((sum - 1.0).abs() < 1e-5, "{classes} classes sum to {sum}");
                let mut plain = one_hot(classes, 0);
                by(&mut plain, 0.0);
                assert_eq!(plain, one_hot(classes, 0));
            }
        }
    }

    #[test]
    fn the_gap_of_figure_4() {
        // "Under ε = 0.1 and K = 1000, the theoretical gap is around 9.1."
        let cases = [
            (0.1, 1000, 9.103_979),
            (0.01, 1000, 11.501_875),
            (0.5, 1000, 6.906_755),
            (0.1, 10, 4.394_449),
        ];
        for (epsilon, classes, expected) in cases {
            let gap = optimal_gap(epsilon, classes);
            assert!((gap - expected).abs() < 1e-6, "{epsilon} {classes}: {gap}");
        }
        for classes in [2, 10, 1000] {
            assert!(optimal_gap(largest_epsilon(classes), classes).abs() < 1e-9);
        }
        assert_eq!(optimal_gap(0.0, 1000), f64::INFINITY);
    }
}
