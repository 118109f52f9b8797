//! A bad image is seldom alone: an error about one becomes an error about all.

use std::ops::ControlFlow;

use data::check::bad_images;
use data::{DataError, Dataset};
use train::signal;

use crate::output;
use crate::progress::Counter;

/// Where the error is about the content of an image, looks at all the others and names every bad one.
pub(crate) fn name_all(error: DataError, dataset: &Dataset, threads: usize) -> DataError {
    if error.bad_image().is_none() {
        return error;
    }
    output::note(&error.to_string());
    output::note("looking for more like it");
    let mut counter = Counter::new("looking for bad images");
    let bad = bad_images(dataset, threads, &mut |done, total| {
        if signal::stop_requested() { ControlFlow::Break(()) } else { counter.at(done, total) }
    });
    if bad.is_empty() {
        return error;
    }
    let images = dataset.train.len() + dataset.validation.len();
    DataError::BadImages { name: dataset.name.clone(), images, bad }
}
