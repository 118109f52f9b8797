"""Writes crates/data/testdata/formats.tar.gz: the same few images in every format that trickbag reads.

Three classes (bird, cat, dog), four images of 32x32 pixels each to train and two to validate, as PNG or as bare pixels. Images
without names are stored in the order in which a folder's are read: by class, then by name in byte order. `grey` and `mnist`
hold the same grey images of 28x28 pixels.

    venv/bin/python refs/format_fixtures.py

Pillow, pyarrow and scipy write what they can; WebDataset, RecordIO and the pickle of Python 2 are written here by hand from
their formats' descriptions. The archive has fixed times and owners, so the same versions write the same bytes.
"""

import gzip
import io
import json
import pickle
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.io
from PIL import Image

TARGET = Path(__file__).parent.parent / "crates/data/testdata/formats.tar.gz"
CLASSES = ["bird", "cat", "dog"]
# In byte order, as a folder is read.
NUMBERS = {"train": ["10", "2", "3", "40"], "val": ["1", "5"]}
files: dict[str, bytes] = {}


def pixels(part: str, label: int, index: int, side: int) -> np.ndarray:
    """A gradient in a colour of its own, with a bright square: [side, side, 3]."""
    y, x = np.mgrid[0:side, 0:side]
    seed = label * 10 + index + (5 if part == "val" else 0)
    planes = [x * (label + 2) + seed * 9, y * 5 + seed * 17, (x + y) * 2 + seed * 31]
    image = np.stack(planes, axis=-1) % 256
    image[4 + index : 12, 3 + label : 14] = 255
    return image.astype(np.uint8)


def png(image: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG", optimize=True)
    return out.getvalue()


def examples(part: str, side: int = 32):
    """(label, number, pixels) of a part, in order."""
    for label in range(3):
        for index, number in enumerate(NUMBERS[part]):
            yield label, number, pixels(part, label, index, side)


def tar(members: list[tuple[str, bytes]], compress: bool = False) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    # Without the blocks of zeros up to 10,240 bytes.
    data = out.getvalue().rstrip(b"\0")
    data += bytes(-len(data) % 512 + 1024)
    return gzip.compress(data, 9, mtime=0) if compress else data


def folders():
    members = []
    for part in NUMBERS:
        for label, number, image in examples(part):
            members.append((f"{part}/{CLASSES[label]}/{number}.png", png(image)))
    files.update({f"folder/{name}": content for name, content in members})
    files["set.tar"] = tar(members[::-1])
    files["set.tar.gz"] = tar(members[::-1], compress=True)


def webdataset():
    def sample(key: str, label: int, image: np.ndarray, kind: str):
        text = {
            "cls": str(label),
            "json": json.dumps({"label": label, "caption": "a picture"}),
            "txt": CLASSES[label],
        }[kind]
        return [(f"{key}.png", png(image)), (f"{key}.{kind}", text.encode())]

    shards = {"train-000.tar": [], "train-001.tar": [], "val-000.tar.gz": []}
    for place, (label, number, image) in enumerate(examples("train")):
        shard = "train-000.tar" if place % 2 else "train-001.tar"
        shards[shard] += sample(f"{CLASSES[label]}/{number}", label, image, "json" if place % 2 else "cls")
    for label, number, image in examples("val"):
        shards["val-000.tar.gz"] += sample(f"{CLASSES[label]}/{number}", label, image, "txt")
    # A second picture in a sample, and a file that is no sample.
    shards["train-000.tar"] += [("bird/2.mask.png", png(np.zeros((2, 2, 3), np.uint8))), ("about.txt", b"nothing")]
    for name, members in shards.items():
        files[f"webdataset/shard-{name}"] = tar(members, compress=name.endswith("gz"))
    files["webdataset/classes.txt"] = "\n".join(CLASSES).encode()


def imagenet():
    wnids = ["n00000001", "n00000002", "n00000003"]
    classes: dict[str, list] = {wnid: [] for wnid in wnids}
    for label, number, image in examples("train"):
        classes[wnids[label]].append((f"{wnids[label]}_{number}.JPEG", png(image)))
    # Validation images are not in order of class.
    shuffled = [(label, image) for label, _, image in examples("val")]
    shuffled = [shuffled[place] for place in (4, 0, 2, 3, 1, 5)]
    validation = [(f"ILSVRC2012_val_{i + 1:08}.JPEG", png(image)) for i, (_, image) in enumerate(shuffled)]
    # The devkit numbers synsets in an order of its own.
    ids = {"n00000001": 2, "n00000002": 3, "n00000003": 1}
    rows = sorted((number, wnid) for wnid, number in ids.items()) + [(4, "n00000009")]
    fields = [("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("num_children", object)]
    synsets = np.zeros((len(rows), 1), dtype=fields)
    for place, (number, wnid) in enumerate(rows):
        synsets[place, 0] = (np.uint16(number), wnid, "a word, another", 0)
    meta = io.BytesIO()
    scipy.io.savemat(meta, {"synsets": synsets}, do_compression=True)
    # The header holds the time.
    meta = b"MATLAB 5.0 MAT-file".ljust(116) + meta.getvalue()[116:]
    numbers = "".join(f"{ids[wnids[label]]}\n" for label, _ in shuffled).encode()
    kit = "ILSVRC2012_devkit_t12/data"
    files["imagenet/ILSVRC2012_img_train.tar"] = tar([(f"{w}.tar", tar(m)) for w, m in classes.items()])
    files["imagenet/ILSVRC2012_img_val.tar"] = tar(validation)
    files["imagenet/ILSVRC2012_devkit_t12.tar.gz"] = tar(
        [(f"{kit}/meta.mat", meta), (f"{kit}/ILSVRC2012_validation_ground_truth.txt", numbers)], compress=True
    )
    root = "imagenet-folders/Data/CLS-LOC"
    for wnid, members in classes.items():
        files.update({f"{root}/train/{wnid}/{name}": content for name, content in members})
    files.update({f"{root}/val/{name}": content for name, content in validation})
    solution = ["ImageId,PredictionString"]
    solution += [f"ILSVRC2012_val_{i + 1:08},{wnids[label]} 1 2 3 4 " for i, (label, _) in enumerate(shuffled)]
    files["imagenet-folders/LOC_val_solution.csv"] = "\n".join(solution).encode()


def lists():
    table = ["file_name,label,split"]
    for part in NUMBERS:
        lines = []
        for label, number, image in examples(part):
            path = f"{part} {CLASSES[label]}/{number}.png"
            files[f"lists/images/{path}"] = files[f"table/{path}"] = png(image)
            lines.append(f"{path} {label}\n")
            table.append(f'"{path}",{CLASSES[label]},{part}')
        files[f"lists/{part}.txt"] = "".join(lines).encode()
    files["lists/classes.txt"] = "\n".join(CLASSES).encode()
    files["table/metadata.csv"] = "\n".join(table).encode()


def places365():
    lists = {"train": [], "val": []}
    for label, number, image in examples("train"):
        name = f"/{CLASSES[label][0]}/{CLASSES[label]}/{number.zfill(8)}.jpg"
        if number == "10":  # 00000010 sorts behind 00000002; the folder has it first.
            name = name.replace("00000010", "00000000")
        files[f"places365/data_256_standard{name}"] = png(image)
        lists["train"].append(f"{name} {label}\n")
    for place, (label, _, image) in enumerate(examples("val")):
        name = f"Places365_val_{place + 1:08}.jpg"
        files[f"places365/val_256/{name}"] = png(image)
        lists["val"].append(f"{name} {label}\n")
    categories = [f"/{name[0]}/{name} {label}\n" for label, name in enumerate(CLASSES)]
    files["places365/places365_train_standard.txt"] = "".join(lists["train"]).encode()
    files["places365/places365_val.txt"] = "".join(lists["val"]).encode()
    files["places365/categories_places365.txt"] = "".join(categories).encode()


def parquet():
    def table(column: str, rows: list) -> bytes:
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        features = {
            column: {"_type": "Image"},
            "label": {"names": CLASSES, "_type": "ClassLabel"},
        }
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        schema = pa.schema([(column, kind), ("label", pa.int64())], metadata=metadata)
        columns = [[{"bytes": png(image), "path": path} for path, _, image in rows], [label for _, label, _ in rows]]
        out = io.BytesIO()
        table = pa.table([pa.array(columns[0], kind), pa.array(columns[1], pa.int64())], schema=schema)
        # Row groups and pages much smaller than usual, so that there are several.
        pq.write_table(table, out, row_group_size=5, data_page_size=500, compression="snappy", write_batch_size=1)
        return out.getvalue()

    rows = {
        part: [(f"{CLASSES[label]}_{number}.png", label, image) for label, number, image in examples(part)]
        for part in NUMBERS
    }
    train = [rows["train"][place] for place in (7, 2, 0, 11, 4, 1, 3, 9, 5, 6, 10, 8)]
    files["parquet/data/train-00000-of-00002.parquet"] = table("image", train[:7])
    files["parquet/data/train-00001-of-00002.parquet"] = table("image", train[7:])
    files["parquet/data/validation-00000-of-00001.parquet"] = table("image", rows["val"])
    nameless = {part: [(None, label, image) for _, label, image in rows[part]] for part in rows}
    files["parquet-cifar10/plain_text/train-00000-of-00001.parquet"] = table("img", nameless["train"])
    files["parquet-cifar10/plain_text/test-00000-of-00001.parquet"] = table("img", nameless["val"])


MAGIC = struct.pack("<I", 0xCED7230A)


def record(data: bytes) -> bytes:
    """A record; cut where the magic word lies in the data at a multiple of four."""
    cuts = [place for place in range(0, len(data) - 3, 4) if data[place : place + 4] == MAGIC]
    starts = [0] + [place + 4 for place in cuts]
    pieces = [data[start:end] for start, end in zip(starts, cuts + [len(data)])]
    out = b""
    for place, piece in enumerate(pieces):
        flag = 0 if len(pieces) == 1 else 1 if place == 0 else 3 if place == len(pieces) - 1 else 2
        out += MAGIC + struct.pack("<I", flag << 29 | len(piece)) + piece
    return out + bytes(-len(data) % 4)


def with_magic(file: bytes) -> bytes:
    """A PNG with the magic word in a text chunk, where a record is cut there, twice."""
    body = b"k\0" + bytes(range(97, 98)) + MAGIC + b"abcd" + MAGIC + b"xyz"
    chunk = struct.pack(">I", len(body)) + b"tEXt" + body + struct.pack(">I", zlib.crc32(b"tEXt" + body))
    return file[:33] + chunk + file[33:]


def recordio():
    for part, name in (("train", "train"), ("val", "val")):
        records, index, listed = b"", "", ""
        for key, (label, number, image) in enumerate(examples(part)):
            file = png(image)
            if key in (1, 2):
                file = with_magic(file)
            # The second kind has its label behind the header.
            extra = struct.pack("<f", label) if key == 3 else b""
            header = struct.pack("<IfQQ", 1 if extra else 0, 0 if extra else label, key, 0)
            index += f"{key}\t{len(records)}\n"
            listed += f"{key}\t{label:.6f}\t{CLASSES[label]}/{number}.png\n"
            records += record(header + extra + file)
        files[f"recordio/{name}.rec"] = records
        if part == "train":
            files["recordio/train.idx"] = index.encode()
        files[f"recordio/{name}.lst"] = listed.encode()


def planes(part: str) -> tuple[list[int], np.ndarray, list[str]]:
    """Labels, pixels with the planes of a picture one after another, [n, 3072], and names."""
    found = list(examples(part))
    images = np.stack([image.transpose(2, 0, 1).reshape(-1) for _, _, image in found])
    names = [f"{CLASSES[label]}_s_{number}.png" for label, number, _ in found]
    return [label for label, _, _ in found], images, names


def python2(value) -> bytes:
    """What Python 2 and its NumPy pickle by protocol 2."""
    if isinstance(value, dict):
        return b"}(" + b"".join(python2(k) + python2(v) for k, v in value.items()) + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(python2(item) for item in value) + b"e"
    if isinstance(value, int):
        return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode()
    assert isinstance(value, np.ndarray)
    kind = b"cnumpy\ndtype\nq\x04U\x02u1K\x00K\x01\x87Rq\x05(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    shape = b"".join(python2(size) for size in value.shape) + b"\x86"
    content = b"T" + struct.pack("<I", value.nbytes) + value.tobytes()
    make = b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
    return make + b"(K\x01" + shape + kind + b"\x89" + content + b"tb"


def cifar():
    train, test = planes("train"), planes("val")
    batches = [("data_batch_1", [column[:7] for column in train]), ("data_batch_2", [column[7:] for column in train])]
    batches.append(("test_batch", test))
    binary = [("cifar-10-batches-bin/batches.meta.txt", "\n".join(CLASSES).encode() + b"\n\n")]
    python = [("cifar-10-batches-py/batches.meta", b"\x80\x02" + python2({"label_names": CLASSES}) + b".")]
    for name, (labels, images, names) in batches:
        records = b"".join(bytes([label]) + image.tobytes() for label, image in zip(labels, images))
        binary.append((f"cifar-10-batches-bin/{name}.bin", records))
        batch = {"batch_label": name, "labels": labels, "data": images, "filenames": names}
        python.append((f"cifar-10-batches-py/{name}", b"\x80\x02" + python2(batch) + b"."))
    files["cifar-10-binary.tar.gz"] = tar(binary, compress=True)
    files["cifar-10-python.tar.gz"] = tar(python, compress=True)
    for name, (labels, images, _) in (("train", train), ("test", test)):
        pairs = zip(labels, images)
        records = b"".join(bytes([1 - label // 2, label]) + image.tobytes() for label, image in pairs)
        files[f"cifar-100-binary/{name}.bin"] = records
        batch = {"fine_labels": labels, "coarse_labels": [0] * len(labels), "data": images}
        files[f"cifar-100-python/{name}"] = pickle.dumps(batch, protocol=4)
    files["cifar-100-binary/fine_label_names.txt"] = "\n".join(CLASSES).encode()
    files["cifar-100-binary/coarse_label_names.txt"] = b"pet\nwild\n"
    names = {"fine_label_names": CLASSES, "coarse_label_names": ["pet", "wild"]}
    files["cifar-100-python/meta"] = pickle.dumps(names, protocol=4)


def mnist():
    for part, name in (("train", "train"), ("val", "t10k")):
        found = [(label, number, image[:, :, 0]) for label, number, image in examples(part, 28)]
        for label, number, image in found:
            files[f"grey/{part}/{label}/{number}.png"] = png(image)
        images = b"".join(image.tobytes() for _, _, image in found)
        images = struct.pack(">IIII", 0x803, len(found), 28, 28) + images
        labels = struct.pack(">II", 0x801, len(found)) + bytes(label for label, _, _ in found)
        if part == "train":
            files[f"mnist/{name}-images-idx3-ubyte.gz"] = gzip.compress(images, 9, mtime=0)
            files[f"mnist/{name}-labels-idx1-ubyte.gz"] = gzip.compress(labels, 9, mtime=0)
        else:
            files[f"mnist/{name}-images-idx3-ubyte"] = images
            files[f"mnist/{name}-labels-idx1-ubyte"] = labels


def main():
    for write in (folders, webdataset, imagenet, lists, places365, parquet, recordio, cifar, mnist):
        write()
    TARGET.write_bytes(tar(sorted(files.items()), compress=True))
    print(f"{len(files)} files, {TARGET.stat().st_size} bytes")


main()
