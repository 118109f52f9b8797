//! Fashion-MNIST inside the program: the first 500 training and 100 test images of each class.
//!
//! `assets/fashion-mnist.bin.gz`, made by `refs/data_fashion_mnist.py`, is gzip over: the 8 bytes `FMNIST 1`; four
//! little-endian u32, side, classes, training images, test images; a label byte for each training image, then for
//! each test image; then their grey pixels in the same order, side × side bytes each.

use std::io::Read;

use flate2::read::GzDecoder;

const FILE: &[u8] = include_bytes!("../../assets/fashion-mnist.bin.gz");
const MAGIC: &[u8] = b"FMNIST 1";

pub(crate) const CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// The images of one part.
pub(crate) struct Images {
    pub(crate) labels: Vec<u32>,
    pub(crate) pixels: Vec<u8>,
}

pub(crate) struct FashionMnist {
    pub(crate) side: usize,
    pub(crate) train: Images,
    pub(crate) validation: Images,
}

/// Unpacks the embedded file. It is ours, so a fault in it is a programmer's mistake.
pub(crate) fn unpack() -> FashionMnist {
    let mut bytes = Vec::new();
    GzDecoder::new(FILE).read_to_end(&mut bytes).expect("the embedded file unpacks");
    let mut rest = bytes.as_slice();
    let mut next = |count: usize| {
        let (taken, after) = rest.split_at(count);
        rest = after;
        taken
    };
    assert_eq!(next(MAGIC.len()), MAGIC, "the embedded file is Fashion-MNIST");
    let mut number = || u32::from_le_bytes(next(4).try_into().expect("4 bytes")) as usize;
    let (side, classes, train, test) = (number(), number(), number(), number());
    assert_eq!(classes, CLASSES.len());
    let mut labels = |count: usize| next(count).iter().map(|&label| u32::from(label)).collect();
    let (train_labels, test_labels): (Vec<u32>, Vec<u32>) = (labels(train), labels(test));
    let train_pixels = next(train * side * side).to_vec();
    let test_pixels = next(test * side * side).to_vec();
    FashionMnist {
        side,
        train: Images { labels: train_labels, pixels: train_pixels },
        validation: Images { labels: test_labels, pixels: test_pixels },
    }
}
