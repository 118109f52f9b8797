//! §3.2: every family of networks trains with its activations in half precision.

use nn::{
    BatchMean, Contribution, Draw, Init, Model, Observations, Pass, Precision, Tensor, TensorData,
    cross_entropy, stored,
};
use rand::SeedableRng;

use super::{image, numbers, uniform};
use crate::{Network, Options, Shape, StemSize, network};

/// Networks and the side of their images.
fn networks() -> Vec<(Network, usize)> {
    let shape = Shape { blocks: [1; 4], channels: [16, 24, 32, 40], stem_channels: 16 };
    let small = || Options { shape: Some(shape), ..Options::plain(10) };
    let plain = || Options::plain(10);
    let mut vgg = crate::vgg::by_name("vgg16_bn").expect("a known name");
    vgg.hidden = 8;
    let named = [
        ("resnet18d", Options { stem: StemSize::Small, ..small() }, 16),
        ("resnet50_original", small(), 40),
        ("resnet50d", small(), 40),
        ("resnext50_32x4d", small(), 40),
        ("seresnext50_32x4d", small(), 40),
        ("mobilenetv1_025", plain(), 96),
        ("mobilenetv1_025_relu6", plain(), 96),
        ("densenet121", plain(), 65),
        ("inception_v3", plain(), 139),
    ];
    let known = |(name, options, side)| (network(name, &options).expect("a known name"), side);
    // Images so small that they are stretched before the hidden layers.
    named.into_iter().map(known).chain([(vgg.network(10), 48)]).collect()
}

/// The loss and the gradients of a step in a precision, by a scaled loss.
fn step(model: &mut Model<Network>, side: usize, precision: Precision) -> (f32, Vec<Vec<f32>>) {
    let dims = [4, side, side, 3];
    let values = (0..dims.iter().product::<usize>()).map(|i| 2.0 * uniform(3, i as u64) as f32);
    let x = stored(image(values.collect(), dims), precision);
    let target = (0..40).map(|i| f32::from(i % 10 == i / 10 * 3)).collect();
    let target = Tensor::from_data(TensorData::new::<f32, _>(target, [4, 10]), &nn::cpu());
    let leaves = model.parameters.tracked();
    let observations = Observations::default();
    let pass = Pass::training(&leaves, &model.statistics, &observations, Draw::default());
    let (z, auxiliary) = model.module.forward_both(&pass, x);
    let loss = cross_entropy(z, target.clone());
    let loss = match auxiliary {
        Some(z) => loss + cross_entropy(z, target) * 0.4,
        None => loss,
    };
    let scale = Some(256.0);
    let part = Contribution::of_part(leaves, loss.into(), observations, scale);
    let batch = BatchMean::of(part, 1, scale);
    let read = batch.read();
    assert!(read.finite, "{} in {precision:?}", model.module.name);
    let (gradients, observed) = batch.into_means(1.0);
    model.statistics.observe(&observed);
    (read.loss, gradients.into_iter().map(numbers).collect())
}

/// Cosine of the angle between two gradients, over all parameters together.
fn cosine(a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
    let dot = |a: &[Vec<f32>], b: &[Vec<f32>]| -> f64 {
        let pairs = a.iter().flatten().zip(b.iter().flatten());
        pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The model with its weights rounded as numbers of a precision are.
fn rounded(model: &Model<Network>, precision: Precision) -> Model<Network> {
    let dropped = if precision == Precision::F16 { 13 } else { 16 };
    let round = |value: f32| {
        let bits = value.to_bits() + (1 << (dropped - 1));
        f32::from_bits(bits >> dropped << dropped)
    };
    let mut tensors = model.tensors();
    for (name, tensor) in &mut tensors {
        if name.ends_with("weight") {
            tensor.values.iter_mut().for_each(|value| *value = round(*value));
        }
    }
    Model::from_tensors(model.module.clone(), tensors, &nn::cpu()).expect("its own tensors")
}

/// A step in half precision is about as far from that in f32 as one of f32 with its weights rounded alike: how far a network's
/// gradients move by that differs much, with batch norms over few pixels by the most.
#[test]
fn every_family_trains_in_halves() {
    for (network, side) in networks() {
        let random = |index| rand_chacha::ChaCha8Rng::seed_from_u64(index as u64);
        let name = network.name.clone();
        let mut model = Model::initialized(network, Init::Xavier, 1.0, &nn::cpu(), random);
        let (loss, gradients) = step(&mut model, side, Precision::F32);
        for precision in [Precision::F16, Precision::Bf16] {
            let mut yardstick = rounded(&model, precision);
            let (near_loss, near) = step(&mut yardstick, side, Precision::F32);
            let (half_loss, half) = step(&mut model, side, precision);
            let [off, near_off] = [half_loss, near_loss].map(|found| (found - loss).abs() / loss);
            let [turned, near_turned] = [&half, &near].map(|found| 1.0 - cosine(&gradients, found));
            let what = format!(
                "{name} in {precision:?}: loss {off} {near_off}, turned {turned} {near_turned}"
            );
            println!("{what}");
            // How near the losses come is luck where the yardstick's gradients turn by much.
            let bound = 0.05 + 0.05 * near_turned + 3.0 * f64::from(near_off);
            assert!(f64::from(off) < bound, "{what}");
            assert!(turned < 0.01 + 4.0 * near_turned, "{what}");
        }
    }
}
