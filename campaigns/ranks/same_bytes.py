#!/usr/bin/env python3
"""Trains by 1, 2, 4 and 8 ranks with several MPIs and compares what is left, byte for byte, with a process alone.

    python3 campaigns/ranks/same_bytes.py --program target/release/trickbag \\
        --launcher 'MPICH 5.0.2=/path/to/mpiexec -n {n}' \\
        --launcher 'Open MPI 5.0.11=/path/to/mpirun --oversubscribe -n {n}'

Each case is a run on one number of ranks: plain; with f16, mixup, smoothing, distillation, averaging and clipping; with ranks of
unequal threads; and stopped by a signal to one of four ranks, then resumed by two. It prints a table in Markdown, and fails where
a byte differs. A launcher whose name ends with `@LIBRARY` gives that library with --mpi.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from launch import SMALL, command, differences, environment, launcher, ranks_of, results, run, steps, train, tricks


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--launcher", action="append", default=[], type=launcher)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        cases = Cases(os.path.abspath(arguments.program), Path(folder))
        for name, launch in arguments.launcher:
            name, _, library = name.partition("@")
            cases.of(name + (f", {Path(library).name}" if library else ""), launch, ["--mpi", library] if library else [])
    print(f"\n{cases.done} comparisons, {cases.failed} differ")
    sys.exit(cases.failed > 0)


class Cases:
    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.done = self.failed = 0
        self.teacher = folder / "teacher"
        self.alone(self.teacher, SMALL)
        self.plain = results(self.teacher)
        self.edits = SMALL + tricks(self.teacher)
        self.alone(folder / "tricks", self.edits)
        self.full = results(folder / "tricks")
        print("| MPI | ranks | run | seconds | the same bytes |\n|---|---|---|---|---|", flush=True)

    def alone(self, out, edits):
        done = run([self.program, *train(out, edits)])
        assert done.returncode == 0, done.stderr

    def of(self, name, launch, more):
        for ranks in [1, 2, 4, 8]:
            self.one(name, launch, ranks, "plain", SMALL, self.plain, more)
            self.one(name, launch, ranks, "every trick", self.edits, self.full, more)
        self.one(name, launch, 2, "plain, 3 threads a rank", SMALL, self.plain, [*more, "--threads", "3"])
        self.unequal(name, launch, more)
        self.stopped(name, launch, more)

    def tell(self, name, ranks, what, began, expected, out):
        differ = differences(expected, out)
        self.done += 1
        self.failed += bool(differ)
        said = "no: " + ", ".join(differ) if differ else "yes"
        print(f"| {name} | {ranks} | {what} | {time.monotonic() - began:.1f} | {said} |", flush=True)

    def place(self):
        return self.folder / f"run-{self.done}"

    def one(self, name, launch, ranks, what, edits, expected, more):
        out, began = self.place(), time.monotonic()
        done = run(command(launch, ranks, self.program, train(out, edits, more)))
        if done.returncode != 0:
            sys.exit(f"{name}, {ranks} ranks, {what}: exit code {done.returncode}\n{done.stderr}")
        self.tell(name, ranks, what, began, expected, out)

    def unequal(self, name, launch, more):
        """Two ranks of one thread and one of three, by the number that the launcher gives them."""
        out, began = self.place(), time.monotonic()
        script = self.folder / "unequal.sh"
        rank = "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}"
        script.write_text(f'#!/bin/sh\nexec {self.program} "$@" --threads $((1 + 2 * ({rank} % 2)))\n')
        script.chmod(0o755)
        done = run(command(launch, 4, str(script), train(out, self.edits, more)))
        if done.returncode != 0:
            sys.exit(f"{name}, unequal threads: exit code {done.returncode}\n{done.stderr}")
        self.tell(name, 4, "every trick, 1 and 3 threads in turn", began, self.full, out)

    def stopped(self, name, launch, more):
        out, began = self.place(), time.monotonic()
        words = command(launch, 4, self.program, train(out, self.edits, more))
        process = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        at = random.randrange(5, 40)
        while steps(out) < at and process.poll() is None:
            time.sleep(0.002)
        found = ranks_of(self.program, out)
        rank = random.randrange(4)
        os.kill(found[rank], signal.SIGTERM)
        said = process.communicate(timeout=120)[1]
        if "stopped at step" not in said:
            sys.exit(f"{name}: a signal to rank {rank} did not stop the run: {process.returncode}\n{said}")
        stopped = steps(out)
        resume = ["train", "--resume", "--out", str(out), *more]
        done = run(command(launch, 2, self.program, resume))
        if done.returncode != 0:
            sys.exit(f"{name}, resumed: exit code {done.returncode}\n{done.stderr}")
        what = f"every trick, SIGTERM to rank {rank} at step {stopped}, resumed by 2"
        self.tell(name, "4, 2", what, began, self.full, out)


if __name__ == "__main__":
    main()
