//! Prints GFLOP/s of ResNet-50's convolutions in all three products:
//! `cargo run --release -p kernels --example gflops [BATCH]`.
#![allow(clippy::print_stdout)]

use std::time::Instant;

use kernels::{Conv2d, conv2d_forward, conv2d_input_grad, conv2d_weight_grad};

/// Image extent, input and output channels, kernel, stride.
const LAYERS: [(usize, usize, usize, usize, usize); 18] = [
    (224, 3, 64, 7, 2),
    (56, 64, 64, 1, 1),
    (56, 64, 64, 3, 1),
    (56, 64, 256, 1, 1),
    (56, 256, 64, 1, 1),
    (56, 256, 128, 1, 1),
    (56, 128, 128, 3, 2),
    (28, 128, 128, 3, 1),
    (28, 128, 512, 1, 1),
    (28, 512, 128, 1, 1),
    (56, 256, 512, 1, 2),
    (28, 256, 256, 3, 2),
    (14, 256, 256, 3, 1),
    (14, 256, 1024, 1, 1),
    (14, 1024, 256, 1, 1),
    (14, 512, 512, 3, 2),
    (7, 512, 512, 3, 1),
    (7, 512, 2048, 1, 1),
];

fn layer(
    n: usize,
    (extent, c_in, c_out, kernel, stride): (usize, usize, usize, usize, usize),
) -> Conv2d {
    Conv2d {
        n,
        h: extent,
        w: extent,
        c_in,
        c_out,
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [kernel / 2; 2],
        dilation: [1; 2],
        groups: 1,
    }
}

fn noise(length: usize) -> Vec<f32> {
    let mut state = 1u32;
    let next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn cpu() -> f64 {
    let mut t = 0.0;
    for e in std::fs::read_dir("/proc/self/task").unwrap() {
        let p = e.unwrap().path().join("schedstat");
        if let Ok(s) = std::fs::read_to_string(p) {
            t += s.split(' ').next().unwrap().parse::<f64>().unwrap();
        }
    }
    t / 1e9
}
fn seconds(which: usize, mut call: impl FnMut()) -> f64 {
    if std::env::args().nth(3).is_some_and(|t| t.parse::<usize>().unwrap() != which) {
        return f64::INFINITY;
    }
    call();
    let start = cpu();
    let mut n = 0;
    loop {
        call();
        n += 1;
        let t = cpu() - start;
        if t > 0.3 {
            return t / n as f64;
        }
    }
}
fn main() {
    let batch = std::env::args().nth(1).map_or(16, |text| text.parse().expect("a batch size"));
    println!(
        "batch {batch}, {} threads, {}; GFLOP/s",
        rayon::current_num_threads(),
        kernels::instruction_set()
    );
    println!("{:34} {:>8} {:>8} {:>8}", "layer", "forward", "input", "weight");
    let mut totals = [0.0; 3];
    let mut operations = 0.0;
    let only: Option<usize> = std::env::args().nth(2).map(|t| t.parse().unwrap());
    for (at, entry) in LAYERS.into_iter().enumerate() {
        if only.is_some_and(|o| o != at) {
            continue;
        }
        let d = layer(batch, entry);
        let (x, w, y) = (noise(d.x_len()), noise(d.w_len()), noise(d.y_len()));
        let (mut dx, mut dw, mut out) = (x.clone(), w.clone(), y.clone());
        let times = [
            seconds(0, || conv2d_forward(&d, &x, &w, &mut out)),
            seconds(1, || conv2d_input_grad(&d, &y, &w, &mut dx)),
            seconds(2, || conv2d_weight_grad(&d, &x, &y, &mut dw)),
        ];
        let work = 2.0 * d.multiply_adds() as f64;
        operations += work;
        let (extent, c_in, c_out, kernel, stride) = entry;
        let name = format!("{extent:3} px {c_in:4} -> {c_out:4} {kernel}x{kernel} stride {stride}");
        print!("{name:34}");
        for (total, time) in totals.iter_mut().zip(times) {
            *total += time;
            print!(" {:8.1}", work / time / 1e9);
        }
        println!();
    }
    print!("{:34}", "all of these");
    for total in totals {
        print!(" {:8.1}", operations / total / 1e9);
    }
    println!();
}
