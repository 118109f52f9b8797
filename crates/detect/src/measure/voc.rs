//! Pascal VOC's mean average precision, by 11 points (VOC 2007, Table 8's) and by the area under the curve.
//!
//! The boxes of a class, over all images, come by falling score. Each is compared with the object of its class in its image
//! that it overlaps best, difficult ones included. At an overlap of ½ or more it hits a free object, is not counted where
//! the object is difficult, and misses where the object was hit before; below, it misses. Precision is hits/(hits +
//! misses), recall hits/objects that are not difficult.
//!
//! By 11 points: the mean, over t = 0, 0.1, …, 1, of the greatest precision where recall ≥ t. A class without objects has
//! no average precision and is left out of the mean; one without any answer has 0.
//!
//! Boxes reach from edge to edge, so that a width is x₁ − x₀: the devkit's x₁ − x₀ + 1 of the numbers of pixels.

use super::scene::{Scene, area, shared, wide};

/// The overlap from which on a box hits an object: the devkit's and the authors' ≥, not py-faster-rcnn's >.
const HIT: f64 = 0.5;

/// The average precisions of each class, and their means.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VocPrecision {
    /// In the order of the classes; None for a class without objects that count.
    pub classes: Vec<Option<ClassPrecision>>,
    /// Mean by 11 points, from 0 to 1; NaN where no class has an object.
    pub eleven_points: f64,
    /// Mean area under the curve.
    pub area: f64,
}

/// The curve of one class, and both average precisions.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassPrecision {
    pub eleven_points: f64,
    pub area: f64,
    /// Objects that are not difficult.
    pub objects: usize,
    /// One number for each counted box, by falling score.
    pub recall: Vec<f64>,
    pub precision: Vec<f64>,
}

/// Measures the answers of a detector that knows `classes` classes.
pub fn voc_precision(scenes: &[Scene], classes: usize) -> VocPrecision {
    let classes: Vec<Option<ClassPrecision>> =
        (0..classes as u32).map(|class| of_class(scenes, class)).collect();
    let mean = |of: fn(&ClassPrecision) -> f64| {
        let counted = classes.iter().flatten().count();
        classes.iter().flatten().map(of).sum::<f64>() / counted as f64
    };
    let (eleven_points, area) = (mean(|class| class.eleven_points), mean(|class| class.area));
    VocPrecision { eleven_points, area, classes }
}

fn of_class(scenes: &[Scene], class: u32) -> Option<ClassPrecision> {
    let of_class = |scene: &Scene| -> Vec<([f64; 4], bool)> {
        let objects = scene.objects.iter().filter(|object| object.class == class);
        objects.map(|object| (wide(object.corners), object.difficult || object.crowd)).collect()
    };
    let objects: Vec<Vec<([f64; 4], bool)>> = scenes.iter().map(of_class).collect();
    let count = objects.iter().flatten().filter(|(_, difficult)| !difficult).count();
    if count == 0 {
        return None;
    }
    let mut found: Vec<(usize, [f64; 4], f32)> = Vec::new();
    for (image, scene) in scenes.iter().enumerate() {
        let boxes = scene.found.iter().filter(|found| found.class == class);
        found.extend(boxes.map(|found| (image, wide(found.corners), found.score)));
    }
    found.sort_by(|(.., a), (.., b)| b.total_cmp(a));
    let mut hit: Vec<Vec<bool>> =
        objects.iter().map(|objects| vec![false; objects.len()]).collect();
    let (mut hits, mut misses) = (0u64, 0u64);
    let (mut recall, mut precision) = (Vec::new(), Vec::new());
    for (image, corners, _) in found {
        match nearest(corners, &objects[image]) {
            Some((place, overlap)) if overlap >= HIT => match () {
                () if objects[image][place].1 => continue,
                () if std::mem::replace(&mut hit[image][place], true) => misses += 1,
                () => hits += 1,
            },
            _ => misses += 1,
        }
        recall.push(hits as f64 / count as f64);
        precision.push(hits as f64 / (hits + misses) as f64);
    }
    Some(ClassPrecision {
        eleven_points: by_points(&recall, &precision),
        area: by_area(&recall, &precision),
        objects: count,
        recall,
        precision,
    })
}

/// The object that a box overlaps best; the first one of several.
fn nearest(corners: [f64; 4], objects: &[([f64; 4], bool)]) -> Option<(usize, f64)> {
    let mut best: Option<(usize, f64)> = None;
    for (place, (object, _)) in objects.iter().enumerate() {
        let shared = shared(corners, *object);
        let overlap =
            if shared > 0.0 { shared / (area(corners) + area(*object) - shared) } else { 0.0 };
        if best.is_none_or(|(_, most)| overlap > most) {
            best = Some((place, overlap));
        }
    }
    best
}

fn by_points(recall: &[f64], precision: &[f64]) -> f64 {
    let at = |point: u32| {
        // As numpy.arange makes the points: 0.1 times 3 lies a little above 0.3.
        let least = f64::from(point) * 0.1;
        let reached = recall.iter().zip(precision).filter(|(recall, _)| **recall >= least);
        reached.map(|(_, &precision)| precision).fold(0.0, f64::max)
    };
    (0..=10).map(at).sum::<f64>() / 11.0
}

fn by_area(recall: &[f64], precision: &[f64]) -> f64 {
    let (mut envelope, mut most) = (precision.to_vec(), 0.0f64);
    for value in envelope.iter_mut().rev() {
        most = most.max(*value);
        *value = most;
    }
    let (mut sum, mut before) = (0.0, 0.0);
    for (&recall, height) in recall.iter().zip(envelope) {
        sum += (recall - before) * height;
        before = recall;
    }
    sum
}
