//! The updates of the optimizers.

use super::{Random, assert_results, wide};
use crate::{AdamW, Nag, Sgd, adamw, nag, sgd, textbook};

/// Lengths of every kind: none, less than a vector, a random number, a few chunks with a rest.
fn lengths(random: &mut Random) -> [usize; 5] {
    [0, 1, random.of(2..=100), random.of(1000..=16_384), random.of(40_000..=70_000)]
}

#[test]
fn nag_is_the_textbooks() {
    let mut random = Random::new(11);
    let h = Nag { rate: 0.1, momentum: 0.9, decay: 1e-2 };
    for length in lengths(&mut random) {
        let [w, g, v] = [(); 3].map(|()| random.numbers(length));
        let mut expected = [wide(&w), wide(&v)];
        let [first, second] = &mut expected;
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
fn nag_is_nesterovs() {
    let h = Nag { rate: 0.1, momentum: 0.5, decay: 0.5 };
    let (mut w, mut v) = ([2.0f64], [0.0f64]);
    textbook::nag(&h, &mut w, &[1.0], &mut v);
    assert!((w[0] - 1.7).abs() < 1e-8 && (v[0] - 2.0).abs() < 1e-8);
    textbook::nag(&h, &mut w, &[1.0], &mut v);
    assert!((v[0] - 2.85).abs() < 1e-8 && (w[0] - (1.7 - 0.1 * (1.85 + 1.425))).abs() < 1e-7);
}

#[test]
fn sgd_is_the_textbooks() {
    let mut random = Random::new(12);
    let h = Sgd { rate: 0.1, momentum: 0.9, decay: 1e-2 };
    for length in lengths(&mut random) {
        let [w, g, v] = [(); 3].map(|()| random.numbers(length));
        let mut expected = [wide(&w), wide(&v)];
        let [first, second] = &mut expected;
        textbook::sgd(&h, first, &wide(&g), second);
        let run = || {
            let (mut w, mut v) = (w.clone(), v.clone());
            sgd(&h, &mut w, &g, &mut v);
            vec![w, v]
        };
        assert_results(&format!("length {length}"), run, &expected, 1e-6);
    }
}

/// Two steps by hand: g = 1 + 0.5·2 = 2, v = 2, w = 2 − 0.1·2 = 1.8; g = 1.9, v = 2.9, w = 1.8 − 0.29.
#[test]
fn sgd_has_its_momentum_but_does_not_look_ahead() {
    let h = Sgd { rate: 0.1, momentum: 0.5, decay: 0.5 };
    let (mut w, mut v) = ([2.0f64], [0.0f64]);
    textbook::sgd(&h, &mut w, &[1.0], &mut v);
    assert!((w[0] - 1.8).abs() < 1e-8 && (v[0] - 2.0).abs() < 1e-8);
    textbook::sgd(&h, &mut w, &[1.0], &mut v);
    assert!((v[0] - 2.9).abs() < 1e-8 && (w[0] - 1.51).abs() < 1e-7);
}

#[test]
fn adamw_is_the_textbooks() {
    let mut random = Random::new(13);
    for step in [1, 2, 1000] {
        let h = AdamW { rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.1, step };
        for length in lengths(&mut random) {
            let [w, g, m] = [(); 3].map(|()| random.numbers(length));
            let v: Vec<f32> = random.numbers(length).iter().map(|v| v * v).collect();
            let mut expected = [wide(&w), wide(&m), wide(&v)];
            let [first, second, third] = &mut expected;
            textbook::adamw(&h, first, &wide(&g), second, third);
            let run = || {
                let (mut w, mut m, mut v) = (w.clone(), m.clone(), v.clone());
                adamw(&h, &mut w, &g, &mut m, &mut v);
                vec![w, m, v]
            };
            assert_results(&format!("step {step}, length {length}"), run, &expected, 1e-6);
        }
    }
}

/// Two steps by hand. After the first both corrected means are the gradient's, so it goes by the rate:
/// w = 2 − 0.1·0.5·2 − 0.1 = 1.8. After the second, by the gradient −1, m = 0.5·0.5 − 0.5 = −0.25, corrected by
/// 1 − 0.5² to −1/3, and v = 1 again, corrected: w = 1.8 − 0.09 + 0.1/3.
#[test]
fn adamw_corrects_its_means_and_decays_apart_from_them() {
    let mut h = AdamW { rate: 0.1, beta1: 0.5, beta2: 0.75, epsilon: 0.0, decay: 0.5, step: 1 };
    let (mut w, mut m, mut v) = ([2.0f64], [0.0f64], [0.0f64]);
    textbook::adamw(&h, &mut w, &[1.0], &mut m, &mut v);
    assert!((w[0] - 1.8).abs() < 1e-8 && m == [0.5] && v == [0.25]);
    h.step = 2;
    textbook::adamw(&h, &mut w, &[-1.0], &mut m, &mut v);
    assert!(m == [-0.25] && v == [0.4375]);
    assert!((w[0] - (1.8 - 0.09 + 0.1 / 3.0)).abs() < 1e-8);
}

#[test]
fn adamw_takes_any_number_of_steps() {
    let h = AdamW { rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 0.0, decay: 0.0, step: u64::MAX };
    let (mut w, mut m, mut v) = ([1.0], [4.0], [1.0]);
    adamw(&h, &mut w, &[4.0], &mut m, &mut v);
    assert!((m[0] - 4.0).abs() < 1e-6 && (v[0] - 1.015).abs() < 1e-6);
    assert!((w[0] - (1.0 - 0.1 * 4.0 / 1.015f32.sqrt())).abs() < 1e-6);
}

#[test]
#[should_panic(expected = "steps count from 1")]
fn adamw_has_no_step_zero() {
    let h = AdamW { rate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.0, step: 0 };
    adamw(&h, &mut [1.0], &[1.0], &mut [0.0], &mut [0.0]);
}
