//! What is refused, before memory is asked for, and in which words.

use super::TINY;
use crate::{
    MOST_BLOCKS, MOST_CHANNELS, MOST_CLASSES, NetworkError, Options, Shape, StemSize, check_side,
    network,
};

fn refusal(name: &str, options: Options) -> NetworkError {
    network(name, &options).map(|network| network.name).expect_err(name)
}

fn shaped(blocks: [usize; 4], channels: [usize; 4], stem_channels: usize) -> Options {
    let shape = Some(Shape { blocks, channels, stem_channels });
    Options { shape, ..Options::plain(10) }
}

/// One error of each kind.
fn every_kind() -> Vec<NetworkError> {
    let plain = Options::plain(10);
    let small = Options { stem: StemSize::Small, ..plain.clone() };
    let narrow = shaped([1; 4], [8; 4], 8);
    let errors = vec![
        refusal("resnet50_d", plain.clone()),
        refusal("vgg16", Options { shape: Some(TINY), ..plain.clone() }),
        refusal("vgg16", small),
        refusal(
            "resnext50_32x4d",
            Options { shape: Some(Shape { channels: [8; 4], ..TINY }), ..plain.clone() },
        ),
        refusal("vgg16", Options { dilations: [1, 1, 2, 4], ..plain.clone() }),
        check_side(&network("vgg16", &plain).expect("a known name"), 8).expect_err("too small"),
        refusal("resnet18", Options::plain(0)),
        refusal("resnet18", Options { shape: Some(Shape { stem_channels: 7, ..TINY }), ..plain }),
        refusal("resnet50d", shaped([4; 4], [MOST_CHANNELS; 4], 64)),
    ];
    assert!(network("resnet18d", &narrow).is_ok());
    errors
}

/// Words that a message of each kind has to hold: what is meant, what is wrong, and what to give instead. The compiler asks
/// for a new kind here.
fn words(error: &NetworkError) -> (usize, [&'static str; 3]) {
    match error {
        NetworkError::Unknown { .. } => {
            (0, ["resnet50_d", "did you mean \"resnet50d\"", "`trickbag models`"])
        }
        NetworkError::OneShape { .. } => (1, ["vgg16", "one shape", "leave network.shape out"]),
        NetworkError::OneStem { .. } => {
            (2, ["vgg16", "no stem for small images", "take network.stem"])
        }
        NetworkError::TooNarrow { .. } => {
            (3, ["resnext50_32x4d", "32 groups", "at least 16 channels in network.shape"])
        }
        NetworkError::NotDilated { .. } => (4, ["vgg16", "cannot be dilated", "`trickbag models`"]),
        NetworkError::ImagesTooSmall { .. } => {
            (5, ["vgg16", "not 8×8", "give a larger size or crop"])
        }
        NetworkError::OutOfRange { .. } => {
            (6, ["resnet18", "0 classes", "give a number from 1 to"])
        }
        NetworkError::OddStem { .. } => (7, ["resnet18", "7 stem channels", "give an even number"]),
        NetworkError::TooLarge { .. } => {
            (8, ["resnet50d", "parameters", "give fewer blocks, channels or"])
        }
    }
}

#[test]
fn every_error_names_the_network_what_is_wrong_and_what_to_give() {
    let errors = every_kind();
    for (index, error) in errors.iter().enumerate() {
        let (kind, words) = words(error);
        assert_eq!(kind, index, "each kind once, in order: {error}");
        let text = error.to_string();
        words.iter().for_each(|word| assert!(text.contains(word), "no {word:?} in: {text}"));
    }
    assert_eq!(errors.len(), 9);
}

/// A file may say any number; each of these would ask for more memory than there is.
#[test]
fn absurd_numbers_are_refused_and_the_largest_allowed_ones_are_not() {
    let wide = [8; 4];
    for (options, words) in [
        (Options::plain(MOST_CLASSES + 1), "1000001 classes"),
        (Options::plain(usize::MAX), "classes"),
        (shaped([0, 1, 1, 1], wide, 8), "0 blocks in a stage"),
        (shaped([100_000_000, 1, 1, 1], wide, 8), "100000000 blocks in a stage"),
        (shaped([1; 4], [0, 8, 8, 8], 8), "0 channels in a stage"),
        (shaped([1; 4], [100_000; 4], 8), "100000 channels in a stage"),
        (shaped([1; 4], [usize::MAX; 4], 8), "channels in a stage"),
        (shaped([1; 4], wide, 0), "0 stem channels"),
        (shaped([1; 4], wide, usize::MAX), "stem channels"),
        (shaped([MOST_BLOCKS; 4], [1024; 4], 8), "parameters"),
    ] {
        let text = refusal("resnet50d", options.clone()).to_string();
        assert!(text.contains(words), "{options:?}: no {words:?} in: {text}");
    }
    let deepest = network("resnet50d", &shaped([MOST_BLOCKS; 4], wide, 8)).expect("the deepest");
    assert_eq!(deepest.stages[0].layers.len(), MOST_BLOCKS);
    network("resnet18d", &Options::plain(MOST_CLASSES)).expect("the most classes");
}
