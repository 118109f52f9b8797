//! Figures 1 and 2 as text: the stem, the stages, and the two paths of each kind of block.

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
        text += &format!("│ stem               {:<28} → {}\n", describe(layer), size(shape));
    }
    for stage in &network.stages {
        text += &format!("├ {} × {} blocks\n", stage.name, stage.layers.len());
        for layer in distinct(&stage.layers) {
            if let Layer::Residual(block) = layer {
                let mut path_a: Vec<String> = block.path_a.iter().map(describe).collect();
                path_a.push(describe_conv(&block.last));
                text += &format!("│   ┌ path A         {}\n", path_a.join(" → "));
                let path_b: Vec<String> = block.path_b.iter().map(describe).collect();
                let path_b =
                    if path_b.is_empty() { "identity".into() } else { path_b.join(" → ") };
                text += &format!("│   └ path B         {path_b}\n");
            }
        }
        shape = stage.layers.iter().fold(shape, |shape, layer| layer.output(shape));
        text += &format!("│                    {:<28} → {}\n", "", size(shape));
    }
    let classifier = &network.classifier;
    text += &format!("│ global average pool                         → 1×1×{}\n", classifier.c_in);
    text +=
        &format!("└ {:<18} linear                       → {}\n", classifier.name, classifier.c_out);
    text
}

/// The first block of a stage, and one of those behind it.
fn distinct(layers: &[Layer]) -> &[Layer] {
    &layers[..layers.len().min(2)]
}

fn size([height, width, channels]: [usize; 3]) -> String {
    format!("{height}×{width}×{channels}")
}

fn describe(layer: &Layer) -> String {
    match layer {
        Layer::ConvBn(layer) => describe_conv(layer),
        Layer::MaxPool(options) => format!("max pool {}", window(options)),
        Layer::AvgPool(options) => format!("average pool {}", window(options)),
        Layer::Residual(block) => format!("block {}", block.name),
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
    if layer.activation == Activation::Relu { text } else { text + ", no ReLU" }
}
