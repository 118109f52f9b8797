"""Compares the CPU time and the peak memory of two trickbag binaries by turns.

    python bench/turns.py OLD NEW --pairs 10 --log turns.jsonl -- COMMAND...

COMMAND is the whole command line with {bin} where the binary stands, for instance

    python bench/turns.py old/trickbag target/release/trickbag --pairs 15 --log step.jsonl -- \\
        {bin} bench step --model resnet50d --size 64 --batch 16 --steps 5 --threads 2 --json

{out} in it stands for a folder that does not exist yet and is removed after the run, for commands that write one.

Each pair runs both binaries once, right after each other; every second pair runs the new one first. Of each run the script
takes the user and system CPU seconds of the whole process, its wall time and its peak memory (wait4), and appends them to
the log, one JSON object a line. A run that fails ends the comparison. Started again with the same binaries, command and log,
the script goes on after the last complete pair of the log, so N is the number of pairs in total. A log of another command or
of other binaries (by their SHA-256) is refused.

It prints, for CPU seconds, wall seconds and peak memory, the median of the pairs' ratios new / old and its 95 % interval by
order statistics: the narrowest pair of ranks symmetric around the median that holds the true median with at least 95 %
probability, whatever the ratios' distribution. That takes 6 pairs; below, the interval is the range of all ratios and says how
probable it is. Wall time says little on a busy machine; CPU time suffers from shared caches and memory too, but far less.
"""

import argparse
import hashlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MEASURES = ["cpu_seconds", "wall_seconds", "peak_bytes"]
CONFIDENCE = 0.95


def run(command):
    """Runs a command to its end and returns what it cost."""
    with tempfile.TemporaryDirectory() as parent:
        out = os.path.join(parent, "out")
        arguments = [argument.replace("{out}", out) for argument in command]
        with tempfile.TemporaryFile() as errors:
            started = time.perf_counter()
            process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
            try:
                _, status, usage = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                process.wait()
                raise
            wall = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                errors.seek(0)
                sys.stderr.buffer.write(errors.read())
                sys.exit(f"exit code {process.returncode}: {' '.join(arguments)}")
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "wall_seconds": wall,
        "peak_bytes": usage.ru_maxrss * unit,
    }


def interval(ratios):
    """The median's interval by order statistics: lower end, upper end, probability that the true median lies inside."""
    n = len(ratios)
    ordered = sorted(ratios)

    def inside(cut):
        """The probability of the interval that leaves out `cut` ratios on each side."""
        return 1 - 2 * sum(math.comb(n, k) for k in range(cut + 1)) / 2**n

    cut = 0
    while cut + 1 < n - 1 - (cut + 1) and inside(cut + 1) >= CONFIDENCE:
        cut += 1
    return ordered[cut], ordered[n - 1 - cut], inside(cut)


def read(log, header):
    """The complete pairs of a log, which is cut after the last of them, or begun."""
    if not log.exists() or log.stat().st_size == 0:
        log.write_text(json.dumps(header) + "\n")
        return []
    rows = []
    for line in log.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            # The line that was being written when the script was killed.
            break
    if not rows or rows[0] != header:
        sys.exit(f"{log}: measures another command or other binaries; give another --log or remove it")
    pairs = [rows[i : i + 2] for i in range(1, len(rows) - 1, 2)]
    kept = [rows[0]] + [row for pair in pairs for row in pair]
    log.write_text("".join(json.dumps(row) + "\n" for row in kept))
    return pairs


def summary(pairs):
    for measure in MEASURES:
        by_which = [{row["which"]: row[measure] for row in pair} for pair in pairs]
        ratios = [values["new"] / values["old"] for values in by_which]
        low, high, sure = interval(ratios)
        old = statistics.median(values["old"] for values in by_which)
        new = statistics.median(values["new"] for values in by_which)
        unit, scale = ("MB", 1e6) if measure == "peak_bytes" else ("s", 1.0)
        print(
            f"{measure:13} new/old {statistics.median(ratios):.4f}  {100 * sure:.1f} % interval {low:.4f} to {high:.4f}"
            f"  medians: old {old / scale:.3f} {unit}, new {new / scale:.3f} {unit}  n {len(pairs)}"
        )


def main():
    if "--" not in sys.argv:
        sys.exit(__doc__)
    cut = sys.argv.index("--")
    parser = argparse.ArgumentParser(usage="turns.py OLD NEW [--pairs N] --log FILE -- COMMAND... with {bin}")
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args(sys.argv[1:cut])
    command = sys.argv[cut + 1 :]
    if not any("{bin}" in argument for argument in command):
        parser.error("the command has no {bin}")
    binaries = {"old": options.old.resolve(), "new": options.new.resolve()}
    hashes = {which: hashlib.sha256(path.read_bytes()).hexdigest() for which, path in binaries.items()}
    pairs = read(options.log, {"command": command, **hashes})
    with options.log.open("a") as log:
        for number in range(len(pairs), options.pairs):
            pair = []
            for which in ["old", "new"] if number % 2 == 0 else ["new", "old"]:
                filled = [argument.replace("{bin}", str(binaries[which])) for argument in command]
                pair.append({"pair": number, "which": which, **run(filled)})
                log.write(json.dumps(pair[-1]) + "\n")
                log.flush()
            pairs.append(pair)
            values = {row["which"]: row["cpu_seconds"] for row in pair}
            print(f"pair {number + 1}: old {values['old']:.2f} s, new {values['new']:.2f} s of CPU", file=sys.stderr)
    if pairs:
        summary(pairs)


if __name__ == "__main__":
    main()
