//! `trickbag predict`: the likeliest classes of images.

use std::path::Path;

use anyhow::{Context, Result};
use data::{decode, validation_sample};
use nn::{Tensor, TensorData};
use serde_json::json;
use train::classify::{rows, softmax};
use train::model_folder::{self, Card};
use zoo::Model;

use crate::args::Predict;
use crate::output;

/// A class and its probability, the likeliest first.
type Ranking = Vec<(String, f64)>;

pub(crate) fn run(args: &Predict) -> Result<()> {
    let (mut model, card) = model_folder::read(&args.model, &nn::cpu())?;
    let mut results: Vec<(&Path, Ranking)> = Vec::new();
    for path in &args.images {
        let ranking = predict(&mut model, &card, path)?;
        results.push((path, ranking.into_iter().take(usize::from(args.top)).collect()));
    }
    if args.json {
        let list = results.iter().map(|(path, ranking)| {
            let classes: Vec<_> = ranking
                .iter()
                .map(|(class, probability)| json!({"class": class, "probability": probability}))
                .collect();
            json!({"image": path.display().to_string(), "classes": classes})
        });
        output::json(&list.collect());
        return Ok(());
    }
    for (path, ranking) in &results {
        output::print(&path.display().to_string());
        for (class, probability) in ranking {
            output::print(&format!("  {:5.1} %  {class}", 100.0 * probability));
        }
    }
    Ok(())
}

fn predict(model: &mut Model, card: &Card, path: &Path) -> Result<Ranking> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).with_context(|| format!("{name}: cannot be read"))?;
    let image = decode(&bytes, &name)?;
    let side = card.validation.crop;
    let mut values = vec![0.0; side * side * 3];
    validation_sample(&card.validation, &card.normalize, &image, &mut values);
    let x = Tensor::from_data(TensorData::new(values, [1, side, side, 3]), &model.device);
    let probabilities = softmax(&rows(model.logits(x))[0]);
    let mut ranking: Ranking = card.classes.iter().cloned().zip(probabilities).collect();
    ranking.sort_by(|a, b| b.1.total_cmp(&a.1));
    Ok(ranking)
}
