//! The largest values that a recipe may give. A typing error beyond them would ask for all the memory there is.

/// The longest edge of an image, pixels.
pub const LONGEST_EDGE: usize = 8192;

/// The most blocks of a stage. The deepest ResNets that were ever published have about 500.
pub const MOST_BLOCKS: usize = 512;

/// The most channels of a stage or of the stem, before a bottleneck makes four times as many of them.
pub const MOST_CHANNELS: usize = 8192;

/// The largest mean and standard deviation of pixels, in levels of 0 to 255, with room for odd normalizations.
pub const LARGEST_LEVEL: f64 = 10_000.0;
