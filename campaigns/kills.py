"""Stops commands at random moments by SIGKILL, SIGTERM, SIGINT, SIGHUP, and SIGSTOP with SIGCONT, gives the same command again
(`train` with --resume where a run is there), and compares what is left at the end with what an undisturbed command left.

    python3 campaigns/kills.py target/release/trickbag --kills 1000

Many kills aim at the writing of a checkpoint: they come as soon as its file aside is seen."""

import collections
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import common

CODES = {signal.SIGKILL: -9, signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}
SIGNALS = [*CODES, signal.SIGSTOP]


class Scenario:
    """A command that is stopped again and again, and what of its results has to be as if it had not been."""

    def __init__(self, name, out, results, command, resume=(), is_run=False):
        self.name, self.out, self.results = name, out, results
        self.command, self.resume, self.is_run = command, list(resume), is_run

    def start(self):
        words = self.command + (self.resume if (self.out / "recipe.toml").exists() else [])
        return subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def scenarios(program, work):
    data = common.dataset(work / "colors")
    found = []
    for precision in ("f32", "f16", "bf16"):
        path = common.recipe(work / f"{precision}.toml", precision)
        out = work / f"run-{precision}"
        train = [program, "train", path, "--data", data, "--out", out, "--threads", "1"]
        found.append(Scenario(f"train {precision}", out, ["model", "predictions.jsonl", "metrics.jsonl"], train, ["--resume"], True))
    pack = work / "packed"
    found.append(Scenario("data pack", pack, [""], [program, "data", "pack", data, "-o", pack]))
    table = work / "table"
    ablate = [program, "ablate", "table6", "--preset", "smoke", "--seeds", "1", "--columns", "resnet50d", "--rows", "efficient,cosine"]
    results = [f"runs/{row}/seed-1/{name}" for row in ("efficient", "cosine") for name in ("model", "predictions.jsonl")]
    found.append(Scenario("ablate", table, ["table.json", *results], [*ablate, "--out", table, "--threads", "1"], is_run=True))
    source = work / "source"
    common.succeed([program, "train", work / "f32.toml", "--data", data, "--out", source])
    for name, more in (("timm", ["timm"]), ("onnx", ["onnx"])):
        out = work / f"export-{name}" if name == "timm" else work / "model.onnx"
        found.append(Scenario(f"export {name}", out, [""], [program, "export", source, "--format", *more, "-o", out]))
    return found


def hashes(scenario):
    if scenario.out.is_file():
        return common.contents(scenario.out.parent, [scenario.out.name])
    return common.contents(scenario.out, scenario.results)


def clear(scenario):
    if scenario.out.is_file():
        scenario.out.unlink()
    else:
        shutil.rmtree(scenario.out, ignore_errors=True)


def row_of(scenario):
    """The row of the table that is being trained."""
    return "cosine" if (scenario.out / "runs" / "cosine").exists() else "efficient"


def is_writing(scenario):
    folder = scenario.out / "checkpoints"
    if scenario.name == "ablate":
        folder = scenario.out / "runs" / row_of(scenario) / "seed-1" / "checkpoints"
    try:
        return any(name.endswith(".tmp") for name in os.listdir(folder))
    except OSError:
        return False


def disturb(scenario, process, rng, duration, counts, inside_write):
    """Sends one signal; gives it, or None where the command ended before."""
    end = time.monotonic() + (duration * 2 if inside_write else rng.uniform(0, duration))
    seen = False
    while time.monotonic() < end:
        seen = inside_write and is_writing(scenario)
        if seen:
            break
        if process.poll() is not None:
            return None
        if not inside_write:
            time.sleep(min(0.002, max(0, end - time.monotonic())))
    if process.poll() is not None:
        return None
    sent = rng.choice(SIGNALS)
    process.send_signal(sent)
    counts["kills"] += 1
    counts[f"by {signal.Signals(sent).name}"] += 1
    counts[f"of {scenario.name}"] += 1
    counts["when a checkpoint's file aside was seen"] += seen
    return sent


def one(scenario, expected, rng, duration, counts, failures, wanted):
    """One result, from an empty folder to a command that nothing stopped."""
    clear(scenario)
    left = rng.randrange(1, 8)
    while True:
        process = scenario.start()
        sent = None
        if left > 0 and counts["kills"] < wanted:
            inside = scenario.is_run and rng.random() < 0.4
            sent = disturb(scenario, process, rng, duration, counts, inside)
            left -= 1
            if sent == signal.SIGSTOP:
                time.sleep(0.02)
                process.send_signal(signal.SIGCONT)
                sent = None
        out, err = process.communicate(timeout=300)
        allowed = {0} | ({CODES[sent]} if sent else set())
        if sent and not scenario.is_run:
            # What is no run ends by the signal itself.
            allowed |= {-sent, 128 + sent}
        elif sent:
            # A signal before the run has begun, or after it has ended, ends the process itself.
            allowed |= {-sent}
        if process.returncode not in allowed:
            text = err.decode(errors="replace")[-600:]
            failures.append(f"{scenario.name}: exit {process.returncode} after {sent}: {text}")
            return
        if process.returncode == 0:
            break
    counts["results compared"] += 1
    if hashes(scenario) != expected:
        differing = [name for name, value in expected.items() if hashes(scenario).get(name) != value]
        failures.append(f"{scenario.name}: other bytes in {differing or 'more files'}")


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    args = parser.parse_args()
    program, work = pathlib.Path(args.trickbag).resolve(), pathlib.Path(args.work).resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    rng = random.Random(args.seed)
    counts, failures = collections.Counter(), []
    prepared = []
    for scenario in scenarios(program, work):
        clear(scenario)
        start = time.monotonic()
        done = scenario.start()
        _, err = done.communicate()
        assert done.returncode == 0, err.decode()
        prepared.append((scenario, hashes(scenario), time.monotonic() - start))
    while counts["kills"] < args.kills and len(failures) < 20:
        scenario, expected, duration = min(prepared, key=lambda each: counts[f"of {each[0].name}"])
        one(scenario, expected, rng, duration, counts, failures, args.kills)
    common.report({"seed": args.seed, **counts, "failures": failures}, args.json)
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
