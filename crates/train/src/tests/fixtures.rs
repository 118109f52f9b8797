//! A small task for tests: which of two classes a made-up image belongs to.

use std::path::Path;
use std::time::Duration;

use nn::{
    Activation, ConvBn, EPSILON, Group, Layer, Linear, Loss, Model, Module, NormSpec, Padding,
    ParameterSpec, Part, Pass, Precision, Tensor, TensorData, chain, cross_entropy,
    global_avg_pool, stored,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use recipe::Recipe;
use record::{Better, MeasureColumn, MeasureColumns, Unit};

use crate::{Control, Fed, Feed, Measure, Skip, Task, TrainError, ValidationFeed};

/// A 3×3 convolution, its batch norm and ReLU, the mean over the pixels, a linear layer of two classes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Net {
    pub(super) layers: Vec<Layer>,
    classifier: Linear,
}

impl Net {
    pub(super) fn new() -> Net {
        let layer = ConvBn {
            conv: "conv".to_owned(),
            bn: "bn".to_owned(),
            kernel: [3; 2],
            c_in: 3,
            c_out: 4,
            stride: 1,
            dilation: 1,
            groups: 1,
            padding: Padding::Same,
            bias: false,
            epsilon: EPSILON,
            activation: Activation::Relu,
            frozen_norm: false,
        };
        let classifier = Linear { name: "fc".to_owned(), c_in: 4, c_out: 2, group: Group::Head };
        Net { layers: vec![Layer::ConvBn(layer)], classifier }
    }

    fn forward(&self, pass: &Pass, x: Tensor<4>) -> Tensor<2> {
        self.classifier.forward(pass.leaves, global_avg_pool(chain(&self.layers, pass, x)))
    }
}

impl Module for Net {
    fn name(&self) -> &str {
        "net"
    }

    fn parameters(&self) -> Vec<ParameterSpec> {
        let mut specs = Vec::new();
        self.layers.iter().for_each(|layer| layer.parameters(&mut specs));
        self.classifier.parameters(&mut specs);
        specs
    }

    fn norms(&self) -> Vec<NormSpec> {
        let mut parts = Vec::new();
        self.layers.iter().for_each(|layer| layer.parts(&mut parts));
        parts.iter().filter_map(Part::norm).collect()
    }
}

pub(super) fn model() -> Model<Net> {
    let rng = |index| ChaCha8Rng::seed_from_u64(index as u64);
    Model::initialized(Net::new(), nn::Init::Xavier, 1.0, &nn::cpu(), rng)
}

/// Quickstart with these edits.
pub(super) fn recipe(edits: &[&str]) -> Recipe {
    let edits: Vec<String> = edits.iter().map(ToString::to_string).collect();
    let text = recipe::builtin("quickstart").expect("a built-in recipe");
    recipe::parse_with_edits(text, "quickstart", &edits, &["resnet18d".to_owned()])
        .unwrap_or_else(|errors| panic!("{errors}"))
}

/// The task, its images stored in a precision.
pub(super) struct Sides(pub(super) Precision);

impl Task for Sides {
    type Module = Net;
    type Part = Vec<f32>;
    type Question = Vec<f32>;
    type Answer = f32;
    type Measure = Share;

    fn loss(&self, model: &Model<Net>, pass: &Pass, part: Vec<f32>) -> Loss {
        let (x, p) = images(&part);
        let labels = cross_entropy(model.module.forward(pass, stored(x, self.0)), p);
        let double = labels.clone() * 2.0;
        Loss {
            total: labels.clone() + double.clone(),
            terms: vec![("once", labels), ("twice", double)],
        }
    }

    fn answers(&self, model: &Model<Net>, question: Vec<f32>) -> Vec<f32> {
        let leaves = model.parameters.constant();
        let pass = Pass::evaluation(&leaves, &model.statistics);
        let z = model.module.forward(&pass, images(&question).0).into_data();
        let z: Vec<f32> = z.try_into_vec().expect("logits are f32");
        z.chunks(2).map(|z| z[1] - z[0]).collect()
    }

    fn measure(&self, answers: Vec<f32>) -> Share {
        Share(answers)
    }
}

/// Images of 4×4 pixels, each of a level around its number, and their targets: the second class where the number is
/// positive.
fn images(levels: &[f32]) -> (Tensor<4>, Tensor<2>) {
    let n = levels.len();
    let pixel = |level: f32, at: usize| level + ((at * 37) % 11) as f32 / 11.0 - 0.5;
    let values = levels.iter().flat_map(|&level| (0..48).map(move |at| pixel(level, at)));
    let targets =
        levels.iter().flat_map(|&level| if level > 0.0 { [0.0, 1.0] } else { [1.0, 0.0] });
    let x = TensorData::new(values.collect::<Vec<f32>>(), [n, 4, 4, 3]);
    let p = TensorData::new(targets.collect::<Vec<f32>>(), [n, 2]);
    (Tensor::from_data(x, &nn::cpu()), Tensor::from_data(p, &nn::cpu()))
}

/// The answers themselves, and their mean.
pub(super) struct Share(pub(super) Vec<f32>);

impl Measure for Share {
    fn columns() -> MeasureColumns {
        let column = MeasureColumn::new("mean", "mean", Unit::Plain);
        MeasureColumns::new("mean", Better::Higher, vec![column])
    }

    fn values(&self) -> Vec<f64> {
        vec![self.0.iter().map(|&answer| f64::from(answer)).sum::<f64>() / self.0.len() as f64]
    }

    fn write_details(&self, _: &Path, _: u64) -> Result<(), TrainError> {
        Ok(())
    }
}

/// Parts of four levels that depend on the step and the part alone. A part of `bad` is not finite; one of `broken`
/// cannot be had; where `skips` says so, an image of every part was skipped.
#[derive(Clone, Default)]
pub(super) struct Levels {
    pub(super) bad: Vec<(u64, usize)>,
    pub(super) broken: Vec<(u64, usize)>,
    pub(super) skips: bool,
    /// This rank and the number of ranks.
    pub(super) share: (u64, u64),
}

impl Feed<Vec<f32>> for Levels {
    fn part(&mut self, step: u64, index: usize) -> Result<Fed<Vec<f32>>, TrainError> {
        if self.broken.contains(&(step, index)) {
            return Err(TrainError::OnlyOverflows { step });
        }
        let level = |image: u64| {
            let number = (step * 8 + index as u64) * 4 + image;
            ((number * 2_654_435_761) % 1000) as f32 / 500.0 - 1.0
        };
        let mut part: Vec<f32> = (0..4).map(level).collect();
        if self.bad.contains(&(step, index)) {
            part[1] = f32::INFINITY;
        }
        let skip = |name: &str| format!("{name} {step}/{index}");
        let skipped =
            Skip { image: skip("bad"), stand_in: skip("good"), reason: "torn".to_owned() };
        let skipped = if self.skips { vec![skipped] } else { Vec::new() };
        Ok(Fed { part, skipped, waited: Duration::from_millis(1) })
    }
}

impl ValidationFeed<Vec<f32>> for Levels {
    /// Seven batches of three levels, dealt out over the ranks.
    fn batches(
        &mut self,
    ) -> Result<impl Iterator<Item = Result<(u64, Vec<f32>), TrainError>>, TrainError> {
        let (rank, size) = self.share;
        let mine = (0..7u64).filter(move |number| number % size.max(1) == rank);
        Ok(mine
            .map(|number| Ok((number, (0..3).map(|i| (number * 3 + i) as f32 - 10.0).collect()))))
    }
}

/// The requests of a rank that wants nothing.
pub(super) fn no_request() -> Result<Control, TrainError> {
    Ok(Control::default())
}
