//! Presets: the scale that `trickbag ablate` runs a table at. All but `paper` are proxies, and say so: they have smaller
//! data, images, networks and batches, the whole batch as one part, and fewer epochs. The edits of the table stay as they are.

use crate::mistake::nearest;
use crate::tables::meant;
use crate::types::{Decay, Recipe, Span};

/// A scale to run tables at.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    pub name: &'static str,
    /// Its data, networks and images in one line.
    pub summary: &'static str,
    /// Whether its accuracies can only be compared with each other.
    pub proxy: bool,
    /// Replaces the paper's 120. All other spans shrink with it, so mixup keeps its ratio of 200 to 120.
    pub epochs: f64,
    /// Replace the paper's 256, which the base rate belongs to, and 1024.
    pub batches: [usize; 2],
    /// The smaller networks that stand in for the paper's; empty if each network stays itself.
    networks: &'static [StandIn],
    edits: &'static [&'static str],
}

/// The beginning of the names of some networks, and the edit that makes them smaller.
type StandIn = (&'static str, &'static str);

const PAPER_EPOCHS: f64 = 120.0;
const PAPER_BATCHES: [usize; 2] = [256, 1024];

/// Residual networks keep their names, and so their tweaks, but have fewer blocks and channels; teachers have more of them.
const CIFAR10: &[StandIn] = &[
    ("resnet152", "network.shape={blocks=[2,2,2,2], channels=[24,48,96,192], stem_channels=16}"),
    ("resnet50", "network.shape={blocks=[1,1,1,1], channels=[16,32,64,128], stem_channels=16}"),
    ("seresnet50", "network.shape={blocks=[1,1,1,1], channels=[16,32,64,128], stem_channels=16}"),
    ("resnext50", "network.shape={blocks=[1,1,1,1], channels=[16,32,64,128], stem_channels=16}"),
    ("seresnext50", "network.shape={blocks=[1,1,1,1], channels=[16,32,64,128], stem_channels=16}"),
    ("mobilenet", "network.model=mobilenetv1_050"),
];

const IMAGENETTE: &[StandIn] = &[
    ("resnet152", "network.shape={blocks=[2,2,2,2], channels=[48,96,192,384], stem_channels=64}"),
    ("resnet50", "network.shape={blocks=[1,1,1,1], channels=[32,64,128,256], stem_channels=32}"),
    ("seresnet50", "network.shape={blocks=[1,1,1,1], channels=[32,64,128,256], stem_channels=32}"),
    ("resnext50", "network.shape={blocks=[1,1,1,1], channels=[32,64,128,256], stem_channels=32}"),
    ("seresnext50", "network.shape={blocks=[1,1,1,1], channels=[32,64,128,256], stem_channels=32}"),
    ("mobilenet", "network.model=mobilenetv1_050"),
];

const SMOKE: &[StandIn] = &[
    ("resnet152", "network.shape={blocks=[1,1,1,1], channels=[8,8,16,16], stem_channels=8}"),
    ("resnet50", "network.shape={blocks=[1,1,1,1], channels=[4,4,8,8], stem_channels=8}"),
    ("mobilenet", "network.model=mobilenetv1_025"),
];

const PRESETS: &[Preset] = &[
    Preset {
        name: "paper",
        summary: "the paper's own scale: ImageNet at 224 pixels (Places365 for table7)",
        proxy: false,
        epochs: PAPER_EPOCHS,
        batches: PAPER_BATCHES,
        networks: &[],
        edits: &[],
    },
    Preset {
        name: "cifar10",
        summary: "5,000 training images of CIFAR-10 at 32 pixels, networks of one block a stage and a quarter of the \
                  channels (teachers: two blocks, three eighths of them)",
        proxy: true,
        epochs: 15.0,
        batches: [32, 128],
        networks: CIFAR10,
        edits: &[
            "data.limit=5000",
            "preprocess.size=32",
            "preprocess.crop.area=[0.5, 1.0]",
            "preprocess.color=off",
            "preprocess.pca_noise=off",
            "validation.resize=32",
            "validation.crop=32",
            "train.parts=1",
            "train.evaluate_every=5 epochs",
            "checkpoint.every=1 minute",
            "checkpoint.keep=1",
        ],
    },
    Preset {
        name: "imagenette",
        summary: "Imagenette at 64 pixels, networks of one block a stage and half of the channels (teachers: two blocks, \
                  three quarters of them)",
        proxy: true,
        epochs: 18.0,
        batches: [32, 128],
        networks: IMAGENETTE,
        edits: &[
            "preprocess.size=64",
            "preprocess.crop.area=[0.25, 1.0]",
            "validation.resize=73",
            "validation.crop=64",
            "train.parts=1",
            "train.evaluate_every=6 epochs",
            "checkpoint.every=1 minute",
            "checkpoint.keep=1",
        ],
    },
    Preset {
        name: "smoke",
        summary: "200 of the Fashion-MNIST images inside the program at 16 pixels, networks of a few channels: a test of \
                  the machinery, whose numbers mean nothing",
        proxy: true,
        epochs: 3.0,
        batches: [20, 40],
        networks: SMOKE,
        edits: &[
            "data.source=fashion-mnist",
            "data.limit=200",
            "preprocess.size=16",
            "preprocess.crop.area=[0.7, 1.0]",
            "preprocess.color=off",
            "preprocess.pca_noise=off",
            "validation.resize=16",
            "validation.crop=16",
            "train.parts=1",
            "train.evaluate_every=100 epochs",
            "checkpoint.every=20 steps",
            "checkpoint.keep=1",
        ],
    },
];

/// A name that no preset has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no preset is named {name:?}{}; there are {}", meant(nearest), known.join(", "))]
pub struct UnknownPreset {
    pub name: String,
    pub nearest: Option<String>,
    pub known: Vec<String>,
}

/// The presets, the paper's own first.
pub fn all() -> &'static [Preset] {
    PRESETS
}

/// The preset of this name.
pub fn find(name: &str) -> Result<Preset, UnknownPreset> {
    let found = PRESETS.iter().find(|preset| preset.name == name);
    found.copied().ok_or_else(|| {
        let known: Vec<String> = PRESETS.iter().map(|preset| preset.name.to_owned()).collect();
        let nearest = nearest(name, &known).map(str::to_owned);
        UnknownPreset { name: name.to_owned(), nearest, known }
    })
}

impl Preset {
    /// The edits for a recipe of this network; `None` if nothing stands in for it.
    pub(crate) fn edits(&self, model: &str) -> Option<Vec<String>> {
        let mut edits: Vec<String> = self.edits.iter().map(|edit| (*edit).to_owned()).collect();
        if !self.networks.is_empty() {
            let (_, stand_in) = self.networks.iter().find(|(name, _)| model.starts_with(name))?;
            edits.push((*stand_in).to_owned());
        }
        Some(edits)
    }

    /// Shrinks spans and batches of a recipe of the paper.
    pub(crate) fn shrink(&self, recipe: &mut Recipe) {
        let shrink = |span: &mut Span| {
            if let Span::Epochs(epochs) = span {
                *epochs = *epochs * self.epochs / PAPER_EPOCHS;
            }
        };
        let batch = |batch: &mut usize| {
            if let Some(place) = PAPER_BATCHES.iter().position(|paper| paper == batch) {
                *batch = self.batches[place];
            }
        };
        shrink(&mut recipe.train.duration);
        batch(&mut recipe.train.batch);
        if let Some(warmup) = &mut recipe.rate.warmup {
            shrink(&mut warmup.duration);
        }
        if let Some(scaling) = &mut recipe.rate.linear_scaling {
            batch(&mut scaling.reference_batch);
        }
        match &mut recipe.rate.decay {
            Decay::Step { at, .. } => at.iter_mut().for_each(shrink),
            Decay::Exponential { every, .. } => shrink(every),
            Decay::Cosine { .. } | Decay::Poly { .. } => {}
        }
    }

    /// A column's title with the batch of this preset: `BS=256` becomes `BS=256, here 64`.
    pub fn column_title(&self, title: &str) -> String {
        let paper = title.strip_prefix("BS=").and_then(|batch| batch.parse().ok());
        let place = paper.and_then(|paper: usize| PAPER_BATCHES.iter().position(|b| *b == paper));
        match place {
            Some(place) if self.proxy => format!("{title}, here {}", self.batches[place]),
            _ => title.to_owned(),
        }
    }

    /// The preset in words, for captions: the paper's scale, or what the proxy has in its place.
    pub fn caption(&self) -> String {
        if !self.proxy {
            return format!("Preset {}: {}.", self.name, self.summary);
        }
        let Preset { name, summary, epochs, batches, .. } = self;
        format!(
            "Preset {name}, a proxy: {summary}; {epochs} epochs for 120 (mixup: {:.4} for 200), batches of {} and {} for \
             256 and 1024. Its accuracies compare with each other, not with the published ones.",
            epochs * 200.0 / PAPER_EPOCHS,
            batches[0],
            batches[1],
        )
        .replace(".0000 for 200", " for 200")
    }
}
