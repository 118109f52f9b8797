//! The largest networks that are built. Numbers in a file may say anything, and memory is asked for by what they say.

use nn::Module;

use crate::network::Network;
use crate::{NetworkError, Options};

/// The most blocks of a stage.
pub const MOST_BLOCKS: usize = 512;

/// The most channels of a stage or of the stem, before a bottleneck makes four times as many of them.
pub const MOST_CHANNELS: usize = 8192;

/// The most classes.
pub const MOST_CLASSES: usize = 1_000_000;

/// The most parameters, 4 GiB in 32 bits. The largest network here has 144 million, as the paper's time knew it.
pub const MOST_PARAMETERS: u64 = 1 << 30;

/// Refuses numbers that no network has, before a layer is made.
pub(crate) fn check_options(name: &str, options: &Options) -> Result<(), NetworkError> {
    let range = |what, found, most| match found {
        found if (1..=most).contains(&found) => Ok(()),
        found => {
            Err(NetworkError::OutOfRange { name: name.to_owned(), what, found, least: 1, most })
        }
    };
    range("classes", options.classes, MOST_CLASSES)?;
    let Some(shape) = &options.shape else { return Ok(()) };
    shape.blocks.iter().try_for_each(|&count| range("blocks in a stage", count, MOST_BLOCKS))?;
    let channels = |count: &usize| range("channels in a stage", *count, MOST_CHANNELS);
    shape.channels.iter().try_for_each(channels)?;
    let stem = shape.stem_channels;
    range("stem channels", stem, MOST_CHANNELS)?;
    match stem % 2 {
        0 => Ok(()),
        _ => Err(NetworkError::OddStem { name: name.to_owned(), found: stem }),
    }
}

/// Refuses a network whose parameters nobody has the memory for, before any is taken.
pub(crate) fn check_parameters(network: &Network) -> Result<(), NetworkError> {
    let product =
        |shape: &[usize]| shape.iter().fold(1u64, |all, &side| all.saturating_mul(side as u64));
    let each = network.parameters().into_iter().map(|spec| product(&spec.shape));
    let parameters = each.fold(0u64, u64::saturating_add);
    match parameters <= MOST_PARAMETERS {
        true => Ok(()),
        false => Err(NetworkError::TooLarge { name: network.name.clone(), parameters }),
    }
}
