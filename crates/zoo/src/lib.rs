//! Networks as values. A network knows its layers and their names; it knows no loss, no data and no training.

mod conv;
mod cost;
mod densenet;
mod draw;
mod inception_v3;
mod inference;
mod limits;
mod mobilenet;
mod names;
mod network;
mod resnet;
mod resnext;
mod senet;
#[cfg(test)]
mod tests;
mod timm;
mod vgg;

pub use cost::{Cost, Row, cost, rows};
pub use draw::draw;
pub use inference::{folded, logits};
pub use limits::{MOST_BLOCKS, MOST_CHANNELS, MOST_CLASSES, MOST_PARAMETERS};
pub use names::{fitting, own_name, own_shape};
pub use network::{Auxiliary, Feature, Network, Stage, Timm};
pub use resnet::{Block, Groups, PathA, PathB, ResNet, Stem, StemSize, Tweaks};
pub use timm::by_timm;

/// How a network differs from its name's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub classes: usize,
    pub stem: StemSize,
    pub shape: Option<Shape>,
    /// Dilation of each stage; a stage that dilates more than the one before keeps its size (§6.2).
    pub dilations: [usize; 4],
}

/// Another depth and width than the name's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub blocks: [usize; 4],
    pub channels: [usize; 4],
    pub stem_channels: usize,
}

impl Options {
    /// The network as the paper has it.
    pub fn plain(classes: usize) -> Options {
        Options { classes, stem: StemSize::Imagenet, shape: None, dilations: [1; 4] }
    }
}

/// Why a network cannot be built. Each message names the network, what is wrong with it, and what to give instead.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(
        "no network is named {name:?}; did you mean {nearest:?}? `trickbag models` lists them all"
    )]
    Unknown { name: String, nearest: String },

    #[error("{name} comes in one shape: leave network.shape out; only the ResNets have others")]
    OneShape { name: String },

    #[error("{name} has no stem for small images: take network.stem = \"imagenet\"")]
    OneStem { name: String },

    #[error(
        "{name} needs at least 16 channels in network.shape, since its 32 groups are a share of them; raise network.shape.channels"
    )]
    TooNarrow { name: String },

    #[error(
        "{name} cannot be dilated, only the ResNets can: take one of them; `trickbag models` lists them"
    )]
    NotDilated { name: String },

    #[error(
        "{name} needs images of at least {least}×{least} pixels, not {side}×{side}: give a larger size or crop"
    )]
    ImagesTooSmall { name: String, least: usize, side: usize },

    #[error("{name} cannot have {found} {what}: give a number from {least} to {most}")]
    OutOfRange { name: String, what: &'static str, found: usize, least: usize, most: usize },

    #[error(
        "{name} cannot have {found} stem channels: the stem of C and D halves them; give an even number"
    )]
    OddStem { name: String, found: usize },

    #[error(
        "{name} would have {parameters} parameters, and {MOST_PARAMETERS} are the most: give fewer blocks, channels or \
         classes"
    )]
    TooLarge { name: String, parameters: u64 },
}

/// Every name that [`network`] builds.
pub fn names() -> Vec<String> {
    let families = [
        resnet::names(),
        resnext::names(),
        senet::names(),
        inception_v3::names(),
        mobilenet::names(),
        densenet::names(),
        vgg::names(),
    ];
    families.concat()
}

/// The network of this name. A network is a value: it takes memory for its layers, not for its parameters.
///
/// # Errors
/// Where no network has this name, it cannot be changed as the options want, or it would be larger than the limits.
pub fn network(name: &str, options: &Options) -> Result<Network, NetworkError> {
    limits::check_options(name, options)?;
    let network = unlimited(name, options)?;
    limits::check_parameters(&network)?;
    Ok(network)
}

fn unlimited(name: &str, options: &Options) -> Result<Network, NetworkError> {
    if let Some(resnet) = residual(name) {
        let resnet = resnet.reshaped(options);
        if resnet.shape.channels.iter().any(|&channels| resnet.groups.channels(channels) == 0) {
            return Err(NetworkError::TooNarrow { name: name.to_owned() });
        }
        return Ok(resnet.network(name, options.classes, timm::of_resnet(name, &resnet)));
    }
    let (owned, classes, stem) = (|| name.to_owned(), options.classes, options.stem);
    let (network, has_small_stem) = if let Some(net) = mobilenet::by_name(name) {
        (net.network(classes, stem), true)
    } else if let Some(blocks) = densenet::by_name(name) {
        (densenet::network(name, blocks, classes, stem), true)
    } else if let Some(auxiliary) = inception_v3::by_name(name) {
        (inception_v3::network(auxiliary, classes), false)
    } else if let Some(net) = vgg::by_name(name) {
        (net.network(classes), false)
    } else {
        return Err(unknown(name));
    };
    match () {
        _ if options.shape.is_some() => Err(NetworkError::OneShape { name: owned() }),
        _ if options.dilations != [1; 4] => Err(NetworkError::NotDilated { name: owned() }),
        _ if stem == StemSize::Small && !has_small_stem => {
            Err(NetworkError::OneStem { name: owned() })
        }
        _ => Ok(network),
    }
}

/// The ResNet, ResNeXt or SE net of this name.
fn residual(name: &str) -> Option<ResNet> {
    let by_name = [resnet::by_name, resnext::by_name, senet::by_name];
    by_name.into_iter().find_map(|by_name| by_name(name))
}

/// Whether images of `side` × `side` pixels are large enough for all that the network does to them.
pub fn check_side(network: &Network, side: usize) -> Result<(), NetworkError> {
    let least = network.least;
    if side < least {
        return Err(NetworkError::ImagesTooSmall { name: network.name.clone(), least, side });
    }
    Ok(())
}

fn unknown(name: &str) -> NetworkError {
    let likeness = |known: &String| (strsim::jaro_winkler(known, name) * 1e6) as u64;
    let nearest = names().into_iter().max_by_key(likeness).unwrap_or_default();
    NetworkError::Unknown { name: name.to_owned(), nearest }
}
