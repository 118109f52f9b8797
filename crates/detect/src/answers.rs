//! §6.1 From the answers of the second network to boxes with a class and a score.
//!
//! Scores are softmax(z). For each class but background, regions whose score is above the limit are corrected, and those
//! that a surer one of the class overlaps too much are dropped. There is no limit on the boxes of an image.

use serde::{Deserialize, Serialize};

use crate::coding::decoded;
use crate::geometry::{area, clipped};
use crate::suppression::suppressed;
use recipe::{Answers, ClipAnswers};

/// An object that the detector has found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FoundBox {
    pub corners: [f32; 4],
    pub class: u32,
    pub score: f32,
}

/// What the second network says of each region.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegionAnswers<'a> {
    pub regions: &'a [[f32; 4]],
    /// Logits of background and of each class, a row for each region.
    pub logits: &'a [f32],
    /// Codes of each class, a row for each region.
    pub codes: &'a [f32],
    pub classes: usize,
}

/// The objects in an image of width × height, in the pixels of that image, by falling score.
pub(crate) fn found(
    answers: RegionAnswers,
    size: [f32; 2],
    scales: [f64; 4],
    rules: &Answers,
) -> Vec<FoundBox> {
    let RegionAnswers { regions, logits, codes, classes } = answers;
    let scores: Vec<f32> = logits.chunks_exact(classes + 1).flat_map(softmax).collect();
    let scales = scales.map(|scale| scale as f32);
    let mut all = Vec::new();
    for class in 0..classes {
        let mut of_class: Vec<(f32, [f32; 4])> = Vec::new();
        for (place, &region) in regions.iter().enumerate() {
            let score = scores[place * (classes + 1) + class + 1];
            if score > rules.score as f32 {
                let code = &codes[(place * classes + class) * 4..][..4];
                let code = code.try_into().expect("four numbers");
                let corners = decoded(code, region, scales, None);
                let corners = match rules.clip {
                    ClipAnswers::AfterSuppression => corners,
                    ClipAnswers::BeforeSuppression => clipped(corners, size),
                };
                if corners.iter().all(|value| value.is_finite()) {
                    of_class.push((score, corners));
                }
            }
        }
        of_class.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        of_class.truncate(rules.most);
        let boxes: Vec<[f32; 4]> = of_class.iter().map(|(_, corners)| *corners).collect();
        for place in suppressed(&boxes, rules.overlap as f32, boxes.len()) {
            let corners = clipped(boxes[place], size);
            if area(corners) > 0.0 {
                all.push(FoundBox { corners, class: class as u32, score: of_class[place].0 });
            }
        }
    }
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    all
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|z| (z - most).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::paper;

    #[test]
    fn each_class_keeps_its_own_boxes() {
        let regions = [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0], [20.0, 20.0, 40.0, 60.0]];
        #[rustfmt::skip]
        let logits = [
            0.0, 3.0, 2.0,
            0.0, 4.0, 2.5,
            9.0, 0.0, 8.0,
        ];
        let codes = [0.0; 3 * 2 * 4];
        let settings = paper();
        let answers =
            RegionAnswers { regions: &regions, logits: &logits, codes: &codes, classes: 2 };
        let all = found(answers, [30.0, 50.0], settings.regions.scales, &settings.answers);
        let told: Vec<(u32, [f32; 4])> = all.iter().map(|one| (one.class, one.corners)).collect();
        assert_eq!(
            told,
            [
                (0, [0.0, 0.0, 10.0, 9.0]),
                (1, [20.0, 20.0, 30.0, 50.0]),
                (1, [0.0, 0.0, 10.0, 10.0]),
            ]
        );
        let expected = 4.0f32.exp() / (1.0 + 4.0f32.exp() + 2.5f32.exp());
        assert!((all[0].score - expected).abs() < 1e-6);
    }

    #[test]
    fn numbers_that_are_not_finite_find_nothing() {
        let regions = [[0.0, 0.0, 10.0, 10.0]];
        let settings = paper();
        for (logits, codes) in [([f32::NAN; 2], [0.0; 4]), ([0.0, 5.0], [f32::NAN; 4])] {
            let answers =
                RegionAnswers { regions: &regions, logits: &logits, codes: &codes, classes: 1 };
            assert!(
                found(answers, [30.0; 2], settings.regions.scales, &settings.answers).is_empty()
            );
        }
    }
}
