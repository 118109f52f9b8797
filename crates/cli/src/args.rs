//! What may be typed.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use data::Resources;

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
    /// Make a model folder of a weights file: .safetensors, or .pth and .pt of PyTorch
    Import(Import),
    /// Write a model for other programs: an ONNX file, or a folder that timm opens
    Export(Export),
    /// Say what of a run, a model or a packed copy is as it was written
    Verify(Verify),
    /// List the networks with parameters and multiply-adds, or draw one
    Models(Models),
    /// List the built-in recipes, or print one
    Recipes(Recipes),
    /// List the paper's tricks: section, seam, recipe key, where each is on
    Tricks(Tricks),
    /// Check this machine: devices, instruction sets, forward and gradients
    Doctor(Doctor),
    /// Run a table of the paper at a stated smaller scale, and write it beside the published numbers
    Ablate(Ablate),
    /// Time training steps, inference or single layers on random inputs, or a loader on a dataset
    Bench(Bench),
    /// Check a dataset, count it, or write a packed copy that loads faster
    Data(Data),
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
  trickbag train --data photos                           the whole bag on photos of yours, by the recipe that fits
  trickbag train --data photos --set init.from=start     fine-tuning of a trained model, as `import` writes it
  trickbag train resnet18d-128 --data imagenette.tar     a ResNet-18-D on photos
  trickbag train --resume --out runs/resnet18d-128 --data imagenette.tar     go on where it stopped, bit for bit
  trickbag train baseline --data imagenet --set train.batch=128 --set rate.base=0.05 --dry-run
  mpirun -n 4 trickbag train baseline --data imagenet     four processes, the same result to the bit; srun does as well

A run folder holds recipe.toml (resolved), metrics.jsonl, metrics.csv, TensorBoard events, checkpoints/,
predictions.jsonl and mistakes/ of its best evaluation or, in the end, its last, and then report.html and model/,
which timm opens: timm.create_model('local-dir:RUN/model', pretrained=True).

Ctrl-C, SIGTERM and SIGHUP end the current step, save and leave; Ctrl-C twice leaves at once. Exit codes: 0 the run is
finished, 1 it failed or diverged, 2 the command or the recipe is wrong, and of an unfinished run that --resume goes on
with 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP, 75 after the loss of a rank; --json then prints {\"run\", \"stopped_by\", \"steps\",
\"total_steps\", \"resume\"}.")]
pub(crate) struct Train {
    /// A built-in recipe (see `trickbag recipes`) or a TOML file [default: the quickstart; with --data one that fits the
    /// images and the machine, such as photos-small, which is said]
    pub(crate) recipe: Option<String>,
    /// The dataset: a folder of class folders, a tar of one, WebDataset, Parquet, RecordIO, lists and others
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
    #[command(flatten)]
    pub(crate) ranks: Ranks,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Of work that several processes do together.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct Ranks {
    /// The MPI library, where ranks are started by a launcher whose library is not found [default: the launcher's own, or
    /// the system's]
    #[arg(long, value_name = "PATH")]
    pub(crate) mpi: Option<PathBuf>,
    /// Seconds for which a rank may be silent before the others give it up, or ten times as long as the longest step where
    /// that is longer; ten times as many while files are written
    #[arg(long, value_name = "SECONDS", default_value_t = world::PATIENCE.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) patience: u64,
}

#[derive(Clone, Copy, Debug, ClapArgs)]
pub(crate) struct Threads {
    /// How many ranks share the cores of this one.
    #[arg(skip = 1usize)]
    neighbours: usize,
    /// Threads that compute [default: one for each core, shared out among the ranks on them]; results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Threads that read, decode and augment images, apart from those that compute [default: as many]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    loader_threads: Option<u16>,
    /// Megabytes that loading may take for batches, files and pictures on their way; never exceeded [default: a quarter of
    /// the machine's memory, at least 2048]
    #[arg(long, value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    loader_memory: Option<u64>,
}

/// Of work whose threads all do the same.
#[derive(Clone, Copy, Debug, ClapArgs)]
pub(crate) struct Cores {
    /// Threads that work [default: one for each core]; results do not depend on it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

impl Cores {
    /// The threads of one of several ranks that share cores.
    pub(crate) fn among(self, neighbours: usize) -> Cores {
        let count = (self.count() / neighbours).max(1);
        Cores { threads: self.threads.or(u16::try_from(count).ok()) }
    }

    pub(crate) fn count(self) -> usize {
        Threads { neighbours: 1, threads: self.threads, loader_threads: None, loader_memory: None }
            .compute()
    }
}

impl Threads {
    /// The same for one of several ranks that share cores and memory.
    pub(crate) fn among(self, neighbours: usize) -> Threads {
        Threads { neighbours, ..self }
    }

    pub(crate) fn compute(self) -> usize {
        let cores = || {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            (cores / self.neighbours).max(1)
        };
        self.threads.map_or_else(cores, usize::from)
    }

    pub(crate) fn loader(self) -> Resources {
        let threads = self.loader_threads.map_or_else(|| self.compute(), usize::from);
        let memory =
            self.loader_memory.map_or_else(|| (machine_memory() / 4).max(2 << 30), |mb| mb << 20);
        let memory = memory / if self.loader_memory.is_none() { self.neighbours as u64 } else { 1 };
        Resources { threads, memory }
    }
}

/// Bytes of memory that the machine has; 8 GB where it does not tell.
fn machine_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = total.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.map_or(8 << 30, |kilobytes| kilobytes << 10)
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Eval {
    /// A run folder, a model folder, or a checkpoint of a run
    pub(crate) model: PathBuf,
    /// Take the checkpoint of the run's best evaluation, not the model of its last step
    #[arg(long)]
    pub(crate) best: bool,
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
#[command(after_help = "\
Examples:
  trickbag predict runs/quickstart shoe.png
  trickbag predict runs/flowers photos/ --top 3 --html photos.html
  curl -s https://example.org/cat.jpg | trickbag predict runs/pets - --json

An image that cannot be read is told by name, the others are predicted, and the exit code is 1.")]
pub(crate) struct Predict {
    /// A run folder, a model folder, or a checkpoint of a run
    pub(crate) model: PathBuf,
    /// Take the checkpoint of the run's best evaluation, not the model of its last step
    #[arg(long)]
    pub(crate) best: bool,
    /// Images (JPEG, PNG, WebP, BMP or GIF), folders of them at any depth, or - for standard input
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    /// How many classes to tell, the likeliest first
    #[arg(long, value_name = "K", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) top: u16,
    /// Write the file that the Places365 challenge takes (Table 7): for each image its file name and the numbers of its
    /// five likeliest classes, counted from 0 in the order of the model's classes, which are Places365's own numbers where
    /// its class folders are named as it names them (`bakery-shop`)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["top", "html"])]
    pub(crate) submission: Option<PathBuf>,
    /// Write a page with a thumbnail of every image beside its classes, too
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write into this folder, too, for each image a PNG with the boxes of a detector drawn in, or of a segmenter the mask
    /// and the image with the mask over it
    #[arg(long, value_name = "DIR")]
    pub(crate) draw: Option<PathBuf>,
    /// Of a detector: the score, from 0 to 1, below which a box is not told
    #[arg(long, value_name = "SCORE", default_value_t = 0.5)]
    pub(crate) score: f32,
    /// Print a list of {"image", "classes": [{"class", "probability"}]}, of a detector {"image", "boxes": [{"class",
    /// "score", "box"}]}, of a segmenter {"image", "classes": [{"class", "share"}]}, or {"image", "error"}
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  trickbag import timm/resnet50d.ra2_in1k
  trickbag import resnet50d.safetensors --model resnet50d --class-names imagenet.txt
  trickbag import checkpoint.pth.tar --model resnet50 --classes 10 -o start
  trickbag train mine.toml --data photos --set init.from=start --set init.freeze=stage2 --set rate.head=10

Reads what timm, torchvision and torch.save write: state dicts and training files, of which the averaged weights are
preferred. A pickle is read without executing anything. How images are prepared is what a config.json of timm's beside the
file says, else as for ImageNet, bilinearly, with a crop of 0.875 of the shorter edge; change it in the folder's config.json, under
pretrained_cfg: input_size (and the pool_size that follows from it), interpolation, crop_pct, mean and std, as shares of 255.

A name is fetched from the Hugging Face hub into the cache that Python's huggingface_hub uses, and checked. HF_TOKEN,
HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE and HF_ENDPOINT act as they do there. docs/weights.md says which weights there are.")]
pub(crate) struct Import {
    /// The weights: a file, or a name such as timm/resnet50d.ra2_in1k or hf:OWNER/NAME (@REVISION after it)
    #[arg(value_name = "FILE|NAME")]
    pub(crate) weights: String,
    /// The network they are of, a name that `trickbag models` lists [default: as config.json beside them says]
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// The model folder to write [default: models/NAME, of the network or of the published weights]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Classes of the classifier; where the file's has others, a new one takes its place
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) classes: Option<u32>,
    /// A text file with the name of each class on a line of its own
    #[arg(long, value_name = "FILE")]
    pub(crate) class_names: Option<PathBuf>,
    /// Print {"model", "network", "classes", "parameters", "format", "section", "replaced_classes", "config"}
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  trickbag export runs/flowers --format onnx -o flowers.onnx
  trickbag export runs/flowers --format timm -o flowers-timm

ONNX: opset 17; images [batch, 3, side, side] f32, RGB, in; logits [batch, classes] out; batch is free. The metadata hold
label_names and what the images went through (input_size, mean, std, interpolation, crop_pct), as JSON under timm's keys.
timm: timm.create_model('local-dir:FOLDER', pretrained=True). Of a network that timm cannot build the folder says so.")]
pub(crate) struct Export {
    /// A run folder, a model folder, or a checkpoint of a run
    pub(crate) model: PathBuf,
    /// Take the checkpoint of the run's best evaluation, not the model of its last step
    #[arg(long)]
    pub(crate) best: bool,
    /// What to write
    #[arg(long, value_enum)]
    pub(crate) format: Format,
    /// The file or folder to write [default: NETWORK.onnx, or the folder NETWORK-timm]
    #[arg(short, long, value_name = "PATH")]
    pub(crate) out: Option<PathBuf>,
    /// Leave batch norms in an ONNX file as they are, instead of folding them into convolutions
    #[arg(long)]
    pub(crate) keep_batch_norms: bool,
    /// Print {"format", "network", "path", "bytes", …}
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One file, for ONNX Runtime and others
    Onnx,
    /// A folder: model.safetensors and config.json
    Timm,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  trickbag verify runs/flowers              recipe, logs, checkpoints, predictions and model of a run
  trickbag verify runs/flowers/model        config.json and the checksum of the tensors
  trickbag verify imagenet-256 --json       every shard of a packed copy, read whole

Nothing is changed. The exit code is 1 where something is not sound; each line then says what to do.")]
pub(crate) struct Verify {
    /// A run folder, a model folder, or a packed copy
    pub(crate) path: PathBuf,
    /// Print {"path", "kind", "sound", "files": [{"file", "sound", "detail"}]}
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
    /// Draw the network NAME into this SVG file
    #[arg(short, long, value_name = "FILE.svg", requires = "name", conflicts_with = "json")]
    pub(crate) out: Option<PathBuf>,
    /// Print {"name", "parameters", "multiply_adds", "activations", "input"}, and the layers of a NAME
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Recipes {
    /// A recipe to print as TOML, such as `baseline` or `table6.mixup`: save it, change it, and train by the file. Of a
    /// table, such as `table6`, its rows
    pub(crate) name: Option<String>,
    /// Print the names and summaries as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print every key that a recipe can have: what it is, what it takes, its short forms
    #[arg(long, conflicts_with_all = ["name", "json"])]
    pub(crate) keys: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Tricks {
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Doctor {
    /// The MPI library to look at [default: the launcher's own, or the system's]
    #[arg(long, value_name = "PATH")]
    pub(crate) mpi: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Data {
    #[command(subcommand)]
    pub(crate) of: DataOf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataOf {
    /// Read and decode every image and tell what is wrong, by kind
    Check(DataCheck),
    /// Count images, and tell sizes, mean and standard deviation
    Info(DataInfo),
    /// Write a prepared copy as indexed shards: fewer, smaller files that load faster
    Pack(DataPack),
    /// List datasets that are published elsewhere, or fetch one
    Get(DataGet),
}

/// Without a name, the datasets with their size and licence. What was fetched is compared with the checksum that torchvision
/// publishes; a call that was cut off is gone on with by the same command.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  trickbag data get
  trickbag data get imagenette-160
  trickbag train resnet18d-128 --data data/imagenette-160

TRICKBAG_DATA_MIRROR=https://server/folder takes the files from there, by their own names; their checksums stay the same.")]
pub(crate) struct DataGet {
    /// The dataset
    pub(crate) name: Option<String>,
    /// The folder to make [default: data/NAME]
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print [{"name", "images", "classes", "megabytes", "licence", "files"}], or {"name", "path", "bytes"}
    #[arg(long)]
    pub(crate) json: bool,
}

/// Exit code 1 says that something found would stop a training run: files that do not decode, parts of different classes.
/// What trains on but should be known is told too: duplicates within a part and across training and validation, CMYK,
/// 16-bit, palette, animated and EXIF-rotated pictures, classes of very different size.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  trickbag data check imagenet
  trickbag data check photos.tar --json | jq '.findings[] | select(.stops_training).path'")]
pub(crate) struct DataCheck {
    /// The dataset, as for `trickbag train --data`
    pub(crate) path: PathBuf,
    /// Paths to list of each kind; --json lists all
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) paths: usize,
    #[command(flatten)]
    pub(crate) threads: Cores,
    /// Print {"classes", "train_images", "validation_images", "bytes", "stops_training", "counts", "findings": [{"kind",
    /// "stops_training", "path", "detail"}]}
    #[arg(long)]
    pub(crate) json: bool,
}

/// Mean and standard deviation are of the training images, each weighing the same, in levels of 0 to 255: as a recipe's
/// preprocess.normalize wants them.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  trickbag data info photos
  trickbag data info photos.tar -o sheet.png     with a contact sheet, a row for each class")]
pub(crate) struct DataInfo {
    /// The dataset, as for `trickbag train --data`
    pub(crate) path: PathBuf,
    /// Write a contact sheet as PNG
    #[arg(short, long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) threads: Cores,
    /// Print {"train_images", "validation_images", "bytes", "width", "height", "mean", "std", "classes": […]}
    #[arg(long)]
    pub(crate) json: bool,
}

/// Without an option images are kept byte for byte. The copy has the same images, labels and order, so a run on it holds
/// out the same validation images. A pack that was interrupted at any moment goes on where it stopped when the same
/// command is given again.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  trickbag data pack imagenet -o imagenet-256 --short-side 256     for training at 224 pixels
  trickbag data pack photos.tar -o photos-raw --short-side 160 --raw
  trickbag train baseline --data imagenet-256")]
pub(crate) struct DataPack {
    /// The dataset, as for `trickbag train --data`
    pub(crate) path: PathBuf,
    /// The folder to write to: new, or of the same pack interrupted
    #[arg(short, long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Shrink images whose shorter edge is longer than this many pixels; smaller ones are kept as they are
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u16).range(1..=8192))]
    pub(crate) short_side: Option<u16>,
    /// Store every image as a JPEG of this quality [default: 90 for those that are shrunk]
    #[arg(long, value_name = "1-100", value_parser = clap::value_parser!(u8).range(1..=100), conflicts_with = "raw")]
    pub(crate) quality: Option<u8>,
    /// Store every image as bare pixels: large, and fastest to load
    #[arg(long)]
    pub(crate) raw: bool,
    /// Turn images as their EXIF data says; what is not kept byte for byte has none any more
    #[arg(long)]
    pub(crate) upright: bool,
    #[command(flatten)]
    pub(crate) threads: Cores,
    /// Print {"pack", "images", "shards", "bytes"}
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
#[command(after_help = "\
Examples:
  trickbag ablate table4 --preset cifar10 --data cifar10.tar.gz --seeds 3 --out runs/table4
  trickbag ablate table6 --preset cifar10 --data cifar10.tar.gz --columns resnet50d --dry-run
  trickbag ablate table6 --preset smoke                     a test of the machinery: a minute, no data

The folder holds table.md and table.json, written anew after each run, and each run in runs/ROW/seed-N. The same
command goes on where it was stopped or killed: no run is done twice, an unfinished one is resumed bit for bit. Rows of
distillation get their teacher first, trained once with the first seed. An ablation that a signal stops exits with 130,
143 or 129, as train does.")]
pub(crate) struct Ablate {
    /// A table that `trickbag recipes` lists
    pub(crate) table: String,
    /// The scale: paper, or one of the proxies cifar10, imagenette, smoke
    #[arg(long, value_name = "NAME", default_value = "paper")]
    pub(crate) preset: String,
    /// The dataset, as for `trickbag train --data`
    #[arg(long, value_name = "PATH")]
    pub(crate) data: Option<PathBuf>,
    /// The folder of the ablation [default: runs/TABLE-PRESET]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Seeds of each row: 1 to N
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub(crate) seeds: u64,
    /// Rows to run [default: all]
    #[arg(long, value_name = "ROW,…", value_delimiter = ',')]
    pub(crate) rows: Vec<String>,
    /// Columns to run [default: all]
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    pub(crate) columns: Vec<String>,
    /// Print the runs and their expected time, and stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) threads: Threads,
    #[command(flatten)]
    pub(crate) ranks: Ranks,
    /// Print the table as JSON
    #[arg(long)]
    pub(crate) json: bool,
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
    /// Training batches from a dataset: read, decode, augment
    Loader(BenchLoader),
    /// A step of many ranks as a trace for SimGrid, with the time that a model expects
    Scale(BenchScale),
}

/// What `bench loader` makes of the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Augment {
    /// Random crop and flip
    CropFlip,
    /// The paper's six steps: hue, saturation, brightness and PCA noise too
    Paper,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BenchLoader {
    /// The dataset, as for `trickbag train --data`
    #[arg(long, value_name = "PATH")]
    pub(crate) data: PathBuf,
    /// Side of the samples, pixels
    #[arg(long, default_value_t = 224, value_parser = clap::value_parser!(u16).range(1..=8192))]
    pub(crate) size: u16,
    /// What is made of the images
    #[arg(long, value_enum, default_value_t = Augment::Paper)]
    pub(crate) augment: Augment,
    #[command(flatten)]
    pub(crate) threads: Cores,
    /// Rounds to measure, of which the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) rounds: u16,
    /// Seconds of a round
    #[arg(long, default_value_t = 1.0)]
    pub(crate) seconds: f64,
    /// Print {"images_per_second", "milliseconds" (of a thread, an image), "shares": {"read", "decode", "copy", "resize",
    /// "color"}, "images", "bytes", …}
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct BenchStep {
    #[command(flatten)]
    pub(crate) common: BenchCommon,
    /// What activations and their gradients are stored in
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub(crate) precision: Precision,
    /// Parts of the batch, each with its own batch norms; several ranks share them out
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) parts: u16,
    #[command(flatten)]
    pub(crate) ranks: Ranks,
}

/// The messages are those of the program itself: its verbs run against a recorder, rank by rank.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Example, with Debian's libsimgrid-dev:
  trickbag bench scale --ranks 64 --gigabits 10 --images-per-second 100 --images 32 -o trace
  smpirun -no-privatize -np 64 -platform trace/cluster.xml -hostfile trace/hosts.txt -replay trace/ranks.txt \\
    --cfg=smpi/host-speed:1Gf --log=smpi_config.t:error")]
pub(crate) struct BenchScale {
    /// How many ranks, one on each node: a power of two
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) ranks: u32,
    /// The network, whose gradient is summed
    #[arg(long, default_value = "resnet50d")]
    pub(crate) model: String,
    /// Images of a rank in a step
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) images: u32,
    /// Images that a rank alone trains in a second
    #[arg(long, default_value_t = 100.0)]
    pub(crate) images_per_second: f64,
    /// Bits that a node sends in a second, in 10⁹
    #[arg(long, default_value_t = 10.0)]
    pub(crate) gigabits: f64,
    /// The time of an empty message, in 10⁻⁶ seconds
    #[arg(long, default_value_t = 50.0)]
    pub(crate) microseconds: f64,
    /// The folder to write the trace to
    #[arg(short, long, value_name = "DIR", default_value = "trace")]
    pub(crate) out: PathBuf,
    /// Print {"ranks", "parameters", "bytes_a_rank", "messages_a_rank", "compute_seconds", "model_seconds", "command"}
    #[arg(long)]
    pub(crate) json: bool,
}

/// §3.2
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Precision {
    F32,
    F16,
    Bf16,
}

#[derive(Clone, Debug, ClapArgs)]
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
    #[command(flatten)]
    threads: Cores,
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
        self.threads.count()
    }

    /// The same for one of several ranks that share cores.
    pub(crate) fn among(&self, neighbours: usize) -> BenchCommon {
        BenchCommon { threads: self.threads.among(neighbours), ..self.clone() }
    }
}
