//! MobileNet (§2.2, Table 2): depthwise 3×3 and pointwise 1×1 convolutions in turn, each with batch norm and ReLU.
//!
//! ReLU as in the paper's own code; timm's `mobilenetv1_100` has ReLU6 unless told otherwise.

use nn::{Layer, Linear};
use serde_json::{Map, json};

use crate::conv::conv;
use crate::network::{Network, Stage, Timm};

pub(crate) const NAME: &str = "mobilenetv1_100";

/// Channels, blocks and stride of each stage.
const STAGES: [(usize, usize, usize); 5] =
    [(64, 1, 1), (128, 2, 2), (256, 2, 2), (512, 6, 2), (1024, 2, 2)];

pub(crate) fn network(classes: usize) -> Network {
    let mut c_in = 32;
    let mut stages = Vec::new();
    for (index, (channels, blocks, stride)) in STAGES.into_iter().enumerate() {
        let mut layers: Vec<Layer> = Vec::new();
        for block in 0..blocks {
            let name = |part: &str| format!("blocks.{index}.{block}.{part}");
            let depthwise = conv(&name("conv_dw"), &name("bn1"), 3, c_in, c_in).groups(c_in);
            layers.push(depthwise.stride(if block == 0 { stride } else { 1 }).into());
            layers.push(conv(&name("conv_pw"), &name("bn2"), 1, c_in, channels).into());
            c_in = channels;
        }
        stages.push(Stage { name: format!("stage{}", index + 1), layers, channels, stride });
    }
    let mut model_args = Map::new();
    model_args.insert("act_layer".into(), json!("relu"));
    Network {
        name: NAME.into(),
        input: 224,
        stem: vec![conv("conv_stem", "bn1", 3, 3, 32).stride(2).into()],
        stages,
        classifier: Linear { name: "classifier".into(), c_in, c_out: classes },
        timm: Timm::Builds { architecture: NAME.into(), model_args },
    }
}
