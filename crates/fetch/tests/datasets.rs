//! Datasets by name, from a server on the loopback address.

use std::fs;
use std::io::Write;
use std::path::Path;

use fetch::{FetchError, Laid, PublishedFile, PublishedSet, get};
use md5::{Digest, Md5};

mod server;
use server::{Answer, Server};

fn md5(bytes: &[u8]) -> &'static str {
    let digits: String = Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    digits.leak()
}

/// A gzipped tar of files.
fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        // Written by hand, since the builder refuses what leads out of the folder.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&builder.into_inner().unwrap()).unwrap();
    packed.finish().unwrap()
}

fn published(files: Vec<PublishedFile>, laid: Laid) -> PublishedSet {
    let (images, licence) = ([1, 1], "none");
    PublishedSet {
        name: "small",
        about: "few",
        classes: 1,
        images,
        licence,
        files: files.leak(),
        laid,
    }
}

fn file(name: &'static str, content: &[u8]) -> PublishedFile {
    let url = format!("http://nowhere.invalid/{name}").leak();
    PublishedFile { url, md5: md5(content), megabytes: 1.0 }
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn files_that_are_read_as_published_are_left_so() {
    let (a, b) = (b"images".to_vec(), b"labels".to_vec());
    let set = published(vec![file("a.gz", &a), file("b.gz", &b)], Laid::AsPublished);
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/sets/a.gz" => Answer::of_file(asked, &a),
        "/sets/b.gz" => Answer::of_file(asked, &b),
        _ => Answer::new(404, b""),
    });
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("small");
    let mirror = format!("{}/sets/", server.address);
    let got = get(&set, &folder, Some(&mirror), &mut |_| {}).unwrap();
    assert_eq!((got.folder.as_path(), got.bytes), (folder.as_path(), 12));
    assert_eq!((read(&folder, "a.gz"), read(&folder, "b.gz")), ("images".into(), "labels".into()));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing else is left");
    let again = get(&set, &folder, Some(&mirror), &mut |_| {}).unwrap_err();
    assert!(matches!(again, FetchError::Present { .. }) && again.is_usage());
}

/// A call that is cut off leaves no folder of that name; the next one fetches what is missing.
#[test]
fn a_dataset_is_whole_or_not_there() {
    let noise: String =
        (0..60_000u32).map(|i| char::from(b'a' + (i.wrapping_mul(i) % 23) as u8)).collect();
    let packed = archive(&[("set/train/cat/1.txt", &noise), ("set/val/dog/2.txt", "wau")]);
    let labels = b"123".to_vec();
    let set =
        published(vec![file("set.tgz", &packed), file("labels.mat", &labels)], Laid::Unpacked);
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("data");
    let half = packed.len() / 2;
    let cut = {
        let packed = packed.clone();
        Server::start(move |asked| {
            let cut = if asked.from.is_none() { half } else { 0 };
            Answer { cut, ..Answer::of_file(asked, &packed) }
        })
    };
    let broken = get(&set, &folder, Some(&cut.address), &mut |_| {}).unwrap_err().to_string();
    assert!(broken.contains("the connection broke") && !folder.exists(), "{broken}");

    let whole = Server::start(move |asked| match asked.path.as_str() {
        "/set.tgz" => Answer::of_file(asked, &packed),
        _ => Answer::of_file(asked, &labels),
    });
    get(&set, &folder, Some(&whole.address), &mut |_| {}).unwrap();
    assert_eq!(whole.asked()[0].from, Some(half));
    assert_eq!(read(&folder, "set/train/cat/1.txt"), noise);
    assert_eq!(read(&folder, "set/val/dog/2.txt"), "wau");
    assert_eq!(read(&folder, "labels.mat"), "123");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn another_file_than_the_published_one_is_refused_and_removed() {
    let set = published(vec![file("a.tar.gz", b"right")], Laid::Unpacked);
    let server = Server::start(|asked| Answer::of_file(asked, b"wrong"));
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("small");
    let refused = get(&set, &folder, Some(&server.address), &mut |_| {}).unwrap_err().to_string();
    assert!(refused.contains("its MD5 is") && refused.contains(md5(b"right")), "{refused}");
    let left = fs::read_dir(place.path().join("small.partial/fetched")).unwrap().count();
    assert!(left == 0 && !folder.exists());
}

#[test]
fn an_archive_writes_nothing_outside_of_its_folder() {
    let packed = archive(&[("fine.txt", "1"), ("../outside.txt", "2")]);
    let set = published(vec![file("set.tgz", &packed)], Laid::Unpacked);
    let server = Server::start(move |asked| Answer::of_file(asked, &packed));
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("a/small");
    let refused = get(&set, &folder, Some(&server.address), &mut |_| {}).unwrap_err().to_string();
    assert!(refused.contains("../outside.txt leads out"), "{refused}");
    assert!(!folder.exists() && !place.path().join("a/small.partial/outside.txt").exists());
}

#[test]
fn lists_of_images_are_made_of_a_datasets_own() {
    let food = archive(&[
        ("food-101/images/soup/1.jpg", "a"),
        ("food-101/images/soup/2.jpg", "b"),
        ("food-101/meta/train.txt", "soup/1\n"),
        ("food-101/meta/test.txt", "soup/2\n"),
    ]);
    let pets = archive(&[("images/Pug_1.jpg", "a"), ("images/Pug_2.jpg", "b")]);
    let lists = archive(&[
        ("annotations/trainval.txt", "Pug_1 1 2 1\n"),
        ("annotations/test.txt", "Pug_2 1 2 1\n"),
    ]);
    let foods = published(vec![file("food.tar.gz", &food)], Laid::FoodLists);
    let files = vec![file("images.tar.gz", &pets), file("annotations.tar.gz", &lists)];
    let animals = published(files, Laid::PetLists);
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/food.tar.gz" => Answer::of_file(asked, &food),
        "/images.tar.gz" => Answer::of_file(asked, &pets),
        _ => Answer::of_file(asked, &lists),
    });
    let place = tempfile::tempdir().unwrap();
    let [a, b] = ["food", "pets"].map(|name| place.path().join(name));
    get(&foods, &a, Some(&server.address), &mut |_| {}).unwrap();
    assert_eq!(read(&a, "train.txt"), "images/soup/1.jpg soup\n");
    assert_eq!(
        (read(&a, "val.txt"), read(&a, "images/soup/2.jpg")),
        ("images/soup/2.jpg soup\n".into(), "b".into())
    );
    get(&animals, &b, Some(&server.address), &mut |_| {}).unwrap();
    assert_eq!(read(&b, "train.txt"), "images/Pug_1.jpg Pug\n");
    assert_eq!(read(&b, "val.txt"), "images/Pug_2.jpg Pug\n");
}
