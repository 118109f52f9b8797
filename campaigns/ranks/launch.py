"""Starts trickbag on several ranks, finds their processes, and reads what a run left."""

import hashlib
import json
import os
import shlex
import subprocess
import time
from pathlib import Path

# A small run of every part of the loop: a narrow ResNet-18-D on the images inside the program, 60 steps of 64 images in 8 parts.
SMALL = [
    "network.shape={ blocks = [1, 1, 1, 1], channels = [8, 8, 16, 16], stem_channels = 8 }",
    "data.limit=960",
    "preprocess.size=16",
    "validation={ resize = 18, crop = 16 }",
    "train.batch=64",
    "train.parts=8",
    "train.duration=60 steps",
    "train.evaluate_every=20 steps",
    "rate.warmup.duration=2 steps",
    'rate.decay.step.at=["40 steps"]',
    "checkpoint.every=7 steps",
]


def tricks(teacher):
    """Everything of §3.2 and §5 that a step can have."""
    return [
        "train.precision=f16",
        'mixup={ alpha = 0.2, pairing = "permutation" }',
        'target.smoothing={ epsilon = 0.1, over = "others" }',
        f'distillation={{ teacher = "{teacher}", temperature = 4.0, weighting = "sum" }}',
        "average.decay=0.9",
        "update.clip={ norm = 2.0 }",
    ]


def environment():
    """Open MPI refuses root, which is who runs in containers, and binds ranks to cores that there may be too few of."""
    more = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return {**os.environ, **more}


def launcher(text):
    """A launcher of the command line, NAME=COMMAND, as its name and words; `{n}` stands for the number of ranks."""
    name, _, command = text.partition("=")
    return name, command


def command(launch, ranks, program, arguments):
    start = [] if launch is None else shlex.split(launch.replace("{n}", str(ranks)))
    return start + [program, *arguments]


def train(out, edits, more=()):
    edits = [word for edit in edits for word in ("--set", edit)]
    return ["train", *edits, "--out", str(out), *more]


def run(words, timeout=300):
    return subprocess.run(words, env=environment(), capture_output=True, text=True, timeout=timeout)


def ranks_of(program, out):
    """The processes of a run by the number of their rank."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            if words[0].decode() != program or str(out).encode() not in words:
                continue
            variables = dict(v.split(b"=", 1) for v in (process / "environ").read_bytes().split(b"\0") if b"=" in v)
        except (OSError, ValueError):
            continue
        rank = variables.get(b"OMPI_COMM_WORLD_RANK") or variables.get(b"PMI_RANK")
        if rank is not None:
            found[int(rank)] = int(process.name)
    return found


def steps(out):
    """How many steps metrics.jsonl tells of."""
    try:
        lines = (Path(out) / "metrics.jsonl").read_text().splitlines()
    except OSError:
        return 0
    return sum('"kind":"train"' in line for line in lines)


def gone(program, out, within):
    """Whether all ranks of a run are gone within so many seconds."""
    until = time.monotonic() + within
    while ranks_of(program, out):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


TIMES = {"images_per_second", "wait_share", "seconds", "ranks"}


def results(out):
    """The hashes of what a run computed: the model, the predictions, and the metrics without times."""
    out = Path(out)
    found = {}
    for name in ["model/model.safetensors", "model/config.json", "predictions.jsonl"]:
        found[name] = hashlib.sha256((out / name).read_bytes()).hexdigest()
    rows = []
    for line in (out / "metrics.jsonl").read_text().splitlines():
        rows.append({key: value for key, value in json.loads(line).items() if key not in TIMES})
    found["metrics"] = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    return found


def differences(expected, out):
    found = results(out)
    return [name for name in expected if found[name] != expected[name]]
