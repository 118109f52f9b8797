"""Twelve steps of torch.optim.SGD(momentum=0.9, nesterov=True, weight_decay=1e-4, dampening=0) in f64.

    python torch_nag.py                   writes crates/nn/testdata/nag.json

Seven weights, 2 u rounded to f32 with t = 0; the gradient of step i = 1 .. 12 is 2 u rounded to f32 with t = i
(u = uniform(t, i) of torch_formula.py). The gradients are given: they do not depend on the weights.
Rates: 0.01 i for steps 1 .. 6 (warm-up), 0.006 for 7 .. 9, 0.0006 for 10 .. 12.

JSON keys: momentum, weight_decay, rates [12], weights [7] (before the first step), gradients [12][7],
expected [12][7] (the weights after each step), velocity [12][7] (PyTorch's momentum buffer after each step).
Numbers are printed so that they read back as the same f64.
"""

import json
from pathlib import Path

import torch

from torch_formula import signal

OUT = Path(__file__).resolve().parent.parent / "crates" / "nn" / "testdata"
MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4
RATES = [0.01 * i for i in range(1, 7)] + [0.006] * 3 + [0.0006] * 3


def main():
    torch.set_num_threads(1)
    start = torch.from_numpy(signal(0, (7,), 2.0)).double()
    gradients = [torch.from_numpy(signal(i, (7,), 2.0)).double() for i in range(1, len(RATES) + 1)]

    w = start.clone().requires_grad_()
    nag = torch.optim.SGD([w], lr=RATES[0], momentum=MOMENTUM, nesterov=True, weight_decay=WEIGHT_DECAY, dampening=0)
    expected, velocity = [], []
    for rate, gradient in zip(RATES, gradients):
        nag.param_groups[0]["lr"] = rate
        w.grad = gradient.clone()
        nag.step()
        expected.append(w.detach().tolist())
        velocity.append(nag.state[w]["momentum_buffer"].tolist())

    vectors = {
        "momentum": MOMENTUM,
        "weight_decay": WEIGHT_DECAY,
        "rates": RATES,
        "weights": start.tolist(),
        "gradients": [g.tolist() for g in gradients],
        "expected": expected,
        "velocity": velocity,
    }
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / "nag.json"
    lines = ",\n".join(f"  {json.dumps(k)}: {rows(v)}" for k, v in vectors.items())
    path.write_text("{\n" + lines + "\n}\n")
    print(path.stat().st_size, "bytes")


def rows(value):
    """One line for a list, one line a row for a list of lists."""
    if isinstance(value, list) and isinstance(value[0], list):
        return "[\n" + ",\n".join("    " + json.dumps(row) for row in value) + "\n  ]"
    return json.dumps(value)


if __name__ == "__main__":
    main()
