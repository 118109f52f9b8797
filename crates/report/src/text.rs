//! Text and numbers as SVG and HTML take them.

use record::{MeasureColumn, Unit};

/// Text for content and for attributes. What XML has no place for at all becomes `�`.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' | '\t' => escaped.push(character),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A number with at most `decimals` decimals, without zeros at its end.
pub(crate) fn rounded(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A number with four significant digits; a dash for what is no number.
pub(crate) fn significant(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let magnitude = if value == 0.0 { 0.0 } else { value.abs().log10().floor() };
    rounded(value, (3.0 - magnitude).clamp(0.0, 12.0) as usize)
}

/// Percent with two decimals; a dash for what is no number.
pub(crate) fn percent(value: f64) -> String {
    if value.is_finite() { format!("{value:.2} %") } else { "–".to_owned() }
}

/// A value of a measure as tables have it; a dash for what is no number.
pub(crate) fn measured(column: &MeasureColumn, value: f64) -> String {
    match column.unit {
        Unit::Percent => percent(value),
        Unit::Count if value.is_finite() => grouped(value as u64),
        Unit::Count | Unit::CrossEntropy | Unit::Plain => significant(value),
    }
}

/// The name of a column beside its values: their percent sign tells enough, other numbers need the full title.
pub(crate) fn label(column: &MeasureColumn) -> &str {
    if column.unit == Unit::Percent { &column.title } else { &column.full_title }
}

/// What an axis of this column's values is labeled.
pub(crate) fn axis(column: &MeasureColumn) -> &str {
    match column.unit {
        Unit::Percent => "%",
        Unit::CrossEntropy => "cross entropy",
        Unit::Count | Unit::Plain => &column.title,
    }
}

/// The label of an axis in a chart whose title does not name the column.
pub(crate) fn titled_axis(column: &MeasureColumn) -> String {
    match column.unit {
        Unit::Count | Unit::Plain => column.title.clone(),
        Unit::Percent | Unit::CrossEntropy => format!("{}, {}", column.title, axis(column)),
    }
}

/// The text with its first letter in upper case, unless its first word has its own capitals, as mAP does.
pub(crate) fn capitalized(text: &str) -> String {
    let word = text.split(' ').next().unwrap_or_default();
    let mut letters = text.chars();
    match letters.next() {
        Some(first) if !word.contains(char::is_uppercase) => {
            first.to_uppercase().to_string() + letters.as_str()
        }
        _ => text.to_owned(),
    }
}

/// 1234567 as 1,234,567.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds as a person says them.
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() => "–".to_owned(),
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s if s < 129_600.0 => format!("{:.1} h", s / 3600.0),
        s => format!("{:.1} days", s / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_means_something_to_html_stays() {
        let hostile = "<script>alert(\"a&b's\")</script>\u{1b}\u{0}";
        let safe = "&lt;script&gt;alert(&quot;a&amp;b&#39;s&quot;)&lt;/script&gt;��";
        assert_eq!(escape(hostile), safe);
        assert_eq!(escape("Größe 3×3"), "Größe 3×3");
    }

    #[test]
    fn columns_read_well_in_every_unit() {
        for (unit, value, texts) in [
            (Unit::Percent, 41.256, ["41.26 %", "mAP", "%", "mAP, %"]),
            (
                Unit::CrossEntropy,
                1.234_56,
                ["1.235", "in full", "cross entropy", "mAP, cross entropy"],
            ),
            (Unit::Plain, 0.5, ["0.5", "in full", "mAP", "mAP"]),
            (Unit::Count, 4952.0, ["4,952", "in full", "mAP", "mAP"]),
            (Unit::Count, f64::NAN, ["–", "in full", "mAP", "mAP"]),
        ] {
            let column = MeasureColumn::new("map", "mAP", unit).in_full("in full");
            let found: [&str; 4] =
                [&measured(&column, value), label(&column), axis(&column), &titled_axis(&column)];
            assert_eq!(found, texts, "{unit:?}");
        }
        for (text, wanted) in [("élan of A", "Élan of A"), ("mAP", "mAP"), ("", "")] {
            assert_eq!(capitalized(text), wanted);
        }
    }

    #[test]
    fn numbers_read_well() {
        for (value, text) in [
            (0.0, "0"),
            (0.05, "0.05"),
            (1234.5678, "1235"),
            (91.016, "91.02"),
            (0.000123456, "0.0001235"),
            (-2.5, "-2.5"),
            (f64::NAN, "–"),
            (f64::INFINITY, "–"),
        ] {
            assert_eq!(significant(value), text);
        }
        assert_eq!(rounded(-0.001, 2), "0");
        assert_eq!(rounded(100.0, 0), "100");
        assert_eq!(duration(7200.0), "2.0 h");
        assert_eq!(grouped(25_557_032), "25,557,032");
    }
}
