//! Linear layers over random shapes.

use super::{Random, assert_results, wide};
use crate::{
    LinearDims, linear_bias_grad, linear_forward, linear_input_grad, linear_weight_grad, textbook,
};

#[test]
fn random_shapes() {
    let mut random = Random::new(4);
    for case in 0..40 {
        let most = if case < 30 { 40 } else { 700 };
        let d = LinearDims {
            rows: random.of(1..=if case % 4 == 0 { 5 } else { most }),
            c_in: random.of(1..=most),
            c_out: random.of(1..=80),
        };
        let x = random.numbers(d.rows * d.c_in);
        let w = random.numbers(d.c_out * d.c_in);
        let b = random.flip().then(|| random.numbers(d.c_out));
        let dy = random.numbers(d.rows * d.c_out);
        let lengths = [dy.len(), x.len(), w.len(), d.c_out];
        let mut expected: Vec<Vec<f64>> = lengths.map(|length| vec![0.0; length]).into();
        let (wide_x, wide_w, wide_dy) = (wide(&x), wide(&w), wide(&dy));
        let wide_b = b.as_ref().map(|b| wide(b));
        textbook::linear_forward(&d, &wide_x, &wide_w, wide_b.as_deref(), &mut expected[0]);
        textbook::linear_input_grad(&d, &wide_dy, &wide_w, &mut expected[1]);
        textbook::linear_weight_grad(&d, &wide_x, &wide_dy, &mut expected[2]);
        textbook::linear_bias_grad(&d, &wide_dy, &mut expected[3]);
        let run = || {
            let mut found: Vec<Vec<f32>> = lengths.map(|length| vec![f32::NAN; length]).into();
            linear_forward(&d, &x, &w, b.as_deref(), &mut found[0]);
            linear_input_grad(&d, &dy, &w, &mut found[1]);
            linear_weight_grad(&d, &x, &dy, &mut found[2]);
            linear_bias_grad(&d, &dy, &mut found[3]);
            found
        };
        assert_results(&format!("{d:?}"), run, &expected, 1e-5);
    }
}
