//! Checkpoints to the last bit, and what happens to damaged ones.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nn::FileTensor;
use record::Best;

use super::file::{CHUNK, KEY, Unreadable, header, read};
use super::folder::names;
use super::*;
use crate::sources::ImageFacts;

fn tensor(shape: &[usize], values: &[f32]) -> FileTensor {
    FileTensor { shape: shape.to_vec(), values: values.to_vec() }
}

fn facts() -> RunFacts {
    RunFacts {
        recipe: "version = 2\nname = \"größe \\ \"\n".to_owned(),
        instruction_set: "avx2".to_owned(),
        best: Some(Best { step: 3, value: 71.234_567_890_123_45 }),
        loss_scaling: Some(ScaleFacts { scale: 32_768.0, good_steps: 1_999, overflows: 0 }),
        work_seconds: 0.1 + 0.2,
        images: u64::MAX,
        classes: vec!["tench".to_owned(), "snail \u{1f40c}".to_owned()],
        sources: Some(RunSources {
            images: ImageFacts {
                training: 60,
                validation: 18,
                names: "a1".to_owned(),
                sizes: "b2".to_owned(),
            },
            teacher: Some("c3".to_owned()),
            origin: None,
        }),
    }
}

fn tiny(step: u64) -> Checkpoint {
    let signalling = f32::from_bits(0x7fa0_1234);
    let tensors = [
        ("a.weight", tensor(&[2, 3], &[1.0, -0.0, f32::NAN, signalling, 1e-45, -3.5])),
        ("b.gamma", tensor(&[], &[f32::NEG_INFINITY])),
        ("c.empty", tensor(&[0, 4], &[])),
    ];
    let tensors = tensors.map(|(name, tensor)| (name.to_owned(), tensor)).into();
    Checkpoint { step, facts: facts(), tensors }
}

/// Equal to the last bit, NaN too.
fn same(a: &Checkpoint, b: &Checkpoint) -> bool {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let facts = (a.step, &a.facts) == (b.step, &b.facts);
    facts
        && a.tensors.len() == b.tensors.len()
        && a.tensors.iter().zip(&b.tensors).all(|((name_a, a), (name_b, b))| {
            name_a == name_b && a.shape == b.shape && bits(&a.values) == bits(&b.values)
        })
}

fn bytes_of(checkpoint: &Checkpoint) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    fs::read(save(folder.path(), checkpoint).unwrap()).unwrap()
}

fn parse(bytes: &[u8]) -> Result<Checkpoint, Damage> {
    read(&mut &bytes[..], bytes.len() as u64).map_err(|unreadable| match unreadable {
        Unreadable::Damaged(damage) => damage,
        Unreadable::Failed(error) => panic!("read beyond the end: {error}"),
    })
}

#[test]
fn every_bit_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = folder.path().join("checkpoints");
    let large =
        (0..3 * CHUNK + 7).map(|index| f32::from_bits((index as u32).wrapping_mul(1_234_577)));
    let mut checkpoint = tiny(1234);
    let large = FileTensor { shape: vec![3 * CHUNK + 7], values: large.collect() };
    checkpoint.tensors.insert("large".to_owned(), large);
    let path = save(&checkpoints, &checkpoint).unwrap();
    assert_eq!(path, checkpoints.join("step-00001234.safetensors"));
    assert!(same(&load(&path).unwrap(), &checkpoint));
    assert_eq!(names(&checkpoints).unwrap(), ["step-00001234.safetensors"]);
}

#[test]
fn a_checkpoint_without_tensors_or_best_comes_back() {
    let mut checkpoint = tiny(0);
    checkpoint.tensors.clear();
    checkpoint.facts.best = None;
    checkpoint.facts.classes.clear();
    assert!(same(&parse(&bytes_of(&checkpoint)).unwrap(), &checkpoint));
}

/// JSON must not cost the last bit of a float (serde_json does without `float_roundtrip`).
#[test]
fn numbers_of_the_facts_come_back_exactly() {
    let mut bits = 1_u64;
    for _ in 0..2_000 {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let number = f64::from_bits(bits);
        if number.is_finite() {
            let facts = RunFacts { work_seconds: number, ..facts() };
            let text = serde_json::to_string(&facts).unwrap();
            assert_eq!(serde_json::from_str::<RunFacts>(&text).unwrap(), facts, "{text}");
        }
    }
}

#[test]
fn the_file_is_plain_safetensors_with_one_key_and_the_same_bytes_each_time() {
    let bytes = bytes_of(&tiny(5));
    assert_eq!(bytes, bytes_of(&tiny(5)));
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.names().len(), 3);
    assert_eq!(file.tensor("a.weight").unwrap().shape(), [2, 3]);
    assert_eq!(file.tensor("a.weight").unwrap().data()[..4], 1.0_f32.to_le_bytes());
    let (header, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header % 8, 0);
    let keys = metadata.metadata().clone().unwrap();
    assert_eq!(keys.len(), 1);
    let stamp: serde_json::Value = serde_json::from_str(&keys[KEY]).unwrap();
    let names: Vec<_> = stamp.as_object().unwrap().keys().collect();
    assert_eq!(names, ["step", "facts", "crc32c"]);
}

#[test]
fn a_changed_byte_is_found_or_means_nothing() {
    let checkpoint = tiny(5);
    let bytes = bytes_of(&checkpoint);
    let mut harmless = 0;
    for position in 0..bytes.len() {
        for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
            let mut bytes = bytes.clone();
            bytes[position] ^= mask;
            if let Ok(read) = parse(&bytes) {
                assert!(same(&read, &checkpoint), "byte {position} changed by {mask:#x}");
                harmless += 1;
            }
        }
    }
    // Only spaces that pad the header may change unseen.
    assert!(harmless <= 7 * 9, "{harmless} changes went unseen");
}

#[test]
fn a_file_cut_anywhere_is_found_and_so_is_one_too_long() {
    let bytes = bytes_of(&tiny(5));
    for length in 0..bytes.len() {
        let text = parse(&bytes[..length]).unwrap_err().to_string();
        assert!(text.starts_with(&format!("cut short at {length} ")), "{text}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(matches!(parse(&longer), Err(Damage::TooLong { .. })));
}

#[test]
fn other_files_are_refused() {
    let plain =
        safetensors::serialize(Vec::<(String, safetensors::tensor::TensorView)>::new(), None);
    for (bytes, says) in [
        (plain.unwrap(), "this is not a checkpoint"),
        (b"\x89PNG\r\n\x1a\n and so on".to_vec(), "it claims a length"),
        (vec![0; 100], "its header cannot be read"),
    ] {
        let text = parse(&bytes).unwrap_err().to_string();
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn checkpoints_are_listed_by_step() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(list(&folder.path().join("none")), []);
    for step in [100_000_000, 20, 3] {
        save(folder.path(), &tiny(step)).unwrap();
    }
    for other in ["step-7.safetensors", "step-00000009.safetensors.tmp", "notes.txt"] {
        fs::write(folder.path().join(other), "").unwrap();
    }
    let steps: Vec<_> = list(folder.path()).into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [3, 20, 100_000_000]);
    assert_eq!(latest(folder.path()).unwrap().unwrap().step, 100_000_000);
}

#[test]
fn no_checkpoint_is_none() {
    let folder = tempfile::tempdir().unwrap();
    assert!(latest(folder.path()).unwrap().is_none());
    assert!(latest(&folder.path().join("none")).unwrap().is_none());
}

#[test]
fn a_damaged_newest_one_is_named_with_its_mend() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [10, 20, 30].map(|step| save(folder.path(), &tiny(step)).unwrap());
    let length = fs::metadata(&paths[2]).unwrap().len();
    let damage = |path: &PathBuf, last: usize| {
        let mut bytes = fs::read(path).unwrap();
        bytes[last] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    File::options().write(true).open(&paths[2]).unwrap().set_len(length - 1).unwrap();
    let error = latest(folder.path()).unwrap_err().to_string();
    let expected = format!(
        "checkpoint {} is damaged: cut short at {} of {length} bytes; delete it to resume from step 20: {}",
        paths[2].display(),
        length - 1,
        paths[1].display()
    );
    assert_eq!(error, expected);

    damage(&paths[1], length as usize - 1);
    let error = latest(folder.path()).unwrap_err().to_string();
    let mend =
        format!("delete it and {}, damaged too, to resume from step 10: ", paths[1].display());
    assert!(error.contains(&mend), "{error}");

    fs::remove_file(&paths[2]).unwrap();
    fs::remove_file(&paths[0]).unwrap();
    let error = latest(folder.path()).unwrap_err().to_string();
    assert!(error.contains("its checksum differs"), "{error}");
    assert!(
        error.ends_with("there is no earlier checkpoint: start again in a new folder"),
        "{error}"
    );
    let error = load(&paths[1]).unwrap_err().to_string();
    assert!(error.ends_with("take another checkpoint of this run"), "{error}");
    let error = load(&paths[0]).unwrap_err().to_string();
    assert!(error.starts_with("cannot read") && error.contains("step-00000010"), "{error}");
}

#[test]
fn pruning_keeps_the_last_ones_and_the_best() {
    for (keep, best, left) in [
        (2, Some(1), vec![1, 4, 5]),
        (2, Some(5), vec![4, 5]),
        (2, None, vec![4, 5]),
        (0, None, vec![5]),
        (9, None, vec![1, 2, 3, 4, 5]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for step in 1..=5 {
            save(folder.path(), &tiny(step)).unwrap();
        }
        fs::write(folder.path().join(".step-00000006.safetensors.tmp"), "half").unwrap();
        fs::write(folder.path().join("notes.txt"), "mine").unwrap();
        prune(folder.path(), keep, best).unwrap();
        let steps: Vec<_> = list(folder.path()).into_iter().map(|(step, _)| step).collect();
        assert_eq!(steps, left);
        assert_eq!(names(folder.path()).unwrap().len(), left.len() + 1);
    }
    prune(Path::new("no such folder"), 1, None).unwrap();
}

#[test]
fn a_save_that_fails_leaves_the_earlier_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), &tiny(1)).unwrap();
    // A folder stands where the new file would be written.
    fs::create_dir(folder.path().join(".step-00000002.safetensors.tmp")).unwrap();
    let error = save(folder.path(), &tiny(2)).unwrap_err().to_string();
    assert!(error.contains("step-00000002.safetensors"), "{error}");
    assert_eq!(latest(folder.path()).unwrap().unwrap().step, 1);
}

#[test]
#[should_panic(expected = "tensor a has shape [2] but 3 values")]
fn a_shape_that_lies_panics() {
    let tensors = [("a".to_owned(), tensor(&[2], &[1.0, 2.0, 3.0]))].into();
    header(&Checkpoint { step: 0, facts: facts(), tensors });
}
