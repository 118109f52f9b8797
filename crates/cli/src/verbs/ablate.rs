//! `trickbag ablate`: a table of the paper, run at a preset's scale.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use classify::Plan;
use classify::ablation::{self as running, Job, Settings};
use recipe::ablation::Ablation;
use recipe::{presets, tables};
use record::{MeasureColumns, names};
use report::ablation::{Results, markdown};
use serde_json::{Value, json};
use train::{durable, signal};
use world::World;

use crate::args::Ablate;
use crate::output::{self, Stopped, Usage, duration, grouped};
use crate::ranks;
use crate::verbs::train::dry_run::{expected_seconds, seconds_per_image};
use crate::verbs::train::place::check_outside;

pub(crate) fn run(args: &Ablate) -> Result<()> {
    ranks::run(&args.ranks, |world| on_rank(args, world))
}

/// Runs an ablation as one of the ranks, or alone.
fn on_rank(args: &Ablate, world: &mut World) -> Result<()> {
    let threads = args.threads.among(world.neighbours());
    ranks::together(world, super::use_threads(threads.compute()))?;
    let (table, preset) = (tables::find(&args.table)?, presets::find(&args.preset)?);
    if tables::transfer().iter().any(|known| known.name == table.name) {
        let text = format!(
            "{0} is a table of another task, which ablate does not run yet: train its rows, such as `trickbag train {0}.{1}`",
            table.name, table.rows[0].name
        );
        return Err(Usage(text).into());
    }
    let ablation = Ablation::new(table, preset, &args.rows, &args.columns, &zoo::names())?;
    let seeds: Vec<u64> = (1..=args.seeds).collect();
    let folder = folder(args);
    if !args.dry_run {
        check_outside(&folder, args.data.as_deref())?;
    }
    let plans = running::check(&ablation, args.data.as_deref()).map_err(Into::into);
    let plans = ranks::together(world, plans)?;
    let any = plans.values().next().expect("some cell is chosen");
    plans.values().try_for_each(|plan| world.share(plan.recipe.train.parts).map(drop))?;
    let jobs = running::jobs(&ablation, &seeds, &folder);
    let expected = ranks::first_does(world, || expected(&ablation, &plans))?;
    introduce(&ablation, &jobs, &expected, any);
    if args.dry_run {
        dry_run(args, &ablation, &jobs, &expected);
        return Ok(());
    }
    let mut lock = None;
    // Runs name their teacher by path, which has to be the same wherever the command is given.
    let folder = ranks::first_does(world, || {
        lock = Some(running::claim(&folder, &identity(args, &seeds, any)?)?);
        Ok(folder.canonicalize()?)
    })?;
    let jobs = running::jobs(&ablation, &seeds, &folder);
    signal::install()?;
    let whole = Whole { args, ablation: &ablation, seeds: &seeds, folder: &folder };
    let settings = Settings {
        data: args.data.as_deref(),
        resources: threads.loader(),
        device: nn::cpu(),
        environment: super::environment(threads, &any.dataset, world),
    };
    if !whole.run(&jobs, &expected, &settings, world)? {
        output::note("stopped; the same command goes on from here");
        if args.json {
            ranks::first_does(world, || whole.tell_stop(&jobs))?;
        }
        return Err(Stopped::by_signal().into());
    }
    ranks::first_does(world, || {
        let results = whole.write()?;
        match args.json {
            true => output::json(&results.json()),
            false => output::print(markdown(&results).trim_end()),
        }
        Ok(())
    })?;
    output::note(&format!("table: {}", folder.join(names::TABLE_MARKDOWN).display()));
    Ok(())
}

/// The folder of the command line, or else one named by table and preset.
fn folder(args: &Ablate) -> PathBuf {
    let default = || Path::new("runs").join(format!("{}-{}", args.table, args.preset));
    args.out.clone().unwrap_or_else(default)
}

/// The facts that must be the same when a folder is resumed. Rows and columns may be added later.
fn identity(args: &Ablate, seeds: &[u64], plan: &Plan) -> Result<Value> {
    Ok(json!({
        "table": args.table,
        "preset": args.preset,
        "seeds": seeds,
        "data": running::identity_of(&plan.dataset)?,
    }))
}

/// Seconds that a run of each chosen cell should take, from some training steps on made-up images.
fn expected(ablation: &Ablation, plans: &BTreeMap<usize, Plan>) -> Result<BTreeMap<usize, f64>> {
    let mut per_image: BTreeMap<usize, f64> = BTreeMap::new();
    for (&index, plan) in plans {
        let alike = |other: &Plan| {
            other.network == plan.network
                && other.recipe.preprocess.side() == plan.recipe.preprocess.side()
        };
        let known = per_image.iter().find(|(other, _)| alike(&plans[other]));
        let seconds = known.map(|(_, &seconds)| seconds);
        let seconds = seconds.map_or_else(|| seconds_per_image(plan), Ok)?;
        per_image.insert(index, seconds);
    }
    let cell = |(&index, plan): (&usize, &Plan)| {
        // A teacher only answers, which is a third of a step.
        let teacher = ablation.cells[index].teacher;
        let teacher = teacher.map_or(0.0, |teacher| per_image[&teacher] / 3.0);
        let trained = plan.schedule.total_steps() * plan.recipe.train.batch as u64;
        (index, expected_seconds(plan, per_image[&index]) + teacher * trained as f64)
    };
    Ok(plans.iter().map(cell).collect())
}

/// Prints the scale of the ablation and the time that it will take.
fn introduce(ablation: &Ablation, jobs: &[Job], expected: &BTreeMap<usize, f64>, plan: &Plan) {
    let total: f64 = jobs.iter().map(|job| expected[&job.cell]).sum();
    output::note(&format!("Table {}: {}", ablation.table.number(), ablation.table.title));
    output::note(&ablation.preset.caption());
    output::note(&format!(
        "{}: {} training and {} validation images in {} classes",
        plan.dataset.name,
        grouped(plan.dataset.train.len() as u64),
        grouped(plan.dataset.validation.len() as u64),
        plan.dataset.classes.len(),
    ));
    output::note(&format!(
        "{} runs, {:.1} minutes a run, {} in all",
        jobs.len(),
        total / 60.0 / jobs.len() as f64,
        duration(total)
    ));
    if !ablation.left_out.is_empty() {
        let left_out = ablation.left_out.join(", ");
        output::note(&format!("left out, without a stand-in in this preset: {left_out}"));
    }
}

fn dry_run(args: &Ablate, ablation: &Ablation, jobs: &[Job], expected: &BTreeMap<usize, f64>) {
    let count = |index: usize| jobs.iter().filter(|job| job.cell == index).count();
    let name = |index: Option<usize>| index.map(|index| ablation.cells[index].name.as_str());
    let cells = expected.iter().map(|(&index, seconds)| (index, &ablation.cells[index], seconds));
    if args.json {
        let rows = cells.map(|(index, cell, seconds)| {
            json!({
                "row": cell.name,
                "title": cell.title,
                "runs": count(index),
                "expected_seconds": seconds,
                "same_as": name(cell.same_as),
                "teacher": name(cell.teacher),
            })
        });
        output::json(&rows.collect());
        return;
    }
    let mut rows = vec![["row", "runs", "minutes a run", ""].map(str::to_owned).to_vec()];
    for (index, cell, seconds) in cells {
        let note = match (name(cell.same_as), name(cell.teacher)) {
            (Some(same), _) => format!("the same run as {same}"),
            (None, Some(teacher)) => format!("taught by {teacher}"),
            (None, None) => String::new(),
        };
        let minutes = format!("{:.1}", seconds / 60.0);
        rows.push(vec![cell.name.clone(), count(index).to_string(), minutes, note]);
    }
    output::print(&output::table(&rows));
}

/// A whole ablation under way.
struct Whole<'a> {
    args: &'a Ablate,
    ablation: &'a Ablation,
    seeds: &'a [u64],
    folder: &'a Path,
}

impl Whole<'_> {
    /// Runs every job that is not finished; false where a signal stopped it.
    fn run(
        &self,
        jobs: &[Job],
        expected: &BTreeMap<usize, f64>,
        settings: &Settings,
        world: &mut World,
    ) -> Result<bool> {
        let mut pace = Pace { expected: 0.0, taken: 0.0 };
        for (index, job) in jobs.iter().enumerate() {
            if ranks::first_does(world, || Ok(running::is_finished(job)?))? {
                continue;
            }
            let left: f64 = jobs[index..].iter().map(|job| expected[&job.cell]).sum();
            output::note(&format!(
                "run {} of {}: {}, seed {}; about {} a run, {} left",
                index + 1,
                jobs.len(),
                self.ablation.cells[job.cell].title,
                job.seed,
                duration(pace.of(expected[&job.cell])),
                duration(pace.of(left)),
            ));
            let Some(outcome) = running::run(job, settings, world)? else { return Ok(false) };
            pace.expected += expected[&job.cell];
            pace.taken += outcome.seconds;
            let measure = MeasureColumns::classification();
            if measure.headline_value(&outcome.values).is_finite() {
                let said = measure.say(&outcome.values);
                output::note(&format!("{said} after {}", duration(outcome.seconds)));
            } else {
                output::note(&format!("diverged at step {}", outcome.steps));
            }
            ranks::first_does(world, || self.write().map(drop))?;
        }
        Ok(true)
    }

    /// Prints where a signal stopped the ablation.
    fn tell_stop(&self, jobs: &[Job]) -> Result<()> {
        let mut finished = 0;
        for job in jobs {
            finished += usize::from(running::is_finished(job)?);
        }
        output::json(&json!({
            "ablation": self.folder.display().to_string(),
            "stopped_by": Stopped::by_signal().0.name(),
            "finished_runs": finished,
            "runs": jobs.len(),
        }));
        Ok(())
    }

    /// Writes the table as far as it is.
    fn write(&self) -> Result<Results<'_>> {
        let Ablate { table, preset, rows, columns, seeds, .. } = self.args;
        let list = |name: &str, values: &[String]| match values {
            [] => String::new(),
            values => format!(" --{name} {}", values.join(",")),
        };
        let (rows, columns) = (list("rows", rows), list("columns", columns));
        let command =
            format!("`trickbag ablate {table} --preset {preset} --seeds {seeds}{rows}{columns}`");
        let threads = self.args.threads.compute();
        let machine = format!("{threads} threads, {}", kernels::instruction_set());
        let facts = vec![
            ("command".to_owned(), command),
            ("program".to_owned(), format!("trickbag {}", env!("CARGO_PKG_VERSION"))),
            ("machine".to_owned(), machine),
        ];
        let results = Results::read(self.folder, self.ablation, self.seeds, facts)?;
        let json = serde_json::to_string_pretty(&results.json())?;
        durable::write(&self.folder.join(names::TABLE_JSON), json.as_bytes())?;
        durable::write(&self.folder.join(names::TABLE_MARKDOWN), markdown(&results).as_bytes())?;
        Ok(results)
    }
}

/// The seconds that finished runs took, beside those that were expected.
struct Pace {
    expected: f64,
    taken: f64,
}

impl Pace {
    /// Corrects an expected time in seconds by the pace so far.
    fn of(&self, expected: f64) -> f64 {
        let factor = if self.expected > 0.0 { self.taken / self.expected } else { 1.0 };
        expected * factor
    }
}
