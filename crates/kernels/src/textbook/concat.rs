//! Concatenation by its definition.

use super::Real;
use crate::ConcatInput;

/// The twin of [`crate::concat`].
pub fn concat<T: Real>(parts: &[ConcatInput<'_, T>], y: &mut [T]) {
    let width: usize = parts.iter().map(|part| part.channels).sum();
    for row in 0..y.len() / width {
        let mut at = row * width;
        for part in parts {
            for channel in 0..part.channels {
                y[at] = part.values[row * part.channels + channel];
                at += 1;
            }
        }
    }
}

/// The twin of [`crate::split`].
pub fn split<T: Real>(y: &[T], width: usize, first: usize, part: &mut [T], channels: usize) {
    for row in 0..y.len() / width {
        for channel in 0..channels {
            part[row * channels + channel] = y[row * width + first + channel];
        }
    }
}
