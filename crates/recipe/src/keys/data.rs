//! `[data]`: where the images come from, and which of them are used.

use super::rules::{COUNT, INNER_SHARE, SEED};
use super::*;

table! {
    /// Where the images come from, and which of them are used.
    pub struct Data {
        /// Source of the images.
        source: Source = key(r#""path""#),
        /// Share of the training images held out for validation where the data has no validation part.
        split: f64 = key("0.1").rules(INNER_SHARE),
        /// Which images are held out is a function of this number. It is apart from the run's seed, so that runs of several
        /// seeds, a teacher and its student, and a model and what is fine-tuned from it validate on the same images.
        split_seed: u64 = key("1").rules(SEED).absent(1),
        /// The most training images to use. They are taken evenly from the whole, so each class keeps its share, and every
        /// seed sees the same ones.
        limit: Option<usize> = key("10000").rules(COUNT),
        /// What happens when a training image cannot be decoded. A validation image always stops the run, since each counts
        /// once.
        on_bad_sample: OnBadSample = key(r#""skip""#).absent(OnBadSample::Stop),
        /// Which way up a picture is.
        orientation: Orientation = key(r#""exif""#).absent(Orientation::Stored),
    }
}

words! {
    /// Where the images come from.
    pub enum Source {
        /// The path given with `--data`.
        Path = "path",
        /// The Fashion-MNIST subset inside the program.
        FashionMnist = "fashion-mnist",
    }
}

words! {
    /// What happens when a training image cannot be decoded.
    pub enum OnBadSample {
        /// The run stops and names every bad image.
        Stop = "stop",
        /// Another training image, drawn at random, takes its place, and the run folder lists both.
        Skip = "skip",
    }
}

words! {
    /// Which way up a picture is.
    pub enum Orientation {
        /// The way its pixels are stored, as in torchvision.
        Stored = "stored",
        /// The way its EXIF data says.
        Exif = "exif",
    }
}
