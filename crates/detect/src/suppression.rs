//! Non-maximum suppression: of boxes that overlap, the surest one stays.

use crate::geometry::{Columns, area};

/// The places of the boxes that stay, the surest first, at most `most` of them. `boxes` come in the order of falling
/// scores; a box is dropped where a surer one that stays overlaps it by more than `limit`.
pub(crate) fn suppressed(boxes: &[[f32; 4]], limit: f32, most: usize) -> Vec<usize> {
    let mut kept = Vec::new();
    let mut sizes = Sizes::new(limit);
    for (place, &corners) in boxes.iter().enumerate() {
        if kept.len() == most {
            break;
        }
        if !sizes.any_over(corners, limit) {
            sizes.add(corners);
            kept.push(place);
        }
    }
    kept
}

/// Boxes by the logarithm of their area: two whose areas differ by more than the factor 1/limit overlap by less than the
/// limit, so only neighbouring groups have to be compared.
struct Sizes {
    /// The width of a group; None where every box has to be compared with every other.
    step: Option<f32>,
    first: i32,
    groups: Vec<Columns>,
}

/// A group reaches a little further than the limit says, so that rounding never decides.
const MARGIN: f32 = 1.001;
/// More groups than this are not worth their memory.
const MOST_GROUPS: i32 = 4096;

impl Sizes {
    fn new(limit: f32) -> Sizes {
        let step = (limit > 0.05 && limit < 1.0).then(|| -limit.log2() * MARGIN);
        Sizes { step: step.filter(|&step| step > 0.01), first: 0, groups: Vec::new() }
    }

    fn group(&self, corners: [f32; 4]) -> i32 {
        match self.step {
            Some(step) => {
                let group = (area(corners).max(f32::MIN_POSITIVE).log2() / step).floor();
                (group as i32).clamp(-MOST_GROUPS / 2, MOST_GROUPS / 2)
            }
            None => 0,
        }
    }

    fn any_over(&self, corners: [f32; 4], limit: f32) -> bool {
        let group = self.group(corners);
        (group - 1..=group + 1).any(|near| {
            let place = usize::try_from(near - self.first).ok();
            let columns = place.and_then(|place| self.groups.get(place));
            columns.is_some_and(|columns| columns.any_over(corners, limit))
        })
    }

    fn add(&mut self, corners: [f32; 4]) {
        let group = self.group(corners);
        if self.groups.is_empty() {
            self.first = group;
        }
        if group < self.first {
            let more = (self.first - group) as usize;
            self.groups.splice(0..0, std::iter::repeat_n(Columns::default(), more));
            self.first = group;
        }
        let place = (group - self.first) as usize;
        if place >= self.groups.len() {
            self.groups.resize_with(place + 1, Columns::default);
        }
        self.groups[place].push(corners);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::overlap;
    use data::random::{Stream, at, between};

    fn textbook(boxes: &[[f32; 4]], limit: f32, most: usize) -> Vec<usize> {
        let mut kept: Vec<usize> = Vec::new();
        for (place, &corners) in boxes.iter().enumerate() {
            if kept.iter().all(|&other| overlap(boxes[other], corners) <= limit) {
                kept.push(place);
            }
        }
        kept.truncate(most);
        kept
    }

    fn crowd(seed: u64, count: usize) -> Vec<[f32; 4]> {
        let mut rng = at(seed, Stream::Augment, 0, 0);
        let one = |_| {
            let [x, y] = [0, 1].map(|_| between(&mut rng, [0.0, 800.0]) as f32);
            let [w, h] = [0, 1].map(|_| between(&mut rng, [2.0, 7.0]).exp2() as f32 * 2.0);
            [x, y, x + w, y + h]
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn grouping_by_size_changes_nothing() {
        for (seed, limit) in
            [(0, 0.7), (1, 0.3), (2, 0.5), (3, 0.95), (4, 0.01), (5, 1.0), (6, 0.0)]
        {
            let boxes = crowd(seed, 400);
            assert_eq!(suppressed(&boxes, limit, 400), textbook(&boxes, limit, 400), "{limit}");
            assert_eq!(suppressed(&boxes, limit, 7), textbook(&boxes, limit, 7), "{limit}");
        }
    }

    #[test]
    fn equal_overlap_does_not_suppress_and_empty_boxes_stay() {
        let boxes = [
            [0.0, 0.0, 2.0, 2.0],
            [0.0, 0.0, 1.0, 2.0],
            [5.0, 5.0, 5.0, 9.0],
            [5.0, 5.0, 5.0, 9.0],
        ];
        assert_eq!(suppressed(&boxes, 0.5, 9), [0, 1, 2, 3]);
        assert_eq!(suppressed(&boxes, 0.49, 9), [0, 2, 3]);
        assert_eq!(suppressed(&[], 0.5, 9), [] as [usize; 0]);
    }

    /// 12,000 boxes, as training has them; the time is printed, and bounded only loosely since tests share the machine.
    #[test]
    fn twelve_thousand_boxes_are_quick() {
        let boxes = crowd(7, 12_000);
        let start = std::time::Instant::now();
        let kept = suppressed(&boxes, 0.7, 2000);
        let took = start.elapsed();
        assert_eq!(kept.len(), 2000);
        assert!(took.as_millis() < 1000, "{took:?}");
    }
}
