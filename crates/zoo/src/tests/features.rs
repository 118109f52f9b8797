//! A backbone's named features: channels, strides, and the sizes that really come out.

use nn::{Device, Init, Model, Module, Pass};

use super::{TINY, image, plain, resnets, tiny};
use crate::{Feature, Network, Options, Shape, StemSize, network};

fn model(network: Network) -> Model<Network> {
    use rand::SeedableRng;
    let random = |index| rand_chacha::ChaCha8Rng::seed_from_u64(index as u64);
    Model::initialized(network, Init::Xavier, 1.0, &Device::flex(), random)
}

fn feature(name: &str, channels: usize, stride: usize) -> Feature {
    Feature { name: name.to_owned(), channels, stride }
}

/// Channels and stride of each feature as `features()` has them.
fn numbers_of(features: &[Feature]) -> Vec<(usize, usize)> {
    features.iter().map(|feature| (feature.channels, feature.stride)).collect()
}

/// Asserts that the tensors of `forward_features` are as `features()` says.
fn assert_features(network: Network, height: usize, width: usize) {
    let features = network.features();
    let model = model(network);
    let leaves = model.parameters.constant();
    let pass = Pass::evaluation(&leaves, &model.statistics);
    let x = image(vec![0.5; 2 * height * width * 3], [2, height, width, 3]);
    let found = model.module.forward_features(&pass, x);
    assert_eq!(found.len(), features.len());
    for (found, feature) in found.iter().zip(&features) {
        let size = [height, width].map(|side| side.div_ceil(feature.stride));
        let expected = [2, size[0], size[1], feature.channels];
        assert_eq!(found.dims(), expected, "{} {feature:?}", model.module.name);
    }
}

#[test]
fn are_named_with_channels_and_strides() {
    for name in resnets() {
        let basic = name.starts_with("resnet18") || name.starts_with("resnet34");
        let widest = if basic { 512 } else { 2048 };
        let stem = if name.ends_with('s') { 128 } else { 64 };
        let expected = [
            feature("stem", stem, 4),
            feature("stage1", widest / 8, 4),
            feature("stage2", widest / 4, 8),
            feature("stage3", widest / 2, 16),
            feature("stage4", widest, 32),
        ];
        let network = plain(&name);
        assert_eq!(network.features(), expected, "{name}");
        assert_eq!(
            (network.classifier.c_in, network.classes(), network.input),
            (widest, 1000, 224)
        );
    }
}

#[test]
fn come_out_as_they_say() {
    for name in resnets() {
        for stem in [StemSize::Imagenet, StemSize::Small] {
            assert_features(tiny(&name, stem), 64, 96);
            // Sizes that no stride divides.
            assert_features(tiny(&name, stem), 37, 45);
        }
    }
    assert_features(plain("resnet18d"), 64, 32);
}

/// §6.2: stages 3 and 4 dilate and keep stride 8; the weights are the same ones.
#[test]
fn dilation_keeps_the_stride_and_the_names() {
    for name in resnets() {
        let options = Options { dilations: [1, 1, 2, 4], ..Options::plain(1000) };
        let dilated = network(&name, &options).expect("a known name");
        let strides: Vec<usize> = dilated.features().iter().map(|f| f.stride).collect();
        assert_eq!(strides, [4, 4, 8, 8, 8], "{name}");
        assert_eq!(dilated.parameters(), plain(&name).parameters(), "{name}");
        assert_eq!(dilated.norms(), plain(&name).norms(), "{name}");

        // The first block of a dilated stage still has the dilation of the stage before.
        let of = |stage: &str| -> Vec<usize> {
            let convs = dilated.conv_bns().into_iter();
            convs
                .filter(|conv| conv.conv.starts_with(stage) && conv.kernel == [3, 3])
                .map(|conv| conv.dilation)
                .collect()
        };
        for (first, rest, before, dilation) in
            [("layer3.0.", "layer3.1.", 1, 2), ("layer4.0.", "layer4.1.", 2, 4)]
        {
            assert_eq!(of(first)[0], before, "{name}");
            assert!(of(rest).iter().all(|&found| found == dilation), "{name}");
        }
        assert!(of("layer2").iter().all(|&found| found == 1), "{name}");

        let options = Options { shape: Some(TINY), dilations: [1, 1, 2, 4], ..Options::plain(10) };
        assert_features(network(&name, &options).expect("a known name"), 64, 40);
    }
}

#[test]
fn of_the_small_stem_start_at_the_images_own_size() {
    for name in resnets() {
        let options = Options { stem: StemSize::Small, ..Options::plain(10) };
        let small = network(&name, &options).expect("a known name");
        let strides: Vec<usize> = small.features().iter().map(|f| f.stride).collect();
        assert_eq!(strides, [1, 1, 2, 4, 8], "{name}");
        assert_eq!(small.input, 32, "{name}");
        assert_eq!(small.stem[0].output([32, 32, 3])[..2], [32, 32], "{name}");
        assert!(small.conv_bns().iter().all(|conv| conv.kernel[0] <= 3), "{name}");
        assert_features(tiny(&name, StemSize::Small), 32, 32);
    }
}

#[test]
fn follow_another_shape() {
    let shape = Shape { blocks: [1, 2, 1, 3], channels: [4, 8, 6, 10], stem_channels: 12 };
    for (name, expansion) in [("resnet18d", 1), ("resnet50c", 4)] {
        let options = Options { shape: Some(shape), ..Options::plain(7) };
        let network = network(name, &options).expect("a known name");
        let expected = [(12, 4), (4, 4), (8, 8), (6, 16), (10, 32)];
        let expected = expected.map(|(channels, stride)| (channels * expansion, stride));
        assert_eq!(numbers_of(&network.features())[1..], expected[1..], "{name}");
        assert_eq!(network.features()[0].channels, 12, "{name}");
        let blocks: Vec<usize> = network.stages.iter().map(|stage| stage.layers.len()).collect();
        assert_eq!(blocks, shape.blocks, "{name}");
        assert_features(network, 33, 64);
    }
}

#[test]
fn the_drawing_names_every_stage() {
    for name in resnets() {
        let text = crate::draw(&plain(&name), 224);
        for part in ["stem", "stage1", "stage4", "path A", "path B", "fc", "7×7×"] {
            assert!(text.contains(part), "{name} lacks {part}:\n{text}");
        }
    }
}

/// The families beside the ResNets: stem and stages with their channels and strides, which come out of images that
/// every stride divides (Inception-V3 loses borders on the way).
#[test]
fn of_other_networks_are_named_with_channels_and_strides() {
    for (name, expected) in [
        ("mobilenetv1_050", vec![(16, 2), (32, 2), (64, 4), (128, 8), (256, 16), (512, 32)]),
        ("densenet121", vec![(64, 4), (256, 4), (512, 8), (1024, 16), (1024, 32)]),
        ("densenet201", vec![(64, 4), (256, 4), (512, 8), (1792, 16), (1920, 32)]),
        ("inception_v3", vec![(192, 8), (288, 8), (768, 16), (2048, 32)]),
        ("vgg19", vec![(64, 1), (128, 2), (256, 4), (512, 8), (512, 16)]),
        ("seresnext50_32x4d", vec![(64, 4), (256, 4), (512, 8), (1024, 16), (2048, 32)]),
    ] {
        assert_eq!(numbers_of(&plain(name).features()), expected, "{name}");
    }
    for name in ["mobilenetv1_050", "densenet121"] {
        for stem in [StemSize::Imagenet, StemSize::Small] {
            let options = Options { stem, ..Options::plain(10) };
            assert_features(network(name, &options).expect("a known name"), 64, 32);
        }
    }
    let inception = model(plain("inception_v3"));
    let leaves = inception.parameters.constant();
    let pass = Pass::evaluation(&leaves, &inception.statistics);
    let x = image(vec![0.5; 75 * 75 * 3], [1, 75, 75, 3]);
    let found = inception.module.forward_features(&pass, x);
    let found: Vec<_> = found.iter().map(|feature| feature.dims()).collect();
    assert_eq!(found, [[1, 7, 7, 192], [1, 7, 7, 288], [1, 3, 3, 768], [1, 1, 1, 2048]]);
}

/// Every network takes images of its least side, and all parts of it have a drawing.
#[test]
fn the_least_images_go_through() {
    for name in crate::names() {
        for stem in [StemSize::Imagenet, StemSize::Small] {
            let options = Options { stem, ..Options::plain(10) };
            let Ok(network) = network(&name, &options) else { continue };
            let least = [network.least, network.least, 3];
            let [height, width, _] = network.layers().fold(least, |at, layer| layer.output(at));
            assert!(height >= 1 && width >= 1, "{name}");
            let text = crate::draw(&network, network.input);
            for part in ["stem", "stage1", "global average pool", &network.classifier.name] {
                assert!(text.contains(part), "{name} lacks {part}:\n{text}");
            }
            assert!(crate::check_side(&network, network.least).is_ok());
            assert!(crate::check_side(&network, network.least - 1).is_err() || network.least == 0);
        }
    }
}

/// One pixel less, and a window no longer fits.
#[test]
fn smaller_images_than_the_least_do_not() {
    for (name, stem) in [
        ("inception_v3", StemSize::Imagenet),
        ("densenet121", StemSize::Imagenet),
        ("densenet121", StemSize::Small),
        ("vgg19", StemSize::Imagenet),
    ] {
        let options = Options { stem, ..Options::plain(10) };
        let network = network(name, &options).expect("a known name");
        let side = network.least - 1;
        let walk = || network.layers().fold([side, side, 3], |at, layer| layer.output(at));
        assert!(std::panic::catch_unwind(walk).is_err(), "{name} at {side}: {:?}", walk());
    }
}
