//! The class of every pixel of an image by a trained segmenter: of its center crop, of the image whole, or as the authors'
//! final score has it, from six scales.
//!
//! The final score: for each scale s the longer side becomes ⌈base · s⌉ and the normalized image is resized bilinearly with
//! corners on corners. If that fits the crop, it is padded to it with black; else windows of the crop are taken, two thirds
//! of it apart, and averaged. Each run gives exp(z + mirrored z of the mirrored input); the scales' results are resized to
//! the image and added up.
//!
//! Deviation: an exponent above 80 counts as 80, since infinities would make NaN where they are averaged.

use data::{Geometry, Mask, RgbImage, validation_sample};
use nn::{Model, Pass, Precision, Tensor, TensorData, bilinear, bilinear_argmax, stored};
use recipe::{
    EvaluationMode, Interpolation, Normalize, Recipe, Segmentation, Upsampling, Validation,
};

use crate::network::Segmenter;
use crate::task::LabelledPicture;

const SCALES: [f64; 6] = [0.5, 0.75, 1.0, 1.25, 1.5, 1.75];
const GREATEST_EXPONENT: f32 = 80.0;

/// A trained segmenter with what its recipe says of evaluation.
pub(crate) struct Scorer<'a> {
    model: &'a Model<Segmenter>,
    settings: &'a Segmentation,
    normalize: Normalize,
}

/// Values of an image or of its scores, `[height, width, channels]`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plane {
    pub(crate) size: [usize; 2],
    pub(crate) channels: usize,
    pub(crate) values: Vec<f32>,
}

impl<'a> Scorer<'a> {
    pub(crate) fn new(model: &'a Model<Segmenter>, recipe: &'a Recipe) -> Scorer<'a> {
        let normalize = recipe.preprocess.normalize;
        Scorer { model, settings: recipe.segmentation(), normalize }
    }

    /// The truth and the answer for a validation image, in the size in which they are compared.
    pub(crate) fn scored(&self, picture: &LabelledPicture) -> (Mask<u16>, Vec<u16>) {
        let LabelledPicture { image, truth } = picture;
        match self.settings.evaluation {
            EvaluationMode::Center => {
                let crop = self.settings.crop;
                let (plane, geometry) = self.center(image);
                let truth =
                    data::Annotation::prepare(truth, [image.width, image.height], &geometry);
                let answer = self.argmax(&plane, [crop; 2]);
                (truth.expect("a mask of its image's size"), answer)
            }
            EvaluationMode::Whole | EvaluationMode::MultiScale => {
                (truth.clone(), self.answer(image))
            }
        }
    }

    /// The class of every pixel of an image, whose size stays.
    pub(crate) fn answer(&self, image: &RgbImage) -> Vec<u16> {
        let plane = self.normalized(image);
        match self.settings.evaluation {
            EvaluationMode::MultiScale => self.multi_scale(&plane).argmax(),
            EvaluationMode::Center | EvaluationMode::Whole => self.argmax(&plane, plane.size),
        }
    }

    fn center(&self, image: &RgbImage) -> (Plane, Geometry) {
        let side = self.settings.crop;
        let mut values = vec![0.0; side * side * 3];
        let validation = Validation { resize: side, crop: side };
        let geometry = validation_sample(
            &validation,
            &self.normalize,
            Interpolation::Bilinear,
            image,
            &mut values,
        );
        (Plane { size: [side; 2], channels: 3, values }, geometry)
    }

    pub(crate) fn normalized(&self, image: &RgbImage) -> Plane {
        let Normalize { mean, std } = self.normalize;
        let value =
            |(at, &level): (usize, &u8)| ((f64::from(level) - mean[at % 3]) / std[at % 3]) as f32;
        let values = image.pixels.iter().enumerate().map(value).collect();
        Plane { size: [image.height, image.width], channels: 3, values }
    }

    fn align_corners(&self) -> bool {
        self.settings.upsampling == Upsampling::Corners
    }

    fn coarse(&self, plane: &Plane) -> Tensor<4> {
        let leaves = self.model.parameters.constant();
        let pass = Pass::evaluation(&leaves, &self.model.statistics);
        self.model.module.forward(&pass, plane.tensor(self.model))
    }

    fn argmax(&self, plane: &Plane, size: [usize; 2]) -> Vec<u16> {
        bilinear_argmax(self.coarse(plane), size, self.align_corners())
    }

    /// exp(z + mirrored z of the mirrored image).
    fn both_ways(&self, plane: &Plane) -> Plane {
        let run = |plane: &Plane| {
            Plane::of(bilinear(self.coarse(plane), plane.size, self.align_corners()))
        };
        let mut sum = run(plane);
        let other = run(&plane.mirrored()).mirrored();
        for (sum, other) in sum.values.iter_mut().zip(other.values) {
            *sum = (*sum + other).min(GREATEST_EXPONENT).exp();
        }
        sum
    }

    /// The scores of every pixel, over all scales.
    pub(crate) fn multi_scale(&self, plane: &Plane) -> Plane {
        let mut scores: Option<Plane> = None;
        for scale in SCALES {
            let size = scaled(plane.size, (self.settings.base as f64 * scale).ceil() as usize);
            let at_scale = self.windows(&plane.resized(size, self.model));
            let at_scale = at_scale.resized(plane.size, self.model);
            match &mut scores {
                None => scores = Some(at_scale),
                Some(scores) => scores.add(&at_scale),
            }
        }
        scores.expect("there are scales")
    }

    /// The scores of an image at one scale.
    fn windows(&self, plane: &Plane) -> Plane {
        let crop = self.settings.crop;
        let black = self.black();
        let [height, width] = plane.size;
        if height.max(width) <= crop {
            return self.both_ways(&plane.padded([crop; 2], black)).cut([0, 0], plane.size);
        }
        let padded = plane.padded([height.max(crop), width.max(crop)], black);
        let [tall, wide] = padded.size;
        let apart = crop * 2 / 3;
        let starts = |side: usize| (0..=(side - crop).div_ceil(apart)).map(move |at| at * apart);
        let mut sum = Plane::zeros([tall, wide], self.model.module.classes);
        let mut counts = vec![0.0f32; tall * wide];
        for top in starts(tall) {
            for left in starts(wide) {
                let size = [tall.min(top + crop) - top, wide.min(left + crop) - left];
                let window = padded.cut([top, left], size).padded([crop; 2], black);
                sum.add_at([top, left], &self.both_ways(&window).cut([0, 0], size));
                for row in counts.chunks_exact_mut(wide).skip(top).take(size[0]) {
                    row[left..left + size[1]].iter_mut().for_each(|count| *count += 1.0);
                }
            }
        }
        for (pixel, count) in sum.values.chunks_exact_mut(sum.channels).zip(counts) {
            pixel.iter_mut().for_each(|value| *value /= count);
        }
        sum.cut([0, 0], plane.size)
    }

    /// A black pixel after normalization.
    fn black(&self) -> [f32; 3] {
        let Normalize { mean, std } = self.normalize;
        [0, 1, 2].map(|channel| (-mean[channel] / std[channel]) as f32)
    }
}

/// Height and width when the longer side becomes `longer`, the other ⌊side · longer/longest + ½⌋.
fn scaled([height, width]: [usize; 2], longer: usize) -> [usize; 2] {
    let longest = height.max(width);
    let other = |side: usize| ((side * longer) as f64 / longest as f64 + 0.5) as usize;
    match height > width {
        true => [longer, other(width).max(1)],
        false => [other(height).max(1), longer],
    }
}

impl Plane {
    fn zeros(size: [usize; 2], channels: usize) -> Plane {
        Plane { size, channels, values: vec![0.0; size[0] * size[1] * channels] }
    }

    /// Of a tensor `[1, h, w, c]`.
    fn of(tensor: Tensor<4>) -> Plane {
        let [_, height, width, channels] = tensor.dims();
        let values = stored(tensor, Precision::F32).into_data();
        let values = values.try_into_vec().expect("scores are f32");
        Plane { size: [height, width], channels, values }
    }

    fn tensor(&self, model: &Model<Segmenter>) -> Tensor<4> {
        let shape = [1, self.size[0], self.size[1], self.channels];
        Tensor::from_data(TensorData::new(self.values.clone(), shape), &model.device)
    }

    fn resized(&self, size: [usize; 2], model: &Model<Segmenter>) -> Plane {
        if size == self.size {
            return self.clone();
        }
        Plane::of(bilinear(self.tensor(model), size, true))
    }

    fn row(&self, y: usize) -> &[f32] {
        let length = self.size[1] * self.channels;
        &self.values[y * length..][..length]
    }

    fn mirrored(&self) -> Plane {
        let mut mirrored = Vec::with_capacity(self.values.len());
        for y in 0..self.size[0] {
            mirrored.extend(self.row(y).chunks_exact(self.channels).rev().flatten());
        }
        Plane { values: mirrored, ..*self }
    }

    /// The plane at the top left of a larger one of one color.
    fn padded(&self, size: [usize; 2], color: [f32; 3]) -> Plane {
        if size == self.size {
            return self.clone();
        }
        let mut large = Plane::zeros(size, self.channels);
        large.values.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&color));
        let rows = large.values.chunks_exact_mut(size[1] * self.channels);
        for (y, row) in rows.take(self.size[0]).enumerate() {
            row[..self.size[1] * self.channels].copy_from_slice(self.row(y));
        }
        large
    }

    fn cut(&self, [top, left]: [usize; 2], size: [usize; 2]) -> Plane {
        let part = left * self.channels..(left + size[1]) * self.channels;
        let values = (top..top + size[0]).flat_map(|y| &self.row(y)[part.clone()]).copied();
        Plane { size, channels: self.channels, values: values.collect() }
    }

    fn add(&mut self, other: &Plane) {
        self.values.iter_mut().zip(&other.values).for_each(|(own, other)| *own += other);
    }

    fn add_at(&mut self, [top, left]: [usize; 2], other: &Plane) {
        let (wide, start) = (self.size[1] * self.channels, left * self.channels);
        for y in 0..other.size[0] {
            let row = &mut self.values[(top + y) * wide + start..][..other.size[1] * self.channels];
            row.iter_mut().zip(other.row(y)).for_each(|(own, other)| *own += other);
        }
    }

    /// The class of the largest score of each pixel, the lower one of equal ones.
    fn argmax(&self) -> Vec<u16> {
        let largest = |pixel: &[f32]| {
            let mut best = 0;
            for (class, &value) in pixel.iter().enumerate() {
                if value > pixel[best] {
                    best = class;
                }
            }
            best as u16
        };
        self.values.chunks_exact(self.channels).map(largest).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_scale_as_the_authors_do() {
        for (size, longer, expected) in [
            ([480, 640], 520, [390, 520]),
            ([640, 481], 260, [260, 195]),
            ([512, 683], 910, [682, 910]),
            ([3, 1000], 390, [1, 390]),
            ([100, 100], 650, [650, 650]),
        ] {
            assert_eq!(scaled(size, longer), expected, "{size:?}");
        }
    }

    #[test]
    fn planes_are_cut_padded_and_mirrored_by_pixels() {
        let plane = Plane { size: [1, 2], channels: 3, values: vec![1., 2., 3., 4., 5., 6.] };
        assert_eq!(plane.mirrored().values, [4., 5., 6., 1., 2., 3.]);
        let padded = plane.padded([2, 3], [7., 8., 9.]);
        assert_eq!(padded.values[3..9], [4., 5., 6., 7., 8., 9.]);
        assert_eq!(padded.values[9..12], [7., 8., 9.]);
        assert_eq!(padded.cut([0, 0], [1, 2]), plane);
        let mut sum = Plane::zeros([2, 3], 3);
        sum.add_at([1, 1], &plane);
        assert_eq!(sum.cut([1, 1], [1, 2]), plane);
        assert_eq!(sum.argmax(), [0, 0, 0, 0, 2, 2]);
    }
}
