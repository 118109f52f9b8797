//! Each convolution of a network by itself, in the three products that training needs.

use std::time::Instant;

use anyhow::Result;
use kernels::Conv2d;
use serde_json::json;

use super::{median, network};
use crate::args::BenchCommon;
use crate::output;

/// A convolution, how often the network has it, and the median milliseconds of its three products.
struct Timed {
    dims: Conv2d,
    count: usize,
    milliseconds: [f64; 3],
}

const PRODUCTS: [&str; 3] = ["forward", "input_gradient", "weight_gradient"];

pub(super) fn run(common: &BenchCommon) -> Result<()> {
    let network = network(common)?;
    let mut shapes: Vec<(Conv2d, usize)> = Vec::new();
    for dims in network.convolutions(common.batch(), common.size()) {
        match shapes.iter_mut().find(|(known, _)| *known == dims) {
            Some((_, count)) => *count += 1,
            None => shapes.push((dims, 1)),
        }
    }
    let timed: Vec<Timed> = shapes
        .into_iter()
        .map(|(dims, count)| Timed { dims, count, milliseconds: time(&dims, common.steps()) })
        .collect();
    let peak = kernels::peak_gigaflops(0.5);
    if common.json {
        let layers: Vec<_> = timed.iter().map(|layer| as_json(layer, peak)).collect();
        output::json(&json!({
            "model": common.model,
            "size": common.size(),
            "batch": common.batch(),
            "threads": common.threads(),
            "instruction_set": kernels::instruction_set(),
            "peak_gigaflops": peak,
            "layers": layers,
        }));
        return Ok(());
    }
    output::print(&format!("peak {peak:.0} GFLOP/s; each product: ms, GFLOP/s, share of peak\n"));
    let head =
        ["convolution", "times", "forward", "", "", "input gradient", "", "", "weight gradient"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for layer in &timed {
        let mut row = vec![name(&layer.dims), layer.count.to_string()];
        for milliseconds in layer.milliseconds {
            let speed = gigaflops(&layer.dims, milliseconds);
            row.extend([
                format!("{milliseconds:.2}"),
                format!("{speed:.0}"),
                format!("{:.0} %", 100.0 * speed / peak),
            ]);
        }
        rows.push(row);
    }
    output::print(&output::table(&rows));
    Ok(())
}

fn name(d: &Conv2d) -> String {
    let groups = if d.groups == 1 { String::new() } else { format!(" groups {}", d.groups) };
    let [kh, kw] = d.kernel;
    format!("{}×{}×{} → {}, {kh}×{kw}/{}{groups}", d.h, d.w, d.c_in, d.c_out, d.stride[0])
}

fn gigaflops(d: &Conv2d, milliseconds: f64) -> f64 {
    2.0 * d.multiply_adds() as f64 / milliseconds / 1e6
}

fn as_json(layer: &Timed, peak: f64) -> serde_json::Value {
    let d = &layer.dims;
    let mut value = json!({
        "convolution": name(d),
        "count": layer.count,
        "multiply_adds": d.multiply_adds(),
        "bytes_moved": 4 * (d.x_len() + d.w_len() + d.y_len()),
    });
    for (product, milliseconds) in PRODUCTS.iter().zip(layer.milliseconds) {
        let speed = gigaflops(d, milliseconds);
        value[product] = json!({"milliseconds": milliseconds, "gigaflops": speed, "share_of_peak": speed / peak});
    }
    value
}

fn time(d: &Conv2d, steps: usize) -> [f64; 3] {
    let noise = |count: usize, index| -> Vec<f32> {
        let mut rng = data::at(2, data::Stream::Init, 0, index);
        (0..count).map(|_| data::random::between(&mut rng, [-1.0, 1.0]) as f32).collect()
    };
    let (x, w, dy) = (noise(d.x_len(), 0), noise(d.w_len(), 1), noise(d.y_len(), 2));
    let (mut y, mut dx, mut dw) =
        (vec![0.0; d.y_len()], vec![0.0; d.x_len()], vec![0.0; d.w_len()]);
    let clock = |body: &mut dyn FnMut()| {
        body();
        let mut once = || {
            let started = Instant::now();
            body();
            started.elapsed().as_secs_f64() * 1e3
        };
        median((0..steps).map(|_| once()).collect())
    };
    [
        clock(&mut || kernels::conv2d_forward(d, &x, &w, &mut y)),
        clock(&mut || kernels::conv2d_input_grad(d, &dy, &w, &mut dx)),
        clock(&mut || kernels::conv2d_weight_grad(d, &x, &dy, &mut dw)),
    ]
}
