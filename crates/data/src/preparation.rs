//! What a loader makes of every image: the steps, and how large a sample is.

use rand_chacha::rand_core::RngCore;
use recipe::{Interpolation, Normalize, Preprocess, Validation};

use crate::augment::{Sample, ScaledCrop, ShorterSide};

/// The steps from an image to a sample: training's of §2.1 ([`Preprocess`]), validation's ([`Validation`], [`Normalize`] and
/// [`Interpolation`]), a detector's ([`ShorterSide`]), or those of training a segmentation ([`ScaledCrop`]).
#[derive(Clone, Debug)]
pub struct Preparation(Steps);

#[derive(Clone, Debug)]
enum Steps {
    Train(Box<Preprocess>),
    Validation(Validation, Normalize, Interpolation),
    ShorterSide(ShorterSide),
    ScaledCrop(ScaledCrop),
}

/// Height and width of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SampleSize {
    Equal([usize; 2]),
    /// Each sample has its own size, none a larger one.
    AtMost([usize; 2]),
}

impl SampleSize {
    /// Values of the largest sample.
    pub(crate) fn values(self) -> usize {
        let (SampleSize::Equal([height, width]) | SampleSize::AtMost([height, width])) = self;
        height * width * 3
    }
}

impl Preparation {
    pub(crate) fn size(&self) -> SampleSize {
        match &self.0 {
            Steps::Train(preprocess) => SampleSize::Equal([preprocess.side(); 2]),
            Steps::Validation(validation, ..) => SampleSize::Equal([validation.crop; 2]),
            Steps::ShorterSide(by) => SampleSize::AtMost([by.longest.max(by.side); 2]),
            Steps::ScaledCrop(by) => SampleSize::Equal([by.crop; 2]),
        }
    }

    /// Draws the steps for an image of width × height.
    pub(crate) fn sample(&self, width: usize, height: usize, rng: &mut impl RngCore) -> Sample {
        match &self.0 {
            Steps::Train(preprocess) => Sample::train(preprocess, width, height, rng),
            Steps::Validation(v, normalize, interpolation) => {
                Sample::validation(v, normalize, *interpolation, width, height)
            }
            Steps::ShorterSide(by) => Sample::whole(by, width, height, rng),
            Steps::ScaledCrop(by) => Sample::scaled_crop(by, width, height, rng),
        }
    }

    /// The same steps without those that are drawn.
    pub(crate) fn fixed(self) -> Preparation {
        match self.0 {
            Steps::Train(_) | Steps::ScaledCrop(_) => {
                panic!("training's random steps are not for validation")
            }
            Steps::ShorterSide(by) => ShorterSide { flip: None, ..by }.into(),
            Steps::Validation(..) => self,
        }
    }
}

impl From<Preprocess> for Preparation {
    fn from(preprocess: Preprocess) -> Preparation {
        Preparation(Steps::Train(Box::new(preprocess)))
    }
}

impl From<(Validation, Normalize, Interpolation)> for Preparation {
    fn from(
        (validation, normalize, interpolation): (Validation, Normalize, Interpolation),
    ) -> Preparation {
        Preparation(Steps::Validation(validation, normalize, interpolation))
    }
}

impl From<ShorterSide> for Preparation {
    fn from(by: ShorterSide) -> Preparation {
        Preparation(Steps::ShorterSide(by))
    }
}

impl From<ScaledCrop> for Preparation {
    fn from(by: ScaledCrop) -> Preparation {
        Preparation(Steps::ScaledCrop(by))
    }
}
