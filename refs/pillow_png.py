"""Decodes the JPEG photos of a tar of class folders by Pillow and stores them as PNG: pillow_png.py TAR FOLDER.

Two programs that read the result see the same pixels, whatever their JPEG decoders. All of `val/` is stored, and one image
of each class of `train/`, which a dataset has to have.
"""

import io
import sys
import tarfile
from pathlib import Path, PurePosixPath

from PIL import Image


def main(source, target):
    count = 0
    with tarfile.open(source) as archive:
        for member in archive:
            parts = PurePosixPath(member.name).parts
            part = next((name for name in ("val", "train") if name in parts), None)
            if not member.isfile() or part is None:
                continue
            folder = target / part / parts[parts.index(part) + 1]
            if part == "train" and folder.exists():
                continue
            folder.mkdir(parents=True, exist_ok=True)
            image = Image.open(io.BytesIO(archive.extractfile(member).read())).convert("RGB")
            image.save(folder / f"{parts[-1]}.png", compress_level=1)
            count += part == "val"
    print(f"{count} validation images")


main(sys.argv[1], Path(sys.argv[2]))
