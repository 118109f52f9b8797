//! Networks as values. A network knows its layers and their names; it knows no loss, no data and no training.

mod conv;
mod cost;
mod draw;
mod mobilenet;
mod model;
mod network;
mod resnet;
#[cfg(test)]
mod tests;
mod timm;

pub use cost::{Cost, Row, cost, rows};
pub use draw::draw;
pub use model::{
    FileTensor, FileTensors, Mismatch, Model, from_file_layout, to_file_tensor, values,
};
pub use network::{Feature, Network, Stage, Timm};
pub use resnet::{Block, PathA, PathB, ResNet, Stem, StemSize, Tweaks};

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

/// A network that there is not.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(
        "no network is named {name:?}; did you mean {nearest:?}? `trickbag models` lists them all"
    )]
    Unknown { name: String, nearest: String },

    #[error(
        "{name} comes in one shape: leave network.shape out, and take network.stem = \"imagenet\"; only the ResNets \
         have others"
    )]
    OneShape { name: String },
}

/// Every name that [`network`] builds.
pub fn names() -> Vec<String> {
    let mut names = resnet::names();
    names.push(mobilenet::NAME.to_owned());
    names
}

/// The network of this name.
pub fn network(name: &str, options: &Options) -> Result<Network, NetworkError> {
    if name == mobilenet::NAME {
        if *options != Options::plain(options.classes) {
            return Err(NetworkError::OneShape { name: name.to_owned() });
        }
        return Ok(mobilenet::network(options.classes));
    }
    match resnet::by_name(name) {
        Some(resnet) => {
            let resnet = resnet.reshaped(options);
            let timm = timm::of_resnet(name, &resnet);
            Ok(resnet.network(name, options.classes, timm))
        }
        None => {
            let likeness = |known: &String| (strsim::jaro_winkler(known, name) * 1e6) as u64;
            let nearest = names().into_iter().max_by_key(likeness).unwrap_or_default();
            Err(NetworkError::Unknown { name: name.to_owned(), nearest })
        }
    }
}
