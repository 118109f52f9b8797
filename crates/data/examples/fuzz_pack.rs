//! Parses damaged indexes and shard headers of packed copies: `cargo run --release -p data --example fuzz_pack -- [EXECUTIONS]
//! [SEED]`. A panic ends it.
#![allow(clippy::print_stdout)]

mod fuzzing;

use data::Dataset;
use data::info::unwatched;
use data::pack::{Encoding, Packing, fuzz, pack};
use data::random::{Stream, at, below};
use fuzzing::executions_and_seed;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (executions, seed) = executions_and_seed(&mut arguments);
    let place = std::env::temp_dir().join(format!("fuzz-pack-{}", std::process::id()));
    let images = place.join("images/class");
    std::fs::create_dir_all(&images).expect("a place for the images");
    let set = Dataset::fashion_mnist();
    for index in 0..3 {
        let image = data::thumbnail(&set.train.image(index).expect("an image"), 8);
        std::fs::write(images.join(format!("{index}.png")), image).expect("a place for the image");
    }
    let set = Dataset::undivided(&place.join("images")).expect("a dataset");
    let packing = Packing { short_side: None, encoding: Encoding::Kept, upright: false };
    pack(&set, &place.join("pack"), &packing, 1, &mut unwatched).expect("a pack");
    let read = |name: &str| std::fs::read(place.join("pack").join(name)).expect("a file");
    // Whole files, and an index without its header, whose hash is made anew.
    let index = read("index.pack");
    let files = [index[56..].to_vec(), index, read("shard-00000.pack")[..96].to_vec()];
    std::fs::remove_dir_all(&place).expect("the place can be removed");
    for execution in 0..executions {
        let mut rng = at(seed, Stream::Init, 0, execution);
        let mut pick = |count: usize| below(&mut rng, count as u64) as usize;
        let mut file = files[pick(files.len())].clone();
        for _ in 0..1 + pick(5) {
            let place = pick(file.len());
            match pick(4) {
                0 => file[place] = pick(256) as u8,
                1 => file[place] = [0, 1, 0x7F, 0x80, 0xFF][pick(5)],
                2 if file.len() > 8 => file.truncate(1 + place),
                _ => file.insert(place, pick(256) as u8),
            }
        }
        fuzz(&file);
    }
    println!("{executions} executions, no panic");
}
