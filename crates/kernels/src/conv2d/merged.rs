//! Grouped convolution with few channels to a group, as one with fewer, wider groups: the weights
//! between different original groups are zero.
//!
//! The micro-kernel is at least 16 columns wide, so with 4 channels to a group three quarters of its lanes
//! would idle, and a product for each group would cost more than it computes. (Where an activation
//! is infinite, zero weights make it not a number in the neighbouring groups too.)

use super::{Conv2d, conv2d_input_grad, conv2d_weight_grad};
use crate::element::Element;
use crate::microkernel::LEAST_COLUMNS;
use crate::scratch::{self, Slot};

/// The convolution with merged groups, if any fit together.
pub(super) fn of(d: &Conv2d) -> Option<Conv2d> {
    let widest = d.group_in().max(d.group_out()).max(1);
    let fits =
        |&together: &usize| d.groups.is_multiple_of(together) && together * widest <= LEAST_COLUMNS;
    let together = (2..=d.groups.min(LEAST_COLUMNS)).rev().find(fits)?;
    Some(Conv2d { groups: d.groups / together, ..*d })
}

/// Calls `body` with the weights of the merged groups.
pub(super) fn spread(d: &Conv2d, wide: &Conv2d, w: &[f32], body: impl FnOnce(&[f32])) {
    scratch::with(Slot::Wide, wide.w_len(), |spread| {
        spread.fill(0.0);
        for_each_run(d, wide, |narrow, at, length| {
            spread[at..][..length].copy_from_slice(&w[narrow..][..length]);
        });
        body(spread);
    });
}

pub(super) fn input_grad<E: Element>(d: &Conv2d, wide: &Conv2d, dy: &[E], w: &[f32], dx: &mut [E]) {
    spread(d, wide, w, |w| conv2d_input_grad(wide, dy, w, dx));
}

pub(super) fn weight_grad<E: Element>(
    d: &Conv2d,
    wide: &Conv2d,
    x: &[E],
    dy: &[E],
    dw: &mut [f32],
) {
    scratch::with(Slot::Wide, wide.w_len(), |spread| {
        conv2d_weight_grad(wide, x, dy, &mut *spread);
        for_each_run(d, wide, |narrow, at, length| {
            dw[narrow..][..length].copy_from_slice(&spread[at..][..length]);
        });
    });
}

/// For each output channel and tap, calls `body(start in the weights, start in the wide weights,
/// length)`.
fn for_each_run(d: &Conv2d, wide: &Conv2d, mut body: impl FnMut(usize, usize, usize)) {
    let (inputs, wide_inputs) = (d.group_in(), wide.group_in());
    let taps = d.kernel[0] * d.kernel[1];
    for output in 0..d.c_out {
        let first = output / d.group_out() * inputs % wide_inputs;
        for tap in output * taps..(output + 1) * taps {
            body(tap * inputs, tap * wide_inputs + first, inputs);
        }
    }
}
