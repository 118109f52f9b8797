//! The columns of a task's measure: what an evaluation counts, what its numbers are called, and which one decides.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::names::MEASURE_KEY;

/// Keys that rows have of their own; no column may take them.
const RESERVED: [&str; 4] = ["kind", "step", "epoch", "seconds"];

/// The name of the column that training rows share with those measures that have it.
pub const LOSS: &str = "loss";

/// One number of a measure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasureColumn {
    /// The key in JSON, the head in CSV, the tag in TensorBoard: `top1`.
    pub name: String,
    /// What people call it where there is little room: `top-1`.
    pub title: String,
    /// What people call it where nothing around explains it: `top-1 accuracy`.
    pub full_title: String,
    pub unit: Unit,
}

/// The unit of a column's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// 0 to 100; the higher, the better.
    Percent,
    /// A whole number of things, such as the images that were evaluated. It describes the evaluation and is not a result.
    Count,
    /// The mean of −Σ p log q in nats; the lower, the better.
    CrossEntropy,
    /// Any other number.
    Plain,
}

/// Which of two values of the headline is the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    Higher,
    Lower,
}

/// The columns of a measure. `run.json` holds them under [`MEASURE_KEY`], so that a reader of the folder knows what the
/// values of its rows are. The values themselves are always in the order of the columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct MeasureColumns {
    /// The name of the column that decides which model is the best.
    headline: String,
    better: Better,
    columns: Vec<MeasureColumn>,
}

/// The best evaluation of a run so far: its step and the value of its headline.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    pub step: u64,
    pub value: f64,
}

/// Columns as a file has them.
#[derive(Deserialize)]
struct Unchecked {
    headline: String,
    better: Better,
    columns: Vec<MeasureColumn>,
}

impl MeasureColumn {
    /// A column with one title for all places.
    pub fn new(name: &str, title: &str, unit: Unit) -> MeasureColumn {
        let (name, title) = (name.to_owned(), title.to_owned());
        MeasureColumn { name, full_title: title.clone(), title, unit }
    }

    /// The same column with another full title.
    pub fn in_full(self, full_title: &str) -> MeasureColumn {
        MeasureColumn { full_title: full_title.to_owned(), ..self }
    }

    /// A value with its title, as a line on the screen says it: `top-1 71.50 %`, `loss 1.2345`.
    pub fn say(&self, value: f64) -> String {
        let title = &self.title;
        match self.unit {
            Unit::Percent => format!("{title} {value:.2} %"),
            Unit::Count => format!("{value} {title}"),
            Unit::CrossEntropy | Unit::Plain => format!("{title} {value:.4}"),
        }
    }
}

impl MeasureColumns {
    /// The columns of a measure, in the order of its values.
    ///
    /// # Panics
    /// When no column is called `headline`, when two columns share a name, or when one is a key of every row.
    pub fn new(headline: &str, better: Better, columns: Vec<MeasureColumn>) -> MeasureColumns {
        let unchecked = Unchecked { headline: headline.to_owned(), better, columns };
        unchecked.try_into().unwrap_or_else(|problem: String| panic!("{problem}"))
    }

    /// The measure of classification: loss, top-1 and top-5 accuracy, and the number of images.
    pub fn classification() -> MeasureColumns {
        let columns = vec![
            MeasureColumn::new(LOSS, "loss", Unit::CrossEntropy).in_full("validation loss"),
            MeasureColumn::new("top1", "top-1", Unit::Percent).in_full("top-1 accuracy"),
            MeasureColumn::new("top5", "top-5", Unit::Percent).in_full("top-5 accuracy"),
            MeasureColumn::new("images", "images", Unit::Count),
        ];
        MeasureColumns::new("top1", Better::Higher, columns)
    }

    /// The columns that `run.json` holds, and those of classification where it lacks the key: older runs were all of
    /// classification. None where the key holds anything but columns.
    pub fn of_run(run: &Map<String, Value>) -> Option<MeasureColumns> {
        match run.get(MEASURE_KEY) {
            None => Some(MeasureColumns::classification()),
            Some(columns) => MeasureColumns::deserialize(columns).ok(),
        }
    }

    /// The columns in the order of the values.
    pub fn columns(&self) -> &[MeasureColumn] {
        &self.columns
    }

    /// Which of two values of the headline is the better one.
    pub fn better(&self) -> Better {
        self.better
    }

    /// The column that decides which model is the best.
    pub fn headline(&self) -> &MeasureColumn {
        self.column(&self.headline).expect("the headline is a column")
    }

    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<&MeasureColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The value of the column of this name; None where there is no such column.
    ///
    /// # Panics
    /// When there are not as many values as columns.
    pub fn value(&self, values: &[f64], name: &str) -> Option<f64> {
        self.check(values);
        self.columns.iter().zip(values).find(|(column, _)| column.name == name).map(|(_, &v)| v)
    }

    /// The headline's value.
    ///
    /// # Panics
    /// When there are not as many values as columns.
    pub fn headline_value(&self, values: &[f64]) -> f64 {
        self.value(values, &self.headline).expect("the headline is a column")
    }

    /// Whether `value` of the headline is better than the best one so far. A value that is not finite is never better.
    pub fn improves(&self, best: Option<f64>, value: f64) -> bool {
        let beats = |best: f64| match self.better {
            Better::Higher => value > best,
            Better::Lower => value < best,
        };
        value.is_finite() && best.is_none_or(|best| !best.is_finite() || beats(best))
    }

    /// The columns in the order in which people read them: the headline, other percentages, other numbers, counts.
    pub fn for_people(&self) -> Vec<&MeasureColumn> {
        let mut columns: Vec<&MeasureColumn> = self.columns.iter().collect();
        columns.sort_by_key(|column| match column.unit {
            _ if column.name == self.headline => 0,
            Unit::Percent => 1,
            Unit::CrossEntropy | Unit::Plain => 2,
            Unit::Count => 3,
        });
        columns
    }

    /// Values as a line on the screen says them: `top-1 71.50 %, top-5 90.00 %, loss 1.2345 on 1000 images`.
    ///
    /// # Panics
    /// When there are not as many values as columns.
    pub fn say(&self, values: &[f64]) -> String {
        let said = |columns: Vec<&MeasureColumn>| {
            let say = |column: &MeasureColumn| Some(column.say(self.value(values, &column.name)?));
            columns.into_iter().filter_map(say).collect::<Vec<_>>().join(", ")
        };
        let (counts, results): (Vec<_>, Vec<_>) =
            self.for_people().into_iter().partition(|column| column.unit == Unit::Count);
        let on = if counts.is_empty() { "" } else { " on " };
        format!("{}{on}{}", said(results), said(counts))
    }

    /// Writes the values into a JSON object, in the given order of the columns; a count without a decimal point.
    pub(crate) fn serialize<'a, M: SerializeMap>(
        &'a self,
        order: impl IntoIterator<Item = &'a MeasureColumn>,
        values: &[f64],
        map: &mut M,
    ) -> Result<(), M::Error> {
        for column in order {
            let value = self.value(values, &column.name).expect("a column of this measure");
            if column.unit == Unit::Count && value.is_finite() {
                map.serialize_entry(&column.name, &(value as u64))?;
            } else {
                map.serialize_entry(&column.name, &value)?;
            }
        }
        Ok(())
    }

    fn check(&self, values: &[f64]) {
        let (columns, values) = (self.columns.len(), values.len());
        assert_eq!(columns, values, "{columns} columns and {values} values");
    }
}

impl TryFrom<Unchecked> for MeasureColumns {
    type Error = String;

    fn try_from(unchecked: Unchecked) -> Result<MeasureColumns, String> {
        let Unchecked { headline, better, columns } = unchecked;
        for (index, MeasureColumn { name, .. }) in columns.iter().enumerate() {
            if RESERVED.contains(&name.as_str()) {
                return Err(format!("a column is called {name}, which is a key of every row"));
            }
            if columns[..index].iter().any(|other| other.name == *name) {
                return Err(format!("two columns are called {name}"));
            }
        }
        if !columns.iter().any(|column| column.name == headline) {
            return Err(format!("the headline is {headline}, but no column is called so"));
        }
        Ok(MeasureColumns { headline, better, columns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of_run(run: &Value) -> Option<MeasureColumns> {
        MeasureColumns::of_run(run.as_object().unwrap())
    }

    #[test]
    fn columns_come_back_from_json() {
        let columns = MeasureColumns::classification();
        let run = json!({ "threads": 2, "measure": columns });
        assert_eq!(of_run(&run), Some(columns));
        let first = json!({
            "name": "loss", "title": "loss", "full_title": "validation loss", "unit": "cross_entropy"
        });
        assert_eq!(run["measure"]["columns"][0], first);
        assert_eq!(
            (&run["measure"]["headline"], &run["measure"]["better"]),
            (&json!("top1"), &json!("higher"))
        );
    }

    #[test]
    fn a_run_that_tells_no_columns_is_classifications() {
        let columns = of_run(&json!({ "threads": 2 }));
        assert_eq!(columns, Some(MeasureColumns::classification()));
    }

    #[test]
    fn columns_that_contradict_themselves_are_refused() {
        let column =
            |name: &str| json!({ "name": name, "title": "", "full_title": "", "unit": "plain" });
        for (headline, names) in
            [("map", ["loss", "top1"]), ("loss", ["loss", "loss"]), ("loss", ["loss", "step"])]
        {
            let columns = json!({
                "headline": headline, "better": "lower", "columns": names.map(column),
            });
            let run = json!({ "measure": columns });
            assert_eq!(of_run(&run), None, "{run}");
        }
        assert_eq!(of_run(&json!({ "measure": "top1" })), None);
    }

    #[test]
    fn values_are_said_in_the_order_for_people() {
        let said = MeasureColumns::classification().say(&[1.234_56, 71.5, 90.0, 1000.0]);
        assert_eq!(said, "top-1 71.50 %, top-5 90.00 %, loss 1.2346 on 1000 images");
        let columns = vec![MeasureColumn::new("distance", "distance", Unit::Plain)];
        let columns = MeasureColumns::new("distance", Better::Lower, columns);
        assert_eq!(columns.say(&[0.5]), "distance 0.5000");
    }

    #[test]
    fn values_are_found_by_name() {
        let (columns, values) = (MeasureColumns::classification(), [0.5, 71.5, 90.0, 10.0]);
        assert_eq!(columns.value(&values, "top5"), Some(90.0));
        assert_eq!(columns.value(&values, "map"), None);
        assert_eq!(columns.headline_value(&values), 71.5);
    }

    #[test]
    fn the_best_is_the_highest_or_the_lowest() {
        let higher = MeasureColumns::classification();
        let columns = vec![MeasureColumn::new("distance", "distance", Unit::Plain)];
        let lower = MeasureColumns::new("distance", Better::Lower, columns);
        for (best, value, improves_higher, improves_lower) in [
            (None, 1.0, true, true),
            (Some(1.0), 2.0, true, false),
            (Some(2.0), 1.0, false, true),
            (Some(1.0), 1.0, false, false),
            (Some(1.0), f64::NAN, false, false),
            (None, f64::NAN, false, false),
            (Some(1.0), f64::INFINITY, false, false),
            (Some(f64::NAN), 1.0, true, true),
        ] {
            let found = (higher.improves(best, value), lower.improves(best, value));
            assert_eq!(found, (improves_higher, improves_lower), "{value} after {best:?}");
        }
    }

    #[test]
    #[should_panic(expected = "4 columns and 3 values")]
    fn values_of_another_measure_are_a_mistake_in_the_program() {
        MeasureColumns::classification().headline_value(&[0.5, 71.5, 90.0]);
    }
}
