//! The network that a recipe asks for.

use recipe::{Mistake, NetworkShape, Recipe, RecipeErrors, StemChoice};
use zoo::{MOST_PARAMETERS, Network, NetworkError, Options, Shape, StemSize};

use crate::error::ClassifyError;

/// The network of a recipe for data of so many classes. What `[network.shape]` makes too large is a mistake at its line.
pub(crate) fn of(recipe: &Recipe, classes: usize) -> Result<Network, ClassifyError> {
    zoo::network(&recipe.network.model, &options(recipe, classes)).map_err(|error| match error {
        NetworkError::TooLarge { name, parameters } if recipe.network.shape.is_some() => {
            let message = format!(
                "{name} would have {parameters} parameters, and {MOST_PARAMETERS} are the most"
            );
            let mend = "give fewer blocks or channels";
            let mistake = Mistake::with_data(recipe, "network.shape", message, mend);
            RecipeErrors::new(vec![mistake]).into()
        }
        other => other.into(),
    })
}

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
