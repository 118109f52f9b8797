//! The memory that a kernel writes its result to: a slice of the caller's, or memory that holds nothing yet.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

use crate::element::Element;

/// The place of a kernel's result. A slice, a vector or an array becomes one by `into`; [`overwritten`] makes others.
///
/// Only kernels can reach the elements, because they may be uninitialised: a kernel writes all of them, and reads none
/// before it has written it. The tests of each kernel check that by starting from NaN.
pub struct Output<'a, E> {
    elements: &'a mut [MaybeUninit<E>],
    /// Becomes true when a kernel has written all elements.
    written: Option<&'a Cell<bool>>,
}

impl<'a, E> Output<'a, E> {
    pub(crate) fn len(&self) -> usize {
        self.elements.len()
    }

    /// The elements, for a kernel that overwrites all of them while it holds the writer.
    pub(crate) fn writer(self) -> Writer<'a, E> {
        let (start, length) = (self.elements.as_mut_ptr().cast(), self.elements.len());
        Writer { start, length, written: self.written, borrow: PhantomData }
    }
}

impl<'a, E> From<&'a mut [E]> for Output<'a, E> {
    fn from(elements: &'a mut [E]) -> Self {
        let (start, length) = (elements.as_mut_ptr().cast(), elements.len());
        // SAFETY: the same elements, borrowed as long, in a type of the same layout. Nobody can make one of them
        // uninitialised again, since only a `Writer` gives access to them, and it does so as elements.
        let elements = unsafe { std::slice::from_raw_parts_mut(start, length) };
        Self { elements, written: None }
    }
}

impl<'a, E> From<&'a mut Vec<E>> for Output<'a, E> {
    fn from(elements: &'a mut Vec<E>) -> Self {
        elements.as_mut_slice().into()
    }
}

impl<'a, E, const N: usize> From<&'a mut [E; N]> for Output<'a, E> {
    fn from(elements: &'a mut [E; N]) -> Self {
        elements.as_mut_slice().into()
    }
}

impl<E> fmt::Debug for Output<'_, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Output of {} elements", self.len())
    }
}

/// Write access to all elements of an [`Output`]. It counts as written once the writer is dropped without a panic.
pub(crate) struct Writer<'a, E> {
    start: *mut E,
    length: usize,
    written: Option<&'a Cell<bool>>,
    borrow: PhantomData<&'a mut [E]>,
}

impl<E> Deref for Writer<'_, E> {
    type Target = [E];

    fn deref(&self) -> &[E] {
        // SAFETY: the elements are borrowed through the writer, and kernels read only what they have written.
        unsafe { std::slice::from_raw_parts(self.start, self.length) }
    }
}

impl<E> DerefMut for Writer<'_, E> {
    fn deref_mut(&mut self) -> &mut [E] {
        // SAFETY: as above, borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.length) }
    }
}

impl<E> Drop for Writer<'_, E> {
    fn drop(&mut self) {
        if let Some(written) = self.written
            && !std::thread::panicking()
        {
            written.set(true);
        }
    }
}

/// A new vector of `length` elements, which `fill` hands to the kernel that writes them. Zeroing them first would cost
/// one more pass over memory for each result of a training step.
///
/// With debug assertions they hold NaN before, so that an element that a kernel leaves out is found.
///
/// # Panics
///
/// Where `fill` returns and no kernel has written the elements.
#[track_caller]
pub fn overwritten<E: Element>(length: usize, fill: impl FnOnce(Output<'_, E>)) -> Vec<E> {
    let mut values = Vec::with_capacity(length);
    let elements = &mut values.spare_capacity_mut()[..length];
    if cfg!(debug_assertions) {
        elements.fill(MaybeUninit::new(E::rounded(f32::NAN)));
    }
    let written = Cell::new(false);
    fill(Output { elements, written: Some(&written) });
    assert!(written.get(), "no kernel has written a result of {length} elements");
    // SAFETY: the capacity is there, and a kernel has written the elements.
    unsafe { values.set_len(length) };
    values
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::{concat, f16, relu};

    #[test]
    fn overwritten_gives_what_a_kernel_wrote() {
        let values = overwritten(5, |y| relu(&[1.0f32, -2.0, 3.0, -4.0, 5.0], y));
        assert_eq!(values, [1.0, 0.0, 3.0, 0.0, 5.0]);
        let halves = [f16::ONE, f16::NEG_ONE];
        assert_eq!(overwritten(2, |y| relu(&halves, y)), [f16::ONE, f16::ZERO]);
        assert!(overwritten(0, |y| relu::<f32>(&[], y)).is_empty());
    }

    #[test]
    fn a_slice_a_vector_and_an_array_are_places_of_a_result() {
        let (mut vector, mut array) = (vec![f32::NAN; 2], [f32::NAN; 2]);
        relu(&[1.0, -1.0], &mut vector);
        relu(&[2.0, -2.0], &mut array);
        assert_eq!((&vector[..], array), (&[1.0, 0.0][..], [2.0, 0.0]));
        relu(&[3.0], &mut vector[1..]);
        assert_eq!(vector, [1.0, 3.0]);
    }

    #[test]
    #[should_panic(expected = "no kernel has written a result of 3 elements")]
    fn what_no_kernel_wrote_is_no_result() {
        overwritten::<f32>(3, |_| {});
    }

    #[test]
    #[should_panic(expected = "no kernel has written a result of 3 elements")]
    fn a_kernel_that_panicked_has_written_nothing() {
        overwritten::<f32>(3, |y| {
            let part = crate::ConcatInput { values: &[1.0], channels: 3 };
            assert!(catch_unwind(AssertUnwindSafe(|| concat(&[part], y))).is_err());
        });
    }

    #[test]
    #[should_panic(expected = "no kernel has written a result of 2 elements")]
    fn each_result_is_written_by_itself() {
        overwritten::<f32>(2, |_left| {
            overwritten(2, |y| relu(&[1.0f32, 2.0], y));
        });
    }
}
