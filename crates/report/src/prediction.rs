//! What a model said of each validation image, and what can be counted from it.

use serde::Deserialize;

/// A line of `predictions.jsonl`.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// The image's number among the validation images: its line, counted from 0.
    pub index: usize,
    /// Its path, or its name where it has none.
    pub image: String,
    /// The true class.
    pub label: usize,
    pub predicted: usize,
    /// The probability of the predicted class.
    pub confidence: f64,
    /// The largest logit minus the mean of the others (Figure 4b).
    pub gap: f64,
}

/// A line as it is written; what was not finite is null there.
#[derive(Deserialize)]
struct Row {
    image: String,
    label: usize,
    predicted: usize,
    confidence: Option<f64>,
    gap: Option<f64>,
}

impl Prediction {
    /// Reads line `index`.
    pub(crate) fn read(index: usize, line: &str) -> Option<Prediction> {
        let Row { image, label, predicted, confidence, gap } = serde_json::from_str(line).ok()?;
        let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
        let (confidence, gap) = (number(confidence), number(gap));
        Some(Prediction { index, image, label, predicted, confidence, gap })
    }

    pub(crate) fn is_right(&self) -> bool {
        self.label == self.predicted
    }
}

/// The mistakes the model was surest of, the surest first; of equally sure ones the earlier image.
pub(crate) fn surest_mistakes(predictions: &[Prediction], count: usize) -> Vec<&Prediction> {
    let wrong = predictions.iter().filter(|each| !each.is_right() && each.confidence.is_finite());
    let mut wrong: Vec<&Prediction> = wrong.collect();
    wrong.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then(a.index.cmp(&b.index)));
    wrong.truncate(count);
    wrong
}

/// How often each true class was predicted as each: `counts[label * classes + predicted]`.
pub(crate) fn confusion(predictions: &[Prediction], classes: usize) -> Vec<u64> {
    let mut counts = vec![0; classes * classes];
    for each in predictions {
        counts[each.label * classes + each.predicted] += 1;
    }
    counts
}

/// A true class, what it was taken for, and how often: the most frequent first, then in the order of the classes.
pub(crate) fn confused_pairs(predictions: &[Prediction], count: usize) -> Vec<(usize, usize, u64)> {
    let mut wrong: Vec<(usize, usize)> = predictions
        .iter()
        .filter(|each| !each.is_right())
        .map(|each| (each.label, each.predicted))
        .collect();
    wrong.sort_unstable();
    let mut pairs: Vec<(usize, usize, u64)> = wrong
        .chunk_by(|a, b| a == b)
        .map(|same| (same[0].0, same[0].1, same.len() as u64))
        .collect();
    pairs.sort_by(|a, b| b.2.cmp(&a.2).then(a.cmp(b)));
    pairs.truncate(count);
    pairs
}

/// Images and right answers of each class.
pub(crate) fn by_class(predictions: &[Prediction], classes: usize) -> Vec<(u64, u64)> {
    let mut counts = vec![(0, 0); classes];
    for each in predictions {
        counts[each.label].0 += 1;
        counts[each.label].1 += u64::from(each.is_right());
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(list: &[(usize, usize, f64)]) -> Vec<Prediction> {
        let read = |(index, (label, predicted, confidence)): (usize, &(usize, usize, f64))| {
            let line = format!(
                "{{\"step\": 1, \"image\": \"{index}.png\", \"label\": {label}, \"predicted\": {predicted}, \
                 \"confidence\": {confidence}, \"gap\": null}}"
            );
            Prediction::read(index, &line).unwrap()
        };
        list.iter().enumerate().map(read).collect()
    }

    #[test]
    fn counts_are_of_pairs_and_of_classes() {
        let list = predictions(&[
            (0, 0, 0.5),
            (0, 1, 0.9),
            (1, 1, 0.8),
            (2, 0, 0.9),
            (0, 1, 0.95),
            (2, 2, 0.4),
        ]);
        assert_eq!(confusion(&list, 3), [1, 2, 0, 0, 1, 0, 1, 0, 1]);
        assert_eq!(confused_pairs(&list, 9), [(0, 1, 2), (2, 0, 1)]);
        assert_eq!(confused_pairs(&list, 1), [(0, 1, 2)]);
        assert_eq!(by_class(&list, 3), [(3, 1), (1, 1), (2, 1)]);
        let mistakes: Vec<usize> =
            surest_mistakes(&list, 9).iter().map(|each| each.index).collect();
        assert_eq!(mistakes, [4, 1, 3]);
    }

    #[test]
    fn half_a_line_is_none() {
        assert_eq!(Prediction::read(0, "{\"image\": \"a\", \"lab"), None);
    }
}
