//! What a run is computed from, by content: its images, its teacher, and the model it began with.

use std::fs::File;
use std::path::Path;

use data::Fingerprint;
use recipe::{Recipe, Source};
use train::{ImageFacts, RunSources};

use crate::error::ClassifyError;
use crate::model_folder::{self, FolderProblem};
use crate::plan::Plan;

/// The contents that a run reads, and the bytes of its images.
pub(crate) fn of(plan: &Plan) -> Result<(RunSources, u64), ClassifyError> {
    let Fingerprint { training, validation, bytes, names, sizes } = plan.dataset.fingerprint()?;
    let images = ImageFacts { training, validation, names, sizes };
    let hashed = |(_, path): (&str, &str)| weights_hash(Path::new(path)).transpose();
    let [teacher, origin] = models(&plan.recipe).map(|model| model.and_then(hashed).transpose());
    Ok((RunSources { images, teacher: teacher?, origin: origin? }, bytes))
}

/// The models that a recipe names, each with its key: its teacher, and the one whose weights it begins with.
fn models(recipe: &Recipe) -> [Option<(&'static str, &str)>; 2] {
    let teacher = recipe.distillation.as_ref().map(|by| by.teacher.as_str());
    let origin = recipe.init.as_ref().map(|init| init.from.as_str());
    [teacher.map(|path| ("distillation.teacher", path)), origin.map(|path| ("init.from", path))]
}

/// The hash of a model's weights; None where there are none, since a run that goes on may do without the model it began with.
fn weights_hash(model: &Path) -> Result<Option<String>, ClassifyError> {
    let Some(path) = model_folder::weights_file(model)? else { return Ok(None) };
    let mut hasher = blake3::Hasher::new();
    match File::open(&path).and_then(|file| hasher.update_reader(file).map(drop)) {
        Ok(()) => Ok(Some(hasher.finalize().to_hex().to_string())),
        Err(cause) => Err(model_folder::at(path, FolderProblem::Unreadable(cause))),
    }
}

/// Remarks on models that were trained on images this run validates on.
pub(crate) fn split_notes(recipe: &Recipe) -> Vec<String> {
    if recipe.data.source != Source::Path {
        return Vec::new();
    }
    let note = |(key, path): (&str, &str)| {
        let (_, card) = model_folder::read_card(Path::new(path)).ok()?;
        let (share, seed) = (card.split.share, card.split.seed);
        let is_same = (share, seed) == (recipe.data.split, recipe.data.split_seed);
        (card.step > 0 && !card.split.embedded && !is_same).then(|| {
            format!(
                "note: {key} held out other images (data.split={share}, data.split_seed={seed}): if the data have no \
                 validation part, this run validates on images that {path} was trained on, unless both are set to its"
            )
        })
    };
    models(recipe).into_iter().flatten().filter_map(note).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use train::model_file::WEIGHTS;

    #[test]
    fn weights_are_found_in_run_folders_and_model_folders_and_known_by_content() {
        let folder = tempfile::tempdir().unwrap();
        let (run, model) = (folder.path().join("run"), folder.path().join("run/model"));
        assert_eq!(weights_hash(&run).unwrap(), None);
        fs::create_dir_all(&model).unwrap();
        fs::write(model.join(WEIGHTS), "one").unwrap();
        let one = weights_hash(&run).unwrap();
        assert!(one.is_some());
        assert_eq!(weights_hash(&model).unwrap(), one);
        fs::write(model.join(WEIGHTS), "two").unwrap();
        assert_ne!(weights_hash(&run).unwrap(), one);
    }
}
