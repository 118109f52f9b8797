//! A mistake in a recipe: where it is, what is wrong, and how to mend it.

use std::fmt;

use serde::Serialize;

use crate::types::Recipe;

/// One mistake. Printed as `file.toml:12: rate.warmup: unknown key 'durration'; did you mean 'duration'?`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// The file, or the command-line argument such as `--set rate.base=fast`.
    pub source: String,
    /// Counted from 1; 0 where there is no line to name.
    pub line: usize,
    /// Counted from 1, in characters; 0 where there is no line to name.
    pub column: usize,
    /// The key or the table, such as `rate.warmup.duration`; empty for the whole recipe.
    pub key: String,
    pub message: String,
    pub mend: String,
}

impl Mistake {
    /// A mistake that only the data show, about a key of the recipe; [`RecipeErrors::located`] finds its line.
    pub fn with_data(recipe: &Recipe, key: &str, message: String, mend: &str) -> Mistake {
        let source = format!("recipe '{}'", recipe.name);
        Mistake { source, line: 0, column: 0, key: key.to_owned(), message, mend: mend.to_owned() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.source)?;
        if self.line > 0 {
            write!(out, ":{}", self.line)?;
        }
        // An argument already says its own key.
        let said = self.source.starts_with(&format!("--set {}=", self.key));
        if !self.key.is_empty() && !said {
            write!(out, ": {}", self.key)?;
        }
        write!(out, ": {}", self.message)?;
        if !self.mend.is_empty() {
            write!(out, "; {}", self.mend)?;
        }
        Ok(())
    }
}

/// Every mistake of a recipe, printed one per line in the order of the file; mistakes without a place come first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct RecipeErrors {
    pub mistakes: Vec<Mistake>,
}

impl RecipeErrors {
    pub fn new(mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        Self { mistakes }
    }
}

impl fmt::Display for RecipeErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                out.write_str("\n")?;
            }
            mistake.fmt(out)?;
        }
        Ok(())
    }
}

/// What is wrong with a value, and the mend; the reader adds the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) message: String,
    /// Empty if the example of the key is the best mend.
    pub(crate) mend: String,
}

impl Complaint {
    pub(crate) fn new(message: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { message: message.into(), mend: mend.into() }
    }

    pub(crate) fn about(self, recipe: &Recipe, key: &str) -> Mistake {
        Mistake::with_data(recipe, key, self.message, &self.mend)
    }

    /// The complaint about a value of the wrong type.
    pub(crate) fn expected(what: &str, found: &str) -> Self {
        Self::new(format!("expected {what}, found {found}"), "")
    }

    /// The complaint that `word` is none of the `valid` ones.
    pub(crate) fn not_one_of(word: &str, valid: &[&str]) -> Self {
        let message = format!("'{word}' is not one of {}", valid.join(", "));
        Self::new(message, did_you_mean(word, valid).unwrap_or_default())
    }
}

/// `did you mean 'base'?`, if a valid name is near enough to be meant.
pub(crate) fn did_you_mean<Name: AsRef<str>>(word: &str, valid: &[Name]) -> Option<String> {
    nearest(word, valid).map(|name| format!("did you mean '{name}'?"))
}

/// The name most like `word`, if one is near enough to be meant.
pub fn nearest<'a, Name: AsRef<str>>(word: &str, names: &'a [Name]) -> Option<&'a str> {
    let word = word.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&word, &name.to_lowercase());
    let best = names.iter().map(AsRef::as_ref).min_by_key(|name| distance(name))?;
    // A third of the letters may be wrong. With more, a guess misleads more than it helps.
    let length = word.chars().count().max(best.chars().count());
    (distance(best) <= length.div_ceil(3)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::{Mistake, nearest};

    #[test]
    fn nearest_names() {
        let names = ["base", "linear_scaling", "warmup", "decay", "resnet50d"];
        let cases = [
            ("bse", Some("base")),
            ("warm-up", Some("warmup")),
            ("WARMUP", Some("warmup")),
            ("linearscaling", Some("linear_scaling")),
            ("resnet50_d", Some("resnet50d")),
            ("momentum", None),
            ("", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, &names), expected, "{word}");
        }
        assert_eq!(nearest("base", &[] as &[&str]), None);
    }

    #[test]
    fn a_mistake_prints_its_place_its_key_and_its_mend() {
        let mistake = |source: &str, line, key: &str, mend: &str| Mistake {
            source: source.into(),
            line,
            column: 1,
            key: key.into(),
            message: "wrong".into(),
            mend: mend.into(),
        };
        let cases = [
            (mistake("a.toml", 12, "rate.base", "do this"), "a.toml:12: rate.base: wrong; do this"),
            (mistake("a.toml", 0, "rate", ""), "a.toml: rate: wrong"),
            (mistake("a.toml", 3, "", ""), "a.toml:3: wrong"),
            (mistake("--set rate.base=x", 0, "rate.base", ""), "--set rate.base=x: wrong"),
            (mistake("--set rate.bse=x", 0, "rate", ""), "--set rate.bse=x: rate: wrong"),
        ];
        for (mistake, expected) in cases {
            assert_eq!(mistake.to_string(), expected);
        }
    }
}
