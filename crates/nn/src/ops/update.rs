//! Updates of parameters in place (§2.1 and its alternatives): Nesterov accelerated gradient, SGD with momentum, AdamW.
//!
//! The rate stays outside the velocity, as in PyTorch and in the authors' code, so that a rate that changes (a
//! warm-up) does not rescale what the velocity remembers.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::tensor::Tensor;
use kernels::{AdamW, Nag, Sgd};

use super::flex::{contiguous, floats};

/// How one parameter is updated, with its numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Nesterov accelerated gradient: g ← g + λw, v ← μv + g, w ← w − η(g + μv).
    Nag(Nag),
    /// SGD with momentum: g ← g + λw, v ← μv + g, w ← w − ηv.
    Sgd(Sgd),
    /// AdamW (Loshchilov and Hutter 2019): Adam with weight decay that acts on the weight itself.
    AdamW(AdamW),
}

impl Rule {
    /// The number of tensors that the rule keeps for a parameter from step to step.
    pub fn slots(&self) -> usize {
        match self {
            Rule::Nag(_) | Rule::Sgd(_) => 1,
            Rule::AdamW(_) => 2,
        }
    }
}

/// One update of a parameter; w, g and the slots `[len]` are on no graph. Returns the new w and slots.
///
/// Panics where w or a slot is shared: an update in place would then silently become a copy.
pub(crate) fn update(
    rule: Rule,
    w: Tensor<1>,
    g: Tensor<1>,
    slots: Vec<Tensor<1>>,
) -> (Tensor<1>, Vec<Tensor<1>>) {
    assert_eq!(slots.len(), rule.slots(), "update: slots of {rule:?}");
    let length = w.dims();
    let alike = g.dims() == length && slots.iter().all(|slot| slot.dims() == length);
    assert!(alike, "update: w {length:?}, g {:?}, or a slot of another length", g.dims());
    let (w, g) = (w.into_dispatch(), g.into_dispatch());
    let mut slots = slots.into_iter().map(Tensor::into_dispatch);
    let first = slots.next().expect("every rule has a slot");
    match (rule, slots.next()) {
        (Rule::AdamW(numbers), Some(second)) => {
            let (w, m, v) = Dispatch::adamw(w, g, first, second, numbers);
            (Tensor::from_dispatch(w), [m, v].map(Tensor::from_dispatch).into())
        }
        (rule, _) => {
            let (w, v) = Dispatch::momentum(w, g, first, rule);
            (Tensor::from_dispatch(w), vec![Tensor::from_dispatch(v)])
        }
    }
}

#[backend_extension(Flex, Cube: cfg(feature = "wgpu"))]
pub(super) trait UpdateOp: Backend {
    /// The new w and v of [`Rule::Nag`] or [`Rule::Sgd`].
    fn momentum(
        w: FloatTensor<Self>,
        g: FloatTensor<Self>,
        v: FloatTensor<Self>,
        rule: Rule,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed_momentum::<Self>(w, g, v, rule)
    }

    /// The new w, m and v of [`Rule::AdamW`].
    fn adamw(
        w: FloatTensor<Self>,
        g: FloatTensor<Self>,
        m: FloatTensor<Self>,
        v: FloatTensor<Self>,
        numbers: AdamW,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed_adamw::<Self>(w, g, m, v, numbers)
    }
}

#[cfg(feature = "wgpu")]
impl UpdateOp for burn::backend::Cube {}

const SHARED_PARAMETER: &str = "update: the parameter is still shared";
const SHARED_SLOT: &str = "update: a slot is still shared";

impl UpdateOp for Flex {
    fn momentum(
        mut w: FloatTensor<Self>,
        g: FloatTensor<Self>,
        mut v: FloatTensor<Self>,
        rule: Rule,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let g = contiguous(g);
        {
            let w = w.try_storage_mut::<f32>().expect(SHARED_PARAMETER);
            let v = v.try_storage_mut::<f32>().expect(SHARED_SLOT);
            match rule {
                Rule::Nag(numbers) => kernels::nag(&numbers, w, floats(&g), v),
                Rule::Sgd(numbers) => kernels::sgd(&numbers, w, floats(&g), v),
                Rule::AdamW(_) => panic!("AdamW has two slots"),
            }
        }
        (w, v)
    }

    fn adamw(
        mut w: FloatTensor<Self>,
        g: FloatTensor<Self>,
        mut m: FloatTensor<Self>,
        mut v: FloatTensor<Self>,
        numbers: AdamW,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let g = contiguous(g);
        {
            let w = w.try_storage_mut::<f32>().expect(SHARED_PARAMETER);
            let m = m.try_storage_mut::<f32>().expect(SHARED_SLOT);
            let v = v.try_storage_mut::<f32>().expect(SHARED_SLOT);
            kernels::adamw(&numbers, w, floats(&g), m, v);
        }
        (w, m, v)
    }
}

pub(super) fn composed_momentum<B: Backend>(
    w: FloatTensor<B>,
    g: FloatTensor<B>,
    v: FloatTensor<B>,
    rule: Rule,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (rate, momentum, decay, nesterov) = match rule {
        Rule::Nag(Nag { rate, momentum, decay }) => (rate, momentum, decay, true),
        Rule::Sgd(Sgd { rate, momentum, decay }) => (rate, momentum, decay, false),
        Rule::AdamW(_) => panic!("AdamW has two slots"),
    };
    let g = B::float_add(g, B::float_mul_scalar(w.clone(), decay.into()));
    let v = B::float_add(B::float_mul_scalar(v, momentum.into()), g.clone());
    let step = match nesterov {
        true => B::float_add(g, B::float_mul_scalar(v.clone(), momentum.into())),
        false => v.clone(),
    };
    (B::float_sub(w, B::float_mul_scalar(step, rate.into())), v)
}

pub(super) fn composed_adamw<B: Backend>(
    w: FloatTensor<B>,
    g: FloatTensor<B>,
    m: FloatTensor<B>,
    v: FloatTensor<B>,
    numbers: AdamW,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let AdamW { rate, beta1, beta2, epsilon, decay, step } = numbers;
    let correction = |beta: f64| 1.0 - beta.powf(step as f64);
    let towards = |old, beta: f64, new| {
        let kept = B::float_mul_scalar(old, (beta as f32).into());
        B::float_add(kept, B::float_mul_scalar(new, ((1.0 - beta) as f32).into()))
    };
    let w = B::float_mul_scalar(w, (1.0 - rate * decay).into());
    let m = towards(m, beta1, g.clone());
    let v = towards(v, beta2, B::float_mul(g.clone(), g));
    let root = (correction(beta2).sqrt() as f32).recip();
    let deviation = B::float_mul_scalar(B::float_sqrt(v.clone()), root.into());
    let deviation = B::float_add_scalar(deviation, epsilon.into());
    let step = B::float_div(m.clone(), deviation);
    let rate = (f64::from(rate) / correction(beta1)) as f32;
    (B::float_sub(w, B::float_mul_scalar(step, rate.into())), m, v)
}
