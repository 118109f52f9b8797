//! `trickbag data info` of images with masks: pixels by class, and a contact sheet with the masks over the images.

use anyhow::{Context, Result};
use data::Dataset;
use data::info::{self, MaskInfo};
use segment::overlay;
use serde_json::json;

use crate::args::DataInfo;
use crate::output::{self, grouped};
use crate::progress::Counter;

/// Rows and columns of the contact sheet, and the side of a picture in pixels.
const SHEET: ([usize; 2], usize) = ([6, 6], 192);
/// The share of the training images that is held out where there is no validation part: almost none, so that all are told.
const SPLIT: f64 = 1e-9;

pub(super) fn run(args: &DataInfo) -> Result<()> {
    let dataset = Dataset::with_masks(&args.path, SPLIT, 1)?;
    let mut counter = Counter::new("counting");
    let mut watch = |done, total| counter.at(done, total);
    let info = info::mask_info(&dataset, args.threads.count(), &mut watch)
        .context("the count was interrupted")?;
    if let Some(path) = &args.out {
        let sheet = info::mask_sheet(&dataset, SHEET.0, SHEET.1, overlay);
        train::durable::write(path, &sheet)?;
    }
    let total: u64 = info.pixels.iter().map(|parts| parts[0]).sum();
    let shares: Vec<f64> =
        info.pixels.iter().map(|parts| parts[0] as f64 / total.max(1) as f64).collect();
    let (train, validation) = (dataset.train.len(), dataset.validation.len());
    let MaskInfo { images, ignored, unusable, .. } = &info;
    let classes = dataset.classes.iter().zip(images).zip(&shares);
    if args.json {
        let classes = classes.map(|((class, images), share)| {
            json!({
                "class": class,
                "share": share,
                "train_images": images[0],
                "validation_images": images[1],
            })
        });
        output::json(&json!({
            "data": dataset.name,
            "train_images": train,
            "validation_images": validation,
            "ignored_pixels": ignored[0] + ignored[1],
            "unusable": unusable,
            "classes": classes.collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    let mut text = format!(
        "{}: {} training and {} validation images with masks of {} classes\n{:.2} % of the training pixels are ignored",
        dataset.name,
        grouped(train as u64),
        grouped(validation as u64),
        dataset.classes.len(),
        100.0 * ignored[0] as f64 / (total + ignored[0]).max(1) as f64,
    );
    if *unusable > 0 {
        text += &format!(
            "\n{unusable} images or masks cannot be used and are not counted; see `trickbag data check`"
        );
    }
    let head = ["class", "of labelled training pixels", "training images", "validation images"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for ((class, images), share) in classes {
        let [train, validation] = images.map(|count| grouped(count as u64));
        rows.push(vec![class.clone(), format!("{:.2} %", 100.0 * share), train, validation]);
    }
    output::print(&(text + "\n\n" + &output::table(&rows)));
    if let Some(path) = &args.out {
        output::print(&format!("contact sheet with masks: {}", path.display()));
    }
    Ok(())
}
