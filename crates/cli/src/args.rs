//! What may be typed.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Train image classifiers with the bag of tricks of He et al. 2018 (arXiv 1812.01187).
///
/// `trickbag train` alone trains a small ResNet-D on the Fashion-MNIST images inside the program. With --data it trains
/// on yours: a folder with one folder for each class (or `train` and `val` folders of such), or a tar of one.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Train a network by a recipe, or go on with a run
    Train(Train),
    /// Measure a model's accuracy on validation images, each counted once
    Eval(Eval),
    /// Tell the classes of images
    Predict(Predict),
    /// List the networks with parameters and multiply-adds, or draw one
    Models(Models),
    /// List the built-in recipes, or print one
    Recipes(Recipes),
    /// List the paper's tricks: section, seam, recipe key, where each is on
    Tricks(Tricks),
    /// Check this machine: devices, instruction sets, forward and gradients
    Doctor(Doctor),
    /// Time training steps, inference or single layers on random inputs
    Bench(Bench),
    /// Write one page about a run, or about several beside each other
    Report(Report),
    /// Write the paper's figures as SVG
    Figures(Figures),
    /// Print shell completions
    Completions { shell: Shell },
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  trickbag train                                         the quickstart, on images inside the program
  trickbag train resnet18d-128 --data imagenette.tar     a ResNet-18-D on photos
  trickbag train --resume --out runs/resnet18d-128 --data imagenette.tar     go on where it stopped, bit for bit
  trickbag train baseline --data imagenet --set train.batch=128 --set rate.base=0.05 --dry-run

A run folder holds recipe.toml (resolved), metrics.jsonl, metrics.csv, TensorBoard events, checkpoints/,
predictions.jsonl and mistakes/ of its best evaluation or, in the end, its last, and then report.html and model/,
which timm opens: timm.create_model('local-dir:RUN/model', pretrained=True).")]
pub(crate) struct Train {
    /// A built-in recipe (see `trickbag recipes`) or a TOML file
    pub(crate) recipe: Option<String>,
    /// The dataset: a folder of class folders, or a tar of one
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// The run folder [default: runs/RECIPE, or the next free runs/RECIPE-N]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Change the recipe, such as `rate.base=0.2` or `rate.warmup=off`; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) edits: Vec<String>,
    /// Go on with the run in the run folder
    #[arg(long)]
    pub(crate) resume: bool,
    /// Print steps, images, memory and expected time, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) threads: Threads,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ClapArgs)]
pub(crate) struct Threads {
    /// Threads that compute [default: one for each core]; results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Threads that read, decode and augment images, apart from those that compute [default: as many]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    loader_threads: Option<u16>,
}

impl Threads {
    pub(crate) fn compute(self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.map_or_else(cores, usize::from)
    }

    pub(crate) fn loader(self) -> usize {
        self.loader_threads.map_or_else(|| self.compute(), usize::from)
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Eval {
    /// A run folder or a model folder
    pub(crate) model: PathBuf,
    /// The dataset, whose validation part is measured [default: the images inside the program, for a model trained on
    /// them]
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) threads: Threads,
    /// Print {"top1", "top5" (percent), "loss", "images"}
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Predict {
    /// A run folder or a model folder
    pub(crate) model: PathBuf,
    /// Image files: JPEG, PNG, WebP, BMP or GIF
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    /// How many classes to tell, the likeliest first
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) top: u16,
    /// Print a list of {"image", "classes": [{"class", "probability"}]}
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Models {
    /// A network to draw, with its layer table
    pub(crate) name: Option<String>,
    /// Side of the input, pixels [default: the network's own]
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) size: Option<u16>,
    /// Print {"name", "parameters", "multiply_adds", "activations", "input"}, and the layers of a NAME
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Recipes {
    /// A recipe to print as TOML: save it, change it, and train by the file
    pub(crate) name: Option<String>,
    /// Print the names and summaries as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Tricks {
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  trickbag report runs/quickstart                      writes runs/quickstart/report.html
  trickbag report runs/step runs/cosine -o both.html   curves overlaid, results and recipes side by side

The page holds everything itself and asks for nothing on the network. A run that is still training has a report,
too: what is not there yet is said in the page. Predictions and mistakes come with the best and the last evaluation.")]
pub(crate) struct Report {
    /// Run folders, as `trickbag train` writes them
    #[arg(required = true, value_name = "DIR")]
    pub(crate) runs: Vec<PathBuf>,
    /// The page to write [default: DIR/report.html for one run, report.html for several]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Figures 1, 2, 3a and 4a need nothing; 3b and 4b are drawn from runs:
  trickbag figures                                     figure1, figure2, figure3a and figure4a in docs/figures
  trickbag figures --curves runs/step runs/cosine      figure3b too: their validation accuracy
  trickbag figures --gaps runs/plain runs/smoothed     figure4b too: how far their largest logit stands out

Each SVG is readable on white and on dark: it follows the reader's color scheme.")]
pub(crate) struct Figures {
    /// The folder to write to
    #[arg(short, long, value_name = "DIR", default_value = "docs/figures")]
    pub(crate) out: PathBuf,
    /// Numbers of classes K in figure 4a
    #[arg(long, value_name = "K", num_args = 1.., default_values_t = [1000, 100, 10],
        value_parser = clap::value_parser!(u32).range(2..))]
    pub(crate) classes: Vec<u32>,
    /// Runs of figure 3b, such as one with step decay and one with cosine decay
    #[arg(long, value_name = "RUN", num_args = 1..)]
    pub(crate) curves: Vec<PathBuf>,
    /// Runs of figure 4b, such as one without and one with label smoothing
    #[arg(long, value_name = "RUN", num_args = 1..)]
    pub(crate) gaps: Vec<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Bench {
    #[command(subcommand)]
    pub(crate) of: BenchOf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchOf {
    /// Full training steps: forward, loss, backward, update
    Step(BenchStep),
    /// Inference with the batch norms folded away
    Infer(BenchCommon),
    /// Each convolution of the network in its three products
    Layers(BenchCommon),
}

impl Bench {
    pub(crate) fn common(&self) -> &BenchCommon {
        match &self.of {
            BenchOf::Step(step) => &step.common,
            BenchOf::Infer(common) | BenchOf::Layers(common) => common,
        }
    }
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BenchStep {
    #[command(flatten)]
    pub(crate) common: BenchCommon,
    /// What activations and their gradients are stored in
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub(crate) precision: Precision,
}

/// §3.2
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Precision {
    F32,
    F16,
    Bf16,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BenchCommon {
    /// A network that `trickbag models` lists
    #[arg(long, default_value = "resnet50d")]
    pub(crate) model: String,
    /// Side of the images, pixels
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    size: u16,
    /// Images at once
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Times to measure, of which the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    steps: u16,
    /// The stem for images of at most 64 pixels
    #[arg(long)]
    pub(crate) small_stem: bool,
    /// Threads that compute [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Print {"images_per_second", "milliseconds", "gigaflops", "peak_memory_bytes", …}
    #[arg(long)]
    pub(crate) json: bool,
}

impl BenchCommon {
    pub(crate) fn size(&self) -> usize {
        usize::from(self.size)
    }

    pub(crate) fn batch(&self) -> usize {
        usize::from(self.batch)
    }

    pub(crate) fn steps(&self) -> usize {
        usize::from(self.steps)
    }

    pub(crate) fn threads(&self) -> usize {
        Threads { threads: self.threads, loader_threads: None }.compute()
    }
}
