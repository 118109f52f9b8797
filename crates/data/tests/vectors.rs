//! Against what Pillow and torchvision made of the same images; written by `refs/data_vectors.py`.

use data::{ImageOperation, Region, RgbImage, decode, resize, resize_region, validation_sample};
use recipe::{Interpolation, Normalize, Validation};

struct Reader(&'static [u8]);

impl Reader {
    fn bytes(&mut self, count: usize) -> &'static [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    fn number(&mut self) -> usize {
        u32::from_le_bytes(self.bytes(4).try_into().unwrap()) as usize
    }

    fn numbers<const N: usize>(&mut self) -> [usize; N] {
        [(); N].map(|()| self.number())
    }

    fn image(&mut self, width: usize, height: usize) -> RgbImage {
        RgbImage { width, height, pixels: self.bytes(width * height * 3).to_vec() }
    }
}

fn worst(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

#[test]
fn resizing_gives_pillows_bits() {
    let [bilinear, bicubic] = [
        (Interpolation::Bilinear, include_bytes!("../testdata/resize.bin").as_slice()),
        (Interpolation::Bicubic, include_bytes!("../testdata/bicubic.bin").as_slice()),
    ]
    .map(|(interpolation, vectors)| resizing(interpolation, Reader(vectors)));
    assert_eq!((bilinear, bicubic), (16, 20));
}

/// Compares all cases; returns how many there are.
fn resizing(interpolation: Interpolation, mut vectors: Reader) -> usize {
    let mut cases = 0;
    while !vectors.0.is_empty() {
        let [width, height, left, top, w, h, to_width, to_height] = vectors.numbers();
        let image = vectors.image(width, height);
        let expected = vectors.image(to_width, to_height);
        let region = Region { left, top, width: w, height: h };
        let found = resize_region(&image, region, [to_width, to_height], interpolation);
        assert!(
            found == expected,
            "{interpolation}: {region:?} of {width}×{height} to {to_width}×{to_height}"
        );
        if region == Region::whole(&image) && interpolation == Interpolation::Bilinear {
            assert_eq!(resize(&image, to_width, to_height), expected);
        }
        cases += 1;
    }
    cases
}

#[test]
fn validation_gives_torchvisions_pixels() {
    for (interpolation, vectors) in [
        (Interpolation::Bilinear, include_bytes!("../testdata/validation.bin").as_slice()),
        (Interpolation::Bicubic, include_bytes!("../testdata/validation-bicubic.bin").as_slice()),
    ] {
        validation(interpolation, Reader(vectors));
    }
}

fn validation(interpolation: Interpolation, mut vectors: Reader) {
    let plain = Normalize { mean: [0.0; 3], std: [1.0; 3] };
    while !vectors.0.is_empty() {
        let [width, height, edge, crop] = vectors.numbers();
        let image = vectors.image(width, height);
        let expected = vectors.image(crop, crop);
        let mut found = vec![0.0; crop * crop * 3];
        let v = Validation { resize: edge, crop };
        validation_sample(&v, &plain, interpolation, &image, &mut found);
        let found: Vec<u8> = found.iter().map(|&value| value as u8).collect();
        assert!(found == expected.pixels, "{interpolation}: {width}×{height} to {edge}, {crop}");
    }
}

#[test]
fn decoding_gives_pillows_pixels() {
    let mut vectors = Reader(include_bytes!("../testdata/decode.bin"));
    let mut wrong = Vec::new();
    while !vectors.0.is_empty() {
        let length = vectors.number();
        let name = str::from_utf8(vectors.bytes(length)).unwrap();
        let [tolerance, width, height, length] = vectors.numbers();
        let file = vectors.bytes(length);
        let expected = vectors.image(width, height);
        match decode(file, name) {
            Err(error) => wrong.push(error.to_string()),
            Ok(found) => {
                assert_eq!((found.width, found.height), (width, height), "{name}");
                let worst = worst(&found.pixels, &expected.pixels);
                if usize::from(worst) > tolerance {
                    wrong.push(format!("{name}: differs by {worst}, not {tolerance}"));
                }
            }
        }
        // Cut short, the file is an error that names it, and never a panic.
        for cut in [length / 2, length - length / 8, length - 5] {
            let Err(error) = decode(&file[..cut], name) else {
                // What follows the pixels of a GIF or BMP is not needed.
                if name.ends_with(".jpg") || cut == length / 2 {
                    wrong.push(format!("{name}: whole when cut to {cut} of {length}"));
                }
                continue;
            };
            assert!(error.to_string().starts_with(&format!("{name}: ")), "{error}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// RandAugment's 14 operations, by Pillow 13; written by `refs/augment_vectors.py`.
#[test]
fn operations_give_pillows_bits() {
    let mut vectors = Reader(include_bytes!("../testdata/operations.bin"));
    let mut cases = 0;
    while !vectors.0.is_empty() {
        let kind = vectors.number();
        let strength = f64::from_le_bytes(vectors.bytes(8).try_into().unwrap());
        let [width, height] = vectors.numbers();
        let mut image = vectors.image(width, height);
        let expected = vectors.image(width, height);
        let operation = match kind {
            0 => ImageOperation::Identity,
            1 => ImageOperation::AutoContrast,
            2 => ImageOperation::Equalize,
            3 => ImageOperation::Rotate(strength),
            4 => ImageOperation::Solarize(strength as u16),
            5 => ImageOperation::Posterize(strength as u32),
            6 => ImageOperation::Color(strength as f32),
            7 => ImageOperation::Contrast(strength as f32),
            8 => ImageOperation::Brightness(strength as f32),
            9 => ImageOperation::Sharpness(strength as f32),
            10 => ImageOperation::ShearX(strength),
            11 => ImageOperation::ShearY(strength),
            12 => ImageOperation::TranslateX(strength as i64),
            13 => ImageOperation::TranslateY(strength as i64),
            other => panic!("kind {other}"),
        };
        operation.apply(&mut image, [124, 117, 104]);
        let wrong = image.pixels.iter().zip(&expected.pixels).filter(|(a, b)| a != b).count();
        let worst = worst(&image.pixels, &expected.pixels);
        assert_eq!(wrong, 0, "{operation:?} of {width}×{height}: {wrong} differ, by up to {worst}");
        cases += 1;
    }
    assert_eq!(cases, 3 * 29);
}

#[test]
fn a_bomb_is_refused_before_memory_is_taken() {
    // Headers that promise 60,000 × 60,000 pixels.
    let size = [60_000u16.to_le_bytes(), 60_000u16.to_le_bytes()].concat();
    let gif = [
        b"GIF89a".as_slice(),
        &size,
        &[0, 0, 0, 0x2C, 0, 0, 0, 0],
        &size,
        &[0, 2, 1, 0x44, 0, 0x3B],
    ];
    let ihdr =
        [b"IHDR".as_slice(), &60_000u32.to_be_bytes(), &60_000u32.to_be_bytes(), &[8, 2, 0, 0, 0]];
    let ihdr = ihdr.concat();
    let png = [
        b"\x89PNG\r\n\x1a\n".as_slice(),
        &13u32.to_be_bytes(),
        &ihdr,
        &crc32(&ihdr).to_be_bytes(),
        &[0, 0, 0, 0],
        b"IDAT",
        &crc32(b"IDAT").to_be_bytes(),
    ];
    let jpeg = [0xFF, 0xD8, 0xFF, 0xC0, 0, 17, 8, 0xEA, 0x60, 0xEA, 0x60, 3];
    let jpeg = [jpeg.as_slice(), &[1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]].concat();
    let scan = [0xFF, 0xDA, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0, 0xFF, 0xD9];
    for file in [gif.concat(), png.concat(), [jpeg.as_slice(), &scan].concat()] {
        let error = decode(&file, "bomb").unwrap_err().to_string();
        assert_eq!(
            error,
            "bomb: 60000×60000 pixels are more than the limit of 178956970; shrink the image or remove it"
        );
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_the_decoder_panic(
        start in 0usize..6,
        noise in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
    ) {
        let starts: [&[u8]; 6] =
            [b"", b"\xFF\xD8\xFF", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"RIFF\x40\0\0\0WEBPVP8 "];
        let mut bytes = starts[start].to_vec();
        bytes.extend(noise);
        let _ = decode(&bytes, "noise");
        bytes.extend([0xFF, 0xD9]);
        let _ = decode(&bytes, "noise");
    }
}
