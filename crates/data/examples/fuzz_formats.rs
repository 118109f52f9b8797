//! Opens damaged datasets: `cargo run --release -p data --example fuzz_formats -- [KIND] [EXECUTIONS] [SEED]`.
//!
//! Starts from the files of `testdata/formats.tar.gz` and changes, repeats, removes and swaps a few bytes of one file that a parser
//! of ours reads. Each time the dataset is opened and one of its images read: either works, or the error is typed. A panic or a
//! label without a class ends it with the file written out. KIND is one of the kinds below; without one, all of them run.
#![allow(clippy::print_stdout)]

mod fuzzing;

use std::collections::BTreeMap;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use data::random::{Stream, at, below};
use data::{DataError, Dataset};
use fuzzing::executions_and_seed;

/// A parser: the fixtures whose paths begin so, in a tar if they are several, and which of them is damaged.
struct Kind {
    name: &'static str,
    files: &'static [&'static str],
    damaged: &'static str,
}

const fn kind(name: &'static str, files: &'static [&'static str], damaged: &'static str) -> Kind {
    Kind { name, files, damaged }
}

const IMAGENET: &[&str] = &["imagenet/ILSVRC2012_img_", "devkit/"];
const KINDS: [Kind; 14] = [
    kind("tar", &["set.tar"], "set.tar"),
    kind("webdataset", &["webdataset/shard-train-000.tar"], "webdataset/shard-train-000.tar"),
    kind("recordio", &["recordio/train.rec"], "recordio/train.rec"),
    kind("recordio-index", &["recordio/train."], "recordio/train.idx"),
    kind("recordio-list", &["recordio/train."], "recordio/train.lst"),
    kind("idx-images", &["mnist/t10k-"], "mnist/t10k-images-idx3-ubyte"),
    kind("idx-labels", &["mnist/t10k-"], "mnist/t10k-labels-idx1-ubyte"),
    kind("cifar-binary", &["cifar-100-binary/"], "cifar-100-binary/test.bin"),
    kind("cifar-python", &["cifar-100-python/"], "cifar-100-python/test"),
    kind("list", &["lists/val.txt", "lists/images/val "], "lists/val.txt"),
    kind("csv", &["table/"], "table/metadata.csv"),
    kind("places365", &["places365/"], "places365/categories_places365.txt"),
    kind("imagenet-truth", IMAGENET, "devkit/ILSVRC2012_validation_ground_truth.txt"),
    kind("imagenet-meta", IMAGENET, "devkit/meta.mat"),
];

fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    let wanted = arguments.next_if(|text| text.parse::<u64>().is_err());
    let (executions, seed) = executions_and_seed(&mut arguments);
    let fixtures = fixtures();
    // A panic is told with its input, once.
    std::panic::set_hook(Box::new(|_| {}));
    for kind in KINDS.iter().filter(|kind| wanted.as_ref().is_none_or(|name| name == kind.name)) {
        fuzz(kind, &fixtures, executions, seed);
    }
}

fn fuzz(kind: &Kind, fixtures: &BTreeMap<String, Vec<u8>>, executions: u64, seed: u64) {
    let is_of = |path: &str| kind.files.iter().any(|start| path.starts_with(start));
    let chosen = fixtures.iter().filter(|(path, _)| is_of(path));
    // `set.tar.gz` begins as `set.tar` does.
    let chosen = chosen.filter(|(path, _)| !path.ends_with(".gz"));
    let mut files: Vec<(String, Vec<u8>)> =
        chosen.map(|(path, bytes)| (inside(path), bytes.clone())).collect();
    let damaged =
        files.iter().position(|(path, _)| *path == inside(kind.damaged)).expect("a fixture");
    let whole = files[damaged].1.clone();
    if let Err(error) = open(&files) {
        panic!("{} is a dataset before it is damaged: {error}", kind.name);
    }
    let start = Instant::now();
    let (mut opened, mut refused) = (0u64, 0u64);
    for execution in 0..executions {
        let mut rng = at(seed, Stream::Init, 0, execution);
        let mut pick = |count: usize| below(&mut rng, count as u64) as usize;
        let mut file = whole.clone();
        for _ in 0..1 + pick(4) {
            damage(&mut file, &mut pick);
        }
        files[damaged].1 = file;
        let image = pick(64);
        match catch_unwind(AssertUnwindSafe(|| run(&files, image))) {
            Ok(Ok(())) => opened += 1,
            Ok(Err(_)) => refused += 1,
            Err(_) => {
                std::fs::write("fuzz-failure", &files[damaged].1).expect("a place for it");
                panic!("{}: execution {execution} of seed {seed}; see fuzz-failure", kind.name);
            }
        }
    }
    let time = start.elapsed();
    println!(
        "{}: {executions} executions, {opened} opened, {refused} refused, {time:?}",
        kind.name
    );
}

/// What only a validation part has in the fixtures trains here.
fn inside(path: &str) -> String {
    path.replace("mnist/t10k-", "mnist/train-")
}

/// One file as it is, several as a tar of them.
fn open(files: &[(String, Vec<u8>)]) -> Result<Dataset, DataError> {
    let bytes = match files {
        [(_, only)] => only.clone(),
        several => {
            let mut builder = tar::Builder::new(Vec::new());
            for (path, content) in several {
                let mut header = tar::Header::new_gnu();
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, path, content.as_slice()).expect("memory");
            }
            builder.into_inner().expect("memory")
        }
    };
    Dataset::from_bytes("fuzz", bytes, 0.5, 0)
}

fn run(files: &[(String, Vec<u8>)], image: usize) -> Result<(), DataError> {
    let set = open(files)?;
    for part in [&set.train, &set.validation] {
        for index in 0..part.len() {
            assert!((part.label(index) as usize) < set.classes.len(), "a label without a class");
        }
        if !part.is_empty() {
            // That a picture inside is damaged is as good as that it is not.
            let index = image % part.len();
            assert!(!part.name(index).is_empty());
            let _ = part.image(index);
        }
    }
    Ok(())
}

fn damage(file: &mut Vec<u8>, pick: &mut impl FnMut(usize) -> usize) {
    if file.is_empty() {
        return file.push(pick(256) as u8);
    }
    let place = pick(file.len());
    // Often at the beginning, where headers are.
    let place = if pick(3) == 0 { place } else { place % 600 };
    let length = (1 + pick(16)).min(file.len() - place);
    match pick(8) {
        0 => file[place] = pick(256) as u8,
        1 => file[place] ^= 1 << pick(8),
        2 => file[place] = [0, 1, b'\n', b'/', b'7', b' ', 0x7F, 0x80, 0xFE, 0xFF][pick(10)],
        3 => drop(file.drain(place..place + length)),
        4 => {
            let copy = file[place..place + length].to_vec();
            let to = pick(file.len());
            drop(file.splice(to..to, copy));
        }
        5 => file.truncate(1 + pick(file.len())),
        6 => {
            let most = file.len().min(place + 4);
            file[place..most].fill(0xFF);
        }
        _ => {
            let other = pick(file.len());
            file.swap(place, other);
        }
    }
}

/// The files of `testdata/formats.tar.gz`; those of the devkit too, unpacked.
fn fixtures() -> BTreeMap<String, Vec<u8>> {
    let mut files = unpack(include_bytes!("../testdata/formats.tar.gz"));
    for (path, mut bytes) in unpack(&files["imagenet/ILSVRC2012_devkit_t12.tar.gz"]) {
        let name = path.rsplit('/').next().expect("a name");
        if name == "meta.mat" {
            // A header, and one compressed element with its type and length before it.
            let mut inside = Vec::new();
            let mut stream = flate2::read::ZlibDecoder::new(&bytes[136..]);
            stream.read_to_end(&mut inside).expect("an element");
            bytes.truncate(128);
            bytes.extend(inside);
        }
        files.insert(format!("devkit/{name}"), bytes);
    }
    files
}

fn unpack(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(archive));
    let entries = archive.entries().expect("a tar");
    let file = |mut entry: tar::Entry<_>| {
        let path = entry.path().expect("a path").display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("a tar");
        (path, bytes)
    };
    entries.map(|entry| file(entry.expect("a tar"))).collect()
}
