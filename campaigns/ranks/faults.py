#!/usr/bin/env python3
"""Lets one rank of a run fail at a random step, in every way that there is, and goes on with another number of ranks.

    python3 campaigns/ranks/faults.py --program target/release/trickbag --faults 40 \\
        --launcher 'MPICH 5.0.2=/path/to/mpiexec -n {n}'

After each fault all ranks have to be gone in bounded time, with the exit code and the words that belong to it; and the run, resumed
by another number of ranks, has to leave the bytes of one that nothing disturbed. Needs Linux and a C compiler (for the full
disk, see campaigns/faults.c). It prints a table in Markdown, and fails where one of these is not so.
"""

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from launch import SMALL, command, differences, environment, gone, launcher, ranks_of, results, run, steps, train, tricks

# Seconds of silence after which a rank counts as gone (ten times the longest step where that is longer, as on a busy machine), and
# the seconds within which all ranks have to be gone after a fault.
PATIENCE, BOUND = 3, 60

# What is done to a rank; the exit codes that may follow, or None where the launcher reports a death in its own way; and words of the
# message.
KINDS = {
    "SIGKILL": (None, []),
    "SIGSTOP": (75, ["has been silent for", "The run was at step", "go on with: trickbag train --resume --out", "rank "]),
    "SIGABRT": (None, []),
    "SIGILL": (None, []),
    "out of memory": (None, []),
    "full disk": (1, ["the disk is full"]),
    "SIGTERM": (143, ["stopped at step", "--resume"]),
    "SIGINT": (130, ["stopped at step", "--resume"]),
    "SIGHUP": (129, ["stopped at step", "--resume"]),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--launcher", action="append", default=[], type=launcher)
    parser.add_argument("--faults", type=int, default=len(KINDS))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign(os.path.abspath(arguments.program), Path(folder))
        for number in range(arguments.faults):
            name, launch = arguments.launcher[number % len(arguments.launcher)]
            campaign.fault(number, name, launch, list(KINDS)[number // len(arguments.launcher) % len(KINDS)])
    print(f"\n{arguments.faults} faults, {len(campaign.failures)} failures; the longest end took {campaign.longest:.1f} s")
    print("\n".join(campaign.failures))
    sys.exit(bool(campaign.failures))


class Campaign:
    def __init__(self, program, folder):
        self.program, self.folder, self.failures, self.longest = program, folder, [], 0.0
        self.shim = folder / "faults.so"
        source = Path(__file__).parent.parent / "faults.c"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", source, "-o", self.shim, "-ldl"], check=True)
        teacher = folder / "teacher"
        done = run([program, *train(teacher, SMALL)])
        assert done.returncode == 0, done.stderr
        self.edits = SMALL + tricks(teacher)
        done = run([program, *train(folder / "undisturbed", self.edits)])
        assert done.returncode == 0, done.stderr
        self.expected = results(folder / "undisturbed")
        print("| | MPI | fault | rank | step | exit code | gone after | resumed by | the same bytes |")
        print("|---|---|---|---|---|---|---|---|---|", flush=True)

    def fault(self, number, name, launch, kind):
        out = self.folder / f"run-{number}"
        ranks = random.choice([2, 4, 8])
        rank = 0 if kind == "full disk" else random.randrange(ranks)
        at = random.randrange(1, 55)
        program = self.with_full_disk(out, number) if kind == "full disk" else self.program
        words = command(launch, ranks, program, train(out, self.edits, ["--patience", str(PATIENCE)]))
        pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.Popen(words, env=environment(), **pipes)
        while steps(out) < at and process.poll() is None:
            time.sleep(0.001)
        found = ranks_of(self.program, out)
        began, reached = time.monotonic(), steps(out)
        if kind != "full disk":
            if len(found) != ranks:
                return self.failed(number, name, kind, f"{len(found)} of {ranks} ranks were there at step {reached}")
            self.disturb(found[rank], kind)
        try:
            said = process.communicate(timeout=PATIENCE + BOUND)[1]
        except subprocess.TimeoutExpired:
            self.failed(number, name, kind, "it hangs")
            for hanging in ranks_of(self.program, out).values():
                os.kill(hanging, signal.SIGKILL)
            return process.kill()
        if not gone(self.program, out, BOUND):
            return self.failed(number, name, kind, f"ranks are left: {ranks_of(self.program, out)}")
        took = time.monotonic() - began
        self.longest = max(self.longest, took)
        self.judge(number, name, kind, process.returncode, said)
        resumed, same = self.resume(number, name, kind, launch, ranks, out)
        shown = "launcher's" if KINDS[kind][0] is None else ""
        print(
            f"| {number + 1} | {name} | {kind} | {rank} of {ranks} | {reached} | {process.returncode} {shown} | {took:.1f} s "
            f"| {resumed} | {'yes' if same else 'NO'} |",
            flush=True,
        )

    def with_full_disk(self, out, number):
        """The program with a disk that is full, for rank 0, from a random change of a file on."""
        script = self.folder / f"full-{number}.sh"
        rank = "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}"
        script.write_text(
            f'#!/bin/sh\n[ {rank} = 0 ] && export LD_PRELOAD={self.shim} FAULT_UNDER={out} FAULT_KIND=enospc '
            f'FAULT_AT={random.randrange(30, 200)}\nexec {self.program} "$@"\n'
        )
        script.chmod(0o755)
        return str(script)

    def disturb(self, process, kind):
        if kind == "out of memory":
            # The memory that a process may have from now on: less than it has.
            resource.prlimit(process, resource.RLIMIT_AS, (1 << 20, 1 << 20))
        else:
            os.kill(process, getattr(signal, kind))

    def judge(self, number, name, kind, code, said):
        expected, words = KINDS[kind]
        if code == 0 or (expected is not None and code != expected):
            self.failed(number, name, kind, f"exit code {code}\n{said}")
        for word in words:
            if word not in said:
                self.failed(number, name, kind, f"the message has no {word!r}\n{said}")
        if "panicked" in said and kind != "out of memory":
            self.failed(number, name, kind, f"a panic\n{said}")

    def resume(self, number, name, kind, launch, ranks, out):
        ranks = random.choice([other for other in [1, 2, 4, 8] if other != ranks])
        begun = (out / "recipe.toml").exists()
        words = ["train", "--resume", "--out", str(out)] if begun else train(out, self.edits)
        done = run(command(launch, ranks, self.program, words))
        if done.returncode != 0:
            self.failed(number, name, kind, f"resumed by {ranks}: exit code {done.returncode}\n{done.stderr}")
            return ranks, False
        differ = differences(self.expected, out)
        if differ:
            self.failed(number, name, kind, f"resumed by {ranks}: other {', '.join(differ)}")
        return ranks, not differ

    def failed(self, number, name, kind, text):
        self.failures.append(f"{number + 1}, {name}, {kind}: {text}")
        print(f"| {number + 1} | {name} | {kind} | FAILED: {text.splitlines()[0]} |", flush=True)


if __name__ == "__main__":
    main()
