//! Convolutions over random and chosen shapes.

use super::{Random, assert_results, wide};
use crate::{
    Activation, Conv2d, Epilogue, PreparedWeights, conv2d_forward, conv2d_inference,
    conv2d_input_grad, conv2d_weight_grad, textbook,
};

/// All three products against the textbook.
fn check(d: &Conv2d, random: &mut Random) {
    let (x, w, dy) =
        (random.numbers(d.x_len()), random.numbers(d.w_len()), random.numbers(d.y_len()));
    let (wide_x, wide_w, wide_dy) = (wide(&x), wide(&w), wide(&dy));
    let mut expected = vec![vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]];
    textbook::conv2d_forward(d, &wide_x, &wide_w, &mut expected[0]);
    textbook::conv2d_input_grad(d, &wide_dy, &wide_w, &mut expected[1]);
    textbook::conv2d_weight_grad(d, &wide_x, &wide_dy, &mut expected[2]);
    let run = || {
        // Stale contents must not matter.
        let nan = |length| vec![f32::NAN; length];
        let mut found = vec![nan(dy.len()), nan(x.len()), nan(w.len())];
        conv2d_forward(d, &x, &w, &mut found[0]);
        conv2d_input_grad(d, &dy, &w, &mut found[1]);
        conv2d_weight_grad(d, &x, &dy, &mut found[2]);
        found
    };
    assert_results(&format!("{d:?}"), run, &expected, 1e-5);
}

/// The fused product against the textbook, with and without a residual and a rectifier.
fn check_inference(d: &Conv2d, random: &mut Random) {
    let (x, w, bias) =
        (random.numbers(d.x_len()), random.numbers(d.w_len()), random.numbers(d.c_out));
    let residual = random.numbers(d.y_len());
    let (wide_x, wide_w, wide_bias) = (wide(&x), wide(&w), wide(&bias));
    let wide_residual = wide(&residual);
    for (added, activation) in [
        (false, Activation::Identity),
        (false, Activation::Relu),
        (true, Activation::Identity),
        (true, Activation::Relu),
    ] {
        let mut expected = vec![0.0; residual.len()];
        let residual = added.then_some(&residual[..]);
        let wide_residual = added.then_some(&wide_residual[..]);
        let epilogue = Epilogue { bias: &wide_bias[..], residual: wide_residual, activation };
        textbook::conv2d_inference(d, &wide_x, &wide_w, epilogue, &mut expected);
        let run = || {
            let prepared = PreparedWeights::default();
            let epilogue = Epilogue { bias: &bias, residual, activation };
            let infer = |w: &[f32]| {
                let mut found = vec![f32::NAN; d.y_len()];
                conv2d_inference(d, &x, (w, &prepared), epilogue, &mut found);
                found
            };
            // The second time, what was prepared is used, not the weights.
            vec![infer(&w), infer(&vec![f32::NAN; w.len()])]
        };
        let expected = [expected.clone(), expected];
        assert_results(&format!("{d:?} {activation:?} {added}"), run, &expected, 1e-5);
    }
}

pub(super) fn random_dims(random: &mut Random, depthwise: bool) -> Conv2d {
    let groups = if depthwise { random.of(2..=70) } else { [1, 1, 1, 2, 3][random.of(0..=4)] };
    let channels = |random: &mut Random| {
        let most = [4, 20, 40][random.of(0..=2)];
        if depthwise { groups } else { groups * random.of(1..=most) }
    };
    let mut d = Conv2d {
        n: random.of(1..=3),
        h: random.of(1..=13),
        w: random.of(1..=13),
        c_in: channels(random),
        c_out: channels(random),
        kernel: [random.of(1..=5), random.of(1..=5)],
        stride: [random.of(1..=3), random.of(1..=3)],
        padding: [random.of(0..=3), random.of(0..=3)],
        dilation: [random.of(1..=2), random.of(1..=2)],
        groups,
    };
    for axis in 0..2 {
        let extent = [d.h, d.w][axis] + 2 * d.padding[axis];
        if d.dilation[axis] * (d.kernel[axis] - 1) + 1 > extent {
            d.kernel[axis] = 1;
        }
    }
    d
}

#[test]
fn random_dense_and_grouped_shapes() {
    let mut random = Random::new(1);
    for _ in 0..120 {
        let d = random_dims(&mut random, false);
        check(&d, &mut random);
    }
}

#[test]
fn random_depthwise_shapes() {
    let mut random = Random::new(2);
    for _ in 0..60 {
        let d = random_dims(&mut random, true);
        check(&d, &mut random);
    }
}

#[test]
fn random_inference() {
    let mut random = Random::new(4);
    for index in 0..60 {
        let d = random_dims(&mut random, index % 4 == 0);
        check_inference(&d, &mut random);
    }
}

/// Shapes that cross the bounds of blocks, chunks and tasks.
#[test]
fn chosen_shapes() {
    let plain = Conv2d {
        n: 2,
        h: 14,
        w: 14,
        c_in: 32,
        c_out: 32,
        kernel: [1, 1],
        stride: [1, 1],
        padding: [0, 0],
        dilation: [1, 1],
        groups: 1,
    };
    let same = Conv2d { kernel: [3, 3], padding: [1, 1], ..plain };
    let cases = [
        Conv2d { c_in: 300, c_out: 70, ..plain },
        Conv2d { c_in: 70, c_out: 300, h: 1, w: 1, n: 1, ..plain },
        Conv2d { h: 1, w: 1, n: 1, ..same },
        Conv2d { c_in: 1, c_out: 1, ..same },
        Conv2d { c_in: 1, c_out: 1, ..plain },
        Conv2d { c_in: 64, c_out: 48, ..same },
        Conv2d { stride: [2, 2], c_in: 33, c_out: 65, h: 15, ..same },
        Conv2d { stride: [2, 2], ..plain },
        Conv2d { stride: [3, 2], kernel: [2, 2], ..plain },
        Conv2d {
            n: 3,
            h: 30,
            w: 31,
            c_in: 3,
            c_out: 20,
            kernel: [7, 7],
            stride: [2, 2],
            padding: [3, 3],
            ..plain
        },
        Conv2d { c_in: 3, h: 12, kernel: [3, 3], padding: [0, 0], ..plain },
        Conv2d { n: 8, h: 20, w: 20, c_in: 24, c_out: 8, ..plain },
        Conv2d { groups: 4, ..same },
        Conv2d { groups: 32, c_out: 64, ..same },
        Conv2d { n: 8, groups: 32, stride: [2, 2], ..same },
        Conv2d { dilation: [2, 3], padding: [2, 3], ..same },
        Conv2d { kernel: [1, 7], padding: [0, 3], ..plain },
        Conv2d { kernel: [7, 1], padding: [3, 0], c_in: 5, ..plain },
        // No pixel of the image is reached by some phases, and no tap by others.
        Conv2d { stride: [5, 5], kernel: [2, 2], ..plain },
        Conv2d { n: 0, ..same },
    ];
    let mut random = Random::new(3);
    for d in cases {
        check(&d, &mut random);
        check_inference(&d, &mut random);
    }
}

#[test]
fn counts_multiply_adds() {
    let d = Conv2d {
        n: 1,
        h: 224,
        w: 224,
        c_in: 3,
        c_out: 64,
        kernel: [7, 7],
        stride: [2, 2],
        padding: [3, 3],
        dilation: [1, 1],
        groups: 1,
    };
    assert_eq!((d.out_h(), d.out_w()), (112, 112));
    assert_eq!(d.multiply_adds(), 118_013_952);
}

#[test]
#[should_panic(expected = "conv2d_forward: `x` has 3 elements where the dims say 4")]
fn names_a_wrong_length() {
    let d = Conv2d {
        n: 1,
        h: 2,
        w: 2,
        c_in: 1,
        c_out: 1,
        kernel: [1, 1],
        stride: [1, 1],
        padding: [0, 0],
        dilation: [1, 1],
        groups: 1,
    };
    conv2d_forward(&d, &[0.0; 3], &[0.0; 1], &mut [0.0; 4]);
}
