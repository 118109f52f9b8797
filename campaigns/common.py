"""What the campaigns share: a small dataset, small recipes, the command, and hashes of what it leaves behind."""

import argparse
import hashlib
import json
import os
import pathlib
import random
import re
import struct
import subprocess
import zlib

RECIPE = """
version = 2
name = "tiny"
seed = 3
[network]
model = "resnet18d"
stem = "small"
init = "xavier"
last_gamma = 0.0
shape = { blocks = [1, 1, 1, 1], channels = [8, 8, 16, 16], stem_channels = 8 }
[data]
source = "path"
split = 0.2
split_seed = 3
[preprocess]
size = 16
crop = { area = [0.5, 1.0], aspect = [0.75, 1.3333333333333333] }
flip = 0.5
normalize = { mean = [123.68, 116.779, 103.939], std = [58.393, 57.12, 57.375] }
[validation]
resize = 18
crop = 16
[train]
duration = "STEPS steps"
batch = 8
parts = 2
PRECISION
evaluate_every = "5 steps"
[rate]
base = 0.2
linear_scaling = { reference_batch = 256 }
warmup = { duration = "3 steps" }
decay = { cosine = {} }
[update]
optimizer = { nag = { momentum = 0.9 } }
decay = 1e-4
decay_on = "weights"
[target]
smoothing = { epsilon = 0.1, over = "others" }
[mixup]
alpha = 0.2
pairing = "permutation"
[average]
decay = 0.9
[checkpoint]
every = "3 steps"
keep = 2
"""


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("trickbag", help="the program, such as target/release/trickbag")
    parser.add_argument("--work", default="campaign-work", help="a folder for what is made meanwhile")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", help="a file that the counts are written to")
    return parser


def png(path, rng, color):
    """A picture of 24 x 20 noisy pixels of one color."""
    rows = b"".join(
        b"\0" + bytes(min(255, max(0, color[k % 3] + rng.randrange(-40, 40))) for k in range(24 * 3)) for _ in range(20)
    )
    chunk = lambda tag, data: struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
    header = struct.pack(">IIBBBBB", 24, 20, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def dataset(folder):
    """54 pictures of three classes."""
    rng = random.Random(0)
    for name, color in (("blue", (40, 60, 200)), ("green", (40, 190, 60)), ("red", (200, 50, 50))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in range(18):
            png(folder / name / f"{index:02}.png", rng, color)
    return folder


def recipe(path, precision="f32", steps=40):
    line = "" if precision == "f32" else f'precision = "{precision}"'
    path.write_text(RECIPE.replace("STEPS", str(steps)).replace("PRECISION", line))
    return path


def run(command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, **options)


def succeed(command, **options):
    done = run(command, **options)
    assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stderr.decode(errors='replace')}"
    return done


TIMES = re.compile(rb'"(seconds|images_per_second|wait_share|when|started|ended|commit|machine|threads|command)":("[^"]*"|[0-9.eE+-]+|null)')


def contents(folder, names):
    """A hash of each file below the named ones; of rows of JSON without the times in them."""
    found = {}
    for name in names:
        place = pathlib.Path(folder) / name
        files = sorted(p for p in place.rglob("*") if p.is_file()) if place.is_dir() else [place]
        for path in files:
            data = path.read_bytes() if path.exists() else b"missing"
            if path.suffix in (".jsonl", ".json"):
                data = TIMES.sub(b"", data)
            found[str(path.relative_to(folder))] = hashlib.sha256(data).hexdigest()
    assert found, f"nothing of {names} in {folder}"
    return found


def report(counts, path):
    text = json.dumps(counts, indent=2)
    print(text)
    if path:
        pathlib.Path(path).write_text(text + "\n")
