//! Files as PyTorch writes them (refs/torch_files.py), and files as nobody should.

use super::{Format, Weights, WeightsError};

macro_rules! file {
    ($name:literal) => {
        include_bytes!(concat!("../testdata/", $name)).as_slice()
    };
}

fn read(bytes: &[u8]) -> Result<Weights, WeightsError> {
    Weights::read(bytes.to_vec())
}

#[track_caller]
fn refusal(bytes: &[u8]) -> String {
    read(bytes).expect_err("it is to be refused").to_string()
}

/// Every file that holds the tensors of `expected.safetensors`, and the counter beside them.
const SAME: [(&[u8], Format, Option<&str>); 6] = [
    (file!("zip.pth"), Format::PytorchZip, None),
    (file!("legacy.pth"), Format::PytorchLegacy, None),
    (file!("protocol4.pth"), Format::PytorchZip, None),
    (file!("wrapped.pth"), Format::PytorchZip, None),
    (file!("timm.pth.tar"), Format::PytorchZip, Some("state_dict_ema")),
    (file!("torchvision.pth"), Format::PytorchZip, Some("model_ema")),
];

#[test]
fn every_kind_of_file_holds_the_same_numbers() {
    let expected = read(file!("expected.safetensors")).unwrap();
    assert_eq!(expected.format(), Format::Safetensors);
    let names: Vec<_> = expected.iter().collect();
    assert_eq!(names.len(), 10);
    for (bytes, format, section) in SAME {
        let weights = read(bytes).unwrap();
        assert_eq!((weights.format(), weights.section()), (format, section));
        let found: Vec<_> =
            weights.iter().filter(|(name, _)| *name != "bn.num_batches_tracked").collect();
        assert_eq!(found, names, "{section:?}");
        for (name, shape) in &names {
            let values = weights.values(name).unwrap();
            assert_eq!(values, expected.values(name).unwrap(), "{name} of {section:?}");
            assert_eq!(values.len(), shape.iter().product::<usize>(), "{name}");
        }
        assert_eq!(weights.count("bn.num_batches_tracked"), Some(123_456_789));
        let error = weights.values("bn.num_batches_tracked").unwrap_err().to_string();
        assert!(error.contains("int64"), "{error}");
    }
}

/// Not only equal to each other: an element of the transposed view by PyTorch's formula.
#[test]
fn strides_are_walked() {
    let weights = read(file!("zip.pth")).unwrap();
    let formula = |tensor: u64, i: u64| -> f32 {
        let mask = 0xFFFF_FFFF;
        let mut h = (i * 2_654_435_761 + (tensor + 1) * 40_503 * 65_537) & mask;
        h = ((h ^ (h >> 16)) * 0x45d_9f3b) & mask;
        h ^= h >> 16;
        let u = h as f64 / 4_294_967_296.0 - 0.5;
        ((64.0 * u) as f32).floor() / 8.0
    };
    let transposed = weights.values("fc.weight").unwrap();
    for (row, column) in [(0, 0), (1, 0), (0, 1), (5, 4), (3, 2)] {
        assert_eq!(transposed[row * 5 + column], formula(5, (column * 6 + row) as u64));
    }
    // tensor[1:3, ::2].reshape(2, 3)[1] of [4, 6].
    assert_eq!(weights.values("fc.bias").unwrap(), [12, 14, 16].map(|i| formula(6, i)));
    assert_eq!(weights.values("part.weight").unwrap()[..2], [2, 3].map(|i| formula(7, i)));
}

#[test]
fn a_pickle_that_would_run_something_is_refused_by_name() {
    let text = refusal(file!("command.pth"));
    assert!(text.contains("posix.system") && text.contains("nothing was executed"), "{text}");
    let text = refusal(file!("module.pth"));
    assert!(text.contains("__main__.Small") && text.contains("state_dict"), "{text}");
}

#[test]
fn broken_numbers_are_named() {
    let weights = read(file!("nan.pth")).unwrap();
    let text = weights.values("bn.weight").unwrap_err().to_string();
    assert!(text.contains("bn.weight holds NaN"), "{text}");
    assert!(weights.values("bn.bias").is_ok());
    let text = weights.values("bn.gamma").unwrap_err().to_string();
    assert!(text.contains("bn.gamma is not in the file"), "{text}");
    let text = refusal(file!("optimizer.pth"));
    assert!(text.contains("lr is a number, not a tensor"), "{text}");
}

#[test]
fn every_cut_of_a_file_is_refused() {
    for (bytes, ..) in SAME {
        for end in 0..bytes.len() {
            refusal(&bytes[..end]);
        }
    }
    let bytes = file!("expected.safetensors");
    (0..bytes.len()).for_each(|end| drop(refusal(&bytes[..end])));
}

/// A safetensors file of one header and so many bytes.
fn safetensors(header: &str, bytes: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + bytes, 0);
    file
}

#[test]
fn safetensors_that_cannot_be_are_refused() {
    let two = |a: &str, b: &str, shape: &str| {
        let info =
            |at: &str| format!("{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":{at}}}");
        format!("{{\"a\":{},\"b\":{}}}", info(a), info(b))
    };
    let whole = two("[0,8]", "[8,16]", "[2]");
    assert!(read(&safetensors(&whole, 16)).is_ok());
    for (header, bytes, word) in [
        (two("[0,8]", "[4,12]", "[2]"), 12, "overlap"),
        (two("[0,8]", "[0,8]", "[2]"), 8, "overlap"),
        (two("[0,8]", "[12,20]", "[2]"), 20, "hole"),
        (two("[8,0]", "[0,8]", "[2]"), 16, "offsets of a"),
        (two("[0,8]", "[8,16]", "[3]"), 16, "not those of its shape"),
        (two("[0,8]", "[8,16]", "[4294967296,4294967296]"), 16, "overflow"),
        (whole.clone(), 12, "do not end where the file does"),
        (whole.clone(), 20, "do not end where the file does"),
        (format!("{{\"a\":{}", "[".repeat(100_000)), 0, "damaged"),
        ("{}".into(), 0, "no tensors"),
    ] {
        let text = refusal(&safetensors(&header, bytes));
        assert!(text.to_lowercase().contains(word), "{word} in: {text}");
    }
    let mut absurd = safetensors(&whole, 16);
    absurd[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(refusal(&absurd).contains("100 MB"));
    absurd[..8].copy_from_slice(&50_000_000u64.to_le_bytes());
    assert!(refusal(&absurd).contains("ends inside its header"));
    let infinite = "{\"a\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[0,8]}}";
    let mut infinite = safetensors(infinite, 0);
    infinite.extend(1e300f64.to_le_bytes());
    let text = read(&infinite).unwrap().values("a").unwrap_err().to_string();
    assert!(text.contains("a holds inf"), "{text}");
}

#[test]
fn other_files_are_refused() {
    for bytes in [&b""[..], b"PK", b"\x89PNG\r\n\x1a\n........", b"\x80\x02}q\x00.", b"12345678["] {
        assert_eq!(read(bytes).unwrap_err(), WeightsError::Unknown, "{bytes:?}");
    }
}

/// A zip of stored files, with what the directory says of sizes and places changed by `change`.
fn zip(files: &[(&str, &[u8])], change: impl Fn(usize, &mut [u32; 3])) -> Vec<u8> {
    archive(files, false, change)
}

/// With numbers of 64 bits where `wide`.
fn archive(files: &[(&str, &[u8])], wide: bool, change: impl Fn(usize, &mut [u32; 3])) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (index, (name, content)) in files.iter().enumerate() {
        let mut numbers = [content.len() as u32, content.len() as u32, bytes.len() as u32];
        change(index, &mut numbers);
        let mut extra = Vec::new();
        if wide {
            // Another program's field, and then the sizes and the place.
            extra.extend([9, 9, 2, 0, 1, 1, 1, 0, 24, 0]);
            extra.extend(numbers.iter().flat_map(|&number| u64::from(number).to_le_bytes()));
            numbers = [u32::MAX; 3];
        }
        bytes.extend(b"PK\x03\x04");
        bytes.extend([0; 22]);
        bytes.extend((name.len() as u16).to_le_bytes());
        bytes.extend([0; 2]);
        bytes.extend(name.as_bytes());
        bytes.extend(*content);
        directory.extend(b"PK\x01\x02");
        directory.extend([0; 16]);
        directory.extend(numbers[0].to_le_bytes());
        directory.extend(numbers[1].to_le_bytes());
        directory.extend((name.len() as u16).to_le_bytes());
        directory.extend((extra.len() as u16).to_le_bytes());
        directory.extend([0; 10]);
        directory.extend(numbers[2].to_le_bytes());
        directory.extend(name.as_bytes());
        directory.extend(extra);
    }
    let start = bytes.len() as u32;
    bytes.extend(&directory);
    let (mut count, mut place) = (files.len() as u16, start);
    if wide {
        let end = bytes.len() as u64;
        bytes.extend(b"PK\x06\x06");
        bytes.extend([0; 20]);
        let numbers = [count.into(), count.into(), directory.len() as u64, start.into()];
        bytes.extend(numbers.map(u64::to_le_bytes).concat());
        bytes.extend(b"PK\x06\x07\0\0\0\0");
        bytes.extend(end.to_le_bytes());
        bytes.extend([1, 0, 0, 0]);
        (count, place) = (u16::MAX, u32::MAX);
    }
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count; 2].map(u16::to_le_bytes).concat());
    bytes.extend((directory.len() as u32).to_le_bytes());
    bytes.extend(place.to_le_bytes());
    bytes.extend([0; 2]);
    bytes
}

fn torch_zip(pickle: &[u8], storage: &[u8]) -> Vec<u8> {
    let files = [("m/data.pkl", pickle), ("m/byteorder", b"little"), ("m/data/0", storage)];
    zip(&files, |_, _| {})
}

/// A state dict of one tensor `w` of f32, by its storage's length, its offset, its sizes and strides.
fn pickle(length: i32, offset: i32, sizes: &[i32], strides: &[i32]) -> Vec<u8> {
    let number = |n: &i32| [&b"J"[..], &n.to_le_bytes()].concat();
    let tuple = |n: &[i32]| [b"(".to_vec(), n.iter().flat_map(number).collect(), b"t".to_vec()];
    let text = |text: &str| [&b"\x8c"[..], &[text.len() as u8], text.as_bytes()].concat();
    [
        b"\x80\x02}".to_vec(),
        text("w"),
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text("0"),
        text("cpu"),
        number(&length),
        b"tQ".to_vec(),
        number(&offset),
        tuple(sizes).concat(),
        tuple(strides).concat(),
        b"\x89}tRs.".to_vec(),
    ]
    .concat()
}

#[test]
fn tensors_stay_inside_their_storage() {
    let storage = [0; 24];
    let open = |pickle: &[u8]| read(&torch_zip(pickle, &storage));
    for (length, offset, sizes, strides) in [
        (6, 0, &[2, 3][..], &[3, 1][..]),
        (6, 0, &[3, 2], &[1, 3]),
        (5, 1, &[2], &[3]),
        (6, 5, &[], &[]),
        (6, 0, &[1, 6], &[i32::MAX, 1]),
        (6, 999, &[0, 1 << 30], &[1, 1]),
    ] {
        let weights = open(&pickle(length, offset, sizes, strides)).unwrap();
        let count = sizes.iter().product::<i32>() as usize;
        assert_eq!(weights.values("w").unwrap().len(), count, "{sizes:?}");
    }
    for (length, offset, sizes, strides, word) in [
        (7, 0, &[2][..], &[1][..], "too few"),
        (i32::MAX, 0, &[2], &[1], "too few"),
        (-1, 0, &[2], &[1], "negative"),
        (6, -1, &[2], &[1], "negative"),
        (6, 0, &[2], &[-1], "negative"),
        (6, 0, &[7], &[1], "outside its storage"),
        (6, 1, &[2, 3], &[3, 1], "outside its storage"),
        (6, 6, &[], &[], "outside its storage"),
        (6, 0, &[i32::MAX, i32::MAX, i32::MAX], &[1, 1, 1], "outside its storage"),
        // A stride of 0 would make any number of elements of one.
        (6, 0, &[1 << 30], &[0], "outside its storage"),
        (6, 0, &[2, 3], &[1], "2 dimensions but 1 strides"),
    ] {
        let text = open(&pickle(length, offset, sizes, strides)).unwrap_err().to_string();
        assert!(text.contains(word), "{word} in: {text}");
    }
}

/// As files of more than four gigabytes are written.
#[test]
fn a_zip_with_wide_numbers_is_read() {
    let (state, storage) = (pickle(6, 0, &[6], &[1]), [0; 24]);
    let files = [("m/data.pkl", state.as_slice()), ("m/data/0", &storage)];
    let wide = archive(&files, true, |_, _| {});
    assert_eq!(read(&wide).unwrap().values("w").unwrap(), [0.0; 6]);
    (0..wide.len()).for_each(|end| drop(refusal(&wide[..end])));
}

#[test]
fn zips_that_torch_does_not_write_are_refused() {
    let state = pickle(6, 0, &[6], &[1]);
    let storage = [0; 24];
    let files = [("m/data.pkl", state.as_slice()), ("m/data/0", &storage)];
    assert!(read(&zip(&files, |_, _| {})).is_ok());
    type Change = fn(usize, &mut [u32; 3]);
    let changes: [(Change, &str); 5] = [
        (|_, numbers| numbers[0] += 1, "two sizes"),
        (|_, numbers| numbers.iter_mut().for_each(|n| *n += 1 << 30), "outside"),
        (|index, numbers| numbers[2] = if index == 1 { 0 } else { numbers[2] }, "upon each other"),
        (|_, numbers| numbers[2] += 1, "something else"),
        (|_, numbers| *numbers = [u32::MAX; 3], "no size"),
    ];
    for (change, word) in changes {
        let text = refusal(&zip(&files, change));
        assert!(text.contains(word), "{word} in: {text}");
    }
    let big = [files[0], files[1], ("m/byteorder", b"big")];
    assert!(refusal(&zip(&big, |_, _| {})).contains("big-endian"));
    let two = [files[0], files[1], ("n/data.pkl", state.as_slice())];
    assert!(refusal(&zip(&two, |_, _| {})).contains("several"));
    assert!(refusal(&zip(&files[1..], |_, _| {})).contains("no data.pkl"));
    assert!(refusal(&zip(&files[..1], |_, _| {})).contains("no m/data/0"));
    let mut compressed = zip(&files, |_, _| {});
    let entry = compressed.windows(4).position(|bytes| bytes == b"PK\x01\x02").unwrap();
    compressed[entry + 10] = 8;
    assert!(refusal(&compressed).contains("compressed"));
}

/// What costs nothing to write and would cost much to read, were it read carelessly.
#[test]
fn bombs_do_not_go_off() {
    let open = |pickle: &[u8]| refusal(&torch_zip(pickle, &[0; 24]));
    let deep = |open: &[u8], close: &[u8]| [open.repeat(400_000), close.repeat(400_000)].concat();
    // Lists in lists, tuples in tuples; a list that holds itself; one value again and again.
    let nested = [b"\x80\x02]".to_vec(), deep(b"]", b"a"), b".".to_vec()].concat();
    assert!(open(&nested).contains("holds a list"));
    let tuples = [b"\x80\x02".to_vec(), deep(b"(", b"t"), b".".to_vec()].concat();
    assert!(open(&tuples).contains("holds a list"));
    assert!(open(b"\x80\x02]q\x00h\x00a.").contains("holds a list"));
    let doubled = [b"\x80\x02]".to_vec(), b"2\x86".repeat(100_000), b".".to_vec()].concat();
    assert!(open(&doubled).contains("holds a list"));
    // A memo at the end of its range, sizes of four gigabytes, more instructions than there are.
    assert!(open(b"\x80\x02]r\xff\xff\xff\xff.").contains("holds a list"));
    assert!(open(b"\x80\x02X\xff\xff\xff\xffabc.").contains("cut short"));
    assert!(open(b"\x80\x02\x8e\xff\xff\xff\xff\xff\xff\xff\xff.").contains("0x8e"));
    assert!(open(&[b"\x80\x02".to_vec(), b"N".repeat(2 << 20)].concat()).contains("instructions"));
}

#[test]
fn pickles_that_make_no_sense_say_so() {
    let open = |pickle: &[u8]| refusal(&torch_zip(pickle, &[0; 24]));
    for (pickle, word) in [
        (&b""[..], "cut short"),
        (b"\x80\x02", "cut short"),
        (b".", "where there is none"),
        (b"t.", "no mark"),
        (b"(0.", "where there is none"),
        (b"h\x00.", "never remembered"),
        (b"NR.", "where there is none"),
        (b"NNR.", "calls nothing"),
        (b"}Na.", "adds items to a dictionary"),
        (b"]NNs.", "sets keys of a list"),
        (b"}(Nu.", "key without a value"),
        (b"NQ.", "for a tuple"),
        (b")Q.", "unknown way"),
        (b"Nb.", "where there is none"),
        (b"NNb.", "gives a state to nothing"),
        (b"ccollections\nOrderedDict\n)R.", "no tensors"),
        (b"ccollections\nOrderedDict\n((Ntt\x85R.", "for a pair"),
        (b"ctorch\nSize\n)R.", "wrong parts"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "wrong parts"),
        (b"cos\nsystem\n.", "os.system"),
        (b"cbuiltins\neval\n.", "builtins.eval"),
        (b"c__builtin__\ngetattr\n.", "__builtin__.getattr"),
        (b"ctorch.storage\n_load_from_bytes\n.", "torch.storage._load_from_bytes"),
        (b"ccollections\nOrderedDict.fromkeys\n.", "OrderedDict.fromkeys"),
        (b"\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"I5\n.", "'I'"),
        (b"P0\n.", "'P'"),
        (b"i", "'i'"),
        (b"\x82\x01.", "0x82"),
    ] {
        let text = open(pickle);
        assert!(text.contains(word), "{pickle:?}: {word} in: {text}");
    }
}

/// Nothing that is let pass unread can become a weight.
#[test]
fn an_inert_object_is_no_tensor() {
    let state = pickle(6, 0, &[6], &[1]);
    let with = |value: &[u8]| {
        let end = state.len() - 1;
        torch_zip(&[&state[..end], b"\x8c\x01v", value, b"s."].concat(), &[0; 24])
    };
    for value in [
        &b"cargparse\nNamespace\n)\x81}b"[..],
        b"ccollections\nCounter\n}\x85R",
        b"ccollections\ndefaultdict\n)R(NNu",
        b"ccollections\ndeque\n)R(NNe",
    ] {
        let text = refusal(&with(value));
        assert!(text.contains("v is an object, not a tensor"), "{text}");
    }
    assert!(refusal(&with(b"N")).contains("v is nothing, not a tensor"));
}
