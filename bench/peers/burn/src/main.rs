//! One measurement of a training step in stock Burn, its own modules on its own CPU backend, as JSON:
//! `stock-burn MODEL SIDE BATCH SMALL_STEM STEPS THREADS`.

use std::time::Instant;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::activation::{log_softmax, relu};
use burn::tensor::{Device, Distribution, Tensor};

const CLASSES: usize = 1000;

/// A convolution without bias and its batch norm.
#[derive(Module, Debug)]
struct ConvBn {
    conv: Conv2d,
    bn: BatchNorm,
}

impl ConvBn {
    fn new(device: &Device, channels: [usize; 2], side: usize, stride: usize) -> ConvBn {
        ConvBn::grouped(device, channels, side, stride, 1)
    }

    fn grouped(
        device: &Device,
        channels: [usize; 2],
        side: usize,
        stride: usize,
        groups: usize,
    ) -> ConvBn {
        let padding = PaddingConfig2d::Explicit(side / 2, side / 2, side / 2, side / 2);
        let conv = Conv2dConfig::new(channels, [side, side])
            .with_stride([stride, stride])
            .with_padding(padding)
            .with_groups(groups)
            .with_bias(false)
            .init(device);
        ConvBn { conv, bn: BatchNormConfig::new(channels[1]).init(device) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.bn.forward(self.conv.forward(x))
    }
}

/// A residual block of ResNet-D.
#[derive(Module, Debug)]
struct Block {
    path_a: Vec<ConvBn>,
    pool_b: Option<AvgPool2d>,
    path_b: Option<ConvBn>,
}

impl Block {
    fn new(device: &Device, c_in: usize, inner: usize, stride: usize, bottleneck: bool) -> Block {
        let c_out = if bottleneck { 4 * inner } else { inner };
        let path_a = if bottleneck {
            vec![
                ConvBn::new(device, [c_in, inner], 1, 1),
                ConvBn::new(device, [inner, inner], 3, stride),
                ConvBn::new(device, [inner, c_out], 1, 1),
            ]
        } else {
            vec![
                ConvBn::new(device, [c_in, inner], 3, stride),
                ConvBn::new(device, [inner, c_out], 3, 1),
            ]
        };
        let pool = || AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
        Block {
            path_a,
            pool_b: (stride == 2).then(pool),
            path_b: (c_in != c_out || stride == 2)
                .then(|| ConvBn::new(device, [c_in, c_out], 1, 1)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let b = self.pool_b.iter().fold(x.clone(), |b, pool| pool.forward(b));
        let b = self.path_b.iter().fold(b, |b, layer| layer.forward(b));
        let (last, first) = self.path_a.split_last().expect("path A has layers");
        let a = first.iter().fold(x, |a, layer| relu(layer.forward(a)));
        relu(last.forward(a) + b)
    }
}

#[derive(Module, Debug)]
struct Network {
    plain: Vec<ConvBn>,
    pool: Option<MaxPool2d>,
    blocks: Vec<Block>,
    head: Linear,
}

impl Network {
    fn resnet_d(device: &Device, blocks: [usize; 4], bottleneck: bool, small: bool) -> Network {
        let stem_stride = if small { 1 } else { 2 };
        let plain = vec![
            ConvBn::new(device, [3, 32], 3, stem_stride),
            ConvBn::new(device, [32, 32], 3, 1),
            ConvBn::new(device, [32, 64], 3, 1),
        ];
        let pool = MaxPool2dConfig::new([3, 3]).with_strides([2, 2]);
        let pool = pool.with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1));
        let mut channels = 64;
        let mut all = Vec::new();
        for (stage, &count) in blocks.iter().enumerate() {
            let inner = 64 << stage;
            for index in 0..count {
                let stride = if stage > 0 && index == 0 { 2 } else { 1 };
                all.push(Block::new(device, channels, inner, stride, bottleneck));
                channels = if bottleneck { 4 * inner } else { inner };
            }
        }
        let head = LinearConfig::new(channels, CLASSES).init(device);
        Network { plain, pool: (!small).then(|| pool.init()), blocks: all, head }
    }

    fn mobilenet(device: &Device) -> Network {
        let mut plain = vec![ConvBn::new(device, [3, 32], 3, 2)];
        let mut channels = 32;
        let layers = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)];
        let layers = layers.into_iter().chain([(512, 1); 5]).chain([(1024, 2), (1024, 1)]);
        for (next, stride) in layers {
            plain.push(ConvBn::grouped(device, [channels, channels], 3, stride, channels));
            plain.push(ConvBn::new(device, [channels, next], 1, 1));
            channels = next;
        }
        let head = LinearConfig::new(channels, CLASSES).init(device);
        Network { plain, pool: None, blocks: Vec::new(), head }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.plain.iter().fold(x, |x, layer| relu(layer.forward(x)));
        let x = self.pool.iter().fold(x, |x, pool| pool.forward(x));
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        let [n, channels, height, width] = x.dims();
        let x = x.reshape([n, channels, height * width]).mean_dim(2);
        self.head.forward(x.reshape([n, channels]))
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, numbers @ ..] = arguments.as_slice() else { panic!("see the top of this file") };
    let numbers: Vec<usize> = numbers.iter().map(|n| n.parse().expect("a number")).collect();
    let &[side, batch, small, steps, threads] = numbers.as_slice() else {
        panic!("see the top of this file")
    };
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("one pool");
    let device = Device::flex().autodiff();
    let mut network = match model.as_str() {
        "resnet50d" => Network::resnet_d(&device, [3, 4, 6, 3], true, small == 1),
        "resnet18d" => Network::resnet_d(&device, [2, 2, 2, 2], false, small == 1),
        "mobilenetv1_100" => Network::mobilenet(&device),
        other => panic!("no network named {other} here"),
    };
    let x = Tensor::<4>::random([batch, 3, side, side], Distribution::Normal(0.0, 1.0), &device);
    let momentum = MomentumConfig::new().with_dampening(0.0).with_nesterov(true);
    let mut update = SgdConfig::new()
        .with_momentum(Some(momentum))
        .with_weight_decay(Some(WeightDecayConfig::new(1e-4)))
        .init();
    let mut seconds = Vec::new();
    for step in 0..steps + 1 {
        let started = Instant::now();
        let q = log_softmax(network.forward(x.clone()), 1);
        let loss = q.mean().neg();
        let gradients = GradientsParams::from_grads(loss.backward(), &network);
        network = update.step(1e-3, network, gradients);
        // The first step warms up.
        if step > 0 {
            seconds.push(started.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let speed = batch as f64 / seconds[seconds.len() / 2];
    println!("{{\"images_per_second\": {speed}, \"peak_memory_bytes\": {}}}", peak_memory());
}

/// The most memory that was resident, bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().expect("a number");
    kilobytes * 1024
}
