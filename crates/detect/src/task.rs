//! §6.1 Object detection as a task: the four losses of Faster-RCNN, its answers and its measure.

use std::sync::Arc;

use data::{Boxes, Dataset};
use nn::{
    Device, Loss, Model, Pass, PointLoss, Precision, Tensor, TensorData, cross_entropy, fork,
    point_loss, stored,
};
use serde::{Deserialize, Serialize};
use train::Task;

use crate::answers::{FoundBox, RegionAnswers, found};
use crate::assignment::{AnchorMark, assigned, sampled_anchors};
use crate::average_precision::AveragePrecision;
use crate::coding::encoded;
use crate::measure::Scene;
use crate::network::{Detector, Proposed};
use crate::proposals::proposals;
use crate::regions::{RegionTargets, sampled_regions};
use recipe::{Detection, Kept};

/// The detection of objects.
#[derive(Debug)]
pub struct Detect {
    precision: Precision,
    /// Where the objects of the validation images come from.
    dataset: Arc<Dataset<Boxes>>,
}

/// A training image with its objects, after scale and flip.
#[derive(Clone, Debug)]
pub struct TrainingScene {
    /// `[1, h, w, 3]`.
    pub image: TensorData,
    /// Corners and class of each object.
    pub objects: Vec<([f32; 4], u32)>,
}

/// A validation image.
#[derive(Clone, Debug)]
pub struct UnseenScene {
    /// `[1, h, w, 3]`.
    pub image: TensorData,
    /// Width and height before it was resized.
    pub original: [f32; 2],
}

/// What a detector has found in a validation image, in the pixels of the image as it is stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundBoxes(pub Vec<FoundBox>);

impl Detect {
    pub fn new(precision: Precision, dataset: Arc<Dataset<Boxes>>) -> Detect {
        Detect { precision, dataset }
    }
}

impl Task for Detect {
    type Module = Detector;
    type Part = TrainingScene;
    type Question = UnseenScene;
    type Answer = FoundBoxes;
    type Measure = AveragePrecision;

    fn loss(&self, model: &Model<Detector>, pass: &Pass, part: TrainingScene) -> Loss {
        let detector = &model.module;
        let settings = &detector.settings;
        let TrainingScene { image, objects } = part;
        let size = size_of(&image);
        let x = stored(Tensor::from_data(image, &model.device), self.precision);
        let (features, for_proposals) = fork(detector.shared(pass, x));
        let proposed = detector.propose(pass, for_proposals);
        let [_, rows, columns, _] = proposed.logits.dims();
        let anchors = detector.anchors([rows, columns]);
        let draw = pass.draw().unwrap_or_default();
        let mut rng = data::at(draw.seed, data::Stream::Regions, draw.step, draw.part);

        let corners: Vec<[f32; 4]> = objects.iter().map(|(corners, _)| *corners).collect();
        let rules = &settings.proposals;
        let marks = assigned(&anchors, &corners, size, settings.anchors.border, rules);
        let sampled = sampled_anchors(&marks, rules, &mut rng);
        let regions = proposed.regions(&anchors, size, settings, rules.training);
        let beta = rules.beta as f32;
        let [rpn_class, rpn_box] =
            proposed.losses(&marks, sampled, [&anchors, &corners], beta, &model.device);

        let targets = sampled_regions(&regions, &objects, size, &settings.regions, &mut rng);
        let (logits, codes) = detector.judge(pass, features, &targets.boxes);
        let class = cross_entropy(logits, classes_of(&targets, detector.classes, model));
        let place = places_of(codes, &targets, settings.regions.beta as f32, &model.device);
        let total = rpn_class.clone() + rpn_box.clone() + class.clone() + place.clone();
        let terms =
            vec![("rpn_class", rpn_class), ("rpn_box", rpn_box), ("class", class), ("box", place)];
        Loss { total, terms }
    }

    fn answers(&self, model: &Model<Detector>, question: UnseenScene) -> Vec<FoundBoxes> {
        vec![FoundBoxes(detect(model, question))]
    }

    fn measure(&self, answers: Vec<FoundBoxes>) -> AveragePrecision {
        let set = &self.dataset.validation;
        let scenes = answers.into_iter().enumerate();
        let scenes =
            scenes.map(|(index, FoundBoxes(found))| Scene::new(set.annotation(index), found));
        AveragePrecision::of(scenes.collect(), self.dataset.clone())
    }
}

/// The objects that a detector finds in an image, in the pixels of the image as it is stored.
pub(crate) fn detect(model: &Model<Detector>, question: UnseenScene) -> Vec<FoundBox> {
    let (detector, leaves) = (&model.module, model.parameters.constant());
    let pass = Pass::evaluation(&leaves, &model.statistics);
    let UnseenScene { image, original } = question;
    let size = size_of(&image);
    let features = detector.shared(&pass, Tensor::from_data(image, &model.device));
    let proposed = detector.propose(&pass, features.clone());
    let [_, rows, columns, _] = proposed.logits.dims();
    let (anchors, settings) = (detector.anchors([rows, columns]), &detector.settings);
    let regions = proposed.regions(&anchors, size, settings, settings.proposals.test);
    if regions.is_empty() {
        return Vec::new();
    }
    let (logits, codes) = detector.judge(&pass, features, &regions);
    let (logits, codes) = (numbers(logits), numbers(codes));
    let answers = RegionAnswers {
        regions: &regions,
        logits: &logits,
        codes: &codes,
        classes: detector.classes,
    };
    let mut all = found(answers, size, settings.regions.scales, &settings.answers);
    let [x, y] = [original[0] / size[0], original[1] / size[1]];
    for one in &mut all {
        let [x0, y0, x1, y1] = one.corners;
        one.corners = [x0 * x, y0 * y, x1 * x, y1 * y];
    }
    all
}

/// Width and height of an image `[1, h, w, 3]`.
fn size_of(image: &TensorData) -> [f32; 2] {
    let dims: Vec<usize> = image.shape().to_vec();
    [dims[2] as f32, dims[1] as f32]
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let tensor = stored(tensor, Precision::F32).without_autodiff();
    tensor.into_data().try_into_vec().expect("they are f32")
}

impl Proposed {
    /// The regions that go on to the second network, read back from the device.
    pub(crate) fn regions(
        &self,
        anchors: &[[f32; 4]],
        size: [f32; 2],
        settings: &Detection,
        kept: Kept,
    ) -> Vec<[f32; 4]> {
        let (logits, codes) = (numbers(self.logits.clone()), numbers(self.codes.clone()));
        let (codes, _) = codes.as_chunks::<4>();
        proposals(anchors, &logits, codes, size, &settings.proposals, kept)
    }

    /// The cross entropy of the sampled anchors' logits, and smooth L1 of the positive ones' codes, both as sums over the
    /// sampled anchors divided by how many these are.
    fn losses(
        self,
        marks: &[AnchorMark],
        [positives, negatives]: [Vec<usize>; 2],
        [anchors, objects]: [&[[f32; 4]]; 2],
        beta: f32,
        device: &Device,
    ) -> [Tensor<1>; 2] {
        let count = marks.len();
        let share = 1.0 / (positives.len() + negatives.len()).max(1) as f32;
        let (mut is_object, mut counts) = (vec![0.0; count], vec![0.0; count]);
        let (mut codes, mut weights) = (vec![0.0; 4 * count], vec![0.0; 4 * count]);
        for &place in positives.iter().chain(&negatives) {
            counts[place] = share;
        }
        for place in positives {
            let AnchorMark::Positive(object) = marks[place] else { continue };
            is_object[place] = 1.0;
            let code = encoded(objects[object as usize], anchors[place], [1.0; 4]);
            codes[4 * place..][..4].copy_from_slice(&code);
            weights[4 * place..][..4].fill(share);
        }
        let flat = |x: Tensor<4>| -> Tensor<1> {
            let length = x.dims().iter().product::<usize>();
            stored(x, Precision::F32).reshape([length])
        };
        let loss = |x: Tensor<1>, target: Vec<f32>, weight: Vec<f32>, loss| {
            point_loss(x, constant(target, device), constant(weight, device), loss)
        };
        [
            loss(flat(self.logits), is_object, counts, PointLoss::Logistic),
            loss(flat(self.codes), codes, weights, PointLoss::SmoothL1 { beta }),
        ]
    }
}

/// A tensor of numbers that no gradient goes to.
fn constant(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let length = values.len();
    Tensor::from_data(TensorData::new(values, [length]), device)
}

/// The classes of the regions as distributions `[regions, classes + 1]`.
fn classes_of(targets: &RegionTargets, classes: usize, model: &Model<Detector>) -> Tensor<2> {
    let mut p = vec![0.0f32; targets.classes.len() * (classes + 1)];
    for (row, &class) in p.chunks_exact_mut(classes + 1).zip(&targets.classes) {
        row[class as usize] = 1.0;
    }
    let shape = [targets.classes.len(), classes + 1];
    Tensor::from_data(TensorData::new(p, shape), &model.device)
}

/// Smooth L1 of the four numbers of each region's own class, divided by the number of regions.
fn places_of(codes: Tensor<2>, targets: &RegionTargets, beta: f32, device: &Device) -> Tensor<1> {
    let [rows, width] = codes.dims();
    let share = 1.0 / rows as f32;
    let (mut wanted, mut weights) = (vec![0.0; rows * width], vec![0.0; rows * width]);
    for (row, (&class, code)) in targets.classes.iter().zip(&targets.codes).enumerate() {
        if class > 0 {
            let start = row * width + 4 * (class as usize - 1);
            wanted[start..][..4].copy_from_slice(code);
            weights[start..][..4].fill(share);
        }
    }
    let (wanted, weights) = (constant(wanted, device), constant(weights, device));
    point_loss(codes.reshape([rows * width]), wanted, weights, PointLoss::SmoothL1 { beta })
}
