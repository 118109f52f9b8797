//! §6.1 Which regions the second network is trained on, and what it should answer for each.
//!
//! Candidates are the proposals and the objects themselves. Those that overlap an object by `positive` or more hold it; all
//! others are background. At most the share `positives` of the batch hold an object, background fills it up.
//!
//! Deviation: the authors draw twice from one shuffled list, so that a region can come twice and a slot for objects can hold
//! background; here both draws are without replacement, and a batch with too little background is smaller.

use rand_chacha::rand_core::RngCore;

use crate::assignment::some_of;
use crate::coding::encoded;
use crate::geometry::{Columns, area};
use recipe::Regions;

/// Regions with their targets.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RegionTargets {
    pub boxes: Vec<[f32; 4]>,
    /// 0 is background, k the class k − 1.
    pub classes: Vec<u32>,
    /// The object as seen from its region; zeros for background.
    pub codes: Vec<[f32; 4]>,
}

/// Draws the regions of a batch. `objects` are boxes and the numbers of their classes. An image without proposals and
/// objects has one region: all of it, as background.
pub(crate) fn sampled_regions(
    proposals: &[[f32; 4]],
    objects: &[([f32; 4], u32)],
    size: [f32; 2],
    rules: &Regions,
    rng: &mut impl RngCore,
) -> RegionTargets {
    let objects_of_size = objects.iter().map(|(corners, _)| *corners);
    let mut candidates: Vec<[f32; 4]> = proposals.iter().copied().chain(objects_of_size).collect();
    candidates.retain(|&corners| area(corners) > 0.0);
    if candidates.is_empty() {
        candidates.push([0.0, 0.0, size[0], size[1]]);
    }
    let (best, of) = best_objects(&candidates, objects);
    let holds = |place: &usize| best[*place] >= rules.positive as f32;
    let (with, without): (Vec<usize>, Vec<usize>) = (0..candidates.len()).partition(holds);
    let most = (rules.batch as f64 * rules.positives).round() as usize;
    let with = some_of(with, most, rng);
    let without = some_of(without, rules.batch - with.len(), rng);
    let scales = rules.scales.map(|scale| scale as f32);
    let mut targets = RegionTargets::default();
    for (place, object) in with
        .into_iter()
        .map(|place| (place, Some(objects[of[place] as usize])))
        .chain(without.into_iter().map(|place| (place, None)))
    {
        let region = candidates[place];
        targets.boxes.push(region);
        targets.classes.push(object.map_or(0, |(_, class)| class + 1));
        let code = object.map(|(corners, _)| encoded(corners, region, scales));
        targets.codes.push(code.unwrap_or_default());
    }
    targets
}

/// For each candidate the object that it overlaps best, and by how much.
fn best_objects(candidates: &[[f32; 4]], objects: &[([f32; 4], u32)]) -> (Vec<f32>, Vec<u32>) {
    let columns = Columns::of(candidates);
    let mut overlaps = vec![0.0; candidates.len()];
    let (mut best, mut of) = (vec![0.0; candidates.len()], vec![0; candidates.len()]);
    for (number, (object, _)) in objects.iter().enumerate() {
        columns.overlaps(*object, &mut overlaps);
        for ((&overlap, best), of) in overlaps.iter().zip(&mut best).zip(&mut of) {
            if overlap > *best {
                (*best, *of) = (overlap, number as u32);
            }
        }
    }
    (best, of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::paper;
    use data::random::{Stream, at};

    #[test]
    fn a_quarter_of_the_regions_holds_objects() {
        let objects = [([10.0, 10.0, 30.0, 30.0], 4), ([50.0, 50.0, 90.0, 70.0], 1)];
        let near = |k: usize| [10.0 + 0.05 * k as f32, 10.0, 30.0, 30.0];
        let far = |k: usize| [60.0 + 0.1 * k as f32, 0.0, 80.0, 20.0];
        let proposals: Vec<[f32; 4]> = (0..40).map(near).chain((0..100).map(far)).collect();
        let rules = Regions { batch: 16, ..paper().regions };
        let mut rng = at(1, Stream::Regions, 0, 0);
        let targets = sampled_regions(&proposals, &objects, [100.0; 2], &rules, &mut rng);
        assert_eq!(targets.boxes.len(), 16);
        let with = targets.classes.iter().filter(|&&class| class > 0).count();
        assert_eq!(with, 4);
        for ((region, &class), code) in
            targets.boxes.iter().zip(&targets.classes).zip(&targets.codes)
        {
            let expected = match class {
                0 => [0.0; 4],
                5 => encoded(objects[0].0, *region, rules.scales.map(|scale| scale as f32)),
                2 => encoded(objects[1].0, *region, rules.scales.map(|scale| scale as f32)),
                other => panic!("class {other}"),
            };
            assert_eq!(*code, expected);
        }
    }

    #[test]
    fn few_candidates_make_a_small_batch_and_none_the_whole_image() {
        let rules = paper().regions;
        let mut rng = at(1, Stream::Regions, 0, 0);
        let none = sampled_regions(&[], &[], [64.0, 48.0], &rules, &mut rng);
        assert_eq!((none.boxes, none.classes), (vec![[0.0, 0.0, 64.0, 48.0]], vec![0]));
        let object = [([1.0, 2.0, 30.0, 40.0], 0)];
        let one = sampled_regions(&[], &object, [64.0, 48.0], &rules, &mut rng);
        assert_eq!((one.boxes, one.classes), (vec![object[0].0], vec![1]));
        assert_eq!(one.codes, [[0.0; 4]]);
        let empty =
            sampled_regions(&[[5.0, 5.0, 5.0, 9.0]], &object, [64.0, 48.0], &rules, &mut rng);
        assert_eq!(empty.boxes.len(), 1, "a proposal without an area is no candidate");
    }
}
