use kernels::*;
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
fn seconds(mut call: impl FnMut()) -> f64 {
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
fn noise(length: usize) -> Vec<f32> {
    let mut state = 1u32;
    let next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    std::iter::repeat_with(next).take(length).collect()
}
fn main() {
    for (rows, c) in
        [(16 * 112 * 112, 64), (16 * 56 * 56, 256), (16 * 14 * 14, 1024), (16 * 49, 2048)]
    {
        let d = BatchNorm { rows, channels: c, epsilon: 1e-5, activation: Activation::Relu };
        let x = noise(rows * c);
        let mut y = x.clone();
        let mut dx = x.clone();
        let mut r = x.clone();
        let g = noise(c);
        let (mut m, mut v) = (g.clone(), g.clone());
        let (mut dg, mut db) = (g.clone(), g.clone());
        let a = Affine { gamma: &g, beta: &g };
        let bytes = (rows * c * 4) as f64;
        let t = seconds(|| {
            batch_norm_train(&d, &x, a, None, &mut y, Moments { mean: &mut m, variance: &mut v })
        });
        println!(
            "bn {rows}x{c} train fwd {:.2} ms, {:.1} GB/s of 3",
            t * 1e3,
            3.0 * bytes / t / 1e9
        );
        let t = seconds(|| {
            batch_norm_eval(&d, &x, a, Statistics { mean: &m, variance: &v }, None, &mut y)
        });
        println!(
            "bn {rows}x{c} eval fwd {:.2} ms, {:.1} GB/s of 2",
            t * 1e3,
            2.0 * bytes / t / 1e9
        );
        let t = seconds(|| {
            batch_norm_train_backward(
                &d,
                BatchNormSaved { x: &x, y: &y, gamma: &g, mean: &m, variance: &v },
                &x,
                BatchNormGradients {
                    dx: &mut dx,
                    dgamma: &mut dg,
                    dbeta: &mut db,
                    dresidual: None,
                },
            )
        });
        println!("bn {rows}x{c} bwd {:.2} ms, {:.1} GB/s of 7", t * 1e3, 7.0 * bytes / t / 1e9);
        let t = seconds(|| {
            batch_norm_train_backward(
                &d,
                BatchNormSaved { x: &x, y: &y, gamma: &g, mean: &m, variance: &v },
                &x,
                BatchNormGradients {
                    dx: &mut dx,
                    dgamma: &mut dg,
                    dbeta: &mut db,
                    dresidual: Some(&mut r),
                },
            )
        });
        println!("bn {rows}x{c} bwd+res {:.2} ms, {:.1} GB/s of 8", t * 1e3, 8.0 * bytes / t / 1e9);
        let t = seconds(|| relu(&x, &mut y));
        println!("relu {:.2} ms, {:.1} GB/s of 2", t * 1e3, 2.0 * bytes / t / 1e9);
    }
    let d = Pool2d {
        n: 16,
        h: 112,
        w: 112,
        c: 64,
        kernel: [3; 2],
        stride: [2; 2],
        padding: [1; 2],
        ceil_mode: false,
        count_include_pad: false,
    };
    let x = noise(d.x_len());
    let mut y = noise(d.y_len());
    let mut a = vec![0; d.y_len()];
    let mut dx = x.clone();
    let bytes = (d.x_len() + d.y_len()) as f64 * 4.0;
    let t = seconds(|| max_pool_forward(&d, &x, &mut y, &mut a));
    println!("maxpool fwd {:.2} ms {:.1} GB/s", t * 1e3, bytes / t / 1e9);
    let t = seconds(|| max_pool_backward(&d, &a, &y, &mut dx));
    println!("maxpool bwd {:.2} ms {:.1} GB/s", t * 1e3, bytes / t / 1e9);
    let t = seconds(|| avg_pool_forward(&d, &x, &mut y));
    println!("avgpool fwd {:.2} ms {:.1} GB/s", t * 1e3, bytes / t / 1e9);
    let t = seconds(|| avg_pool_backward(&d, &y, &mut dx));
    println!("avgpool bwd {:.2} ms {:.1} GB/s", t * 1e3, bytes / t / 1e9);
    for (h, c, s) in
        [(112, 32, 1), (112, 64, 2), (56, 128, 1), (28, 256, 1), (14, 512, 1), (7, 1024, 1)]
    {
        let d = Conv2d {
            n: 16,
            h,
            w: h,
            c_in: c,
            c_out: c,
            kernel: [3; 2],
            stride: [s; 2],
            padding: [1; 2],
            dilation: [1; 2],
            groups: c,
        };
        let x = noise(d.x_len());
        let w = noise(d.w_len());
        let y = noise(d.y_len());
        let (mut dx, mut dw, mut out) = (x.clone(), w.clone(), y.clone());
        let f = 2.0 * d.multiply_adds() as f64 / 1e9;
        let b = (d.x_len() + d.y_len()) as f64 * 4e-9;
        let t = seconds(|| conv2d_forward(&d, &x, &w, &mut out));
        print!("dw {h} {c} s{s}: fwd {:.1} GF {:.1} GB/s", f / t, b / t);
        let t = seconds(|| conv2d_input_grad(&d, &y, &w, &mut dx));
        print!("  in {:.1} {:.1}", f / t, b / t);
        let t = seconds(|| conv2d_weight_grad(&d, &x, &y, &mut dw));
        println!("  w {:.1} {:.1}", f / t, b / t);
    }
    for (h, c, g, s) in [(56, 128, 32, 1), (28, 256, 32, 1), (14, 512, 32, 1), (7, 1024, 32, 1)] {
        let d = Conv2d {
            n: 16,
            h,
            w: h,
            c_in: c,
            c_out: c,
            kernel: [3; 2],
            stride: [s; 2],
            padding: [1; 2],
            dilation: [1; 2],
            groups: g,
        };
        let x = noise(d.x_len());
        let w = noise(d.w_len());
        let y = noise(d.y_len());
        let (mut dx, mut dw, mut out) = (x.clone(), w.clone(), y.clone());
        let f = 2.0 * d.multiply_adds() as f64 / 1e9;
        let t = seconds(|| conv2d_forward(&d, &x, &w, &mut out));
        print!("group {h} {c} s{s}: fwd {:.1} GF", f / t);
        let t = seconds(|| conv2d_input_grad(&d, &y, &w, &mut dx));
        print!("  in {:.1}", f / t);
        let t = seconds(|| conv2d_weight_grad(&d, &x, &y, &mut dw));
        println!("  w {:.1}", f / t);
    }
    let (r, k) = (256, 1000);
    let z = noise(r * k);
    let mut s = z.clone();
    let t = seconds(|| {
        cross_entropy_forward(r, k, &z, &z, &mut s);
    });
    println!("xent {:.2} ms", t * 1e3);
    let mut w = noise(25_000_000);
    let g = w.clone();
    let mut v = w.clone();
    let t = seconds(|| nag(&Nag { rate: 1e-9, momentum: 0.9, decay: 1e-4 }, &mut w, &g, &mut v));
    println!("nag 25M {:.2} ms {:.1} GB/s", t * 1e3, 0.5 / t);
}
