//! The zoo against timm: names, numbers, features; and what a model promises of its tensors.

mod features;
mod frozen;
mod keys;
mod limits;
mod parts;
mod precision;
mod pytorch;
mod tensors;
mod threads;
mod timm;

use nn::{Tensor, TensorData};

use crate::{Network, Options, Shape, StemSize};

/// A network of 1000 classes as the paper has it.
fn plain(name: &str) -> Network {
    crate::network(name, &Options::plain(1000)).expect("a known name")
}

/// The names of all ResNets: the networks that come in other shapes too.
fn resnets() -> Vec<String> {
    crate::names().into_iter().filter(|name| name.starts_with("resnet")).collect()
}

/// One block a stage and few channels.
const TINY: Shape = Shape { blocks: [1; 4], channels: [8, 12, 16, 20], stem_channels: 8 };

fn tiny(name: &str, stem: StemSize) -> Network {
    let options = Options { stem, shape: Some(TINY), ..Options::plain(10) };
    crate::network(name, &options).expect("a known name")
}

/// The numbers that `refs/torch_formula.py` and this make alike: element i of tensor t, in [−1/2, 1/2).
fn uniform(t: u64, i: u64) -> f64 {
    const LOW: u64 = 0xFFFF_FFFF;
    let mut h = (i * 2_654_435_761 + (t + 1) * 40_503 * 65_537) & LOW;
    h ^= h >> 16;
    h = (h * 0x45d_9f3b) & LOW;
    h ^= h >> 16;
    h as f64 / 4_294_967_296.0 - 0.5
}

fn image(values: Vec<f32>, shape: [usize; 4]) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, shape), &nn::cpu())
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.to_data().try_into_vec().expect("tensors here are f32")
}
