//! Going on with a run: what has to be as it was when the run began, and what is told where it is not.

use std::path::Path;

use nn::Device;
use recipe::Recipe;
use record::names;

use crate::checkpoint::{Checkpoint, RunFacts};
use crate::error::TrainError;
use crate::journal::Course;
use crate::sources::RunSources;

/// The recipe that a run folder was started with, as TOML; None where there is no run.
pub fn recipe_of(folder: &Path) -> Result<Option<String>, TrainError> {
    let path = folder.join(names::RECIPE);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) if cause.kind() == std::io::ErrorKind::InvalidData => {
            Err(TrainError::NotText { path })
        }
        Err(cause) => Err(TrainError::Unreadable { path, cause }),
    }
}

/// Refuses a recipe that is not the one the folder's run was started with.
pub fn check_recipe(
    folder: &Path,
    known: &str,
    recipe: &Recipe,
    models: &[String],
) -> Result<(), TrainError> {
    let file = folder.join(names::RECIPE).display().to_string();
    let known = recipe::parse(known, &file, models)?;
    let differences = recipe::diff(&known, recipe);
    if differences.is_empty() {
        return Ok(());
    }
    Err(TrainError::OtherRecipe { folder: folder.to_owned(), differences })
}

/// Refuses a run whose recipe, data or teacher are not those of its checkpoint. Gives the remarks on what else has changed.
pub(crate) fn check(
    folder: &Path,
    course: &Course,
    checkpoint: &Checkpoint,
    device: &Device,
    models: &[String],
) -> Result<Vec<String>, TrainError> {
    let Checkpoint { step, facts, .. } = checkpoint;
    let file = format!("the recipe in the checkpoint of step {step}");
    let known = recipe::parse(&facts.recipe, &file, models)?;
    let differences = recipe::diff(&known, &course.recipe);
    if !differences.is_empty() {
        let (folder, step) = (folder.to_owned(), *step);
        return Err(TrainError::EditedRecipe { folder, step, differences });
    }
    let mut notes = Vec::new();
    check_sources(folder, course, facts, &mut notes)?;
    let here = nn::arithmetic(device);
    if facts.instruction_set != here {
        notes.push(format!(
            "the run so far computed with {}, this machine has {here}: from here on its bits differ from those of an \
             uninterrupted run",
            facts.instruction_set
        ));
    }
    Ok(notes)
}

fn check_sources(
    folder: &Path,
    course: &Course,
    facts: &RunFacts,
    notes: &mut Vec<String>,
) -> Result<(), TrainError> {
    let other = |difference: String| TrainError::OtherData {
        folder: folder.to_owned(),
        dataset: course.dataset.clone(),
        difference,
    };
    if facts.classes != course.classes {
        return Err(other("it has other classes".to_owned()));
    }
    let Some(RunSources { images: was, teacher, origin }) = &facts.sources else {
        notes.push(
            "the checkpoint does not say what data it was trained on, so nobody knows whether these are the same"
                .to_owned(),
        );
        return Ok(());
    };
    let now = &course.sources;
    let counts = |images: &crate::ImageFacts| {
        format!("{} training and {} validation images", images.training, images.validation)
    };
    if (was.training, was.validation) != (now.images.training, now.images.validation) {
        return Err(other(format!("it has {} now, and had {}", counts(&now.images), counts(was))));
    }
    if was.names != now.images.names {
        return Err(other("its images have other names or labels than before".to_owned()));
    }
    if was.sizes != now.images.sizes {
        notes.push(format!(
            "some images of {} have other sizes in bytes than when the run began, so they were replaced: from here on the \
             run is not the one it would have been",
            course.dataset
        ));
    }
    if let (Some(was), Some(now)) = (teacher, &now.teacher)
        && was != now
    {
        return Err(TrainError::OtherTeacher { folder: folder.to_owned() });
    }
    if let (Some(was), Some(now)) = (origin, &now.origin)
        && was != now
    {
        notes.push(
            "the model of init.from has other weights now than those that this run began with; a run that goes on \
             does not need them"
                .to_owned(),
        );
    }
    Ok(())
}
