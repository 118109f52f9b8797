"""Writes crates/data/testdata/operations.bin: what Pillow's operations make of small images.

    python refs/augment_vectors.py        (Pillow, numpy; versions are printed)

A run of cases; a number is a little-endian u32, a strength a little-endian f64, pixels are RGB bytes in rows:
kind of operation, strength, width, height, image, result. Kinds count as RandAugment's 14. Pixels from outside are
(124, 117, 104).
"""

import pathlib
import struct

import numpy
import PIL
from PIL import Image, ImageEnhance, ImageOps

TARGET = pathlib.Path(__file__).resolve().parent.parent / "crates/data/testdata/operations.bin"
RANDOM = numpy.random.default_rng(20181204)
FILL = (124, 117, 104)


def affine(image: Image.Image, matrix: tuple) -> Image.Image:
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST, fillcolor=FILL)


OPERATIONS = [
    (lambda image, _: image, [0]),
    (lambda image, _: ImageOps.autocontrast(image), [0]),
    (lambda image, _: ImageOps.equalize(image), [0]),
    (lambda image, s: image.rotate(s, Image.Resampling.NEAREST, fillcolor=FILL), [27, -13.5, 3]),
    (lambda image, s: ImageOps.solarize(image, int(s)), [128, 0, 256]),
    (lambda image, s: ImageOps.posterize(image, int(s)), [4, 7, 8]),
    (lambda image, s: ImageEnhance.Color(image).enhance(s), [1.81, 0.19, 1.0]),
    (lambda image, s: ImageEnhance.Contrast(image).enhance(s), [1.81, 0.19]),
    (lambda image, s: ImageEnhance.Brightness(image).enhance(s), [1.81, 0.19]),
    (lambda image, s: ImageEnhance.Sharpness(image).enhance(s), [1.81, 0.19]),
    (lambda image, s: affine(image, (1, s, 0, 0, 1, 0)), [0.27, -0.11]),
    (lambda image, s: affine(image, (1, 0, 0, s, 1, 0)), [0.27, -0.11]),
    (lambda image, s: affine(image, (1, 0, s, 0, 1, 0)), [5, -3]),
    (lambda image, s: affine(image, (1, 0, 0, 0, 1, s)), [5, -3]),
]


def images() -> list[Image.Image]:
    noise = RANDOM.integers(0, 256, (11, 17, 3), dtype=numpy.uint8)
    y, x = numpy.mgrid[0:13, 0:13]
    waves = numpy.stack([110 + 70 * numpy.sin(x / (5 + c) + y / (7 - c) + 2 * c) for c in range(3)], -1)
    flat = numpy.full((5, 4, 3), 77)
    return [Image.fromarray(pixels.astype(numpy.uint8)) for pixels in (noise, waves, flat)]


def main() -> None:
    print(f"Pillow {PIL.__version__}, numpy {numpy.__version__}")
    out = b""
    for image in images():
        for kind, (operation, strengths) in enumerate(OPERATIONS):
            for strength in strengths:
                result = operation(image, strength)
                out += struct.pack("<IdII", kind, strength, *image.size) + image.tobytes() + result.tobytes()
    TARGET.write_bytes(out)
    print(f"{TARGET.name}: {len(out)} bytes")


if __name__ == "__main__":
    main()
