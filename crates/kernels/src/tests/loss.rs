//! Cross entropy over random rows, and at the edges of what f32 holds.

use super::{Random, assert_close, assert_results, wide};
use crate::{cross_entropy_backward, cross_entropy_forward, textbook};

#[test]
fn random_shapes() {
    let mut random = Random::new(9);
    for _ in 0..30 {
        let (rows, classes) = (random.of(1..=70), random.of(1..=40));
        let z: Vec<f32> = random.numbers(rows * classes).iter().map(|z| z * 8.0).collect();
        let p: Vec<f32> = random.numbers(rows * classes).iter().map(|p| p.max(0.0)).collect();
        let mut expected = vec![vec![0.0], vec![0.0; z.len()], vec![0.0; z.len()]];
        let (wide_z, wide_p) = (wide(&z), wide(&p));
        let mut softmax = vec![0.0; z.len()];
        expected[0][0] =
            textbook::cross_entropy_forward(rows, classes, &wide_z, &wide_p, &mut softmax);
        textbook::cross_entropy_backward(rows, classes, &softmax, &wide_p, 0.7, &mut expected[2]);
        expected[1] = softmax;
        let run = || {
            let mut softmax = vec![f32::NAN; z.len()];
            let mut dz = vec![f32::NAN; z.len()];
            let loss = cross_entropy_forward(rows, classes, &z, &p, &mut softmax);
            cross_entropy_backward(rows, classes, &softmax, &p, 0.7, &mut dz);
            vec![vec![loss], softmax, dz]
        };
        assert_results(&format!("{rows} rows of {classes}"), run, &expected, 1e-6);
    }
}

#[test]
fn great_logits_do_not_overflow() {
    let mut softmax = [0.0; 3];
    let z = [1e4, -1e4, f32::NEG_INFINITY];
    let loss = cross_entropy_forward(1, 3, &z, &[0.5, 0.5, 0.0], &mut softmax);
    assert_close("loss", &[loss], &[1e4], 1e-7);
    assert_eq!(softmax, [1.0, 0.0, 0.0]);
}
