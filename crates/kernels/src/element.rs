//! The numbers that activations are stored as (§3.2): `f32`, or one of two types of half its size.
//! All arithmetic is in `f32`: a half is widened where it is read, and rounded to the nearest, ties to
//! even, where it is written.

use half::{bf16, f16};

use crate::isa::Isa;
use crate::lanes::{Lanes, laned};
use crate::scratch::{self, Slot};

/// A number as activations are stored: `f32`, [`f16`] or [`bf16`].
pub trait Element: Stored {}

impl Element for f32 {}
impl Element for f16 {}
impl Element for bf16 {}

/// The most numbers that are widened at once, so that they stay in a first-level cache.
pub(crate) const ROW: usize = 1024;

/// What kernels need of an element.
#[doc(hidden)]
pub trait Stored: Copy + Default + Send + Sync + 'static {
    /// These numbers, where they are `f32` already.
    fn as_floats(values: &[Self]) -> Option<&[f32]>;

    /// The same, to write.
    fn as_floats_mut(values: &mut [Self]) -> Option<&mut [f32]>;

    fn widened(self) -> f32;

    fn rounded(value: f32) -> Self;

    /// # Safety
    ///
    /// `from` is valid for reading a vector of elements; the machine has the instruction set.
    unsafe fn load<V: Lanes>(from: *const Self) -> V;

    /// # Safety
    ///
    /// `to` is valid for writing a vector of elements; the machine has the instruction set.
    unsafe fn store<V: Lanes>(value: V, to: *mut Self);

    /// [`Self::store`] past the caches. What reads it must wait for [`crate::stream::fence`].
    ///
    /// # Safety
    ///
    /// As [`Self::store`], and `to` is aligned to the whole vector.
    unsafe fn stream<V: Lanes>(value: V, to: *mut Self);
}

impl Stored for f32 {
    #[inline(always)]
    fn as_floats(values: &[Self]) -> Option<&[f32]> {
        Some(values)
    }

    #[inline(always)]
    fn as_floats_mut(values: &mut [Self]) -> Option<&mut [f32]> {
        Some(values)
    }

    #[inline(always)]
    fn widened(self) -> f32 {
        self
    }

    #[inline(always)]
    fn rounded(value: f32) -> Self {
        value
    }

    #[inline(always)]
    unsafe fn load<V: Lanes>(from: *const Self) -> V {
        // SAFETY: the caller's promise.
        unsafe { V::load(from) }
    }

    #[inline(always)]
    unsafe fn store<V: Lanes>(value: V, to: *mut Self) {
        // SAFETY: the caller's promise.
        unsafe { value.store(to) };
    }

    #[inline(always)]
    unsafe fn stream<V: Lanes>(value: V, to: *mut Self) {
        // SAFETY: the caller's promise.
        unsafe { value.stream(to) };
    }
}

macro_rules! half {
    ($type:ident, $load:ident, $store:ident, $stream:ident) => {
        impl Stored for $type {
            #[inline(always)]
            fn as_floats(_: &[Self]) -> Option<&[f32]> {
                None
            }

            #[inline(always)]
            fn as_floats_mut(_: &mut [Self]) -> Option<&mut [f32]> {
                None
            }

            #[inline(always)]
            fn widened(self) -> f32 {
                self.to_f32()
            }

            #[inline(always)]
            fn rounded(value: f32) -> Self {
                Self::from_f32(value)
            }

            #[inline(always)]
            unsafe fn load<V: Lanes>(from: *const Self) -> V {
                // SAFETY: the caller's promise.
                unsafe { V::$load(from) }
            }

            #[inline(always)]
            unsafe fn store<V: Lanes>(value: V, to: *mut Self) {
                // SAFETY: the caller's promise.
                unsafe { value.$store(to) };
            }

            #[inline(always)]
            unsafe fn stream<V: Lanes>(value: V, to: *mut Self) {
                // SAFETY: the caller's promise.
                unsafe { value.$stream(to) };
            }
        }
    };
}

half!(f16, load_f16, store_f16, stream_f16);
half!(bf16, load_bf16, store_bf16, stream_bf16);

/// Whether an element takes less room than `f32`.
pub(crate) const fn is_half<E: Element>() -> bool {
    size_of::<E>() < size_of::<f32>()
}

laned! {
    /// # Safety
    ///
    /// `to` is as long as `from`.
    unsafe fn widen_all[E: Element][E](from: &[E], to: &mut [f32]) = widen_of
}

/// # Safety
///
/// As [`widen_all`].
#[inline(always)]
unsafe fn widen_of<V: Lanes, E: Element>(from: &[E], to: &mut [f32]) {
    let whole = from.len() / V::COUNT * V::COUNT;
    for at in (0..whole).step_by(V::COUNT) {
        // SAFETY: a vector from `at` on is inside of both.
        unsafe { E::load::<V>(from.as_ptr().add(at)).store(to.as_mut_ptr().add(at)) };
    }
    for (to, from) in to.iter_mut().zip(from).skip(whole) {
        *to = from.widened();
    }
}

laned! {
    /// # Safety
    ///
    /// `to` is as long as `from`.
    unsafe fn round_all[E: Element][E](from: &[f32], to: &mut [E]) = round_of
}

/// # Safety
///
/// As [`round_all`].
#[inline(always)]
unsafe fn round_of<V: Lanes, E: Element>(from: &[f32], to: &mut [E]) {
    let whole = from.len() / V::COUNT * V::COUNT;
    for at in (0..whole).step_by(V::COUNT) {
        // SAFETY: a vector from `at` on is inside of both.
        unsafe { E::store(V::load(from.as_ptr().add(at)), to.as_mut_ptr().add(at)) };
    }
    for (to, &from) in to.iter_mut().zip(from).skip(whole) {
        *to = E::rounded(from);
    }
}

laned! {
    /// # Safety
    ///
    /// `to` is as long as `from`.
    unsafe fn stream_all[E: Element][E](from: &[f32], to: &mut [E]) = stream_of
}

/// # Safety
///
/// As [`stream_all`].
#[inline(always)]
unsafe fn stream_of<V: Lanes, E: Element>(from: &[f32], to: &mut [E]) {
    if !to.as_ptr().addr().is_multiple_of(V::COUNT * size_of::<E>()) {
        // SAFETY: the caller's promise.
        return unsafe { round_of::<V, E>(from, to) };
    }
    let whole = from.len() / V::COUNT * V::COUNT;
    for at in (0..whole).step_by(V::COUNT) {
        // SAFETY: a vector from `at` on is inside of both, and aligned as its start is.
        unsafe { E::stream(V::load(from.as_ptr().add(at)), to.as_mut_ptr().add(at)) };
    }
    for (to, &from) in to.iter_mut().zip(from).skip(whole) {
        *to = E::rounded(from);
    }
}

/// Widens every number.
pub(crate) fn widen<E: Element>(isa: Isa, from: &[E], to: &mut [f32]) {
    assert_eq!(from.len(), to.len());
    // SAFETY: of one length.
    unsafe { widen_all(isa, from, to) };
}

/// Rounds every number.
pub(crate) fn round<E: Element>(isa: Isa, from: &[f32], to: &mut [E]) {
    assert_eq!(from.len(), to.len());
    // SAFETY: of one length.
    unsafe { round_all(isa, from, to) };
}

/// Rounds every number, and writes past the caches where `to` is aligned for that. What reads it must
/// wait for [`crate::stream::fence`].
pub(crate) fn round_past<E: Element>(isa: Isa, from: &[f32], to: &mut [E]) {
    assert_eq!(from.len(), to.len());
    // SAFETY: of one length.
    unsafe { stream_all(isa, from, to) };
}

/// Calls `body` with the numbers of `from` as `f32`: themselves, or widened into the slot.
pub(crate) fn read<E: Element, R>(
    isa: Isa,
    slot: Slot,
    from: &[E],
    body: impl FnOnce(&[f32]) -> R,
) -> R {
    match E::as_floats(from) {
        Some(floats) => body(floats),
        None => scratch::with(slot, from.len(), |space| {
            widen(isa, from, space);
            body(space)
        }),
    }
}

/// Calls `body` with `to` as `f32` to write: `to` itself, or the slot, which is then rounded into `to`.
pub(crate) fn write<E: Element, R>(
    isa: Isa,
    slot: Slot,
    to: &mut [E],
    body: impl FnOnce(&mut [f32]) -> R,
) -> R {
    if let Some(floats) = E::as_floats_mut(to) {
        return body(floats);
    }
    scratch::with(slot, to.len(), |space| {
        let result = body(space);
        round(isa, space, to);
        result
    })
}

/// [`write`] for a body that also reads what `to` holds before.
pub(crate) fn update<E: Element, R>(
    isa: Isa,
    slot: Slot,
    to: &mut [E],
    body: impl FnOnce(&mut [f32]) -> R,
) -> R {
    if let Some(floats) = E::as_floats_mut(to) {
        return body(floats);
    }
    scratch::with(slot, to.len(), |space| {
        widen(isa, to, space);
        let result = body(space);
        round(isa, space, to);
        result
    })
}

/// Calls `body(start, part)` for parts of `to` that are small enough to be widened in a first-level
/// cache; for all of it where it is `f32`.
pub(crate) fn rows<E: Element>(to: &mut [E], mut body: impl FnMut(usize, &mut [E])) {
    let length = if is_half::<E>() { ROW } else { to.len().max(1) };
    for (index, part) in to.chunks_mut(length).enumerate() {
        body(index * length, part);
    }
}

/// Calls `body` with a buffer of `length` elements whose contents are left from earlier use.
pub(crate) fn with<E: Element, R>(
    slot: Slot,
    length: usize,
    body: impl FnOnce(&mut [E]) -> R,
) -> R {
    let floats = (length * size_of::<E>()).div_ceil(size_of::<f32>());
    scratch::with(slot, floats, |space| {
        // SAFETY: an element is as large as a float or half of it, any bits are one, and a buffer starts
        // on a cache line.
        body(unsafe { std::slice::from_raw_parts_mut(space.as_mut_ptr().cast(), length) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa;

    /// Every half there is, widened and rounded again, on every path; and what lies between two of them goes to the
    /// nearer one, or to the even one.
    fn check_every<E: Element + PartialEq + std::fmt::Debug>(from_bits: fn(u16) -> E) {
        let all: Vec<E> = (0..=u16::MAX).map(from_bits).collect();
        let plain: Vec<f32> = all.iter().map(|value| value.widened()).collect();
        let mut between = Vec::new();
        for pair in plain.windows(2).filter(|pair| pair.iter().all(|value| value.is_finite())) {
            let middle = (pair[0] + pair[1]) / 2.0;
            between.extend([middle, middle.next_up(), middle.next_down()]);
        }
        between.extend([1e30, -1e30, 65519.0, 65520.0, 3.4e38, f32::INFINITY, 1e-40, 0.0, -0.0]);
        for isa in Isa::all() {
            isa::with(isa, || {
                let mut wide = vec![0.0; all.len()];
                widen(isa, &all, &mut wide);
                let bits = |values: &[f32]| -> Vec<u32> {
                    let kept = values.iter().filter(|value| !value.is_nan());
                    kept.map(|value| value.to_bits()).collect()
                };
                assert_eq!(bits(&wide), bits(&plain), "{isa:?}");
                let nan = |values: &[f32]| -> Vec<bool> {
                    values.iter().map(|value| value.is_nan()).collect()
                };
                assert_eq!(nan(&wide), nan(&plain), "{isa:?}");
                let mut again = vec![E::default(); all.len()];
                round(isa, &wide, &mut again);
                for (again, &value) in again.iter().zip(&all) {
                    let both_nan = again.widened().is_nan() && value.widened().is_nan();
                    assert!(both_nan || *again == value, "{isa:?}: {value:?} became {again:?}");
                }
                let mut rounded = vec![E::default(); between.len()];
                round(isa, &between, &mut rounded);
                for (&rounded, &value) in rounded.iter().zip(&between) {
                    assert_eq!(rounded, E::rounded(value), "{isa:?}: {value:e}");
                }
            });
        }
    }

    #[test]
    fn every_half_comes_back_and_others_are_rounded_to_the_nearest() {
        check_every(f16::from_bits);
        check_every(bf16::from_bits);
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        for isa in Isa::all() {
            isa::with(isa, || {
                let from = [f32::from_bits(0x7F80_0001), f32::NAN, -f32::NAN, 1.0].repeat(5);
                let (mut to, mut brain) = ([f16::ZERO; 20], [bf16::ZERO; 20]);
                round(isa, &from, &mut to);
                round(isa, &from, &mut brain);
                for at in 0..20 {
                    assert_eq!(to[at].is_nan(), from[at].is_nan(), "{isa:?} {at}");
                    assert_eq!(brain[at].is_nan(), from[at].is_nan(), "{isa:?} {at}");
                }
            });
        }
    }
}
