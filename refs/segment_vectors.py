"""Writes crates/data/testdata/blur.bin: what Pillow's Gaussian blur makes of an image of 7×5 pixels.

    python refs/segment_vectors.py        (Pillow, numpy; versions are printed)

A run of cases: the radius, a little-endian f64, and the pixels, RGB bytes in rows.
"""

import pathlib
import struct

import numpy
import PIL
from PIL import Image, ImageFilter

TARGET = pathlib.Path(__file__).resolve().parent.parent / "crates/data/testdata/blur.bin"

places = numpy.arange(7 * 5 * 3, dtype=numpy.uint32)
pixels = ((places * places * 37 + places * 11) % 256).astype(numpy.uint8).reshape(5, 7, 3)
image = Image.fromarray(pixels)
with TARGET.open("wb") as file:
    for radius in [0.0, 0.05, 0.25, 0.5, 0.731, 0.999, 1.0, 1.7, 4.2]:
        file.write(struct.pack("<d", radius))
        file.write(image.filter(ImageFilter.GaussianBlur(radius)).tobytes())
print(f"{TARGET.name}: Pillow {PIL.__version__}, numpy {numpy.__version__}")
