//! Figures 1 and 2 as text: the stem, the stages, and the paths of each kind of block.

use nn::{Activation, ConvBn, Layer, PoolOptions};

use crate::cost::cost;
use crate::network::Network;

/// The network, drawn from its value for an image of `side` × `side` pixels.
pub fn draw(network: &Network, side: usize) -> String {
    let cost = cost(network, side);
    let mut text = format!(
        "{}: {:.2} M parameters, {:.3} G multiply-adds at {side}×{side}\n\n",
        network.name,
        cost.parameters as f64 / 1e6,
        cost.multiply_adds as f64 / 1e9
    );
    text += &format!("input                {side}×{side}×3\n");
    let mut shape = [side, side, 3];
    for layer in &network.stem {
        shape = layer.output(shape);
        text += &line("│ stem", &describe(layer), shape);
    }
    for stage in &network.stages {
        text += &format!("├ {} × {} layers\n", stage.name, stage.layers.len());
        for (drawn, times) in distinct(&stage.layers) {
            text += &drawn;
            if times > 1 {
                text += &format!("│   × {times}\n");
            }
        }
        shape = stage.layers.iter().fold(shape, |shape, layer| layer.output(shape));
        text += &line("│", "", shape);
    }
    for layer in &network.head {
        shape = layer.output(shape);
        text += &line("│ head", &describe(layer), shape);
    }
    let classifier = &network.classifier;
    text += &line("│ global average pool", "", [1, 1, classifier.c_in]);
    let name = format!("└ {}", classifier.name);
    text += &format!("{name:<20} {:<28} → {}\n", "linear", classifier.c_out);
    text
}

fn line(what: &str, layer: &str, [height, width, channels]: [usize; 3]) -> String {
    format!("{what:<20} {layer:<28} → {height}×{width}×{channels}\n")
}

/// Each layer drawn, and how many of the same follow each other.
fn distinct(layers: &[Layer]) -> Vec<(String, usize)> {
    let mut found: Vec<(String, usize)> = Vec::new();
    for drawn in layers.iter().map(draw_layer) {
        match found.last_mut() {
            Some((last, times)) if *last == drawn => *times += 1,
            _ => found.push((drawn, 1)),
        }
    }
    found
}

/// The paths of a block, one under the other.
fn draw_layer(layer: &Layer) -> String {
    let paths: Vec<(String, String)> = match layer {
        Layer::Residual(block) => {
            let mut a = describe_chain(&block.path_a);
            a = if a.is_empty() { String::new() } else { a + " → " };
            a += &describe_conv(&block.last);
            if let Some(part) = &block.squeeze_excitation {
                a += &format!(" → squeeze {}, excite", part.reduced);
            }
            vec![("path A".into(), a), ("path B".into(), or_identity(&block.path_b))]
        }
        Layer::Branches(branches) => {
            let branch = |(index, chain): (usize, &Vec<Layer>)| {
                (format!("branch {}", index + 1), or_identity(chain))
            };
            branches.iter().enumerate().map(branch).collect()
        }
        other => return format!("│   ─ {}\n", describe(other)),
    };
    let mut text = String::new();
    for (index, (name, path)) in paths.iter().enumerate() {
        let corner = match index {
            0 => '┌',
            _ if index + 1 == paths.len() => '└',
            _ => '├',
        };
        text += &format!("│   {corner} {name:<14} {path}\n");
    }
    text
}

fn or_identity(chain: &[Layer]) -> String {
    if chain.is_empty() { "identity".into() } else { describe_chain(chain) }
}

fn describe_chain(chain: &[Layer]) -> String {
    chain.iter().map(describe).collect::<Vec<_>>().join(" → ")
}

fn describe(layer: &Layer) -> String {
    match layer {
        Layer::ConvBn(layer) => describe_conv(layer),
        Layer::MaxPool(options) => format!("max pool {}", window(options)),
        Layer::AvgPool(options) => format!("average pool {}", window(options)),
        Layer::Residual(block) => format!("block {}", block.name),
        Layer::Conv(layer) => {
            let [height, width] = layer.kernel;
            let then = match layer.bias {
                Some(Activation::Relu) => "bias, ReLU",
                Some(Activation::Identity) => "bias",
                None => "nothing behind it",
            };
            format!("{height}×{width}, {}, {then}", layer.c_out)
        }
        Layer::Norm(layer) if layer.activation == Activation::Relu => "BN, ReLU".into(),
        Layer::Norm(_) => "BN".into(),
        Layer::Branches(branches) => {
            let branches: Vec<String> = branches.iter().map(|chain| or_identity(chain)).collect();
            format!("{{{}}}", branches.join(" | "))
        }
        Layer::Ceiling(ceiling) => format!("at most {ceiling}"),
        Layer::Stretch(side) => format!("average to {side}×{side} at least"),
        Layer::Dropout(layer) => format!("dropout {}", layer.share),
    }
}

fn window(PoolOptions { kernel, stride, .. }: &PoolOptions) -> String {
    format!("{}×{}, stride {}", kernel[0], kernel[1], stride[0])
}

fn describe_conv(layer: &ConvBn) -> String {
    let mut text = format!("{}×{}, {}", layer.kernel[0], layer.kernel[1], layer.c_out);
    if layer.stride != 1 {
        text += &format!(", stride {}", layer.stride);
    }
    if layer.dilation != 1 {
        text += &format!(", dilation {}", layer.dilation);
    }
    if layer.groups == layer.c_out {
        text += ", depthwise";
    } else if layer.groups != 1 {
        text += &format!(", {} groups", layer.groups);
    }
    if layer.activation == Activation::Relu { text } else { text + ", no ReLU" }
}
