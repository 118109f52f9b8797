//! `trickbag doctor`: what this machine has, and whether it computes right: kernels against their textbook twins, and
//! the gradient of a small ResNet-D against a difference of losses.

use anyhow::{Result, bail};
use classify::{Classify, Examples};
use data::Stream;
use kernels::{Conv2d, textbook};
use nn::{Init, Model, ParameterSpec, Parameters, Precision, TensorData, values};
use serde_json::json;
use zoo::{Options, Shape, StemSize};

use crate::args::Doctor;
use crate::output;

/// A check: what was compared, by how much it differed, and how much it may.
struct Check {
    name: String,
    error: f64,
    allowed: f64,
}

impl Check {
    fn passes(&self) -> bool {
        self.error <= self.allowed
    }
}

pub(crate) fn run(args: &Doctor) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut checks = convolutions();
    checks.push(gradient());
    let healthy = checks.iter().all(Check::passes);
    let launcher = world::Launcher::of_this_process();
    let found = world::library(args.mpi.as_deref());
    if args.json {
        let list = checks.iter().map(|check| {
            json!({"check": check.name, "error": check.error, "allowed": check.allowed, "passes": check.passes()})
        });
        output::json(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "cores": cores,
            "instruction_set": kernels::instruction_set(),
            "devices": ["cpu"],
            "launcher": launcher.as_ref().map(|launcher| json!({
                "variable": launcher.variable, "ranks": launcher.ranks, "rank": launcher.rank,
            })),
            "mpi": found.as_ref().ok().map(|library| json!({"library": library.name, "version": library.version})),
            "checks": list.collect::<Vec<_>>(),
            "healthy": healthy,
        }));
    } else {
        output::print(&format!(
            "trickbag {}\ndevice           cpu, {cores} cores\ninstruction set  {}\nlauncher         {}\nMPI              {}\n",
            env!("CARGO_PKG_VERSION"),
            kernels::instruction_set(),
            launcher.as_ref().map_or("none: this process is alone".to_owned(), |launcher| format!(
                "{}={}, this is rank {}",
                launcher.variable, launcher.ranks, launcher.rank
            )),
            match &found {
                Ok(library) => format!("{}: {}", library.name, library.version),
                Err(_) if args.mpi.is_none() && launcher.is_none() => {
                    "no library found; only several ranks need one".to_owned()
                }
                Err(error) => error.to_string(),
            },
        ));
        let head = ["check", "error", "allowed", ""].map(str::to_owned).to_vec();
        let rows = checks.iter().map(|check| {
            let verdict = if check.passes() { "ok" } else { "WRONG" };
            let number = |value| format!("{value:.1e}");
            vec![check.name.clone(), number(check.error), number(check.allowed), verdict.to_owned()]
        });
        output::print(&output::table(&[head].into_iter().chain(rows).collect::<Vec<_>>()));
    }
    if !healthy {
        bail!(
            "this machine computes wrong numbers: do not train on it, and please report the table above"
        );
    }
    Ok(())
}

/// The three products of convolutions of each kind against the textbook loops in f64.
fn convolutions() -> Vec<Check> {
    let plain = Conv2d {
        n: 2,
        h: 15,
        w: 13,
        c_in: 24,
        c_out: 40,
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1, 1],
        dilation: [1, 1],
        groups: 1,
    };
    let kinds = [
        ("convolution 3×3", plain),
        (
            "convolution 1×1, stride 2",
            Conv2d { kernel: [1, 1], stride: [2, 2], padding: [0, 0], ..plain },
        ),
        ("convolution 3×3, dilation 2", Conv2d { dilation: [2, 2], padding: [2, 2], ..plain }),
        ("convolution 3×3, 8 groups", Conv2d { groups: 8, ..plain }),
        ("convolution 3×3, depthwise", Conv2d { groups: 24, c_out: 24, ..plain }),
    ];
    kinds.into_iter().map(|(name, dims)| convolution(name, &dims)).collect()
}

fn convolution(name: &str, d: &Conv2d) -> Check {
    let (x, w, dy) = (noise(d.x_len(), 1), noise(d.w_len(), 2), noise(d.y_len(), 3));
    let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    let (x64, w64, dy64) = (wide(&x), wide(&w), wide(&dy));
    let mut error = 0.0f64;
    let mut compare = |ours: &[f32], truth: &[f64]| {
        let largest = truth.iter().fold(0.0f64, |a, b| a.max(b.abs()));
        let worst =
            ours.iter().zip(truth).fold(0.0f64, |a, (&o, t)| a.max((f64::from(o) - t).abs()));
        error = error.max(worst / largest);
    };
    let (mut y, mut y64) = (vec![0.0; d.y_len()], vec![0.0; d.y_len()]);
    kernels::conv2d_forward(d, &x, &w, &mut y);
    textbook::conv2d_forward(d, &x64, &w64, &mut y64);
    compare(&y, &y64);
    let (mut dx, mut dx64) = (vec![0.0; d.x_len()], vec![0.0; d.x_len()]);
    kernels::conv2d_input_grad(d, &dy, &w, &mut dx);
    textbook::conv2d_input_grad(d, &dy64, &w64, &mut dx64);
    compare(&dx, &dx64);
    let (mut dw, mut dw64) = (vec![0.0; d.w_len()], vec![0.0; d.w_len()]);
    kernels::conv2d_weight_grad(d, &x, &dy, &mut dw);
    textbook::conv2d_weight_grad(d, &x64, &dy64, &mut dw64);
    compare(&dw, &dw64);
    Check { name: name.to_owned(), error, allowed: 1e-5 }
}

fn noise(count: usize, index: u64) -> Vec<f32> {
    let mut rng = data::at(0, Stream::Init, 0, index);
    (0..count).map(|_| data::random::between(&mut rng, [-1.0, 1.0]) as f32).collect()
}

/// The check of a gradient g: along a direction d the loss should change by ε g·d.
fn gradient() -> Check {
    const EPSILON: f32 = 2e-3;
    let shape = Shape { blocks: [1; 4], channels: [8, 16, 16, 32], stem_channels: 8 };
    let options = Options { shape: Some(shape), stem: StemSize::Small, ..Options::plain(5) };
    let network = zoo::network("resnet18d", &options).expect("resnet18d is a network");
    let device = nn::cpu();
    let rng = |index| data::at(0, Stream::Init, 1, index as u64);
    let mut model = Model::initialized(network, Init::Xavier, 0.5, &device, rng);
    let task = Classify::bare(Precision::F32);
    let examples = Examples {
        images: TensorData::new(noise(8 * 16 * 16 * 3, 4), [8, 16, 16, 3]),
        targets: TensorData::new(vec![0.2f32; 8 * 5], [8, 5]),
    };
    let (_, gradients) = train::gradient(&task, &model, examples.clone());
    let gradients: Vec<Vec<f32>> = gradients.iter().map(values).collect();
    let first: Vec<Vec<f32>> = model.parameters.iter().map(|p| values(&p.value)).collect();
    let specs: Vec<ParameterSpec> = model.parameters.iter().map(|p| p.spec.clone()).collect();
    // The direction d is the gradient scaled to length 1, along which the loss changes most.
    let norm = gradients.iter().flatten().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
    let mut loss_at = |sign: f32| {
        let step = sign * EPSILON / norm as f32;
        let moved =
            |(w, g): (&Vec<f32>, &Vec<f32>)| w.iter().zip(g).map(|(w, g)| w + step * g).collect();
        let moved = first.iter().zip(&gradients).map(moved).collect();
        model.parameters = Parameters::new(specs.clone(), moved, &device);
        train::gradient(&task, &model, examples.clone()).0
    };
    let slope = (loss_at(1.0) - loss_at(-1.0)) / (2.0 * f64::from(EPSILON));
    let name = "gradient of a small ResNet-D".to_owned();
    Check { name, error: (slope / norm - 1.0).abs(), allowed: 2e-2 }
}
