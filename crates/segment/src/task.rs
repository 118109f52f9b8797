//! §6.2 Semantic segmentation as a task: the loss of both heads, the answers and the measure.

use std::sync::Arc;

use data::{Dataset, Mask, MaskFile, RgbImage};
use nn::{ClassMaps, Loss, Model, Pass, Precision, Tensor, TensorData, map_cross_entropy, stored};
use recipe::{Recipe, Upsampling};
use serde::{Deserialize, Serialize};
use train::Task;

use crate::counts::{ClassCounts, PixelCounts};
use crate::measure::MeanIou;
use crate::network::Segmenter;
use crate::scoring::Scorer;

/// The longer side of the small copies of answers that a report shows, pixels.
pub(crate) const SMALL: usize = 160;

/// The segmentation of images.
#[derive(Debug)]
pub struct Segment {
    precision: Precision,
    recipe: Recipe,
    /// Where the validation images come from; None where nothing is evaluated.
    dataset: Option<Arc<Dataset<MaskFile>>>,
}

/// A part of a batch: crops `[n, crop, crop, 3]` and the class of each of their pixels.
#[derive(Clone, Debug)]
pub struct Crops {
    pub images: TensorData,
    pub maps: Arc<ClassMaps>,
}

/// A validation image and its mask.
#[derive(Clone, Debug)]
pub struct LabelledPicture {
    pub image: RgbImage,
    pub truth: Mask<u16>,
}

/// What the measure and the report need of the answer for one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PictureAnswer {
    /// Of each class that is in truth or answer: pixels of both, of the truth, of the answer.
    counts: Vec<(u16, [u64; 3])>,
    /// The answer made small, a row of `width` after the other.
    pub(crate) width: usize,
    pub(crate) small: Vec<u16>,
}

impl PictureAnswer {
    pub(crate) fn of(truth: &Mask<u16>, answer: Vec<u16>, classes: usize) -> PictureAnswer {
        let counts = PixelCounts::of(truth, &answer, classes).classes.into_iter().enumerate();
        let counts = counts.filter(|(_, one)| one.truth + one.answer > 0);
        let counts =
            counts.map(|(class, one)| (class as u16, [one.both, one.truth, one.answer])).collect();
        let answer = Mask { width: truth.width, height: truth.height, indices: answer };
        let Mask { width, indices: small, .. } = shrunk(&answer);
        PictureAnswer { counts, width, small }
    }

    /// The counts of this image alone.
    pub fn counts(&self, classes: usize) -> PixelCounts {
        let mut counts = PixelCounts::none(classes);
        for &(class, [both, truth, answer]) in &self.counts {
            counts.classes[usize::from(class)] = ClassCounts { both, truth, answer };
        }
        counts
    }
}

/// A mask whose longer side is at most [`SMALL`].
pub(crate) fn shrunk(mask: &Mask<u16>) -> Mask<u16> {
    let longer = mask.width.max(mask.height);
    if longer <= SMALL {
        return mask.clone();
    }
    let [width, height] = [mask.width, mask.height].map(|side| (side * SMALL / longer).max(1));
    mask.resized(width, height)
}

impl Segment {
    pub fn new(recipe: &Recipe, dataset: Arc<Dataset<MaskFile>>) -> Segment {
        let dataset = Some(dataset);
        Segment { precision: recipe.train.precision, recipe: recipe.clone(), dataset }
    }

    /// A task without validation images, for benchmarks and checks.
    pub fn bare(recipe: &Recipe) -> Segment {
        let precision = recipe.train.precision;
        Segment { precision, recipe: recipe.clone(), dataset: None }
    }
}

impl Task for Segment {
    type Module = Segmenter;
    type Part = Crops;
    type Question = LabelledPicture;
    type Answer = PictureAnswer;
    type Measure = MeanIou;

    fn loss(&self, model: &Model<Segmenter>, pass: &Pass, part: Crops) -> Loss {
        let settings = self.recipe.segmentation();
        let corners = settings.upsampling == Upsampling::Corners;
        let x = stored(Tensor::from_data(part.images, &model.device), self.precision);
        let (z, auxiliary) = model.module.forward_both(pass, x);
        let head = map_cross_entropy(z, &part.maps, corners);
        let Some(z) = auxiliary else { return head.into() };
        let auxiliary = map_cross_entropy(z, &part.maps, corners) * settings.auxiliary as f32;
        let total = head.clone() + auxiliary.clone();
        Loss { total, terms: vec![("head", head), ("auxiliary", auxiliary)] }
    }

    fn answers(&self, model: &Model<Segmenter>, question: LabelledPicture) -> Vec<PictureAnswer> {
        let scorer = Scorer::new(model, &self.recipe);
        let (truth, answer) = scorer.scored(&question);
        vec![PictureAnswer::of(&truth, answer, model.module.classes)]
    }

    fn measure(&self, answers: Vec<PictureAnswer>) -> MeanIou {
        MeanIou::of(answers, self.recipe.segmentation().absent_classes, self.dataset.clone())
    }
}
