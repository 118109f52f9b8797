//! Every kernel that takes halves against its textbook twin in 64 bits, which gets the same rounded inputs: results
//! may differ by what rounding them to halves takes, and be the same bits on any number of threads.

use half::{bf16, f16};

use super::conv2d::random_dims;
use super::pool::random_pool;
use super::{Random, assert_results};
use crate::*;

/// A half and by how much of a number rounding to it may miss.
trait Half: Element {
    const UNIT: f64;
}

impl Half for f16 {
    const UNIT: f64 = 1.0 / 2048.0;
}

impl Half for bf16 {
    const UNIT: f64 = 1.0 / 256.0;
}

/// What single precision adds to that.
const SINGLE: f64 = 2e-5;

/// Random halves, and the same numbers.
fn random<E: Half>(random: &mut Random, length: usize) -> (Vec<E>, Vec<f64>) {
    let halves: Vec<E> = random.numbers(length).into_iter().map(E::rounded).collect();
    let exact = halves.iter().map(|half| f64::from(half.widened())).collect();
    (halves, exact)
}

/// Random floats, and the same numbers.
fn floats(random: &mut Random, length: usize) -> (Vec<f32>, Vec<f64>) {
    let floats = random.numbers(length);
    let exact = super::wide(&floats);
    (floats, exact)
}

/// Stale contents, which must not matter.
fn stale<E: Element>(length: usize) -> Vec<E> {
    vec![E::rounded(f32::NAN); length]
}

fn widened<E: Element>(halves: &[E]) -> Vec<f32> {
    halves.iter().map(|half| half.widened()).collect()
}

fn conv2d<E: Half>(d: &Conv2d, numbers: &mut Random) {
    let ((x, wide_x), (dy, wide_dy)) =
        (random::<E>(numbers, d.x_len()), random::<E>(numbers, d.y_len()));
    let (w, wide_w) = floats(numbers, d.w_len());
    let mut expected = [vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]];
    textbook::conv2d_forward(d, &wide_x, &wide_w, &mut expected[0]);
    textbook::conv2d_input_grad(d, &wide_dy, &wide_w, &mut expected[1]);
    textbook::conv2d_weight_grad(d, &wide_x, &wide_dy, &mut expected[2]);
    let [y, dx, dw] = expected;
    let rounded = || {
        let (mut y, mut dx) = (stale::<E>(dy.len()), stale::<E>(x.len()));
        conv2d_forward(d, &x, &w, &mut y);
        conv2d_input_grad(d, &dy, &w, &mut dx);
        vec![widened(&y), widened(&dx)]
    };
    assert_results(&format!("{d:?}"), rounded, &[y, dx], E::UNIT + SINGLE);
    let single = || {
        let mut dw = stale(w.len());
        conv2d_weight_grad(d, &x, &dy, &mut dw);
        vec![dw]
    };
    assert_results(&format!("dw of {d:?}"), single, &[dw], SINGLE);
}

fn biased<E: Half>(d: &Conv2d, numbers: &mut Random) {
    let ((x, wide_x), (w, wide_w)) = (random::<E>(numbers, d.x_len()), floats(numbers, d.w_len()));
    let (bias, wide_bias) = floats(numbers, d.c_out);
    let mut y = vec![0.0; d.y_len()];
    let activation = Activation::Relu;
    let epilogue = Epilogue { bias: &wide_bias[..], residual: None, activation };
    textbook::conv2d_inference(d, &wide_x, &wide_w, epilogue, &mut y);
    let run = || {
        let mut y = stale::<E>(d.y_len());
        let epilogue = Epilogue { bias: &bias, residual: None, activation };
        conv2d_finished(d, &x, &w, epilogue, &mut y);
        vec![widened(&y)]
    };
    assert_results(&format!("with a bias {d:?}"), run, &[y], E::UNIT + SINGLE);
}

#[test]
fn convolutions() {
    let mut numbers = Random::new(70);
    for index in 0..40 {
        let d = random_dims(&mut numbers, index % 4 == 0);
        if index % 2 == 0 {
            conv2d::<f16>(&d, &mut numbers)
        } else {
            conv2d::<bf16>(&d, &mut numbers)
        }
        if index % 2 == 0 {
            biased::<bf16>(&d, &mut numbers)
        } else {
            biased::<f16>(&d, &mut numbers)
        }
    }
}

/// Shapes that cross the bounds of blocks, chunks and tasks, and those that Winograd's algorithm takes.
#[test]
fn chosen_convolutions() {
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
    let three = Conv2d { kernel: [3, 3], padding: [1, 1], ..plain };
    let mut numbers = Random::new(71);
    for d in [
        Conv2d { c_in: 300, c_out: 20, ..plain },
        Conv2d { c_in: 600, c_out: 300, n: 1, ..plain },
        Conv2d { c_in: 24, c_out: 520, n: 1, ..plain },
        three,
        Conv2d { c_in: 16, c_out: 48, h: 33, ..three },
        Conv2d { stride: [2, 2], c_in: 40, c_out: 130, ..three },
        Conv2d { c_in: 3, c_out: 32, stride: [2, 2], h: 40, w: 40, ..three },
        Conv2d { groups: 8, ..three },
        Conv2d { groups: 32, h: 30, ..three },
        Conv2d { groups: 48, c_in: 48, c_out: 48, stride: [2, 2], ..three },
    ] {
        conv2d::<f16>(&d, &mut numbers);
        conv2d::<bf16>(&d, &mut numbers);
    }
}

fn batch_norm<E: Half>([rows, channels]: [usize; 2], train: bool, add: bool, numbers: &mut Random) {
    let activation = if numbers.flip() { Activation::Relu } else { Activation::Identity };
    let d = BatchNorm { rows, channels, epsilon: 1e-5, activation };
    let length = rows * channels;
    let [(x, wide_x), (dy, wide_dy), (added, wide_added)] =
        [(); 3].map(|()| random::<E>(numbers, length));
    let [(gamma, wide_gamma), (beta, wide_beta)] = [(); 2].map(|()| floats(numbers, channels));
    let (mut mean, mut variance) = (vec![0.1; channels], vec![0.9; channels]);
    let affine = GammaBeta { gamma: &wide_gamma[..], beta: &wide_beta[..] };
    let residual = add.then_some(&wide_added[..]);
    let (mut y, mut dx, mut dresidual) = (vec![0.0; length], vec![0.0; length], vec![0.0; length]);
    let (mut dgamma, mut dbeta) = (vec![0.0; channels], vec![0.0; channels]);
    if train {
        let moments = Moments { mean: &mut mean, variance: &mut variance };
        textbook::batch_norm_train(&d, &wide_x, affine, residual, &mut y, moments);
    } else {
        let statistics = MeanVariance { mean: &mean, variance: &variance };
        textbook::batch_norm_eval(&d, &wide_x, affine, statistics, residual, &mut y);
    }
    let statistics = MeanVariance { mean: &mean, variance: &variance };
    let saved = BatchNormSaved { x: &wide_x[..], y: Some(&y[..]), affine, statistics };
    let gradients = BatchNormGradients {
        dx: (&mut dx).into(),
        dgamma: &mut dgamma,
        dbeta: &mut dbeta,
        dresidual: add.then(|| (&mut dresidual).into()),
    };
    if train {
        textbook::batch_norm_train_backward(&d, saved, &wide_dy, gradients);
    } else {
        textbook::batch_norm_eval_backward(&d, saved, &wide_dy, gradients);
    }
    let run = || {
        let affine = GammaBeta { gamma: &gamma, beta: &beta };
        let residual = add.then_some(&added[..]);
        let (mut y, mut dx, mut dresidual) =
            (stale::<E>(length), stale::<E>(length), stale::<E>(length));
        let (mut dgamma, mut dbeta) = (stale(channels), stale(channels));
        let (mut mean, mut variance) = (vec![0.1; channels], vec![0.9; channels]);
        if train {
            let moments = Moments { mean: &mut mean, variance: &mut variance };
            batch_norm_train(&d, &x, affine, residual, &mut y, moments);
        } else {
            let statistics = MeanVariance { mean: &mean, variance: &variance };
            batch_norm_eval(&d, &x, affine, statistics, residual, &mut y);
        }
        let statistics = MeanVariance { mean: &mean, variance: &variance };
        let saved = BatchNormSaved { x: &x, y: add.then_some(&y[..]), affine, statistics };
        let gradients = BatchNormGradients {
            dx: (&mut dx).into(),
            dgamma: &mut dgamma,
            dbeta: &mut dbeta,
            dresidual: add.then(|| (&mut dresidual).into()),
        };
        if train {
            batch_norm_train_backward(&d, saved, &dy, gradients);
        } else {
            batch_norm_eval_backward(&d, saved, &dy, gradients);
        }
        let dresidual = if add { widened(&dresidual) } else { Vec::new() };
        vec![widened(&y), widened(&dx), dresidual, mean, variance, dgamma, dbeta]
    };
    let dresidual = if add { dresidual } else { Vec::new() };
    let expected = [y, dx, dresidual, mean, variance, dgamma, dbeta];
    assert_close::<E>(&format!("{d:?} {train} {add}"), &super::results(run), &expected);
}

/// Sums are in single precision: only the first three, which are stored as halves, are as coarse as they are.
fn assert_close<E: Half>(what: &str, paths: &[Vec<Vec<f32>>], expected: &[Vec<f64>]) {
    for (path, found) in paths.iter().enumerate() {
        for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
            let unit = if index < 3 { E::UNIT } else { 0.0 };
            let what = format!("{what}, path {path}, result {index}");
            super::assert_close(&what, found, expected, unit + 5.0 * SINGLE);
        }
    }
}

#[test]
fn batch_norms() {
    let mut numbers = Random::new(72);
    let mut shapes = vec![[5, 1], [90, 130], [700, 33], [33, 1100]];
    shapes.extend((0..8).map(|_| [numbers.of(3..=300), numbers.of(1..=90)]));
    for shape in shapes {
        for (train, add) in [(true, false), (true, true), (false, false), (false, true)] {
            batch_norm::<f16>(shape, train, add, &mut numbers);
            batch_norm::<bf16>(shape, train, add, &mut numbers);
        }
    }
}

fn pools<E: Half>(numbers: &mut Random) {
    let d = random_pool(numbers);
    let ((x, wide_x), (dy, wide_dy)) =
        (random::<E>(numbers, d.x_len()), random::<E>(numbers, d.y_len()));
    let zeros = |length| vec![0.0; length];
    let mut argmax = vec![0; d.y_len()];
    let mut expected = [zeros(dy.len()), zeros(x.len()), zeros(dy.len()), zeros(x.len())];
    textbook::max_pool_forward(&d, &wide_x, &mut expected[0], &mut argmax);
    textbook::max_pool_backward(&d, &argmax, &wide_dy, &mut expected[1]);
    textbook::avg_pool_forward(&d, &wide_x, &mut expected[2]);
    textbook::avg_pool_backward(&d, &wide_dy, &mut expected[3]);
    let run = || {
        let [mut largest, mut mean] = [(); 2].map(|()| stale::<E>(d.y_len()));
        let [mut to_largest, mut to_all] = [(); 2].map(|()| stale::<E>(d.x_len()));
        let mut found = vec![0; d.y_len()];
        max_pool_forward(&d, &x, &mut largest, &mut found);
        assert_eq!(found, argmax, "{d:?}");
        max_pool_backward(&d, &found, &dy, &mut to_largest);
        avg_pool_forward(&d, &x, &mut mean);
        avg_pool_backward(&d, &dy, &mut to_all);
        [largest, to_largest, mean, to_all].iter().map(|halves| widened(halves)).collect()
    };
    assert_results(&format!("{d:?}"), run, &expected, E::UNIT + SINGLE);
}

fn global_pools<E: Half>(d: &GlobalPool, numbers: &mut Random) {
    let (x, wide_x) = random::<E>(numbers, d.n * d.hw * d.c);
    let (dy, wide_dy) = floats(numbers, d.n * d.c);
    let mut expected = [vec![0.0; dy.len()], vec![0.0; x.len()]];
    textbook::global_avg_pool_forward(d, &wide_x, &mut expected[0]);
    textbook::global_avg_pool_backward(d, &wide_dy, &mut expected[1]);
    let run = || {
        let (mut y, mut dx) = (stale(dy.len()), stale::<E>(x.len()));
        global_avg_pool_forward(d, &x, &mut y);
        global_avg_pool_backward(d, &dy, &mut dx);
        vec![y, widened(&dx)]
    };
    assert_results(&format!("{d:?}"), run, &expected, E::UNIT + SINGLE);
}

#[test]
fn pooling() {
    let mut numbers = Random::new(73);
    for _ in 0..40 {
        pools::<f16>(&mut numbers);
        pools::<bf16>(&mut numbers);
    }
    for (n, hw, c) in [(1, 1, 1), (3, 49, 70), (2, 30, 1100)] {
        global_pools::<f16>(&GlobalPool { n, hw, c }, &mut numbers);
        global_pools::<bf16>(&GlobalPool { n, hw, c }, &mut numbers);
    }
}

fn excitation<E: Half>([n, hw, c]: [usize; 3], numbers: &mut Random) {
    let activation = if numbers.flip() { Activation::Relu } else { Activation::Identity };
    let d = Excite { n, hw, c, activation };
    let [(x, wide_x), (residual, wide_residual), (dy, wide_dy)] =
        [(); 3].map(|()| random::<E>(numbers, n * hw * c));
    let (z, wide_z) = floats(numbers, n * c);
    let zeros = |length| vec![0.0; length];
    let (mut y, mut dx, mut dresidual) = (zeros(x.len()), zeros(x.len()), zeros(x.len()));
    let mut dz = zeros(z.len());
    textbook::excite_forward(&d, &wide_x, &wide_z, &wide_residual, &mut y);
    let saved = ExciteSaved { x: &wide_x[..], z: &wide_z[..], y: &y[..] };
    let gradients = ExciteGradients {
        dx: (&mut dx).into(),
        dz: (&mut dz).into(),
        dresidual: (&mut dresidual).into(),
    };
    textbook::excite_backward(&d, saved, &wide_dy, gradients);
    let run = || {
        let [mut y, mut dx, mut dresidual] = [(); 3].map(|()| stale::<E>(n * hw * c));
        let mut dz = stale(z.len());
        excite_forward(&d, &x, &z, &residual, &mut y);
        let saved = ExciteSaved { x: &x[..], z: &z[..], y: &y[..] };
        let gradients = ExciteGradients {
            dx: (&mut dx).into(),
            dz: (&mut dz).into(),
            dresidual: (&mut dresidual).into(),
        };
        excite_backward(&d, saved, &dy, gradients);
        vec![widened(&y), widened(&dx), dz, widened(&dresidual)]
    };
    assert_results(&format!("{d:?}"), run, &[y, dx, dz, dresidual], E::UNIT + SINGLE);
}

#[test]
fn excitations() {
    let mut numbers = Random::new(74);
    for shape in [[1, 1, 1], [3, 10, 7], [2, 49, 64], [2, 9, 1100]] {
        excitation::<f16>(shape, &mut numbers);
        excitation::<bf16>(shape, &mut numbers);
    }
}

fn elementwise<E: Half>(length: usize, numbers: &mut Random) {
    let [(a, wide_a), (b, wide_b)] = [(); 2].map(|()| random::<E>(numbers, length));
    let drops = DropoutDraw { share: 0.4, key: 9 };
    let mut expected = vec![vec![0.0; length]; 7];
    textbook::add(&wide_a, &wide_b, &mut expected[0]);
    expected[1] = expected[0].clone();
    textbook::relu(&wide_a, &mut expected[2]);
    textbook::relu_backward(&wide_a, &wide_b, &mut expected[3]);
    textbook::at_most(0.5, &wide_a, &mut expected[4]);
    textbook::at_most_backward(0.5, &wide_a, &wide_b, &mut expected[5]);
    textbook::dropout(&drops, &wide_a, &mut expected[6]);
    let run = || {
        let mut found: Vec<Vec<E>> = (0..7).map(|_| stale(length)).collect();
        add(&a, &b, &mut found[0]);
        found[1].copy_from_slice(&a);
        add_assign(&mut found[1], &b);
        relu(&a, &mut found[2]);
        relu_backward(&a, &b, &mut found[3]);
        at_most(0.5, &a, &mut found[4]);
        at_most_backward(0.5, &a, &b, &mut found[5]);
        dropout(&drops, &a, &mut found[6]);
        found.iter().map(|halves| widened(halves)).collect()
    };
    assert_results(&format!("{length} numbers"), run, &expected, E::UNIT);
}

#[test]
fn element_by_element() {
    let mut numbers = Random::new(75);
    for length in [0, 1, 7, 1025, 40_001] {
        elementwise::<f16>(length, &mut numbers);
        elementwise::<bf16>(length, &mut numbers);
    }
}

fn bias_gradient<E: Half>([rows, c_out]: [usize; 2], numbers: &mut Random) {
    let d = LinearDims { rows, c_in: 1, c_out };
    let (dy, wide_dy) = random::<E>(numbers, rows * c_out);
    let mut expected = vec![0.0; c_out];
    textbook::linear_bias_grad(&d, &wide_dy, &mut expected);
    let run = || {
        let mut db = stale(c_out);
        linear_bias_grad(&d, &dy, &mut db);
        vec![db]
    };
    assert_results(&format!("{d:?}"), run, &[expected], SINGLE);
}

#[test]
fn bias_gradients() {
    let mut numbers = Random::new(76);
    for shape in [[1, 1], [5, 70], [3000, 24]] {
        bias_gradient::<f16>(shape, &mut numbers);
        bias_gradient::<bf16>(shape, &mut numbers);
    }
}

/// Halves are moved, not computed with: what is put together comes apart again.
#[test]
fn parts_of_an_image() {
    let mut numbers = Random::new(77);
    let (rows, widths) = (50, [3, 64, 7]);
    let parts: Vec<Vec<f16>> =
        widths.map(|width| random::<f16>(&mut numbers, rows * width).0).to_vec();
    let list: Vec<ConcatInput<f16>> = parts
        .iter()
        .zip(widths)
        .map(|(values, channels)| ConcatInput { values, channels })
        .collect();
    let mut y = stale(rows * 74);
    concat(&list, &mut y);
    for (part, (first, channels)) in parts.iter().zip([(0, 3), (3, 64), (67, 7)]) {
        let mut back = stale(part.len());
        split(&y, 74, first, &mut back, channels);
        assert_eq!(&back, part);
    }
}

/// From f32 to halves and back, and from one half to the other.
#[test]
fn conversions() {
    let mut numbers = Random::new(78);
    let floats = numbers.numbers(3000);
    let (mut halves, mut brains) = (stale::<f16>(3000), stale::<bf16>(3000));
    convert(&floats, &mut halves);
    convert(&halves, &mut brains);
    let mut back = stale::<f32>(3000);
    convert(&brains, &mut back);
    for at in 0..3000 {
        let half = f16::from_f32(floats[at]);
        assert_eq!(halves[at], half);
        assert_eq!(back[at], bf16::from_f32(half.to_f32()).to_f32());
    }
    let mut scaled = floats.repeat(9);
    scale(0.5, &mut scaled);
    assert!(scaled.iter().zip(floats.iter().cycle()).all(|(scaled, x)| *scaled == x * 0.5));
}
