//! Dropout: each unit is dropped or kept by a random number of its own position.

use crate::check;
use crate::element::Element;
use crate::output::Output;
use crate::parallel::{self, ELEMENTS};

/// The random choice of the units that are dropped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DropoutDraw {
    /// The share of the units that is dropped, in [0, 1).
    pub share: f32,
    /// Each unit's draw is a function of this key and of the unit's index.
    pub key: u64,
}

impl DropoutDraw {
    /// The factor of unit `index`: 0, or 1/(1 − share).
    pub fn factor(&self, index: usize) -> f32 {
        // SplitMix64's finalizer of a counter: every index has its own draw, whichever thread asks.
        let mut bits = self.key.wrapping_add((index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let unit = ((bits ^ (bits >> 31)) >> 40) as f32 / (1u64 << 24) as f32;
        if unit < self.share { 0.0 } else { 1.0 / (1.0 - self.share) }
    }
}

/// `y[i] = x[i] factor(i)`. The same function makes `dx` of `dy`.
#[track_caller]
pub fn dropout<'a, E: Element>(d: &DropoutDraw, x: &[E], y: impl Into<Output<'a, E>>) {
    let y = &mut *y.into().writer();
    assert!((0.0..1.0).contains(&d.share), "dropout: a share of {}", d.share);
    check::length("dropout", "x", x.len(), y.len());
    parallel::chunks(y, ELEMENTS, |chunk, part| {
        let start = chunk * ELEMENTS;
        for (index, (y, &x)) in part.iter_mut().zip(&x[start..]).enumerate() {
            *y = E::rounded(x.widened() * d.factor(start + index));
        }
    });
}
