"""Compares what trickbag and Pillow make of image files, as a Markdown table.

    cargo build --release -p data --example decode
    python refs/dirty_images.py target/release/examples/decode FILE... > docs/dirty-images.md
"""

import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy
import PIL
from PIL import Image, features

ABOUT = """# What becomes of unusual files

Each file of a collection of CMYK, grey, palette, 16-bit, transparent, animated, rotated, damaged and oversized images, most of
them from Pillow's own tests, as Pillow's `convert("RGB")` gives it and as trickbag does. "Same" is equal to the bit. Orientation
in EXIF is applied by neither. Written by `refs/dirty_images.py` with Pillow {pillow} and libjpeg-turbo {jpeg}.

| file | Pillow | trickbag |
|---|---|---|"""


REASONS = """
## Where the two differ

| file of Pillow's tests | Pillow | trickbag | why |
|---|---|---|---|
| `app13-multiple.jpg`, `icc_profile_big.jpg` | decodes | differs by 4 and 3 at most | they are progressive: `zune-jpeg` decodes these, and rounds otherwise than libjpeg-turbo |
| `png_decompression_dos.png` | refused: its text unpacks to too much | decodes | text is skipped and never unpacked, so it cannot do harm |
| `unknown_compression_method.png` | refused: its color profile is packed in an unknown way | decodes | profiles are skipped; the picture is whole |
| `no_palette.gif` | grey | refused | a GIF without a palette does not say what its colors are |

Equal to the bit are, among the rest, 16-bit grey with a transparent value (`i_trns.png`, clipped as without it), a BMP whose
pixels are said to begin at its palette (`mmap_error.bmp`), and GIFs whose first frame leaves a part of the picture free
(`dispose_bgnd_transparency.gif`, `first_frame_transparency.gif`: that part has the transparent color, or the first one)."""


def by_pillow(path):
    """The mode and the pixels, or why there are none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(path)
            return f"{image.format} {image.mode}", numpy.asarray(image.convert("RGB"))
    except Exception as error:  # Whatever Pillow raises is its answer.
        return f"{type(error).__name__}: {error}".replace(str(path), "the file"), None


def compare(ours, pixels):
    if pixels is None:
        return "decodes"
    if ours.shape != pixels.shape:
        return f"**{ours.shape[1]}×{ours.shape[0]}**"
    difference = numpy.abs(ours.astype(int) - pixels)
    if not difference.any():
        return "same"
    return f"differs in {(difference > 0).mean():.2%} of the values, by {difference.max()} at most"


def main(decoder, paths):
    print(ABOUT.format(pillow=PIL.__version__, jpeg=features.version("libjpeg_turbo")))
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([decoder, folder, *paths], capture_output=True, text=True, check=True)
        for number, (path, line) in enumerate(zip(paths, done.stdout.splitlines(), strict=True)):
            mode, pixels = by_pillow(path)
            size = "" if pixels is None else f", {pixels.shape[1]}×{pixels.shape[0]}"
            _, *result = line.split("\t")
            if len(result) == 2:
                width, height = map(int, result)
                ours = numpy.fromfile(Path(folder) / str(number), numpy.uint8).reshape(height, width, 3)
                verdict = compare(ours, pixels)
            else:
                verdict = f"refused: {result[0].removeprefix('image: ')}"
            print(f"| `{Path(path).name}` | {mode}{size} | {verdict} |")
    print(REASONS)


main(sys.argv[1], sys.argv[2:])
