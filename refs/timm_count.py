"""Counts parameters and multiply-adds of timm's networks and holds `trickbag models` against them.

    python timm_count.py TRICKBAG

One multiply-add for each weight of a convolution or a linear layer and each place of its output, as the paper counts, at the
network's own size; nothing is computed (PyTorch's meta device). The auxiliary classifier counts as parameters only. Fails on
any difference.
"""

import json
import subprocess
import sys

import torch

from timm_build import build


def count(architecture, side):
    with torch.device("meta"):
        net = build(architecture).eval()
        multiply_adds = 0

        def add(layer, _, y):
            nonlocal multiply_adds
            places = y[0].numel() // layer.weight.shape[0]
            multiply_adds += places * layer.weight.numel()

        for name, layer in net.named_modules():
            if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)) and not name.startswith("AuxLogits"):
                layer.register_forward_hook(add)
        net(torch.zeros(1, 3, side, side))
    return sum(p.numel() for p in net.parameters()), multiply_adds


def main():
    listed = json.loads(subprocess.run([sys.argv[1], "models", "--json"], check=True, capture_output=True).stdout)
    print("| network | parameters | multiply-adds |\n|---|---|---|")
    different = []
    for net in listed:
        theirs = count(net["name"], net["input"][0])
        print(f"| {net['name']} | {theirs[0]:,} | {theirs[1]:,} |", flush=True)
        if theirs != (net["parameters"], net["multiply_adds"]):
            different.append(f"{net['name']}: {net['parameters']:,}, {net['multiply_adds']:,}")
    if different:
        sys.exit("trickbag counts otherwise: " + "; ".join(different))


main()
