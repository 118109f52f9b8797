//! §6.1 From the answers of the region proposal network to the regions that go on.
//!
//! Anchors are corrected, cut at the edges of the image, dropped where a side is too short, and sorted by their score; of
//! the best ones, those that a better one overlaps too much are dropped. No gradient passes through here.

use crate::coding::decoded;
use crate::geometry::clipped;
use crate::suppression::suppressed;
use recipe::{Kept, Proposals};

/// The regions that the first network proposes in an image of width × height, the surest first. `logits` has one number for
/// each anchor, `codes` four. Boxes that are not finite are dropped.
pub(crate) fn proposals(
    anchors: &[[f32; 4]],
    logits: &[f32],
    codes: &[[f32; 4]],
    size: [f32; 2],
    rules: &Proposals,
    kept: Kept,
) -> Vec<[f32; 4]> {
    let mut found: Vec<(f32, [f32; 4])> = Vec::with_capacity(anchors.len());
    for ((&anchor, &logit), &code) in anchors.iter().zip(logits).zip(codes) {
        let corners = clipped(decoded(code, anchor, [1.0; 4], None), size);
        let [x0, y0, x1, y1] = corners;
        let least = rules.least_side as f32;
        let is_large = x1 - x0 >= least && y1 - y0 >= least;
        if is_large && logit.is_finite() {
            found.push((logit, corners));
        }
    }
    // Stable, so that of equal scores the first anchor comes first.
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    found.truncate(kept.before);
    let boxes: Vec<[f32; 4]> = found.into_iter().map(|(_, corners)| corners).collect();
    let stay = suppressed(&boxes, rules.overlap as f32, kept.after);
    stay.into_iter().map(|place| boxes[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::paper;

    const KEPT: Kept = Kept { before: 3, after: 2 };

    #[test]
    fn regions_come_by_their_score_without_small_and_overlapped_ones() {
        let anchors = [
            [0.0, 0.0, 20.0, 20.0],
            [40.0, 40.0, 60.0, 60.0],
            [41.0, 40.0, 61.0, 60.0],
            [70.0, 70.0, 80.0, 90.0],
            [80.0, 80.0, 120.0, 120.0],
        ];
        let still = [[0.0; 4]; 5];
        let logits = [0.5, 0.1, 0.9, 2.0, 0.7];
        let rules = paper().proposals;
        let found = proposals(&anchors, &logits, &still, [100.0; 2], &rules, KEPT);
        // The fourth has a side of 10 pixels; the fifth is cut at the edge; the second did not come in.
        assert_eq!(found, [anchors[2], [80.0, 80.0, 100.0, 100.0]]);
        let all = Kept { before: 9, after: 9 };
        let found = proposals(&anchors, &logits, &still, [100.0; 2], &rules, all);
        assert_eq!(found, [anchors[2], [80.0, 80.0, 100.0, 100.0], anchors[0]]);
    }

    #[test]
    fn numbers_that_are_not_finite_propose_nothing() {
        let anchors = [[0.0, 0.0, 20.0, 20.0]; 3];
        let nan = [f32::NAN; 4];
        let codes = [nan, [0.0; 4], [0.0, 0.0, 1e9, 1e9]];
        let logits = [1.0, f32::NAN, 0.0];
        let found = proposals(&anchors, &logits, &codes, [50.0; 2], &paper().proposals, KEPT);
        assert!(found.iter().flatten().all(|value| value.is_finite()), "{found:?}");
        assert!(found.len() <= 1);
    }
}
