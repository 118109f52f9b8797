//! Held-out validation images for a dataset without a validation part.
//!
//! Of a class of n images ⌊split · n⌉ are held out, at least 1 and at most n − 1; a class of one image keeps it.
//! Which ones is a function of the seed and the class alone.

use crate::formats::layout::Item;
use crate::random::{self, Stream};

/// Splits items that are sorted by label into (training, validation), each in the order it had.
pub(crate) fn split(items: Vec<Item>, share: f64, seed: u64) -> (Vec<Item>, Vec<Item>) {
    let mut train = Vec::new();
    let mut validation = Vec::new();
    for class in items.chunk_by(|a, b| a.label == b.label) {
        let n = class.len();
        let held = ((share * n as f64).round() as usize).max(1).min(n - 1);
        let mut rng = random::at(seed, Stream::Split, 0, u64::from(class[0].label));
        let mut order: Vec<usize> = (0..n).collect();
        for place in 0..held {
            order.swap(place, place + random::below(&mut rng, (n - place) as u64) as usize);
        }
        let mut is_held = vec![false; n];
        order[..held].iter().for_each(|&index| is_held[index] = true);
        for (item, held) in class.iter().zip(is_held) {
            if held { &mut validation } else { &mut train }.push(item.clone());
        }
    }
    (train, validation)
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

    #[test]
    fn every_class_gives_its_share() {
        for (n, share, held) in
            [(1, 0.5, 0), (2, 0.01, 1), (2, 0.99, 1), (10, 0.1, 1), (10, 0.25, 3), (100, 0.2, 20)]
        {
            let (train, validation) = split(items(&[n, n]), share, 0);
            assert_eq!(validation.len(), 2 * held, "{n} at {share}");
            assert_eq!(train.len(), 2 * (n - held));
        }
    }

    #[test]
    fn the_split_is_disjoint_repeats_and_depends_on_the_seed() {
        let all = items(&[50, 30]);
        let (train, validation) = split(all.clone(), 0.2, 1);
        assert_eq!(split(all.clone(), 0.2, 1), (train.clone(), validation.clone()));
        assert_ne!(split(all.clone(), 0.2, 2).1, validation);
        let mut together = [train, validation].concat();
        together.sort_by(|a, b| a.entry.path.cmp(&b.entry.path));
        assert_eq!(together, all);
        // More images in one class leave the choice in another as it was.
        let other = split(items(&[51, 30]), 0.2, 1).1;
        let of_class_one =
            |part: &[Item]| part.iter().filter(|item| item.label == 1).cloned().collect::<Vec<_>>();
        assert_eq!(of_class_one(&other), of_class_one(&split(all, 0.2, 1).1));
    }
}
