//! The recipe for a dataset that came without one: chosen by the images and the machine, and the reasons said.

use std::path::Path;

use anyhow::Result;
use classify::model_folder;
use data::Dataset;
use recipe::builtin;

/// Images that are looked at to tell how large the dataset's are.
const LOOKED_AT: usize = 16;
/// The longest shorter edges, pixels, of images that are small, and of those that are tiny.
const SMALL: usize = 96;
const TINY: usize = 48;
/// Threads from which on ResNet-50-D at 224 pixels is taken.
const MANY_THREADS: usize = 16;

/// A recipe that fits.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fitting {
    pub(super) name: &'static str,
    /// Why, as a clause.
    pub(super) why: String,
    /// The edits that come before the user's.
    pub(super) edits: Vec<String>,
}

/// The recipe for these data, this machine and these edits.
pub(super) fn of(data: &Path, edits: &[String], threads: usize) -> Result<Fitting> {
    if let Some(from) = edits.iter().rev().find_map(|edit| edit.strip_prefix("init.from=")) {
        return Ok(tuning(from.trim()));
    }
    let edge = shorter_edge(&Dataset::undivided(data)?);
    let (name, why) = match edge {
        Some(edge) if edge <= TINY => {
            ("resnet18d-32", format!("the images are tiny, {edge} pixels"))
        }
        Some(edge) if edge <= SMALL => {
            ("resnet18d-64", format!("the images are small, {edge} pixels"))
        }
        _ if threads >= MANY_THREADS => {
            ("photos", format!("{threads} threads compute, enough for ResNet-50-D at 224 pixels"))
        }
        _ => {
            let ratio = multiply_adds("photos")? / multiply_adds("photos-small")?;
            let threads =
                if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
            let why = format!(
                "{threads} would take long with the recipe photos, which computes {ratio:.0} times as much for each image"
            );
            ("photos-small", why)
        }
    };
    Ok(Fitting { name, why, edits: Vec::new() })
}

/// Fine-tuning, with the network of the model it starts from.
fn tuning(from: &str) -> Fitting {
    let network = model_folder::read_card(Path::new(from)).map(|(network, _)| network);
    // What is wrong with that model is said when the run is planned.
    let edits = network.map(|name| format!("network.model={name}")).into_iter().collect();
    Fitting { name: "finetune", why: "init.from names a trained model".to_owned(), edits }
}

/// The median shorter edge of some images; None where none of them can be read, which training says with their names.
fn shorter_edge(dataset: &Dataset) -> Option<usize> {
    let count = dataset.train.len();
    let looked_at = LOOKED_AT.min(count);
    let images = (0..looked_at).filter_map(|at| dataset.train.image(at * count / looked_at).ok());
    let mut edges: Vec<usize> = images.map(|image| image.width.min(image.height)).collect();
    edges.sort_unstable();
    edges.get(edges.len() / 2).copied()
}

/// The multiply-adds of a built-in recipe's network for one image.
fn multiply_adds(name: &str) -> Result<f64> {
    let text = builtin(name).expect("a built-in recipe");
    let recipe = recipe::parse(text, name, &zoo::names())?;
    let network = zoo::network(&recipe.network.model, &zoo::Options::plain(1000))?;
    Ok(zoo::cost(&network, recipe.preprocess.side()).multiply_adds as f64)
}
