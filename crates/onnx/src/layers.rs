//! Each kind of layer as ONNX's operators.

use nn::{
    Activation, Conv, Conv2d, ConvBn, EPSILON, FileTensor, Layer, Norm, PoolOptions, Residual,
    SqueezeExcitation,
};
use zoo::Network;

use crate::BatchNorms;
use crate::graph::{Graph, INPUT, Value, float, int, ints, text};
use crate::schema::AttributeProto;

impl Graph {
    /// The network from the images to the logits.
    pub(crate) fn network(&mut self, network: &Network, side: usize) {
        let images = Value { name: INPUT.to_owned(), size: [side, side, 3] };
        let x = network.layers().fold(images, |x, layer| self.layer(layer, x));
        let pooled = self.node("GlobalAveragePool", "global_pool", vec![x.name], Vec::new());
        let flat = self.node("Flatten", "flatten", vec![pooled], vec![int("axis", 1)]);
        let [weight, bias] = self.weight_and_bias(&network.classifier.name);
        self.node(
            "Gemm",
            &network.classifier.name,
            vec![flat, weight, bias],
            vec![int("transB", 1)],
        );
    }

    /// Layers from the images to coarse logits, which are resized to the images' size.
    pub(crate) fn dense<'a>(
        &mut self,
        layers: impl IntoIterator<Item = &'a Layer>,
        side: usize,
        align_corners: bool,
    ) {
        let images = Value { name: INPUT.to_owned(), size: [side, side, 3] };
        let x = layers.into_iter().fold(images, |x, layer| self.layer(layer, x));
        let [height, width, _] = x.size;
        let scales = [1.0, 1.0, side as f32 / height as f32, side as f32 / width as f32].to_vec();
        let scales = FileTensor { shape: vec![4], values: scales };
        let scales = self.initializer("upsampling.scales", scales);
        let grid = if align_corners { "align_corners" } else { "half_pixel" };
        let attributes = vec![text("mode", "linear"), text("coordinate_transformation_mode", grid)];
        self.node("Resize", "upsampling", vec![x.name, String::new(), scales], attributes);
    }

    fn chain(&mut self, layers: &[Layer], x: Value) -> Value {
        layers.iter().fold(x, |x, layer| self.layer(layer, x))
    }

    fn layer(&mut self, layer: &Layer, x: Value) -> Value {
        let size = layer.output(x.size);
        let name = match layer {
            Layer::ConvBn(layer) => {
                let y = self.conv_bn(layer, x);
                self.activated(layer.activation, &layer.conv, y)
            }
            Layer::MaxPool(options) => {
                self.node("MaxPool", "maxpool", vec![x.name], window(options))
            }
            Layer::AvgPool(options) => {
                let mut attributes = window(options);
                attributes.push(int("count_include_pad", options.count_include_pad.into()));
                self.node("AveragePool", "avgpool", vec![x.name], attributes)
            }
            Layer::Residual(block) => self.residual(block, x),
            Layer::Conv(layer) => self.conv(layer, x),
            Layer::Norm(layer) => self.norm(layer, x),
            Layer::Branches(branches) => {
                let branch = |chain: &Vec<Layer>| self.chain(chain, x.clone()).name;
                let outputs = branches.iter().map(branch).collect();
                self.node("Concat", "concat", outputs, vec![int("axis", 1)])
            }
            Layer::Ceiling(ceiling) => self.ceiling(*ceiling, x.name),
            Layer::Stretch(side) => self.stretch(*side, x),
            Layer::Dropout(_) => x.name,
        };
        Value { name, size }
    }

    /// The convolution and its batch norm, without the activation.
    fn conv_bn(&mut self, layer: &ConvBn, x: Value) -> String {
        let [height, width, _] = x.size;
        let attributes = convolution(&layer.dims([1, height, width]));
        let name = layer.conv.as_str();
        if self.batch_norms == BatchNorms::Folded {
            let [weight, bias] = self.folded(layer);
            let weight = self.initializer(&format!("{name}.weight"), weight);
            let bias = self.initializer(&format!("{name}.bias"), bias);
            return self.node("Conv", name, vec![x.name, weight, bias], attributes);
        }
        let mut inputs = vec![x.name, self.own(&format!("{name}.weight"))];
        if layer.bias {
            inputs.push(self.own(&format!("{name}.bias")));
        }
        let y = self.node("Conv", name, inputs, attributes);
        self.batch_norm(&layer.bn, layer.epsilon, y)
    }

    /// γ (conv(x, w) + b − mean)/√(variance + ε) + β as the weight and the bias of a convolution.
    fn folded(&mut self, layer: &ConvBn) -> [FileTensor; 2] {
        let mut numbers = |name: String| -> Vec<f64> {
            self.take(&name).values.into_iter().map(f64::from).collect()
        };
        let [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"]
            .map(|kind| numbers(format!("{}.{kind}", layer.bn)));
        let bias = match layer.bias {
            true => numbers(format!("{}.bias", layer.conv)),
            false => vec![0.0; layer.c_out],
        };
        let FileTensor { shape, mut values } = self.take(&format!("{}.weight", layer.conv));
        let mut shift = Vec::with_capacity(layer.c_out);
        let each = values.len() / layer.c_out;
        for (channel, weights) in values.chunks_exact_mut(each).enumerate() {
            let scale = gamma[channel] / (variance[channel] + f64::from(layer.epsilon)).sqrt();
            weights.iter_mut().for_each(|weight| *weight = (f64::from(*weight) * scale) as f32);
            shift.push((beta[channel] + (bias[channel] - mean[channel]) * scale) as f32);
        }
        let bias = FileTensor { shape: vec![layer.c_out], values: shift };
        [FileTensor { shape, values }, bias]
    }

    fn batch_norm(&mut self, name: &str, epsilon: f32, x: String) -> String {
        let mut inputs = vec![x];
        for kind in ["weight", "bias", "running_mean", "running_var"] {
            inputs.push(self.own(&format!("{name}.{kind}")));
        }
        self.node("BatchNormalization", name, inputs, vec![float("epsilon", epsilon)])
    }

    fn activated(&mut self, activation: Activation, name: &str, x: String) -> String {
        match activation {
            Activation::Identity => x,
            Activation::Relu => self.node("Relu", &format!("{name}.relu"), vec![x], Vec::new()),
        }
    }

    /// A batch norm that has no convolution in front of it stays in either case.
    fn norm(&mut self, layer: &Norm, x: Value) -> String {
        let y = self.batch_norm(&layer.name, EPSILON, x.name);
        self.activated(layer.activation, &layer.name, y)
    }

    fn conv(&mut self, layer: &Conv, x: Value) -> String {
        let [height, width, _] = x.size;
        let dims = layer.dims([1, height, width]);
        let Some(activation) = layer.bias else {
            let inputs = vec![x.name, self.own(&format!("{}.weight", layer.name))];
            return self.node("Conv", &layer.name, inputs, convolution(&dims));
        };
        let y = self.biased(&layer.name, &dims, x.name);
        self.activated(activation, &layer.name, y)
    }

    fn biased(&mut self, name: &str, dims: &Conv2d, x: String) -> String {
        let [weight, bias] = self.weight_and_bias(name);
        self.node("Conv", name, vec![x, weight, bias], convolution(dims))
    }

    fn residual(&mut self, block: &Residual, x: Value) -> String {
        let b = self.chain(&block.path_b, x.clone()).name;
        let a = self.chain(&block.path_a, x);
        let mut a = self.conv_bn(&block.last, a);
        if let Some(part) = &block.squeeze_excitation {
            a = self.squeeze_excitation(part, a);
        }
        let sum = self.node("Add", &format!("{}.add", block.name), vec![a, b], Vec::new());
        self.activated(block.last.activation, &block.name, sum)
    }

    /// x σ(W₂ ReLU(W₁ mean(x) + b₁) + b₂).
    fn squeeze_excitation(&mut self, part: &SqueezeExcitation, x: String) -> String {
        let name = |step: &str| format!("{}.{step}", part.name);
        let mean = self.node("GlobalAveragePool", &name("mean"), vec![x.clone()], Vec::new());
        let ([(squeeze, ..), (expand, ..)], dims) = (part.convolutions(), part.dims(1));
        let z = self.biased(&squeeze, &dims[0], mean);
        let z = self.activated(Activation::Relu, &squeeze, z);
        let z = self.biased(&expand, &dims[1], z);
        let gate = self.node("Sigmoid", &name("gate"), vec![z], Vec::new());
        self.node("Mul", &name("scale"), vec![x, gate], Vec::new())
    }

    fn weight_and_bias(&mut self, name: &str) -> [String; 2] {
        ["weight", "bias"].map(|kind| self.own(&format!("{name}.{kind}")))
    }

    fn ceiling(&mut self, ceiling: f32, x: String) -> String {
        let ceiling = FileTensor { shape: Vec::new(), values: vec![ceiling] };
        let most = self.initializer(&format!("{x}.most"), ceiling);
        self.node("Clip", &format!("{x}.clip"), vec![x, String::new(), most], Vec::new())
    }

    /// Adaptive average pooling to a larger side: over rows and over columns it is a product with a constant matrix.
    fn stretch(&mut self, side: usize, x: Value) -> String {
        let [height, width, _] = x.size;
        if height >= side && width >= side {
            return x.name;
        }
        let rows = self.initializer("stretch.rows.weight", averages(height, height.max(side)));
        let columns = self
            .initializer("stretch.columns.weight", transposed(averages(width, width.max(side))));
        let y = self.node("MatMul", "stretch.rows", vec![rows, x.name], Vec::new());
        self.node("MatMul", "stretch.columns", vec![y, columns], Vec::new())
    }
}

/// `[to, from]`: row i takes the mean of ⌊i·from/to⌋ to ⌈(i + 1)·from/to⌉.
fn averages(from: usize, to: usize) -> FileTensor {
    let mut values = vec![0.0; to * from];
    for (i, row) in values.chunks_exact_mut(from).enumerate() {
        let window = i * from / to..((i + 1) * from).div_ceil(to);
        let share = 1.0 / window.len() as f32;
        row[window].fill(share);
    }
    FileTensor { shape: vec![to, from], values }
}

fn transposed(FileTensor { shape, values }: FileTensor) -> FileTensor {
    let (rows, columns) = (shape[0], shape[1]);
    let at = |index: usize| values[index % rows * columns + index / rows];
    FileTensor { shape: vec![columns, rows], values: (0..rows * columns).map(at).collect() }
}

fn convolution(dims: &Conv2d) -> Vec<AttributeProto> {
    vec![
        ints("kernel_shape", dims.kernel),
        ints("strides", dims.stride),
        ints("pads", around(dims.padding)),
        ints("dilations", dims.dilation),
        int("group", dims.groups),
    ]
}

fn window(options: &PoolOptions) -> Vec<AttributeProto> {
    vec![
        ints("kernel_shape", options.kernel),
        ints("strides", options.stride),
        ints("pads", around(options.padding)),
        int("ceil_mode", options.ceil_mode.into()),
    ]
}

/// Above and left, below and right.
fn around([rows, columns]: [usize; 2]) -> [usize; 4] {
    [rows, columns, rows, columns]
}
