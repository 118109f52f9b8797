//! What fine-tuning leaves as it is.

use nn::{Draw, Group, Init, Model, Module, NormSpec, Observations, Pass, Tensor, cross_entropy};
use rand::SeedableRng;

use super::{image, plain, tiny};
use crate::{Network, StemSize};

/// One training pass; the gradients' lengths.
fn pass(model: &mut Model<Network>, side: usize) -> Vec<usize> {
    let leaves = model.parameters.tracked();
    let observations = Observations::default();
    let pass = Pass::training(&leaves, &model.statistics, &observations, Draw::default());
    let dims = [2, side, side, 3];
    let x = (0..dims.iter().product::<usize>()).map(|i| (i % 23) as f32 / 11.0 - 1.0);
    let (z, _) = model.module.forward_both(&pass, image(x.collect(), dims));
    let [n, classes] = z.dims();
    let p = Tensor::full([n, classes], 1.0 / classes as f32, &nn::cpu());
    let gradients = leaves.gradients(cross_entropy(z, p));
    model.statistics.observe(&observations.into_table());
    gradients.iter().map(|gradient| gradient.dims()[0]).collect()
}

fn networks() -> Vec<(Network, usize)> {
    let mut vgg = crate::vgg::by_name("vgg16_bn").expect("a known name");
    vgg.hidden = 8;
    vec![
        (tiny("resnet18d", StemSize::Small), 16),
        (tiny("resnet50", StemSize::Imagenet), 32),
        (plain("mobilenetv1_025_relu6"), 32),
        (plain("densenet121"), 32),
        (vgg.network(5), 32),
    ]
}

#[test]
fn a_frozen_part_gets_no_gradients_and_keeps_its_statistics() {
    for (network, side) in networks() {
        let features: Vec<String> =
            network.features().into_iter().map(|feature| feature.name).collect();
        for feature in [&features[0], &features[2], &features[features.len() - 1]] {
            let frozen = network.clone().frozen_up_to(feature).expect("its own feature");
            let random = |index| rand_chacha::ChaCha8Rng::seed_from_u64(index as u64);
            let mut model = Model::initialized(frozen, Init::Xavier, 1.0, &nn::cpu(), random);
            let before = model.tensors();
            let gradients = pass(&mut model, side);
            let trainable: Vec<_> = model.parameters.trainable().map(|p| &p.spec).collect();
            let lengths: Vec<usize> = trainable.iter().map(|spec| spec.len()).collect();
            assert_eq!(gradients, lengths, "{} up to {feature}", network.name);
            let after = model.tensors();
            for NormSpec { name, .. } in network.norms() {
                let moves = trainable.iter().any(|spec| spec.name == format!("{name}.weight"));
                let mean = format!("{name}.running_mean");
                let moved = before[&mean] != after[&mean];
                assert_eq!(moved, moves, "{} up to {feature}: {name}", network.name);
            }
        }
        assert!(network.clone().frozen_up_to("stage9").is_none());
    }
}

/// The frozen parameters come first, whatever the last frozen feature is.
#[test]
fn frozen_parameters_are_those_of_the_features() {
    for (name, feature, last, first) in [
        ("resnet50d", "stem", "bn1.bias", "layer1.0.conv1.weight"),
        ("resnet50d", "stage4", "layer4.2.bn3.bias", "fc.weight"),
        ("mobilenetv1_100", "stage1", "blocks.0.0.bn2.bias", "blocks.1.0.conv_dw.weight"),
        ("densenet121", "stage4", "features.norm5.bias", "classifier.weight"),
        ("vgg16", "stage4", "features.28.bias", "pre_logits.fc1.weight"),
        // The auxiliary classifier teaches stage 2; with that frozen it has nothing to say.
        (
            "inception_v3_aux",
            "stage1",
            "Mixed_5d.branch_pool.bn.bias",
            "Mixed_6a.branch3x3.conv.weight",
        ),
        ("inception_v3_aux", "stage2", "AuxLogits.fc.bias", "Mixed_7a.branch3x3_1.conv.weight"),
    ] {
        let network = plain(name).frozen_up_to(feature).expect("its own feature");
        let (specs, count) = (network.parameters(), network.frozen_parameters());
        assert_eq!(specs[count - 1].name, last, "{name} up to {feature}");
        assert_eq!(specs[count].name, first, "{name} up to {feature}");
        assert!(specs[..count].iter().all(|spec| !spec.trainable), "{name} up to {feature}");
    }
    assert_eq!(plain("resnet50d").frozen_parameters(), 0);
}

/// What fine-tuning may replace: the classifier's weight and bias, and the auxiliary one's.
#[test]
fn the_head_is_the_classifiers() {
    for name in crate::names() {
        let network = plain(&name);
        let head = network.parameters().into_iter().filter(|spec| spec.group.is_head());
        let names: Vec<String> = head.map(|spec| spec.name).collect();
        let classifier = &network.classifier.name;
        let mut expected = vec![format!("{classifier}.weight"), format!("{classifier}.bias")];
        if name == "inception_v3_aux" {
            expected.splice(0..0, ["AuxLogits.fc.weight".into(), "AuxLogits.fc.bias".into()]);
        }
        assert_eq!(names, expected, "{name}");
        let auxiliary = network.parameters().into_iter();
        let auxiliary = auxiliary.filter(|spec| spec.group == Group::AuxiliaryHead).count();
        assert_eq!(auxiliary, expected.len() - 2, "{name}");
    }
}
