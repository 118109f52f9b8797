#!/usr/bin/env python3
"""Simulates a step of 8 to 1,024 nodes with SimGrid and prints it beside the model, as the table of docs/scale.md.

    python3 campaigns/ranks/scale.py --program target/release/trickbag        needs smpirun (Debian: libsimgrid-dev)
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import tempfile

NODES = {"CPU, 100 images/s × 32": (100, 32), "GPU, 2,500 images/s × 128": (2500, 128)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    arguments = parser.parse_args()
    print("| node, images/s × images a rank | nodes | Gbit/s | work, s | simulated step, s | by the model, s | efficiency, simulated |")
    print("|---|---|---|---|---|---|---|")
    for name, (speed, images) in NODES.items():
        for ranks in [8, 64, 256, 1024]:
            for gigabits in [10, 25, 100]:
                with tempfile.TemporaryDirectory() as folder:
                    words = [os.path.abspath(arguments.program), "bench", "scale", "--json", "-o", folder]
                    words += ["--ranks", ranks, "--gigabits", gigabits, "--images-per-second", speed, "--images", images]
                    facts = json.loads(subprocess.run(list(map(str, words)), check=True, capture_output=True).stdout)
                    replay = subprocess.run(shlex.split(facts["command"]), capture_output=True, text=True, check=True)
                    found = re.search(r"Simulation time ([0-9.]+)", replay.stdout + replay.stderr)
                    assert found, replay.stdout + replay.stderr
                    time, work = float(found[1]), facts["compute_seconds"]
                print(
                    f"| {name} | {ranks:,} | {gigabits} | {work:.3f} | {time:.3f} | {facts['model_seconds']:.3f} | {100 * work / time:.0f} % |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
