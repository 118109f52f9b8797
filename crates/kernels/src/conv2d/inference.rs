//! Convolution for inference: y = act(conv(x, w) + bias [+ residual]), the batch norm behind it folded
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
use crate::scratch::Floats;

/// What follows a convolution: the sum with `bias`, `[c_out]`, and with `residual`, as long as the
/// result, and the activation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epilogue<'a, T = f32> {
    pub bias: &'a [T],
    pub residual: Option<&'a [T]>,
    pub activation: Activation,
}

/// What is kept of a layer's weights between calls of [`conv2d_inference`]: the forms its methods
/// read, each made when it is first wanted. It belongs to one layer's weights, which stay as they are.
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

/// `y = act(conv(x, w) + bias [+ residual])`. Of `w`, only what is not in `prepared` yet is read.
#[track_caller]
pub fn conv2d_inference(
    d: &Conv2d,
    x: &[f32],
    (w, prepared): (&[f32], &PreparedWeights),
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let finish = finish("conv2d_inference", d, [x.len(), w.len()], epilogue, y.len());
    let forward = Forward::new(d, winograd::prepared_method);
    forward.run(x, prepared.form(&forward, w), Some(finish), y);
}

/// [`conv2d_inference`] by weights that are used once: their form is scratch.
#[track_caller]
pub fn conv2d_finished<E: Element>(
    d: &Conv2d,
    x: &[E],
    w: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [E],
) {
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
