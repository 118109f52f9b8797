//! Inception-V3 (§2.2, Table 2), for 299 pixels: modules of branches whose outputs stand side by side.

use nn::{Dropout, Group, Layer, Linear, PoolOptions};
use serde_json::{Map, json};

use crate::conv::{Conv, conv, window};
use crate::network::{Auxiliary, Network, Stage, Timm};

/// Without the auxiliary classifier, as the authors train it, and with it.
const PLAIN: &str = "inception_v3";
const WITH_AUXILIARY: &str = "inception_v3_aux";

pub(crate) fn names() -> Vec<String> {
    vec![PLAIN.into(), WITH_AUXILIARY.into()]
}

/// Whether the network of this name has an auxiliary classifier.
pub(crate) fn by_name(name: &str) -> Option<bool> {
    [(PLAIN, false), (WITH_AUXILIARY, true)]
        .iter()
        .find(|known| known.0 == name)
        .map(|known| known.1)
}

pub(crate) fn network(auxiliary: bool, classes: usize) -> Network {
    let stage = |index: usize, channels, stride, layers| Stage {
        name: format!("stage{index}"),
        layers,
        channels,
        stride,
    };
    let mut model_args = Map::new();
    if auxiliary {
        model_args.insert("aux_logits".into(), json!(true));
    }
    Network {
        name: if auxiliary { WITH_AUXILIARY } else { PLAIN }.into(),
        input: 299,
        least: if auxiliary { 299 } else { 75 },
        stem: vec![
            unit("Conv2d_1a_3x3", 3, 3, 32).stride(2).unpadded().into(),
            unit("Conv2d_2a_3x3", 3, 32, 32).unpadded().into(),
            unit("Conv2d_2b_3x3", 3, 32, 64).into(),
            Layer::MaxPool(window(3, 2, 0)),
            unit("Conv2d_3b_1x1", 1, 64, 80).into(),
            unit("Conv2d_4a_3x3", 3, 80, 192).unpadded().into(),
            Layer::MaxPool(window(3, 2, 0)),
        ],
        stages: vec![
            stage(1, 288, 1, vec![a("5b", 192, 32), a("5c", 256, 64), a("5d", 288, 64)]),
            stage(2, 768, 2, vec![b("6a"), c("6b", 128), c("6c", 160), c("6d", 160), c("6e", 192)]),
            stage(3, 2048, 2, vec![d("7a"), e("7b", 1280), e("7c", 2048)]),
        ],
        head: Vec::new(),
        dropout: Dropout { share: 0.5, index: 0 },
        classifier: Linear { name: "fc".into(), c_in: 2048, c_out: classes, group: Group::Head },
        auxiliary: auxiliary.then(|| auxiliary_head(classes)),
        frozen: 0,
        timm: Timm::Builds { architecture: PLAIN.into(), model_args },
    }
}

/// On what stage 2 gives.
fn auxiliary_head(classes: usize) -> Auxiliary {
    Auxiliary {
        after: 2,
        layers: vec![
            Layer::AvgPool(window(5, 3, 0)),
            unit("AuxLogits.conv0", 1, 768, 128).into(),
            unit("AuxLogits.conv1", 5, 128, 768).unpadded().into(),
        ],
        classifier: Linear {
            name: "AuxLogits.fc".into(),
            c_in: 768,
            c_out: classes,
            group: Group::AuxiliaryHead,
        },
    }
}

/// A convolution, its batch norm with a larger ε than other nets', ReLU.
fn unit(name: &str, side: usize, c_in: usize, c_out: usize) -> Conv {
    conv(&format!("{name}.conv"), &format!("{name}.bn"), side, c_in, c_out).epsilon(1e-3)
}

/// The mean of the neighbourhood, with the border's zeros counted, through a 1×1.
fn pooled(name: &str, c_in: usize, c_out: usize) -> Vec<Layer> {
    let around = PoolOptions { count_include_pad: true, ..window(3, 1, 1) };
    vec![Layer::AvgPool(around), unit(name, 1, c_in, c_out).into()]
}

fn halved() -> Vec<Layer> {
    vec![Layer::MaxPool(window(3, 2, 0))]
}

/// 35 × 35: 1×1 beside 5×5 beside two 3×3 beside the pool.
fn a(module: &str, c_in: usize, c_pool: usize) -> Layer {
    let name = |part: &str| format!("Mixed_{module}.{part}");
    Layer::Branches(vec![
        vec![unit(&name("branch1x1"), 1, c_in, 64).into()],
        vec![
            unit(&name("branch5x5_1"), 1, c_in, 48).into(),
            unit(&name("branch5x5_2"), 5, 48, 64).into(),
        ],
        vec![
            unit(&name("branch3x3dbl_1"), 1, c_in, 64).into(),
            unit(&name("branch3x3dbl_2"), 3, 64, 96).into(),
            unit(&name("branch3x3dbl_3"), 3, 96, 96).into(),
        ],
        pooled(&name("branch_pool"), c_in, c_pool),
    ])
}

/// 35 × 35 to 17 × 17.
fn b(module: &str) -> Layer {
    let name = |part: &str| format!("Mixed_{module}.{part}");
    Layer::Branches(vec![
        vec![unit(&name("branch3x3"), 3, 288, 384).stride(2).unpadded().into()],
        vec![
            unit(&name("branch3x3dbl_1"), 1, 288, 64).into(),
            unit(&name("branch3x3dbl_2"), 3, 64, 96).into(),
            unit(&name("branch3x3dbl_3"), 3, 96, 96).stride(2).unpadded().into(),
        ],
        halved(),
    ])
}

const WIDE: [usize; 2] = [1, 7];
const HIGH: [usize; 2] = [7, 1];

/// 17 × 17: 7×7 as 1×7 and 7×1.
fn c(module: &str, inner: usize) -> Layer {
    let name = |part: &str| format!("Mixed_{module}.{part}");
    let long = |part: &str, kernel, c_in, c_out| -> Layer {
        unit(&name(part), 7, c_in, c_out).kernel(kernel).into()
    };
    Layer::Branches(vec![
        vec![unit(&name("branch1x1"), 1, 768, 192).into()],
        vec![
            unit(&name("branch7x7_1"), 1, 768, inner).into(),
            long("branch7x7_2", WIDE, inner, inner),
            long("branch7x7_3", HIGH, inner, 192),
        ],
        vec![
            unit(&name("branch7x7dbl_1"), 1, 768, inner).into(),
            long("branch7x7dbl_2", HIGH, inner, inner),
            long("branch7x7dbl_3", WIDE, inner, inner),
            long("branch7x7dbl_4", HIGH, inner, inner),
            long("branch7x7dbl_5", WIDE, inner, 192),
        ],
        pooled(&name("branch_pool"), 768, 192),
    ])
}

/// 17 × 17 to 8 × 8.
fn d(module: &str) -> Layer {
    let name = |part: &str| format!("Mixed_{module}.{part}");
    let unit = |part: &str, side, c_in, c_out| unit(&name(part), side, c_in, c_out);
    Layer::Branches(vec![
        vec![
            unit("branch3x3_1", 1, 768, 192).into(),
            unit("branch3x3_2", 3, 192, 320).stride(2).unpadded().into(),
        ],
        vec![
            unit("branch7x7x3_1", 1, 768, 192).into(),
            unit("branch7x7x3_2", 7, 192, 192).kernel(WIDE).into(),
            unit("branch7x7x3_3", 7, 192, 192).kernel(HIGH).into(),
            unit("branch7x7x3_4", 3, 192, 192).stride(2).unpadded().into(),
        ],
        halved(),
    ])
}

/// 8 × 8: 3×3 as 1×3 beside 3×1.
fn e(module: &str, c_in: usize) -> Layer {
    let name = |part: &str| format!("Mixed_{module}.{part}");
    let cross = |part: &str| {
        let arm = |arm: &str, kernel| -> Vec<Layer> {
            vec![unit(&name(&format!("{part}{arm}")), 3, 384, 384).kernel(kernel).into()]
        };
        Layer::Branches(vec![arm("a", [1, 3]), arm("b", [3, 1])])
    };
    Layer::Branches(vec![
        vec![unit(&name("branch1x1"), 1, c_in, 320).into()],
        vec![unit(&name("branch3x3_1"), 1, c_in, 384).into(), cross("branch3x3_2")],
        vec![
            unit(&name("branch3x3dbl_1"), 1, c_in, 448).into(),
            unit(&name("branch3x3dbl_2"), 3, 448, 384).into(),
            cross("branch3x3dbl_3"),
        ],
        pooled(&name("branch_pool"), c_in, 192),
    ])
}
