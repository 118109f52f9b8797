//! `config.json` as it is written: timm's keys, and under `trickbag`, which timm ignores, what timm has no key for.

use nn::{Layer, Part};
use serde_json::{Value, json};
use zoo::{Network, StemSize, Timm};

use super::parse::crop_share;
use crate::card::Card;

/// The content of `config.json`.
pub fn config(network: &Network, card: &Card) -> Value {
    let crop = card.validation.crop;
    let levels = |values: [f64; 3]| values.map(|value| value / 255.0);
    let (architecture, model_args, timm) = match &network.timm {
        Timm::Builds { architecture, model_args } => {
            (architecture.clone(), model_args.clone(), json!(true))
        }
        Timm::Cannot { why } => {
            (network.name.clone(), Default::default(), json!(format!("cannot build it: {why}")))
        }
    };
    json!({
        "architecture": architecture,
        "num_classes": network.classes(),
        "num_features": network.classifier.c_in,
        "global_pool": "avg",
        "label_names": card.classes,
        "model_args": model_args,
        "pretrained_cfg": {
            "tag": "trickbag",
            "custom_load": false,
            "input_size": [3, crop, crop],
            "fixed_input_size": false,
            "interpolation": "bilinear",
            "crop_pct": crop_share(card.validation),
            "crop_mode": "center",
            "mean": levels(card.normalize.mean),
            "std": levels(card.normalize.std),
            "num_classes": network.classes(),
            "pool_size": pool_size(network, crop),
            "first_conv": first_conv(network),
            "classifier": network.classifier.name,
        },
        "trickbag": {
            "version": env!("CARGO_PKG_VERSION"),
            "timm": timm,
            "network": network.name,
            "stem": if card.options.stem == StemSize::Small { "small" } else { "imagenet" },
            "shape": card.options.shape.map(|shape| json!({
                "blocks": shape.blocks,
                "channels": shape.channels,
                "stem_channels": shape.stem_channels,
            })),
            "orientation": card.orientation,
            "split": card.split.share,
            "seed": card.split.seed,
            "embedded": card.split.embedded,
            "recipe": card.recipe,
            "step": card.step,
        },
    })
}

/// The height and width of what timm calls the features: the head's input, after the head's own pool.
fn pool_size(network: &Network, crop: usize) -> [usize; 2] {
    let body = network.stem.iter().chain(network.stages.iter().flat_map(|stage| &stage.layers));
    let pools = network.head.iter().take_while(|layer| matches!(layer, Layer::MaxPool(_)));
    let [height, width, _] = body.chain(pools).fold([crop, crop, 3], |at, layer| layer.output(at));
    [height, width]
}

fn first_conv(network: &Network) -> String {
    let name = |part: &Part| match part {
        Part::ConvBn { layer, .. } => Some(layer.conv.clone()),
        Part::Conv(layer) => Some(layer.name.clone()),
        _ => None,
    };
    network.parts().iter().find_map(name).unwrap_or_default()
}
