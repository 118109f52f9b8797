//! `trickbag predict`: the likeliest classes of images.

pub(crate) mod sources;
mod submission;

use anyhow::Result;
use classify::{Card, rows, softmax};
use data::{RgbImage, thumbnail, validation_sample};
use nn::{Model, Tensor, TensorData};
use rayon::prelude::*;
use report::{Guess, Picture};
use serde_json::{Value, json};
use zoo::Network;

use crate::args::Predict;
use crate::output;
use crate::verbs::{model, place};

use sources::Source;

/// Images that go through the network at once, and how many pixels they may have together.
const BATCH: usize = 32;
const BATCH_PIXELS: usize = BATCH * 512 * 512;
/// Longer edge of a thumbnail, pixels.
const THUMBNAIL: usize = 160;

/// What becomes of an image: its name, and its classes or why there are none.
type Outcome = (String, Result<Picture>);

pub(crate) fn run(args: &Predict) -> Result<()> {
    for (option, file) in [("--html", &args.html), ("--submission", &args.submission)] {
        file.as_deref().map_or(Ok(()), |file| place::check_file(option, file))?;
    }
    let sources = sources::of(&args.images)?;
    let (model, card) = model::read(&args.model, args.best)?;
    if args.submission.is_some() {
        submission::check(&card.classes, &sources)?;
    }
    let outcomes = predict(&model, &card, sources, args)?;
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

/// # Errors
/// Where the model answers with what is no number. An image that cannot be read is an outcome.
fn predict(
    model: &Model<Network>,
    card: &Card,
    sources: Vec<Source>,
    args: &Predict,
) -> Result<Vec<Outcome>> {
    let folded = zoo::folded(model);
    let (side, total) = (card.validation.crop, sources.len());
    let bar = output::progress(total);
    let mut outcomes: Vec<Outcome> = Vec::with_capacity(total);
    for sources in sources.chunks((BATCH_PIXELS / (side * side)).clamp(1, BATCH)) {
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
            let outcome = match prepared {
                Ok(image) => {
                    let logits = logits.next().expect("a row for each image");
                    check_finite(&logits, &name, args)?;
                    let guesses = guesses(&card.classes, &logits, args.top.into());
                    Ok(Picture { image: name.clone(), thumbnail: image.thumbnail, guesses })
                }
                Err(error) => Err(error),
            };
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
    Ok(outcomes)
}

/// Refuses answers of a model that diverged: a probability of NaN is none.
fn check_finite(logits: &[f32], image: &str, args: &Predict) -> Result<()> {
    let Some(value) = logits.iter().find(|value| !value.is_finite()) else { return Ok(()) };
    anyhow::bail!(
        "{}: its answer to {image} is {value}, which is no number: the model is broken; train it again with a lower rate \
         (--set rate.base=…), or give another model",
        args.model.display()
    )
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
        let Card { validation, normalize, interpolation, .. } = card;
        validation_sample(validation, normalize, *interpolation, image, &mut values);
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
