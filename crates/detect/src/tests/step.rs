//! A step and an evaluation against PyTorch in f64 (`refs/detection_vectors.py`, which describes all formulas).

use std::sync::Arc;

use data::{BadBox, Dataset};
use nn::{
    Draw, FileTensor, FileTensors, Model, Module, Observations, Pass, Precision, TensorData,
    file_shapes, to_file_tensor,
};
use recipe::{Anchors, Answers, Detection, Kept, Proposals, Regions};
use safetensors::SafeTensors;
use train::Task;
use zoo::{Options, Shape};

use super::paper;
use super::runs::squares;
use crate::network::Detector;
use crate::regions::sampled_regions;
use crate::task::{Detect, TrainingScene, UnseenScene, detect};

const FILE: &[u8] = include_bytes!("../../testdata/step.safetensors");
const CLASSES: usize = 4;
const OBJECTS: [([f32; 4], u32); 3] =
    [([10.0, 12.0, 30.5, 40.0], 2), ([50.0, 20.0, 90.0, 60.25], 0), ([70.0, 50.0, 100.0, 90.0], 3)];
/// A tensor may be off by this many times the error of PyTorch's own f32.
const ALLOWED: f64 = 8.0;

fn settings() -> Detection {
    let Detection { anchors, proposals, regions, answers, .. } = paper();
    Detection {
        anchors: Anchors { scales: vec![1.0, 2.0], ..anchors },
        proposals: Proposals {
            channels: 12,
            batch: 100_000,
            positives: 1.0,
            least_side: 8.0,
            training: Kept { before: 200, after: 40 },
            test: Kept { before: 100, after: 20 },
            ..proposals
        },
        regions: Regions { batch: 1000, positives: 1.0, size: 6, ..regions },
        answers: Answers { score: 0.05, ..answers },
        ..paper()
    }
}

/// u of tensor number t, element i.
pub(super) fn uniform(t: u64, i: u64) -> f64 {
    let mut h = (i * 2_654_435_761 + (t + 1) * 40_503 * 65_537) & 0xFFFF_FFFF;
    h ^= h >> 16;
    h = (h * 0x45D_9F3B) & 0xFFFF_FFFF;
    h ^= h >> 16;
    h as f64 / 4_294_967_296.0 - 0.5
}

fn fill(t: u64, name: &str, shape: &[usize]) -> Vec<f32> {
    let fan_in = shape[1..].iter().product::<usize>() as f64;
    let scale = if name.contains("bbox_pred") { 0.1f32 } else { 1.0 };
    let value = |u: f64| match name.rsplit_once('.').expect("layer.tensor").1 {
        "weight" if shape.len() >= 2 => (2.0 * u) * (3.0 / fan_in).sqrt(),
        "weight" => 0.35 + 0.14 * u,
        "running_var" => 1.0 + 0.4 * u,
        "bias" => 1.0 + 0.2 * u,
        _ => 0.2 * u,
    };
    (0..shape.iter().product::<usize>() as u64)
        .map(|i| value(uniform(t, i)) as f32 * scale)
        .collect()
}

fn model() -> Model<Detector> {
    let shape = Shape { blocks: [1; 4], channels: [8, 8, 16, 16], stem_channels: 8 };
    let options = Options { shape: Some(shape), ..Options::plain(1) };
    let network = zoo::network("resnet18d", &options).unwrap();
    let detector = Detector::new(network, settings(), CLASSES, true).unwrap();
    let mut shapes = file_shapes(&detector);
    shapes.sort();
    let tensors: FileTensors = shapes
        .into_iter()
        .zip(0..)
        .map(|((name, shape), t)| {
            let values = fill(t, &name, &shape);
            (name, FileTensor { shape, values })
        })
        .collect();
    Model::from_tensors(detector, tensors, &nn::cpu()).unwrap()
}

struct Vectors<'a>(SafeTensors<'a>);

impl Vectors<'_> {
    fn doubles(&self, name: &str) -> Vec<f64> {
        let bytes = self.0.tensor(name).unwrap().data().as_chunks::<8>().0;
        bytes.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
    }

    fn whole(&self, name: &str) -> Vec<i64> {
        let bytes = self.0.tensor(name).unwrap().data().as_chunks::<8>().0;
        bytes.iter().map(|bytes| i64::from_le_bytes(*bytes)).collect()
    }

    #[track_caller]
    fn assert(&self, name: &str, found: &[f64]) {
        let expected = self.doubles(name);
        assert_eq!(found.len(), expected.len(), "{name}");
        let scale = expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        let allowed = ALLOWED * self.doubles(&format!("{name}.error"))[0];
        assert!(worst / scale <= allowed, "{name}: {} of {allowed}", worst / scale);
    }

    /// The image, in our layout.
    fn image(&self) -> TensorData {
        let t = self.whole("image")[0] as u64;
        let (height, width) = (96, 128);
        let value = |c: usize, y: usize, x: usize| {
            (4.0 * uniform(t, ((c * height + y) * width + x) as u64)) as f32
        };
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let values = pixels.flat_map(|(y, x)| [0, 1, 2].map(|c| value(c, y, x)));
        TensorData::new(values.collect::<Vec<f32>>(), [1, height, width, 3])
    }
}

fn task() -> Detect {
    let place = squares(2, 1);
    let dataset = Dataset::with_boxes(place.path(), 0.5, 1, BadBox::Stops).unwrap();
    Detect::new(Precision::F32, Arc::new(dataset))
}

fn number(tensor: nn::Tensor<1>) -> f64 {
    f64::from(tensor.into_data().try_into_vec::<f32>().unwrap()[0])
}

#[test]
fn losses_and_gradients_are_pytorchs() {
    let vectors = Vectors(SafeTensors::deserialize(FILE).unwrap());
    let (model, task) = (model(), task());
    let scene = TrainingScene { image: vectors.image(), objects: OBJECTS.to_vec() };
    let (leaves, observations) = (model.parameters.constant(), Observations::default());
    let pass = Pass::training(&leaves, &model.statistics, &observations, Draw::default());
    let loss = task.loss(&model, &pass, scene.clone());
    let names: Vec<&str> = loss.terms.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["rpn_class", "rpn_box", "class", "box"]);
    let terms = loss.terms.into_iter().map(|(_, term)| term);
    let found: Vec<f64> = [loss.total].into_iter().chain(terms).map(number).collect();
    vectors.assert("losses", &found);

    let (_, gradients) = train::gradient(&task, &model, scene);
    let specs = model.module.parameters().into_iter().filter(|spec| spec.trainable);
    let mut compared = 0;
    for (spec, gradient) in specs.zip(gradients) {
        let name = format!("grad.{}", spec.name);
        if vectors.0.tensor(&name).is_err() {
            continue;
        }
        let values = to_file_tensor(&spec, &gradient).values;
        let step = values.len().div_ceil(300).max(1);
        let found: Vec<f64> = values.iter().step_by(step).map(|&value| f64::from(value)).collect();
        vectors.assert(&name, &found);
        compared += 1;
    }
    assert_eq!(compared, 9);
}

#[test]
fn sampled_regions_are_pytorchs() {
    let vectors = Vectors(SafeTensors::deserialize(FILE).unwrap());
    let model = model();
    let detector = &model.module;
    let leaves = model.parameters.constant();
    let pass = Pass::evaluation(&leaves, &model.statistics);
    let x = nn::Tensor::from_data(vectors.image(), &model.device);
    let proposed = detector.propose(&pass, detector.shared(&pass, x));
    let [_, rows, columns, _] = proposed.logits.dims();
    let size = [128.0, 96.0];
    let settings = settings();
    let anchors = detector.anchors([rows, columns]);
    let regions = proposed.regions(&anchors, size, &settings, settings.proposals.training);
    let mut rng = data::at(0, data::Stream::Regions, 0, 0);
    let sampled = sampled_regions(&regions, &OBJECTS, size, &settings.regions, &mut rng);
    let found = sampled.boxes.iter().flatten().map(|&value| f64::from(value));
    vectors.assert("regions", &found.collect::<Vec<_>>());
}

#[test]
fn boxes_found_are_pytorchs() {
    let vectors = Vectors(SafeTensors::deserialize(FILE).unwrap());
    let model = model();
    let scene = UnseenScene { image: vectors.image(), original: [128.0, 96.0] };
    let found = detect(&model, scene);
    let classes: Vec<i64> = found.iter().map(|one| i64::from(one.class)).collect();
    assert_eq!(classes, vectors.whole("found.classes"));
    let scores: Vec<f64> = found.iter().map(|one| f64::from(one.score)).collect();
    vectors.assert("found.scores", &scores);
    let corners = found.iter().flat_map(|one| one.corners).map(f64::from);
    let corners: Vec<f64> = corners.collect();
    vectors.assert("found.corners", &corners);
    let worst = corners.iter().zip(vectors.doubles("found.corners")).map(|(a, b)| (a - b).abs());
    assert!(worst.fold(0.0, f64::max) < 1e-3, "pixels");
    // In an image that was twice as wide and three times as high before.
    let larger = detect(&model, UnseenScene { image: vectors.image(), original: [256.0, 288.0] });
    for (one, other) in found.iter().zip(larger) {
        let [x0, y0, x1, y1] = one.corners;
        assert_eq!(other.corners, [2.0 * x0, 3.0 * y0, 2.0 * x1, 3.0 * y1]);
    }
}
