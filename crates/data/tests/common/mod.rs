//! Batches of a dataset, with everything on that a recipe can ask of it.

use std::path::Path;
use std::sync::Arc;

use data::{Batch, BatchParts, Dataset, TrainLoader, ValidationLoader, ValidationShare};
use recipe::{Color, Crop, Normalize, OnBadSample, Preprocess, Validation};

pub(crate) const NORMALIZE: Normalize =
    Normalize { mean: [123.68, 116.779, 103.939], std: [58.393, 57.12, 57.375] };

pub(crate) fn preprocess(size: usize) -> Preprocess {
    let range = [0.6, 1.4];
    Preprocess {
        size: Some(size),
        crop: Some(Crop { area: [0.08, 1.0], aspect: [3.0 / 4.0, 4.0 / 3.0] }),
        flip: Some(0.5),
        randaugment: None,
        jitter: None,
        color: Some(Color { hue: range, saturation: range, brightness: range }),
        pca_noise: Some(0.1),
        normalize: NORMALIZE,
        erasing: None,
    }
}

pub(crate) fn open(path: &Path) -> Arc<Dataset> {
    Arc::new(Dataset::open(path, 0.1, 0).unwrap())
}

pub(crate) fn train_batches(
    dataset: &Arc<Dataset>,
    first: u64,
    count: u64,
    workers: usize,
) -> Vec<Batch> {
    let (dataset, parts) = (dataset.clone(), BatchParts::whole(4));
    let mut loader =
        TrainLoader::new(dataset, preprocess(12), OnBadSample::Stop, 3, parts, first, workers)
            .unwrap();
    (first..first + count).map(|_| loader.next().unwrap()).collect()
}

pub(crate) fn validation_batches(dataset: &Arc<Dataset>, workers: usize) -> Vec<Batch> {
    validation_share(dataset, ValidationShare::WHOLE, workers)
}

pub(crate) fn validation_share(
    dataset: &Arc<Dataset>,
    share: ValidationShare,
    workers: usize,
) -> Vec<Batch> {
    let validation = Validation { resize: 14, crop: 12 };
    let mut loader =
        ValidationLoader::new(dataset.clone(), (validation, NORMALIZE), 4, share, workers).unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = loader.next().unwrap() {
        batches.push(batch);
    }
    assert!(loader.next().unwrap().is_none(), "the end stays the end");
    batches
}
