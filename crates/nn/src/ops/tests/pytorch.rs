//! The public functions against PyTorch in f64 (`refs/torch_ops.py`, `refs/torch_updates.py`).

use burn::tensor::Tensor;
use kernels::{Activation, AdamW, Nag, Sgd};
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::{flat, numbers};
use crate::ops::{Rule, update};
use crate::{
    Affine, ConvOptions, NormSpec, Observations, PoolOptions, Statistics, avg_pool,
    batch_norm_train, conv2d, cpu, cross_entropy, max_pool,
};

/// Greatest error relative to the greatest number of a tensor.
const TOLERANCE: f64 = 1e-5;

/// The tensors of one case.
struct Vectors {
    file: SafeTensors<'static>,
    case: &'static str,
}

impl Vectors {
    fn of(case: &'static str) -> Vectors {
        let bytes = include_bytes!("../../../testdata/ops.safetensors");
        Vectors { file: SafeTensors::deserialize(bytes).expect("a safetensors file"), case }
    }

    fn numbers(&self, name: &str) -> (Vec<usize>, Vec<f64>) {
        let view = self.file.tensor(&format!("{}.{name}", self.case)).expect("a known tensor");
        assert_eq!(view.dtype(), Dtype::F64);
        let (values, _) = view.data().as_chunks::<8>();
        (view.shape().to_vec(), values.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect())
    }

    fn input<const D: usize>(&self, name: &str) -> Tensor<D> {
        let (shape, values) = self.numbers(name);
        let shape: [usize; D] = shape.try_into().expect("the rank asked for");
        flat(values.iter().map(|&value| value as f32).collect()).reshape(shape)
    }

    /// An input whose gradient is wanted.
    fn leaf<const D: usize>(&self, name: &str) -> Tensor<D> {
        self.input(name).autodiff().require_grad()
    }

    #[track_caller]
    fn check<const D: usize>(&self, name: &str, found: Tensor<D>) {
        let (shape, expected) = self.numbers(name);
        assert_eq!(found.dims().to_vec(), shape, "{}.{name}", self.case);
        check(&format!("{}.{name}", self.case), &numbers(found), &expected);
    }

    /// Sends `dy` backward from y; a gradient for each (name, leaf).
    #[track_caller]
    fn backward<const D: usize>(&self, y: Tensor<D>) -> burn::tensor::Gradients {
        self.check("y", y.clone().inner());
        (y * self.input("dy")).sum().backward()
    }
}

#[track_caller]
fn check(what: &str, found: &[f32], expected: &[f64]) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let greatest = expected.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    let differences = found.iter().zip(expected).map(|(&a, b)| (f64::from(a) - b).abs());
    let error = differences.fold(0.0, f64::max) / greatest;
    println!("{what:24} {error:.1e}");
    assert!(error <= TOLERANCE, "{what}: off by {error:e}");
}

#[test]
fn convolution() {
    let vectors = Vectors::of("conv2d");
    let (x, w) = (vectors.leaf::<4>("x"), vectors.leaf::<4>("w"));
    let options = ConvOptions { stride: [2; 2], padding: [1; 2], dilation: [2; 2], groups: 2 };
    let gradients = vectors.backward(conv2d(x.clone(), w.clone(), options));
    vectors.check("dx", x.grad(&gradients).expect("a gradient"));
    vectors.check("dw", w.grad(&gradients).expect("a gradient"));
}

#[test]
fn batch_norm_and_its_running_statistics() {
    let vectors = Vectors::of("batch_norm");
    let x = vectors.leaf::<4>("x");
    let (gamma, beta) = (vectors.leaf::<1>("gamma"), vectors.leaf::<1>("beta"));
    let affine = Affine { gamma: gamma.clone(), beta: beta.clone(), epsilon: 1e-5 };
    let (y, mean, variance) = batch_norm_train(x.clone(), affine, None, Activation::Identity);
    let gradients = vectors.backward(y);
    vectors.check("dx", x.grad(&gradients).expect("a gradient"));
    vectors.check("dgamma", gamma.grad(&gradients).expect("a gradient"));
    vectors.check("dbeta", beta.grad(&gradients).expect("a gradient"));

    let [n, height, width, channels] = x.dims();
    let norm = NormSpec { name: "bn".to_owned(), channels, frozen: false };
    let mut statistics = Statistics::new(&[norm], &cpu());
    let before = ["mean", "var"].map(|name| numbers(vectors.input::<1>(name)));
    statistics.set("bn", before, &cpu());
    let observations = Observations::default();
    observations.observe("bn", mean, variance, n * height * width);
    statistics.observe(&observations.into_table());
    let [mean, variance] = statistics.get("bn");
    vectors.check("new_mean", mean);
    vectors.check("new_var", variance);
}

#[test]
fn pools() {
    type Pool = fn(Tensor<4>, PoolOptions) -> Tensor<4>;
    for (case, pool, kernel, padding, ceil_mode) in
        [("max_pool", max_pool as Pool, 3, 1, false), ("avg_pool", avg_pool as Pool, 2, 0, true)]
    {
        let vectors = Vectors::of(case);
        let x = vectors.leaf::<4>("x");
        let options = PoolOptions {
            kernel: [kernel; 2],
            stride: [2; 2],
            padding: [padding; 2],
            ceil_mode,
            count_include_pad: false,
        };
        let gradients = vectors.backward(pool(x.clone(), options));
        vectors.check("dx", x.grad(&gradients).expect("a gradient"));
    }
}

#[test]
fn loss() {
    let vectors = Vectors::of("cross_entropy");
    let z = vectors.leaf::<2>("z");
    let loss = cross_entropy(z.clone(), vectors.input("p"));
    vectors.check("loss", loss.clone().inner());
    vectors.check("dz", z.grad(&loss.backward()).expect("a gradient"));
}

fn list(value: &Value) -> Vec<f64> {
    let values = value.as_array().expect("a list");
    values.iter().map(|value| value.as_f64().expect("a number")).collect()
}

/// Twelve steps of each optimizer under a rate that warms up and then drops.
#[test]
fn updates() {
    for (name, text, slots) in [
        ("nag", include_str!("../../../testdata/nag.json"), &["velocity"][..]),
        ("sgd", include_str!("../../../testdata/sgd.json"), &["velocity"]),
        ("adamw", include_str!("../../../testdata/adamw.json"), &["first_moment", "second_moment"]),
    ] {
        let vectors: Value = serde_json::from_str(text).expect("JSON");
        let number = |key: &str| vectors[key].as_f64().expect("a number") as f32;
        let narrow = |value: &Value| flat(list(value).iter().map(|&v| v as f32).collect());
        let rule = |rate, step| match name {
            "nag" => {
                Rule::Nag(Nag { rate, momentum: number("momentum"), decay: number("weight_decay") })
            }
            "sgd" => {
                Rule::Sgd(Sgd { rate, momentum: number("momentum"), decay: number("weight_decay") })
            }
            _ => Rule::AdamW(AdamW {
                rate,
                beta1: vectors["beta1"].as_f64().expect("a number"),
                beta2: vectors["beta2"].as_f64().expect("a number"),
                epsilon: number("epsilon"),
                decay: number("weight_decay"),
                step,
            }),
        };
        let mut w = narrow(&vectors["weights"]);
        let mut kept: Vec<Tensor<1>> = slots.iter().map(|_| w.zeros_like()).collect();
        let rates = list(&vectors["rates"]);
        assert_eq!(rates.len(), 12);
        for (step, &rate) in rates.iter().enumerate() {
            let rule = rule(rate as f32, step as u64 + 1);
            (w, kept) = update(rule, w, narrow(&vectors["gradients"][step]), kept);
            let expected = list(&vectors["expected"][step]);
            check(&format!("{name}: w after step {step}"), &numbers(w.clone()), &expected);
            for (slot, kept) in slots.iter().zip(&kept) {
                let expected = list(&vectors[*slot][step]);
                let found = numbers(kept.clone());
                check(&format!("{name}: {slot} after step {step}"), &found, &expected);
            }
        }
    }
}
