//! `trickbag eval`: accuracy on validation images.

use std::sync::Arc;

use anyhow::Result;
use classify::{Card, evaluate, model_folder};
use data::Dataset;
use serde_json::json;

use crate::args::Eval;
use crate::output::{self, Usage};

pub(crate) fn run(args: &Eval) -> Result<()> {
    super::use_threads(args.threads.compute())?;
    let (model, card) = model_folder::read(&args.model, &nn::cpu())?;
    let dataset = Arc::new(open(args, &card)?);
    if let Some(difference) = card.difference(&dataset.classes) {
        anyhow::bail!(
            "{}: {difference}; give the data that the model was trained on, or train one on these",
            dataset.name
        );
    }
    let (validation, normalize) = (card.validation, card.normalize);
    let result = evaluate(&model, &dataset, validation, normalize, args.threads.loader())?;
    if !result.loss.is_finite() {
        anyhow::bail!(
            "{}: its loss on {} is {}, which is no number: the model is broken; train it again with a lower rate (--set \
             rate.base=…), or give another model",
            args.model.display(),
            dataset.name,
            result.loss
        );
    }
    if args.json {
        output::json(&json!({
            "top1": result.top1,
            "top5": result.top5,
            "loss": result.loss,
            "images": result.images,
        }));
    } else {
        output::print(&format!(
            "{}: top-1 {:.2} %, top-5 {:.2} %, loss {:.4} on {} images",
            model.module.name, result.top1, result.top5, result.loss, result.images
        ));
    }
    Ok(())
}

fn open(args: &Eval, card: &Card) -> Result<Dataset> {
    match &args.data {
        Some(path) => {
            let dataset = Dataset::open(path, card.split.share, card.split.seed)?;
            Ok(dataset.oriented(card.orientation))
        }
        None if card.split.embedded => Ok(Dataset::fashion_mnist()),
        None => {
            let usage = "eval needs images: give their path with --data (a folder of class folders, or a tar of one)";
            Err(Usage(usage.to_owned()).into())
        }
    }
}
