"""Damages real pictures: a million of them in one process under a limit of memory, and 10,000 whole commands.

    python3 campaigns/mutants.py target/release/trickbag --pictures FOLDER --executions 1000000 --processes 10000

The first part is `crates/data/examples/fuzz_images.rs` (decoders of other crates included, each picture decoded and checked), the second
gives damaged files to `predict` and `data check`. A command has to end within a minute with exit code 0 or 1."""

import collections
import concurrent.futures
import pathlib
import random
import resource
import shutil
import subprocess

import common

LIMIT = 2 << 30


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))


def damage(data, rng):
    data = bytearray(data)
    for _ in range(rng.randrange(1, 7)):
        place = rng.randrange(2, len(data))
        if rng.random() < 0.5:
            place = 2 + place % min(700, len(data) - 2)
        what = rng.randrange(5)
        length = rng.randrange(1, 17)
        if what == 0:
            data[place] = rng.randrange(256)
        elif what == 1:
            data[place] ^= 1 << rng.randrange(8)
        elif what == 2 and len(data) > 64:
            del data[place : place + length]
        elif what == 3:
            data[place:place] = data[place : place + length]
        else:
            data = data[: max(16, rng.randrange(len(data)))] if rng.random() < 0.1 else data
    return bytes(data)


def in_process(pictures, executions, seed):
    common.succeed(["cargo", "build", "--release", "-q", "-p", "data", "--example", "fuzz_images"])
    binary = "target/release/examples/fuzz_images"
    # Twice under one limit: the lower half of the executions and the upper half have different seeds.
    halves = [
        subprocess.Popen([binary, str(executions // 2), str(seed + k), *map(str, pictures)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=limited)
        for k in range(2)
    ]
    outcomes = []
    for half in halves:
        out, err = half.communicate()
        outcomes.append((half.returncode, out.decode().strip(), err.decode(errors="replace")[-600:]))
    return outcomes


def one(task):
    program, work, pictures, seed, index = task
    rng = random.Random(seed * 1_000_003 + index)
    folder = work / f"one-{index}"
    shutil.rmtree(folder, ignore_errors=True)
    names = []
    for label in ("a", "b"):
        (folder / "set" / label).mkdir(parents=True)
        picture = rng.choice(pictures)
        path = folder / "set" / label / f"0{picture.suffix}"
        path.write_bytes(damage(picture.read_bytes(), rng))
        names.append(path)
    command = [program, "predict", work / "run", *names] if index % 2 else [program, "data", "check", folder / "set"]
    try:
        done = common.run(command, preexec_fn=limited, timeout=60)
        code, text = done.returncode, done.stderr.decode(errors="replace")
    except subprocess.TimeoutExpired:
        code, text = "no end within a minute", ""
    kept = None
    if code not in (0, 1) or "panicked" in text:
        kept = f"{' '.join(map(str, command))}: {code}: {text[-300:]}"
    else:
        shutil.rmtree(folder)
    return code, kept


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--pictures", required=True, help="a folder of real pictures, small ones are quick")
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=10_000)
    args = parser.parse_args()
    program, work = pathlib.Path(args.trickbag).resolve(), pathlib.Path(args.work).resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    kinds = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
    pictures = sorted(p for p in pathlib.Path(args.pictures).rglob("*") if p.suffix.lower() in kinds and 32 < p.stat().st_size < 60_000)
    counts, failures = collections.Counter(), []
    outcomes = in_process(pictures, args.executions, args.seed) if args.executions else []
    for code, told, error in outcomes:
        if code != 0:
            failures.append(f"in process: exit {code}: {error}")
    data = common.dataset(work / "colors")
    common.succeed([program, "train", common.recipe(work / "tiny.toml"), "--data", data, "--out", work / "run"])
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        tasks = ((program, work, pictures, args.seed, index) for index in range(args.processes))
        for code, kept in pool.map(one, tasks):
            counts[f"exit {code}"] += 1
            if kept:
                failures.append(kept)
    told = {"pictures": len(pictures), "limit_bytes": LIMIT, "in_process": [told for _, told, _ in outcomes]}
    common.report({"seed": args.seed, **told, "processes": args.processes, **counts, "failures": failures}, args.json)
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
