//! The trickbag command: what to run is in the recipe, where to run it on the command line.

mod args;
mod output;
mod progress;
mod verbs;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use args::{Args, Verb};

/// Training allocates and frees the same large buffers each step: kept, their pages are paid for once.
#[global_allocator]
static ALLOCATOR: kernels::Arena<mimalloc::MiMalloc> = kernels::Arena::new(mimalloc::MiMalloc);

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::problem(&error);
            ExitCode::from(if is_usage(&error) { 2 } else { 1 })
        }
    }
}

fn run(args: Args) -> Result<()> {
    match args.verb {
        Verb::Train(args) => verbs::train::run(&args),
        Verb::Eval(args) => verbs::eval::run(&args),
        Verb::Predict(args) => verbs::predict::run(&args),
        Verb::Import(args) => verbs::import::run(&args),
        Verb::Export(args) => verbs::export::run(&args),
        Verb::Verify(args) => verbs::verify::run(&args),
        Verb::Models(args) => verbs::models::run(&args),
        Verb::Recipes(args) => verbs::recipes::run(&args),
        Verb::Tricks(args) => verbs::tricks::run(&args),
        Verb::Doctor(args) => verbs::doctor::run(&args),
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
        || error.downcast_ref::<train::TrainError>().is_some_and(train::TrainError::is_usage)
        || error
            .downcast_ref::<classify::ClassifyError>()
            .is_some_and(classify::ClassifyError::is_usage)
}
