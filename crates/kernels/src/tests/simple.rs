//! Element-wise operations and the resize.

use super::{Random, assert_results, wide};
use crate::elementwise::sum_of_squares;
use crate::{
    Bilinear, add, add_assign, at_most, at_most_backward, bilinear_backward, bilinear_forward,
    blend, health, relu, relu_backward, textbook,
};

#[test]
fn element_wise() {
    let mut random = Random::new(10);
    for length in [0, 1, 7, 1000, 40_000] {
        let (a, b) = (random.numbers(length), random.numbers(length));
        let mut expected = vec![vec![0.0; length]; 7];
        let (wide_a, wide_b) = (wide(&a), wide(&b));
        textbook::add(&wide_a, &wide_b, &mut expected[0]);
        expected[1].copy_from_slice(&wide_a);
        textbook::add_assign(&mut expected[1], &wide_b);
        textbook::relu(&wide_a, &mut expected[2]);
        textbook::relu_backward(&wide_a, &wide_b, &mut expected[3]);
        textbook::at_most(0.25, &wide_a, &mut expected[4]);
        textbook::at_most_backward(0.25, &wide_a, &wide_b, &mut expected[5]);
        expected[6].copy_from_slice(&wide_a);
        textbook::blend(0.75, &mut expected[6], -2.0, &wide_b);
        let run = || {
            let mut found = vec![vec![f32::NAN; length]; 7];
            add(&a, &b, &mut found[0]);
            found[1].copy_from_slice(&a);
            add_assign(&mut found[1], &b);
            relu(&a, &mut found[2]);
            relu_backward(&a, &b, &mut found[3]);
            at_most(0.25, &a, &mut found[4]);
            at_most_backward(0.25, &a, &b, &mut found[5]);
            found[6].copy_from_slice(&a);
            blend(0.75, &mut found[6], -2.0, &b);
            found
        };
        assert_results(&format!("length {length}"), run, &expected, 1e-7);
    }
}

#[test]
fn sums_of_squares() {
    assert_eq!(sum_of_squares(&[3.0, -4.0]), 25.0);
    let mut random = Random::new(13);
    for length in [0, 1, 9, 1000, 16_384, 40_000] {
        let x = random.numbers(length);
        let expected = textbook::sum_of_squares(&wide(&x));
        // As a result of one number, so that the number of threads is tried too.
        let run = || vec![vec![sum_of_squares(&x) as f32]];
        assert_results(&format!("length {length}"), run, &[vec![expected]], 1e-6);
    }
}

#[test]
fn health_is_the_sum_of_squares_and_whether_all_is_finite() {
    let mut random = Random::new(14);
    for length in [0, 1, 9, 1000, 16_384, 40_000] {
        let x = random.numbers(length);
        let (expected, finite) = textbook::health(&wide(&x));
        assert!(finite);
        let run = || {
            let (sum, finite) = health(&x);
            assert_eq!(sum.to_bits(), sum_of_squares(&x).to_bits());
            vec![vec![sum as f32, f32::from(finite)]]
        };
        assert_results(&format!("length {length}"), run, &[vec![expected, 1.0]], 1e-6);
    }
    // The greatest numbers are finite, however many there are, and each other one is found in every place.
    assert!(health(&vec![f32::MAX; 40_000]).1 && health(&vec![f32::MIN; 40_000]).1);
    for value in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN] {
        for at in [0, 7, 8, 16_383, 16_384, 39_999, 40_001] {
            let mut x = random.numbers(40_003);
            x[at] = value;
            let run = || vec![vec![f32::from(health(&x).1)]];
            let (_, finite) = textbook::health(&wide(&x));
            let expected = f64::from(finite);
            assert_eq!(expected, 0.0, "{value} at {at}");
            assert_results(&format!("{value} at {at}"), run, &[vec![expected]], 0.0);
        }
    }
}

#[test]
fn resizes() {
    let mut random = Random::new(12);
    for _ in 0..60 {
        let d = Bilinear {
            n: random.of(1..=2),
            h: random.of(1..=9),
            w: random.of(1..=9),
            c: random.of(1..=20),
            out_h: random.of(1..=15),
            out_w: random.of(1..=15),
            align_corners: random.flip(),
        };
        let x = random.numbers(d.n * d.h * d.w * d.c);
        let dy = random.numbers(d.n * d.out_h * d.out_w * d.c);
        let mut expected = vec![vec![0.0; dy.len()], vec![0.0; x.len()]];
        textbook::bilinear_forward(&d, &wide(&x), &mut expected[0]);
        textbook::bilinear_backward(&d, &wide(&dy), &mut expected[1]);
        let run = || {
            let mut found = vec![vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]];
            bilinear_forward(&d, &x, &mut found[0]);
            bilinear_backward(&d, &dy, &mut found[1]);
            found
        };
        assert_results(&format!("{d:?}"), run, &expected, 1e-6);
    }
}

/// PyTorch's `interpolate([0, 1], size=4)`, both ways.
#[test]
fn a_resize_is_pytorchs() {
    for (align_corners, expected) in
        [(false, [0.0, 0.25, 0.75, 1.0]), (true, [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0])]
    {
        let d = Bilinear { n: 1, h: 1, w: 2, c: 1, out_h: 1, out_w: 4, align_corners };
        let mut y = [0.0f32; 4];
        bilinear_forward(&d, &[0.0, 1.0], &mut y);
        for (found, expected) in y.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{y:?}");
        }
    }
}
