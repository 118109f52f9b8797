//! Pools over random shapes, and PyTorch's rules on overhanging windows.

use super::{Random, assert_results, wide};
use crate::{
    GlobalPool, Pool2d, avg_pool_backward, avg_pool_forward, global_avg_pool_backward,
    global_avg_pool_forward, max_pool_backward, max_pool_forward, textbook,
};

pub(super) fn random_pool(random: &mut Random) -> Pool2d {
    let kernel = [random.of(1..=4), random.of(1..=4)];
    let padding = kernel.map(|kernel| random.of(0..=kernel / 2));
    let stride = [random.of(1..=4), random.of(1..=4)];
    let ceil_mode = random.flip();
    let least = |axis: usize| {
        let overhang = if ceil_mode { stride[axis] - 1 } else { 0 };
        kernel[axis].saturating_sub(2 * padding[axis] + overhang).max(1)
    };
    Pool2d {
        n: random.of(1..=3),
        h: random.of(least(0)..=14),
        w: random.of(least(1)..=14),
        c: [random.of(1..=5), random.of(30..=70)][random.of(0..=1)],
        kernel,
        stride,
        padding,
        ceil_mode,
        count_include_pad: random.flip(),
    }
}

#[test]
fn random_shapes() {
    let mut random = Random::new(7);
    for _ in 0..150 {
        let d = random_pool(&mut random);
        // Few different values, so that many are equal.
        let x: Vec<f32> = random.numbers(d.x_len()).iter().map(|x| (x * 4.0).round()).collect();
        let dy = random.numbers(d.y_len());
        let (wide_x, wide_dy) = (wide(&x), wide(&dy));
        let lengths = [dy.len(), x.len(), dy.len(), x.len()];
        let mut expected: Vec<Vec<f64>> = lengths.map(|length| vec![0.0; length]).into();
        let mut argmax = vec![0; dy.len()];
        textbook::max_pool_forward(&d, &wide_x, &mut expected[0], &mut argmax);
        textbook::max_pool_backward(&d, &argmax, &wide_dy, &mut expected[1]);
        textbook::avg_pool_forward(&d, &wide_x, &mut expected[2]);
        textbook::avg_pool_backward(&d, &wide_dy, &mut expected[3]);
        let run = || {
            let mut found: Vec<Vec<f32>> = lengths.map(|length| vec![f32::NAN; length]).into();
            let mut places = vec![255; dy.len()];
            max_pool_forward(&d, &x, &mut found[0], &mut places);
            assert_eq!(places, argmax, "{d:?}");
            max_pool_backward(&d, &places, &dy, &mut found[1]);
            avg_pool_forward(&d, &x, &mut found[2]);
            avg_pool_backward(&d, &dy, &mut found[3]);
            found
        };
        assert_results(&format!("{d:?}"), run, &expected, 1e-6);
    }
}

#[test]
fn global_pools() {
    let mut random = Random::new(8);
    for _ in 0..20 {
        let d = GlobalPool { n: random.of(1..=4), hw: random.of(1..=60), c: random.of(1..=70) };
        let (x, dy) = (random.numbers(d.n * d.hw * d.c), random.numbers(d.n * d.c));
        let mut expected = vec![vec![0.0; dy.len()], vec![0.0; x.len()]];
        textbook::global_avg_pool_forward(&d, &wide(&x), &mut expected[0]);
        textbook::global_avg_pool_backward(&d, &wide(&dy), &mut expected[1]);
        let run = || {
            let mut found = vec![vec![f32::NAN; dy.len()], vec![f32::NAN; x.len()]];
            global_avg_pool_forward(&d, &x, &mut found[0]);
            global_avg_pool_backward(&d, &dy, &mut found[1]);
            found
        };
        assert_results(&format!("{d:?}"), run, &expected, 1e-6);
    }
}

fn square(extent: usize, kernel: usize, stride: usize, padding: usize, ceil_mode: bool) -> Pool2d {
    Pool2d {
        n: 1,
        h: extent,
        w: extent,
        c: 1,
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [padding; 2],
        ceil_mode,
        count_include_pad: false,
    }
}

/// Extents that PyTorch gives.
#[test]
fn extents() {
    for (extent, kernel, stride, padding, floor, ceil) in [
        (112, 3, 2, 1, 56, 57),
        (7, 2, 2, 0, 3, 4),
        (8, 2, 2, 0, 4, 4),
        (5, 3, 2, 0, 2, 2),
        (6, 3, 2, 0, 2, 3),
        (4, 2, 2, 1, 3, 3),
        // The third window would start in the right padding, so there is none.
        (3, 2, 2, 1, 2, 2),
        (4, 1, 3, 0, 2, 2),
        (5, 1, 3, 0, 2, 2),
    ] {
        for (ceil_mode, expected) in [(false, floor), (true, ceil)] {
            let d = square(extent, kernel, stride, padding, ceil_mode);
            assert_eq!(d.out_h(), expected, "{d:?}");
            assert_eq!(d.out_w(), expected, "{d:?}");
        }
    }
}

/// In ceil mode an image may be smaller than the window; there is one window then.
#[test]
fn a_window_over_a_smaller_image() {
    for (extent, kernel, stride, padding) in
        [(1, 2, 2, 0), (2, 4, 3, 0), (2, 3, 2, 0), (1, 4, 2, 1)]
    {
        let d = square(extent, kernel, stride, padding, true);
        assert_eq!((d.out_h(), d.out_w()), (1, 1), "{d:?}");
        let x: Vec<f32> = (1..=extent * extent).map(|x| x as f32).collect();
        let (mut y, mut argmax, mut dx) = ([0.0], [0], vec![f32::NAN; x.len()]);
        max_pool_forward(&d, &x, &mut y, &mut argmax);
        assert_eq!(y[0], x[x.len() - 1], "{d:?}");
        max_pool_backward(&d, &argmax, &[1.0], &mut dx);
        assert_eq!(dx.iter().sum::<f32>(), 1.0);
        avg_pool_forward(&d, &x, &mut y);
        assert_eq!(y[0], x.iter().sum::<f32>() / x.len() as f32, "{d:?}");
    }
}

#[test]
#[should_panic(expected = "pool: kernel over padded image")]
fn a_smaller_image_without_ceil_mode() {
    square(1, 2, 2, 0, false).out_h();
}

/// A window over the edge divides by its part inside the padded image.
#[test]
fn an_overhanging_mean_divides_by_what_is_there() {
    let x: Vec<f32> = (1..=9).map(|x| x as f32).collect();
    for (count_include_pad, padding, expected) in [
        (false, 0, vec![3.0, 4.5, 7.5, 9.0]),
        (true, 0, vec![3.0, 4.5, 7.5, 9.0]),
        (false, 1, vec![1.0, 2.5, 5.5, 7.0]),
        (true, 1, vec![0.25, 1.25, 2.75, 7.0]),
    ] {
        let d = Pool2d { count_include_pad, ..square(3, 2, 2, padding, true) };
        let mut y = [0.0; 4];
        avg_pool_forward(&d, &x, &mut y);
        assert_eq!(y.to_vec(), expected, "{d:?}");
    }
}

#[test]
fn what_is_not_a_number_wins_and_the_first_of_equals_wins() {
    let d = square(2, 2, 1, 0, false);
    let (mut y, mut argmax) = ([0.0], [0]);
    max_pool_forward(&d, &[1.0, f32::NAN, 5.0, f32::NAN], &mut y, &mut argmax);
    assert!(y[0].is_nan());
    assert_eq!(argmax, [1]);
    max_pool_forward(&d, &[1.0, 2.0, 2.0, 1.0], &mut y, &mut argmax);
    assert_eq!((y, argmax), ([2.0], [1]));
    max_pool_forward(&d, &[f32::NEG_INFINITY; 4], &mut y, &mut argmax);
    assert_eq!((y, argmax), ([f32::NEG_INFINITY], [0]));
}
