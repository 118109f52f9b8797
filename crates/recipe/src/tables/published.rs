//! Every number of Tables 1 to 9, as the paper prints them; §4.3's throughput stands beside Table 5.

use std::fmt;

/// What a number measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TableMeasure {
    /// Percent of the validation images, as are all accuracies.
    Top1,
    Top5,
    TestTop1,
    TestTop5,
    /// Minutes.
    TimePerEpoch,
    /// Millions.
    Parameters,
    /// Billions (the paper's FLOPs).
    MultiplyAdds,
    /// Images per second of training, in percent of the first row's.
    Throughput,
    MeanAveragePrecision,
    PixelAccuracy,
    MeanIou,
}

use TableMeasure::*;

impl TableMeasure {
    /// The title in a table's head.
    pub fn title(self) -> &'static str {
        match self {
            Top1 => "top-1",
            Top5 => "top-5",
            TestTop1 => "test top-1",
            TestTop5 => "test top-5",
            TimePerEpoch => "time/epoch",
            Parameters => "#params",
            MultiplyAdds => "FLOPs",
            Throughput => "throughput",
            MeanAveragePrecision => "mAP",
            PixelAccuracy => "PixAcc",
            MeanIou => "mIoU",
        }
    }

    /// The key in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Top1 => "top1",
            Top5 => "top5",
            TestTop1 => "test_top1",
            TestTop5 => "test_top5",
            TimePerEpoch => "minutes_per_epoch",
            Parameters => "parameters_millions",
            MultiplyAdds => "multiply_adds_billions",
            Throughput => "throughput_percent",
            MeanAveragePrecision => "mean_average_precision",
            PixelAccuracy => "pixel_accuracy",
            MeanIou => "mean_iou",
        }
    }

    /// A value with its unit.
    pub fn text(self, value: f64) -> String {
        match self {
            TimePerEpoch => format!("{value} min"),
            Parameters => format!("{value} M"),
            MultiplyAdds => format!("{value:.1} G"),
            Throughput => format!("{value} %"),
            _ => format!("{value:.2}"),
        }
    }
}

/// One number of the paper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    pub measure: TableMeasure,
    pub value: f64,
}

impl fmt::Display for Published {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.measure.text(self.value), self.measure.title())
    }
}

/// A table: its groups of columns, what each group measures, and its rows from left to right.
struct Numbers {
    table: &'static str,
    columns: &'static [&'static str],
    measures: &'static [TableMeasure],
    rows: &'static [(&'static str, &'static [f64])],
}

/// Stands where the paper has a dash or a blank.
const NONE: f64 = f64::NAN;

#[rustfmt::skip]
const NUMBERS: &[Numbers] = &[
    Numbers {
        table: "table1",
        columns: &[""],
        measures: &[MultiplyAdds, Top1, Top5],
        rows: &[
            ("ResNet-50",                 &[3.9, 75.3,  92.2]),
            ("ResNeXt-50",                &[4.2, 77.8,  NONE]),
            ("SE-ResNet-50",              &[3.9, 76.71, 93.38]),
            ("SE-ResNeXt-50",             &[4.3, 78.90, 94.51]),
            ("DenseNet-201",              &[4.3, 77.42, 93.66]),
            ("ResNet-50 + tricks (ours)", &[4.3, 79.29, 94.63]),
        ],
    },
    Numbers {
        table: "table2",
        columns: &["Baseline", "Reference"],
        measures: &[Top1, Top5],
        rows: &[
            ("ResNet-50",    &[75.87, 92.70, 75.3, 92.2]),
            ("Inception-V3", &[77.32, 93.43, 78.8, 94.4]),
            ("MobileNet",    &[69.03, 88.71, 70.6, NONE]),
        ],
    },
    Numbers {
        table: "table3",
        columns: &["Efficient", "Baseline"],
        measures: &[TimePerEpoch, Top1, Top5],
        rows: &[
            ("ResNet-50",    &[4.4, 76.21, 92.97, 13.3, 75.87, 92.70]),
            ("Inception-V3", &[8.0, 77.50, 93.60, 19.8, 77.32, 93.43]),
            ("MobileNet",    &[3.7, 71.90, 90.47,  6.2, 69.03, 88.71]),
        ],
    },
    Numbers {
        table: "table4",
        columns: &["BS=256", "BS=1024"],
        measures: &[Top1, Top5],
        rows: &[
            ("Linear scaling",  &[75.87, 92.70, 75.17, 92.54]),
            ("+ LR warmup",     &[76.03, 92.81, 75.93, 92.84]),
            ("+ Zero γ",        &[76.19, 93.03, 76.37, 92.96]),
            ("+ No bias decay", &[76.16, 92.97, 76.03, 92.86]),
            ("+ FP16",          &[76.15, 93.09, 76.21, 92.97]),
        ],
    },
    Numbers {
        table: "table5",
        columns: &[""],
        // §4.3: "ResNet-50-D is only 3% slower in training throughput compared to ResNet-50".
        measures: &[Parameters, MultiplyAdds, Top1, Top5, Throughput],
        rows: &[
            ("ResNet-50",   &[25.0, 3.8, 76.21, 92.97, 100.0]),
            ("ResNet-50-B", &[25.0, 4.1, 76.66, 93.28, NONE]),
            ("ResNet-50-C", &[25.0, 4.3, 76.87, 93.48, NONE]),
            ("ResNet-50-D", &[25.0, 4.3, 77.16, 93.52, 97.0]),
        ],
    },
    Numbers {
        table: "table6",
        columns: &["ResNet-50-D", "Inception-V3", "MobileNet"],
        measures: &[Top1, Top5],
        rows: &[
            ("Efficient",           &[77.16, 93.52, 77.50, 93.60, 71.90, 90.53]),
            ("+ cosine decay",      &[77.91, 93.81, 78.19, 94.06, 72.83, 91.00]),
            ("+ label smoothing",   &[78.31, 94.09, 78.40, 94.13, 72.93, 91.14]),
            ("+ distill w/o mixup", &[78.67, 94.36, 78.26, 94.01, 71.97, 90.89]),
            ("+ mixup w/o distill", &[79.15, 94.58, 78.77, 94.39, 73.28, 91.30]),
            ("+ distill w/ mixup",  &[79.29, 94.63, 78.34, 94.16, 72.51, 91.02]),
        ],
    },
    Numbers {
        table: "table7",
        columns: &[""],
        measures: &[Top1, Top5, TestTop1, TestTop5],
        rows: &[
            ("ResNet-50-D Efficient", &[56.34, 86.87, 57.18, 87.28]),
            ("ResNet-50-D Best",      &[56.70, 87.33, 57.63, 87.82]),
        ],
    },
    Numbers {
        table: "table8",
        columns: &[""],
        measures: &[Top1, MeanAveragePrecision],
        rows: &[
            ("B-standard",          &[76.14, 77.54]),
            ("D-efficient",         &[77.16, 78.30]),
            ("+ cosine",            &[77.91, 79.23]),
            ("+ smooth",            &[78.34, 80.71]),
            ("+ distill w/o mixup", &[78.67, 80.96]),
            ("+ mixup w/o distill", &[79.16, 81.10]),
            ("+ distill w/ mixup",  &[79.29, 81.33]),
        ],
    },
    Numbers {
        table: "table9",
        columns: &[""],
        measures: &[Top1, PixelAccuracy, MeanIou],
        rows: &[
            ("B-standard",          &[76.14, 78.08, 37.05]),
            ("D-efficient",         &[77.16, 78.88, 38.88]),
            ("+ cosine",            &[77.91, 79.25, 39.33]),
            ("+ smooth",            &[78.34, 78.64, 38.75]),
            ("+ distill w/o mixup", &[78.67, 78.97, 38.90]),
            ("+ mixup w/o distill", &[79.16, 78.47, 37.99]),
            ("+ mixup w/ distill",  &[79.29, 78.72, 38.40]),
        ],
    },
];

fn numbers(table: &str) -> Option<&'static Numbers> {
    NUMBERS.iter().find(|numbers| numbers.table == table)
}

/// What a table measures, in the paper's order; empty for a table that the paper does not have.
pub fn measures(table: &str) -> &'static [TableMeasure] {
    numbers(table).map_or(&[], |numbers| numbers.measures)
}

/// The numbers of a row in a group of columns, both by the paper's titles.
pub fn published(table: &str, row: &str, column: &str) -> Vec<Published> {
    let found = || {
        let numbers = numbers(table)?;
        let column = numbers.columns.iter().position(|title| *title == column)?;
        let (_, values) = numbers.rows.iter().find(|(title, _)| *title == row)?;
        let width = numbers.measures.len();
        let values = &values[column * width..(column + 1) * width];
        Some(numbers.measures.iter().zip(values))
    };
    let pairs = found().into_iter().flatten().filter(|(_, value)| !value.is_nan());
    pairs.map(|(&measure, &value)| Published { measure, value }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_number_for_every_column() {
        for Numbers { table, columns, measures, rows } in NUMBERS {
            for (row, values) in *rows {
                assert_eq!(values.len(), columns.len() * measures.len(), "{table} {row}");
            }
        }
    }

    /// These were read a second time from the paper.
    #[test]
    fn numbers_of_the_paper() {
        for (table, row, column, measure, value) in [
            ("table1", "SE-ResNeXt-50", "", Top1, 78.90),
            ("table1", "ResNet-50 + tricks (ours)", "", MultiplyAdds, 4.3),
            ("table2", "Inception-V3", "Baseline", Top1, 77.32),
            ("table2", "MobileNet", "Reference", Top1, 70.6),
            ("table3", "ResNet-50", "Efficient", TimePerEpoch, 4.4),
            ("table3", "MobileNet", "Baseline", TimePerEpoch, 6.2),
            ("table4", "+ Zero γ", "BS=1024", Top1, 76.37),
            ("table4", "+ FP16", "BS=256", Top5, 93.09),
            ("table5", "ResNet-50-C", "", Top5, 93.48),
            ("table6", "+ mixup w/o distill", "MobileNet", Top1, 73.28),
            ("table6", "+ distill w/ mixup", "ResNet-50-D", Top1, 79.29),
            ("table7", "ResNet-50-D Best", "", TestTop5, 87.82),
            ("table8", "+ smooth", "", MeanAveragePrecision, 80.71),
            ("table9", "+ cosine", "", MeanIou, 39.33),
        ] {
            let found = published(table, row, column);
            let found = found.iter().find(|each| each.measure == measure).map(|each| each.value);
            assert_eq!(found, Some(value), "{table} {row} {column}");
        }
        assert_eq!(published("table2", "MobileNet", "Reference").len(), 1, "the dash is no number");
        assert_eq!(published("table10", "MobileNet", "Reference"), []);
    }
}
