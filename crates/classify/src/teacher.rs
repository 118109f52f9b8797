//! The teacher of a distillation (§5.3), and the two terms of the loss.

use std::path::Path;

use nn::{Device, Folded, Tensor, cross_entropy, soften};
use recipe::{Distillation, Mistake, Recipe, Weighting};
use tricks::distillation;
use zoo::Network;

use crate::error::ClassifyError;
use crate::model_folder;

/// A trained model that only computes logits, on the inner device and with its batch norms folded.
#[derive(Debug)]
pub(crate) struct Teacher {
    network: Network,
    folded: Folded,
    temperature: f64,
    /// The weights of the labels' term and of the teacher's term.
    weights: [f64; 2],
}

impl Teacher {
    pub(crate) fn load(recipe: &Distillation, device: &Device) -> Result<Teacher, ClassifyError> {
        let (model, _) = model_folder::read(Path::new(&recipe.teacher), device)?;
        let weighting = match recipe.weighting {
            Weighting::Sum => distillation::SUM,
            Weighting::Half => distillation::HALF,
        };
        Ok(Teacher {
            folded: zoo::folded(&model),
            network: model.module,
            temperature: recipe.temperature,
            weights: distillation::weights(weighting, recipe.temperature),
        })
    }

    /// The two terms of eq. 6, that of the labels and that of the teacher, for logits z and targets p `[n, classes]` of
    /// images x `[n, h, w, 3]`. The teacher sees the images as they are, mixed ones too.
    pub(crate) fn terms(&self, z: Tensor<2>, p: Tensor<2>, x: Tensor<4>) -> [Tensor<1>; 2] {
        let [hard, soft] = self.weights;
        let teachers = soften(self.network.infer(&self.folded, x), self.temperature);
        let softer = z.clone() / self.temperature;
        [cross_entropy(z, p) * hard, cross_entropy(softer, teachers) * soft]
    }
}

/// The mistakes in a recipe's teacher: reasons why it cannot teach on data of these classes.
pub(crate) fn check(recipe: &Recipe, classes: &[String]) -> Vec<Mistake> {
    let Some(Distillation { teacher, .. }) = &recipe.distillation else { return Vec::new() };
    let mistake = |message, mend| Mistake::with_data(recipe, "distillation.teacher", message, mend);
    let card = match model_folder::read_card(Path::new(teacher)) {
        Ok((_, card)) => card,
        Err(error) => return vec![mistake(error.to_string(), "")],
    };
    let mut mistakes = Vec::new();
    if let Some(difference) = card.difference(classes) {
        mistakes.push(mistake(
            format!("the teacher {teacher} knows other classes: {difference}"),
            "train a teacher on these data",
        ));
    }
    let (own, size) = (card.validation.crop, recipe.preprocess.side());
    if own != size {
        mistakes.push(mistake(
            format!("the teacher {teacher} looks at images of {own} pixels, not of {size}"),
            "train one at this size, or set preprocess.size to the same",
        ));
    }
    let (theirs, ours) = (card.normalize, recipe.preprocess.normalize);
    if !theirs.is_near(ours) {
        mistakes.push(mistake(
            format!(
                "the teacher {teacher} was trained with another normalization: mean {:?}, std {:?}",
                theirs.mean, theirs.std
            ),
            "set preprocess.normalize to the same, or train one with this recipe's",
        ));
    }
    mistakes
}

#[cfg(test)]
mod tests {
    use super::*;
    use nn::{Init, Model, TensorData};
    use zoo::{Options, Shape, StemSize};

    fn model() -> Model<Network> {
        let shape = Shape { blocks: [1; 4], channels: [4, 4, 8, 8], stem_channels: 4 };
        let options = Options { stem: StemSize::Small, shape: Some(shape), ..Options::plain(3) };
        let network = zoo::network("resnet18d", &options).expect("a known name");
        let rng = |index| data::at(1, data::Stream::Init, 0, index as u64);
        Model::initialized(network, Init::Xavier, 1.0, &nn::cpu(), rng)
    }

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
        let values: Vec<f32> = tensor.into_data().try_into_vec().expect("tensors here are f32");
        values.into_iter().map(f64::from).collect()
    }

    /// Eq. 6 once more, in 64 bits, and its gradient by z: (q − p) + T (q_T − t), over the rows.
    #[test]
    fn the_loss_and_its_gradient_are_equation_six() {
        let model = model();
        let x: Vec<f32> =
            (0..2 * 16 * 16 * 3).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
        let x = Tensor::from_data(TensorData::new(x, [2, 16, 16, 3]), &nn::cpu());
        let r = numbers(zoo::logits(&model, x.clone()));
        let temperature = 4.0;
        let teacher = Teacher {
            folded: zoo::folded(&model),
            network: model.module,
            temperature,
            weights: distillation::weights(distillation::SUM, temperature),
        };
        let z = [0.5, 1.5, -1.0, 0.25, 0.0, 2.0];
        let p = [0.0, 1.0, 0.0, 0.75, 0.25, 0.0];
        let tensor = |values: [f64; 6]| -> Tensor<2> {
            let values = values.map(|value| value as f32).to_vec();
            Tensor::from_data(TensorData::new(values, [2, 3]), &nn::cpu())
        };
        let leaf = tensor(z).autodiff().require_grad();
        let [hard, soft] = teacher.terms(leaf.clone(), tensor(p), x);
        let loss = hard + soft;
        let gradient = leaf.grad(&loss.backward()).expect("z has a gradient");

        let softmax = |row: &[f64], temperature: f64| {
            let sum: f64 = row.iter().map(|z| (z / temperature).exp()).sum();
            row.iter().map(|z| (z / temperature).exp() / sum).collect::<Vec<_>>()
        };
        let (mut expected, mut slopes) = (0.0, Vec::new());
        for row in 0..2 {
            let [z, p, r] = [&z[..], &p[..], &r[..]].map(|all| &all[row * 3..row * 3 + 3]);
            let (q, soft) = (softmax(z, 1.0), softmax(z, temperature));
            let t = softmax(r, temperature);
            for k in 0..3 {
                expected -= p[k] * q[k].ln() / 2.0;
                expected -= temperature * temperature * t[k] * soft[k].ln() / 2.0;
                slopes.push((q[k] - p[k] + temperature * (soft[k] - t[k])) / 2.0);
            }
        }
        let found = numbers(loss)[0];
        assert!((found - expected).abs() < 1e-4 * expected, "{found}, not {expected}");
        for (found, expected) in numbers(gradient).iter().zip(&slopes) {
            assert!((found - expected).abs() < 1e-5, "{found}, not {expected}");
        }
    }
}
