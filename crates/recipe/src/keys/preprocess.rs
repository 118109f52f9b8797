//! `[preprocess]`: the six steps of §2.1 and what practitioners add to them; `[validation]`.

use super::recipe::CLASSIFICATION;
use super::rules::{
    AREA, ASPECT, COEFFICIENT, COUNT, DEVIATION, EDGE, INNER_AREA, MAGNITUDE, MEAN, NOT_NEGATIVE,
    PROBABILITY,
};
use super::*;

table! {
    /// The six steps of §2.1 and what practitioners add to them. Step 1, decoding, has no parameter.
    pub struct Preprocess {
        /// Side of the square a training image becomes, pixels.
        size: Option<usize> = key("224").rules(EDGE).only(CLASSIFICATION).needed(),
        crop: Option<Crop> = key("").only(CLASSIFICATION),
        /// Probability of a horizontal flip (step 3).
        flip: Option<f64> = key("0.5").rules(PROBABILITY),
        randaugment: Option<RandAugment> = key("").only(CLASSIFICATION),
        jitter: Option<Jitter> = key("").only(CLASSIFICATION),
        color: Option<Color> = key("").only(CLASSIFICATION),
        /// Standard deviation of the PCA noise coefficients (step 5); 0.1 in the paper.
        pca_noise: Option<f64> = key("0.1").rules(NOT_NEGATIVE).only(CLASSIFICATION),
        normalize: Normalize = key(""),
        erasing: Option<Erasing> = key("").only(CLASSIFICATION),
    }
}

impl Preprocess {
    /// Side of the square a training image becomes, in a recipe of classification.
    ///
    /// # Panics
    /// For another task, whose own table says how large images become.
    pub fn side(&self) -> usize {
        self.size.expect("a recipe of classification has preprocess.size")
    }
}

table! {
    /// Step 2: a random rectangle.
    #[derive(Copy)]
    pub struct Crop {
        /// Its share of the image's area.
        area: [f64; 2] = key("[0.08, 1.0]").rules(AREA),
        /// Its width / height.
        aspect: [f64; 2] = key("[0.75, 1.3333333333333333]").rules(ASPECT),
    }
}

table! {
    /// Step 4: ranges of the coefficients, [0.6, 1.4] in the paper.
    #[derive(Copy)]
    pub struct Color {
        /// Range of the hue's coefficient c, a rotation in YIQ by (c − 1)π.
        hue: [f64; 2] = key("[0.6, 1.4]").rules(COEFFICIENT),
        /// Range of the saturation's coefficient.
        saturation: [f64; 2] = key("[0.6, 1.4]").rules(COEFFICIENT),
        /// Range of the brightness' coefficient.
        brightness: [f64; 2] = key("[0.6, 1.4]").rules(COEFFICIENT),
    }
}

table! {
    /// Step 4 of the authors' code, in the place of `preprocess.color`: brightness, contrast and saturation in a random
    /// order, on 8-bit pixels, with coefficients from these ranges.
    #[derive(Copy)]
    pub struct Jitter {
        /// Range of the brightness' coefficient.
        brightness: [f64; 2] = key("[0.6, 1.4]").rules(COEFFICIENT),
        /// Range of the contrast's coefficient.
        contrast: [f64; 2] = key("[0.6, 1.4]").rules(COEFFICIENT),
        /// Range of the saturation's coefficient.
        saturation: [f64; 2] = key("[0.6, 1.4]").rules(COEFFICIENT),
    }
}

table! {
    /// RandAugment (Cubuk et al. 2019), after step 3.
    #[derive(Copy)]
    pub struct RandAugment {
        /// Operations per image.
        operations: usize = key("2").rules(COUNT),
        /// Magnitude of each operation.
        magnitude: f64 = key("9.0").rules(MAGNITUDE),
    }
}

table! {
    /// Random erasing (Zhong et al. 2017) of a rectangle, after step 6.
    #[derive(Copy)]
    pub struct Erasing {
        /// Probability that an image loses a rectangle.
        probability: f64 = key("0.25").rules(PROBABILITY),
        /// The rectangle's share of the image's area.
        area: [f64; 2] = key("[0.02, 0.4]").rules(INNER_AREA),
        /// The rectangle's height / width.
        aspect: [f64; 2] = key("[0.3, 3.3333333333333335]").rules(ASPECT),
    }
}

table! {
    /// Step 6, per channel, in levels of 0 to 255.
    #[derive(Copy)]
    pub struct Normalize {
        /// Subtracted from red, green and blue.
        mean: [f64; 3] = key("[123.68, 116.779, 103.939]").rules(MEAN),
        /// Divides red, green and blue.
        std: [f64; 3] = key("[58.393, 57.12, 57.375]").rules(DEVIATION),
    }
}

impl Normalize {
    /// How far two means or deviations may lie apart and still count as equal, in levels of 0..=255. Other programs store
    /// them as shares of 255, rounded.
    const LEVELS: f64 = 0.05;

    /// Whether the two are the same but for rounding.
    pub fn is_near(self, other: Normalize) -> bool {
        let pairs = self.mean.iter().zip(other.mean).chain(self.std.iter().zip(other.std));
        pairs.into_iter().all(|(a, b)| (a - b).abs() <= Normalize::LEVELS)
    }
}

table! {
    /// How a validation image is cut: its center square, after resizing.
    #[derive(Copy, Eq)]
    pub struct Validation {
        /// Pixels that the shorter edge is resized to.
        resize: usize = key("256").rules(EDGE),
        /// Side of the center square, pixels.
        crop: usize = key("224").rules(EDGE),
    }
}
