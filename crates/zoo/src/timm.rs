//! How timm builds the same function: an architecture of its own and the arguments that reshape it.

use serde_json::{Map, Value, json};

use crate::Options;
use crate::network::Timm;
use crate::resnet::{Block, PathA, ResNet, Stem, StemSize};

/// The network that timm builds by this architecture and these arguments of its builder.
pub fn by_timm(architecture: &str, model_args: &Map<String, Value>) -> Option<String> {
    let is_it = |name: &String| match crate::network(name, &Options::plain(1)) {
        Ok(network) => match &network.timm {
            Timm::Builds { architecture: own, model_args: args } => {
                own == architecture && args == model_args
            }
            Timm::Cannot { .. } => false,
        },
        Err(_) => false,
    };
    // Of two names of one function, timm's own.
    let found: Vec<String> = crate::names().into_iter().filter(is_it).collect();
    found.iter().find(|name| *name == architecture).or(found.first()).cloned()
}

/// For a ResNet of this name.
pub(crate) fn of_resnet(name: &str, resnet: &ResNet) -> Timm {
    if let Some(why) = obstacle(resnet) {
        return Timm::Cannot { why: why.to_owned() };
    }
    let mut model_args = Map::new();
    let mut set = |key: &str, value| model_args.insert(key.to_owned(), value);
    let mut architecture = name.replace("_original", "");
    // timm has c only for the deeper nets; the plain net with a deep stem is the same.
    if resnet.block == Block::Basic && architecture.ends_with('c') {
        architecture.pop();
        set("stem_type", json!("deep"));
        set("stem_width", json!(resnet.shape.stem_channels / 2));
    }
    let plain = crate::residual(name).map(|own| own.shape);
    if plain != Some(resnet.shape) {
        set("layers", json!(resnet.shape.blocks));
        set("channels", json!(resnet.shape.channels));
        if resnet.tweaks.stem == Stem::Three3x3 {
            set("stem_width", json!(resnet.shape.stem_channels / 2));
        }
    }
    Timm::Builds { architecture, model_args }
}

fn obstacle(resnet: &ResNet) -> Option<&'static str> {
    if resnet.stem_size == StemSize::Small {
        return Some("timm has no ResNet stem of stride 1 for small images");
    }
    if resnet.block == Block::Bottleneck && resnet.tweaks.path_a == PathA::StrideOn1x1 {
        return Some(
            "timm's ResNets have stride 2 in the 3×3 convolution, this net has it in the 1×1: under timm's name the same \
             tensors would load and give other logits",
        );
    }
    if resnet.tweaks.stem == Stem::Conv7x7 && resnet.shape.stem_channels != 64 {
        return Some("timm's 7×7 stem has 64 channels");
    }
    if resnet.dilations != [1; 4] {
        return Some("a dilated backbone is not exported");
    }
    None
}
