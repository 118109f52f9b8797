"""Writes crates/data/assets/fashion-mnist.bin.gz from Debian's package dataset-fashion-mnist.

    apt-get install dataset-fashion-mnist
    python refs/data_fashion_mnist.py

The first 500 training and the first 100 test images of each class, in file order. The format is described in
crates/data/src/fashion_mnist.rs.
"""

import gzip
import pathlib
import struct

SOURCE = pathlib.Path("/usr/share/datasets/fashion-mnist")
TARGET = pathlib.Path(__file__).resolve().parent.parent / "crates/data/assets/fashion-mnist.bin.gz"
SIDE, CLASSES = 28, 10


def first_of_each_class(part: str, count: int) -> tuple[bytes, bytes]:
    images = gzip.decompress((SOURCE / f"{part}-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((SOURCE / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    magic, total, rows, columns = struct.unpack(">4I", images[:16])
    assert (magic, rows, columns) == (2051, SIDE, SIDE)
    assert struct.unpack(">2I", labels[:8]) == (2049, total)
    images, labels = images[16:], labels[8:]
    seen = [0] * CLASSES
    kept_labels, kept_pixels = bytearray(), bytearray()
    for index, label in enumerate(labels):
        if seen[label] < count:
            seen[label] += 1
            kept_labels.append(label)
            kept_pixels += images[index * SIDE * SIDE : (index + 1) * SIDE * SIDE]
    assert seen == [count] * CLASSES
    return bytes(kept_labels), bytes(kept_pixels)


def main() -> None:
    train_labels, train_pixels = first_of_each_class("train", 500)
    test_labels, test_pixels = first_of_each_class("t10k", 100)
    header = b"FMNIST 1" + struct.pack("<4I", SIDE, CLASSES, len(train_labels), len(test_labels))
    body = header + train_labels + test_labels + train_pixels + test_pixels
    TARGET.write_bytes(gzip.compress(body, compresslevel=9, mtime=0))
    print(f"{TARGET.name}: {len(body)} bytes, {TARGET.stat().st_size} compressed")


if __name__ == "__main__":
    main()
