//! Closed lists of words, and the choices of recipes that stand in other crates.

use tricks::{Init, Precision};

use super::form::{Form, Shape, Written};
use crate::reader::Reader;

/// A word, what it stands for, and its meaning.
pub(crate) struct Word<T: 'static> {
    pub(crate) word: &'static str,
    pub(crate) value: T,
    pub(crate) meaning: &'static [&'static str],
}

/// A type whose values are words of a closed list.
pub(crate) trait Words: Copy + PartialEq + 'static {
    const WORDS: &'static [Word<Self>];
}

/// The word for a value.
pub(crate) fn word<T: Words>(value: T) -> &'static str {
    let found = T::WORDS.iter().find(|each| each.value == value);
    found.map(|each| each.word).expect("every value of a closed list has its word")
}

impl<T: Words> Form for T {
    type Rules = ();

    fn read(reader: &mut Reader<'_>, path: &str, (): ()) -> Option<Self> {
        reader.choice(path)
    }

    fn write(&self) -> Written {
        Written::Text(word(*self).to_owned())
    }

    fn shape((): ()) -> Shape {
        let words = T::WORDS.iter().map(|each| {
            let meaning = each.meaning.concat();
            let meaning = meaning.trim().trim_end_matches('.');
            match meaning.is_empty() {
                true => format!("`{}`", each.word),
                false => format!("`{}` ({meaning})", each.word),
            }
        });
        Shape::Value(words.collect::<Vec<_>>().join(" or "))
    }
}

impl Words for Init {
    const WORDS: &'static [Word<Init>] = &[
        Word {
            word: "xavier",
            value: Init::Xavier,
            meaning: &["uniform, fans with kernel area and groups"],
        },
        Word {
            word: "xavier-channels",
            value: Init::XavierChannels,
            meaning: &["fans of channels only, as §2.1's text has it"],
        },
        Word { word: "msra-prelu", value: Init::MsraPrelu, meaning: &["the authors' code"] },
    ];
}

impl Words for Precision {
    const WORDS: &'static [Word<Precision>] = &[
        Word { word: "f32", value: Precision::F32, meaning: &[] },
        Word { word: "f16", value: Precision::F16, meaning: &["§3.2"] },
        Word { word: "bf16", value: Precision::Bf16, meaning: &[] },
    ];
}
