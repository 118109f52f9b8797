//! The runs of an ablation: each has its own folder, is finished once, and is resumed where it stopped.
//!
//! The folder of an ablation holds `ablation.json`, which identifies the ablation, and the run folders
//! `runs/CELL/seed-N`, which hold `result.json` when they are finished.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data::{Dataset, Resources};
use nn::Device;
use recipe::Recipe;
use recipe::ablation::{Ablation, Planned};
use record::{Outcome, names};
use serde_json::{Map, Value};
use train::durable::{self, WriteError};
use train::{FolderLock, Measure, Start, resume};
use world::World;

use crate::error::ClassifyError;
use crate::measure::Accuracy;
use crate::plan::{self, Beginning, Plan};
use crate::run::Run;

/// A run of a cell with a seed.
#[derive(Clone, Debug)]
pub struct Job {
    /// The index of the cell among the ablation's cells.
    pub cell: usize,
    pub seed: u64,
    pub folder: PathBuf,
    pub recipe: Recipe,
}

/// Settings shared by all runs of an ablation.
pub struct Settings<'a> {
    pub data: Option<&'a Path>,
    pub resources: Resources,
    pub device: Device,
    pub environment: Value,
}

/// The runs of an ablation in the order they are done: all teachers, each with the first seed, then all other cells
/// with the first seed, and so on, so that each seed's table is whole before the next begins.
pub fn jobs(ablation: &Ablation, seeds: &[u64], folder: &Path) -> Vec<Job> {
    let mut jobs = Vec::new();
    let runs = |cell: &Planned| cell.chosen && cell.same_as.is_none();
    let cells = || ablation.cells.iter().enumerate().filter(|(_, cell)| runs(cell));
    let job = |index: usize, cell: &Planned, seed| {
        let mut recipe = Recipe { seed, ..cell.recipe.clone() };
        if let (Some(distillation), Some(teacher)) = (&mut recipe.distillation, cell.teacher) {
            let teacher = run_folder(folder, &ablation.cells[teacher].name, seeds[0]);
            distillation.teacher = teacher.display().to_string();
        }
        Job { cell: index, seed, folder: run_folder(folder, &cell.name, seed), recipe }
    };
    for (index, cell) in cells().filter(|(_, cell)| cell.teaches) {
        jobs.push(job(index, cell, seeds[0]));
    }
    for &seed in seeds {
        for (index, cell) in cells().filter(|(_, cell)| !cell.teaches) {
            jobs.push(job(index, cell, seed));
        }
    }
    jobs
}

fn run_folder(folder: &Path, cell: &str, seed: u64) -> PathBuf {
    folder.join(names::run_folder(cell, seed))
}

/// Makes the folder this ablation's and this process's until the lock is dropped, or refuses one that is another's.
///
/// # Panics
/// When `identity` is no JSON object.
pub fn claim(folder: &Path, identity: &Value) -> Result<FolderLock, ClassifyError> {
    let identity = identity.as_object().expect("an identity has keys");
    fs::create_dir_all(folder).map_err(|cause| WriteError { path: folder.to_owned(), cause })?;
    let lock = FolderLock::take(folder)?;
    let path = folder.join(names::ABLATION);
    if let Some(known) = read(&path)? {
        let known: Map<String, Value> = serde_json::from_str(&known).map_err(|error| {
            let problem = format!("is damaged ({error}); give another folder with --out");
            ClassifyError::Ablation { path: path.clone(), problem }
        })?;
        let keys = identity.keys().filter(|key| known.get(*key) != identity.get(*key));
        let show = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
        let differences: Vec<String> = keys
            .map(|key| format!("{key}: {} → {}", show(known.get(key)), show(identity.get(key))))
            .collect();
        if differences.is_empty() {
            return Ok(lock);
        }
        return Err(ClassifyError::OtherAblation { folder: folder.to_owned(), differences });
    }
    let text = serde_json::to_string_pretty(identity).expect("an identity is plain data");
    durable::write(&path, text.as_bytes())?;
    Ok(lock)
}

/// The identity of a dataset: its classes, and its numbers of images and bytes.
pub fn identity_of(dataset: &Dataset) -> Result<Value, ClassifyError> {
    Ok(serde_json::json!({
        "classes": dataset.classes,
        "train_images": dataset.train.len(),
        "validation_images": dataset.validation.len(),
        "bytes": dataset.train.bytes()? + dataset.validation.bytes()?,
    }))
}

/// Opens the data and refuses, before the first run, what cannot be trained; gives the plan of each chosen cell. A
/// teacher is checked when its student starts: only then is it trained.
pub fn check(
    ablation: &Ablation,
    data: Option<&Path>,
) -> Result<BTreeMap<usize, Plan>, ClassifyError> {
    let mut dataset: Option<Arc<Dataset>> = None;
    let mut plans = BTreeMap::new();
    for (index, cell) in ablation.cells.iter().enumerate().filter(|(_, cell)| cell.chosen) {
        let recipe = Recipe { distillation: None, ..cell.recipe.clone() };
        let open = match &dataset {
            Some(open) => open.clone(),
            None => dataset.insert(Arc::new(plan::open(&recipe, data)?)).clone(),
        };
        plans.insert(index, Plan::on(recipe, open, Beginning::New)?);
    }
    Ok(plans)
}

/// Whether a job is finished. Refuses a folder that another recipe has run in.
pub fn is_finished(job: &Job) -> Result<bool, ClassifyError> {
    let Some(known) = resume::recipe_of(&job.folder)? else { return Ok(false) };
    resume::check_recipe(&job.folder, &known, &job.recipe, &zoo::names())?;
    Ok(job.folder.join(names::RESULT).is_file())
}

/// Runs or resumes a job and returns its outcome; None where a signal stopped it.
pub fn run(job: &Job, settings: &Settings) -> Result<Option<Outcome>, ClassifyError> {
    let is_begun = resume::recipe_of(&job.folder)?.is_some();
    let beginning = if is_begun { Beginning::Resumed } else { Beginning::New };
    let plan = Plan::new(job.recipe.clone(), settings.data, beginning)?;
    let cost = zoo::cost(&plan.network, job.recipe.validation().crop);
    let start = Start {
        folder: &job.folder,
        resume: is_begun,
        device: &settings.device,
        environment: settings.environment.clone(),
    };
    let mut world = World::alone();
    let mut run = Run::start(plan, &start, &world)?;
    let columns = Accuracy::columns();
    let values = match run.train_to_end(settings.resources, &mut world) {
        Ok(None) => return Ok(None),
        Ok(Some(values)) => values,
        // A run that diverges is a result of the ablation, not an error.
        Err(error) if error.is_divergence() => {
            run.journal.close();
            vec![f64::NAN; columns.columns().len()]
        }
        Err(error) => return Err(error),
    };
    let images_per_second = run.journal.images_per_second();
    let per_epoch = run.plan.steps_per_epoch * job.recipe.train.batch as u64;
    let outcome = Outcome {
        values,
        steps: run.state.step,
        parameters: cost.parameters,
        multiply_adds: cost.multiply_adds,
        images_per_second,
        seconds_per_epoch: images_per_second.map(|speed| per_epoch as f64 / speed),
        seconds: run.journal.worked().as_secs_f64(),
    };
    let text = outcome.to_json(&columns);
    durable::write(&job.folder.join(names::RESULT), text.as_bytes())?;
    Ok(Some(outcome))
}

fn read(path: &Path) -> Result<Option<String>, ClassifyError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => {
            let problem = format!("cannot be read: {error}");
            Err(ClassifyError::Ablation { path: path.to_owned(), problem })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use recipe::{presets, tables};
    use serde_json::json;

    #[test]
    fn a_folder_belongs_to_one_ablation() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("deep/inside");
        let identity =
            |images: u64| json!({ "table": "table4", "data": { "train_images": images } });
        drop(claim(&folder, &identity(10)).unwrap());
        let lock = claim(&folder, &identity(10)).unwrap();
        let text = claim(&folder, &identity(10)).unwrap_err().to_string();
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
        drop(lock);
        let error = claim(&folder, &identity(11)).unwrap_err();
        assert!(error.is_usage());
        let text = error.to_string();
        assert!(text.contains(r#"data: {"train_images":10} → {"train_images":11}"#), "{text}");
        fs::write(folder.join(names::ABLATION), "{").unwrap();
        let text = claim(&folder, &identity(10)).unwrap_err().to_string();
        assert!(text.contains("ablation.json: is damaged"), "{text}");
    }

    #[test]
    fn a_run_that_diverges_is_a_result() {
        let (table, preset) = (tables::find("table4").unwrap(), presets::find("smoke").unwrap());
        let rows = ["baseline".to_owned()];
        let ablation = Ablation::new(table, preset, &rows, &[], &zoo::names()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut job = jobs(&ablation, &[1], folder.path()).remove(0);
        job.recipe.rate.base = 1e30;
        let environment = json!({});
        let device = nn::cpu();
        let settings = Settings { data: None, resources: 1.into(), device, environment };
        assert!(!is_finished(&job).unwrap());
        let outcome = run(&job, &settings).unwrap().unwrap();
        let top1 = Accuracy::columns().headline_value(&outcome.values);
        assert!(top1.is_nan(), "{outcome:?}");
        assert!(outcome.steps < 30 && outcome.parameters > 0, "{outcome:?}");
        assert!(is_finished(&job).unwrap());
        let text = fs::read_to_string(job.folder.join(names::RESULT)).unwrap();
        assert!(text.contains("\"top1\": null"), "{text}");
        job.recipe.rate.base = 0.1;
        let text = is_finished(&job).unwrap_err().to_string();
        assert!(text.contains("started by another recipe"), "{text}");
    }

    #[test]
    fn teachers_run_once_and_every_seed_is_whole_before_the_next() {
        let (table, preset) = (tables::find("table6").unwrap(), presets::find("smoke").unwrap());
        let rows = ["cosine", "distillation"].map(str::to_owned);
        let columns = ["resnet50d".to_owned()];
        let ablation = Ablation::new(table, preset, &rows, &columns, &zoo::names()).unwrap();
        let jobs = jobs(&ablation, &[4, 7], Path::new("out"));
        let folders: Vec<String> =
            jobs.iter().map(|job| job.folder.display().to_string()).collect();
        assert_eq!(
            folders,
            [
                "out/runs/teacher/seed-4",
                "out/runs/cosine/seed-4",
                "out/runs/distillation/seed-4",
                "out/runs/cosine/seed-7",
                "out/runs/distillation/seed-7",
            ]
        );
        for job in &jobs {
            assert!(job.folder.ends_with(format!("seed-{}", job.recipe.seed)));
        }
        let taught = jobs[4].recipe.distillation.as_ref().unwrap();
        assert_eq!(taught.teacher, "out/runs/teacher/seed-4");
    }
}
