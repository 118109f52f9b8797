//! §6.1: the whole image, resized so that its shorter side is as long as asked, unless the longer one then becomes too
//! long; and flipped. Samples are as large as their images ask.
//!
//! s = side/min(w, h), or longest/max(w, h) where ⌊s·max(w, h)⌉ > longest; the size becomes ⌊s·w⌉ × ⌊s·h⌉ (halves to even).
//!
//! Deviation: shrinking is antialiased, as everywhere here; the authors' OpenCV takes four pixels for each, however many the
//! image loses.

use recipe::Normalize;

use super::{Sample, Scratch};
use crate::RgbImage;
use crate::random::{self, Stream};

/// Which size images become, how often they are flipped, and their normalisation.
#[derive(Clone, Debug, PartialEq)]
pub struct ShorterSide {
    /// Pixels of the shorter side.
    pub side: usize,
    /// Pixels that the longer side has at most.
    pub longest: usize,
    /// The probability that a training image is flipped.
    pub flip: Option<f64>,
    pub normalize: Normalize,
}

impl ShorterSide {
    /// The values of a whole image, height × width × 3, and its width and height then. It is not flipped.
    pub fn sample(&self, image: &RgbImage) -> (Vec<f32>, [usize; 2]) {
        let by = ShorterSide { flip: None, ..self.clone() };
        // Nothing is drawn from it.
        let mut rng = random::at(0, Stream::Augment, 0, 0);
        let sample = Sample::whole(&by, image.width, image.height, &mut rng);
        let [width, height] = self.size(image.width, image.height);
        let mut values = vec![0.0; width * height * 3];
        sample.write(&mut Scratch::default(), image.into(), &mut values);
        (values, [width, height])
    }

    /// Width and height that an image of width × height becomes.
    pub(crate) fn size(&self, width: usize, height: usize) -> [usize; 2] {
        let longer = width.max(height) as f64;
        let by_side = self.side as f64 / width.min(height) as f64;
        let too_long = (by_side * longer).round_ties_even() > self.longest as f64;
        let scale = if too_long { self.longest as f64 / longer } else { by_side };
        let most = self.longest.max(self.side);
        [width, height]
            .map(|edge| ((edge as f64 * scale).round_ties_even() as usize).clamp(1, most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_authors() {
        let normalize = Normalize { mean: [0.0; 3], std: [1.0; 3] };
        let by = ShorterSide { side: 600, longest: 1000, flip: None, normalize };
        for (image, expected) in [
            ((500, 375), [800, 600]),
            ((375, 500), [600, 800]),
            ((600, 1000), [600, 1000]),
            // 1000.4 rounds to what is allowed, 1001 is too long.
            ((2501, 1500), [1000, 600]),
            ((1001, 600), [1000, 599]),
            ((500, 200), [1000, 400]),
            ((10_000, 1), [1000, 1]),
            ((1, 1), [600, 600]),
        ] {
            assert_eq!(by.size(image.0, image.1), expected, "{image:?}");
        }
    }
}
