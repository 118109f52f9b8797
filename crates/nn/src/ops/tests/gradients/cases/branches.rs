//! What branches, gates, biases and ceilings are made of.

use kernels::{
    Activation, ConcatInput, Conv2d, DropoutDraw, Excite, ExciteGradients, ExciteSaved, LinearDims,
};

use super::*;
use crate::{at_most, concat, conv2d_bias, dropout, excite};

pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    let mut cases = Vec::new();
    for widths in [vec![2, 3], vec![1, 4, 2], vec![3, 1, 1, 5]] {
        cases.push(concat_case([2, 3, 2], widths));
    }
    for activation in ACTIVATIONS {
        for [n, height, width, c] in [[2, 3, 2, 4], [1, 1, 1, 3]] {
            let dims = Excite { n, hw: height * width, c, activation };
            cases.push(excite_case(dims, [n, height, width, c]));
        }
        for channels in [[3, 4, 1], [4, 6, 2]] {
            cases.push(conv2d_bias_case(random.conv2d(channels), activation));
        }
    }
    for share in [0.0, 0.3] {
        cases.push(dropout_case(DropoutDraw { share, key: 5 }, [3, 7]));
    }
    cases.push(at_most_case(0.25, [4, 9]));
    cases
}

fn concat_case([n, height, width]: [usize; 3], channels: Vec<usize>) -> Case {
    let rows = n * height * width;
    let whole: usize = channels.iter().sum();
    let (first, second, third) = (channels.clone(), channels.clone(), channels.clone());
    Case {
        name: format!("concat {channels:?}"),
        lengths: channels.iter().map(|c| rows * c).collect(),
        facade: Box::new(move |shaped, inputs| {
            let branch = |(input, &c)| shaped.tensor(input, [n, height, width, c]);
            concat(inputs.iter().zip(&first).map(branch).collect()).reshape([-1])
        }),
        forward: Box::new(move |inputs| {
            let part = |(values, &channels): (&'_ Vec<f64>, &usize)| (values.clone(), channels);
            let inputs: Vec<_> = inputs.iter().zip(&second).map(part).collect();
            let parts: Vec<ConcatInput<'_, f64>> =
                inputs.iter().map(|(values, c)| ConcatInput { values, channels: *c }).collect();
            filled(rows * whole, |y| textbook::concat(&parts, y))
        }),
        backward: Box::new(move |_, dy| {
            let mut first = 0;
            let mut part = |&channels: &usize| {
                let part = filled(rows * channels, |part| {
                    textbook::split(dy, whole, first, part, channels);
                });
                first += channels;
                part
            };
            third.iter().map(&mut part).collect()
        }),
    }
}

fn excite_case(d: Excite, shape: [usize; 4]) -> Case {
    let length = d.n * d.hw * d.c;
    let forward = move |inputs: &[Vec<f64>]| {
        filled(length, |y| textbook::excite_forward(&d, &inputs[0], &inputs[1], &inputs[2], y))
    };
    Case {
        name: format!("{d:?}"),
        lengths: vec![length, d.n * d.c, length],
        facade: Box::new(move |shaped, inputs| {
            let (x, z) = (shaped.tensor(&inputs[0], shape), shaped.tensor(&inputs[1], [d.n, d.c]));
            excite(x, z, shaped.tensor(&inputs[2], shape), d.activation).reshape([-1])
        }),
        forward: Box::new(forward),
        backward: Box::new(move |inputs, dy| {
            let y = forward(inputs);
            let mut gradients: Vec<Vec<f64>> = inputs.iter().map(|i| zeros(i.len())).collect();
            let [dx, dz, dresidual] = &mut gradients[..] else { unreachable!("three inputs") };
            let saved = ExciteSaved { x: &inputs[0], z: &inputs[1], y: &y };
            let (dx, dz, dresidual) = (dx.into(), dz.into(), dresidual.into());
            textbook::excite_backward(&d, saved, dy, ExciteGradients { dx, dz, dresidual });
            gradients
        }),
    }
}

fn conv2d_bias_case(d: Conv2d, activation: Activation) -> Case {
    let [x_shape, w_shape, _] = conv_shapes(&d);
    let options = ConvOptions {
        stride: d.stride,
        padding: d.padding,
        dilation: d.dilation,
        groups: d.groups,
    };
    let rows = LinearDims { rows: d.y_len() / d.c_out, c_in: 1, c_out: d.c_out };
    let forward = move |inputs: &[Vec<f64>]| {
        filled(d.y_len(), |y| {
            textbook::conv2d_forward(&d, &inputs[0], &inputs[1], y);
            for (at, y) in y.iter_mut().enumerate() {
                let z = *y + inputs[2][at % d.c_out];
                *y = if activation == Activation::Relu { z.max(0.0) } else { z };
            }
        })
    };
    Case {
        name: format!("{d:?} with a bias, {activation:?}"),
        lengths: vec![d.x_len(), d.w_len(), d.c_out],
        facade: Box::new(move |shaped, inputs| {
            let (x, w) = (shaped.tensor(&inputs[0], x_shape), shaped.tensor(&inputs[1], w_shape));
            let b = shaped.tensor(&inputs[2], [d.c_out]);
            conv2d_bias(x, (w, b), activation, options).reshape([-1])
        }),
        forward: Box::new(forward),
        backward: Box::new(move |inputs, dy| {
            let (x, w, y) = (&inputs[0], &inputs[1], forward(inputs));
            let dz = filled(d.y_len(), |dz| match activation {
                Activation::Relu => textbook::relu_backward(&y, dy, dz),
                Activation::Identity => dz.copy_from_slice(dy),
            });
            vec![
                filled(d.x_len(), |dx| textbook::conv2d_input_grad(&d, &dz, w, dx)),
                filled(d.w_len(), |dw| textbook::conv2d_weight_grad(&d, x, &dz, dw)),
                filled(d.c_out, |db| textbook::linear_bias_grad(&rows, &dz, db)),
            ]
        }),
    }
}

fn dropout_case(d: DropoutDraw, shape: [usize; 2]) -> Case {
    let length = shape[0] * shape[1];
    let apply = move |x: &[f64]| filled(length, |y| textbook::dropout(&d, x, y));
    Case {
        name: format!("{d:?}"),
        lengths: vec![length],
        facade: Box::new(move |shaped, inputs| {
            dropout(shaped.tensor(&inputs[0], shape), d).reshape([-1])
        }),
        forward: Box::new(move |inputs| apply(&inputs[0])),
        backward: Box::new(move |_, dy| vec![apply(dy)]),
    }
}

fn at_most_case(ceiling: f32, shape: [usize; 2]) -> Case {
    let length = shape[0] * shape[1];
    let wide = f64::from(ceiling);
    let forward = move |x: &[f64]| filled(length, |y| textbook::at_most(wide, x, y));
    Case {
        name: format!("at most {ceiling}"),
        lengths: vec![length],
        facade: Box::new(move |shaped, inputs| {
            at_most(shaped.tensor(&inputs[0], shape), ceiling).reshape([-1])
        }),
        forward: Box::new(move |inputs| forward(&inputs[0])),
        backward: Box::new(move |inputs, dy| {
            let y = forward(&inputs[0]);
            vec![filled(length, |dx| textbook::at_most_backward(wide, &y, dy, dx))]
        }),
    }
}
