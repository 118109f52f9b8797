//! The excitation of channels by its definition.

use super::{Real, zero};
use crate::{Activation, Excite, ExciteGradients, ExciteSaved};

fn sigmoid<T: Real>(z: T) -> T {
    T::of(1.0) / (T::of(1.0) + (-z).exp())
}

/// The twin of [`crate::excite_forward`].
pub fn excite_forward<T: Real>(d: &Excite, x: &[T], z: &[T], residual: &[T], y: &mut [T]) {
    for (at, y) in y.iter_mut().enumerate() {
        let gate = z[at / (d.hw * d.c) * d.c + at % d.c];
        let v = x[at] * sigmoid(gate) + residual[at];
        *y = match d.activation {
            Activation::Relu if v < zero() => zero(),
            _ => v,
        };
    }
}

/// The twin of [`crate::excite_backward`].
pub fn excite_backward<T: Real>(
    d: &Excite,
    saved: ExciteSaved<'_, T, T>,
    dy: &[T],
    gradients: ExciteGradients<'_, T, T>,
) {
    let ExciteGradients { dx, dz, dresidual } = gradients;
    let (dx, dz, dresidual) = (&mut *dx.writer(), &mut *dz.writer(), &mut *dresidual.writer());
    dz.fill(zero());
    for at in 0..dy.len() {
        let channel = at / (d.hw * d.c) * d.c + at % d.c;
        let gate = sigmoid(saved.z[channel]);
        let passes = d.activation == Activation::Identity || saved.y[at] > zero();
        dresidual[at] = if passes { dy[at] } else { zero() };
        dx[at] = dresidual[at] * gate;
        dz[channel] += dresidual[at] * saved.x[at] * gate * (T::of(1.0) - gate);
    }
}
