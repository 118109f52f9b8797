//! Making training examples from a loader's batch: images and target distributions, smoothed (§5.2) and mixed
//! (§5.4).
//!
//! Everything random is a function of the seed, the step and the part, so a run resumes by its step number.

use data::random::{below, beta, permutation, unit};
use data::{Batch, Stream, at};
use nn::TensorData;
use recipe::{Cutmix, Mixup, Pairing, Recipe, Smoothing, Spread};
use tricks::{cutmix, label_smoothing, mixup};

/// A part of a batch: images `[n, side, side, 3]` and their targets `[n, classes]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    pub images: TensorData,
    pub targets: TensorData,
}

/// The position of a part in a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(crate) epoch: u64,
    pub(crate) step: u64,
    pub(crate) part: usize,
}

/// Makes the examples of a part, as the recipe wants them.
pub(crate) fn examples(
    recipe: &Recipe,
    classes: usize,
    position: Position,
    batch: Batch,
) -> Examples {
    let mut mixing = Mixing {
        side: recipe.preprocess.side(),
        classes,
        targets: targets(recipe.target.smoothing, classes, &batch.annotations),
        images: batch.images,
    };
    mixing.mix(recipe, position);
    let Mixing { side, classes, images, targets } = mixing;
    let n = targets.len() / classes;
    Examples {
        images: TensorData::new(images, [n, side, side, 3]),
        targets: TensorData::new(targets, [n, classes]),
    }
}

/// The targets, a row for each image: 1 for the true class, then smoothed.
fn targets(smoothing: Option<Smoothing>, classes: usize, labels: &[u32]) -> Vec<f32> {
    let mut targets = vec![0.0f32; labels.len() * classes];
    for (p, &label) in targets.chunks_exact_mut(classes).zip(labels) {
        p[label as usize] = 1.0;
        match smoothing {
            None => {}
            Some(Smoothing { epsilon, over: Spread::Others }) => {
                label_smoothing::smooth(p, epsilon);
            }
            Some(Smoothing { epsilon, over: Spread::All }) => {
                label_smoothing::smooth_over_all(p, epsilon);
            }
        }
    }
    targets
}

/// Images and targets that may be mixed with each other.
struct Mixing {
    side: usize,
    classes: usize,
    images: Vec<f32>,
    targets: Vec<f32>,
}

impl Mixing {
    fn count(&self) -> usize {
        self.targets.len() / self.classes
    }

    /// The number of values in an image.
    fn values(&self) -> usize {
        self.side * self.side * 3
    }

    fn mix(&mut self, recipe: &Recipe, position: Position) {
        let seed = recipe.seed;
        // The number of the part in the whole run.
        let place = position.step * recipe.train.parts as u64 + position.part as u64;
        match (recipe.mixup, recipe.cutmix) {
            (None, None) => {}
            (Some(by), None) => self.mixup(by, seed, position, place),
            (None, Some(by)) => self.cutmix(by, seed, position.epoch, place),
            (Some(by), Some(_)) if coin(seed, position) => self.mixup(by, seed, position, place),
            (Some(_), Some(by)) => self.cutmix(by, seed, position.epoch, place),
        }
    }

    fn mixup(&mut self, by: Mixup, seed: u64, position: Position, place: u64) {
        let Position { epoch, step, .. } = position;
        let count = self.count();
        let (partners, lambdas) = match by.pairing {
            Pairing::Permutation => {
                let mut rng = at(seed, Stream::Mixup, epoch, place);
                let partners = permutation(&mut rng, count as u32);
                let lambdas = (0..count).map(|_| beta(&mut rng, by.alpha)).collect::<Vec<_>>();
                (partners.into_iter().map(|partner| partner as usize).collect(), lambdas)
            }
            Pairing::Reversed => {
                // One λ for all parts of the batch.
                let lambda = beta(&mut at(seed, Stream::Mixup, epoch, step), by.alpha);
                (mixup::reversed(count), vec![lambda; count])
            }
        };
        let lengths = [self.values(), self.classes];
        for (all, length) in [&mut self.images, &mut self.targets].into_iter().zip(lengths) {
            let before = all.clone();
            for (index, x_i) in all.chunks_exact_mut(length).enumerate() {
                let x_j = &before[partners[index] * length..][..length];
                mixup::mix(lambdas[index] as f32, x_i, x_j);
            }
        }
    }

    fn cutmix(&mut self, by: Cutmix, seed: u64, epoch: u64, place: u64) {
        let mut rng = at(seed, Stream::Cutmix, epoch, place);
        let (side, values, classes) = (self.side, self.values(), self.classes);
        let partners = permutation(&mut rng, self.count() as u32);
        let (images, targets) = (self.images.clone(), self.targets.clone());
        for (index, partner) in partners.into_iter().map(|partner| partner as usize).enumerate() {
            let lambda = beta(&mut rng, by.alpha);
            let center = [(); 2].map(|()| below(&mut rng, side as u64) as usize);
            let region = cutmix::region(lambda, side, center);
            let x_i = &mut self.images[index * values..][..values];
            region.paste(side, x_i, &images[partner * values..][..values]);
            let y_i = &mut self.targets[index * classes..][..classes];
            mixup::mix(region.lambda(side), y_i, &targets[partner * classes..][..classes]);
        }
    }
}

/// Whether mixup mixes this batch, where mixup and CutMix are both on.
fn coin(seed: u64, Position { epoch, step, .. }: Position) -> bool {
    unit(&mut at(seed, Stream::Coin, epoch, step)) < 0.5
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 4;
    const VALUES: usize = SIDE * SIDE * 3;
    const CLASSES: usize = 5;

    fn recipe(edits: &[&str]) -> Recipe {
        let edits: Vec<String> = ["train.parts=1"]
            .iter()
            .chain(edits)
            .map(ToString::to_string)
            .chain([format!("preprocess.size={SIDE}")])
            .collect();
        let text = recipe::builtin("baseline").expect("a built-in recipe");
        let models = ["resnet50_original".to_owned()];
        recipe::parse_with_edits(text, "baseline", &edits, &models)
            .unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// Image i is i + 1 everywhere, of class i mod 5.
    fn batch(count: usize) -> Batch {
        Batch {
            step: 0,
            part: 0,
            images: (0..count * VALUES).map(|value| (value / VALUES + 1) as f32).collect(),
            sizes: vec![[SIDE; 2]; count],
            annotations: (0..count).map(|image| (image % CLASSES) as u32).collect(),
            indices: (0..count as u32).collect(),
            skipped: Vec::new(),
        }
    }

    fn part(recipe: &Recipe, position: Position, count: usize) -> (Vec<f32>, Vec<f32>) {
        let numbers = |data: TensorData| data.try_into_vec::<f32>().expect("examples are f32");
        let Examples { images, targets } = examples(recipe, CLASSES, position, batch(count));
        (numbers(images), numbers(targets))
    }

    fn make(recipe: &Recipe, step: u64, count: usize) -> (Vec<f32>, Vec<f32>) {
        part(recipe, Position { epoch: step / 10, step, part: 0 }, count)
    }

    const MIXUP: &str = r#"mixup={ alpha = 0.2, pairing = "permutation" }"#;
    const REVERSED: &str = r#"mixup={ alpha = 0.2, pairing = "reversed" }"#;
    const CUTMIX: &str = "cutmix={ alpha = 1.0 }";
    const SMOOTHING: &str = r#"target.smoothing={ epsilon = 0.1, over = "others" }"#;

    #[test]
    fn without_tricks_images_stay_and_targets_are_one_hot() {
        let (images, targets) = &make(&recipe(&[]), 3, 3);
        assert_eq!(*images, batch(3).images);
        assert_eq!(targets[..CLASSES], [1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(targets[2 * CLASSES..], [0.0, 0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn smoothing_takes_either_spread() {
        let (_, targets) = &make(&recipe(&[SMOOTHING]), 0, 1);
        assert_eq!(*targets, [0.9, 0.025, 0.025, 0.025, 0.025]);
        let all = r#"target.smoothing={ epsilon = 0.1, over = "all" }"#;
        let (_, targets) = &make(&recipe(&[all]), 0, 1);
        assert_eq!(*targets, [0.92, 0.02, 0.02, 0.02, 0.02]);
    }

    /// A mix of constant images has pixels λ a + (1 − λ) b, and its target must show the same λ.
    #[test]
    fn mixup_mixes_images_and_targets_alike_in_batches_of_any_size() {
        for count in [1, 2, 5] {
            let (images, targets) = &make(&recipe(&[MIXUP]), 7, count);
            let mut lambdas = Vec::new();
            for i in 0..count {
                let (x, y) = (&images[i * VALUES..][..VALUES], &targets[i * CLASSES..][..CLASSES]);
                assert!(x.iter().all(|&value| value == x[0]), "a mix of two constants is one");
                // Up to five images are of as many classes, so the target's mean tells the pixel.
                let expected: f32 = y.iter().zip(1..).map(|(&p, image)| p * image as f32).sum();
                assert!((x[0] - expected).abs() < 1e-5, "image {i}: {} and {y:?}", x[0]);
                assert!((y.iter().sum::<f32>() - 1.0).abs() < 1e-6);
                lambdas.push(y[i]);
            }
            if count == 5 {
                lambdas.dedup();
                assert!(lambdas.len() > 3, "a λ for each pair: {lambdas:?}");
            }
        }
    }

    #[test]
    fn the_authors_pair_the_batch_with_its_reverse_by_one_lambda() {
        let (images, targets) = &make(&recipe(&[REVERSED]), 2, 5);
        let lambda = targets[0];
        for i in 0..5 {
            let expected = lambda * (i + 1) as f32 + (1.0 - lambda) * (5 - i) as f32;
            assert!((images[i * VALUES] - expected).abs() < 1e-5, "image {i}");
        }
        assert_eq!(targets[2 * CLASSES..3 * CLASSES], [0.0, 0.0, 1.0, 0.0, 0.0], "the middle one");
    }

    #[test]
    fn cutmix_pastes_and_its_targets_follow_the_area() {
        for step in 0..20 {
            let (images, targets) = &make(&recipe(&[CUTMIX]), step, 5);
            for i in 0..5 {
                let x = &images[i * VALUES..][..VALUES];
                let own = x.iter().filter(|&&value| value == (i + 1) as f32).count();
                let share = own as f32 / VALUES as f32;
                assert!((targets[i * CLASSES + i] - share).abs() < 1e-6, "step {step}, image {i}");
            }
        }
    }

    #[test]
    fn a_coin_decides_where_both_are_on() {
        let both = recipe(&[MIXUP, CUTMIX]);
        let alone = [recipe(&[MIXUP]), recipe(&[CUTMIX])];
        let mut counts = [0; 2];
        for step in 0..200 {
            let found = make(&both, step, 4);
            let which = alone.iter().position(|recipe| make(recipe, step, 4) == found);
            counts[which.expect("one of the two")] += 1;
        }
        assert!(counts.iter().all(|count| (70..=130).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_part_is_a_function_of_seed_step_and_part() {
        let all = [MIXUP, CUTMIX, SMOOTHING, "train.batch=8"];
        let first = make(&recipe(&all), 4, 8);
        assert_eq!(first, make(&recipe(&all), 4, 8));
        assert_ne!(first, make(&recipe(&all), 5, 8));
        assert_ne!(first, make(&recipe(&[&all[..], &["seed=2"]].concat()), 4, 8));
        let position = |part| Position { epoch: 0, step: 4, part };
        let two = recipe(&[&all[..], &["train.parts=2"]].concat());
        assert_ne!(part(&two, position(0), 4), part(&two, position(1), 4));
    }

    /// The authors draw one λ for a batch of all GPUs, and each GPU pairs its own images.
    #[test]
    fn the_authors_lambda_is_the_whole_batchs() {
        let two = recipe(&[REVERSED, "train.parts=2", "train.batch=8"]);
        for step in 0..5 {
            let of = |index| part(&two, Position { epoch: 0, step, part: index }, 4);
            assert_eq!(of(0), of(1));
        }
    }
}
