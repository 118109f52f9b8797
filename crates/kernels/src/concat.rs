//! Images side by side in their channels, as the branches of a block end, and the way back.

use crate::check;
use crate::parallel;

/// Rows of channels, `[rows, channels]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part<'a, T = f32> {
    pub values: &'a [T],
    pub channels: usize,
}

/// Each row of `y` is that row of every part, one after the other; all have as many rows.
#[track_caller]
pub fn concat<T: Copy + Send + Sync>(parts: &[Part<'_, T>], y: &mut [T]) {
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

/// The `channels` from `first` on of each row of `y`, whose rows are `width` wide: a part of [`concat`] again.
#[track_caller]
pub fn split<T: Copy + Send + Sync>(
    y: &[T],
    width: usize,
    first: usize,
    part: &mut [T],
    channels: usize,
) {
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
