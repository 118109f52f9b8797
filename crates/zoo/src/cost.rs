//! Parameters and multiply-adds (Tables 1 and 5): one per weight and place of the output, convolutions and linear
//! layers only, as the paper, fvcore and torchvision count.

use nn::{ConvBn, Layer};

use crate::network::Network;

/// What a network costs for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub parameters: u64,
    pub multiply_adds: u64,
    /// Outputs of convolutions, in numbers: a measure of the memory that training keeps.
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
    Cost {
        parameters: rows.iter().map(|row| row.parameters).sum(),
        multiply_adds: rows.iter().map(|row| row.multiply_adds).sum(),
        activations: convolutions.iter().map(|dims| dims.y_len() as u64).sum(),
    }
}

/// Every layer with its shapes and its cost.
pub fn rows(network: &Network, side: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let [height, width, channels] =
        network.layers().fold([side, side, 3], |input, layer| layer_rows(layer, input, &mut rows));
    let pooled = [1, 1, channels];
    rows.push(row("global_pool", "average pool", [height, width, channels], pooled));
    let classifier = &network.classifier;
    let weights = (classifier.c_in * classifier.c_out) as u64;
    rows.push(Row {
        parameters: weights + classifier.c_out as u64,
        multiply_adds: weights,
        ..row(&classifier.name, "linear", pooled, [1, 1, classifier.c_out])
    });
    rows
}

fn row(name: &str, kind: &str, input: [usize; 3], output: [usize; 3]) -> Row {
    let (name, kind) = (name.to_owned(), kind.to_owned());
    Row { name, kind, input, output, parameters: 0, multiply_adds: 0 }
}

fn layer_rows(layer: &Layer, input: [usize; 3], rows: &mut Vec<Row>) -> [usize; 3] {
    let output = layer.output(input);
    match layer {
        Layer::ConvBn(layer) => rows.push(conv_row(layer, input)),
        Layer::MaxPool(options) => {
            rows.push(row("maxpool", &format!("max pool {}", window(options)), input, output));
        }
        Layer::AvgPool(options) => {
            rows.push(row("avgpool", &format!("average pool {}", window(options)), input, output));
        }
        Layer::Residual(block) => {
            let inner = block.path_a.iter().fold(input, |at, layer| layer_rows(layer, at, rows));
            rows.push(conv_row(&block.last, inner));
            block.path_b.iter().fold(input, |at, layer| layer_rows(layer, at, rows));
        }
    }
    output
}

fn window(options: &nn::PoolOptions) -> String {
    format!("{}×{}/{}", options.kernel[0], options.kernel[1], options.stride[0])
}

fn conv_row(layer: &ConvBn, input: [usize; 3]) -> Row {
    let [kh, kw] = layer.kernel;
    let mut kind = format!("conv {kh}×{kw}/{}", layer.stride);
    if layer.dilation != 1 {
        kind += &format!(" dilation {}", layer.dilation);
    }
    if layer.groups != 1 {
        kind += &format!(" groups {}", layer.groups);
    }
    let weights = kh * kw * layer.c_in / layer.groups * layer.c_out;
    Row {
        parameters: (weights + 2 * layer.c_out) as u64,
        multiply_adds: layer.multiply_adds(input),
        ..row(&layer.conv, &kind, input, layer.output(input))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, names, network};

    fn cost_of(name: &str) -> Cost {
        cost(&network(name, &Options::plain(1000)).expect("a known name"), 224)
    }

    /// Counts that timm, torchvision and fvcore publish, and Table 5's column.
    #[test]
    fn counts_are_the_published_ones() {
        for (name, parameters, multiply_adds) in [
            ("resnet18", 11_689_512, 1.8141),
            ("resnet50_original", 25_557_032, 3.8580),
            ("resnet50", 25_557_032, 4.0892),
            ("resnet50c", 25_576_264, 4.3288),
            ("resnet50d", 25_576_264, 4.3288),
            ("resnet101d", 44_568_392, 8.0410),
            ("resnet152d", 60_212_040, 11.7533),
            ("mobilenetv1_100", 4_231_976, 0.5687),
        ] {
            let cost = cost_of(name);
            assert_eq!(cost.parameters, parameters, "{name}");
            let giga = cost.multiply_adds as f64 / 1e9;
            assert_eq!(format!("{giga:.4}"), format!("{multiply_adds:.4}"), "{name}");
        }
        let mega_activations = cost_of("resnet50").activations as f64 / 1e6;
        assert_eq!(format!("{mega_activations:.2}"), "11.11");
    }

    #[test]
    fn the_dims_of_convolutions_stand_in_the_layers_order() {
        for name in names() {
            let network = network(&name, &Options::plain(10)).expect("a known name");
            let (layers, dims) = (network.conv_bns(), network.convolutions(2, 64));
            assert_eq!(layers.len(), dims.len(), "{name}");
            let mut multiply_adds = network.classifier.c_in as u64 * 10;
            for (layer, dims) in layers.iter().zip(&dims) {
                let declared = (layer.c_in, layer.c_out, layer.kernel, layer.stride, layer.groups);
                let found = (dims.c_in, dims.c_out, dims.kernel, dims.stride[0], dims.groups);
                assert_eq!(declared, found, "{name} {}", layer.conv);
                multiply_adds += dims.multiply_adds() / 2;
            }
            assert_eq!(multiply_adds, cost(&network, 64).multiply_adds, "{name}");
        }
    }

    #[test]
    fn the_layer_table_agrees_with_the_parameters() {
        for name in names() {
            let network = network(&name, &Options::plain(10)).expect("a known name");
            let declared: usize = network.parameters().iter().map(nn::ParameterSpec::len).sum();
            assert_eq!(cost(&network, 64).parameters, declared as u64, "{name}");
        }
    }
}
