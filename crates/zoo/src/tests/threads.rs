//! §7 of the design: the same bits for any number of threads.

use nn::{
    Draw, Init, Model, Nag, Observations, Pass, Role, Rule, Slots, Tensor, TensorData,
    cross_entropy,
};
use rand::SeedableRng;

use super::{image, numbers, uniform};
use crate::{Network, Options, Shape, network};

/// Forward, backward and update, twice; everything that came of it.
fn two_steps(network: Network, x: &Tensor<4>, target: &Tensor<2>) -> Vec<Vec<u32>> {
    let random = |index| rand_chacha::ChaCha8Rng::seed_from_u64(index as u64);
    let mut model = Model::initialized(network, Init::Xavier, 1.0, &nn::cpu(), random);
    let mut slots = Slots::zeros(1, &model.parameters, &nn::cpu());
    let mut results = Vec::new();
    for _ in 0..2 {
        let leaves = model.parameters.tracked();
        let observations = Observations::default();
        let pass = Pass::training(&leaves, &model.statistics, &observations, Draw::default());
        let logits = model.module.forward(&pass, x.clone());
        results.push(numbers(logits.clone().inner()));
        let loss = cross_entropy(logits, target.clone());
        results.push(numbers(loss.clone().inner()));
        let gradients = leaves.gradients(loss);
        results.extend(gradients.iter().map(|gradient| numbers(gradient.clone())));
        slots.update(&mut model.parameters, gradients, |spec| {
            let decay = if spec.role == Role::Weight { 1e-4 } else { 0.0 };
            Rule::Nag(Nag { rate: 0.1, momentum: 0.9, decay })
        });
        model.statistics.observe(&observations.into_table());
    }
    results.extend(model.tensors().into_values().map(|tensor| tensor.values));
    results.extend(slots.iter().flatten().map(|velocity| numbers(velocity.clone())));
    results.push(numbers(crate::logits(&model, x.clone())));
    results.into_iter().map(|one| one.iter().map(|value| value.to_bits()).collect()).collect()
}

#[test]
fn change_no_bit() {
    let shape = Shape { blocks: [1, 2, 1, 1], channels: [16, 24, 32, 40], stem_channels: 16 };
    let options = Options { shape: Some(shape), ..Options::plain(10) };
    // Large enough that every kernel cuts its work into several chunks.
    let dims = [16, 65, 63, 3];
    let values = (0..dims.iter().product::<usize>()).map(|i| uniform(0, i as u64) as f32);
    let x = image(values.collect(), dims);
    let target: Vec<f32> = (0..160).map(|i| f32::from(i % 10 == i / 10 % 10)).collect();
    let target = Tensor::from_data(TensorData::new(target, [16, 10]), &nn::cpu());
    let few = (x.clone().narrow(0, 0, 3), target.clone().narrow(0, 0, 3));
    let many = (x, target);
    let plain = Options::plain(10);
    for (name, options, (x, target)) in [
        ("resnet18d", &options, &many),
        ("resnet50", &options, &many),
        ("seresnext50_32x4d", &options, &many),
        ("mobilenetv1_025_relu6", &plain, &few),
        ("densenet121", &plain, &few),
    ] {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let network = network(name, options).expect("a known name");
            pool.expect("threads start").install(|| two_steps(network, x, target))
        };
        let one = run(1);
        assert!(one.iter().flatten().all(|&bits| f32::from_bits(bits).is_finite()), "{name}");
        for threads in [2, 3, 7] {
            assert!(run(threads) == one, "{name}: other bits on {threads} threads");
        }
    }
}
