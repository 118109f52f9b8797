//! Exported graphs read back: what they hold, and what they compute by an interpreter of ONNX's operators.

mod interpreter;

use std::collections::BTreeMap;

use nn::{FileTensor, FileTensors, Layer, Model, Tensor, TensorData};
use prost::Message;
use zoo::{Network, Shape, StemSize};

use self::interpreter::{Array, run};
use crate::schema::{DataType, Extent, GraphProto, ModelProto, ValueInfoProto};
use crate::{BatchNorms, ExportOptions, OPSET, export};

const CLASSES: usize = 5;

/// Element `index` of series `seed`, in [−1/2, 1/2).
fn hashed(seed: usize, index: usize) -> f64 {
    let mut mixed = ((seed as u64) << 32 | index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((mixed ^ (mixed >> 27)) >> 11) as f64 / (1u64 << 53) as f64 - 0.5
}

/// A model whose every tensor differs from a fresh one's.
fn model(network: Network) -> Model<Network> {
    let shapes: BTreeMap<String, Vec<usize>> = nn::file_shapes(&network).into_iter().collect();
    let mut tensors = FileTensors::new();
    for (seed, (name, shape)) in shapes.into_iter().enumerate() {
        let fan_in: usize = shape[1..].iter().product();
        let (middle, spread) = match () {
            _ if shape.len() > 1 => (0.0, 2.0 * (3.0 / fan_in as f64).sqrt()),
            _ if name.ends_with("weight") || name.ends_with("running_var") => (1.0, 0.4),
            _ => (0.0, 0.2),
        };
        let count: usize = shape.iter().product();
        let values = (0..count).map(|index| (middle + spread * hashed(seed, index)) as f32);
        tensors.insert(name, FileTensor { values: values.collect(), shape });
    }
    Model::from_tensors(network, tensors, &nn::cpu()).expect("its own tensors")
}

fn network(name: &str, options: &zoo::Options) -> Network {
    zoo::network(name, options).expect("a known name")
}

/// A small network of each family, and the side of its images.
fn families() -> Vec<(Network, usize)> {
    let plain = zoo::Options::plain(CLASSES);
    let tiny = |stem_channels, channels, stem| zoo::Options {
        shape: Some(Shape { blocks: [1, 2, 1, 1], channels, stem_channels }),
        stem,
        ..plain.clone()
    };
    let narrow = tiny(8, [8, 12, 16, 16], StemSize::Imagenet);
    let wide = tiny(16, [16; 4], StemSize::Small);
    let dilated = zoo::Options { dilations: [1, 1, 2, 4], ..narrow.clone() };
    vec![
        (network("resnet18", &narrow), 32),
        // An odd side: the average pool of path B hangs over the edge.
        (network("resnet50d", &narrow), 41),
        (network("resnet50_original", &tiny(8, [8; 4], StemSize::Small)), 16),
        (network("resnet50c", &dilated), 48),
        (network("resnext50_32x4d", &wide), 16),
        (network("seresnet50", &narrow), 33),
        (network("seresnext50_32x4d", &wide), 16),
        (network("mobilenetv1_025", &plain), 32),
        (network("mobilenetv1_025_relu6", &plain), 32),
        (network("densenet121", &plain), 32),
        (network("inception_v3", &plain), 75),
        (hidden_of(32, network("vgg16", &plain)), 32),
        (hidden_of(32, network("vgg16_bn", &plain)), 40),
    ]
}

/// A VGG with few units in its first hidden layer.
fn hidden_of(units: usize, mut network: Network) -> Network {
    let mut convolutions: Vec<&mut nn::Conv> = network
        .head
        .iter_mut()
        .filter_map(|layer| if let Layer::Conv(conv) = layer { Some(conv) } else { None })
        .collect();
    convolutions[0].c_out = units;
    convolutions[1].c_in = units;
    network
}

fn exported(model: &Model<Network>, side: usize, batch_norms: BatchNorms) -> ModelProto {
    let metadata = vec![("label_names".to_owned(), "[\"cat\"]".to_owned())];
    let bytes = export(model, ExportOptions { side, batch_norms, metadata }).expect("a small file");
    ModelProto::decode(bytes.as_slice()).expect("a protocol buffer")
}

fn operators(graph: &GraphProto) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for node in &graph.node {
        *counts.entry(node.op_type.as_str()).or_default() += 1;
    }
    counts
}

fn extents(value: &ValueInfoProto) -> Vec<Extent> {
    let tensor = value.r#type.clone().unwrap().tensor_type.unwrap();
    assert_eq!(tensor.elem_type(), DataType::Float);
    tensor.shape.unwrap().dim.into_iter().map(|dim| dim.value.unwrap()).collect()
}

/// Two images `[2, side, side, 3]`, and the same as ONNX wants them.
fn images(side: usize) -> (Tensor<4>, Array) {
    let pixel = |n: usize, y, x, c| 4.0 * hashed(1_000_003, ((n * 3 + c) * side + y) * side + x);
    let (mut nhwc, mut nchw) = (Vec::new(), Vec::new());
    for n in 0..2 {
        for at in 0..side * side {
            nhwc.extend((0..3).map(|c| pixel(n, at / side, at % side, c) as f32));
        }
        for c in 0..3 {
            let row = |at| f64::from(pixel(n, at / side, at % side, c) as f32);
            nchw.extend((0..side * side).map(row));
        }
    }
    let tensor = Tensor::from_data(TensorData::new(nhwc, [2, side, side, 3]), &nn::cpu());
    (tensor, Array { shape: vec![2, 3, side, side], values: nchw })
}

/// The graph by the interpreter in f64 against the network by our kernels in f32.
fn check(family: &str) {
    let mut found = families().into_iter().filter(|(network, _)| network.name == *family);
    let (network, side) = found.next().expect("a family");
    let model = model(network);
    let name = model.module.name.clone();
    let (x, input) = images(side);
    let logits: Vec<f32> = zoo::logits(&model, x).into_data().try_into_vec().unwrap();
    for batch_norms in [BatchNorms::Folded, BatchNorms::Kept] {
        let graph = exported(&model, side, batch_norms).graph.unwrap();
        let found = run(&graph, input.clone());
        assert_eq!(found.shape, [2, CLASSES], "{name}");
        let largest = found.values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        let off = found.values.iter().zip(&logits).map(|(a, &b)| (a - f64::from(b)).abs());
        let off = off.fold(0.0, f64::max) / largest;
        assert!(off < 2e-5, "{name}, {batch_norms:?}: off by {off:.1e} of {largest}");
    }
}

macro_rules! a_graph_computes_what_the_network_does {
    ($($test:ident: $family:literal;)*) => {
        $(
            #[test]
            fn $test() {
                check($family);
            }
        )*

        #[test]
        fn no_family_is_left_out() {
            let checked = [$($family),*];
            let names: Vec<String> = families().into_iter().map(|(net, _)| net.name).collect();
            assert_eq!(names, checked);
        }
    };
}

a_graph_computes_what_the_network_does! {
    resnet18: "resnet18";
    resnet50d: "resnet50d";
    resnet50_original: "resnet50_original";
    resnet50c: "resnet50c";
    resnext: "resnext50_32x4d";
    senet: "seresnet50";
    senext: "seresnext50_32x4d";
    mobilenet: "mobilenetv1_025";
    mobilenet_relu6: "mobilenetv1_025_relu6";
    densenet: "densenet121";
    inception: "inception_v3";
    vgg: "vgg16";
    vgg_bn: "vgg16_bn";
}

#[test]
fn a_file_says_what_goes_in_and_out() {
    for (network, side) in families() {
        let model = model(network);
        let network = &model.module;
        let file = exported(&model, side, BatchNorms::Folded);
        assert_eq!(file.opset_import[0].version, OPSET);
        assert_eq!(file.metadata_props[0].key, "label_names");
        let graph = file.graph.unwrap();
        assert_eq!(graph.name, network.name);
        let [input] = graph.input.as_slice() else { panic!("one input") };
        let [output] = graph.output.as_slice() else { panic!("one output") };
        assert_eq!((input.name.as_str(), output.name.as_str()), ("images", "logits"));
        let batch = Extent::Param("batch".to_owned());
        let side = Extent::Value(side as i64);
        assert_eq!(extents(input), [batch.clone(), Extent::Value(3), side.clone(), side]);
        assert_eq!(extents(output), [batch, Extent::Value(CLASSES as i64)]);
    }
}

/// No batch norm is left but DenseNet's first ones, and every parameter is in the file once.
#[test]
fn folding_takes_the_batch_norms_away() {
    for (network, side) in families() {
        let model = model(network);
        let network = &model.module;
        let kept = exported(&model, side, BatchNorms::Kept).graph.unwrap();
        let folded = exported(&model, side, BatchNorms::Folded).graph.unwrap();
        let (norms, convolutions) = (network.bare_norms().len(), network.conv_bns().len());
        let count = |graph, operator| operators(graph).get(operator).copied().unwrap_or(0);
        let name = &network.name;
        assert_eq!(count(&folded, "BatchNormalization"), norms, "{name}");
        assert_eq!(count(&kept, "BatchNormalization"), norms + convolutions, "{name}");
        assert_eq!(count(&kept, "Conv"), count(&folded, "Conv"), "{name}");
        assert_eq!(count(&kept, "Conv"), network.convolutions(1, side).len(), "{name}");
        let tensors = model.tensors();
        let own = kept.initializer.iter().filter(|tensor| tensors.contains_key(&tensor.name));
        assert_eq!(own.count(), tensors.len(), "{name}");
        for graph in [&kept, &folded] {
            for tensor in &graph.initializer {
                let count: i64 = tensor.dims.iter().product();
                assert_eq!(tensor.raw_data.len() as i64, 4 * count, "{name}: {}", tensor.name);
            }
        }
    }
}

#[test]
fn what_only_training_uses_stays_out() {
    let with = model(network("inception_v3_aux", &zoo::Options::plain(CLASSES)));
    let graph = exported(&with, 299, BatchNorms::Folded).graph.unwrap();
    let auxiliary = |name: &str| name.starts_with("AuxLogits");
    assert!(!graph.node.iter().any(|node| auxiliary(&node.name)));
    assert!(!graph.initializer.iter().any(|tensor| auxiliary(&tensor.name)));
    assert!(!operators(&graph).contains_key("Dropout"));
}

#[test]
fn a_model_too_large_for_a_file_is_told_what_to_do() {
    let error = crate::OnnxError::TooLarge { network: "vgg19".into(), bytes: 3 << 30 };
    let text = error.to_string();
    for words in ["vgg19 has 3221225472 bytes", "ends at 2 GiB", "export it with --format timm"] {
        assert!(text.contains(words), "no {words:?} in: {text}");
    }
}
