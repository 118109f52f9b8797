//! Datasets with what is no image among the images: FIFOs, loops of links, names that are not text, bombs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::fixtures::{Sandbox, stderr, write_image};

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// An image whose name is not UTF-8.
fn nameless(folder: &Path) {
    write_image(&folder.join("plain.png"), 1, 3);
    fs::rename(folder.join("plain.png"), folder.join(OsStr::from_bytes(b"\xFF.png"))).unwrap();
}

#[test]
fn data_check_and_info_tell_what_is_left_out_and_go_on() {
    let sandbox = Sandbox::new();
    let root = sandbox.parts();
    let red = root.join("train/red");
    fifo(&red.join("fifo.jpg"));
    symlink(".", red.join("self")).unwrap();
    symlink("..", red.join("up")).unwrap();
    nameless(&red);
    for name in ["x.jfif", "x.tif", "x.avif", "photo"] {
        fs::write(red.join(name), "content").unwrap();
    }
    let data = root.to_str().unwrap();
    let text = sandbox.succeed(&["data", "check", data, "--json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["train_images"], &report["validation_images"]), (&42.into(), &12.into()));
    assert_eq!(report["counts"]["left_out"], 8);
    assert_eq!(report["stops_training"], false);
    let text = sandbox.succeed(&["data", "check", data]);
    for words in [
        "left out      8  goes on",
        "fifo.jpg: it is a FIFO, and only regular files are read",
        "self: a link to a folder that is read in another place",
        "its name is not UTF-8; rename it",
        "x.tif: its name ends in none of jpg",
    ] {
        assert!(text.contains(words), "no {words:?} in: {text}");
    }
    let text = sandbox.succeed(&["data", "info", data]);
    assert!(text.contains("8 other files are left out"), "{text}");
    let info: Value =
        serde_json::from_str(&sandbox.succeed(&["data", "info", data, "--json"])).unwrap();
    assert_eq!(info["left_out"], 8);
}

#[test]
fn predict_names_what_is_no_image_and_tells_the_others() {
    let sandbox = Sandbox::new();
    let (recipe, colors) = (sandbox.recipe(), sandbox.colors());
    let (recipe, colors) = (recipe.to_str().unwrap(), colors.to_str().unwrap());
    sandbox.succeed(&["train", recipe, "--data", colors, "--out", "run"]);
    let photos = sandbox.path("photos");
    write_image(&photos.join("a.png"), 1, 4);
    nameless(&photos);
    fifo(&photos.join("fifo.png"));
    symlink("nowhere.png", photos.join("gone.png")).unwrap();
    let vast = File::create(photos.join("vast.jpg")).unwrap();
    vast.set_len(20 << 30).unwrap();
    (&vast).write_all(&[0xFF, 0xD8, 0xFF]).unwrap();
    let output = sandbox.run(&["predict", "run", "photos", "/dev/zero", "--json"]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = list.as_array().unwrap().iter().filter(|each| each.get("error").is_none());
    assert_eq!((told.count(), list.as_array().unwrap().len()), (2, 6), "{text}");
    for words in ["it is a FIFO", "it is a device", "20480 MB are more than any picture"] {
        assert!(text.contains(words), "no {words:?} in: {text}");
    }
    assert_eq!(text.matches("there is no such file").count(), 1, "{text}");
}

#[test]
fn causes_are_told_once_and_empty_classes_all_at_once() {
    let sandbox = Sandbox::new();
    let root = sandbox.colors();
    let data = root.to_str().unwrap();
    symlink("nowhere.png", root.join("red/gone.png")).unwrap();
    let text = sandbox.fail(&["data", "info", data], 1);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert_eq!(text.matches("nowhere.png").count(), 1, "{text}");
    assert!(text.contains("red/gone.png: a link to nowhere.png, which is not there; "), "{text}");
    assert!(!text.contains("os error"), "{text}");
    fs::remove_file(root.join("red/gone.png")).unwrap();
    for class in ["black", "white"] {
        fs::create_dir(root.join(class)).unwrap();
    }
    let text = sandbox.fail(&["data", "check", data], 1);
    for words in ["2 class folders hold no images", "black: this class folder is empty", "white: "]
    {
        assert!(text.contains(words), "no {words:?} in: {text}");
    }
}

#[test]
fn parts_called_train_and_val_in_any_case_train() {
    let sandbox = Sandbox::new();
    let root = sandbox.parts();
    fs::rename(root.join("train"), root.join("Train")).unwrap();
    fs::rename(root.join("val"), root.join("VAL")).unwrap();
    let text = sandbox.succeed(&["data", "check", root.to_str().unwrap()]);
    assert!(text.contains("42 training and 12 validation images in 3 classes"), "{text}");
    fs::rename(root.join("VAL/red"), root.join("VAL/pink")).unwrap();
    // Both parts are looked at where their classes differ.
    let output = sandbox.run(&["data", "check", root.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("42 training and 12 validation images"), "{text}");
}

#[test]
fn a_second_pack_into_a_folder_is_told_who_writes_there() {
    let sandbox = Sandbox::new();
    let data = sandbox.parts();
    let arguments = ["data", "pack", data.to_str().unwrap(), "-o", "pack"];
    fs::create_dir(sandbox.path("pack")).unwrap();
    let mut lock = File::create(sandbox.path("pack/.pack.lock")).unwrap();
    writeln!(lock, "4242").unwrap();
    lock.lock().unwrap();
    let text = sandbox.fail(&arguments, 1);
    assert!(
        text.contains("pack: process 4242 is writing a packed copy into this folder"),
        "{text}"
    );
    // The lock ends with its owner, however that ends.
    drop(lock);
    sandbox.succeed(&arguments);
    assert!(!sandbox.path("pack/.pack.lock").exists());
}
