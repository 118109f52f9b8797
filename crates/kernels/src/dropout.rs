//! Dropout: each unit is dropped or kept by a random number of its own position.

use crate::check;
use crate::element::Element;
use crate::parallel::{self, ELEMENTS};

/// Which units are dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Of the units, dropped: in [0, 1).
    pub share: f32,
    /// All draws are a function of this and of the unit's index.
    pub key: u64,
}

impl Dropout {
    /// What unit `index` is multiplied by: 0, or 1/(1 − share).
    pub fn factor(&self, index: usize) -> f32 {
        // The finalizer of SplitMix64 of a counter: every index has its own draw, whatever thread asks.
        let mut bits = self.key.wrapping_add((index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let unit = ((bits ^ (bits >> 31)) >> 40) as f32 / (1u64 << 24) as f32;
        if unit < self.share { 0.0 } else { 1.0 / (1.0 - self.share) }
    }
}

/// `y[i] = x[i] factor(i)`; its own backward, of `dy` to `dx`.
#[track_caller]
pub fn dropout<E: Element>(d: &Dropout, x: &[E], y: &mut [E]) {
    assert!((0.0..1.0).contains(&d.share), "dropout: a share of {}", d.share);
    check::length("dropout", "x", x.len(), y.len());
    parallel::chunks(y, ELEMENTS, |chunk, part| {
        let start = chunk * ELEMENTS;
        for (index, (y, &x)) in part.iter_mut().zip(&x[start..]).enumerate() {
            *y = E::rounded(x.widened() * d.factor(start + index));
        }
    });
}
