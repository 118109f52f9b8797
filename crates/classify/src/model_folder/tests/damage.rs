//! Files that are damaged, huge, or not there.

use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use train::model_file::{ModelFile, ModelFileError, check_bytes, to_bytes};

use super::*;

fn small() -> Model<Network> {
    model("mobilenetv1_025", &Options::plain(2))
}

fn read_bytes(bytes: &[u8]) -> Result<nn::FileTensors, FolderProblem> {
    Ok(ModelFile::open(bytes, bytes.len() as u64)?.tensors()?)
}

/// The same tensors as another program writes them.
fn foreign(bytes: &[u8]) -> Vec<u8> {
    let archive = SafeTensors::deserialize(bytes).unwrap();
    safetensors::serialize(archive.tensors(), None).unwrap()
}

#[test]
fn the_same_model_is_the_same_bytes_and_other_programs_read_them() {
    let model = small();
    let bytes = to_bytes(&model, 7);
    assert_eq!(to_bytes(&model, 7), bytes);
    assert_ne!(to_bytes(&model, 8), bytes);
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let keys = header.metadata().as_ref().unwrap();
    assert_eq!((keys.len(), keys["format"].as_str()), (2, "pt"));
    let archive = SafeTensors::deserialize(&bytes).unwrap();
    let counter = archive.tensor("bn1.num_batches_tracked").unwrap();
    assert_eq!(counter.data(), 7i64.to_le_bytes());
    // Tensors lie where the format's own writer puts them: only the metadata are ours.
    let theirs = foreign(&bytes);
    let body = |bytes: &[u8]| {
        let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
        bytes[8 + length..].to_vec()
    };
    assert_eq!(body(&bytes), body(&theirs));
    assert_eq!(read_bytes(&bytes).unwrap(), model.tensors());
    assert_eq!(read_bytes(&theirs).unwrap(), model.tensors());
}

#[test]
fn a_changed_byte_of_the_tensors_is_found() {
    let bytes = to_bytes(&small(), 7);
    let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    for at in (header..bytes.len()).step_by(10_007).chain([header, bytes.len() - 1]) {
        for bit in [1, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= bit;
            let found = read_bytes(&changed);
            assert!(matches!(found, Err(FolderProblem::Checksum { .. })), "byte {at}");
            assert!(
                matches!(check_bytes(&changed), Err(ModelFileError::Checksum { .. })),
                "byte {at}"
            );
        }
    }
    check_bytes(&bytes).unwrap();
    check_bytes(&foreign(&bytes)).unwrap();
}

#[test]
fn a_changed_name_or_shape_is_found() {
    let bytes = to_bytes(&small(), 7);
    let text = |from: &str, to: &str| {
        let at =
            bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect(from);
        [&bytes[..at], to.as_bytes(), &bytes[at + from.len()..]].concat()
    };
    for (from, to) in [
        ("\"bn1.weight\"", "\"bn9.weight\""),
        ("\"shape\":[8,3,3,3]", "\"shape\":[3,8,3,3]"),
        ("crc32c\":\"", "crc32c\":\"g"),
    ] {
        let changed = match to.len() - from.len() {
            0 => text(from, to),
            // One digit of the checksum makes room.
            _ => text(from, to)
                .iter()
                .copied()
                .enumerate()
                .filter(|(at, _)| *at != 8 + 60)
                .map(|(_, b)| b)
                .collect(),
        };
        assert!(read_bytes(&changed).is_err(), "{from}");
    }
}

#[test]
fn a_file_cut_anywhere_is_an_error_and_asks_for_no_memory() {
    let bytes = to_bytes(&small(), 7);
    let header = 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    for length in (0..header + 64).step_by(13).chain([bytes.len() - 1]) {
        let found = read_bytes(&bytes[..length]);
        assert!(matches!(found, Err(FolderProblem::Damaged(_))), "{length} bytes");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(matches!(read_bytes(&longer), Err(FolderProblem::Damaged(_))));
    for length in [u64::MAX, u64::MAX - 8, 1 << 40, (16 << 20) + 1] {
        let mut claimed = bytes.clone();
        claimed[..8].copy_from_slice(&length.to_le_bytes());
        let text = read_bytes(&claimed).unwrap_err().to_string();
        assert!(text.contains("its header claims"), "{text}");
        assert!(check_bytes(&claimed).is_err());
    }
}

#[test]
fn tensors_that_are_no_numbers_are_named() {
    let mut model = small().tensors();
    for value in [f32::NAN, f32::INFINITY] {
        model.get_mut("classifier.bias").unwrap().values[1] = value;
        let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = model
            .iter()
            .map(|(name, tensor)| {
                let bytes = tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect();
                (name.clone(), tensor.shape.clone(), bytes)
            })
            .collect();
        let views = bytes.iter().map(|(name, shape, bytes)| {
            let dtype = safetensors::Dtype::F32;
            (name.as_str(), TensorView::new(dtype, shape.clone(), bytes).unwrap())
        });
        let text =
            read_bytes(&safetensors::serialize(views, None).unwrap()).unwrap_err().to_string();
        assert!(text.contains("classifier.bias holds") && text.contains("lower rate"), "{text}");
    }
}

/// The largest network that the limits allow still fits into the headers of its files.
#[test]
fn the_deepest_network_fits_into_the_headers_of_its_files() {
    let shape = Shape { blocks: [zoo::MOST_BLOCKS; 4], channels: [4; 4], stem_channels: 8 };
    let options = Options { shape: Some(shape), ..Options::plain(2) };
    let network = zoo::network("seresnet152", &options).expect("within the limits");
    // Name, type, shape and two offsets of up to 13 digits.
    let entry = |name: &str| name.len() + 120;
    let tensors = nn::file_shapes(&network);
    let model: usize = tensors.iter().map(|(name, _)| entry(name) + 24).sum();
    assert!(model < 16 << 20, "{model} bytes of header");
    // A checkpoint holds the tensors, two slots of an optimizer, and an average.
    let checkpoint: usize = tensors.iter().map(|(name, _)| 4 * (entry(name) + 24)).sum();
    assert!(checkpoint < 100_000_000, "{checkpoint} bytes of header");
}

#[test]
fn a_folder_that_was_interrupted_at_any_moment_is_written_again() {
    let (model, options) = (small(), Options::plain(2));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let refused = || read(folder.path(), &nn::cpu()).unwrap_err().to_string();
    write(folder.path(), &model, &card(options.clone())).unwrap();
    let whole = fs::read(path(WEIGHTS)).unwrap();
    // Between the two files, with weights of another model, and with a file aside.
    fs::remove_file(path(CONFIG)).unwrap();
    assert!(refused().contains("was interrupted; give the same command again"), "{}", refused());
    assert!(is_only_a_model(folder.path()));
    fs::write(path(".model.safetensors.tmp"), &whole[..99]).unwrap();
    assert!(is_only_a_model(folder.path()));
    write(folder.path(), &model, &card(options)).unwrap();
    assert!(read(folder.path(), &nn::cpu()).is_ok());
    assert!(!path(".model.safetensors.tmp").exists());
    fs::write(path("notes.txt"), "mine").unwrap();
    assert!(!is_only_a_model(folder.path()));
}
