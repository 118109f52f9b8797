//! Algorithm 1, line 3: "uniform random sample b images". An epoch visits every image once, in a random order.

use crate::random::{self, Stream};

/// The permutation of an epoch, a pure function of seed and epoch.
pub fn order(seed: u64, epoch: u64, len: usize) -> Vec<u32> {
    let len = u32::try_from(len).expect("a part holds fewer than 2³² images");
    random::permutation(&mut random::at(seed, Stream::Order, epoch, 0), len)
}

#[cfg(test)]
mod tests {
    use super::order;

    #[test]
    fn an_epoch_visits_every_image_once() {
        for len in [0, 1, 2, 1000] {
            let mut seen = order(3, 1, len);
            seen.sort_unstable();
            assert_eq!(seen, (0..len as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn orders_differ_by_seed_and_epoch_and_repeat() {
        assert_eq!(order(3, 1, 100), order(3, 1, 100));
        assert_ne!(order(3, 1, 100), order(3, 2, 100));
        assert_ne!(order(3, 1, 100), order(4, 1, 100));
    }

    #[test]
    fn every_image_reaches_every_place() {
        let mut places = [[0u32; 4]; 4];
        for epoch in 0..4000 {
            for (place, image) in order(0, epoch, 4).into_iter().enumerate() {
                places[place][image as usize] += 1;
            }
        }
        assert!(places.iter().flatten().all(|&n| (880..1120).contains(&n)), "{places:?}");
    }
}
