//! What tells a dataset from another one, and from itself after a change: how many images it has, what they are called and
//! how large they are. No image is read.

use crate::boxed::hash_boxes;
use crate::{Boxes, DataError, Dataset, ImageSet, MaskFile};

/// A dataset by its images' counts, names, labels and sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// How many images.
    pub training: u64,
    /// How many images.
    pub validation: u64,
    /// Bytes of all images as they are stored.
    pub bytes: u64,
    /// The hash of the class names, and of each image's path inside the dataset and annotation, in their order.
    pub names: String,
    /// The hash of each image's size in bytes, in their order.
    pub sizes: String,
}

impl Dataset {
    /// The fingerprint of the images as they are now. It does not depend on where the dataset lies.
    pub fn fingerprint(&self) -> Result<Fingerprint, DataError> {
        of(self, |label, hasher| {
            hasher.update(&label.to_le_bytes());
        })
    }
}

impl Dataset<Boxes> {
    /// The fingerprint of the images and their boxes.
    pub fn fingerprint(&self) -> Result<Fingerprint, DataError> {
        of(self, hash_boxes)
    }
}

impl Dataset<MaskFile> {
    /// The fingerprint of the images and their masks.
    pub fn fingerprint(&self) -> Result<Fingerprint, DataError> {
        of(self, |mask, hasher| {
            let (path, bytes) = mask.place();
            add_text(hasher, path);
            hasher.update(&bytes.to_le_bytes());
        })
    }
}

fn of<A>(
    dataset: &Dataset<A>,
    add: impl Fn(&A, &mut blake3::Hasher),
) -> Result<Fingerprint, DataError> {
    let (mut names, mut sizes) = (blake3::Hasher::new(), blake3::Hasher::new());
    dataset.classes.iter().for_each(|class| add_text(&mut names, class));
    let mut bytes = 0;
    for set in [&dataset.train, &dataset.validation] {
        bytes += add_set(set, &add, &mut names, &mut sizes)?;
    }
    Ok(Fingerprint {
        training: dataset.train.len() as u64,
        validation: dataset.validation.len() as u64,
        bytes,
        names: names.finalize().to_hex().to_string(),
        sizes: sizes.finalize().to_hex().to_string(),
    })
}

/// Adds the images of a set, and gives their bytes.
fn add_set<A>(
    set: &ImageSet<A>,
    add: &impl Fn(&A, &mut blake3::Hasher),
    names: &mut blake3::Hasher,
    sizes: &mut blake3::Hasher,
) -> Result<u64, DataError> {
    names.update(&(set.len() as u64).to_le_bytes());
    let mut bytes = 0;
    for index in 0..set.len() {
        add_text(names, set.path(index));
        add(set.annotation(index), names);
        let length = set.length(index)?;
        sizes.update(&length.to_le_bytes());
        bytes += length;
    }
    Ok(bytes)
}

/// Adds a text behind its length, so that no two lists of texts are the same bytes.
fn add_text(hasher: &mut blake3::Hasher, text: &str) {
    hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    /// Two classes of three files each, all different, whose content is never looked at as an image.
    fn write(root: &Path) {
        for (class, length) in [("cat", 5), ("dog", 9)] {
            fs::create_dir_all(root.join(class)).unwrap();
            for index in 0..3 {
                fs::write(root.join(class).join(format!("{index}.png")), vec![index; length])
                    .unwrap();
            }
        }
    }

    fn of(root: &Path) -> Fingerprint {
        Dataset::open(root, 0.3, 1).unwrap().fingerprint().unwrap()
    }

    #[test]
    fn a_fingerprint_stays_with_the_images_and_tells_every_change() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("photos");
        write(&root);
        let first = of(&root);
        assert_eq!((first.training, first.validation, first.bytes), (4, 2, 42));
        let moved = folder.path().join("elsewhere");
        fs::rename(&root, &moved).unwrap();
        assert_eq!(of(&moved), first);
        let other_split = Dataset::open(&moved, 0.3, 2).unwrap().fingerprint().unwrap();
        assert_ne!(other_split.names, first.names);

        fs::write(moved.join("cat/1.png"), [1; 6]).unwrap();
        let replaced = of(&moved);
        assert_eq!(replaced.names, first.names);
        assert_ne!(replaced.sizes, first.sizes);
        fs::rename(moved.join("cat/1.png"), moved.join("cat/10.png")).unwrap();
        assert_ne!(of(&moved).names, first.names);
        fs::remove_file(moved.join("cat/10.png")).unwrap();
        assert_eq!(of(&moved).training, 3);
    }
}
