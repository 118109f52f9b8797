//! Decodes image files: `cargo run --release -p data --example decode -- FOLDER FILE...`.
//!
//! For each file a line: its path, then width and height, or why it was refused; separated by tabs. The pixels, rows of
//! RGB bytes, go to FOLDER/0, FOLDER/1 and so on.
#![allow(clippy::print_stdout)]

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = std::path::PathBuf::from(arguments.next().expect("FOLDER FILE..."));
    for (number, path) in arguments.enumerate() {
        let bytes = std::fs::read(&path)?;
        match data::decode(&bytes, "image") {
            Ok(image) => {
                std::fs::write(folder.join(number.to_string()), &image.pixels)?;
                println!("{path}\t{}\t{}", image.width, image.height);
            }
            Err(error) => println!("{path}\t{error}"),
        }
    }
    Ok(())
}
