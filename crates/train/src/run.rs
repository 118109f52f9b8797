//! A run folder: begun once, resumed at the very step, never overwritten.
//!
//! It holds `recipe.toml` (resolved), `run.json` (where it ran), `metrics.jsonl`, `metrics.csv`, TensorBoard events,
//! `checkpoints/`, `bad_samples.jsonl` where the recipe skips bad images, `predictions.jsonl` and `mistakes/` of the best or the last evaluation, and at the end `model/`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use data::Skipped;
use nn::{Device, Gradients, Nag, ParameterSpec, Tensor};
use recipe::{Interval, OnBadSample, Recipe, Schedule};
use record::{Best, EvaluationRow, MeasureColumns, SkipRow, TrainRow, names};
use tricks::gradient_clipping;

use crate::checkpoint::{self, Checkpoint, RunFacts};
use crate::clock::Clock;
use crate::durable;
use crate::error::TrainError;
use crate::log::RunLog;
use crate::log::bad_samples::BadSamples;
use crate::model_folder::{self, Card};
use crate::origin;
use crate::plan::Plan;
use crate::predictions;
use crate::progress::Progress;
use crate::state::State;
use crate::task::Evaluation;

/// Where a run keeps what it is and what it saw.
pub struct Run {
    folder: PathBuf,
    plan: Plan,
    measure: MeasureColumns,
    log: RunLog,
    /// Where the recipe skips bad images.
    bad_samples: Option<BadSamples>,
    progress: Progress,
    clock: Clock,
    /// Work done when the last checkpoint was saved, and its step.
    saved: (Duration, Option<u64>),
    logged: Logged,
    last: Option<Evaluation>,
    /// Of every logged row of this session.
    speeds: Vec<f64>,
}

/// What the next logged row measures from.
struct Logged {
    step: u64,
    worked: Duration,
    waited: Duration,
}

/// How a run is started; none of it changes what is computed.
pub struct Start<'a> {
    pub folder: &'a Path,
    pub resume: bool,
    pub device: &'a Device,
    /// Whatever `run.json` should tell of the machine and the command.
    pub environment: serde_json::Value,
}

/// The recipe that a run folder was started with, as TOML; None where there is no run.
pub fn recipe_of(folder: &Path) -> Option<String> {
    std::fs::read_to_string(folder.join(names::RECIPE)).ok()
}

impl Run {
    /// Begins a run in a new folder, or goes on with the one in it.
    pub fn start(plan: Plan, start: &Start) -> Result<(Run, State), TrainError> {
        let folder = start.folder.to_owned();
        let text = recipe::to_toml(&plan.recipe);
        match (recipe_of(&folder), start.resume) {
            (Some(_), false) => return Err(TrainError::RunExists { folder }),
            (None, true) => return Err(TrainError::NoRun { folder }),
            (Some(known), true) => check_recipe(&folder, &known, &plan.recipe)?,
            (None, false) => {
                let make = |source| durable::WriteError { path: folder.clone(), cause: source };
                std::fs::create_dir_all(&folder).map_err(make)?;
                let environment = serde_json::to_string_pretty(&start.environment);
                let environment = environment.expect("an environment is plain data");
                durable::write(&folder.join(names::RUN), environment.as_bytes())?;
                durable::write(&folder.join(names::RECIPE), text.as_bytes())?;
            }
        }
        let checkpoint = checkpoint::latest(&folder.join(names::CHECKPOINTS))?;
        let mut notes = Vec::new();
        let (state, worked) = match checkpoint {
            Some(checkpoint) => {
                check_facts(&folder, &plan, &checkpoint.facts, &mut notes)?;
                let worked = Duration::from_secs_f64(checkpoint.facts.work_seconds);
                let network = plan.network.clone();
                (State::restored(&plan.recipe, network, checkpoint, start.device)?, worked)
            }
            None => {
                let (model, said) = origin::first(&plan, start.device)?;
                notes.extend(said);
                (State::initial(&plan.recipe, model), Duration::ZERO)
            }
        };
        let clock = Clock::after(worked);
        let measure = MeasureColumns::classification();
        let log = RunLog::open(&folder, measure.clone(), state.step, clock.start_of_run())?;
        let skips = plan.recipe.data.on_bad_sample == OnBadSample::Skip;
        let bad_samples = skips.then(|| BadSamples::open(&folder, state.step)).transpose()?;
        let total = plan.schedule.total_steps();
        let mut progress = Progress::new(total, state.step, plan.steps_per_epoch);
        notes.iter().for_each(|note| progress.note(note));
        let run = Run {
            saved: (worked, (state.step > 0).then_some(state.step)),
            logged: Logged { step: state.step, worked, waited: Duration::ZERO },
            last: None,
            speeds: Vec::new(),
            folder,
            plan,
            measure,
            log,
            bad_samples,
            progress,
            clock,
        };
        Ok((run, state))
    }

    pub fn schedule(&self) -> &Schedule {
        &self.plan.schedule
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The latest evaluation of this session.
    pub fn last_evaluation(&self) -> Option<&Evaluation> {
        self.last.as_ref()
    }

    /// Median images per second of training in this session, evaluations apart; None before the first logged row.
    pub fn images_per_second(&self) -> Option<f64> {
        let mut speeds = self.speeds.clone();
        speeds.sort_by(f64::total_cmp);
        speeds.get(speeds.len() / 2).copied()
    }

    /// Work of the whole run so far.
    pub fn worked(&self) -> Duration {
        self.clock.worked()
    }

    /// The update of a parameter (§2.1; *no bias decay*, §3.1, acts here, and so does a classifier's own rate).
    pub fn nag(&self, spec: &ParameterSpec, rate: f64) -> Nag {
        let Recipe { update, rate: rates, .. } = &self.plan.recipe;
        let decay = if update.decay_on.acts_on(spec.role) { update.decay } else { 0.0 };
        let rate = if spec.in_head { rate * rates.head.unwrap_or(1.0) } else { rate };
        Nag { rate: rate as f32, momentum: update.momentum as f32, decay: decay as f32 }
    }

    /// The gradient of a batch, no longer than the recipe wants it; None where its scale made it overflow (§3.2).
    pub fn clipped(&self, gradients: Gradients) -> Option<Vec<Tensor<1>>> {
        if gradients.overflowed() {
            return None;
        }
        let factor = |limit| gradient_clipping::factor(gradients.norm(), limit);
        let factor = self.plan.recipe.update.clip.map_or(1.0, factor);
        Some(gradients.scaled(factor))
    }

    /// The loss of a step, unless it is NaN or infinite: the parameters are then lost, and the run with them, but
    /// for what was saved.
    pub fn finite(&self, loss: f32, step: u64) -> Result<f64, TrainError> {
        if loss.is_finite() {
            return Ok(f64::from(loss));
        }
        let saved = match self.saved.1 {
            Some(step) => {
                format!("the checkpoint of step {step} in {} stands", self.folder.display())
            }
            None => "nothing was saved yet".to_owned(),
        };
        let rate = self.schedule().rate(step);
        Err(TrainError::NotFinite { loss, step, epoch: self.epoch(step), rate, saved })
    }

    fn epoch(&self, step: u64) -> f64 {
        step as f64 / self.plan.steps_per_epoch as f64
    }

    /// Logs a step that is due, and shows where the run is.
    pub fn record_step(
        &mut self,
        state: &State,
        loss: f64,
        rate: f64,
        waited: Duration,
    ) -> Result<(), TrainError> {
        let total = self.schedule().total_steps();
        let period = (total / 1000).clamp(1, 10);
        if !state.step.is_multiple_of(period) && state.step != total {
            return Ok(());
        }
        let worked = self.clock.worked();
        let seconds = (worked - self.logged.worked).as_secs_f64().max(1e-9);
        let images = (state.step - self.logged.step) * self.plan.recipe.train.batch as u64;
        let row = TrainRow {
            step: state.step,
            epoch: self.epoch(state.step),
            loss,
            rate,
            images_per_second: images as f64 / seconds,
            wait_share: ((waited - self.logged.waited).as_secs_f64() / seconds).min(1.0),
            seconds: worked.as_secs_f64(),
            ..TrainRow::default()
        };
        self.log.train(&row)?;
        self.speeds.push(row.images_per_second);
        let headline = self.last.as_ref().map(|last| (self.measure.headline(), last.top1));
        self.progress.step(&row, headline);
        self.logged = Logged { step: state.step, worked, waited };
        Ok(())
    }

    /// Lists the images that could not be decoded and those in their places.
    pub fn record_skipped(
        &mut self,
        state: &State,
        skipped: Vec<Skipped>,
    ) -> Result<(), TrainError> {
        let Some(list) = &mut self.bad_samples else { return Ok(()) };
        let images = &self.plan.dataset.train;
        for Skipped { index, stand_in, reason } in skipped {
            let [image, stand_in] = [index, stand_in].map(|number| images.name(number as usize));
            let row = SkipRow { step: state.step, image, reason, stand_in };
            if list.list(&row)? {
                self.progress.note(&format!("skipped {}: {}", row.image, row.reason));
            }
        }
        Ok(())
    }

    /// How many training images are bad, and how often one was skipped; nothing where the recipe does not skip.
    pub fn skipped(&self) -> Option<(u64, u64)> {
        self.bad_samples.as_ref().map(BadSamples::counts)
    }

    /// Logs an evaluation, remembers the best, and keeps what the best and the last one said of each image.
    pub fn record_evaluation(
        &mut self,
        state: &mut State,
        evaluation: Evaluation,
    ) -> Result<(), TrainError> {
        let Evaluation { loss, top1, top5, images, .. } = evaluation;
        let worked = self.clock.worked();
        let (step, epoch, seconds) = (state.step, self.epoch(state.step), worked.as_secs_f64());
        let values = vec![loss, top1, top5, images as f64];
        let row = EvaluationRow { step, epoch, values, seconds };
        self.log.evaluation(&row)?;
        self.progress.note(&format!("epoch {epoch:.2}: {}", self.measure.say(&row.values)));
        let value = self.measure.headline_value(&row.values);
        if self.measure.improves(state.best.map(|best| best.value), value) {
            state.best = Some(Best { step, value });
        }
        if state.best.is_some_and(|best| best.step == step) || step == self.schedule().total_steps()
        {
            let (images, predictions) = (&self.plan.dataset.validation, &evaluation.predictions);
            predictions::write(&self.folder, step, images, predictions)?;
        }
        self.last = Some(evaluation);
        // Evaluation is not part of the next steps' images per second.
        self.logged.worked = worked;
        Ok(())
    }

    /// Whether the recipe wants a checkpoint now, or this is the best model so far.
    pub fn checkpoint_is_due(&self, state: &State) -> bool {
        let by_time = match self.plan.recipe.checkpoint.every {
            Interval::Seconds(seconds) => {
                (self.clock.worked() - self.saved.0).as_secs_f64() >= seconds
            }
            Interval::Span(_) => false,
        };
        let best = state.best.is_some_and(|best| best.step == state.step);
        best || by_time || self.schedule().checkpoint_at(state.step - 1)
    }

    /// Saves a checkpoint, then deletes what the recipe no longer keeps.
    pub fn save(&mut self, state: &State) -> Result<(), TrainError> {
        if self.saved.1 == Some(state.step) {
            return Ok(());
        }
        self.log.sync()?;
        self.bad_samples.as_ref().map_or(Ok(()), BadSamples::sync)?;
        let recipe = &self.plan.recipe;
        let facts = RunFacts {
            recipe: recipe::to_toml(recipe),
            instruction_set: kernels::instruction_set().to_owned(),
            best: state.best,
            loss_scaling: state.loss_scaling.map(Into::into),
            work_seconds: self.clock.worked().as_secs_f64(),
            images: state.step * recipe.train.batch as u64,
            classes: self.plan.dataset.classes.clone(),
        };
        let checkpoint = Checkpoint { step: state.step, facts, tensors: state.tensors() };
        let folder = self.folder.join(names::CHECKPOINTS);
        checkpoint::save(&folder, &checkpoint)?;
        checkpoint::prune(&folder, recipe.checkpoint.keep, state.best.map(|best| best.step))?;
        self.saved = (self.clock.worked(), Some(state.step));
        self.logged.worked = self.clock.worked();
        Ok(())
    }

    /// Writes `model/` from the last state.
    pub fn finish(&mut self, state: &mut State) -> Result<(), TrainError> {
        self.progress.finish();
        let card = Card::of_run(&self.plan, state.step);
        model_folder::write(&self.folder.join(names::MODEL), state.evaluated(), &card)
    }

    /// Puts the progress away: the run will go on another time.
    pub fn pause(&mut self) {
        self.progress.finish();
    }
}

pub(crate) fn check_recipe(folder: &Path, known: &str, recipe: &Recipe) -> Result<(), TrainError> {
    let file = folder.join(names::RECIPE).display().to_string();
    let known = recipe::parse(known, &file, &zoo::names())?;
    let differences = recipe::diff(&known, recipe);
    if differences.is_empty() {
        return Ok(());
    }
    Err(TrainError::OtherRecipe { folder: folder.to_owned(), differences })
}

fn check_facts(
    folder: &Path,
    plan: &Plan,
    facts: &RunFacts,
    notes: &mut Vec<String>,
) -> Result<(), TrainError> {
    if facts.classes != plan.dataset.classes {
        return Err(TrainError::OtherData {
            folder: folder.to_owned(),
            dataset: plan.dataset.name.clone(),
            difference: "it has other classes".to_owned(),
        });
    }
    let here = kernels::instruction_set();
    if facts.instruction_set != here {
        notes.push(format!(
            "note: the run so far computed with {}, this machine has {here}: from here on its bits differ from those \
             of an uninterrupted run",
            facts.instruction_set
        ));
    }
    Ok(())
}
