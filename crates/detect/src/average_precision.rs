//! The measure of a detector: Pascal VOC's mean average precision by both rules, and COCO's twelve numbers.

use std::path::Path;
use std::sync::Arc;

use data::{Boxes, Dataset};
use record::{Better, MeasureColumn, MeasureColumns, Unit};
use train::{Measure, TrainError};

use crate::details;
use crate::measure::{CocoPrecision, Scene, VocPrecision, coco_precision, voc_precision};

/// The precision over validation images.
#[derive(Clone, Debug)]
pub struct AveragePrecision {
    pub voc: VocPrecision,
    pub coco: CocoPrecision,
    /// Objects and answers of each image, in the order of the dataset.
    pub scenes: Vec<Scene>,
    dataset: Arc<Dataset<Boxes>>,
}

impl AveragePrecision {
    pub(crate) fn of(scenes: Vec<Scene>, dataset: Arc<Dataset<Boxes>>) -> AveragePrecision {
        let classes = dataset.classes.len();
        let (voc, coco) = (voc_precision(&scenes, classes), coco_precision(&scenes, classes));
        AveragePrecision { voc, coco, scenes, dataset }
    }
}

impl Measure for AveragePrecision {
    fn columns() -> MeasureColumns {
        let percent =
            |name, title, full| MeasureColumn::new(name, title, Unit::Percent).in_full(full);
        let columns = vec![
            percent("map_11_point", "mAP (11 points)", "mean average precision by 11 points"),
            percent("map", "mAP (area)", "mean average precision by area"),
            percent("coco_map", "COCO AP", "COCO's average precision"),
            MeasureColumn::new("images", "images", Unit::Count),
        ];
        MeasureColumns::new("map_11_point", Better::Higher, columns)
    }

    fn values(&self) -> Vec<f64> {
        let coco = self.coco.0[0].max(0.0);
        let shares = [self.voc.eleven_points, self.voc.area, coco].map(|share| 100.0 * share);
        [&shares[..], &[self.scenes.len() as f64]].concat()
    }

    fn write_details(&self, folder: &Path, step: u64) -> Result<(), TrainError> {
        details::write(folder, step, &self.dataset.validation, &self.scenes, &self.voc)
    }
}
