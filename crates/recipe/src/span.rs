//! Lengths of training and of time, with their units: `"5 epochs"`, `"100 steps"`, `"5 minutes"`.

use std::cmp::Ordering;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::mistake::{Complaint, did_you_mean};
use crate::types::{Interval, Span};

pub(crate) const TRAINING_UNITS: &[&str] = &["epochs", "steps"];
pub(crate) const INTERVAL_UNITS: &[&str] = &["minutes", "seconds", "epochs", "steps"];

impl Span {
    /// Reads `"5 epochs"` or `"100 steps"`; always longer than nothing.
    pub(crate) fn read(text: &str) -> Result<Self, Complaint> {
        match Length::read(text, TRAINING_UNITS)? {
            Length { amount, unit: "epochs" } => Ok(Span::Epochs(amount.number(text)?)),
            Length { amount, .. } => Ok(Span::Steps(amount.whole(text)?)),
        }
    }

    /// A share of it; of steps, the nearest whole number.
    pub(crate) fn times(self, share: f64) -> Span {
        match self {
            Span::Epochs(epochs) => Span::Epochs(epochs * share),
            Span::Steps(steps) => Span::Steps(((steps as f64 * share).round() as u64).max(1)),
        }
    }
}

/// Reads `"50 %"` as a half.
pub(crate) fn share(text: &str) -> Result<f64, Complaint> {
    let amount = text.trim().trim_end_matches('%').trim();
    let percent: f64 = amount.parse().map_err(|_| not_a_number(amount))?;
    if percent > 0.0 && percent < 100.0 {
        return Ok(percent / 100.0);
    }
    let message = format!("\"{}\" is out of range", text.trim());
    Err(Complaint::new(message, "a share of the run is more than 0 % and less than 100 %"))
}

impl Interval {
    /// Reads what [`Span`] reads, and `"5 minutes"` or `"30 seconds"`.
    pub(crate) fn read(text: &str) -> Result<Self, Complaint> {
        match Length::read(text, INTERVAL_UNITS)? {
            Length { amount, unit: "minutes" } => {
                Ok(Interval::Seconds(60.0 * amount.number(text)?))
            }
            Length { amount, unit: "seconds" } => Ok(Interval::Seconds(amount.number(text)?)),
            _ => Span::read(text).map(Interval::Span),
        }
    }
}

/// A number and its unit, not yet checked against each other.
struct Length<'a> {
    amount: Amount<'a>,
    unit: &'static str,
}

impl<'a> Length<'a> {
    fn read(text: &'a str, units: &'static [&'static str]) -> Result<Self, Complaint> {
        let text = text.trim();
        let number_ends = text.find(|c: char| !c.is_ascii_digit() && !"+-._".contains(c));
        let (amount, unit) = text.split_at(number_ends.unwrap_or(text.len()));
        let unit = unit.trim();
        if amount.is_empty() {
            return Err(Complaint::new(format!("\"{text}\" has no number"), forms(units)));
        }
        if unit.is_empty() {
            return Err(Complaint::new(format!("{text} has no unit"), with_units(text, units)));
        }
        // "1 epoch" and "5 epochs" are both English, and nobody should have to care which is which.
        let known =
            units.iter().find(|name| **name == unit || name.strip_suffix('s') == Some(unit));
        let unknown = || {
            let valid = units.join(", ");
            let message = format!("'{unit}' is not a unit here; the units are {valid}");
            Complaint::new(message, did_you_mean(unit, units).unwrap_or_else(|| forms(units)))
        };
        known.map(|unit| Self { amount: Amount(amount), unit }).ok_or_else(unknown)
    }
}

struct Amount<'a>(&'a str);

impl Amount<'_> {
    fn number(&self, text: &str) -> Result<f64, Complaint> {
        let number: f64 = self.0.parse().map_err(|_| not_a_number(self.0))?;
        if number > 0.0 && number.is_finite() { Ok(number) } else { Err(too_short(text)) }
    }

    fn whole(&self, text: &str) -> Result<u64, Complaint> {
        match self.0.parse::<u64>() {
            Ok(0) => Err(too_short(text)),
            Ok(steps) => Ok(steps),
            Err(_) => match self.0.parse::<f64>() {
                Ok(number) if number <= 0.0 => Err(too_short(text)),
                Ok(_) => {
                    let message = format!("{} is not a whole number of steps", self.0);
                    Err(Complaint::new(message, "steps are whole; epochs may have a fraction"))
                }
                Err(_) => Err(not_a_number(self.0)),
            },
        }
    }
}

fn not_a_number(amount: &str) -> Complaint {
    Complaint::new(format!("'{amount}' is not a number"), "")
}

fn too_short(text: &str) -> Complaint {
    Complaint::new(format!("\"{text}\" is out of range"), "a length is more than 0")
}

fn forms(units: &[&str]) -> String {
    with_units("5", units)
}

fn with_units(number: &str, units: &[&str]) -> String {
    let forms: Vec<String> = units.iter().map(|unit| format!("\"{number} {unit}\"")).collect();
    format!("write {}", forms.join(" or "))
}

/// The mend for a bare number where a length is expected.
pub(crate) fn needs_unit(number: &str, interval: bool) -> Complaint {
    let units = if interval { INTERVAL_UNITS } else { TRAINING_UNITS };
    Complaint::new(format!("{number} has no unit"), with_units(number, units))
}

/// Spans of one unit have an order; epochs and steps have none until the length of an epoch is known.
impl PartialOrd for Span {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Span::Epochs(a), Span::Epochs(b)) => a.partial_cmp(b),
            (Span::Steps(a), Span::Steps(b)) => a.partial_cmp(b),
            _ => None,
        }
    }
}

fn write_length(
    out: &mut fmt::Formatter<'_>,
    amount: impl fmt::Display,
    unit: &str,
) -> fmt::Result {
    let amount = amount.to_string();
    let plural = if amount == "1" { "" } else { "s" };
    write!(out, "{amount} {unit}{plural}")
}

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Span::Epochs(epochs) => write_length(out, epochs, "epoch"),
            Span::Steps(steps) => write_length(out, steps, "step"),
        }
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Interval::Seconds(seconds) => {
                let minutes = (seconds / 60.0).trunc();
                if minutes >= 1.0 && minutes * 60.0 == *seconds {
                    write_length(out, minutes, "minute")
                } else {
                    write_length(out, seconds, "second")
                }
            }
            Interval::Span(span) => span.fmt(out),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use crate::types::{Interval, Span};

    #[test]
    fn lengths_read_and_print() {
        let cases = [
            ("5 epochs", Span::Epochs(5.0), "5 epochs"),
            ("1 epoch", Span::Epochs(1.0), "1 epoch"),
            ("1 epochs", Span::Epochs(1.0), "1 epoch"),
            ("5 epoch", Span::Epochs(5.0), "5 epochs"),
            ("0.5 epochs", Span::Epochs(0.5), "0.5 epochs"),
            ("  100   steps ", Span::Steps(100), "100 steps"),
            ("1 step", Span::Steps(1), "1 step"),
            ("3steps", Span::Steps(3), "3 steps"),
        ];
        for (text, span, printed) in cases {
            assert_eq!(Span::read(text), Ok(span), "{text}");
            assert_eq!(Interval::read(text), Ok(Interval::Span(span)), "{text}");
            assert_eq!(span.to_string(), printed);
        }
    }

    #[test]
    fn intervals_read_and_print() {
        let cases = [
            ("5 minutes", 300.0, "5 minutes"),
            ("1 minute", 60.0, "1 minute"),
            ("60 seconds", 60.0, "1 minute"),
            ("90 seconds", 90.0, "90 seconds"),
            ("1.5 minutes", 90.0, "90 seconds"),
            ("1 second", 1.0, "1 second"),
            ("0.5 seconds", 0.5, "0.5 seconds"),
        ];
        for (text, seconds, printed) in cases {
            assert_eq!(Interval::read(text), Ok(Interval::Seconds(seconds)), "{text}");
            assert_eq!(Interval::Seconds(seconds).to_string(), printed);
        }
    }

    #[test]
    fn wrong_lengths_say_what_to_write() {
        let units = "the units are epochs, steps";
        let cases = [
            ("5", "5 has no unit", r#"write "5 epochs" or "5 steps""#),
            ("epochs", r#""epochs" has no number"#, r#"write "5 epochs" or "5 steps""#),
            ("", r#""" has no number"#, r#"write "5 epochs" or "5 steps""#),
            ("5 epoks", &format!("'epoks' is not a unit here; {units}"), "did you mean 'epochs'?"),
            (
                "5 minutes",
                &format!("'minutes' is not a unit here; {units}"),
                r#"write "5 epochs" or "5 steps""#,
            ),
            ("0 epochs", r#""0 epochs" is out of range"#, "a length is more than 0"),
            ("-1 step", r#""-1 step" is out of range"#, "a length is more than 0"),
            ("1..2 epochs", "'1..2' is not a number", ""),
            (
                "1.5 steps",
                "1.5 is not a whole number of steps",
                "steps are whole; epochs may have a fraction",
            ),
        ];
        for (text, message, mend) in cases {
            let complaint = Span::read(text).expect_err(text);
            assert_eq!((complaint.message.as_str(), complaint.mend.as_str()), (message, mend));
        }
    }
}
