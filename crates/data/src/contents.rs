//! Which images of a dataset have equal bytes.
//!
//! Three looks, each at those that the one before could not tell apart: the length, the first [`BEGINNING`] bytes, and the
//! BLAKE3 hash of all bytes. So a dataset without duplicates costs the lengths of its images and, for those that share
//! theirs with another, one short read; only images that begin alike are read whole.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::thread;

use crate::formats::layout::Item;
use crate::formats::source::Source;
use crate::parallel::in_order;

/// Bytes of the second look. Photos of one camera share less.
const BEGINNING: u64 = 4096;
/// More threads wait for the disk alone.
const THREADS: usize = 8;

type Look = Option<[u8; 32]>;

/// A number for each image, the same one for images of equal bytes. An image that cannot be read is equal to none: its own
/// error comes when it is used.
pub(crate) fn equal(source: &dyn Source, items: &[Item]) -> Vec<u32> {
    let mut numbers = vec![0; items.len()];
    let by_length = |item: &Item, _: &mut Vec<u8>| {
        let length = source.length(&item.entry).ok()?;
        let mut look = [0; 32];
        look[..8].copy_from_slice(&length.to_le_bytes());
        Some(look)
    };
    if source.knows_lengths() {
        tell_apart(items, &mut numbers, by_length);
    }
    tell_apart(items, &mut numbers, |item, buffer| {
        let beginning = source.beginning(&item.entry, BEGINNING, buffer).ok()?;
        let length = beginning.len().min(BEGINNING as usize);
        Some(*blake3::hash(&beginning[..length]).as_bytes())
    });
    tell_apart(items, &mut numbers, |item, buffer| {
        let stored = source.read(&item.entry, buffer).ok()?;
        Some(*blake3::hash(stored.bytes()).as_bytes())
    });
    numbers
}

/// Gives new numbers to items that share one and look different. Items whose number is theirs alone are not looked at.
fn tell_apart(
    items: &[Item],
    numbers: &mut [u32],
    look: impl Fn(&Item, &mut Vec<u8>) -> Look + Sync,
) {
    let mut counts: HashMap<u32, usize> = HashMap::new();
    numbers.iter().for_each(|&number| *counts.entry(number).or_default() += 1);
    let shared: Vec<usize> = (0..items.len()).filter(|&at| counts[&numbers[at]] > 1).collect();
    let threads = thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let mut buffers = vec![Vec::new(); threads];
    let mut next = numbers.iter().max().map_or(0, |&most| most + 1);
    let mut known: HashMap<(u32, [u8; 32]), u32> = HashMap::new();
    let mut fresh = || {
        next += 1;
        next - 1
    };
    let seen = |place: usize, buffer: &mut Vec<u8>| look(&items[shared[place]], buffer);
    in_order(shared.len(), &mut buffers, seen, |place, look| {
        let number = &mut numbers[shared[place]];
        *number = match look {
            Some(look) => *known.entry((*number, look)).or_insert_with(&mut fresh),
            None => fresh(),
        };
        ControlFlow::Continue(())
    });
    close_gaps(numbers);
}

/// Numbers from 0 on, in the order in which they come.
fn close_gaps(numbers: &mut [u32]) {
    let mut places: HashMap<u32, u32> = HashMap::new();
    for number in numbers {
        let next = places.len() as u32;
        *number = *places.entry(*number).or_insert(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::blob::Blob;
    use crate::formats::layout::Entry;
    use crate::formats::source::{Folder, Parts};
    use std::fs;

    #[test]
    fn equal_bytes_have_equal_numbers_and_others_have_not() {
        let long = |last: u8| [vec![7; 5000], vec![last]].concat();
        let contents = [
            b"a".to_vec(),
            b"bb".to_vec(),
            b"a".to_vec(),
            b"c".to_vec(),
            long(1),
            long(2),
            long(1),
        ];
        let expected = [0, 1, 0, 2, 3, 4, 3];
        let place = tempfile::tempdir().unwrap();
        let (mut files, mut parts, mut all) = (Vec::new(), Vec::new(), Vec::new());
        for (at, content) in contents.iter().enumerate() {
            let (path, length) = (format!("{at}.jpg"), content.len() as u64);
            fs::write(place.path().join(&path), content).unwrap();
            let entry = Entry { path, ..Entry::default() };
            files.push(Item { label: 0, entry: entry.clone() });
            let offset = all.len() as u64;
            parts.push(Item { label: 0, entry: Entry { offset, length, ..entry } });
            all.extend(content);
        }
        let folder = Folder(place.path().to_owned());
        assert_eq!(equal(&folder, &files), expected);
        let blob = Blob::memory("all".to_owned(), all);
        assert_eq!(equal(&Parts(vec![blob]), &parts), expected);
        // Two that are gone are not equal.
        fs::remove_file(place.path().join("0.jpg")).unwrap();
        fs::remove_file(place.path().join("2.jpg")).unwrap();
        assert_eq!(equal(&folder, &files), [0, 1, 2, 3, 4, 5, 4]);
        assert!(equal(&folder, &[]).is_empty());
    }
}
