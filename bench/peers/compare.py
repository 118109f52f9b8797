"""Runs trickbag and its peers in turn and prints one table with ratios (see README.md)."""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
TRICKBAG = Path(os.environ.get("TRICKBAG", HERE.parent.parent / "target" / "release" / "trickbag"))

# name: model, side, batch, small stem
STEPS = {
    "ResNet-50-D 224 px, batch 16": ("resnet50d", 224, 16, False),
    "ResNet-50-D 64 px, batch 64": ("resnet50d", 64, 64, False),
    "ResNet-18-D 32 px, batch 256, small stem": ("resnet18d", 32, 256, True),
    "MobileNet 224 px, batch 16": ("mobilenetv1_100", 224, 16, False),
    "Inception-V3 299 px, batch 16": ("inception_v3", 299, 16, False),
}
# Every network of the zoo: those the paper and its comparisons name at their own size, the rest smaller.
NAMED = ["resnet50", "resnet50d", "resnet50s", "resnext50_32x4d", "seresnet50", "seresnext50_32x4d", "inception_v3", "mobilenetv1_100",
         "densenet121", "densenet201"]


def zoo():
    listed = json.loads(subprocess.run([TRICKBAG, "models", "--json"], check=True, capture_output=True).stdout)
    nets = [(net["name"], net["input"][0] if net["name"] in NAMED or "inception" in net["name"] else 128) for net in listed]
    nets.sort(key=lambda net: net[0] not in NAMED)
    return {f"{name} {side} px, batch 8": (name, side, 8, False) for name, side in nets}


INFERENCES = {
    f"{title} 224 px, batch {batch}": (model, 224, batch, False)
    for title, model in [("ResNet-50-D", "resnet50d"), ("MobileNet", "mobilenetv1_100")]
    for batch in [1, 16]
}
CASES = {"step": lambda: STEPS, "zoo": zoo, "infer": lambda: INFERENCES}
PEERS = {kind: ["torch", "torch-channels-last"] for kind in CASES}
PEERS["infer"].append("onnxruntime")
# Beside them for information, in the first round only: they take minutes.
INFORMATION = {"step": ["torch-compile", "stock-burn"], "zoo": [], "infer": []}
# What stock Burn's program builds.
IN_BURN = ["resnet18d", "resnet50d", "mobilenetv1_100"]
STOCK_BURN = HERE.parent.parent / "target" / "stock-burn" / "release" / "stock-burn"


def run(command, threads):
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    for key in ["OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"]:
        environment.pop(key, None)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout)


def ours(kind, case, threads, steps):
    model, side, batch, small = case
    command = [TRICKBAG, "bench", kind, "--model", model, "--size", side, "--batch", batch]
    command += ["--steps", steps, "--threads", threads, "--json"] + (["--small-stem"] if small else [])
    return run([str(part) for part in command], threads)


def peer(name, kind, case, threads, steps):
    model, side, batch, small = case
    command = [STOCK_BURN] if name == "stock-burn" else [sys.executable, HERE / "peer.py", name, kind]
    command += [model, side, batch, int(small), steps, threads]
    return run([str(part) for part in command], threads)


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("kind", choices=list(CASES))
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--steps", type=int, default=5)
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    arguments.add_argument("--only", default="", help="cases whose name holds this")
    chosen = arguments.parse_args()
    kind = "infer" if chosen.kind == "infer" else "step"
    peers, information = PEERS[chosen.kind], INFORMATION[chosen.kind]
    if information and not STOCK_BURN.exists():
        sys.exit(f"{STOCK_BURN} is not there: see README.md on how to build it")
    print(f"| images/s, {chosen.threads} threads | " + " | ".join(peers + information) + " | trickbag | ratio to the better torch"
          + (" | ratio to onnxruntime" if chosen.kind == "infer" else "") + " | memory, ours / torch's |")
    print("|---" * (len(peers) + len(information) + 4 + (chosen.kind == "infer")) + "|")
    for title, case in CASES[chosen.kind]().items():
        if chosen.only not in title:
            continue
        speeds, memories = {}, {}
        for turn in range(chosen.rounds):
            for name in peers + (information if turn == 0 else []) + ["trickbag"]:
                if name == "stock-burn" and case[0] not in IN_BURN:
                    continue
                if name == "trickbag":
                    result = ours(kind, case, chosen.threads, chosen.steps)
                else:
                    result = peer(name, kind, case, chosen.threads, chosen.steps)
                speeds.setdefault(name, []).append(result["images_per_second"])
                memories.setdefault(name, []).append(result["peak_memory_bytes"])
        speed = {name: statistics.median(values) for name, values in speeds.items()}
        memory = {name: statistics.median(values) for name, values in memories.items()}
        better = max(["torch", "torch-channels-last"], key=speed.get)
        cells = [title] + [f"{speed[name]:.2f}" if name in speed else "–" for name in peers + information + ["trickbag"]]
        cells.append(f"{speed['trickbag'] / speed[better]:.2f}×")
        if chosen.kind == "infer":
            cells.append(f"{speed['trickbag'] / speed['onnxruntime']:.2f}×")
        cells.append(f"{memory['trickbag'] / 1e9:.2f} / {memory[better] / 1e9:.2f} GB = "
                     f"{memory['trickbag'] / memory[better]:.2f}×")
        print("| " + " | ".join(cells) + " |", flush=True)


main()
