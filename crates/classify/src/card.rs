//! The card of a model folder, all but its tensors: classes, preprocessing, the shape of the network.

use recipe::{Normalize, Orientation, Validation};
use zoo::Options;

/// Classes that a message lists of each side.
const MOST_LISTED: usize = 20;

/// The facts about a model that its folder holds beside the tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// The name of each class, by its index.
    pub classes: Vec<String>,
    pub validation: Validation,
    pub normalize: Normalize,
    pub orientation: Orientation,
    /// The differences of the network from the standard one of its name.
    pub options: Options,
    /// The number of steps the model was trained for, which each batch norm's `num_batches_tracked` says too.
    pub step: u64,
    /// The choice of the images that the run held out, where its data had no validation part.
    pub split: Split,
    pub recipe: String,
}

/// A deterministic choice of validation images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    pub share: f64,
    pub seed: u64,
    /// Whether the data are the images inside the program.
    pub embedded: bool,
}

impl Card {
    /// Says how these classes differ from the model's, by name where the model knows names; None where they are the same.
    pub fn difference(&self, classes: &[String]) -> Option<String> {
        let anonymous = self.classes.iter().enumerate().all(|(i, name)| *name == unnamed(i));
        let same = match anonymous {
            true => self.classes.len() == classes.len(),
            false => self.classes == classes,
        };
        if same {
            return None;
        }
        let only = |ours: &[String], theirs: &[String]| {
            let extra: Vec<&str> =
                ours.iter().filter(|name| !theirs.contains(name)).map(String::as_str).collect();
            match extra.len() {
                0 => "none".to_owned(),
                count if count > MOST_LISTED => {
                    let more = count - MOST_LISTED;
                    format!("{} and {more} more", extra[..MOST_LISTED].join(", "))
                }
                _ => extra.join(", "),
            }
        };
        Some(format!(
            "the data's {} classes are not the model's {}; only in the data: {}; only in the model: {}",
            classes.len(),
            self.classes.len(),
            only(classes, &self.classes),
            only(&self.classes, classes),
        ))
    }
}

/// The name given to a class without a name, such as `class 3`.
pub(crate) fn unnamed(class: usize) -> String {
    format!("class {class}")
}
