//! The journal of a run: it begins or resumes the run folder and never overwrites one, writes rows and checkpoints, and
//! shows the progress.
//!
//! The folder holds `recipe.toml` (resolved), `run.json` (where it ran, what its measure is), `metrics.jsonl`, `metrics.csv`,
//! TensorBoard events, `checkpoints/`, `bad_samples.jsonl` where the recipe skips bad images, and the details that a task
//! writes of its best and its last evaluation.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nn::{Device, FileTensors, Module};
use recipe::{Interval, OnBadSample, Recipe, Schedule};
use record::{Best, EvaluationRow, LOSS, MeasureColumns, TrainRow, names};
use world::World;

use crate::checkpoint::{self, Checkpoint, RunFacts};
use crate::clock::Clock;
use crate::control::Control;
use crate::durable;
use crate::error::{NotFinite, Place, TrainError};
use crate::hyper::Hyper;
use crate::lock::FolderLock;
use crate::log::RunLog;
use crate::log::bad_samples::BadSamples;
use crate::progress::Progress;
use crate::resume;
use crate::signal;
use crate::sources::RunSources;
use crate::state::State;
use crate::step::Report;
use crate::task::{Measure, Skip};

/// The facts about a run that its journal needs before the first step.
#[derive(Clone, Debug)]
pub struct Course {
    pub recipe: Recipe,
    pub schedule: Schedule,
    pub steps_per_epoch: u64,
    pub measure: MeasureColumns,
    /// What the data are called, for messages.
    pub dataset: String,
    pub classes: Vec<String>,
    pub sources: RunSources,
}

/// The folder, device and environment that a run starts with.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    pub folder: &'a Path,
    pub resume: bool,
    pub device: &'a Device,
    /// The facts about the machine and the command that `run.json` holds.
    pub environment: serde_json::Value,
}

/// The writer of a run's folder and its progress. Only rank 0 writes and shows; the journals of other ranks are silent.
pub struct Journal {
    folder: PathBuf,
    course: Course,
    device: Device,
    /// None on other ranks than 0.
    files: Option<Files>,
    /// What the run began with; a checkpoint knows it where there is one.
    sources: RunSources,
    /// The step of the best evaluation.
    best: Option<u64>,
    clock: Clock,
    /// The working time at the last checkpoint, and its step; no step before the first checkpoint.
    saved: (Duration, Option<u64>),
    logged: Logged,
    last: Option<Vec<f64>>,
    /// Images per second of each logged row of this session.
    speeds: Vec<f64>,
}

struct Files {
    /// Nobody else writes here meanwhile.
    _lock: FolderLock,
    log: RunLog,
    /// The list of bad images; None where the recipe does not skip them.
    bad_samples: Option<BadSamples>,
    progress: Progress,
}

/// The state at the last logged row, from which the next row counts.
struct Logged {
    step: u64,
    worked: Duration,
    waited: Duration,
    overflowed: u64,
}

impl Journal {
    /// Begins a run in a new folder, or resumes the folder's run, from its newest checkpoint where it has one. `models`
    /// are the names of networks that a recipe may have.
    pub fn start(
        course: Course,
        start: &Start,
        models: &[String],
        world: &World,
    ) -> Result<(Journal, Option<Checkpoint>), TrainError> {
        let folder = start.folder.to_owned();
        let is_first = world.rank() == 0;
        let lock = is_first.then(|| own(&folder, start.resume)).transpose()?;
        match (resume::recipe_of(&folder)?, start.resume) {
            (Some(_), false) if is_first => return Err(TrainError::RunExists { folder }),
            (None, true) => return Err(TrainError::NoRun { folder }),
            (Some(known), true) => resume::check_recipe(&folder, &known, &course.recipe, models)?,
            (_, false) if is_first => begin(&folder, &course, &start.environment)?,
            (_, false) => {}
        }
        let checkpoint = match start.resume {
            true => checkpoint::latest(&folder.join(names::CHECKPOINTS))?,
            false => None,
        };
        let mut remarks = course.recipe.notes();
        if let Some(checkpoint) = &checkpoint {
            remarks.extend(resume::check(&folder, &course, checkpoint, start.device, models)?);
        }
        let facts = checkpoint.as_ref().map(|checkpoint| &checkpoint.facts);
        let step = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.step);
        let worked = Duration::from_secs_f64(facts.map_or(0.0, |facts| facts.work_seconds));
        let clock = Clock::after(worked);
        let files = lock.map(|lock| Files::open(lock, &folder, &course, step, &clock));
        let files = files.transpose()?;
        remarks.extend(files.iter().flat_map(|files| files.log.remarks()));
        let mut journal = Journal {
            saved: (worked, (step > 0).then_some(step)),
            logged: Logged { step, worked, waited: Duration::ZERO, overflowed: 0 },
            last: None,
            speeds: Vec::new(),
            device: start.device.clone(),
            sources: facts
                .and_then(|facts| facts.sources.as_ref())
                .unwrap_or(&course.sources)
                .clone(),
            best: facts.and_then(|facts| facts.best).map(|best| best.step),
            folder,
            course,
            files,
            clock,
        };
        remarks.iter().for_each(|text| journal.note(&format!("note: {text}")));
        Ok((journal, checkpoint))
    }

    pub fn schedule(&self) -> &Schedule {
        &self.course.schedule
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The settings of the next step, when `step` steps are done.
    pub fn hyper(&self, step: u64) -> Hyper {
        Hyper::of(&self.course.recipe, self.course.schedule.rate(step))
    }

    /// The values of the latest evaluation of this session.
    pub fn last_evaluation(&self) -> Option<&[f64]> {
        self.last.as_deref()
    }

    /// Median images per second of training in this session, evaluations left out; None before the first logged row.
    pub fn images_per_second(&self) -> Option<f64> {
        let mut speeds = self.speeds.clone();
        speeds.sort_by(f64::total_cmp);
        speeds.get(speeds.len() / 2).copied()
    }

    /// Work of the whole run so far.
    pub fn worked(&self) -> Duration {
        self.clock.worked()
    }

    /// The requests of this rank at the end of the current step.
    pub fn asks(&self) -> Control {
        let by_time = match self.course.recipe.checkpoint.every {
            Interval::Seconds(seconds) if self.files.is_some() => {
                self.clock.worked().saturating_sub(self.saved.0).as_secs_f64() >= seconds
            }
            Interval::Seconds(_) | Interval::Span(_) => false,
        };
        Control { stop: signal::stop_requested(), checkpoint: by_time, skipped: false }
    }

    /// Adds the epoch and the last checkpoint to an error of divergence.
    pub fn with_what_is_saved(&self, error: TrainError) -> TrainError {
        let saved = match self.saved.1 {
            Some(step) => {
                let best = self.best.filter(|&best| best != step);
                let best = best.map_or(String::new(), |best| {
                    format!(", and so does that of the best evaluation, at step {best}")
                });
                format!("the checkpoint of step {step} in {} stands{best}", self.folder.display())
            }
            None => "nothing was saved yet".to_owned(),
        };
        match error {
            TrainError::NotFinite { what, step, rate, .. } => {
                let place = Some(Place { epoch: self.epoch(step), saved });
                TrainError::NotFinite { what, step, rate, place }
            }
            other => other,
        }
    }

    fn epoch(&self, step: u64) -> f64 {
        step as f64 / self.course.steps_per_epoch as f64
    }

    /// Prints a line that stays.
    pub fn note(&mut self, text: &str) {
        if let Some(files) = &mut self.files {
            files.progress.note(text);
        }
    }

    /// Logs a step if it is due, and shows where the run is.
    pub fn record_step(&mut self, report: Report) -> Result<(), TrainError> {
        let Report { step, .. } = report;
        self.logged.waited += report.waited;
        self.logged.overflowed += u64::from(report.overflowed);
        self.record_skipped(step, report.skipped)?;
        let total = self.schedule().total_steps();
        let period = (total / 1000).clamp(1, 10);
        if !step.is_multiple_of(period) && step != total {
            return Ok(());
        }
        let worked = self.clock.worked();
        let seconds = (worked - self.logged.worked).as_secs_f64().max(1e-9);
        let images = (step - self.logged.step) * self.course.recipe.train.batch as u64;
        let terms = report.terms.into_iter().map(|(name, term)| (name.to_owned(), term));
        let row = TrainRow {
            step,
            epoch: self.epoch(step),
            loss: report.loss,
            rate: report.rate,
            gradient_norm: Some(report.gradient_norm),
            terms: terms.collect(),
            loss_scale: report.loss_scale.map(f64::from),
            skipped: self.logged.overflowed,
            images_per_second: images as f64 / seconds,
            wait_share: (self.logged.waited.as_secs_f64() / seconds).min(1.0),
            seconds: worked.as_secs_f64(),
        };
        self.speeds.push(row.images_per_second);
        self.logged = Logged { step, worked, waited: Duration::ZERO, overflowed: 0 };
        let Some(files) = &mut self.files else { return Ok(()) };
        files.log.train(&row)?;
        files.progress.step(&row);
        Ok(())
    }

    /// Adds the images that could not be decoded, and their stand-ins, to the list of bad images.
    fn record_skipped(&mut self, step: u64, skipped: Vec<Skip>) -> Result<(), TrainError> {
        let Some(Files { bad_samples: Some(list), progress, .. }) = &mut self.files else {
            return Ok(());
        };
        for row in skipped.into_iter().map(|skip| skip.row(step)) {
            if list.list(&row)? {
                progress.note(&format!("skipped {}: {}", row.image, row.reason));
            }
        }
        Ok(())
    }

    /// The number of bad training images and the number of skips; None where the recipe does not skip images.
    pub fn skipped(&self) -> Option<(u64, u64)> {
        self.files.as_ref()?.bad_samples.as_ref().map(BadSamples::counts)
    }

    /// Logs an evaluation, remembers the best, and keeps the details of the best and of the last one. An evaluation whose loss
    /// or headline is not finite is logged too, and ends the run before anything of it is saved.
    pub fn record_evaluation<M>(
        &mut self,
        state: &mut State<M>,
        measure: &impl Measure,
    ) -> Result<(), TrainError> {
        let values = measure.values();
        let worked = self.clock.worked();
        let (step, epoch) = (state.step, self.epoch(state.step));
        let columns = &self.course.measure;
        let value = columns.headline_value(&values);
        let is_sound = not_finite(columns, &values).is_none();
        let is_best = is_sound && columns.improves(state.best.map(|best| best.value), value);
        if is_best {
            state.best = Some(Best { step, value });
            self.best = Some(step);
        }
        let row = EvaluationRow { step, epoch, values, seconds: worked.as_secs_f64() };
        if let Some(files) = &mut self.files {
            files.log.evaluation(&row)?;
            files.progress.evaluated(columns.headline(), value);
            files.progress.note(&format!("epoch {epoch:.2}: {}", columns.say(&row.values)));
            let is_last = step == self.course.schedule.total_steps();
            if is_sound && (is_best || is_last) {
                measure.write_details(&self.folder, step)?;
            }
        }
        self.check_evaluation(&row.values, step)?;
        self.last = Some(row.values);
        // Evaluation is not part of the next steps' images per second.
        self.logged.worked = worked;
        Ok(())
    }

    /// Refuses an evaluation after `step` steps whose loss or headline is not finite: the run has diverged.
    pub fn check_evaluation(&self, values: &[f64], step: u64) -> Result<(), TrainError> {
        match not_finite(&self.course.measure, values) {
            Some(what) => Err(self.diverged(what, step)),
            None => Ok(()),
        }
    }

    /// The end of a run whose state is of no use after `step` steps.
    fn diverged(&self, what: NotFinite, step: u64) -> TrainError {
        let rate = self.schedule().rate(step.saturating_sub(1));
        self.with_what_is_saved(TrainError::NotFinite { what, step, rate, place: None })
    }

    /// Whether the recipe wants a checkpoint at this step, or this is the best model so far.
    pub fn checkpoint_is_due<M>(&self, state: &State<M>) -> bool {
        let best = state.best.is_some_and(|best| best.step == state.step);
        best || self.schedule().checkpoint_at(state.step - 1)
    }

    /// Saves a checkpoint, then deletes what the recipe no longer keeps.
    pub fn save<M: Module>(&mut self, state: &State<M>) -> Result<(), TrainError> {
        if self.saved.1 == Some(state.step) {
            return Ok(());
        }
        let recipe = &self.course.recipe;
        if self.files.is_some() {
            let tensors = state.tensors(&recipe.update.optimizer);
            let strange = tensors.iter().find(|(_, tensor)| !is_finite(&tensor.values));
            if let Some((name, _)) = strange {
                return Err(self.diverged(NotFinite::Tensor(name.clone()), state.step));
            }
            self.save_tensors(state, tensors)?;
        }
        self.saved = (self.clock.worked(), Some(state.step));
        self.logged.worked = self.clock.worked();
        Ok(())
    }

    fn save_tensors<M>(
        &mut self,
        state: &State<M>,
        tensors: FileTensors,
    ) -> Result<(), TrainError> {
        let recipe = &self.course.recipe;
        if let Some(files) = &mut self.files {
            files.log.sync()?;
            files.bad_samples.as_ref().map_or(Ok(()), BadSamples::sync)?;
            let facts = RunFacts {
                recipe: recipe::to_toml(recipe),
                instruction_set: nn::arithmetic(&self.device).to_owned(),
                best: state.best,
                loss_scaling: state.loss_scaling.map(Into::into),
                work_seconds: self.clock.worked().as_secs_f64(),
                images: state.step * recipe.train.batch as u64,
                classes: self.course.classes.clone(),
                sources: Some(self.sources.clone()),
            };
            let checkpoint = Checkpoint { step: state.step, facts, tensors };
            let folder = self.folder.join(names::CHECKPOINTS);
            checkpoint::save(&folder, &checkpoint)?;
            checkpoint::prune(&folder, recipe.checkpoint.keep, state.best.map(|best| best.step))?;
        }
        Ok(())
    }

    /// Shows the last numbers and leaves them on the screen; called when the run ends or stops.
    pub fn close(&mut self) {
        if let Some(files) = &mut self.files {
            files.progress.finish();
        }
    }
}

/// Why an evaluation says nothing about the model: its loss or its headline is not finite.
fn not_finite(columns: &MeasureColumns, values: &[f64]) -> Option<NotFinite> {
    let decisive = columns.column(LOSS).into_iter().chain([columns.headline()]);
    let mut numbers = decisive.filter_map(|column| {
        let value = columns.value(values, &column.name)?;
        Some(NotFinite::Evaluation(column.title.clone(), value)).filter(|_| !value.is_finite())
    });
    numbers.next()
}

fn is_finite(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_finite())
}

/// Takes the lock of a run's folder, which is made where a run is to begin.
fn own(folder: &Path, resume: bool) -> Result<FolderLock, TrainError> {
    let folder_name = || folder.to_owned();
    if folder.exists() && !folder.is_dir() {
        return Err(TrainError::NotAFolder { folder: folder_name() });
    }
    match resume {
        true if resume::recipe_of(folder)?.is_none() => {
            return Err(TrainError::NoRun { folder: folder_name() });
        }
        true => {}
        false => durable::create_folder(folder)?,
    }
    FolderLock::take(folder)
}

impl Files {
    fn open(
        lock: FolderLock,
        folder: &Path,
        course: &Course,
        step: u64,
        clock: &Clock,
    ) -> Result<Files, TrainError> {
        let log = RunLog::open(folder, course.measure.clone(), step, clock.start_of_run())?;
        let skips = course.recipe.data.on_bad_sample == OnBadSample::Skip;
        let bad_samples = skips.then(|| BadSamples::open(folder, step)).transpose()?;
        let total = course.schedule.total_steps();
        let progress = Progress::new(total, step, course.steps_per_epoch);
        Ok(Files { _lock: lock, log, bad_samples, progress })
    }
}

/// Makes the folder of a new run.
fn begin(
    folder: &Path,
    course: &Course,
    environment: &serde_json::Value,
) -> Result<(), TrainError> {
    let checkpoints = folder.join(names::CHECKPOINTS);
    if !checkpoint::list(&checkpoints).is_empty() {
        return Err(TrainError::StrayCheckpoints { folder: checkpoints });
    }
    durable::create_folder(folder)?;
    let mut run = environment.clone();
    let measure = serde_json::to_value(&course.measure).expect("columns are plain data");
    run[names::MEASURE_KEY] = measure;
    let run = serde_json::to_string_pretty(&run).expect("an environment is plain data");
    durable::write(&folder.join(names::RUN), run.as_bytes())?;
    let recipe = recipe::to_toml(&course.recipe);
    durable::write(&folder.join(names::RECIPE), recipe.as_bytes())?;
    Ok(())
}
