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
use world::{Traffic, World};

use crate::checkpoint::{self, Checkpoint, RunFacts};
use crate::clock::Clock;
use crate::control::{Control, first_does, together};
use crate::durable;
use crate::error::{Cause, NotFinite, Place, TrainError};
use crate::hyper::Hyper;
use crate::lock::FolderLock;
use crate::log::RunLog;
use crate::log::bad_samples::BadSamples;
use crate::pace::{self, Pace};
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
    /// Why rank 0 among several could not write a row, until the others can be told.
    failed: Option<TrainError>,
    /// Steps done.
    step: u64,
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
    traffic: Traffic,
}

/// What rank 0 finds in a run's folder, or makes there.
#[derive(Default)]
struct Found {
    lock: Option<FolderLock>,
    checkpoint: Option<Checkpoint>,
    remarks: Vec<String>,
}

impl Found {
    fn of(course: &Course, start: &Start, models: &[String]) -> Result<Found, TrainError> {
        let folder = start.folder.to_owned();
        let lock = own(&folder, start.resume)?;
        match (resume::recipe_of(&folder)?, start.resume) {
            (Some(_), false) => return Err(TrainError::RunExists { folder }),
            (None, true) => return Err(TrainError::NoRun { folder }),
            (Some(known), true) => resume::check_recipe(&folder, &known, &course.recipe, models)?,
            (None, false) => begin(&folder, course, &start.environment)?,
        }
        let checkpoint = match start.resume {
            true => checkpoint::latest(&folder.join(names::CHECKPOINTS))?,
            false => None,
        };
        let check = |checkpoint| resume::check(&folder, course, checkpoint, start.device, models);
        let remarks = checkpoint.as_ref().map(check).transpose()?.unwrap_or_default();
        Ok(Found { lock: Some(lock), checkpoint, remarks })
    }
}

impl Journal {
    /// Begins a run in a new folder, or resumes the folder's run, from its newest checkpoint where it has one. `models`
    /// are the names of networks that a recipe may have. Only rank 0 looks at the folder; the others get the checkpoint from it.
    pub fn start(
        course: Course,
        start: &Start,
        models: &[String],
        world: &mut World,
    ) -> Result<(Journal, Option<Checkpoint>), TrainError> {
        let folder = start.folder.to_owned();
        check_alike(&course, start, world)?;
        let found = match world.rank() {
            0 => Found::of(&course, start, models),
            _ => Ok(Found::default()),
        };
        let (found, _) = world.while_writing(|world| together(world, found, Control::default()))?;
        let checkpoint = shared(found.checkpoint, world)?;
        let facts = checkpoint.as_ref().map(|checkpoint| &checkpoint.facts);
        let step = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.step);
        let worked = Duration::from_secs_f64(facts.map_or(0.0, |facts| facts.work_seconds));
        let clock = Clock::after(worked);
        let files = found.lock.map(|lock| Files::open(lock, &folder, &course, step, &clock));
        let (files, _) = together(world, files.transpose(), Control::default())?;
        let mut remarks = course.recipe.notes();
        remarks.extend(found.remarks);
        remarks.extend(files.iter().flat_map(|files| files.log.remarks()));
        let mut journal = Journal {
            saved: (worked, (step > 0).then_some(step)),
            logged: Logged {
                step,
                worked,
                waited: Duration::ZERO,
                overflowed: 0,
                traffic: world.traffic(),
            },
            last: None,
            failed: None,
            step,
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

    /// The requests of this rank at the end of the current step, or the error of a row that could not be written since the last.
    pub fn asks(&mut self) -> Result<Control, TrainError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let by_time = match self.course.recipe.checkpoint.every {
            Interval::Seconds(seconds) if self.files.is_some() => {
                self.clock.worked().saturating_sub(self.saved.0).as_secs_f64() >= seconds
            }
            Interval::Seconds(_) | Interval::Span(_) => false,
        };
        Ok(Control { stop: signal::stop_signal(), checkpoint: by_time, skipped: false })
    }

    /// Adds the epoch and the last checkpoint to an error of divergence, or of ranks that lost each other.
    pub fn with_what_is_saved(&self, error: TrainError) -> TrainError {
        match error {
            TrainError::NotFinite { what, step, rate, .. } => {
                let place = Some(Place { epoch: self.epoch(step), saved: self.what_is_saved() });
                TrainError::NotFinite { what, step, rate, place }
            }
            TrainError::World(error) if !error.is_usage() => self.lost(Cause::World(error)),
            other => other,
        }
    }

    /// The end of a run whose ranks cannot go on together.
    pub(crate) fn lost(&self, cause: Cause) -> TrainError {
        let (step, saved) = (self.step, self.what_is_saved());
        TrainError::Lost { cause, step, epoch: self.epoch(step), saved }
    }

    /// Which checkpoints remain, in words.
    fn what_is_saved(&self) -> String {
        match self.saved.1 {
            Some(step) => {
                let best = self.best.filter(|&best| best != step);
                let best = best.map_or(String::new(), |best| {
                    format!(", and so does that of the best evaluation, at step {best}")
                });
                format!("the checkpoint of step {step} in {} stands{best}", self.folder.display())
            }
            None => "nothing was saved yet".to_owned(),
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

    /// Logs a step if it is due, and shows where the run is. All ranks call it; where rank 0 among several cannot write the row,
    /// they learn of it at the next step.
    pub fn record_step(&mut self, report: Report, world: &mut World) -> Result<(), TrainError> {
        self.step = report.step;
        self.logged.waited += report.waited;
        self.logged.overflowed += u64::from(report.overflowed);
        let total = self.schedule().total_steps();
        let period = (total / 1000).clamp(1, 10);
        let skipped = report.skipped.clone();
        let row = match report.step.is_multiple_of(period) || report.step == total {
            true => Some(self.row(report, world)?),
            false => None,
        };
        let written = self.write_step(skipped, row);
        if world.size() == 1 {
            return written;
        }
        self.failed = written.err();
        Ok(())
    }

    /// The row of all steps since the last one.
    fn row(&mut self, report: Report, world: &mut World) -> Result<TrainRow, TrainError> {
        let step = report.step;
        let worked = self.clock.worked();
        let seconds = (worked - self.logged.worked).as_secs_f64().max(1e-9);
        let waited = self.logged.waited.as_secs_f64();
        let (wait_share, ranks) = match world.size() {
            1 => ((waited / seconds).min(1.0), None),
            _ => {
                let own = Pace::new(seconds, waited, self.logged.traffic, world.traffic());
                let (share, row) = pace::of_all(own, step - self.logged.step, world)?;
                (share, Some(row))
            }
        };
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
            wait_share,
            seconds: worked.as_secs_f64(),
            ranks,
        };
        self.speeds.push(row.images_per_second);
        let traffic = world.traffic();
        self.logged = Logged { step, worked, waited: Duration::ZERO, overflowed: 0, traffic };
        Ok(row)
    }

    fn write_step(&mut self, skipped: Vec<Skip>, row: Option<TrainRow>) -> Result<(), TrainError> {
        self.record_skipped(self.step, skipped)?;
        if let (Some(files), Some(row)) = (&mut self.files, row) {
            files.log.train(&row)?;
            files.progress.step(&row);
        }
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
        world: &mut World,
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
        let failed = self.failed.take();
        first_does(world, || {
            failed.map_or(Ok(()), Err)?;
            let Some(files) = &mut self.files else { return Ok(()) };
            files.log.evaluation(&row)?;
            files.progress.evaluated(columns.headline(), value);
            files.progress.note(&format!("epoch {epoch:.2}: {}", columns.say(&row.values)));
            let is_last = step == self.course.schedule.total_steps();
            match is_sound && (is_best || is_last) {
                true => measure.write_details(&self.folder, step),
                false => Ok(()),
            }
        })?;
        self.check_evaluation(&row.values, step)?;
        self.last = Some(row.values);
        // Evaluation is not part of the next steps' images per second.
        self.logged.worked = worked;
        self.logged.traffic = world.traffic();
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

    /// Saves a checkpoint, then deletes what the recipe no longer keeps. All ranks call it, and wait until it is on the disk.
    pub fn save<M: Module>(
        &mut self,
        state: &State<M>,
        world: &mut World,
    ) -> Result<(), TrainError> {
        let failed = self.failed.take();
        if self.saved.1 == Some(state.step) && world.size() == 1 {
            return Ok(());
        }
        first_does(world, || {
            failed.map_or(Ok(()), Err)?;
            if self.saved.1 == Some(state.step) {
                return Ok(());
            }
            let tensors = state.tensors(&self.course.recipe.update.optimizer);
            let strange = tensors.iter().find(|(_, tensor)| !is_finite(&tensor.values));
            match strange {
                Some((name, _)) => Err(self.diverged(NotFinite::Tensor(name.clone()), state.step)),
                None => self.save_tensors(state, tensors),
            }
        })?;
        self.saved = (self.clock.worked(), Some(state.step));
        self.logged.worked = self.clock.worked();
        self.logged.traffic = world.traffic();
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

/// Refuses ranks that are about to compute different things.
fn check_alike(course: &Course, start: &Start, world: &mut World) -> Result<(), TrainError> {
    world.share(course.recipe.train.parts)?;
    let beginning = if start.resume { "resumed" } else { "new" };
    let sources = serde_json::to_string(&course.sources).expect("sources are plain data");
    let facts = [
        ("version of trickbag", env!("CARGO_PKG_VERSION").to_owned()),
        ("instruction set", nn::arithmetic(start.device).to_owned()),
        ("run", beginning.to_owned()),
        ("recipe", recipe::to_toml(&course.recipe)),
        ("data", format!("{}\n{sources}\n{}", course.dataset, course.classes.join("\n"))),
    ];
    Ok(world.check_alike(&facts)?)
}

/// The checkpoint that rank 0 has read, on every rank.
fn shared(own: Option<Checkpoint>, world: &mut World) -> Result<Option<Checkpoint>, TrainError> {
    if world.size() == 1 {
        return Ok(own);
    }
    let bytes = world.broadcast(own.as_ref().map_or(Vec::new(), checkpoint::to_bytes))?;
    match (own, bytes.as_slice()) {
        (Some(own), _) => Ok(Some(own)),
        (None, []) => Ok(None),
        (None, bytes) => {
            checkpoint::of_bytes(bytes).map(Some).ok_or(TrainError::Message { rank: 0 })
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
