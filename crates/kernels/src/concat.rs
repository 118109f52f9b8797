//! Concatenation of images in their channels, which ends the branches of a block, and its gradient.

use crate::check;
use crate::element::Element;
use crate::output::Output;
use crate::parallel;

/// One of the images that [`concat`] joins: `values` are `[rows, channels]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConcatInput<'a, T = f32> {
    pub values: &'a [T],
    pub channels: usize,
}

/// Joins images: each row of `y` is that row of every part, one after the other. All have as many rows.
#[track_caller]
pub fn concat<'a, E: Element>(parts: &[ConcatInput<'_, E>], y: impl Into<Output<'a, E>>) {
    let y = &mut *y.into().writer();
    let width: usize = parts.iter().map(|part| part.channels).sum();
    assert!(width > 0 && y.len().is_multiple_of(width), "concat: {width} channels a row of y");
    for part in parts {
        check::length("concat", "part", part.values.len(), y.len() / width * part.channels);
    }
    let rows = (parallel::ELEMENTS / width).max(1);
    parallel::chunks(y, rows * width, |index, y| {
        for (row, y) in y.chunks_exact_mut(width).enumerate() {
            let row = index * rows + row;
            let mut rest = y;
            for part in parts {
                let (to, after) = rest.split_at_mut(part.channels);
                to.copy_from_slice(&part.values[row * part.channels..][..part.channels]);
                rest = after;
            }
        }
    });
}

/// Copies `channels` channels of each row of `y`, from `first` on, to `part`, as [`concat`] had it. The rows of `y` are
/// `width` wide.
#[track_caller]
pub fn split<'a, E: Element>(
    y: &[E],
    width: usize,
    first: usize,
    part: impl Into<Output<'a, E>>,
    channels: usize,
) {
    let part = &mut *part.into().writer();
    assert!(channels > 0 && first + channels <= width, "split: {first}+{channels} of {width}");
    check::length("split", "part", part.len(), y.len() / width * channels);
    let rows = (parallel::ELEMENTS / channels).max(1);
    parallel::chunks(part, rows * channels, |index, part| {
        let y = y[index * rows * width..].chunks_exact(width);
        for (to, y) in part.chunks_exact_mut(channels).zip(y) {
            to.copy_from_slice(&y[first..][..channels]);
        }
    });
}
