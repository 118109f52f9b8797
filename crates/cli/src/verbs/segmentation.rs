//! `eval`, `predict` and `models` of segmenters.

use std::path::Path;

use anyhow::{Context, Result};
use data::{Mask, RgbImage, png, thumbnail};
use nn::{Model, Module};
use onnx::{BatchNorms, DenseNetwork};
use report::{Guess, Picture};
use segment::{
    PixelCounts, Segmenter, SegmenterCard, colored, evaluate, model_folder, overlay,
    predict as answer,
};
use serde_json::{Value, json};
use zoo::Options;

use super::export::check_file;
use super::place;
use super::predict::sources::{self, Source};
use crate::args::{Eval, Export, Format, Models, Predict};
use crate::output::{self, Usage, grouped};

/// Longer edge of a picture in a gallery, pixels.
const PICTURE: usize = 480;
/// ADE20K's, which the published numbers are for, and their crops.
const CLASSES: usize = 150;
const CROP: usize = 480;

pub(crate) fn eval(args: &Eval) -> Result<()> {
    super::use_threads(args.threads.compute())?;
    let (model, card) = model_folder::read(&args.model, &nn::cpu())?;
    let Some(path) = &args.data else {
        let usage = "eval of a segmenter needs images with masks: give their path with --data";
        return Err(Usage(usage.to_owned()).into());
    };
    let result = evaluate(&model, &card, path)?;
    let counts = &result.counts;
    let classes = card.classes.iter().zip(&counts.classes);
    if args.json {
        let classes = classes.map(|(class, counts)| {
            json!({
                "class": class,
                "iou": counts.iou().map(|iou| 100.0 * iou),
                "pixels": counts.truth,
            })
        });
        output::json(&json!({
            "pixel_accuracy": result.pixel_accuracy(),
            "mean_iou": result.mean_iou(),
            "images": result.answers.len(),
            "classes": classes.collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    output::print(&format!(
        "{}: pixel accuracy {:.2} %, mean IoU {:.2} % on {} images",
        model.module.name(),
        result.pixel_accuracy(),
        result.mean_iou(),
        result.answers.len(),
    ));
    let mut rows = vec![["class", "pixels", "IoU"].map(str::to_owned).to_vec()];
    for (class, counts) in classes {
        let iou = counts.iou().map_or("–".to_owned(), |iou| format!("{:.2} %", 100.0 * iou));
        rows.push(vec![class.clone(), grouped(counts.truth), iou]);
    }
    output::print(&output::table(&rows));
    Ok(())
}

/// The classes in a picture, with their shares of its pixels, the largest first.
type Shares = Vec<(String, f64)>;

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
        let outcome = answered(&model, &card, source).and_then(|(image, mask)| {
            if let Some(folder) = &args.draw {
                write(folder, &stem(source, number), &image, &mask, &card)?;
            }
            let shares = shares(&mask, &card.classes);
            if args.html.is_some() {
                let thumbnail = thumbnail(&overlay(&image, &mask.indices), PICTURE);
                let guess = |(class, share): &(String, f64)| Guess {
                    class: class.clone(),
                    probability: *share,
                };
                let guesses = shares.iter().map(guess).collect();
                pictures.push(Picture { image: source.name(), thumbnail, guesses });
            }
            Ok(shares)
        });
        if let Err(error) = &outcome {
            unread.push((source.name(), format!("{error:#}")));
        }
        match outcome {
            Err(error) if sources.len() == 1 => return Err(error),
            outcome => told.push((source.name(), outcome)),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    match args.json {
        true => output::json(&told.iter().map(as_json).collect()),
        false => output::print(&as_table(&told, args.top.into())),
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

fn answered(
    model: &Model<Segmenter>,
    card: &SegmenterCard,
    source: &Source,
) -> Result<(RgbImage, Mask<u16>)> {
    let image = source.image(card.recipe.data.orientation)?;
    let mask = answer(model, card, &image);
    Ok((image, mask))
}

/// The image's own name, behind its number so that no two are the same.
fn stem(source: &Source, number: usize) -> String {
    let name = source.name();
    let stem = Path::new(&name).file_stem().unwrap_or_default().to_string_lossy();
    format!("{number:04}-{stem}")
}

/// Writes the mask as numbers in a palette, and the image with the mask's colors over it.
fn write(
    folder: &Path,
    stem: &str,
    image: &RgbImage,
    mask: &Mask<u16>,
    card: &SegmenterCard,
) -> Result<()> {
    let palette = |class: u16| {
        let color = colored(&[class], 1).pixels;
        [color[0], color[1], color[2]]
    };
    let file = mask.to_png(card.behind_zero, palette);
    train::durable::write(&folder.join(format!("{stem}.png")), &file)?;
    let file = png(&overlay(image, &mask.indices));
    train::durable::write(&folder.join(format!("{stem}-overlay.png")), &file)?;
    Ok(())
}

fn shares(mask: &Mask<u16>, classes: &[String]) -> Shares {
    let counts = PixelCounts::of(mask, &mask.indices, classes.len());
    let total = mask.indices.len() as f64;
    let found = classes.iter().zip(&counts.classes).filter(|(_, counts)| counts.both > 0);
    let mut shares: Shares =
        found.map(|(class, counts)| (class.clone(), counts.both as f64 / total)).collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

fn as_json((name, shares): &(String, Result<Shares>)) -> Value {
    match shares {
        Ok(shares) => {
            let one = |(class, share): &(String, f64)| json!({"class": class, "share": share});
            json!({"image": name, "classes": shares.iter().map(one).collect::<Vec<_>>()})
        }
        Err(error) => json!({"image": name, "error": format!("{error:#}")}),
    }
}

/// A line for each of the largest classes of each image.
fn as_table(told: &[(String, Result<Shares>)], top: usize) -> String {
    let mut rows = vec![["image", "pixels", "class"].map(str::to_owned).to_vec()];
    for (name, shares) in told {
        let Ok(shares) = shares else { continue };
        for (index, (class, share)) in shares.iter().take(top).enumerate() {
            let name = if index == 0 { name.clone() } else { String::new() };
            rows.push(vec![name, format!("{:.1} %", 100.0 * share), class.clone()]);
        }
    }
    output::table(&rows)
}

/// Writes a segmenter as an ONNX file. Its own folder is what torchvision opens.
pub(crate) fn export(args: &Export) -> Result<()> {
    if args.format == Format::Timm {
        let usage = "timm has no segmenters; the model folder itself opens in torchvision's FCN where its backbone is a \
                     ResNet-B (resnet50, resnet101), with the tensors' names as they are";
        return Err(Usage(usage.to_owned()).into());
    }
    if let Some(out) = &args.out {
        check_file(out)?;
    }
    let (model, card) = model_folder::read(&args.model, &nn::cpu())?;
    let name = model.module.name();
    let out = args.out.clone().unwrap_or_else(|| format!("{name}.onnx").into());
    check_file(&out)?;
    let batch_norms = if args.keep_batch_norms { BatchNorms::Kept } else { BatchNorms::Folded };
    let settings = card.recipe.segmentation();
    let normalize = card.recipe.preprocess.normalize;
    let levels = |values: [f64; 3]| json!(values.map(|value| value / 255.0)).to_string();
    let metadata = vec![
        ("label_names".to_owned(), json!(card.classes).to_string()),
        ("mean".to_owned(), levels(normalize.mean)),
        ("std".to_owned(), levels(normalize.std)),
    ];
    let network = DenseNetwork {
        name,
        layers: model.module.evaluation_layers(),
        tensors: model.tensors(),
        classes: model.module.classes,
        align_corners: settings.upsampling == recipe::Upsampling::Corners,
    };
    let options = onnx::ExportOptions { side: settings.crop, batch_norms, metadata };
    let bytes = onnx::export_dense(network, options)?;
    train::durable::write(&out, &bytes)?;
    match args.json {
        true => output::json(&json!({
            "format": "onnx",
            "network": name,
            "path": out.display().to_string(),
            "bytes": bytes.len(),
            "opset": onnx::OPSET,
            "side": settings.crop,
        })),
        false => {
            output::print(&format!("{} ({})", out.display(), output::bytes(bytes.len() as u64)))
        }
    }
    Ok(())
}

/// The segmenter on a network of the zoo, dilated to stride 8, with both heads.
pub(crate) fn model(args: &Models, network: &str) -> Result<()> {
    if args.out.is_some() {
        let usage = "a segmenter is drawn as a table only: leave -o out";
        return Err(Usage(usage.to_owned()).into());
    }
    let options = Options { dilations: [1, 1, 2, 4], ..Options::plain(1) };
    let segmenter = Segmenter::new(zoo::network(network, &options)?, CLASSES, true)
        .context("this network cannot carry a segmenter")?;
    let side = args.size.map_or(CROP, usize::from);
    let rows = segmenter.cost(side);
    let parameters: u64 = segmenter.parameters().iter().map(|spec| spec.len() as u64).sum();
    let multiply_adds: u64 = rows.iter().map(|(_, count)| count).sum();
    if args.json {
        output::json(&json!({
            "name": segmenter.name(),
            "parameters": parameters,
            "multiply_adds": multiply_adds,
            "input": [side, side, 3],
        }));
        return Ok(());
    }
    output::print(&format!(
        "{}: {} parameters, {:.1} G multiply-adds for a crop of {side}×{side} pixels in training",
        segmenter.name(),
        grouped(parameters),
        multiply_adds as f64 / 1e9,
    ));
    let mut table = vec![["part", "multiply-adds"].map(str::to_owned).to_vec()];
    for (name, count) in rows {
        table.push(vec![name, format!("{:.2} G", count as f64 / 1e9)]);
    }
    output::print(&output::table(&table));
    Ok(())
}
