//! How good a segmenter's answers are.

use std::path::Path;
use std::sync::Arc;

use data::{Dataset, MaskFile};
use recipe::AbsentClasses;
use record::{Better, MeasureColumn, MeasureColumns, Unit};
use train::{Measure, TrainError};

use crate::counts::PixelCounts;
use crate::details;
use crate::task::PictureAnswer;

/// Pixel accuracy and mean IoU over validation images.
#[derive(Clone, Debug)]
pub struct MeanIou {
    pub counts: PixelCounts,
    /// The answer for each image, in the order of the dataset.
    pub answers: Vec<PictureAnswer>,
    absent: AbsentClasses,
    /// None where the images are not at hand, so that no details can be written.
    dataset: Option<Arc<Dataset<MaskFile>>>,
}

impl MeanIou {
    pub(crate) fn of(
        answers: Vec<PictureAnswer>,
        absent: AbsentClasses,
        dataset: Option<Arc<Dataset<MaskFile>>>,
    ) -> MeanIou {
        let classes = dataset.as_ref().map_or(0, |dataset| dataset.classes.len());
        let mut counts = PixelCounts::none(classes);
        answers.iter().for_each(|answer| counts.add(&answer.counts(classes)));
        MeanIou { counts, answers, absent, dataset }
    }

    /// Percent.
    pub fn mean_iou(&self) -> f64 {
        100.0 * self.counts.mean_iou(self.absent)
    }

    /// Percent.
    pub fn pixel_accuracy(&self) -> f64 {
        100.0 * self.counts.pixel_accuracy()
    }
}

impl Measure for MeanIou {
    fn columns() -> MeasureColumns {
        let percent =
            |name, title, full| MeasureColumn::new(name, title, Unit::Percent).in_full(full);
        let columns = vec![
            percent("pixel_accuracy", "pixAcc", "pixel accuracy"),
            percent("mean_iou", "mIoU", "mean intersection over union"),
            MeasureColumn::new("images", "images", Unit::Count),
        ];
        MeasureColumns::new("mean_iou", Better::Higher, columns)
    }

    fn values(&self) -> Vec<f64> {
        vec![self.pixel_accuracy(), self.mean_iou(), self.answers.len() as f64]
    }

    fn write_details(&self, folder: &Path, step: u64) -> Result<(), TrainError> {
        match &self.dataset {
            Some(dataset) => details::write(folder, step, dataset, self),
            None => Ok(()),
        }
    }
}
