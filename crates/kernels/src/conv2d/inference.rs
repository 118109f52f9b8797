//! Convolution for inference: y = act(conv(x, w) + bias [+ residual]). The batch norm behind it is folded
//! into the weights and the bias.

use std::sync::OnceLock;

use super::Conv2d;
use super::forward::{Forward, forward_by};
use super::winograd::{self, Method};
use crate::batch_norm::Activation;
use crate::check;
use crate::element::Element;
use crate::finish::{Finish, floor};
use crate::isa::Isa;
use crate::output::Output;
use crate::scratch::Floats;

/// The operations that follow a convolution: adding `bias`, `[c_out]`, and `residual`, as long as the
/// result, and the activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epilogue<'a, T = f32> {
    pub bias: &'a [T],
    pub residual: Option<&'a [T]>,
    pub activation: Activation,
}

/// The forms of a layer's weights that are kept between calls of [`conv2d_inference`], one for each
/// method. Each is made when it is first needed. They belong to one layer, whose weights must not change.
#[derive(Debug, Default)]
pub struct PreparedWeights {
    forms: [OnceLock<(Isa, Floats)>; Method::COUNT],
}

impl PreparedWeights {
    /// The weights `w` in the form that `forward` reads.
    #[track_caller]
    fn form(&self, forward: &Forward, w: &[f32]) -> &[f32] {
        let (isa, form) = self.forms[forward.method() as usize].get_or_init(|| {
            let mut form = Floats::zeros(forward.length());
            forward.prepare(w, &mut form);
            (forward.isa(), form)
        });
        assert!(
            *isa == forward.isa() && form.len() == forward.length(),
            "conv2d_inference: prepared weights of another layer"
        );
        form
    }
}

/// `y = act(conv(x, w) + bias [+ residual])`. `w` is read only where its form is not in `prepared` yet.
#[track_caller]
pub fn conv2d_inference<'a>(
    d: &Conv2d,
    x: &[f32],
    (w, prepared): (&[f32], &PreparedWeights),
    epilogue: Epilogue<'_>,
    y: impl Into<Output<'a, f32>>,
) {
    let y = &mut *y.into().writer();
    let finish = finish("conv2d_inference", d, [x.len(), w.len()], epilogue, y.len());
    let forward = Forward::new(d, winograd::prepared_method);
    forward.run(x, prepared.form(&forward, w), Some(finish), y);
}

/// [`conv2d_inference`] for weights that are used once: their form is not kept.
#[track_caller]
pub fn conv2d_finished<'a, E: Element>(
    d: &Conv2d,
    x: &[E],
    w: &[f32],
    epilogue: Epilogue<'_>,
    y: impl Into<Output<'a, E>>,
) {
    let y = &mut *y.into().writer();
    let finish = finish("conv2d_finished", d, [x.len(), w.len()], epilogue, y.len());
    forward_by(d, winograd::prepared_method, x, w, Some(finish), y);
}

/// What follows the product, once every length is checked.
#[track_caller]
fn finish<'a>(
    operation: &str,
    d: &Conv2d,
    [x, w]: [usize; 2],
    epilogue: Epilogue<'a>,
    y: usize,
) -> Finish<'a> {
    d.check(operation, x, w, y);
    let Epilogue { bias, residual, activation } = epilogue;
    check::length(operation, "bias", bias.len(), d.c_out);
    let found = residual.map_or(y, <[f32]>::len);
    check::length(operation, "residual", found, y);
    Finish { bias, residual, floor: floor(activation) }
}
