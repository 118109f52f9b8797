//! Decodes damaged JPEG files: `cargo run --release -p data --example fuzz_jpeg -- [EXECUTIONS] [SEED] [FILE]...`.
//!
//! Starts from the files given, or from those of the test vectors, and changes, repeats, removes and swaps a few bytes of
//! them. A panic inside the decoder, or pixels that are not what the header promises, ends it with the file written out.
#![allow(clippy::print_stdout)]

mod fuzzing;

use std::time::Instant;

use data::random::{Stream, at, below};
use fuzzing::executions_and_seed;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (executions, seed) = executions_and_seed(&mut arguments);
    let mut files: Vec<Vec<u8>> =
        arguments.map(|path| std::fs::read(path).expect("a file")).collect();
    if files.is_empty() {
        files = vectors();
    }
    let start = Instant::now();
    let (mut decoded, mut refused) = (0u64, 0u64);
    for execution in 0..executions {
        let mut rng = at(seed, Stream::Init, 0, execution);
        let mut pick = |count: usize| below(&mut rng, count as u64) as usize;
        let mut file = files[pick(files.len())].clone();
        for _ in 0..1 + pick(6) {
            damage(&mut file, &mut pick);
        }
        // Nothing that is cut short is decoded at all.
        file.extend([0xFF, 0xD9]);
        // Header bytes can ask for 178 million pixels; that they are given is not what is looked for here.
        if promised(&file) > 1 << 18 {
            continue;
        }
        match data::decode(&file, "fuzz") {
            Ok(image) if image.pixels.len() == image.width * image.height * 3 => decoded += 1,
            Err(error) if !error.to_string().contains("its decoder failed") => refused += 1,
            outcome => {
                std::fs::write("fuzz-failure.jpg", &file).expect("a place for the file");
                panic!("execution {execution} of seed {seed}: {outcome:?}; see fuzz-failure.jpg");
            }
        }
    }
    println!(
        "{executions} executions: {decoded} decoded, {refused} refused, in {:?}",
        start.elapsed()
    );
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
