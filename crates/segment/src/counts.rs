//! §6.2 Pixel accuracy and mean IoU, from counts over all pixels of a set.
//!
//! Of each class c: the pixels that are c in truth and answer (its intersection), and those that are c in either (its union).
//! pixAcc = Σ intersections / labelled pixels, IoU_c = intersection / union, mIoU = their mean over the classes. Pixels that
//! are ignored in the truth count for nothing, whatever the answer is there.

use data::{IGNORED, Mask};
use recipe::AbsentClasses;

/// The pixels of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassCounts {
    /// Pixels of the class in truth and answer.
    pub both: u64,
    pub truth: u64,
    pub answer: u64,
}

impl ClassCounts {
    /// Intersection over union, from 0 to 1; None where the class is in neither.
    pub fn iou(&self) -> Option<f64> {
        let union = self.truth + self.answer - self.both;
        (union > 0).then(|| self.both as f64 / union as f64)
    }
}

/// Counts of a set of masks, by class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PixelCounts {
    pub classes: Vec<ClassCounts>,
}

impl PixelCounts {
    pub fn none(classes: usize) -> PixelCounts {
        PixelCounts { classes: vec![ClassCounts::default(); classes] }
    }

    /// The counts of one image.
    ///
    /// # Panics
    /// Where the two masks have different sizes, or a class is not below `classes`.
    pub fn of(truth: &Mask<u16>, answer: &[u16], classes: usize) -> PixelCounts {
        assert_eq!(truth.indices.len(), answer.len(), "counts: pixels of truth and answer");
        let mut counts = PixelCounts::none(classes);
        for (&truth, &answer) in truth.indices.iter().zip(answer) {
            if truth == IGNORED {
                continue;
            }
            counts.classes[usize::from(truth)].truth += 1;
            counts.classes[usize::from(answer)].answer += 1;
            counts.classes[usize::from(truth)].both += u64::from(truth == answer);
        }
        counts
    }

    pub fn add(&mut self, other: &PixelCounts) {
        for (own, other) in self.classes.iter_mut().zip(&other.classes) {
            own.both += other.both;
            own.truth += other.truth;
            own.answer += other.answer;
        }
    }

    /// The share of labelled pixels whose class is right, from 0 to 1; 0 where none is labelled.
    pub fn pixel_accuracy(&self) -> f64 {
        let sum = |of: fn(&ClassCounts) -> u64| self.classes.iter().map(of).sum::<u64>() as f64;
        let labelled = sum(|class| class.truth);
        if labelled == 0.0 { 0.0 } else { sum(|class| class.both) / labelled }
    }

    /// The mean IoU of all classes, from 0 to 1.
    pub fn mean_iou(&self, absent: AbsentClasses) -> f64 {
        let found: Vec<f64> = self
            .classes
            .iter()
            .filter_map(|class| match (class.iou(), absent) {
                (Some(iou), _) => Some(iou),
                (None, AbsentClasses::Zero) => Some(0.0),
                (None, AbsentClasses::Skipped) => None,
                (None, AbsentClasses::NotANumber) => Some(f64::NAN),
            })
            .collect();
        if found.is_empty() { 0.0 } else { found.iter().sum::<f64>() / found.len() as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(indices: Vec<u16>) -> Mask<u16> {
        Mask { width: indices.len(), height: 1, indices }
    }

    /// By hand: class 0 has 1 of 2, class 1 has 2 of 4, class 2 is only answered, class 3 is nowhere.
    #[test]
    fn counts_ignore_what_is_not_labelled_and_divide_by_unions() {
        let truth = mask(vec![0, 0, 1, 1, 1, IGNORED]);
        let counts = PixelCounts::of(&truth, &[0, 1, 1, 1, 2, 3], 4);
        assert!((counts.pixel_accuracy() - 3.0 / 5.0).abs() < 1e-12);
        let ious: Vec<Option<f64>> = counts.classes.iter().map(ClassCounts::iou).collect();
        assert_eq!(ious, [Some(0.5), Some(0.5), Some(0.0), None]);
        assert_eq!(counts.mean_iou(AbsentClasses::Zero), 0.25);
        assert!((counts.mean_iou(AbsentClasses::Skipped) - 1.0 / 3.0).abs() < 1e-12);
        assert!(counts.mean_iou(AbsentClasses::NotANumber).is_nan());
    }

    /// The benchmark's samples: answers that equal the truth, with 15 of 150 classes.
    #[test]
    fn a_perfect_answer_with_a_tenth_of_the_classes_has_a_mean_iou_of_a_tenth() {
        let truth = mask((0..300).map(|at| at % 15 * 10).collect());
        let counts = PixelCounts::of(&truth, &truth.indices, 150);
        assert_eq!(counts.pixel_accuracy(), 1.0);
        assert!((counts.mean_iou(AbsentClasses::Zero) - 0.1).abs() < 1e-12);
        assert_eq!(counts.mean_iou(AbsentClasses::Skipped), 1.0);
    }

    #[test]
    fn the_counts_of_a_set_are_sums_and_an_empty_set_has_no_nan() {
        let truth = mask(vec![0, 1]);
        let mut sum = PixelCounts::none(2);
        assert_eq!((sum.pixel_accuracy(), sum.mean_iou(AbsentClasses::Skipped)), (0.0, 0.0));
        for answer in [[0, 1], [1, 1]] {
            sum.add(&PixelCounts::of(&truth, &answer, 2));
        }
        assert_eq!(sum.pixel_accuracy(), 0.75);
        assert_eq!(sum.classes[1], ClassCounts { both: 2, truth: 2, answer: 3 });
        let ignored = mask(vec![IGNORED; 4]);
        assert_eq!(PixelCounts::of(&ignored, &[0; 4], 2).pixel_accuracy(), 0.0);
    }
}
