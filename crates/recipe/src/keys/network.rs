//! `[network]` (§4) and `[init]`: which network is trained, and how its weights begin.

use tricks::Init;

use super::rules::{BLOCKS, CHANNELS, STEM_CHANNELS};
use super::*;

table! {
    /// §4: which network is trained, and how its weights begin.
    pub struct NetworkChoice {
        /// Name of the network.
        model: String = key(r#""resnet50d""#).rules(Text::Model),
        /// Input of the network.
        stem: StemChoice = key(r#""imagenet""#),
        /// §2.1 initialization of convolution and linear weights.
        init: Init = key(r#""xavier""#),
        /// γ of the last batch norm of each residual block at the start: 1 in §2.1, 0 is §3.1's zero γ.
        last_gamma: f32 = key("0.0"),
        shape: Option<NetworkShape> = key(""),
    }
}

words! {
    /// The input of the network.
    pub enum StemChoice {
        /// The paper's, of stride 4, for images of about 224 pixels.
        Imagenet = "imagenet",
        /// One 3×3 convolution of stride 1 and no max pool, for images of at most 64 pixels.
        Small = "small",
    }
}

table! {
    /// Another depth and width than those that belong to the network's name.
    #[derive(Eq)]
    pub struct NetworkShape {
        /// Blocks of each stage.
        blocks: [usize; 4] = key("[3, 4, 6, 3]").rules(BLOCKS),
        /// Inner channels of each stage (64, 128, 256, 512 in every ResNet of the paper).
        channels: [usize; 4] = key("[64, 128, 256, 512]").rules(CHANNELS),
        /// Channels of the stem's output (64 in the paper).
        stem_channels: usize = key("64").rules(STEM_CHANNELS),
    }
}

table! {
    /// Fine-tuning: training begins with the weights of a trained model. Its classifier is taken over only if it knows the
    /// same classes.
    #[derive(Eq)]
    pub struct FineTuning {
        /// A run folder or a model folder of the same network.
        from: String = key(r#""runs/pretrained""#),
        /// The last feature that is not trained, such as `stage2`; those before it are not trained either.
        freeze: Option<String> = key(r#""stage1""#),
    }
}
