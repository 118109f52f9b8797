//! Held-out validation images for a dataset without a validation part.
//!
//! Of a class of n images split · n, rounded, are held out, at least 1 and at most n − 1; a class of one image keeps it.
//! Which ones is a function of the seed and the class alone, as long as no two images have equal bytes. Those stay together:
//! all are held out, or none is, and none where they are of several classes.

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;

use crate::formats::layout::Item;
use crate::random::{self, Stream};

/// Splits items that are sorted by label into training and validation, each in the order it had. `contents` has a number for
/// each item, the same one for items of equal bytes.
pub(crate) fn split(items: Vec<Item>, contents: &[u32], share: f64, seed: u64) -> [Vec<Item>; 2] {
    let mut train = Vec::new();
    let mut validation = Vec::new();
    let groups = Groups::of(&items, contents);
    let mut first = 0;
    for class in items.chunk_by(|a, b| a.label == b.label) {
        let n = class.len();
        let held = ((share * n as f64).round() as usize).max(1).min(n - 1);
        let rng = random::at(seed, Stream::Split, 0, u64::from(class[0].label));
        let is_held = hold_out(&contents[first..first + n], &groups, held, rng);
        for (item, held) in class.iter().zip(is_held) {
            if held { &mut validation } else { &mut train }.push(item.clone());
        }
        first += n;
    }
    [train, validation]
}

/// How many images have each content, and whether they are of one class.
struct Groups {
    sizes: Vec<usize>,
    is_of_one_class: Vec<bool>,
}

impl Groups {
    fn of(items: &[Item], contents: &[u32]) -> Groups {
        let count = contents.iter().max().map_or(0, |&most| most as usize + 1);
        let mut labels = vec![None; count];
        let mut groups = Groups { sizes: vec![0; count], is_of_one_class: vec![true; count] };
        for (item, &content) in items.iter().zip(contents) {
            let content = content as usize;
            groups.sizes[content] += 1;
            groups.is_of_one_class[content] &=
                *labels[content].get_or_insert(item.label) == item.label;
        }
        groups
    }
}

/// Which images of a class are held out: those drawn, with all that are equal to them, until there are `held`.
fn hold_out(contents: &[u32], groups: &Groups, held: usize, mut rng: ChaCha8Rng) -> Vec<bool> {
    let n = contents.len();
    let mut is_held = vec![false; n];
    let mut order: Vec<usize> = (0..n).collect();
    let mut left = held;
    // The smallest group that leaves something to train on, for a class in which none fits.
    let mut smallest: Option<u32> = None;
    let mut seen = HashSet::new();
    for place in 0..n {
        if left == 0 {
            break;
        }
        order.swap(place, place + random::below(&mut rng, (n - place) as u64) as usize);
        let content = contents[order[place]];
        let size = groups.sizes[content as usize];
        if size == 1 {
            is_held[order[place]] = true;
            left -= 1;
        } else if groups.is_of_one_class[content as usize] && seen.insert(content) {
            if size <= left {
                hold(content, contents, &mut is_held);
                left -= size;
            } else if size < n && smallest.is_none_or(|other| size < groups.sizes[other as usize]) {
                smallest = Some(content);
            }
        }
    }
    if let Some(content) = smallest.filter(|_| left == held) {
        hold(content, contents, &mut is_held);
    }
    is_held
}

/// Holds out all images of one content.
fn hold(content: u32, contents: &[u32], is_held: &mut [bool]) {
    for (is_held, _) in is_held.iter_mut().zip(contents).filter(|(_, other)| **other == content) {
        *is_held = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::layout::Entry;

    fn items(sizes: &[usize]) -> Vec<Item> {
        sizes
            .iter()
            .enumerate()
            .flat_map(|(label, &n)| {
                (0..n).map(move |i| Item {
                    label: label as u32,
                    entry: Entry { path: format!("{label}/{i:03}"), ..Entry::default() },
                })
            })
            .collect()
    }

    /// The split of images of which no two are equal.
    fn unlike(items: Vec<Item>, share: f64, seed: u64) -> (Vec<Item>, Vec<Item>) {
        let contents: Vec<u32> = (0..items.len() as u32).collect();
        split(items, &contents, share, seed).into()
    }

    #[test]
    fn equal_images_stand_on_one_side() {
        // Of 40 images in two classes: pairs, one image four times, one under both labels, and single ones.
        let all = items(&[20, 20]);
        let mut contents: Vec<u32> = (0..40).collect();
        for (copy, original) in [(1, 0), (3, 2), (5, 4), (11, 10), (12, 10), (13, 10), (25, 9)] {
            contents[copy] = original;
        }
        let content = |item: &Item| contents[all.iter().position(|other| other == item).unwrap()];
        for seed in 0..50 {
            let [train, validation] = split(all.clone(), &contents, 0.2, seed);
            let trained: Vec<u32> = train.iter().map(content).collect();
            assert!(validation.iter().all(|item| !trained.contains(&content(item))), "seed {seed}");
            assert_eq!((train.len(), validation.len()), (32, 8), "the share stays, seed {seed}");
        }
    }

    #[test]
    fn a_class_of_equal_images_is_trained_on_and_larger_groups_are_held_out_where_none_fits() {
        let held = |contents: &[u32], share: f64| {
            split(items(&[contents.len()]), contents, share, 3)[1].len()
        };
        assert_eq!(held(&[0; 6], 0.5), 0);
        assert_eq!(held(&[0, 0, 1, 1, 2, 2], 0.1), 2);
        assert_eq!(held(&[0, 0, 0, 1, 1], 0.1), 2);
    }

    #[test]
    fn every_class_gives_its_share() {
        for (n, share, held) in
            [(1, 0.5, 0), (2, 0.01, 1), (2, 0.99, 1), (10, 0.1, 1), (10, 0.25, 3), (100, 0.2, 20)]
        {
            let (train, validation) = unlike(items(&[n, n]), share, 0);
            assert_eq!(validation.len(), 2 * held, "{n} at {share}");
            assert_eq!(train.len(), 2 * (n - held));
        }
    }

    #[test]
    fn the_split_is_disjoint_repeats_and_depends_on_the_seed() {
        let all = items(&[50, 30]);
        let (train, validation) = unlike(all.clone(), 0.2, 1);
        assert_eq!(unlike(all.clone(), 0.2, 1), (train.clone(), validation.clone()));
        assert_ne!(unlike(all.clone(), 0.2, 2).1, validation);
        let mut together = [train, validation].concat();
        together.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
        assert_eq!(together, all);
        // More images in one class leave the choice in another as it was.
        let other = unlike(items(&[51, 30]), 0.2, 1).1;
        let of_class_one =
            |part: &[Item]| part.iter().filter(|item| item.label == 1).cloned().collect::<Vec<_>>();
        assert_eq!(of_class_one(&other), of_class_one(&unlike(all, 0.2, 1).1));
    }
}
