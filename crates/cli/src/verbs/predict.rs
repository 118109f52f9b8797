//! `trickbag predict`: the likeliest classes of images.

mod sources;
mod submission;

use std::path::Path;

use anyhow::Result;
use classify::{Card, model_folder, rows, softmax};
use data::{RgbImage, thumbnail, validation_sample};
use nn::{Model, Tensor, TensorData};
use rayon::prelude::*;
use report::{Guess, Picture};
use serde_json::{Value, json};
use zoo::Network;

use crate::args::Predict;
use crate::output::{self, Usage};

use sources::Source;

/// Images that go through the network at once.
const BATCH: usize = 32;
/// Longer edge of a thumbnail, pixels.
const THUMBNAIL: usize = 160;

/// What becomes of an image: its name, and its classes or why there are none.
type Outcome = (String, Result<Picture>);

pub(crate) fn run(args: &Predict) -> Result<()> {
    if let Some(page) = &args.html {
        check_page(page)?;
    }
    let sources = sources::of(&args.images)?;
    let (model, card) = model_folder::read(&args.model, &nn::cpu())?;
    if args.submission.is_some() {
        submission::check(&card.classes, &sources)?;
    }
    let outcomes = predict(&model, &card, sources, args);
    if let Some(file) = &args.submission {
        return submission::write(&card.classes, outcomes, file);
    }
    if let [(_, Err(_))] = outcomes.as_slice() {
        return outcomes.into_iter().try_for_each(|(_, only)| only.map(drop));
    }
    match args.json {
        true => output::json(&outcomes.iter().map(as_json).collect()),
        false => output::print(&as_table(&outcomes)),
    }
    let total = outcomes.len();
    let mut pictures = Vec::new();
    let mut unread = Vec::new();
    for (name, outcome) in outcomes {
        match outcome {
            Ok(picture) => pictures.push(picture),
            Err(error) => unread.push((name, format!("{error:#}"))),
        }
    }
    if let Some(page) = &args.html {
        let html = report::gallery(&model.module.name, &pictures, &unread);
        train::durable::write(page, html.as_bytes())?;
        output::note(&format!("gallery: {}", page.display()));
    }
    match unread.len() {
        0 => Ok(()),
        failed => anyhow::bail!("{failed} of {total} images could not be read"),
    }
}

/// The page is written last: what is wrong with its place has to be told first.
fn check_page(page: &Path) -> Result<(), Usage> {
    let parent = page.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
        let text = format!("--html {}: there is no folder {}", page.display(), parent.display());
        return Err(Usage(text + "; make it first"));
    }
    if page.is_dir() || page.file_name().is_none() {
        let text = format!("--html {} is a folder; give a file's name", page.display());
        return Err(Usage(text));
    }
    Ok(())
}

fn predict(
    model: &Model<Network>,
    card: &Card,
    sources: Vec<Source>,
    args: &Predict,
) -> Vec<Outcome> {
    let folded = zoo::folded(model);
    let (side, total) = (card.validation.crop, sources.len());
    let bar = output::progress(total);
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(total);
    for sources in sources.chunks(BATCH) {
        let prepared: Vec<Result<Prepared>> = sources
            .par_iter()
            .map(|source| {
                Ok(Prepared::of(&source.image(card.orientation)?, card, args.html.is_some()))
            })
            .collect();
        let read = prepared.iter().flatten();
        let values: Vec<f32> = read.flat_map(|image| image.values.iter().copied()).collect();
        let count = values.len() / (side * side * 3);
        let mut logits = match count {
            0 => Vec::new(),
            _ => {
                let x = TensorData::new(values, [count, side, side, 3]);
                rows(model.module.infer(&folded, Tensor::from_data(x, &model.device)))
            }
        }
        .into_iter();
        for (source, prepared) in sources.iter().zip(prepared) {
            let name = source.name();
            let outcome = prepared.map(|image| Picture {
                image: name.clone(),
                thumbnail: image.thumbnail,
                guesses: guesses(
                    &card.classes,
                    &logits.next().expect("a row for each image"),
                    args.top.into(),
                ),
            });
            if let Err(error) = outcome.as_ref()
                && total > 1
            {
                bar.suspend(|| output::problem(error));
            }
            outcomes.push((name, outcome));
        }
        bar.inc(sources.len() as u64);
    }
    bar.finish_and_clear();
    outcomes
}

/// An image on its way to the network.
struct Prepared {
    /// `[side, side, 3]`.
    values: Vec<f32>,
    /// A PNG; empty where none is wanted.
    thumbnail: Vec<u8>,
}

impl Prepared {
    fn of(image: &RgbImage, card: &Card, shown: bool) -> Prepared {
        let side = card.validation.crop;
        let mut values = vec![0.0; side * side * 3];
        validation_sample(&card.validation, &card.normalize, image, &mut values);
        let thumbnail = if shown { thumbnail(image, THUMBNAIL) } else { Vec::new() };
        Prepared { values, thumbnail }
    }
}

/// The `top` likeliest classes; of equally likely ones the first.
fn guesses(classes: &[String], logits: &[f32], top: usize) -> Vec<Guess> {
    let mut ranking: Vec<(usize, f64)> = softmax(logits).into_iter().enumerate().collect();
    ranking.sort_by(|a, b| b.1.total_cmp(&a.1));
    let guess =
        |&(class, probability): &(usize, f64)| Guess { class: classes[class].clone(), probability };
    ranking.iter().take(top).map(guess).collect()
}

fn as_json((name, outcome): &Outcome) -> Value {
    match outcome {
        Ok(picture) => {
            let class =
                |guess: &Guess| json!({"class": guess.class, "probability": guess.probability});
            let classes: Value = picture.guesses.iter().map(class).collect();
            json!({"image": name, "classes": classes})
        }
        Err(error) => json!({"image": name, "error": format!("{error:#}")}),
    }
}

/// A line for each class of each image.
fn as_table(outcomes: &[Outcome]) -> String {
    let mut rows = vec![["image", "probability", "class"].map(str::to_owned).to_vec()];
    for (name, outcome) in outcomes {
        let Ok(picture) = outcome else { continue };
        for (index, guess) in picture.guesses.iter().enumerate() {
            let name = if index == 0 { name.clone() } else { String::new() };
            rows.push(vec![
                name,
                format!("{:.1} %", 100.0 * guess.probability),
                guess.class.clone(),
            ]);
        }
    }
    output::table(&rows)
}
