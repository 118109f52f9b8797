//! Means over seeds, and the paired t test between two rows that ran the same ones.

use std::f64::consts::PI;

/// The mean and the standard deviation of `n` numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub n: usize,
    pub mean: f64,
    /// The standard deviation of a sample, with n − 1; None for one number.
    pub sd: Option<f64>,
}

impl Summary {
    /// The summary of these numbers; None without any.
    pub fn of(values: &[f64]) -> Option<Summary> {
        let n = values.len();
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let sd = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
        (n > 0).then_some(Summary { n, mean, sd })
    }
}

/// The mean of paired differences with its 95 % interval and the p value of the two-sided t test that it is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paired {
    pub n: usize,
    pub mean: f64,
    /// The 95 % interval; None for one pair.
    pub interval: Option<[f64; 2]>,
    /// The p value; None for one pair, and where all differences are 0.
    pub p: Option<f64>,
}

impl Paired {
    /// The test of these differences; None without any.
    pub fn of(differences: &[f64]) -> Option<Paired> {
        let Summary { n, mean, sd } = Summary::of(differences)?;
        let error = sd.map(|sd| sd / (n as f64).sqrt());
        let interval = error.map(|error| {
            let half = quantile(0.95, n - 1) * error;
            [mean - half, mean + half]
        });
        let p = error.filter(|error| *error > 0.0 || mean != 0.0);
        let p = p.map(|error| 1.0 - within(mean.abs() / error, n - 1));
        Some(Paired { n, mean, interval, p })
    }
}

/// P(|T| < t) of Student's distribution with ν degrees of freedom: the finite sums for whole ν (Abramowitz and Stegun
/// 26.7.3 and 26.7.4).
fn within(t: f64, nu: usize) -> f64 {
    let theta = (t / (nu as f64).sqrt()).atan();
    let (sin, cos) = theta.sin_cos();
    if nu.is_multiple_of(2) {
        // 1 + 1/2 cos² + (1·3)/(2·4) cos⁴ + …
        let (mut term, mut sum) = (1.0, 1.0);
        for k in (2..nu).step_by(2) {
            term *= cos * cos * (k - 1) as f64 / k as f64;
            sum += term;
        }
        return sin * sum;
    }
    // cos + 2/3 cos³ + (2·4)/(3·5) cos⁵ + …
    let (mut term, mut sum) = (cos, if nu > 1 { cos } else { 0.0 });
    for k in (3..nu).step_by(2) {
        term *= cos * cos * (k - 1) as f64 / k as f64;
        sum += term;
    }
    2.0 / PI * (theta + sin * sum)
}

/// The t with P(|T| < t) = `share`.
fn quantile(share: f64, nu: usize) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while within(high, nu) < share {
        high *= 2.0;
    }
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if within(middle, nu) < share { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two-sided 5 % points that every table of the t distribution has.
    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (nu, t) in [
            (1, 12.706_205),
            (2, 4.302_653),
            (3, 3.182_446),
            (4, 2.776_445),
            (5, 2.570_582),
            (9, 2.262_157),
            (10, 2.228_139),
            (29, 2.045_230),
            (30, 2.042_272),
            (120, 1.979_930),
        ] {
            assert!((quantile(0.95, nu) - t).abs() < 1e-6, "{nu}: {}", quantile(0.95, nu));
        }
    }

    #[test]
    fn a_summary_is_mean_and_sample_deviation() {
        let summary = Summary::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert_eq!((summary.n, summary.mean), (8, 5.0));
        assert!((summary.sd.unwrap() - 2.138_089_935).abs() < 1e-9);
        assert_eq!(Summary::of(&[3.0]).unwrap(), Summary { n: 1, mean: 3.0, sd: None });
        assert_eq!(Summary::of(&[]), None);
    }

    /// Student's own example (1908): hours of sleep gained by ten patients with one drug over another.
    #[test]
    fn students_sleep() {
        let first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0];
        let second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4];
        let differences: Vec<f64> = second.iter().zip(first).map(|(b, a)| b - a).collect();
        let paired = Paired::of(&differences).unwrap();
        let [low, high] = paired.interval.unwrap();
        assert_eq!(paired.n, 10);
        assert!((paired.mean - 1.58).abs() < 1e-12);
        assert!((low - 0.700_114).abs() < 1e-6 && (high - 2.459_886).abs() < 1e-6, "{low} {high}");
        assert!((paired.p.unwrap() - 0.002_832_890).abs() < 1e-8, "{paired:?}");
    }

    #[test]
    fn few_or_equal_pairs() {
        let one = Paired::of(&[0.5]).unwrap();
        assert_eq!((one.mean, one.interval, one.p), (0.5, None, None));
        let equal = Paired::of(&[0.0, 0.0, 0.0]).unwrap();
        assert_eq!((equal.interval, equal.p), (Some([0.0, 0.0]), None));
        let constant = Paired::of(&[1.0, 1.0]).unwrap();
        assert_eq!((constant.interval, constant.p), (Some([1.0, 1.0]), Some(0.0)));
        let three = Paired::of(&[1.0, 2.0, 3.0]).unwrap();
        let [low, high] = three.interval.unwrap();
        assert!((low + 0.484_138).abs() < 1e-6 && (high - 4.484_138).abs() < 1e-6);
        assert!((three.p.unwrap() - 0.074_179_900).abs() < 1e-8);
    }
}
