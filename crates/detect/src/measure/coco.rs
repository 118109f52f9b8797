//! COCO's twelve numbers, as pycocotools computes them.
//!
//! For each class and image, the 100 surest boxes are matched in the order of their scores: each takes the free object of
//! its class that it overlaps best, by at least the threshold; of equal overlaps the later one. Objects that do not count
//! (crowds, difficult ones, those of another size) come last and are taken only where no other matches; what they take
//! does not count either. A crowd may be taken often, and its overlap is the share of the box inside it. A box without a
//! match does not count where its own size is another one. Precision, made monotone from the right, is read at 101 recalls.

use super::scene::{Scene, area, shared, wide};

/// Boxes of a class in an image that are looked at.
const MOST: [usize; 3] = [1, 10, 100];
/// Square pixels: all, small, medium, large; both ends belong to a range.
const SIZES: [[f64; 2]; 4] = [[0.0, 1e10], [0.0, 1024.0], [1024.0, 9216.0], [9216.0, 1e10]];
const THRESHOLDS: usize = 10;
const RECALLS: usize = 101;
/// numpy.spacing(1), which keeps 0/0 from happening.
const SPACING: f64 = f64::EPSILON;

/// The twelve numbers, from 0 to 1; −1 where there is no object to measure by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CocoPrecision(pub [f64; 12]);

impl CocoPrecision {
    /// The names of the numbers, in their order.
    pub const NAMES: [&str; 12] = [
        "average_precision",
        "average_precision_50",
        "average_precision_75",
        "average_precision_small",
        "average_precision_medium",
        "average_precision_large",
        "average_recall_1",
        "average_recall_10",
        "average_recall_100",
        "average_recall_small",
        "average_recall_medium",
        "average_recall_large",
    ];
}

/// Measures the answers of a detector that knows `classes` classes.
pub fn coco_precision(scenes: &[Scene], classes: usize) -> CocoPrecision {
    let mut table = Table::default();
    for class in 0..classes as u32 {
        let looks: Vec<Look> = scenes.iter().map(|scene| Look::at(scene, class)).collect();
        for (size, range) in SIZES.iter().enumerate() {
            let matched: Vec<Matched> = looks.iter().map(|look| look.matched(*range)).collect();
            for (limit, &most) in MOST.iter().enumerate() {
                table.add(size, limit, &matched, most);
            }
        }
    }
    let [all, small, medium, large] = [0, 1, 2, 3];
    let hundred = MOST.len() - 1;
    CocoPrecision([
        table.precision(None, all),
        table.precision(Some(0), all),
        table.precision(Some(5), all),
        table.precision(None, small),
        table.precision(None, medium),
        table.precision(None, large),
        table.recall(all, 0),
        table.recall(all, 1),
        table.recall(all, hundred),
        table.recall(small, hundred),
        table.recall(medium, hundred),
        table.recall(large, hundred),
    ])
}

/// As numpy.linspace makes them.
fn threshold(index: usize) -> f64 {
    let step = (0.95 - 0.5) / (THRESHOLDS - 1) as f64;
    if index + 1 == THRESHOLDS { 0.95 } else { index as f64 * step + 0.5 }
}

/// The objects of a class in an image, and the boxes found, the surest first.
struct Look {
    objects: Vec<Wanted>,
    /// Area and score.
    found: Vec<(f64, f64)>,
    /// A row for each box, a number for each object.
    overlaps: Vec<f64>,
}

#[derive(Clone, Copy)]
struct Wanted {
    area: f64,
    crowd: bool,
    counts: bool,
}

/// The results of an image for one range of sizes.
struct Matched {
    /// Objects that count.
    objects: usize,
    scores: Vec<f64>,
    /// For each threshold and box: whether it has a match, and whether it counts.
    boxes: Vec<[(bool, bool); THRESHOLDS]>,
}

impl Look {
    fn at(scene: &Scene, class: u32) -> Look {
        let objects: Vec<_> = scene.objects.iter().filter(|one| one.class == class).collect();
        let mut found: Vec<_> = scene.found.iter().filter(|one| one.class == class).collect();
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(MOST[MOST.len() - 1]);
        let mut overlaps = Vec::with_capacity(found.len() * objects.len());
        for one in &found {
            let own = wide(one.corners);
            overlaps.extend(objects.iter().map(|object| {
                let other = wide(object.corners);
                let shared = shared(own, other);
                let crowd = object.crowd;
                let over = if crowd { area(own) } else { area(own) + area(other) - shared };
                if shared > 0.0 { shared / over } else { 0.0 }
            }));
        }
        let wanted = objects.iter().map(|object| Wanted {
            area: object.mask_area.map_or_else(|| area(wide(object.corners)), f64::from),
            crowd: object.crowd,
            counts: !object.crowd && !object.difficult,
        });
        Look {
            objects: wanted.collect(),
            found: found
                .iter()
                .map(|one| (area(wide(one.corners)), f64::from(one.score)))
                .collect(),
            overlaps,
        }
    }

    fn matched(&self, [least, most]: [f64; 2]) -> Matched {
        let is_other = |area: f64| area < least || area > most;
        let counts = |object: &Wanted| object.counts && !is_other(object.area);
        let mut order: Vec<usize> = (0..self.objects.len()).collect();
        order.sort_by_key(|&place| !counts(&self.objects[place]));
        let mut boxes = vec![[(false, false); THRESHOLDS]; self.found.len()];
        for index in 0..THRESHOLDS {
            let mut taken = vec![false; self.objects.len()];
            for (row, ((area, _), matched)) in self.found.iter().zip(&mut boxes).enumerate() {
                let object = self.best(row, threshold(index), &order, &counts, &taken);
                matched[index] = match object {
                    Some(object) => {
                        taken[object] = true;
                        (true, counts(&self.objects[object]))
                    }
                    None => (false, !is_other(*area)),
                };
            }
        }
        Matched {
            objects: self.objects.iter().filter(|object| counts(object)).count(),
            scores: self.found.iter().map(|(_, score)| *score).collect(),
            boxes,
        }
    }

    /// The object that a box takes; `order` has those that count first.
    fn best(
        &self,
        row: usize,
        threshold: f64,
        order: &[usize],
        counts: &impl Fn(&Wanted) -> bool,
        taken: &[bool],
    ) -> Option<usize> {
        let mut most = threshold.min(1.0 - 1e-10);
        let mut best: Option<usize> = None;
        for &place in order {
            let object = &self.objects[place];
            if taken[place] && !object.crowd {
                continue;
            }
            if best.is_some_and(|best| counts(&self.objects[best])) && !counts(object) {
                break;
            }
            let overlap = self.overlaps[row * self.objects.len() + place];
            if overlap >= most {
                (most, best) = (overlap, Some(place));
            }
        }
        best
    }
}

/// Precisions and recalls of every class that has objects.
#[derive(Default)]
struct Table {
    /// By size, for 100 boxes: by threshold, at each recall.
    precisions: [Vec<[[f64; RECALLS]; THRESHOLDS]>; 4],
    /// By size and by the limit of boxes.
    recalls: [[Vec<[f64; THRESHOLDS]>; 3]; 4],
}

impl Table {
    /// Adds a class.
    fn add(&mut self, size: usize, limit: usize, images: &[Matched], most: usize) {
        let objects: usize = images.iter().map(|image| image.objects).sum();
        if objects == 0 {
            return;
        }
        let mut boxes: Vec<(f64, [(bool, bool); THRESHOLDS])> = Vec::new();
        for image in images {
            let pairs = image.scores.iter().copied().zip(image.boxes.iter().copied());
            boxes.extend(pairs.take(most));
        }
        boxes.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let (mut recalls, mut precisions) = ([0.0; THRESHOLDS], [[0.0; RECALLS]; THRESHOLDS]);
        for index in 0..THRESHOLDS {
            let marks = boxes.iter().map(|(_, marks)| marks[index]);
            let (recall, precision) = curve(marks, objects);
            recalls[index] = recall.last().copied().unwrap_or(0.0);
            precisions[index] = at_recalls(&recall, precision);
        }
        self.recalls[size][limit].push(recalls);
        if limit == MOST.len() - 1 {
            self.precisions[size].push(precisions);
        }
    }

    fn precision(&self, index: Option<usize>, size: usize) -> f64 {
        let chosen = |at: &usize| index.is_none_or(|index| *at == index);
        let classes = self.precisions[size].iter();
        let rows = classes.flat_map(|class| (0..THRESHOLDS).filter(chosen).map(|at| class[at]));
        mean(rows.flatten())
    }

    fn recall(&self, size: usize, limit: usize) -> f64 {
        mean(self.recalls[size][limit].iter().flatten().copied())
    }
}

/// Recall and precision after each box.
fn curve(marks: impl Iterator<Item = (bool, bool)>, objects: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut hits, mut misses) = (0.0, 0.0);
    let (mut recall, mut precision) = (Vec::new(), Vec::new());
    for (matched, counts) in marks {
        match (matched, counts) {
            (true, true) => hits += 1.0,
            (false, true) => misses += 1.0,
            (_, false) => {}
        }
        recall.push(hits / objects as f64);
        precision.push(hits / (misses + hits + SPACING));
    }
    (recall, precision)
}

/// The precision at each of the 101 recalls; 0 past the end.
fn at_recalls(recall: &[f64], mut precision: Vec<f64>) -> [f64; RECALLS] {
    for at in (1..precision.len()).rev() {
        precision[at - 1] = precision[at - 1].max(precision[at]);
    }
    std::array::from_fn(|point| {
        let wanted = if point + 1 == RECALLS { 1.0 } else { point as f64 * (1.0 / 100.0) };
        let at = recall.partition_point(|&recall| recall < wanted);
        precision.get(at).copied().unwrap_or(0.0)
    })
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { -1.0 } else { sum / f64::from(count) }
}
