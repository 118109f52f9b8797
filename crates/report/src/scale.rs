//! An axis: from values to pixels, with ticks that a person would choose.

use crate::text::rounded;

/// A linear scale; `from` and `to` are pixels and may run backwards, as a vertical axis does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) from: f64,
    pub(crate) to: f64,
}

/// At most this many steps between ticks.
const STEPS: f64 = 6.0;

impl Scale {
    /// The scale of the finite `values`; without any, that of 0 to 1. With `round`, its ends are ticks.
    pub(crate) fn of(values: impl Iterator<Item = f64>, round: bool) -> Scale {
        let finite = values.filter(|value| value.is_finite());
        let (mut low, mut high) =
            finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if low == high {
            // One value stands in the middle of its axis.
            let room = if low == 0.0 { 1.0 } else { low.abs() / 2.0 };
            (low, high) = (low - room, high + room);
        }
        if round {
            let step = step(low, high);
            (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        }
        Scale { low, high, from: 0.0, to: 1.0 }
    }

    /// The same scale on these pixels.
    pub(crate) fn on(self, from: f64, to: f64) -> Scale {
        Scale { from, to, ..self }
    }

    /// The pixel of a value.
    pub(crate) fn place(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Values worth a line, each with its text.
    pub(crate) fn ticks(&self) -> Vec<(f64, String)> {
        let step = step(self.low, self.high);
        let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
        // Counted, not added up: the tenth tick is ten steps, to the last bit.
        let (first, last) = ((self.low / step - 1e-9).ceil(), (self.high / step + 1e-9).floor());
        let count = (last - first).clamp(0.0, 2.0 * STEPS) as usize;
        let value = |index| (first + index as f64) * step;
        (0..=count).map(|index| (value(index), rounded(value(index), decimals))).collect()
    }
}

/// 1, 2 or 5 times a power of ten.
fn step(low: f64, high: f64) -> f64 {
    let rough = (high - low) / STEPS;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(scale: &Scale) -> String {
        scale.ticks().into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_those_a_person_would_choose() {
        for (values, expected) in [
            (vec![0.0, 120.0], "0 20 40 60 80 100 120"),
            (vec![0.0, 0.4], "0 0.1 0.2 0.3 0.4"),
            (vec![0.37, 2.41], "0 0.5 1 1.5 2 2.5"),
            (vec![71.2, 93.7], "70 75 80 85 90 95"),
            (vec![-3.0, 12.0], "-5 0 5 10 15"),
            (vec![5.0], "2 3 4 5 6 7 8"),
            (vec![0.0], "-1 -0.5 0 0.5 1"),
            (vec![f64::NAN], "0 0.2 0.4 0.6 0.8 1"),
        ] {
            assert_eq!(texts(&Scale::of(values.iter().copied(), true)), expected, "{values:?}");
        }
    }

    #[test]
    fn without_rounding_the_ends_are_the_values() {
        let scale = Scale::of([0.0, 11.7].into_iter(), false).on(100.0, 217.0);
        assert_eq!(texts(&scale), "0 2 4 6 8 10");
        assert_eq!((scale.place(0.0), scale.place(11.7)), (100.0, 217.0));
    }
}
