//! What can be counted from a classifier's answers.

use record::PredictionRow;

/// How often each true class was predicted as each: `counts[label * classes + predicted]`.
pub(crate) fn confusion(predictions: &[PredictionRow], classes: usize) -> Vec<u64> {
    let mut counts = vec![0; classes * classes];
    for each in predictions {
        counts[each.label as usize * classes + each.predicted as usize] += 1;
    }
    counts
}

/// A true class, what it was taken for, and how often: the most frequent first, then in the order of the classes.
pub(crate) fn confused_pairs(
    predictions: &[PredictionRow],
    count: usize,
) -> Vec<(usize, usize, u64)> {
    let mut wrong: Vec<(usize, usize)> = predictions
        .iter()
        .filter(|each| !each.is_right())
        .map(|each| (each.label as usize, each.predicted as usize))
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

/// The images and the right answers of each class.
pub(crate) fn by_class(predictions: &[PredictionRow], classes: usize) -> Vec<(u64, u64)> {
    let mut counts = vec![(0, 0); classes];
    for each in predictions {
        let (images, right) = &mut counts[each.label as usize];
        *images += 1;
        *right += u64::from(each.is_right());
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(list: &[(u32, u32)]) -> Vec<PredictionRow> {
        let row = |&(label, predicted): &(u32, u32)| PredictionRow {
            step: 1,
            image: String::new(),
            label,
            predicted,
            confidence: 0.5,
            gap: f64::NAN,
        };
        list.iter().map(row).collect()
    }

    #[test]
    fn counts_are_of_pairs_and_of_classes() {
        let list = predictions(&[(0, 0), (0, 1), (1, 1), (2, 0), (0, 1), (2, 2)]);
        assert_eq!(confusion(&list, 3), [1, 2, 0, 0, 1, 0, 1, 0, 1]);
        assert_eq!(confused_pairs(&list, 9), [(0, 1, 2), (2, 0, 1)]);
        assert_eq!(confused_pairs(&list, 1), [(0, 1, 2)]);
        assert_eq!(by_class(&list, 3), [(3, 1), (1, 1), (2, 1)]);
    }
}
