//! Every operation against its default body, its textbook twin, finite differences and PyTorch.

mod blend;
mod composed;
mod gradients;
mod precision;
mod pytorch;
mod update;

use std::ops::RangeInclusive;

use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, TensorData};
use kernels::{Activation, Conv2d, Pool2d};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::flex;

/// Random cases that can be drawn again.
struct Random(ChaCha8Rng);

impl Random {
    fn new(seed: u64) -> Random {
        Random(ChaCha8Rng::seed_from_u64(seed))
    }

    fn of(&mut self, range: RangeInclusive<usize>) -> usize {
        self.0.random_range(range)
    }

    fn pair(&mut self, range: RangeInclusive<usize>) -> [usize; 2] {
        [self.of(range.clone()), self.of(range)]
    }

    /// `length` numbers in [−1, 1).
    fn numbers(&mut self, length: usize) -> Vec<f32> {
        (0..length).map(|_| self.0.random_range(-1.0f32..1.0)).collect()
    }

    /// A tensor of numbers in [−1, 1).
    fn tensor(&mut self, shape: &[usize]) -> FlexTensor {
        flex::tensor(self.numbers(shape.iter().product()), shape)
    }

    /// A convolution over a small image, at times not larger than a pixel.
    fn conv2d(&mut self, [c_in, c_out, groups]: [usize; 3]) -> Conv2d {
        let (n, kernel) = (self.of(1..=3), self.pair(1..=3));
        let (stride, dilation) = (self.pair(1..=3), self.pair(1..=2));
        let mut padding = [0; 2];
        let mut size = [0; 2];
        for axis in 0..2 {
            let reach = dilation[axis] * (kernel[axis] - 1) + 1;
            padding[axis] = self.of(0..=reach / 2);
            size[axis] = reach.saturating_sub(2 * padding[axis]).max(1) + self.of(0..=5);
        }
        let [h, w] = size;
        Conv2d { n, h, w, c_in, c_out, kernel, stride, padding, dilation, groups }
    }

    /// A pool over a small image.
    fn pool(&mut self, ceil_mode: bool, count_include_pad: bool) -> Pool2d {
        let (n, c, kernel, stride) =
            (self.of(1..=3), self.of(1..=19), self.pair(1..=3), self.pair(1..=3));
        let mut padding = [0; 2];
        let mut size = [0; 2];
        for axis in 0..2 {
            padding[axis] = self.of(0..=kernel[axis] / 2);
            size[axis] = (kernel[axis] - padding[axis]).max(1) + self.of(0..=6);
        }
        let [h, w] = size;
        Pool2d { n, h, w, c, kernel, stride, padding, ceil_mode, count_include_pad }
    }
}

const ACTIVATIONS: [Activation; 2] = [Activation::Identity, Activation::Relu];

fn conv_shapes(d: &Conv2d) -> [[usize; 4]; 3] {
    let w = [d.c_out, d.kernel[0], d.kernel[1], d.c_in / d.groups];
    [[d.n, d.h, d.w, d.c_in], w, [d.n, d.out_h(), d.out_w(), d.c_out]]
}

fn pool_shapes(d: &Pool2d) -> [[usize; 4]; 2] {
    [[d.n, d.h, d.w, d.c], [d.n, d.out_h(), d.out_w(), d.c]]
}

/// A flat tensor on the CPU.
fn flat(values: Vec<f32>) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), &crate::cpu())
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_into_vec().expect("tensors here are f32")
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

/// Asserts that `found` is `expected` up to `tolerance` of the greatest magnitude expected.
#[track_caller]
fn assert_close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    let scale = expected.iter().fold(1e-3f64, |most, value| most.max(value.abs()));
    for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(
            error <= tolerance * scale,
            "{what}: [{at}] is {found}, not {expected} (scale {scale})"
        );
    }
}
