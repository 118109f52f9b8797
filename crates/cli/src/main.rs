//! The trickbag command: what to run is in the recipe, where to run it on the command line.

mod args;
mod output;
mod progress;
mod ranks;
mod tasks;
mod verbs;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use args::{Args, Verb};

/// Training allocates and frees the same large buffers each step: kept, their pages are paid for once.
#[global_allocator]
static ALLOCATOR: kernels::Arena<mimalloc::MiMalloc> = kernels::Arena::new(mimalloc::MiMalloc);

/// The exit code where the world is at fault.
const FAILURE: u8 = 1;
/// The exit code where the command line or a recipe is at fault.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let code = match Args::try_parse() {
        Ok(args) => run(args).map_or_else(|error| code_of(&error), |()| 0),
        Err(said) => of_clap(&said),
    };
    match output::finish() {
        Some(cause) => {
            output::problem(&anyhow::anyhow!("standard output cannot be written: {cause}"));
            ExitCode::from(if code == 0 { FAILURE } else { code })
        }
        None => ExitCode::from(code),
    }
}

/// Prints the help that was asked for, or what is wrong with the command line.
fn of_clap(said: &clap::Error) -> u8 {
    let printed = said.print();
    if !said.use_stderr() {
        output::remember(printed);
    }
    u8::try_from(said.exit_code()).unwrap_or(USAGE)
}

/// Says what went wrong, where nobody has yet, and gives the exit code.
fn code_of(error: &anyhow::Error) -> u8 {
    if let Some(output::Stopped(signal)) = error.downcast_ref() {
        return signal.exit_code();
    }
    if let Some(ranks::Told(code)) = error.downcast_ref() {
        return *code;
    }
    output::problem(error);
    if is_usage(error) { USAGE } else { FAILURE }
}

fn run(args: Args) -> Result<()> {
    match args.verb {
        Verb::Train(args) => verbs::train::run(&args),
        Verb::Eval(args) => tasks::eval(&args),
        Verb::Predict(args) => verbs::use_cores().and_then(|()| tasks::predict(&args)),
        Verb::Import(args) => verbs::use_cores().and_then(|()| verbs::import::run(&args)),
        Verb::Export(args) => verbs::use_cores().and_then(|()| tasks::export(&args)),
        Verb::Verify(args) => verbs::verify::run(&args),
        Verb::Models(args) => tasks::models(&args),
        Verb::Recipes(args) => verbs::recipes::run(&args),
        Verb::Tricks(args) => verbs::tricks::run(&args),
        Verb::Doctor(args) => verbs::use_cores().and_then(|()| verbs::doctor::run(&args)),
        Verb::Ablate(args) => verbs::ablate::run(&args),
        Verb::Bench(args) => verbs::bench::run(&args),
        Verb::Data(args) => verbs::data::run(&args),
        Verb::Report(args) => verbs::report::run(&args),
        Verb::Figures(args) => verbs::figures::run(&args),
        Verb::Completions { shell } => verbs::completions(shell),
    }
}

/// Whether the command line or a recipe is at fault, rather than the world.
fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<output::Usage>()
        || error.is::<recipe::RecipeErrors>()
        || error.is::<recipe::tables::TableError>()
        || error.is::<recipe::presets::UnknownPreset>()
        || error.is::<recipe::ablation::AblationError>()
        || error.is::<zoo::NetworkError>()
        || error.downcast_ref::<fetch::FetchError>().is_some_and(fetch::FetchError::is_usage)
        || error.downcast_ref::<world::WorldError>().is_some_and(world::WorldError::is_usage)
        || error.downcast_ref::<train::TrainError>().is_some_and(train::TrainError::is_usage)
        || error
            .downcast_ref::<classify::ClassifyError>()
            .is_some_and(classify::ClassifyError::is_usage)
        || error.downcast_ref::<detect::DetectError>().is_some_and(detect::DetectError::is_usage)
        || error
            .downcast_ref::<segment::SegmentError>()
            .is_some_and(segment::SegmentError::is_usage)
}
