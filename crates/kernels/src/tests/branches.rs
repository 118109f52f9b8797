//! Concatenation, excitation and dropout.

use super::{Random, assert_results, wide};
use crate::{
    Activation, ConcatInput, DropoutDraw, Excite, ExciteGradients, ExciteSaved, concat, dropout,
    excite_backward, excite_forward, split, textbook,
};

#[test]
fn concatenations() {
    let mut random = Random::new(20);
    for channels in [vec![1], vec![3, 5], vec![64, 1, 7], vec![20, 31, 4, 9]] {
        for rows in [1, 6, 3000] {
            let width: usize = channels.iter().sum();
            let parts: Vec<Vec<f32>> = channels.iter().map(|c| random.numbers(rows * c)).collect();
            let wides: Vec<Vec<f64>> = parts.iter().map(|part| wide(part)).collect();
            let mut expected = vec![vec![0.0; rows * width]];
            let of = |values: &[_], channels: &usize| values.len() / channels;
            assert!(parts.iter().zip(&channels).all(|(part, c)| of(part, c) == rows));
            let pairs = wides.iter().zip(&channels);
            let twins: Vec<ConcatInput<'_, f64>> =
                pairs.map(|(values, &channels)| ConcatInput { values, channels }).collect();
            textbook::concat(&twins, &mut expected[0]);
            let mut first = 0;
            for &channels in &channels {
                let mut part = vec![0.0; rows * channels];
                textbook::split(&expected[0], width, first, &mut part, channels);
                expected.push(part);
                first += channels;
            }
            assert_eq!(expected[1..], wides, "the textbook's way back");
            let run = || {
                let pairs = parts.iter().zip(&channels);
                let parts: Vec<ConcatInput> =
                    pairs.map(|(values, &channels)| ConcatInput { values, channels }).collect();
                let mut y = vec![f32::NAN; rows * width];
                concat(&parts, &mut y);
                let mut found = vec![y];
                let mut first = 0;
                for &channels in &channels {
                    let mut part = vec![f32::NAN; rows * channels];
                    split(&found[0], width, first, &mut part, channels);
                    found.push(part);
                    first += channels;
                }
                found
            };
            assert_results(&format!("{channels:?}, {rows} rows"), run, &expected, 0.0);
        }
    }
}

#[test]
fn excitations() {
    let mut random = Random::new(21);
    for (n, hw, c) in [(1, 1, 1), (3, 4, 5), (2, 49, 70), (5, 1, 33), (2, 400, 48)] {
        for activation in [Activation::Identity, Activation::Relu] {
            let d = Excite { n, hw, c, activation };
            let [x, residual, dy] = [(); 3].map(|()| random.numbers(n * hw * c));
            let z: Vec<f32> = random.numbers(n * c).iter().map(|z| 5.0 * z).collect();
            let lengths = [n * hw * c, n * hw * c, n * c, n * hw * c];
            let mut expected: Vec<Vec<f64>> = lengths.iter().map(|&n| vec![0.0; n]).collect();
            let [y, dx, dz, dresidual] = &mut expected[..] else { unreachable!() };
            let (wide_x, wide_z) = (wide(&x), wide(&z));
            textbook::excite_forward(&d, &wide_x, &wide_z, &wide(&residual), y);
            let (dx, dz, dresidual) = (dx.into(), dz.into(), dresidual.into());
            let saved = ExciteSaved { x: &wide_x, z: &wide_z, y };
            let gradients = ExciteGradients { dx, dz, dresidual };
            textbook::excite_backward(&d, saved, &wide(&dy), gradients);
            let run = || {
                let mut found: Vec<Vec<f32>> = lengths.iter().map(|&n| vec![f32::NAN; n]).collect();
                let [y, dx, dz, dresidual] = &mut found[..] else { unreachable!() };
                excite_forward(&d, &x, &z, &residual, &mut *y);
                let (dx, dz, dresidual) = (dx.into(), dz.into(), dresidual.into());
                let saved = ExciteSaved { x: &x, z: &z, y };
                excite_backward(&d, saved, &dy, ExciteGradients { dx, dz, dresidual });
                found
            };
            assert_results(&format!("{d:?}"), run, &expected, 2e-6);
        }
    }
}

#[test]
fn dropouts() {
    let mut random = Random::new(22);
    for share in [0.0, 0.2, 0.5] {
        let d = DropoutDraw { share, key: 77 };
        let x = random.numbers(40_000);
        let mut expected = vec![vec![0.0; x.len()]];
        textbook::dropout(&d, &wide(&x), &mut expected[0]);
        let run = || {
            let mut y = vec![f32::NAN; x.len()];
            dropout(&d, &x, &mut y);
            vec![y]
        };
        assert_results(&format!("{d:?}"), run, &expected, 1e-7);
    }
}

/// The share that is dropped, the mean that is kept, and that neighbours and keys have nothing to do with each other.
#[test]
fn dropout_is_fair() {
    let count = 100_000;
    for share in [0.0f32, 0.2, 0.5] {
        let factors = |key| -> Vec<f32> {
            let d = DropoutDraw { share, key };
            (0..count).map(|index| d.factor(index)).collect()
        };
        let (one, other) = (factors(1), factors(2));
        let dropped = |factors: &[f32]| factors.iter().filter(|&&f| f == 0.0).count() as f64;
        let (n, p) = (count as f64, f64::from(share));
        let error = 5.0 * (p * (1.0 - p) / n).sqrt();
        assert!((dropped(&one) / n - p).abs() <= error, "{share}: {}", dropped(&one) / n);
        let mean = one.iter().map(|&f| f64::from(f)).sum::<f64>() / n;
        assert!((mean - 1.0).abs() <= 2.0 * error + 1e-6, "{share}: a mean of {mean}");
        let both = |a: &[f32], b: &[f32]| {
            a.iter().zip(b).filter(|&(&a, &b)| a == 0.0 && b == 0.0).count() as f64 / n
        };
        for (what, found) in [("keys", both(&one, &other)), ("neighbours", both(&one, &one[1..]))] {
            assert!((found - p * p).abs() <= error + 1e-4, "{share} {what}: {found}");
        }
    }
}
