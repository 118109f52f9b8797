//! Regions against whole pictures, and damage.

use super::*;
use crate::random::{self, Stream, below};
use rand_chacha::rand_core::RngCore;

/// Files by Pillow, from the vectors of `tests/vectors.rs`: (name, bytes).
fn files() -> Vec<(&'static str, &'static [u8])> {
    let mut rest = include_bytes!("../../testdata/decode.bin").as_slice();
    let mut take = |count: usize| rest.split_off(..count).expect("whole vectors");
    let mut files = Vec::new();
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap()) as usize;
    for _ in 0..18 {
        let length = number(take(4));
        let name = str::from_utf8(take(length)).unwrap();
        let [_, width, height, length] = [(); 4].map(|()| number(take(4)));
        let file = take(length);
        take(width * height * 3);
        if name.ends_with(".jpg") {
            files.push((name, file));
        }
    }
    files
}

fn region_of(file: &[u8], memory: &mut Baseline, region: Option<Region>) -> Result<Cut, String> {
    let mut cut = Cut::default();
    let mut wanted = |width, height| region.unwrap_or(Region { left: 0, top: 0, width, height });
    match decode_into(file, &mut wanted, memory, &mut cut) {
        Ok(()) => Ok(cut),
        Err(Refusal::Unreadable(reason)) => Err(reason),
        Err(Refusal::TooManyPixels { .. }) => Err("too many pixels".into()),
    }
}

#[test]
fn a_region_is_cut_from_the_whole() {
    let mut rng = random::at(1, Stream::Init, 0, 0);
    let mut memory = Baseline::default();
    let mut ours = 0;
    for (name, file) in files() {
        let whole = region_of(file, &mut Baseline::default(), None).unwrap();
        let Region { width, height, .. } = whole.region;
        ours += usize::from(header::parse(file).is_some());
        for _ in 0..200 {
            let (w, h) = (1 + below(&mut rng, width as u64), 1 + below(&mut rng, height as u64));
            let left = below(&mut rng, width as u64 - w + 1) as usize;
            let top = below(&mut rng, height as u64 - h + 1) as usize;
            let region = Region { left, top, width: w as usize, height: h as usize };
            let cut = region_of(file, &mut memory, Some(region)).unwrap();
            let Region { left, top, .. } =
                Region { left: left - cut.region.left, top: top - cut.region.top, ..region };
            for y in 0..region.height {
                let length = region.width * 3;
                let found = &cut.pixels[((top + y) * cut.region.width + left) * 3..][..length];
                let from = ((region.top + y) * width + region.left) * 3;
                assert_eq!(found, &whole.pixels[from..][..length], "{name}: row {y} of {region:?}");
            }
        }
    }
    assert!(ours >= 9, "{ours} files are read by our decoder");
}

#[test]
fn damage_never_panics_and_memory_follows_the_header() {
    let mut rng = random::at(2, Stream::Init, 0, 0);
    for (_, file) in files() {
        for _ in 0..200 {
            let mut file = file.to_vec();
            for _ in 0..1 + below(&mut rng, 8) {
                let at = below(&mut rng, file.len() as u64) as usize;
                file[at] = rng.next_u32() as u8;
            }
            let mut memory = Baseline::default();
            // A header that asks for more than this is not what is tested here.
            if let Some(header) = header::parse(&file)
                && header.width * header.height < 1 << 20
                && let Ok(cut) = region_of(&file, &mut memory, None)
            {
                assert_eq!(cut.pixels.len(), header.width * header.height * 3);
                assert!(
                    memory.bytes() < header.width * header.height * 40 + file.len() + (1 << 20)
                );
            }
        }
    }
}

#[test]
fn what_a_damaged_scan_lacks_is_grey() {
    let (_, file) = files()[0];
    let scan = header::parse(file).unwrap().scan;
    let begin = file.len() - scan.len();
    // The scan's first half, then the end of the image.
    let damaged = [&file[..begin + scan.len() / 2], &[0xFF, 0xD9]].concat();
    let (cut, whole) = (
        region_of(&damaged, &mut Baseline::default(), None).unwrap(),
        region_of(file, &mut Baseline::default(), None).unwrap(),
    );
    let row = whole.region.width * 3;
    assert_eq!(cut.pixels[..row], whole.pixels[..row]);
    assert!(cut.pixels[cut.pixels.len() - row..].iter().all(|&value| value == 128));
}

#[test]
fn the_end_is_found_behind_segments_and_before_trailing_bytes() {
    // An APP1 segment that holds an end marker, a scan with stuffing and a restart, then the true end.
    let scan = [0xFF, 0xDA, 0, 4, 1, 2, 7, 0xFF, 0x00, 9, 0xFF, 0xD0, 5];
    let mut bytes = vec![0xFF, 0xD8, 0xFF, 0xE1, 0, 6, 0xFF, 0xD9, 0, 0];
    bytes.extend(scan);
    let mut cut = bytes.clone();
    cut.push(1);
    assert!(!reaches_its_end(&cut));
    bytes.extend([0xFF, 0xFF, 0xD9, 1, 2, 3]);
    assert!(reaches_its_end(&bytes));
    for length in 0..bytes.len() - 3 {
        let inside_first_segment = bytes[..length].ends_with(&[0xFF, 0xD9]);
        assert!(inside_first_segment || !reaches_its_end(&bytes[..length]), "{length}");
    }
}
