//! Every scheme in all three products, whatever [`method`] would choose.

use super::super::{forward_by, input_grad_by, weight_grad_by};
use super::{Conv2d, Element, Method, method};
use crate::tests::{Random, assert_results, wide};
use crate::{bf16, f16, textbook};

fn plain(
    n: usize,
    [h, w]: [usize; 2],
    [c_in, c_out]: [usize; 2],
    kernel: [usize; 2],
    padding: [usize; 2],
) -> Conv2d {
    let (stride, dilation) = ([1, 1], [1, 1]);
    Conv2d { n, h, w, c_in, c_out, kernel, stride, padding, dilation, groups: 1 }
}

/// The methods there are for such a kernel.
fn methods(kernel: [usize; 2]) -> impl Iterator<Item = Method> {
    Method::TILED.into_iter().filter(move |method| method.tile(kernel).is_some())
}

fn products<E: Element>(d: &Conv2d, method: Method, x: &[E], w: &[f32], dy: &[E]) -> Vec<Vec<f32>> {
    // Stale contents must not matter.
    let nan = |length| vec![E::rounded(f32::NAN); length];
    let (mut y, mut dx, mut dw) = (nan(dy.len()), nan(x.len()), vec![f32::NAN; w.len()]);
    forward_by(d, |_| method, x, w, None, &mut y);
    input_grad_by(d, method, dy, w, &mut dx);
    weight_grad_by(d, method, x, dy, &mut dw);
    let floats = |values: Vec<E>| values.into_iter().map(E::widened).collect();
    vec![floats(y), floats(dx), dw]
}

fn textbook(d: &Conv2d, x: &[f32], w: &[f32], dy: &[f32]) -> Vec<Vec<f64>> {
    let (x, w, dy) = (wide(x), wide(w), wide(dy));
    let mut expected = vec![vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; w.len()]];
    textbook::conv2d_forward(d, &x, &w, &mut expected[0]);
    textbook::conv2d_input_grad(d, &dy, &w, &mut expected[1]);
    textbook::conv2d_weight_grad(d, &x, &dy, &mut expected[2]);
    expected
}

fn check(d: &Conv2d, random: &mut Random) {
    let (x, w, dy) =
        (random.numbers(d.x_len()), random.numbers(d.w_len()), random.numbers(d.y_len()));
    let expected = textbook(d, &x, &w, &dy);
    for method in methods(d.kernel) {
        let tolerance = if method == Method::TwoByTwo { 3e-6 } else { 1e-5 };
        let run = || products(d, method, &x, &w, &dy);
        assert_results(&format!("{d:?} by {method:?}"), run, &expected, tolerance);
    }
    check_halves::<f16>(d, 1.0 / 2048.0, [&x, &w, &dy]);
    check_halves::<bf16>(d, 1.0 / 256.0, [&x, &w, &dy]);
}

/// The same on images in half precision.
fn check_halves<E: Element>(d: &Conv2d, unit: f64, [x, w, dy]: [&[f32]; 3]) {
    let round = |values: &[f32]| -> Vec<E> { values.iter().map(|&x| E::rounded(x)).collect() };
    let (x, dy) = (round(x), round(dy));
    let floats = |values: &[E]| -> Vec<f32> { values.iter().map(|x| x.widened()).collect() };
    let expected = textbook(d, &floats(&x), w, &floats(&dy));
    for method in methods(d.kernel) {
        let run = || products(d, method, &x, w, &dy);
        assert_results(&format!("{d:?} by {method:?}"), run, &expected, unit + 2e-5);
    }
}

#[test]
fn random_shapes() {
    let mut random = Random::new(50);
    for turn in 0..60 {
        let kernel = match turn % 3 {
            0 => [3, 3],
            1 => [random.of(1..=6), random.of(2..=6)],
            _ => [random.of(2..=8), 1],
        };
        let extent = [random.of(1..=13), random.of(1..=13)];
        // Of more channels a part of the kernel would not fit.
        let channels = [16 * random.of(1..=4), 16 * random.of(1..=4)];
        let padding = [0, 1].map(|axis| {
            let least = kernel[axis].saturating_sub(extent[axis]).div_ceil(2);
            random.of(least..=kernel[axis] - 1)
        });
        check(&plain(random.of(1..=3), extent, channels, kernel, padding), &mut random);
    }
}

/// Shapes that cross the bounds of blocks of tiles.
#[test]
fn chosen_shapes() {
    let mut random = Random::new(51);
    for (n, extent, channels) in [
        (3, 21, [32, 64]),
        (40, 4, [16, 16]),
        (2, 3, [512, 16]),
        (2, 2, [16, 512]),
        (9, 33, [16, 16]),
        // So many tiles that products are not cut into columns.
        (1, 80, [16, 16]),
    ] {
        check(&plain(n, [extent, extent], channels, [3, 3], [1, 1]), &mut random);
    }
    for (n, extent, channels, kernel) in
        [(3, 17, [48, 96], [1, 7]), (3, 17, [96, 48], [7, 1]), (2, 35, [48, 64], [5, 5])]
    {
        let padding = kernel.map(|taps| taps / 2);
        check(&plain(n, [extent, extent], channels, kernel, padding), &mut random);
    }
}

/// On layers like those of a ResNet, with inputs behind a rectifier: the greatest error over the
/// greatest result, beside that of the direct product in the same precision.
#[test]
fn errors_are_a_small_multiple_of_the_direct_products() {
    let mut random = Random::new(52);
    for (n, extent, channels, kernel) in [
        (1, 28, 64, [3, 3]),
        (1, 14, 128, [3, 3]),
        (2, 7, 256, [3, 3]),
        (1, 17, 160, [1, 7]),
        (1, 17, 160, [7, 1]),
        (1, 35, 48, [5, 5]),
        (2, 8, 384, [1, 3]),
    ] {
        let padding = kernel.map(|taps| taps / 2);
        let d = plain(n, [extent, extent], [channels; 2], kernel, padding);
        let x: Vec<f32> = random.numbers(d.x_len()).iter().map(|x| x.max(0.0)).collect();
        let (w, dy) = (random.numbers(d.w_len()), random.numbers(d.y_len()));
        let expected = textbook(&d, &x, &w, &dy);
        let errors = |method| -> Vec<f64> {
            let found = products(&d, method, &x, &w, &dy);
            found.iter().zip(&expected).map(|(found, expected)| error(found, expected)).collect()
        };
        let direct = errors(Method::Direct);
        for method in methods(kernel) {
            let most = if method == Method::TwoByTwo { 4.0 } else { 16.0 };
            let errors = errors(method);
            for (error, direct) in errors.iter().zip(&direct) {
                println!(
                    "{extent} px, {channels}, {kernel:?}: {method:?} {error:.1e}, direct {direct:.1e}"
                );
                assert!(*error <= most * direct, "{method:?}: {error} where direct has {direct}");
            }
        }
    }
}

fn error(found: &[f32], expected: &[f64]) -> f64 {
    let greatest = expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    let apart = found.iter().zip(expected).map(|(found, value)| (f64::from(*found) - value).abs());
    apart.fold(0.0, f64::max) / greatest
}

#[test]
fn chooses_by_the_shape() {
    let layer = |extent, channels, kernel: [usize; 2], padding| {
        plain(16, [extent; 2], [channels; 2], kernel, padding)
    };
    let resnet = |extent, channels| layer(extent, channels, [3, 3], [1, 1]);
    assert_eq!(method(&resnet(56, 64)), Method::FourByFour);
    assert_eq!(method(&resnet(7, 512)), Method::FourByFour);
    assert_eq!(method(&Conv2d { n: 64, ..resnet(2, 512) }), Method::TwoByTwo);
    // The weights are not worth transforming for one small image.
    assert_eq!(method(&Conv2d { n: 1, ..resnet(7, 512) }), Method::Direct);
    // Those of Inception-V3.
    assert_eq!(method(&layer(17, 160, [1, 7], [0, 3])), Method::Three);
    assert_eq!(method(&layer(17, 192, [7, 1], [3, 0])), Method::Three);
    assert_eq!(method(&layer(8, 384, [1, 3], [0, 1])), Method::Four);
    assert_eq!(method(&layer(35, 64, [5, 5], [2, 2])), Method::FourByFour);
    let odd = [
        Conv2d { stride: [2, 1], ..resnet(56, 64) },
        Conv2d { dilation: [1, 2], ..resnet(56, 64) },
        Conv2d { groups: 2, ..resnet(56, 64) },
        layer(56, 64, [1, 1], [0, 0]),
        Conv2d { padding: [3, 1], ..resnet(56, 64) },
        resnet(56, 65),
        resnet(56, 1024),
        // Two parts of 272 channels.
        layer(17, 272, [1, 7], [0, 3]),
        Conv2d { n: 0, ..resnet(56, 64) },
    ];
    for d in odd {
        assert_eq!(method(&d), Method::Direct, "{d:?}");
    }
}
