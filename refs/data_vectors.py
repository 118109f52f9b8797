"""Writes crates/data/testdata/*.bin: what Pillow and torchvision make of small images.

    python refs/data_vectors.py        (Pillow, numpy, torchvision; versions are printed)

Each file is a run of cases; a number is a little-endian u32, pixels are RGB bytes in rows.

    resize.bin       image width, height; region left, top, width, height; result width, height; image; result
    validation.bin   image width, height; resize; crop; image; result of Resize and CenterCrop
    bicubic.bin, validation-bicubic.bin   the same by bicubic interpolation
    decode.bin       bytes of the name, name; tolerance; width, height; bytes of the file, file; pixels
"""

import io
import pathlib
import struct

import numpy
import PIL
import torchvision
from PIL import Image
from torchvision import transforms

TARGET = pathlib.Path(__file__).resolve().parent.parent / "crates/data/testdata"
RANDOM = numpy.random.default_rng(20181204)


def numbers(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(RANDOM.integers(0, 256, (height, width, 3), dtype=numpy.uint8))


def smooth(width: int, height: int, channels: int) -> numpy.ndarray:
    """Slow waves, which JPEG keeps well."""
    y, x = numpy.mgrid[0:height, 0:width]
    waves = [128 + 110 * numpy.sin(x / (5 + c) + y / (7 - c) + 2 * c) for c in range(channels)]
    return numpy.stack(waves, -1).round().astype(numpy.uint8)


def extremes(width: int, height: int) -> Image.Image:
    """Pixels of 0 and 255 alone, on which a cubic oversteps both ends."""
    pixels = RANDOM.integers(0, 2, (height, width, 3), dtype=numpy.uint8) * 255
    return Image.fromarray(pixels.astype(numpy.uint8))


RESIZES = [
    # image, region, result
    ((23, 17), (0, 0, 23, 17), (7, 5)),
    ((23, 17), (0, 0, 23, 17), (41, 29)),
    ((23, 17), (3, 2, 11, 13), (8, 8)),
    ((23, 17), (5, 1, 9, 3), (16, 16)),
    ((31, 9), (0, 0, 31, 9), (31, 4)),
    ((9, 31), (0, 0, 9, 31), (4, 31)),
    ((16, 16), (0, 0, 16, 16), (16, 16)),
    ((16, 16), (2, 3, 8, 8), (8, 8)),
    ((1, 1), (0, 0, 1, 1), (5, 3)),
    ((40, 30), (0, 0, 40, 30), (1, 1)),
    ((40, 3), (1, 0, 38, 3), (13, 11)),
    ((37, 37), (0, 0, 37, 37), (36, 38)),
    # From Pillow 13 on, columns before rows where the height loses more than twice what the width loses.
    ((13, 41), (0, 0, 13, 41), (10, 31)),
    ((13, 31), (2, 1, 8, 29), (11, 17)),
    ((20, 40), (0, 0, 20, 40), (10, 20)),
    ((20, 40), (0, 0, 20, 40), (10, 19)),
]


def resize(by: Image.Resampling, cases: list, make=noise) -> bytes:
    out = b""
    for (width, height), (left, top, w, h), size in cases:
        image = make(width, height)
        if (width, height) == (40, 30):
            image = Image.new("RGB", (width, height), (255, 254, 0))
        result = image.crop((left, top, left + w, top + h)).resize(size, by)
        out += numbers(width, height, left, top, w, h, *size) + image.tobytes() + result.tobytes()
    return out


def bicubic() -> bytes:
    by = Image.Resampling.BICUBIC
    hard = [
        ((19, 14), (0, 0, 19, 14), (47, 33)),
        ((19, 14), (4, 3, 3, 2), (17, 19)),
        ((41, 33), (0, 0, 41, 33), (12, 9)),
        ((2, 60), (0, 0, 2, 60), (5, 7)),
    ]
    return resize(by, RESIZES, noise) + resize(by, hard, extremes)


def validation(by: transforms.InterpolationMode) -> bytes:
    cases = [((30, 23), 16, 14), ((23, 30), 16, 13), ((41, 13), 10, 8), ((13, 41), 10, 9), ((9, 12), 24, 20)]
    out = b""
    for (width, height), edge, crop in cases:
        image = noise(width, height)
        steps = transforms.Compose([transforms.Resize(edge, by), transforms.CenterCrop(crop)])
        out += numbers(width, height, edge, crop) + image.tobytes() + steps(image).tobytes()
    return out


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def as_ycck(cmyk: bytes) -> bytes:
    """The same CMYK file with Adobe's mark for YCCK: other colours, but of the other colour space."""
    at = cmyk.index(b"Adobe")
    return cmyk[: at + 11] + b"\x02" + cmyk[at + 12 :]


def as_440(jpeg: bytes) -> bytes:
    """A 4:2:2 file whose luma is said to be sampled 1×2 instead of 2×1: another picture, but a sound one."""
    at = jpeg.index(b"\xff\xc0")
    assert jpeg[at + 11] == 0x21
    return jpeg[: at + 11] + b"\x12" + jpeg[at + 12 :]


def after_first_segment(jpeg: bytes, what: bytes) -> bytes:
    end = 4 + int.from_bytes(jpeg[4:6], "big")
    return jpeg[:end] + what + jpeg[end:]


def files() -> list[tuple[str, int, bytes]]:
    rgb = Image.fromarray(smooth(37, 21, 3))
    odd = Image.fromarray(smooth(13, 9, 3))
    rgba = Image.fromarray(smooth(13, 9, 4), "RGBA")
    cmyk = Image.fromarray(smooth(19, 11, 4), "CMYK")
    grey = Image.fromarray(smooth(13, 9, 1)[..., 0])
    grey_alpha = Image.merge("LA", [grey, rgba.getchannel("A")])
    palette = odd.quantize(20)
    cmyk_file = encoded(cmyk, "JPEG", quality=95, subsampling=0)
    return [
        ("444.jpg", 0, encoded(rgb, "JPEG", quality=95, subsampling=0)),
        ("422.jpg", 0, encoded(rgb, "JPEG", quality=95, subsampling=1)),
        ("420.jpg", 0, encoded(rgb, "JPEG", quality=90, subsampling=2)),
        ("420-narrow.jpg", 0, encoded(odd, "JPEG", quality=90, subsampling=2)),
        ("420-noise.jpg", 0, encoded(noise(45, 34), "JPEG", quality=75, subsampling=2)),
        ("422-noise.jpg", 0, encoded(noise(34, 45), "JPEG", quality=98, subsampling=1)),
        ("440-noise.jpg", 0, as_440(encoded(noise(64, 32), "JPEG", quality=85, subsampling=1))),
        ("420-two-wide.jpg", 0, encoded(noise(4, 19), "JPEG", quality=85, subsampling=2)),
        ("optimized.jpg", 0, encoded(noise(50, 41), "JPEG", quality=60, subsampling=0, optimize=True)),
        ("progressive.jpg", 3, encoded(rgb, "JPEG", quality=90, progressive=True)),
        ("restarts.jpg", 0, encoded(rgb, "JPEG", quality=90, restart_marker_blocks=2)),
        ("rgb.jpg", 0, encoded(rgb, "JPEG", quality=95, keep_rgb=True)),
        ("grey.jpg", 0, encoded(grey, "JPEG", quality=95)),
        ("cmyk.jpg", 0, cmyk_file),
        ("ycck.jpg", 0, as_ycck(cmyk_file)),
        ("bytes-between-segments.jpg", 0, after_first_segment(encoded(odd, "JPEG", quality=95), bytes(9))),
        ("short-adobe.jpg", 0, after_first_segment(encoded(odd, "JPEG", quality=95), b"\xff\xee\x00\x0cAdobe12345")),
        ("more-after-its-end.jpg", 0, encoded(odd, "JPEG", quality=95) + b"more"),
        ("rgb.png", 0, encoded(odd, "PNG")),
        ("rgba.png", 0, encoded(rgba, "PNG")),
        ("grey.png", 0, encoded(grey, "PNG")),
        ("grey-alpha.png", 0, encoded(grey_alpha, "PNG")),
        ("one-bit.png", 0, encoded(grey.point(lambda v: 255 * (v > 128)).convert("1"), "PNG")),
        ("palette.png", 0, encoded(palette, "PNG")),
        ("palette-4-bit.png", 0, encoded(odd.quantize(11), "PNG")),
        ("palette-transparent.png", 0, encoded(palette, "PNG", transparency=3)),
        ("lossless.webp", 0, encoded(odd, "WEBP", lossless=True)),
        ("lossless-alpha.webp", 0, encoded(rgba, "WEBP", lossless=True, exact=True)),
        ("rgb.bmp", 0, encoded(odd, "BMP")),
        ("palette.bmp", 0, encoded(palette, "BMP")),
        ("palette.gif", 0, encoded(palette, "GIF")),
        ("transparent.gif", 0, encoded(palette, "GIF", transparency=3)),
    ]


def decode() -> bytes:
    out = b""
    for name, tolerance, file in files():
        image = Image.open(io.BytesIO(file)).convert("RGB")
        out += numbers(len(name)) + name.encode() + numbers(tolerance, *image.size)
        out += numbers(len(file)) + file + image.tobytes()
    # Pillow clips 16-bit grey at 255, so half of the values stay below.
    wide = (smooth(13, 9, 1)[..., 0].astype(numpy.uint16) << 8) + RANDOM.integers(0, 256, (9, 13), dtype=numpy.uint16)
    wide[:, ::2] >>= 8
    file = encoded(Image.fromarray(wide), "PNG")
    expected = Image.open(io.BytesIO(file)).convert("RGB")
    out += numbers(11) + b"grey-16.png" + numbers(0, 13, 9, len(file)) + file + expected.tobytes()
    return out


def main() -> None:
    TARGET.mkdir(exist_ok=True)
    print(f"Pillow {PIL.__version__}, torchvision {torchvision.__version__}")
    modes = transforms.InterpolationMode
    files = [
        ("resize", resize(Image.Resampling.BILINEAR, RESIZES)),
        ("validation", validation(modes.BILINEAR)),
        ("decode", decode()),
        ("bicubic", bicubic()),
        ("validation-bicubic", validation(modes.BICUBIC)),
    ]
    for name, content in files:
        (TARGET / f"{name}.bin").write_bytes(content)
        print(f"{name}.bin: {len(content)} bytes")


if __name__ == "__main__":
    main()
