//! The network that a recipe asks for.

use recipe::{NetworkShape, Recipe, StemChoice};
use zoo::{Options, Shape, StemSize};

/// The differences of a recipe's network from the standard one of its name.
pub(crate) fn options(recipe: &Recipe, classes: usize) -> Options {
    let stem = match recipe.network.stem {
        StemChoice::Imagenet => StemSize::Imagenet,
        StemChoice::Small => StemSize::Small,
    };
    let shape = recipe.network.shape.as_ref().map(|shape| {
        let NetworkShape { blocks, channels, stem_channels } = *shape;
        Shape { blocks, channels, stem_channels }
    });
    Options { stem, shape, ..Options::plain(classes) }
}
