//! Reads damaged files of weights: `cargo run --release -p weights --example fuzz -- [EXECUTIONS] [SEED] [FILE]...`.
//!
//! Starts from the files given, or from those of the tests, and changes, repeats, removes and swaps a few bytes of them,
//! mostly where a format keeps its structure. A panic inside the reader, a tensor whose values are not as many as its shape
//! says, or more memory than the file is worth ends it with the file written out.
#![allow(clippy::print_stdout)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use weights::{Format, Weights};

const FILES: [&[u8]; 10] = [
    include_bytes!("../testdata/expected.safetensors"),
    include_bytes!("../testdata/expected.safetensors"),
    include_bytes!("../testdata/expected.safetensors"),
    include_bytes!("../testdata/zip.pth"),
    include_bytes!("../testdata/legacy.pth"),
    include_bytes!("../testdata/legacy.pth"),
    include_bytes!("../testdata/protocol4.pth"),
    include_bytes!("../testdata/wrapped.pth"),
    include_bytes!("../testdata/timm.pth.tar"),
    include_bytes!("../testdata/torchvision.pth"),
];

/// Bytes that mean something in a pickle, a zip or a header, and those at the ends of ranges.
const TELLING: &[u8] = b"PK\x01\x02\x03\x05\x06()]}[{.0123456789:,\"NJKMQRabcehjqrstuX\x80\x81\x85\x86\x87\x88\x8a\x8c\x93\x94\x95\x7f\xff\x00";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| {
        arguments
            .next()
            .map_or(default, |text| text.parse().expect("EXECUTIONS and SEED are numbers"))
    };
    let (executions, seed) = (number(1_000_000), number(0));
    let mut files: Vec<Vec<u8>> =
        arguments.map(|path| std::fs::read(path).expect("a file")).collect();
    if files.is_empty() {
        files = FILES.map(<[u8]>::to_vec).to_vec();
    }
    let start = Instant::now();
    let (mut tried, mut read, mut tensors) = ([0u64; 3], [0u64; 3], 0u64);
    let kind = |format: Format| match format {
        Format::Safetensors => 0,
        Format::PytorchZip => 1,
        Format::PytorchLegacy => 2,
    };
    let kinds: Vec<usize> = files
        .iter()
        .map(|file| kind(Weights::read(file.clone()).expect("a whole file").format()))
        .collect();
    for execution in 0..executions {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ execution << 20);
        let which = random.below(files.len());
        let mut file = files[which].clone();
        tried[kinds[which]] += 1;
        for _ in 0..1 + random.below(5) {
            damage(&mut file, &mut random);
        }
        match catch_unwind(AssertUnwindSafe(|| look_at(&file))) {
            Ok(None) => {}
            Ok(Some((format, count))) => {
                read[kind(format)] += 1;
                tensors += count;
            }
            Err(_) => {
                std::fs::write("fuzz-failure.bin", &file).expect("a place for the file");
                panic!("execution {execution} of seed {seed}: see fuzz-failure.bin");
            }
        }
    }
    let [safetensors, zip, legacy] = [0, 1, 2].map(|kind| (tried[kind], read[kind]));
    println!(
        "{executions} executions in {:?}; tried and read: safetensors {safetensors:?}, zip {zip:?}, legacy {legacy:?}; \
         {tensors} tensors read",
        start.elapsed()
    );
}

/// The format of a file and how many of its tensors can be read, or None where it is refused.
fn look_at(file: &[u8]) -> Option<(Format, u64)> {
    let weights = match Weights::read(file.to_vec()) {
        Ok(weights) => weights,
        Err(error) => {
            assert!(error.to_string().len() < 2000, "a message is for reading");
            return None;
        }
    };
    let mut count = 0;
    for (name, shape) in weights.iter() {
        weights.count(name);
        let elements: usize = shape.iter().product();
        assert!(elements <= file.len(), "{elements} elements in {} bytes", file.len());
        if let Ok(values) = weights.values(name) {
            assert_eq!(values.len(), elements, "{name}");
            assert!(values.iter().all(|value| value.is_finite()), "{name}");
            count += 1;
        }
    }
    Some((weights.format(), count))
}

fn damage(file: &mut Vec<u8>, random: &mut Random) {
    let place = random.below(file.len());
    // Structure stands at the start, in a zip also at the end.
    let place = match random.below(4) {
        0 => place,
        1 => file.len() - 1 - place % 700.min(file.len()),
        _ => place % 1500.min(file.len()),
    };
    let length = (1 + random.below(24)).min(file.len() - place);
    match random.below(8) {
        0 => file[place] = random.below(256) as u8,
        1 => file[place] ^= 1 << random.below(8),
        2 | 3 => file[place] = TELLING[random.below(TELLING.len())],
        4 if file.len() > 64 => drop(file.drain(place..place + length)),
        5 => {
            let copy = file[place..place + length].to_vec();
            let to = random.below(file.len());
            drop(file.splice(to..to, copy));
        }
        6 => {
            // Over what is there, so that offsets behind it stay right.
            let from = random.below(file.len() - length + 1);
            file.copy_within(from..from + length, place);
        }
        _ => {
            let other = random.below(file.len());
            file.swap(place, other);
        }
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % count as u64) as usize
    }
}
