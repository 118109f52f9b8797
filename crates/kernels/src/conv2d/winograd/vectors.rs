//! Vectors of the channels of a tile: read from its pixels or from its transformed elements, and
//! written to the latter.

use crate::element::Element;
use crate::lanes::Lanes;

/// A vector of each pixel, from `channel` on.
///
/// # Safety
///
/// Each of `pixels` is valid for reading a vector from there on.
#[inline(always)]
pub(super) unsafe fn of_pixels<V: Lanes, E: Element, const L: usize>(
    pixels: &[*const E; L],
    channel: usize,
) -> [V; L] {
    let mut vectors = [V::zero(); L];
    for (vector, pixel) in vectors.iter_mut().zip(pixels) {
        // SAFETY: the caller's promise.
        *vector = unsafe { E::load::<V>(pixel.add(channel)) };
    }
    vectors
}

/// A vector of each element, which are `apart` from each other.
///
/// # Safety
///
/// `from` is valid for reading a vector at each of these places.
#[inline(always)]
pub(super) unsafe fn of_elements<V: Lanes, const L: usize>(
    from: *const f32,
    apart: usize,
) -> [V; L] {
    let mut vectors = [V::zero(); L];
    for (element, vector) in vectors.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *vector = unsafe { V::load(from.add(element * apart)) };
    }
    vectors
}

/// Writes a vector of each element, `apart` from each other.
///
/// # Safety
///
/// `to` is valid for writing a vector at each of these places.
#[inline(always)]
pub(super) unsafe fn to_elements<V: Lanes, const L: usize>(
    vectors: &[V; L],
    to: *mut f32,
    apart: usize,
) {
    for (element, vector) in vectors.iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { vector.store(to.add(element * apart)) };
    }
}
