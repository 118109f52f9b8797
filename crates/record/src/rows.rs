//! The rows of `metrics.jsonl`: one JSON object a line, `kind` first. The same run writes the same bytes, but for the
//! fields that measure time.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::measure::MeasureColumns;
use crate::number;

/// What training did since the last such row. A key without a value is left out of the line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainRow {
    /// Steps done.
    pub step: u64,
    #[serde(deserialize_with = "number::read")]
    pub epoch: f64,
    /// The loss of the last of these steps.
    #[serde(deserialize_with = "number::read")]
    pub loss: f64,
    /// The learning rate of the last of these steps.
    #[serde(deserialize_with = "number::read")]
    pub rate: f64,
    /// The norm of the last step's gradient, before any clipping.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number::read_optional"
    )]
    pub gradient_norm: Option<f64>,
    /// The named terms of the loss, where it has more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "number::named")]
    pub terms: Vec<(String, f64)>,
    /// What the loss is multiplied by (§3.2), where the recipe scales it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "number::read_optional"
    )]
    pub loss_scale: Option<f64>,
    /// How many of these steps were skipped because their loss or gradient was not finite.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: u64,
    #[serde(deserialize_with = "number::read")]
    pub images_per_second: f64,
    /// The share of the time that the loop waited for data, 0 to 1.
    #[serde(deserialize_with = "number::read")]
    pub wait_share: f64,
    /// Seconds of work since the start of the run.
    #[serde(deserialize_with = "number::read")]
    pub seconds: f64,
    /// The pace of the ranks, where several compute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranks: Option<RanksRow>,
}

/// How evenly several ranks worked since the last row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RanksRow {
    /// How many.
    pub ranks: u64,
    /// The rank that worked longest.
    pub slowest: u64,
    /// Seconds of a step that it worked, the time that it waited for the others left out.
    #[serde(deserialize_with = "number::read")]
    pub slowest_seconds: f64,
    /// The same of the rank in the middle.
    #[serde(deserialize_with = "number::read")]
    pub median_seconds: f64,
    /// The mean share of the time that ranks waited for each other and exchanged sums, 0 to 1.
    #[serde(deserialize_with = "number::read")]
    pub wait_share: f64,
    /// Bytes that all ranks together sent.
    pub bytes: u64,
}

/// One pass over the validation images.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationRow {
    /// Steps done.
    pub step: u64,
    pub epoch: f64,
    /// The measure, in the order of its columns.
    pub values: Vec<f64>,
    /// Seconds of work since the start of the run.
    pub seconds: f64,
}

/// A row of any kind, read from its line.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricsRow {
    Train(TrainRow),
    Evaluation(EvaluationRow),
    /// A kind that a later version may add.
    Other,
}

impl TrainRow {
    /// The row as a line of `metrics.jsonl`, its end included.
    pub fn to_line(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            kind: &'static str,
            #[serde(flatten)]
            row: &'a TrainRow,
        }
        line(&Line { kind: "train", row: self })
    }
}

impl EvaluationRow {
    /// The row as a line of `metrics.jsonl`, its end included.
    ///
    /// # Panics
    /// When there are not as many values as columns.
    pub fn to_line(&self, measure: &MeasureColumns) -> String {
        line(&EvaluationLine { row: self, measure })
    }

    fn read(
        object: &Map<String, Value>,
        measure: &MeasureColumns,
    ) -> Result<EvaluationRow, serde_json::Error> {
        let value = |column: &crate::MeasureColumn| number::of(object, &column.name);
        Ok(EvaluationRow {
            step: number::count(object, "step")?,
            epoch: number::of(object, "epoch")?,
            values: measure.columns().iter().map(value).collect::<Result<_, _>>()?,
            seconds: number::of(object, "seconds")?,
        })
    }
}

impl MetricsRow {
    /// Reads a line of `metrics.jsonl`; None where it is damaged.
    pub fn read(line: &str, measure: &MeasureColumns) -> Option<MetricsRow> {
        let object: Map<String, Value> = serde_json::from_str(line).ok()?;
        match object.get("kind")?.as_str()? {
            "train" => TrainRow::deserialize(Value::Object(object)).ok().map(MetricsRow::Train),
            "evaluation" => EvaluationRow::read(&object, measure).ok().map(MetricsRow::Evaluation),
            _ => Some(MetricsRow::Other),
        }
    }
}

/// The step of a line of any kind; None where it is damaged.
pub fn step_of(line: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Step {
        step: u64,
    }
    serde_json::from_str(line).ok().map(|Step { step }| step)
}

struct EvaluationLine<'a> {
    row: &'a EvaluationRow,
    measure: &'a MeasureColumns,
}

impl Serialize for EvaluationLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let EvaluationRow { step, epoch, values, seconds } = self.row;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", "evaluation")?;
        map.serialize_entry("step", step)?;
        map.serialize_entry("epoch", epoch)?;
        self.measure.serialize(self.measure.columns(), values, &mut map)?;
        map.serialize_entry("seconds", seconds)?;
        map.end()
    }
}

/// A value as one line of JSON.
pub(crate) fn line(row: &impl Serialize) -> String {
    serde_json::to_string(row).expect("a row is plain data") + "\n"
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Better, MeasureColumn, Unit};

    fn train_row() -> TrainRow {
        TrainRow {
            step: 1,
            epoch: 0.5,
            loss: 1.0,
            rate: 0.1,
            images_per_second: 33.5,
            wait_share: 0.25,
            seconds: 1.5,
            ..TrainRow::default()
        }
    }

    fn read(line: &str, measure: &MeasureColumns) -> Option<MetricsRow> {
        MetricsRow::read(line.strip_suffix('\n').expect("a line ends"), measure)
    }

    #[test]
    fn a_train_row_of_several_ranks_says_how_evenly_they_worked() {
        let ranks = RanksRow {
            ranks: 4,
            slowest: 3,
            slowest_seconds: 0.5,
            median_seconds: 0.25,
            wait_share: 0.125,
            bytes: 1000,
        };
        let row = TrainRow { ranks: Some(ranks), ..train_row() };
        let line = row.to_line();
        let said = "\"ranks\":{\"ranks\":4,\"slowest\":3,\"slowest_seconds\":0.5,\
                    \"median_seconds\":0.25,\"wait_share\":0.125,\"bytes\":1000}}\n";
        assert!(line.ends_with(said), "{line}");
        assert_eq!(read(&line, &MeasureColumns::classification()), Some(MetricsRow::Train(row)));
    }

    #[test]
    fn a_train_row_leaves_out_what_the_run_does_not_have() {
        let row = train_row();
        let line = row.to_line();
        assert_eq!(
            line,
            "{\"kind\":\"train\",\"step\":1,\"epoch\":0.5,\"loss\":1.0,\"rate\":0.1,\
             \"images_per_second\":33.5,\"wait_share\":0.25,\"seconds\":1.5}\n"
        );
        assert_eq!(read(&line, &MeasureColumns::classification()), Some(MetricsRow::Train(row)));
    }

    #[test]
    fn a_train_row_with_everything_comes_back() {
        let row = TrainRow {
            gradient_norm: Some(2.25),
            terms: vec![("rpn_class".to_owned(), 0.75), ("box".to_owned(), 0.1 + 0.2)],
            loss_scale: Some(65_536.0),
            skipped: 2,
            ..train_row()
        };
        let line = row.to_line();
        let new = "\"rate\":0.1,\"gradient_norm\":2.25,\
                   \"terms\":{\"rpn_class\":0.75,\"box\":0.30000000000000004},\"loss_scale\":65536.0,\"skipped\":2,\
                   \"images_per_second\":33.5";
        assert!(line.contains(new), "{line}");
        assert_eq!(read(&line, &MeasureColumns::classification()), Some(MetricsRow::Train(row)));
    }

    #[test]
    fn an_evaluation_row_has_the_keys_of_its_columns() {
        let row = EvaluationRow {
            step: 2,
            epoch: 1.0,
            values: vec![0.5, 52.0, 90.0, 1000.0],
            seconds: 3.0,
        };
        let measure = MeasureColumns::classification();
        let line = row.to_line(&measure);
        assert_eq!(
            line,
            "{\"kind\":\"evaluation\",\"step\":2,\"epoch\":1.0,\"loss\":0.5,\"top1\":52.0,\"top5\":90.0,\
             \"images\":1000,\"seconds\":3.0}\n"
        );
        assert_eq!(read(&line, &measure), Some(MetricsRow::Evaluation(row.clone())));
        let columns = vec![MeasureColumn::new("map", "mAP", Unit::Percent)];
        let other = MeasureColumns::new("map", Better::Higher, columns);
        assert_eq!(read(&line, &other), None, "the row of another task");
        let row = EvaluationRow { values: vec![41.25], ..row };
        let line = row.to_line(&other);
        assert!(line.contains("\"epoch\":1.0,\"map\":41.25,\"seconds\""), "{line}");
        assert_eq!(read(&line, &other), Some(MetricsRow::Evaluation(row)));
    }

    #[test]
    fn what_is_not_finite_is_null_and_comes_back_as_nan() {
        let measure = MeasureColumns::classification();
        let row = TrainRow {
            loss: f64::NAN,
            gradient_norm: Some(f64::INFINITY),
            terms: vec![("box".to_owned(), f64::NAN)],
            ..train_row()
        };
        let line = row.to_line();
        for null in ["\"loss\":null", "\"gradient_norm\":null", "\"terms\":{\"box\":null}"] {
            assert!(line.contains(null), "{line}");
        }
        let Some(MetricsRow::Train(found)) = read(&line, &measure) else { panic!("{line}") };
        assert!(found.loss.is_nan() && found.terms[0].1.is_nan());
        assert!(found.gradient_norm.is_some_and(f64::is_nan));
        let row = EvaluationRow { step: 1, epoch: 1.0, values: vec![f64::NAN; 4], seconds: 1.0 };
        let line = row.to_line(&measure);
        assert!(line.contains("\"loss\":null") && line.contains("\"images\":null"), "{line}");
        let Some(MetricsRow::Evaluation(found)) = read(&line, &measure) else { panic!("{line}") };
        assert!(found.values.iter().all(|value| value.is_nan()));
    }

    #[test]
    fn damaged_lines_are_none_and_later_kinds_are_other() {
        let measure = MeasureColumns::classification();
        let line = train_row().to_line();
        for end in 0..line.len() - 1 {
            assert_eq!(MetricsRow::read(&line[..end], &measure), None, "{}", &line[..end]);
            assert_eq!(step_of(&line[..end]), None);
        }
        assert_eq!(MetricsRow::read(&line.replace("0.5", "\"half\""), &measure), None);
        let later = "{\"kind\":\"later\",\"step\":9}";
        assert_eq!(MetricsRow::read(later, &measure), Some(MetricsRow::Other));
        assert_eq!(step_of(later), Some(9));
    }
}
