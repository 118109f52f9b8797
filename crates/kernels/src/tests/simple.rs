//! Element-wise operations, the update and the resize.

use super::{Random, assert_results, wide};
use crate::{
    Bilinear, Nag, add, add_assign, at_most, at_most_backward, bilinear_backward, bilinear_forward,
    blend, nag, relu, relu_backward, sum_of_squares, textbook,
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
fn updates() {
    let mut random = Random::new(11);
    let h = Nag { rate: 0.1, momentum: 0.9, decay: 1e-2 };
    for length in [0, 1, 100, 40_000] {
        let [w, g, v] = [(); 3].map(|()| random.numbers(length));
        let mut expected = vec![wide(&w), wide(&v)];
        let [first, second] = &mut expected[..] else { unreachable!() };
        textbook::nag(&h, first, &wide(&g), second);
        let run = || {
            let (mut w, mut v) = (w.clone(), v.clone());
            nag(&h, &mut w, &g, &mut v);
            vec![w, v]
        };
        assert_results(&format!("length {length}"), run, &expected, 1e-6);
    }
}

/// Two steps by hand: g = 1 + 0.5·2 = 2, v = 2, w = 2 − 0.1 (2 + 0.5·2) = 1.7, and on.
#[test]
fn the_update_is_nesterovs() {
    let h = Nag { rate: 0.1, momentum: 0.5, decay: 0.5 };
    let (mut w, mut v) = ([2.0f64], [0.0f64]);
    textbook::nag(&h, &mut w, &[1.0], &mut v);
    assert!((w[0] - 1.7).abs() < 1e-8 && (v[0] - 2.0).abs() < 1e-8);
    textbook::nag(&h, &mut w, &[1.0], &mut v);
    assert!((v[0] - 2.85).abs() < 1e-8 && (w[0] - (1.7 - 0.1 * (1.85 + 1.425))).abs() < 1e-7);
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
