//! `trickbag data info`: counts, sizes, mean and deviation, and a contact sheet.

mod masks;

use anyhow::{Context, Result};
use data::Dataset;
use data::info::{self, DatasetInfo};
use serde_json::json;

use crate::args::DataInfo;
use crate::output::{self, grouped};
use crate::progress::Counter;

/// Of the contact sheet: classes, images of each, and the side of a picture in pixels.
const SHEET: (usize, usize, usize) = (20, 10, 96);

pub(crate) fn run(args: &DataInfo) -> Result<()> {
    if data::check::has_masks(&args.path) {
        return masks::run(args);
    }
    if Dataset::has_boxes(&args.path)? {
        return super::boxes::info(args);
    }
    let dataset = Dataset::undivided(&args.path)?;
    let mut counter = Counter::new("counting");
    let mut watch = |done, total| counter.at(done, total);
    let info = info::info(&dataset, args.threads.count(), &mut watch)
        .context("the count was interrupted")?;
    if let Some(path) = &args.out {
        let (rows, columns, side) = SHEET;
        train::durable::write(path, &info::contact_sheet(&dataset, rows, columns, side))?;
    }
    if args.json {
        output::json(&as_json(&dataset, &info));
    } else {
        output::print(&as_text(&dataset, &info));
        if let Some(path) = &args.out {
            output::print(&format!(
                "contact sheet: {}, a row for each of the first {} classes",
                path.display(),
                SHEET.0.min(dataset.classes.len())
            ));
        }
    }
    Ok(())
}

fn as_json(dataset: &Dataset, info: &DatasetInfo) -> serde_json::Value {
    let classes = dataset.classes.iter().zip(&info.images).map(|(class, [train, validation])| {
        json!({"class": class, "train_images": train, "validation_images": validation})
    });
    let spread = |[least, middle, greatest]: [usize; 3]| json!({"minimum": least, "median": middle, "maximum": greatest});
    json!({
        "data": dataset.name,
        "train_images": dataset.train.len(),
        "validation_images": dataset.validation.len(),
        "unreadable": info.unreadable,
        "left_out": dataset.left_out.len(),
        "bytes": info.bytes,
        "width": spread(info.width),
        "height": spread(info.height),
        "mean": info.mean,
        "std": info.std,
        "classes": classes.collect::<Vec<_>>(),
    })
}

fn as_text(dataset: &Dataset, info: &DatasetInfo) -> String {
    let spread = |[least, middle, greatest]: [usize; 3]| {
        format!("{least} to {greatest} pixels, median {middle}")
    };
    let levels = |values: [f64; 3]| values.map(|value| format!("{value:.3}")).join(", ");
    let mut text = format!(
        "{}: {} training and {} validation images in {} classes, {}\n\
         width   {}\nheight  {}\n\
         of the training images, for the recipe:\n  \
         normalize = {{ mean = [{}], std = [{}] }}",
        dataset.name,
        grouped(dataset.train.len() as u64),
        grouped(dataset.validation.len() as u64),
        dataset.classes.len(),
        output::bytes(info.bytes),
        spread(info.width),
        spread(info.height),
        levels(info.mean),
        levels(info.std),
    );
    if info.unreadable > 0 {
        text += &format!(
            "\n{} images do not decode and are not counted in sizes and means; see `trickbag data check`",
            info.unreadable
        );
    }
    if !dataset.left_out.is_empty() {
        let count = grouped(dataset.left_out.len() as u64);
        let files = if dataset.left_out.len() == 1 { "file is" } else { "files are" };
        text += &format!("\n{count} other {files} left out; `trickbag data check` names them");
    }
    let mut rows = vec![["class", "training", "validation"].map(str::to_owned).to_vec()];
    for (class, counts) in dataset.classes.iter().zip(&info.images) {
        let [train, validation] = counts.map(|count| grouped(count as u64));
        rows.push(vec![class.clone(), train, validation]);
    }
    text + "\n\n" + &output::table(&rows)
}
