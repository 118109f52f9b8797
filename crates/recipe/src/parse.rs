//! From TOML to a [`Recipe`], or to every mistake in it.

use crate::check;
use crate::edit;
use crate::keys::Form;
use crate::mistake::{Complaint, Mistake, RecipeErrors};
use crate::reader::{Reader, mistake};
use crate::schema;
use crate::tree::{self, Place};
use crate::types::{LossScale, Precision, Recipe};
use crate::version;

/// The version of the format that this program reads and writes.
pub(crate) const VERSION: u32 = 2;

/// Reads the recipe in `text`. Mistakes are reported as mistakes of `file`; `known_models` are the names of all networks.
pub fn parse(text: &str, file: &str, known_models: &[String]) -> Result<Recipe, RecipeErrors> {
    parse_with_edits(text, file, &[], known_models)
}

/// Reads the recipe in `text` after the edits of `--set KEY=VALUE`, each given as `KEY=VALUE`, in order.
///
/// A value is TOML, or text without quotes: `network.model=resnet50d`, `rate.base=0.2`,
/// `rate.warmup={duration="5 epochs"}`. The value `off` removes an optional key: `rate.warmup=off`. Tables have short forms,
/// such as `mixup=on`, which stand for the paper's values.
pub fn parse_with_edits(
    text: &str,
    file: &str,
    edits: &[String],
    known_models: &[String],
) -> Result<Recipe, RecipeErrors> {
    let mut root = tree::document(text).map_err(|error| {
        let complaint = Complaint::new(format!("not TOML: {}", error.message), "");
        RecipeErrors::new(vec![mistake(file, "", &error.place, complaint)])
    })?;
    let outdated = version::outdated(file, &root);
    if !outdated.is_empty() {
        return Err(RecipeErrors::new(outdated));
    }
    schema::expand("", &mut root);
    let refused: Vec<_> =
        edits.iter().filter_map(|edit| edit::apply(&mut root, edit).err()).collect();

    let mut reader = Reader::new(file, &root, known_models);
    reader.mistakes = refused;
    schema::check_structure(&mut reader, "", &Place::Nowhere, &root);
    let recipe = Recipe::read(&mut reader, "", ());
    check::check(&mut reader);
    match recipe {
        Some(recipe) if reader.mistakes.is_empty() => Ok(complete(recipe)),
        _ => Err(RecipeErrors::new(reader.mistakes)),
    }
}

/// Fills in the key whose absence means something else with another value of its neighbour.
fn complete(mut recipe: Recipe) -> Recipe {
    if recipe.train.precision == Precision::F16 {
        recipe.train.loss_scale.get_or_insert(LossScale::Dynamic);
    }
    recipe
}

impl RecipeErrors {
    /// The same mistakes, where those that only the data showed get the place of their key in the recipe's text or edits.
    pub fn located(self, text: &str, file: &str, edits: &[String]) -> RecipeErrors {
        let Ok(mut root) = tree::document(text) else { return self };
        schema::expand("", &mut root);
        // The recipe was read before, so each edit applies.
        edits.iter().for_each(|edit| drop(edit::apply(&mut root, edit)));
        let locate = |found: Mistake| match root.find(&found.key) {
            Some(node) if found.line == 0 => {
                let complaint = Complaint::new(found.message, found.mend);
                mistake(file, &found.key, &node.place, complaint)
            }
            _ => found,
        };
        RecipeErrors::new(self.mistakes.into_iter().map(locate).collect())
    }
}
