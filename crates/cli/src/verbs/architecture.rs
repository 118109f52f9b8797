//! What Figures 1 and 2 show of a network, told by the network's own value.

use nn::{Activation, ConvBn, Layer, PoolOptions};
use report::architecture::{BlockDrawing, NetworkDrawing, StageDrawing};
use zoo::Options;

use crate::output::grouped;

/// ImageNet's.
const CLASSES: usize = 1000;

/// A network of the zoo for images of its own size; `title` is the paper's name for it.
pub(super) fn titled(name: &str, title: &str) -> NetworkDrawing {
    let network = zoo::network(name, &Options::plain(CLASSES)).expect("a network of the zoo");
    let side = network.input;
    NetworkDrawing { name: title.to_owned(), note: String::new(), ..described(&network, side) }
}

/// A network in words, for images of `side` × `side` pixels.
pub(super) fn described(network: &zoo::Network, side: usize) -> NetworkDrawing {
    let input = [side, side, 3];
    let (stem, mut at) = steps(&network.stem, input);
    let stem_output = size(at);
    let mut stages = Vec::new();
    for (index, stage) in network.stages.iter().enumerate() {
        let blocks = blocks(&stage.layers, at);
        at = stage.layers.iter().fold(at, |at, layer| layer.output(at));
        stages.push(StageDrawing {
            name: format!("Stage {}", index + 1),
            blocks,
            output: size(at),
        });
    }
    let (mut output, _) = steps(&network.head, at);
    output.push(format!("global average pool, {}", network.classifier.c_in));
    if network.dropout.share > 0.0 {
        output.push(format!("dropout {}", network.dropout.share));
    }
    output.push(format!("linear, {}", network.classifier.c_out));
    let cost = zoo::cost(network, side);
    let note = format!(
        "{} parameters, {:.3} G multiply-adds",
        grouped(cost.parameters),
        cost.multiply_adds as f64 / 1e9
    );
    NetworkDrawing {
        name: network.name.clone(),
        note,
        input: size(input),
        stem,
        stem_output,
        stages,
        output,
    }
}

fn size([height, width, channels]: [usize; 3]) -> String {
    format!("{height}×{width}×{channels}")
}

/// Layers that hold others are blocks; what lies between them are chains.
fn blocks(layers: &[Layer], mut at: [usize; 3]) -> Vec<BlockDrawing> {
    let is_block = |layer: &Layer| matches!(layer, Layer::Residual(_) | Layer::Branches(_));
    let mut blocks = Vec::new();
    for run in layers.chunk_by(|a, b| !is_block(a) && !is_block(b)) {
        match &run[0] {
            Layer::Residual(block) => {
                let mut path_a = steps(&block.path_a, at).0;
                path_a.push(convolution(&block.last));
                if let Some(part) = &block.squeeze_excitation {
                    path_a.push(format!("squeeze to {}, excite", part.reduced));
                }
                blocks.push(BlockDrawing::Residual { path_a, path_b: steps(&block.path_b, at).0 });
            }
            Layer::Branches(branches) => {
                blocks.push(BlockDrawing::Branches(
                    branches.iter().map(|path| steps(path, at).0).collect(),
                ));
            }
            _ => blocks
                .extend(repeated(&steps(run, at).0).map(|unit| BlockDrawing::Chain(unit.to_vec()))),
        }
        at = run.iter().fold(at, |at, layer| layer.output(at));
    }
    blocks
}

/// The labels cut so that what is repeated, and what comes before and behind it, are units. Of equally long
/// repetitions the last one counts: what stands out in a stage are its first layers.
fn repeated(labels: &[String]) -> Box<dyn Iterator<Item = &[String]> + '_> {
    let mut longest: Option<(usize, usize, usize)> = None;
    for period in 1..=labels.len() / 2 {
        for start in 0..labels.len() {
            let unit = labels[start..].chunks_exact(period);
            let first = &labels[start..labels.len().min(start + period)];
            let length = period * unit.take_while(|unit| *unit == first).count();
            let is_longer = longest.is_none_or(|(most, from, _)| (length, start) > (most, from));
            if length >= 2 * period && is_longer {
                longest = Some((length, start, period));
            }
        }
    }
    let Some((length, start, period)) = longest else {
        return Box::new(labels.chunks(labels.len().max(1)));
    };
    let end = start + length;
    let middle = labels[start..end].chunks(period);
    Box::new(repeated(&labels[..start]).chain(middle).chain(repeated(&labels[end..])))
}

/// Labels of layers in a row, and the size behind them.
fn steps(layers: &[Layer], mut at: [usize; 3]) -> (Vec<String>, [usize; 3]) {
    let mut labels: Vec<String> = Vec::new();
    for layer in layers {
        let output = layer.output(at);
        match (layer, labels.last_mut()) {
            (Layer::Ceiling(ceiling), Some(last)) => *last += &format!(", at most {ceiling}"),
            (Layer::Stretch(_), _) if output == at => {}
            _ => labels.push(label(layer, at)),
        }
        at = output;
    }
    (labels, at)
}

/// As the figures have it: kernel, channels, and the stride where it is not 1.
fn label(layer: &Layer, at: [usize; 3]) -> String {
    match layer {
        Layer::ConvBn(layer) => convolution(layer),
        Layer::Conv(layer) => format!("{}×{}, {}", layer.kernel[0], layer.kernel[1], layer.c_out),
        Layer::Norm(layer) if layer.activation == Activation::Relu => "BN, ReLU".into(),
        Layer::Norm(_) => "BN".into(),
        Layer::MaxPool(options) => format!("max pool {}", window(options)),
        Layer::AvgPool(options) => format!("average pool {}", window(options)),
        Layer::Branches(branches) => {
            let path = |path: &Vec<Layer>| steps(path, at).0.join(" → ");
            let paths: Vec<String> = branches.iter().map(path).collect();
            paths.join(" beside ")
        }
        Layer::Residual(block) => format!("block {}", block.name),
        Layer::Ceiling(ceiling) => format!("at most {ceiling}"),
        Layer::Stretch(side) => format!("average to {side}×{side}"),
        Layer::Dropout(layer) => format!("dropout {}", layer.share),
    }
}

fn convolution(layer: &ConvBn) -> String {
    let mut text = format!("{}×{}, {}", layer.kernel[0], layer.kernel[1], layer.c_out);
    if layer.groups == layer.c_out {
        text += " depthwise";
    } else if layer.groups > 1 {
        text += &format!(" in {} groups", layer.groups);
    }
    text + &stride(layer.stride)
}

fn window(options: &PoolOptions) -> String {
    format!("{}×{}{}", options.kernel[0], options.kernel[1], stride(options.stride[0]))
}

fn stride(stride: usize) -> String {
    if stride == 1 { String::new() } else { format!(", s={stride}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_a_unit() {
        for (labels, units) in [
            ("", ""),
            ("a", "a"),
            ("ab", "ab"),
            ("aaaa", "a a a a"),
            ("paaaa", "p a a a a"),
            ("sbcb", "sbcb"),
            ("sbcbcbcb", "sb cb cb cb"),
            ("abcabcd", "abc abc d"),
        ] {
            let list: Vec<String> = labels.chars().map(String::from).collect();
            let found: Vec<String> = repeated(&list).map(|unit| unit.concat()).collect();
            assert_eq!(found.join(" "), units);
        }
    }

    #[test]
    fn every_network_can_be_told() {
        for name in zoo::names() {
            let network = zoo::network(&name, &Options::plain(10)).expect("a network of the zoo");
            let told = described(&network, network.input);
            assert_eq!(told.stages.len(), network.stages.len(), "{name}");
            assert!(told.stages.iter().all(|stage| !stage.blocks.is_empty()), "{name}");
            assert_eq!(told.output.last().map(String::as_str), Some("linear, 10"), "{name}");
        }
    }
}
