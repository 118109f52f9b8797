//! Decodes and checks damaged pictures: `cargo run --release -p data --example fuzz_images -- [EXECUTIONS] [SEED] [FILE]...`.
//!
//! Starts from the files given, or from the JPEG files of the test vectors, and changes, repeats, removes and swaps a few
//! bytes of them. Each is decoded, and sixty at a time stand in a tar that `data check` looks at. A panic inside a decoder, pixels that are not
//! what the header promises, or a check that fails as a whole ends it with the file written out. The sums of PNG's chunks are
//! mended in half of the executions, so that damage comes as far as the decoder. `campaigns/mutants.py` runs it under a limit of memory.
#![allow(clippy::print_stdout)]

mod fuzzing;

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use data::check::check;
use data::random::{Stream, at, below};
use fuzzing::executions_and_seed;

/// Pictures in a tar that is checked.
const SET: usize = 60;

#[derive(Default)]
struct Counts {
    decoded: u64,
    refused: u64,
    sets: u64,
    findings: u64,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (executions, seed) = executions_and_seed(&mut arguments);
    let mut files: Vec<Vec<u8>> =
        arguments.map(|path| std::fs::read(path).expect("a file")).collect();
    if files.is_empty() {
        files = vectors();
    }
    let place = std::env::temp_dir().join(format!("fuzz-images-{}.tar", std::process::id()));
    let start = Instant::now();
    let (mut counts, mut set) = (Counts::default(), Vec::new());
    for execution in 0..executions {
        let mut rng = at(seed, Stream::Init, 0, execution);
        let mut pick = |count: usize| below(&mut rng, count as u64) as usize;
        let mut file = files[pick(files.len())].clone();
        for _ in 0..1 + pick(6) {
            damage(&mut file, &mut pick);
        }
        match file.as_slice() {
            // Nothing that is cut short is decoded at all.
            [0xFF, 0xD8, ..] => file.extend([0xFF, 0xD9]),
            [0x89, b'P', b'N', b'G', ..] if pick(2) == 0 => mend_sums(&mut file),
            _ => {}
        }
        // Header bytes can ask for 178 million pixels; that they are given is not what is looked for here.
        if promised(&file) > 1 << 18 {
            continue;
        }
        match data::decode(&file, "fuzz") {
            Ok(image) if image.pixels.len() == image.width * image.height * 3 => {
                counts.decoded += 1;
            }
            Err(error) if !error.to_string().contains("its decoder failed") => counts.refused += 1,
            outcome => {
                std::fs::write("fuzz-failure.bin", &file).expect("a place for the file");
                let outcome = outcome.map(|image| (image.width, image.height));
                panic!("execution {execution} of seed {seed}: {outcome:?}; see fuzz-failure.bin");
            }
        }
        set.push(file);
        if set.len() == SET || execution + 1 == executions {
            counts.sets += 1;
            counts.findings += checked(&set, &place, execution);
            set.clear();
        }
    }
    std::fs::remove_file(place).expect("the tar is there");
    println!(
        "{executions} executions, seed {seed}: {} decoded, {} refused; {} sets checked with {} findings; {:?}",
        counts.decoded,
        counts.refused,
        counts.sets,
        counts.findings,
        start.elapsed()
    );
}

/// The number of findings of `data check` in a tar of two classes.
fn checked(set: &[Vec<u8>], place: &Path, execution: u64) -> u64 {
    let mut tar = tar::Builder::new(std::fs::File::create(place).expect("a place for a tar"));
    for (index, file) in set.iter().enumerate() {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.len() as u64);
        header.set_mode(0o644);
        let name = format!("set/{}/{index}.jpg", ["a", "b"][index % 2]);
        tar.append_data(&mut header, name, file.as_slice()).expect("the tar takes it");
    }
    tar.into_inner().expect("the tar ends");
    match check(place, 1, &mut |_, _| ControlFlow::Continue(())) {
        Ok(report) => report.findings.len() as u64,
        Err(error) => {
            panic!("the set that ends with execution {execution} is not checked: {error}")
        }
    }
}

/// Writes the sum of each chunk of a PNG that its bytes have.
fn mend_sums(file: &mut [u8]) {
    let mut place = 8;
    while let Some(head) = file.get(place..place + 4) {
        let length = u32::from_be_bytes(head.try_into().expect("four bytes")) as usize;
        let end = place.saturating_add(8).saturating_add(length);
        let Some(chunk) = file.get(place + 4..end) else { return };
        let mut sum = flate2::Crc::new();
        sum.update(chunk);
        let Some(stored) = file.get_mut(end..end + 4) else { return };
        stored.copy_from_slice(&sum.sum().to_be_bytes());
        place = end + 4;
    }
}

fn damage(file: &mut Vec<u8>, pick: &mut impl FnMut(usize) -> usize) {
    let place = 2 + pick(file.len() - 2);
    // Half of the time in the header, which is short.
    let place = if pick(2) == 0 { place } else { 2 + place % 700.min(file.len() - 2) };
    let length = (1 + pick(16)).min(file.len() - place);
    match pick(6) {
        0 => file[place] = pick(256) as u8,
        1 => file[place] ^= 1 << pick(8),
        2 => file[place] = [0, 1, 0x11, 0x22, 0x7F, 0x80, 0xC0, 0xD0, 0xFE, 0xFF][pick(10)],
        3 if file.len() > 64 => drop(file.drain(place..place + length)),
        4 => {
            let copy = file[place..place + length].to_vec();
            let to = 2 + pick(file.len() - 2);
            drop(file.splice(to..to, copy));
        }
        _ => {
            let other = 2 + pick(file.len() - 2);
            file.swap(place, other);
        }
    }
}

/// The greatest product of sides in anything that looks like a frame header.
fn promised(file: &[u8]) -> usize {
    let side = |bytes: &[u8]| usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    file.windows(9)
        .filter(|at| at[0] == 0xFF && (0xC0..=0xCF).contains(&at[1]))
        .map(|at| side(&at[5..]) * side(&at[7..]))
        .max()
        .unwrap_or(0)
}

/// The JPEG files in `testdata/decode.bin`.
fn vectors() -> Vec<Vec<u8>> {
    let mut rest = include_bytes!("../testdata/decode.bin").as_slice();
    let mut files = Vec::new();
    while !rest.is_empty() {
        let mut take = |count: usize| rest.split_off(..count).expect("whole vectors");
        let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().expect("four bytes"));
        let length = number(take(4)) as usize;
        let is_jpeg = take(length).ends_with(b".jpg");
        let [_, width, height, length] = [(); 4].map(|()| number(take(4)) as usize);
        let file = take(length);
        take(width * height * 3);
        if is_jpeg {
            files.push(file.to_vec());
        }
    }
    files
}
