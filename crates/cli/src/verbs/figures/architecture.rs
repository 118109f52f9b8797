//! What Figures 1 and 2 show of a network, told by the network's own value.

use nn::{ConvBn, Layer, PoolOptions};
use report::architecture::{Block, Network, Stage};
use zoo::Options;

/// ImageNet's.
const CLASSES: usize = 1000;

/// A ResNet of the zoo, in words, for images of its own size; `title` is the paper's name for it.
pub(super) fn described(name: &str, title: &str) -> Network {
    let network = zoo::network(name, &Options::plain(CLASSES)).expect("a network of the zoo");
    let input = [network.input, network.input, 3];
    let mut at = network.stem.iter().fold(input, |at, layer| layer.output(at));
    let stem_output = size(at);
    let mut stages = Vec::new();
    for (index, stage) in network.stages.iter().enumerate() {
        at = stage.layers.iter().fold(at, |at, layer| layer.output(at));
        let blocks = stage.layers.iter().map(block).collect();
        stages.push(Stage { name: format!("Stage {}", index + 1), blocks, output: size(at) });
    }
    Network {
        name: title.to_owned(),
        input: size(input),
        stem: network.stem.iter().map(step).collect(),
        stem_output,
        stages,
        output: vec![
            format!("global average pool, {}", network.classifier.c_in),
            format!("linear, {}", network.classifier.c_out),
        ],
    }
}

fn size([height, width, channels]: [usize; 3]) -> String {
    format!("{height}×{width}×{channels}")
}

fn block(layer: &Layer) -> Block {
    let Layer::Residual(block) = layer else { panic!("a stage of a ResNet holds residual blocks") };
    let mut path_a: Vec<String> = block.path_a.iter().map(step).collect();
    path_a.push(convolution(&block.last));
    Block { path_a, path_b: block.path_b.iter().map(step).collect() }
}

/// As the figures have it: kernel, channels, and the stride where it is not 1.
fn step(layer: &Layer) -> String {
    match layer {
        Layer::ConvBn(layer) => convolution(layer),
        Layer::MaxPool(options) => format!("max pool {}", window(options)),
        Layer::AvgPool(options) => format!("average pool {}", window(options)),
        _ => panic!("a path of a ResNet holds convolutions and pools"),
    }
}

fn convolution(layer: &ConvBn) -> String {
    let stride = stride(layer.stride);
    format!("{}×{}, {}{stride}", layer.kernel[0], layer.kernel[1], layer.c_out)
}

fn window(options: &PoolOptions) -> String {
    format!("{}×{}{}", options.kernel[0], options.kernel[1], stride(options.stride[0]))
}

fn stride(stride: usize) -> String {
    if stride == 1 { String::new() } else { format!(", s={stride}") }
}
