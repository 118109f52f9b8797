//! §6.1 What the region proposal network should answer for each anchor.
//!
//! Anchors that leave the image are ignored. Of the others, those are positive that overlap an object by `positive` or
//! more, and those that overlap some object at least as well as every other anchor does (all of them, where several do);
//! those are negative that overlap every object by less than `negative`. The authors decide on the negatives last.

use data::random::below;

use crate::geometry::Columns;
use recipe::{BorderAnchors, LowBest, Proposals};

/// The target of one anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnchorMark {
    Ignored,
    Negative,
    /// With the object that the anchor overlaps best.
    Positive(u32),
}

/// An overlap is as good as the best where it is at most this much smaller: the distance from 1 to the next f32.
const TIE: f32 = f32::EPSILON;

/// The target of each anchor in an image of width × height with these objects.
pub(crate) fn assigned(
    anchors: &[[f32; 4]],
    objects: &[[f32; 4]],
    [width, height]: [f32; 2],
    border: BorderAnchors,
    rules: &Proposals,
) -> Vec<AnchorMark> {
    let is_inside = |&[x0, y0, x1, y1]: &[f32; 4]| {
        border == BorderAnchors::Trained || (x0 >= 0.0 && y0 >= 0.0 && x1 < width && y1 < height)
    };
    let (mut places, mut inside) = (Vec::new(), Columns::default());
    for (place, anchor) in anchors.iter().enumerate().filter(|(_, anchor)| is_inside(anchor)) {
        places.push(place);
        inside.push(*anchor);
    }
    let count = inside.len();
    let (mut overlaps, mut best, mut of) = (vec![0.0; count], vec![-1.0; count], vec![0; count]);
    let mut most = Vec::new();
    for (number, &object) in objects.iter().enumerate() {
        inside.overlaps(object, &mut overlaps);
        keep_better(&overlaps, number as u32, &mut best, &mut of);
        most.push(overlaps.iter().fold(0.0f32, |most, &one| if one > most { one } else { most }));
    }
    let mut is_best = vec![false; count];
    for (&object, &most) in objects.iter().zip(&most) {
        inside.overlaps(object, &mut overlaps);
        let ties = is_best.iter_mut().zip(&overlaps);
        ties.for_each(|(is_best, &overlap)| *is_best |= overlap + TIE > most);
    }
    let mut marks = vec![AnchorMark::Ignored; anchors.len()];
    for at in 0..count {
        let is_negative = best[at] < rules.negative as f32;
        let is_positive = best[at] >= rules.positive as f32 || is_best[at];
        marks[places[at]] = match rules.low_best {
            _ if objects.is_empty() => AnchorMark::Negative,
            LowBest::Negative if is_negative => AnchorMark::Negative,
            _ if is_positive => AnchorMark::Positive(of[at]),
            _ if is_negative => AnchorMark::Negative,
            _ => AnchorMark::Ignored,
        };
    }
    marks
}

fn keep_better(overlaps: &[f32], number: u32, best: &mut [f32], of: &mut [u32]) {
    for ((&overlap, best), of) in overlaps.iter().zip(best).zip(of) {
        let is_better = overlap > *best;
        *best = if is_better { overlap } else { *best };
        *of = if is_better { number } else { *of };
    }
}

/// The anchors that the loss looks at: at most the share `positives` of `batch` are positive, negatives fill it up. Both
/// lists are in rising order.
pub(crate) fn sampled_anchors(
    marks: &[AnchorMark],
    rules: &Proposals,
    rng: &mut impl rand_chacha::rand_core::RngCore,
) -> [Vec<usize>; 2] {
    let places = |wanted: fn(&AnchorMark) -> bool| -> Vec<usize> {
        marks.iter().enumerate().filter(|(_, mark)| wanted(mark)).map(|(place, _)| place).collect()
    };
    let positives = places(|mark| matches!(mark, AnchorMark::Positive(_)));
    let negatives = places(|mark| *mark == AnchorMark::Negative);
    let most = (rules.batch as f64 * rules.positives).round() as usize;
    let positives = some_of(positives, most, rng);
    let negatives = some_of(negatives, rules.batch - positives.len(), rng);
    [positives, negatives]
}

/// At most `most` of the items, drawn without replacement, in their order.
pub(crate) fn some_of(
    mut items: Vec<usize>,
    most: usize,
    rng: &mut impl rand_chacha::rand_core::RngCore,
) -> Vec<usize> {
    let count = items.len();
    if count > most {
        for place in 0..most {
            items.swap(place, place + below(rng, (count - place) as u64) as usize);
        }
        items.truncate(most);
        items.sort_unstable();
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchors::{first_cell, grid};
    use crate::geometry::overlap;
    use crate::tests::paper;
    use data::random::{Stream, at, between};

    fn objects(seed: u64, count: usize, [width, height]: [f32; 2]) -> Vec<[f32; 4]> {
        let mut rng = at(seed, Stream::Augment, 0, 0);
        let mut one = |_| {
            let mut upto = |most: f32| between(&mut rng, [0.0, f64::from(most)]) as f32;
            let (x, y) = (upto(width - 20.0), upto(height - 20.0));
            [x, y, x + 4.0 + upto(width - x - 4.0), y + 4.0 + upto(height - y - 4.0)]
        };
        (0..count).map(&mut one).collect()
    }

    /// The rules one by one, each over all pairs.
    fn textbook(
        anchors: &[[f32; 4]],
        objects: &[[f32; 4]],
        [width, height]: [f32; 2],
        rules: &Proposals,
    ) -> Vec<AnchorMark> {
        let leaves = |a: &[f32; 4]| a[0] < 0.0 || a[1] < 0.0 || a[2] >= width || a[3] >= height;
        let pair = |a: &[f32; 4], o: &[f32; 4]| if leaves(a) { -1.0 } else { overlap(*a, *o) };
        let mut labels = vec![-1; anchors.len()];
        for object in objects {
            let most = anchors.iter().map(|anchor| pair(anchor, object)).fold(-1.0, f32::max);
            for (label, anchor) in labels.iter_mut().zip(anchors) {
                if pair(anchor, object) + f32::EPSILON > most {
                    *label = 1;
                }
            }
        }
        let mut marks = Vec::new();
        for (mut label, anchor) in labels.into_iter().zip(anchors) {
            let (mut most, mut of) = (-1.0, 0);
            for (number, object) in objects.iter().enumerate() {
                if pair(anchor, object) > most {
                    (most, of) = (pair(anchor, object), number as u32);
                }
            }
            if most >= rules.positive as f32 {
                label = 1;
            }
            if (0.0..rules.negative as f32).contains(&most) {
                label = 0;
            }
            marks.push(match label {
                1 => AnchorMark::Positive(of),
                0 => AnchorMark::Negative,
                _ => AnchorMark::Ignored,
            });
        }
        marks
    }

    #[test]
    fn targets_are_the_textbooks() {
        let settings = paper();
        let anchors = grid(&first_cell(&settings.anchors), [20, 27], 16);
        let size = [427.0, 320.0];
        for (seed, count) in [(0, 1), (1, 3), (2, 17), (3, 40)] {
            let objects = objects(seed, count, size);
            let found =
                assigned(&anchors, &objects, size, BorderAnchors::Ignored, &settings.proposals);
            assert!(found == textbook(&anchors, &objects, size, &settings.proposals), "{seed}");
        }
    }

    #[test]
    fn the_best_anchor_of_an_object_is_negative_or_positive_by_name() {
        let anchors = [[0.0, 0.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]];
        let (small, size) = ([[0.0, 0.0, 5.0, 4.0]], [100.0; 2]);
        let rules = paper().proposals;
        let marks = |low_best| {
            let rules = Proposals { low_best, ..rules };
            assigned(&anchors, &small, size, BorderAnchors::Ignored, &rules)
        };
        assert_eq!(marks(LowBest::Negative), [AnchorMark::Negative; 2]);
        assert_eq!(marks(LowBest::Positive), [AnchorMark::Positive(0), AnchorMark::Negative]);
    }

    #[test]
    fn anchors_outside_are_ignored_unless_they_are_trained() {
        let anchors = [[-1.0, 0.0, 10.0, 10.0], [0.0, 0.0, 100.0, 9.0], [0.0, 0.0, 99.0, 9.0]];
        let marks = |border| assigned(&anchors, &[], [100.0; 2], border, &paper().proposals);
        use AnchorMark::{Ignored, Negative};
        assert_eq!(marks(BorderAnchors::Ignored), [Ignored, Ignored, Negative]);
        assert_eq!(marks(BorderAnchors::Trained), [Negative; 3]);
    }

    #[test]
    fn samples_keep_their_shares() {
        let rules = Proposals { batch: 8, positives: 0.5, ..paper().proposals };
        let mut rng = at(3, Stream::Regions, 0, 0);
        for (positive, negative, expected) in
            [(10, 10, [4, 4]), (2, 10, [2, 6]), (10, 1, [4, 1]), (0, 30, [0, 8]), (0, 0, [0, 0])]
        {
            let mut marks = vec![AnchorMark::Positive(1); positive];
            marks.resize(positive + negative, AnchorMark::Negative);
            marks.push(AnchorMark::Ignored);
            let [positives, negatives] = sampled_anchors(&marks, &rules, &mut rng);
            assert_eq!([positives.len(), negatives.len()], expected);
            assert!(positives.is_sorted() && positives.iter().all(|&place| place < positive));
            assert!(negatives.iter().all(|&place| marks[place] == AnchorMark::Negative));
        }
    }

    /// 28,500 anchors and 100 objects; bounded only loosely, since tests share the machine.
    #[test]
    fn a_crowded_image_is_quick() {
        let settings = paper();
        let anchors = grid(&first_cell(&settings.anchors), [38, 50], 16);
        assert_eq!(anchors.len(), 28_500);
        let objects = objects(9, 100, [800.0, 600.0]);
        let start = std::time::Instant::now();
        let marks = assigned(
            &anchors,
            &objects,
            [800.0, 600.0],
            BorderAnchors::Ignored,
            &settings.proposals,
        );
        let took = start.elapsed();
        assert!(marks.iter().any(|mark| matches!(mark, AnchorMark::Positive(_))));
        assert!(took.as_millis() < 1000, "{took:?}");
    }
}
