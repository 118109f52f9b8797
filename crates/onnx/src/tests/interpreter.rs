//! ONNX's operators by their definitions, in f64 and plain loops: another reader of the graph than the one that wrote
//! it, and another convolution than ours.

use std::collections::BTreeMap;

use crate::schema::{GraphProto, NodeProto, TensorProto};

#[derive(Clone, Debug)]
pub(super) struct Array {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f64>,
}

/// The only output of a graph for its only input.
pub(super) fn run(graph: &GraphProto, input: Array) -> Array {
    let mut values: BTreeMap<&str, Array> = BTreeMap::new();
    values.insert(&graph.input[0].name, input);
    for tensor in &graph.initializer {
        let old = values.insert(&tensor.name, array(tensor));
        assert!(old.is_none(), "{} is there twice", tensor.name);
    }
    for node in &graph.node {
        let inputs: Vec<Option<&Array>> = node
            .input
            .iter()
            .map(|name| {
                let found = values.get(name.as_str());
                assert!(found.is_some() || name.is_empty(), "{}: no {name} yet", node.name);
                found
            })
            .collect();
        let output = operate(node, &inputs);
        let old = values.insert(&node.output[0], output);
        assert!(old.is_none(), "{} is there twice", node.output[0]);
    }
    values[graph.output[0].name.as_str()].clone()
}

fn array(tensor: &TensorProto) -> Array {
    let bytes = tensor.raw_data.chunks_exact(4);
    let values =
        bytes.map(|bytes| f64::from(f32::from_le_bytes(bytes.try_into().expect("four bytes"))));
    Array { shape: tensor.dims.iter().map(|&dim| dim as usize).collect(), values: values.collect() }
}

fn operate(node: &NodeProto, inputs: &[Option<&Array>]) -> Array {
    let input = |index: usize| inputs[index].expect("an argument that is needed");
    let x = input(0);
    match node.op_type.as_str() {
        "Conv" => convolution(node, x, input(1), inputs.get(2).copied().flatten()),
        "BatchNormalization" => batch_norm(node, x, [1, 2, 3, 4].map(input)),
        "Relu" => each(x, |value| value.max(0.0)),
        "Sigmoid" => each(x, |value| 1.0 / (1.0 + (-value).exp())),
        "Clip" => {
            assert!(inputs[1].is_none(), "the lower end is free");
            let most = input(2).values[0];
            each(x, |value| value.min(most))
        }
        "Add" => pairwise(x, input(1), |a, b| a + b),
        "Mul" => pairwise(x, input(1), |a, b| a * b),
        "MaxPool" => pool(node, x, |window, _| window.iter().fold(f64::MIN, |a, &b| a.max(b))),
        "AveragePool" => {
            let padded = int(node, "count_include_pad") == 1;
            pool(node, x, |window, cells| {
                let count = if padded { cells } else { window.len() };
                window.iter().sum::<f64>() / count as f64
            })
        }
        "GlobalAveragePool" => {
            let [n, c, h, w] = x.shape[..] else { panic!("{:?}", x.shape) };
            let mean = |image: &[f64]| image.iter().sum::<f64>() / (h * w) as f64;
            Array { shape: vec![n, c, 1, 1], values: x.values.chunks(h * w).map(mean).collect() }
        }
        "Flatten" => {
            assert_eq!(int(node, "axis"), 1);
            let n = x.shape[0];
            Array { shape: vec![n, x.values.len() / n], values: x.values.clone() }
        }
        "Gemm" => {
            assert_eq!(int(node, "transB"), 1);
            let (w, bias) = (input(1), input(2));
            let rows = x.values.chunks(x.shape[1]);
            let values = rows.flat_map(|row| {
                let columns = w.values.chunks(w.shape[1]).zip(&bias.values);
                columns.map(|(column, bias)| dot(row, column) + bias)
            });
            Array { shape: vec![x.shape[0], w.shape[0]], values: values.collect() }
        }
        "Concat" => {
            assert_eq!(int(node, "axis"), 1);
            let parts: Vec<&Array> = (0..inputs.len()).map(input).collect();
            concat(&parts)
        }
        "MatMul" => matmul(x, input(1)),
        other => panic!("no operator {other}"),
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn each(x: &Array, f: impl Fn(f64) -> f64) -> Array {
    Array { shape: x.shape.clone(), values: x.values.iter().map(|&value| f(value)).collect() }
}

/// b may be one number an image and channel.
fn pairwise(a: &Array, b: &Array, f: impl Fn(f64, f64) -> f64) -> Array {
    let repeated = a.values.len() / b.values.len();
    assert!(a.shape == b.shape || b.shape[2..] == [1, 1], "{:?} and {:?}", a.shape, b.shape);
    let values = a.values.iter().enumerate().map(|(index, &a)| f(a, b.values[index / repeated]));
    Array { shape: a.shape.clone(), values: values.collect() }
}

fn int(node: &NodeProto, name: &str) -> i64 {
    attribute(node, name).i.expect("an integer")
}

fn ints<const N: usize>(node: &NodeProto, name: &str) -> [usize; N] {
    let list: Vec<usize> = attribute(node, name).ints.iter().map(|&value| value as usize).collect();
    list.try_into().expect("another number of integers")
}

fn attribute<'a>(node: &'a NodeProto, name: &str) -> &'a crate::schema::AttributeProto {
    let found = node.attribute.iter().find(|attribute| attribute.name == name);
    found.unwrap_or_else(|| panic!("{} has no {name}", node.name))
}

fn batch_norm(node: &NodeProto, x: &Array, [gamma, beta, mean, variance]: [&Array; 4]) -> Array {
    let epsilon = f64::from(attribute(node, "epsilon").f.expect("a number"));
    let (channels, pixels) = (x.shape[1], x.shape[2] * x.shape[3]);
    let values = x.values.iter().enumerate().map(|(index, value)| {
        let c = index / pixels % channels;
        let scale = gamma.values[c] / (variance.values[c] + epsilon).sqrt();
        (value - mean.values[c]) * scale + beta.values[c]
    });
    Array { shape: x.shape.clone(), values: values.collect() }
}

fn convolution(node: &NodeProto, x: &Array, w: &Array, bias: Option<&Array>) -> Array {
    let [n, c_in, height, width] = x.shape[..] else { panic!("{:?}", x.shape) };
    let [c_out, in_group, kh, kw] = w.shape[..] else { panic!("{:?}", w.shape) };
    let groups = int(node, "group") as usize;
    assert_eq!((ints(node, "kernel_shape"), in_group * groups), ([kh, kw], c_in), "{}", node.name);
    let (stride, dilation): ([usize; 2], [usize; 2]) =
        (ints(node, "strides"), ints(node, "dilations"));
    let pads: [usize; 4] = ints(node, "pads");
    let extent = |size, side: usize, axis: usize| {
        (size + pads[axis] + pads[axis + 2] - dilation[axis] * (side - 1) - 1) / stride[axis] + 1
    };
    let (out_h, out_w) = (extent(height, kh, 0), extent(width, kw, 1));
    let mut values = Vec::with_capacity(n * c_out * out_h * out_w);
    for image in x.values.chunks(c_in * height * width) {
        for (out, weights) in w.values.chunks(in_group * kh * kw).enumerate() {
            let first = out / (c_out / groups) * in_group;
            let mut plane = vec![bias.map_or(0.0, |bias| bias.values[out]); out_h * out_w];
            for (tap, &weight) in weights.iter().enumerate() {
                let (channel, dy, dx) = (first + tap / (kh * kw), tap / kw % kh, tap % kw);
                let input = &image[channel * height * width..][..height * width];
                for oy in 0..out_h {
                    let y = (oy * stride[0] + dy * dilation[0]).wrapping_sub(pads[0]);
                    if y >= height {
                        continue;
                    }
                    for ox in 0..out_w {
                        let x = (ox * stride[1] + dx * dilation[1]).wrapping_sub(pads[1]);
                        if x < width {
                            plane[oy * out_w + ox] += weight * input[y * width + x];
                        }
                    }
                }
            }
            values.extend(plane);
        }
    }
    Array { shape: vec![n, c_out, out_h, out_w], values }
}

/// `reduce` gets the pixels of a window that lie on the image, and how many lie on it or its border.
fn pool(node: &NodeProto, x: &Array, reduce: impl Fn(&[f64], usize) -> f64) -> Array {
    let [n, c, height, width] = x.shape[..] else { panic!("{:?}", x.shape) };
    let (kernel, stride): ([usize; 2], [usize; 2]) =
        (ints(node, "kernel_shape"), ints(node, "strides"));
    let pads: [usize; 4] = ints(node, "pads");
    let up = int(node, "ceil_mode") == 1;
    let extent = |size: usize, axis: usize| {
        let room = size + pads[axis] + pads[axis + 2] - kernel[axis];
        if up { room.div_ceil(stride[axis]) + 1 } else { room / stride[axis] + 1 }
    };
    let (out_h, out_w) = (extent(height, 0), extent(width, 1));
    let mut values = Vec::with_capacity(n * c * out_h * out_w);
    for plane in x.values.chunks(height * width) {
        for (oy, ox) in (0..out_h).flat_map(|oy| (0..out_w).map(move |ox| (oy, ox))) {
            let (mut window, mut cells) = (Vec::new(), 0);
            for (dy, dx) in (0..kernel[0]).flat_map(|dy| (0..kernel[1]).map(move |dx| (dy, dx))) {
                let (y, x) = (oy * stride[0] + dy, ox * stride[1] + dx);
                let inside = |at: usize, size, axis: usize| at < size + pads[axis] + pads[axis + 2];
                cells += usize::from(inside(y, height, 0) && inside(x, width, 1));
                let (y, x) = (y.wrapping_sub(pads[0]), x.wrapping_sub(pads[1]));
                if y < height && x < width {
                    window.push(plane[y * width + x]);
                }
            }
            values.push(reduce(&window, cells));
        }
    }
    Array { shape: vec![n, c, out_h, out_w], values }
}

fn concat(parts: &[&Array]) -> Array {
    let mut shape = parts[0].shape.clone();
    shape[1] = parts.iter().map(|part| part.shape[1]).sum();
    let mut values = Vec::new();
    for image in 0..shape[0] {
        for part in parts {
            assert_eq!((part.shape[0], &part.shape[2..]), (shape[0], &shape[2..]));
            let each = part.values.len() / shape[0];
            values.extend_from_slice(&part.values[image * each..][..each]);
        }
    }
    Array { shape, values }
}

/// One of the two is a matrix, the other a stack of them.
fn matmul(a: &Array, b: &Array) -> Array {
    let last = |array: &Array| {
        let [.., rows, columns] = array.shape[..] else { panic!("{:?}", array.shape) };
        [rows, columns]
    };
    let ([rows, inner], [again, columns]) = (last(a), last(b));
    assert_eq!(inner, again, "{:?} by {:?}", a.shape, b.shape);
    let count = (a.values.len() / (rows * inner)).max(b.values.len() / (inner * columns));
    let mut values = Vec::new();
    for index in 0..count {
        let of = |array: &Array, size: usize| {
            let at = if array.values.len() == size { 0 } else { index * size };
            array.values[at..at + size].to_vec()
        };
        let (a, b) = (of(a, rows * inner), of(b, inner * columns));
        for row in a.chunks(inner) {
            let cell = |column| (0..inner).map(|k| row[k] * b[k * columns + column]).sum::<f64>();
            values.extend((0..columns).map(cell));
        }
    }
    let mut shape = if a.shape.len() > 2 { a.shape.clone() } else { b.shape.clone() };
    let rank = shape.len();
    shape[rank - 2..].copy_from_slice(&[rows, columns]);
    Array { shape, values }
}
