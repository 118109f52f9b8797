//! Datasets that can be had by name: where they are, how large, under which licence, with which checksum. None of them was
//! fetched here: addresses and checksums are those that torchvision 0.29 publishes, sizes are about right.

use crate::error::FetchError;

/// A dataset that others publish.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishedSet {
    pub name: &'static str,
    /// What it shows, in a few words.
    pub about: &'static str,
    pub classes: u32,
    /// The number of images for training, and of those for validation.
    pub images: [u32; 2],
    /// What its authors say of its use.
    pub licence: &'static str,
    pub files: &'static [PublishedFile],
    pub laid: Laid,
}

/// A file of a dataset.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PublishedFile {
    pub url: &'static str,
    /// As torchvision gives it.
    pub md5: &'static str,
    /// About how many million bytes it has.
    pub megabytes: f64,
}

/// How a dataset lies in its folder in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Laid {
    /// The files as they are published, which are read so.
    AsPublished,
    /// Archives unpacked, other files beside them.
    Unpacked,
    /// The same, with lists made of Food-101's own.
    FoodLists,
    /// The same, with lists made of Oxford-IIIT Pet's own.
    PetLists,
}

impl PublishedSet {
    /// About how many million bytes are fetched.
    pub fn megabytes(&self) -> f64 {
        self.files.iter().map(|file| file.megabytes).sum()
    }
}

impl PublishedFile {
    /// Its name, without the address.
    pub fn name(&self) -> &'static str {
        self.url.rsplit('/').next().expect("a text has a last part")
    }
}

const fn file(url: &'static str, md5: &'static str, megabytes: f64) -> PublishedFile {
    PublishedFile { url, md5, megabytes }
}

const OF_IMAGENET: &str =
    "photos of ImageNet: research and teaching without profit; the selection Apache-2.0";
const NONE_STATED: &str = "none stated; the authors ask to be cited";

const DATASETS: [PublishedSet; 11] = [
    PublishedSet {
        name: "cifar10",
        about: "small photos of things and animals, 32 px",
        classes: 10,
        images: [50_000, 10_000],
        licence: NONE_STATED,
        files: &[file(
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "c58f30108f718f92721af3b95e74349a",
            170.5,
        )],
        laid: Laid::AsPublished,
    },
    PublishedSet {
        name: "cifar100",
        about: "small photos of things and animals, 32 px",
        classes: 100,
        images: [50_000, 10_000],
        licence: NONE_STATED,
        files: &[file(
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            "eb9058c3a382ffc7106e4002c42a8d85",
            169.0,
        )],
        laid: Laid::AsPublished,
    },
    PublishedSet {
        name: "fashion-mnist",
        about: "gray pictures of clothes, 28 px",
        classes: 10,
        images: [60_000, 10_000],
        licence: "MIT",
        files: &[
            file(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-images-idx3-ubyte.gz",
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                26.4,
            ),
            file(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-labels-idx1-ubyte.gz",
                "25c81989df183df01b3e8a0aad5dffbe",
                0.03,
            ),
            file(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-images-idx3-ubyte.gz",
                "bef4ecab320f06d8554ea6380940ec79",
                4.4,
            ),
            file(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz",
                "bb300cfdad3c16e7a12a480ee83cd310",
                0.01,
            ),
        ],
        laid: Laid::AsPublished,
    },
    PublishedSet {
        name: "flowers102",
        about: "flowers of the United Kingdom, photos; the parts trnid and valid",
        classes: 102,
        images: [1_020, 1_020],
        licence: NONE_STATED,
        files: &[
            file(
                "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/102flowers.tgz",
                "52808999861908f626f3c1f4e79d11fa",
                344.9,
            ),
            file(
                "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/imagelabels.mat",
                "e0620be6f572b9609742df49c70aed4d",
                0.01,
            ),
            file(
                "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/setid.mat",
                "a5357ecc9cb78c4bef273ce3793fc85c",
                0.02,
            ),
        ],
        laid: Laid::Unpacked,
    },
    PublishedSet {
        name: "food101",
        about: "dishes, photos",
        classes: 101,
        images: [75_750, 25_250],
        licence: "photos of Foodspotting's users: scientific fair use",
        files: &[file(
            "http://data.vision.ee.ethz.ch/cvl/food-101.tar.gz",
            "85eeb15f3717b99a5da872d97d918f87",
            4_996.3,
        )],
        laid: Laid::FoodLists,
    },
    PublishedSet {
        name: "imagenette",
        about: "ten easy classes of ImageNet, photos in full size",
        classes: 10,
        images: [9_469, 3_925],
        licence: OF_IMAGENET,
        files: &[file(
            "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2.tgz",
            "fe2fc210e6bb7c5664d602c3cd71e612",
            1_557.2,
        )],
        laid: Laid::Unpacked,
    },
    PublishedSet {
        name: "imagenette-160",
        about: "ten easy classes of ImageNet, shorter edge 160 px",
        classes: 10,
        images: [9_469, 3_925],
        licence: OF_IMAGENET,
        files: &[file(
            "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",
            "e793b78cc4c9e9a4ccc0c1155377a412",
            99.0,
        )],
        laid: Laid::Unpacked,
    },
    PublishedSet {
        name: "imagenette-320",
        about: "ten easy classes of ImageNet, shorter edge 320 px",
        classes: 10,
        images: [9_469, 3_925],
        licence: OF_IMAGENET,
        files: &[file(
            "https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz",
            "3df6f0d01a2c9592104656642f5e78a3",
            341.7,
        )],
        laid: Laid::Unpacked,
    },
    PublishedSet {
        name: "mnist",
        about: "gray handwritten digits, 28 px",
        classes: 10,
        images: [60_000, 10_000],
        licence: NONE_STATED,
        files: &[
            file(
                "https://ossci-datasets.s3.amazonaws.com/mnist/train-images-idx3-ubyte.gz",
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                9.9,
            ),
            file(
                "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz",
                "d53e105ee54ea40749a09fcbcd1e9432",
                0.03,
            ),
            file(
                "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-images-idx3-ubyte.gz",
                "9fb629c4189551a2d022fa330f9573f3",
                1.6,
            ),
            file(
                "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz",
                "ec29112dd5afa0611ce80d1b7f02629c",
                0.01,
            ),
        ],
        laid: Laid::AsPublished,
    },
    PublishedSet {
        name: "pets",
        about: "breeds of cats and dogs, photos; the parts trainval and test",
        classes: 37,
        images: [3_680, 3_669],
        licence: "CC BY-SA 4.0",
        files: &[
            file(
                "https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz",
                "5c4f3ee8e5d25df40f4fd59a7f44e54c",
                791.9,
            ),
            file(
                "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz",
                "95a8c909bbe2e81eed6a22bccdf3f68f",
                19.2,
            ),
        ],
        laid: Laid::PetLists,
    },
    PublishedSet {
        name: "voc2012",
        about: "photos with boxes and masks of things, for detection and segmentation; train and val",
        classes: 20,
        images: [5_717, 5_823],
        licence: "photos of Flickr's users: their terms",
        files: &[file(
            "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            "6cd6e144f989b92b3379bac3b3de84fd",
            1_999.6,
        )],
        laid: Laid::Unpacked,
    },
];

/// All of them, by name.
pub fn datasets() -> &'static [PublishedSet] {
    &DATASETS
}

/// The dataset of a name.
///
/// # Errors
/// Where there is none.
pub fn find(name: &str) -> Result<&'static PublishedSet, FetchError> {
    DATASETS.iter().find(|dataset| dataset.name == name).ok_or_else(|| {
        let known: Vec<&str> = DATASETS.iter().map(|dataset| dataset.name).collect();
        FetchError::UnknownDataset { name: name.to_owned(), known: known.join(", ") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dataset_is_told_in_full() {
        assert!(DATASETS.is_sorted_by_key(|dataset| dataset.name));
        for dataset in &DATASETS {
            assert!(find(dataset.name).unwrap() == dataset && dataset.megabytes() > 1.0);
            for file in dataset.files {
                let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
                assert!(file.md5.len() == 32 && file.md5.chars().all(is_digit), "{}", file.url);
                assert!(file.url.starts_with("http") && file.name().contains('.'), "{}", file.url);
            }
        }
        let unknown = find("cifar").unwrap_err();
        assert!(
            unknown.is_usage() && unknown.to_string().contains("cifar10, cifar100"),
            "{unknown}"
        );
    }
}
