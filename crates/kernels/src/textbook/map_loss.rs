//! Cross entropy of a map by its definition: resize, softmax at every pixel, mean over those that count.

use super::{Real, bilinear_backward, bilinear_forward, zero};
use crate::{Bilinear, IGNORED_CLASS};

/// The twin of [`crate::map_cross_entropy`].
pub fn map_cross_entropy<T: Real>(d: &Bilinear, z: &[T], classes: &[u16], dz: &mut [T]) -> T {
    let mut large = vec![zero::<T>(); classes.len() * d.c];
    bilinear_forward(d, z, &mut large);
    let counted = classes.iter().filter(|&&class| class != IGNORED_CLASS).count();
    let (mut loss, mut gradient) = (zero::<T>(), vec![zero::<T>(); large.len()]);
    for (pixel, &class) in classes.iter().enumerate() {
        if class == IGNORED_CLASS {
            continue;
        }
        let z = &large[pixel * d.c..][..d.c];
        let greatest = z.iter().copied().fold(z[0], |a, b| if b > a { b } else { a });
        let mut sum = zero::<T>();
        for &z in z {
            sum += (z - greatest).exp();
        }
        let share = T::of(1.0 / counted as f64);
        loss += (sum.ln() + greatest - z[usize::from(class)]) * share;
        for k in 0..d.c {
            let target = if k == usize::from(class) { T::of(1.0) } else { zero() };
            gradient[pixel * d.c + k] = ((z[k] - greatest).exp() / sum - target) * share;
        }
    }
    bilinear_backward(d, &gradient, dz);
    loss
}

/// The twin of [`crate::bilinear_argmax`].
pub fn bilinear_argmax<T: Real>(d: &Bilinear, z: &[T], classes: &mut [u16]) {
    let mut large = vec![zero::<T>(); classes.len() * d.c];
    bilinear_forward(d, z, &mut large);
    for (class, z) in classes.iter_mut().zip(large.chunks_exact(d.c)) {
        let mut best = 0;
        for k in 1..d.c {
            if z[k] > z[best] {
                best = k;
            }
        }
        *class = best as u16;
    }
}
