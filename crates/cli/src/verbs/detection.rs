//! `eval`, `predict` and `models` of detectors.

use anyhow::{Context, Result};
use data::{RgbImage, thumbnail};
use detect::{
    CocoPrecision, Detector, DetectorCard, FoundBox, drawn, evaluate, model_folder, predict as find,
};
use nn::{Model, Module};
use report::{Guess, Picture};
use serde_json::{Map, Value, json};
use zoo::Options;

use super::place;
use super::predict::sources::{self, Source};
use crate::args::{Eval, Models, Predict};
use crate::output::{self, Usage, grouped};

/// Longer edge of a picture in a gallery, pixels.
const PICTURE: usize = 480;
/// Pascal VOC's, which the published counts are for.
const CLASSES: usize = 20;
/// The image that costs are told for: height and width.
const IMAGE: [usize; 2] = [600, 800];

pub(crate) fn eval(args: &Eval) -> Result<()> {
    super::use_threads(args.threads.compute())?;
    let (model, card) = model_folder::read(&args.model, &nn::cpu())?;
    let Some(path) = &args.data else {
        let usage = "eval of a detector needs images with boxes: give their path with --data";
        return Err(Usage(usage.to_owned()).into());
    };
    let result = evaluate(&model, &card, path, args.threads.loader())?;
    let classes = card.classes.iter().zip(&result.voc.classes);
    if args.json {
        let coco: Map<String, Value> = CocoPrecision::NAMES
            .iter()
            .zip(result.coco.0)
            // −1 says that there is no object to measure by.
            .map(|(name, value)| {
                ((*name).to_owned(), json!((value >= 0.0).then_some(100.0 * value)))
            })
            .collect();
        let classes = classes.map(|(class, found)| {
            let found = found.as_ref();
            json!({
                "class": class,
                "objects": found.map_or(0, |found| found.objects),
                "map_11_point": found.map(|found| 100.0 * found.eleven_points),
                "map": found.map(|found| 100.0 * found.area),
            })
        });
        output::json(&json!({
            "map": 100.0 * result.voc.area,
            "map_11_point": 100.0 * result.voc.eleven_points,
            "coco": coco,
            "classes": classes.collect::<Vec<_>>(),
            "images": result.scenes.len(),
        }));
        return Ok(());
    }
    output::print(&format!(
        "{}: mAP {:.2} % by 11 points, {:.2} % by area, COCO AP {:.2} % on {} images",
        model.module.name(),
        100.0 * result.voc.eleven_points,
        100.0 * result.voc.area,
        100.0 * result.coco.0[0].max(0.0),
        result.scenes.len(),
    ));
    let mut rows = vec![["class", "objects", "11 points", "area"].map(str::to_owned).to_vec()];
    for (class, found) in classes {
        let percent = |of: f64| format!("{:.2} %", 100.0 * of);
        let [objects, eleven, area] = match found {
            Some(found) => {
                let objects = grouped(found.objects as u64);
                [objects, percent(found.eleven_points), percent(found.area)]
            }
            None => ["0", "–", "–"].map(str::to_owned),
        };
        rows.push(vec![class.clone(), objects, eleven, area]);
    }
    output::print(&output::table(&rows));
    Ok(())
}

/// An image, with what was found in it.
struct Answer {
    image: RgbImage,
    found: Vec<FoundBox>,
}

pub(crate) fn predict(args: &Predict) -> Result<()> {
    if args.submission.is_some() {
        return Err(Usage("--submission is of classifiers".to_owned()).into());
    }
    if let Some(file) = &args.html {
        place::check_file("--html", file)?;
    }
    let sources = sources::of(&args.images)?;
    let (model, card) = model_folder::read(&args.model, &nn::cpu())?;
    if let Some(folder) = &args.draw {
        train::durable::create_folder(folder)?;
    }
    let (mut told, mut pictures, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    let bar = output::progress(sources.len());
    for (number, source) in sources.iter().enumerate() {
        match answer(&model, &card, source, args.score) {
            Ok(Answer { image, found }) => {
                if let Some(folder) = &args.draw {
                    let longer = image.width.max(image.height);
                    let png = thumbnail(&drawn(&image, &found), longer);
                    train::durable::write(&folder.join(drawing(source, number)), &png)?;
                }
                if args.html.is_some() {
                    let thumbnail = thumbnail(&drawn(&image, &found), PICTURE);
                    let guess = |one: &FoundBox| Guess {
                        class: card.classes[one.class as usize].clone(),
                        probability: f64::from(one.score),
                    };
                    let guesses = found.iter().map(guess).collect();
                    pictures.push(Picture { image: source.name(), thumbnail, guesses });
                }
                told.push((source.name(), Ok(found)));
            }
            Err(error) if sources.len() == 1 => return Err(error),
            Err(error) => {
                bar.suspend(|| output::problem(&error));
                unread.push((source.name(), format!("{error:#}")));
                told.push((source.name(), Err(error)));
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    match args.json {
        true => output::json(&told.iter().map(|one| as_json(one, &card.classes)).collect()),
        false => output::print(&as_table(&told, &card.classes)),
    }
    if let Some(page) = &args.html {
        let html = report::gallery(model.module.name(), &pictures, &unread);
        train::durable::write(page, html.as_bytes())?;
        output::note(&format!("gallery: {}", page.display()));
    }
    match unread.len() {
        0 => Ok(()),
        failed => anyhow::bail!("{failed} of {} images could not be read", told.len()),
    }
}

fn answer(
    model: &Model<Detector>,
    card: &DetectorCard,
    source: &Source,
    score: f32,
) -> Result<Answer> {
    let image = source.image(card.recipe.data.orientation)?;
    let mut found = find(model, card, &image);
    found.retain(|one| one.score >= score);
    Ok(Answer { image, found })
}

/// The name of a drawing: the image's own, behind its number so that no two are the same.
fn drawing(source: &Source, number: usize) -> String {
    let name = source.name();
    let stem = std::path::Path::new(&name).file_stem().unwrap_or_default().to_string_lossy();
    format!("{number:04}-{stem}.png")
}

/// The name of an image, and its boxes or why there are none.
type Told = (String, Result<Vec<FoundBox>>);

fn as_json((name, found): &Told, classes: &[String]) -> Value {
    match found {
        Ok(found) => {
            let one = |one: &FoundBox| json!({"class": classes[one.class as usize], "score": one.score, "box": one.corners});
            json!({"image": name, "boxes": found.iter().map(one).collect::<Vec<_>>()})
        }
        Err(error) => json!({"image": name, "error": format!("{error:#}")}),
    }
}

fn as_table(told: &[Told], classes: &[String]) -> String {
    let head = ["image", "class", "score", "left", "top", "right", "bottom"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for (name, found) in told {
        let Ok(found) = found else { continue };
        for (index, one) in found.iter().enumerate() {
            let name = if index == 0 { name.clone() } else { String::new() };
            let mut row = vec![
                name,
                classes[one.class as usize].clone(),
                format!("{:.1} %", 100.0 * one.score),
            ];
            row.extend(one.corners.iter().map(|edge| format!("{edge:.1}")));
            rows.push(row);
        }
    }
    output::table(&rows)
}

/// The detector on a network of the zoo, with Table 8's settings.
pub(crate) fn model(args: &Models, network: &str) -> Result<()> {
    if args.out.is_some() {
        let usage = "a detector is drawn as a table only: leave -o out";
        return Err(Usage(usage.to_owned()).into());
    }
    let network = zoo::network(network, &Options::plain(1))?;
    let detector = Detector::new(network, recipe::Detection::authors(), CLASSES, false)
        .context("this network cannot carry a detector")?;
    let rows = detector.cost(args.size.map_or(IMAGE, |side| [usize::from(side); 2]));
    let parameters: u64 = detector.parameters().iter().map(|spec| spec.len() as u64).sum();
    let multiply_adds: u64 = rows.iter().map(|row| row.multiply_adds).sum();
    let [height, width] = args.size.map_or(IMAGE, |side| [usize::from(side); 2]);
    if args.json {
        let layers = rows.iter().map(|row| {
            json!({"name": row.name, "output": row.output, "multiply_adds": row.multiply_adds})
        });
        output::json(&json!({
            "name": detector.name(),
            "parameters": parameters,
            "multiply_adds": multiply_adds,
            "input": [height, width, 3],
            "layers": layers.collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    output::print(&format!(
        "{}: {} parameters, {:.1} G multiply-adds for an image of {height}×{width} pixels in evaluation",
        detector.name(),
        grouped(parameters),
        multiply_adds as f64 / 1e9,
    ));
    let mut table = vec![["part", "output", "multiply-adds"].map(str::to_owned).to_vec()];
    for row in rows {
        let output = row.output.iter().map(usize::to_string).collect::<Vec<_>>().join("×");
        table.push(vec![row.name, output, format!("{:.2} G", row.multiply_adds as f64 / 1e9)]);
    }
    output::print(&output::table(&table));
    Ok(())
}
