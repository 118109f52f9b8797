//! Text on its way to a terminal: what would steer the terminal, or change how the text around it reads, is spelled out.

use std::borrow::Cow;

/// A name, or another text of one line, with every character that is not simply seen written as an escape: a line end as
/// `\n`, an escape character as `\u{1b}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// The same of a text that is laid out in lines: its line ends and tabs stay.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\n' || c == '\t')
}

/// Whether a terminal does something else with this character than show it where it stands: control characters, line and
/// paragraph separators, and the marks and overrides of text direction.
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_escaped = |c: char| is_unprintable(c) && !stays(c);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut printed = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_escaped(c) {
            printed.extend(c.escape_default());
        } else {
            printed.push(c);
        }
    }
    Cow::Owned(printed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_spelled_out() {
        for (text, expected) in [
            ("größe 漢字 🐌.jpg", "größe 漢字 🐌.jpg"),
            ("\u{1b}[31mred\u{1b}]0;pwn\u{7}.jpg", r"\u{1b}[31mred\u{1b}]0;pwn\u{7}.jpg"),
            ("a\nerror: b\r", r"a\nerror: b\r"),
            ("a\u{202e}gpj.exe", r"a\u{202e}gpj.exe"),
            ("\u{9b}31m\u{2028}\u{2066}\u{7f}", r"\u{9b}31m\u{2028}\u{2066}\u{7f}"),
        ] {
            assert_eq!(printable(text), expected);
            assert!(!printable(text).chars().any(is_unprintable));
        }
    }

    #[test]
    fn the_layout_of_a_text_stays() {
        assert_eq!(printable_lines("a\n\tb\u{1b}\r\n"), "a\n\tb\\u{1b}\\r\n");
    }
}
