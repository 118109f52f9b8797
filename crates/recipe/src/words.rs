//! The words a recipe uses for the choices of [`crate::types`].

use serde::Serializer;

use crate::types::{
    DecayOn, Init, LossScale, OnBadSample, Orientation, Pairing, Precision, RampEnd, Source,
    Spread, StemChoice, Weighting,
};

/// A closed list of words and what each stands for.
pub(crate) type Words<T> = &'static [(&'static str, T)];

pub(crate) const STEMS: Words<StemChoice> =
    &[("imagenet", StemChoice::Imagenet), ("small", StemChoice::Small)];

pub(crate) const INITS: Words<Init> = &[
    ("xavier", Init::Xavier),
    ("xavier-channels", Init::XavierChannels),
    ("msra-prelu", Init::MsraPrelu),
];

pub(crate) const SOURCES: Words<Source> =
    &[("path", Source::Path), ("fashion-mnist", Source::FashionMnist)];

pub(crate) const ON_BAD_SAMPLE: Words<OnBadSample> =
    &[("stop", OnBadSample::Stop), ("skip", OnBadSample::Skip)];

pub(crate) const ORIENTATIONS: Words<Orientation> =
    &[("stored", Orientation::Stored), ("exif", Orientation::Exif)];

pub(crate) const PRECISIONS: Words<Precision> =
    &[("f32", Precision::F32), ("f16", Precision::F16), ("bf16", Precision::Bf16)];

pub(crate) const LOSS_SCALES: Words<LossScale> =
    &[("dynamic", LossScale::Dynamic), ("off", LossScale::Off)];

pub(crate) const DECAY_ON: Words<DecayOn> =
    &[("everything", DecayOn::Everything), ("weights", DecayOn::Weights)];

pub(crate) const RAMP_ENDS: Words<RampEnd> =
    &[("one-step", RampEnd::OneStep), ("zero", RampEnd::Zero)];

pub(crate) const SPREADS: Words<Spread> = &[("others", Spread::Others), ("all", Spread::All)];

pub(crate) const PAIRINGS: Words<Pairing> =
    &[("permutation", Pairing::Permutation), ("reversed", Pairing::Reversed)];

pub(crate) const WEIGHTINGS: Words<Weighting> =
    &[("sum", Weighting::Sum), ("half", Weighting::Half)];

/// The word for a value.
pub(crate) fn word<T: PartialEq>(words: Words<T>, value: &T) -> &'static str {
    let found = words.iter().find(|(_, each)| each == value);
    found.map(|(word, _)| *word).expect("every value of a closed list has its word")
}

/// Writes an [`Init`] as its word: `tricks` knows no file format.
pub(crate) fn serialize_init<S: Serializer>(init: &Init, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(word(INITS, init))
}

/// Writes a [`Precision`] as its word.
pub(crate) fn serialize_precision<S: Serializer>(
    precision: &Precision,
    out: S,
) -> Result<S::Ok, S::Error> {
    out.serialize_str(word(PRECISIONS, precision))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: serde::Serialize>(words: Words<T>) {
        for (word, value) in words {
            assert_eq!(serde_json::to_value(value).unwrap(), *word);
        }
    }

    #[test]
    fn json_uses_the_same_words() {
        check(STEMS);
        check(SOURCES);
        check(ON_BAD_SAMPLE);
        check(ORIENTATIONS);
        check(LOSS_SCALES);
        check(DECAY_ON);
        check(RAMP_ENDS);
        check(SPREADS);
        check(PAIRINGS);
        check(WEIGHTINGS);
    }
}
