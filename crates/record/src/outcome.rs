//! `result.json`: the outcome of a run of an ablation, as one JSON object.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::measure::{MeasureColumn, MeasureColumns};
use crate::number;

/// The outcome of a run of an ablation.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The last evaluation, in the order of the measure's columns; NaN where the loss became NaN or infinite.
    pub values: Vec<f64>,
    pub steps: u64,
    pub parameters: u64,
    /// The multiply-adds for one validation image.
    pub multiply_adds: u64,
    /// The median speed of the logged rows, evaluations left out; None where nothing was logged.
    pub images_per_second: Option<f64>,
    /// Seconds of training an epoch at that speed, without evaluations.
    pub seconds_per_epoch: Option<f64>,
    /// Seconds of all work, evaluations and earlier sessions included.
    pub seconds: f64,
}

impl Outcome {
    /// The text of the file.
    ///
    /// # Panics
    /// When there are not as many values as columns.
    pub fn to_json(&self, measure: &MeasureColumns) -> String {
        let file = OutcomeFile { outcome: self, measure };
        serde_json::to_string_pretty(&file).expect("an outcome is plain data")
    }

    /// Reads the text of the file.
    pub fn read(text: &str, measure: &MeasureColumns) -> Result<Outcome, serde_json::Error> {
        let object: Map<String, Value> = serde_json::from_str(text)?;
        let value = |column: &MeasureColumn| number::of(&object, &column.name);
        let optional =
            |key| number::of(&object, key).map(|number| Some(number).filter(|n| !n.is_nan()));
        Ok(Outcome {
            values: measure.columns().iter().map(value).collect::<Result<_, _>>()?,
            steps: number::count(&object, "steps")?,
            parameters: number::count(&object, "parameters")?,
            multiply_adds: number::count(&object, "multiply_adds")?,
            images_per_second: optional("images_per_second")?,
            seconds_per_epoch: optional("seconds_per_epoch")?,
            seconds: number::of(&object, "seconds")?,
        })
    }
}

struct OutcomeFile<'a> {
    outcome: &'a Outcome,
    measure: &'a MeasureColumns,
}

impl Serialize for OutcomeFile<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.measure.serialize(self.measure.for_people(), &self.outcome.values, &mut map)?;
        map.serialize_entry("steps", &self.outcome.steps)?;
        map.serialize_entry("parameters", &self.outcome.parameters)?;
        map.serialize_entry("multiply_adds", &self.outcome.multiply_adds)?;
        map.serialize_entry("images_per_second", &self.outcome.images_per_second)?;
        map.serialize_entry("seconds_per_epoch", &self.outcome.seconds_per_epoch)?;
        map.serialize_entry("seconds", &self.outcome.seconds)?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        Outcome {
            values: vec![0.75, 71.5, 90.0, 1000.0],
            steps: 30,
            parameters: 25_557_032,
            multiply_adds: 4_089_184_256,
            images_per_second: Some(33.5),
            seconds_per_epoch: Some(12.25),
            seconds: 99.5,
        }
    }

    #[test]
    fn an_outcome_comes_back() {
        let measure = MeasureColumns::classification();
        let text = outcome().to_json(&measure);
        let wanted = "{\n  \"top1\": 71.5,\n  \"top5\": 90.0,\n  \"loss\": 0.75,\n  \"images\": 1000,\n  \
                      \"steps\": 30,\n  \"parameters\": 25557032,\n  \"multiply_adds\": 4089184256,\n  \
                      \"images_per_second\": 33.5,\n  \"seconds_per_epoch\": 12.25,\n  \"seconds\": 99.5\n}";
        assert_eq!(text, wanted);
        assert_eq!(Outcome::read(&text, &measure).unwrap(), outcome());
    }

    #[test]
    fn a_run_that_diverged_has_null_for_its_values() {
        let measure = MeasureColumns::classification();
        let values = vec![f64::NAN, f64::NAN, f64::NAN, 1000.0];
        let diverged =
            Outcome { values, images_per_second: None, seconds_per_epoch: None, ..outcome() };
        let text = diverged.to_json(&measure);
        assert!(text.contains("\"top1\": null") && text.contains("\"images\": 1000"), "{text}");
        let found = Outcome::read(&text, &measure).unwrap();
        assert!(measure.headline_value(&found.values).is_nan());
        assert_eq!((found.images_per_second, found.seconds_per_epoch), (None, None));
    }

    #[test]
    fn what_is_missing_is_named() {
        let measure = MeasureColumns::classification();
        let text = outcome().to_json(&measure).replace("top5", "top7");
        let error = Outcome::read(&text, &measure).unwrap_err().to_string();
        assert!(error.contains("top5 is missing"), "{error}");
    }
}
