//! Parameters and multiply-adds (Tables 1 and 5): one per weight and place of the output, convolutions and linear
//! layers only, as the paper counts.

use nn::{Conv2d, Layer, Linear, Module, Part};

use crate::network::Network;

/// What a network costs for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The auxiliary classifier's too, where there is one.
    pub parameters: u64,
    pub multiply_adds: u64,
    /// As fvcore and timm count: two more for each number that a batch norm gives, one for each that the global
    /// average pool takes.
    pub fvcore: u64,
    /// Outputs of convolutions and linear layers, in numbers: a measure of the memory that training keeps.
    pub activations: u64,
}

/// One line of the layer table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    pub kind: String,
    /// `[h, w, c]`.
    pub input: [usize; 3],
    pub output: [usize; 3],
    pub parameters: u64,
    pub multiply_adds: u64,
}

/// The cost for an image of `side` × `side` pixels.
pub fn cost(network: &Network, side: usize) -> Cost {
    let rows = rows(network, side);
    let convolutions = network.convolutions(1, side);
    let multiply_adds = rows.iter().map(|row| row.multiply_adds).sum();
    let (mut normalized, mut at) = (0, [side, side, 3]);
    for layer in network.layers() {
        at = layer.walk(at, &mut |part, input| {
            normalized += match part {
                Part::ConvBn { layer, .. } => layer.output(input).iter().product(),
                Part::Norm(_) => input.iter().product(),
                _ => 0,
            };
        });
    }
    let pooled: usize = at.iter().product();
    let convolved: usize = convolutions.iter().map(Conv2d::y_len).sum();
    Cost {
        parameters: network.parameters().iter().map(|spec| spec.len() as u64).sum(),
        multiply_adds,
        fvcore: multiply_adds + (2 * normalized + pooled) as u64,
        activations: (convolved + network.classes()) as u64,
    }
}

/// Every layer with its shapes and its cost. Of an auxiliary classifier, which only training uses, there are none.
pub fn rows(network: &Network, side: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let at =
        network.layers().fold([side, side, 3], |input, layer| layer_rows(layer, input, &mut rows));
    rows.push(row("global_pool", "average pool", at, [1, 1, at[2]]));
    rows.push(linear_row(&network.classifier));
    rows
}

fn row(name: &str, kind: &str, input: [usize; 3], output: [usize; 3]) -> Row {
    let (name, kind) = (name.to_owned(), kind.to_owned());
    Row { name, kind, input, output, parameters: 0, multiply_adds: 0 }
}

fn linear_row(layer: &Linear) -> Row {
    let weights = (layer.c_in * layer.c_out) as u64;
    Row {
        parameters: weights + layer.c_out as u64,
        multiply_adds: weights,
        ..row(&layer.name, "linear", [1, 1, layer.c_in], [1, 1, layer.c_out])
    }
}

/// What a layer's parts are and cost; returns the layer's output.
fn layer_rows(layer: &Layer, input: [usize; 3], rows: &mut Vec<Row>) -> [usize; 3] {
    layer.walk(input, &mut |part, input| {
        let image = [1, input[0], input[1]];
        match part {
            Part::ConvBn { layer, .. } => {
                let dims = layer.dims(image);
                rows.push(conv_row(&layer.conv, &dims, layer.bias, 2 * layer.c_out));
            }
            Part::Conv(layer) => {
                rows.push(conv_row(&layer.name, &layer.dims(image), layer.bias.is_some(), 0));
            }
            Part::SqueezeExcitation(part) => {
                for ((name, ..), dims) in part.convolutions().iter().zip(part.dims(1)) {
                    rows.push(conv_row(name, &dims, true, 0));
                }
            }
            Part::Norm(layer) => rows.push(Row {
                parameters: 2 * layer.channels as u64,
                ..row(&layer.name, "batch norm", input, input)
            }),
            Part::Bare(layer) => rows.extend(bare_row(layer, input)),
        }
    })
}

fn bare_row(layer: &Layer, input: [usize; 3]) -> Option<Row> {
    let (name, kind) = match layer {
        Layer::MaxPool(options) => ("maxpool", format!("max pool {}", window(options))),
        Layer::AvgPool(options) => ("avgpool", format!("average pool {}", window(options))),
        Layer::Stretch(side) => ("stretch", format!("average to {side}×{side} at least")),
        Layer::Ceiling(ceiling) => ("ceiling", format!("at most {ceiling}")),
        Layer::Dropout(layer) => ("dropout", format!("dropout {}", layer.share)),
        _ => return None,
    };
    let output = layer.output(input);
    let acts = !matches!(layer, Layer::Stretch(_)) || output != input;
    acts.then(|| row(name, &kind, input, output))
}

fn window(options: &nn::PoolOptions) -> String {
    format!("{}×{}/{}", options.kernel[0], options.kernel[1], options.stride[0])
}

/// `affine` parameters of the batch norm behind it.
fn conv_row(name: &str, d: &Conv2d, bias: bool, affine: usize) -> Row {
    let [kh, kw] = d.kernel;
    let mut kind = format!("conv {kh}×{kw}/{}", d.stride[0]);
    if d.dilation[0] != 1 {
        kind += &format!(" dilation {}", d.dilation[0]);
    }
    if d.groups != 1 {
        kind += &format!(" groups {}", d.groups);
    }
    let bias = if bias { d.c_out } else { 0 };
    let (input, output) = ([d.h, d.w, d.c_in], [d.out_h(), d.out_w(), d.c_out]);
    Row {
        parameters: (d.w_len() + bias + affine) as u64,
        multiply_adds: d.multiply_adds(),
        ..row(name, &kind, input, output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, names, network};

    /// What timm, torchvision and fvcore publish, and the paper's Tables 1 and 5: parameters, G multiply-adds, G as
    /// fvcore counts, M activations.
    const PUBLISHED: [(&str, u64, f64, f64, f64); 15] = [
        ("resnet18", 11_689_512, 1.8141, 1.8191, 2.48),
        ("resnet50", 25_557_032, 4.0892, 4.1115, 11.11),
        ("resnet50_original", 25_557_032, 3.8580, 3.8792, 10.59),
        ("resnet50c", 25_576_264, 4.3288, 4.3528, 11.92),
        ("resnet50d", 25_576_264, 4.3288, 4.3528, 11.92),
        ("resnet50s", 25_680_808, 5.4443, 5.4715, 13.52),
        ("resnet101d", 44_568_392, 8.0410, 8.0752, 17.04),
        ("resnet152d", 60_212_040, 11.7533, 11.8001, 23.36),
        ("resnext50_32x4d", 25_028_904, 4.2305, 4.2594, 14.40),
        ("seresnet50", 28_088_024, 4.0917, 4.1140, 11.13),
        ("seresnext50_32x4d", 27_559_896, 4.2330, 4.2619, 14.42),
        ("inception_v3", 23_834_568, 5.7132, 5.7313, 8.97),
        ("mobilenetv1_100", 4_231_976, 0.5687, 0.5789, 5.04),
        ("densenet201", 20_013_928, 4.2914, 4.3409, 7.85),
        ("vgg19_bn", 143_678_248, 19.6321, 19.6618, 14.86),
    ];

    #[test]
    fn counts_are_the_published_ones() {
        for (name, parameters, multiply_adds, fvcore, activations) in PUBLISHED {
            let network = network(name, &Options::plain(1000)).expect("a known name");
            let cost = cost(&network, network.input);
            assert_eq!(cost.parameters, parameters, "{name}");
            let giga = |count: u64| format!("{:.4}", count as f64 / 1e9);
            assert_eq!(giga(cost.multiply_adds), format!("{multiply_adds:.4}"), "{name}");
            assert_eq!(giga(cost.fvcore), format!("{fvcore:.4}"), "{name}, as fvcore");
            let mega = cost.activations as f64 / 1e6;
            assert_eq!(format!("{mega:.2}"), format!("{activations:.2}"), "{name}");
        }
    }

    /// Table 1's 3.9 G, the authors' counts of nets whose convolutions have a bias, timm's of others.
    #[test]
    fn other_counts_are_known_too() {
        for (name, parameters, giga) in [
            ("seresnet50_original", 28_088_024, "3.860"),
            ("vgg19", 143_667_240, "19.632"),
            ("inception_v3_aux", 27_161_264, "5.713"),
            ("densenet121", 7_978_856, "2.834"),
            ("resnext101_32x4d", 44_177_704, "7.970"),
            ("mobilenetv1_025", 470_072, "0.041"),
        ] {
            let network = network(name, &Options::plain(1000)).expect("a known name");
            let cost = cost(&network, network.input);
            assert_eq!(cost.parameters, parameters, "{name}");
            assert_eq!(format!("{:.3}", cost.multiply_adds as f64 / 1e9), giga, "{name}");
        }
    }

    #[test]
    fn the_dims_of_convolutions_stand_in_the_layers_order() {
        for name in names() {
            let network = network(&name, &Options::plain(10)).expect("a known name");
            let dims = network.convolutions(2, network.least.max(64));
            let mut expected = Vec::new();
            for part in network.parts() {
                match part {
                    Part::ConvBn { layer, .. } => {
                        expected.push((layer.c_in, layer.c_out, layer.kernel));
                    }
                    Part::Conv(layer) => expected.push((layer.c_in, layer.c_out, layer.kernel)),
                    Part::SqueezeExcitation(part) => expected
                        .extend(part.convolutions().map(|(_, c_in, c_out)| (c_in, c_out, [1; 2]))),
                    Part::Norm(_) | Part::Bare(_) => {}
                }
            }
            let found: Vec<_> = dims.iter().map(|d| (d.c_in, d.c_out, d.kernel)).collect();
            assert_eq!(found, expected, "{name}");
            let classifier = network.classifier.c_in as u64 * 10;
            let multiply_adds =
                dims.iter().map(|d| d.multiply_adds() / 2).sum::<u64>() + classifier;
            let side = network.least.max(64);
            assert_eq!(multiply_adds, cost(&network, side).multiply_adds, "{name}");
        }
    }

    #[test]
    fn the_layer_table_agrees_with_the_parameters() {
        for name in names() {
            let network = network(&name, &Options::plain(10)).expect("a known name");
            let side = network.least.max(64);
            let table: u64 = rows(&network, side).iter().map(|row| row.parameters).sum();
            let without_auxiliary = Network { auxiliary: None, ..network };
            assert_eq!(cost(&without_auxiliary, side).parameters, table, "{name}");
        }
    }
}
