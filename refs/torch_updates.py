"""Twelve steps of three of PyTorch's optimizers in f64.

    python torch_updates.py               writes nag.json, sgd.json and adamw.json to crates/nn/testdata

    nag      torch.optim.SGD(momentum=0.9, nesterov=True, weight_decay=1e-4, dampening=0)
    sgd      torch.optim.SGD(momentum=0.9, weight_decay=1e-4, dampening=0)
    adamw    torch.optim.AdamW(betas=(0.9, 0.999), eps=1e-8, weight_decay=0.05)

Seven weights, 2 u rounded to f32 with t = 0; the gradient of step i = 1 .. 12 is 2 u rounded to f32 with t = i
(u = uniform(t, i) of torch_formula.py). The gradients are given: they do not depend on the weights.
Rates: 0.01 i for steps 1 .. 6 (warm-up), 0.006 for 7 .. 9, 0.0006 for 10 .. 12.

JSON keys: the optimizer's own numbers (momentum, weight_decay, beta1, beta2, epsilon), rates [12], weights [7] (before the
first step), gradients [12][7], expected [12][7] (the weights after each step), and PyTorch's buffers after each step [12][7]:
velocity (momentum_buffer), or first_moment (exp_avg) and second_moment (exp_avg_sq).
Numbers are printed so that they read back as the same f64.
"""

import json
from pathlib import Path

import torch

from torch_formula import signal

OUT = Path(__file__).resolve().parent.parent / "crates" / "nn" / "testdata"
RATES = [0.01 * i for i in range(1, 7)] + [0.006] * 3 + [0.0006] * 3
MOMENTUM = {"momentum": 0.9, "weight_decay": 1e-4}
ADAMW = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.05}


def sgd(w, nesterov):
    return torch.optim.SGD([w], lr=RATES[0], **MOMENTUM, nesterov=nesterov, dampening=0)


def adamw(w):
    betas = (ADAMW["beta1"], ADAMW["beta2"])
    return torch.optim.AdamW([w], lr=RATES[0], betas=betas, eps=ADAMW["epsilon"], weight_decay=ADAMW["weight_decay"])


def main():
    torch.set_num_threads(1)
    velocity = {"velocity": "momentum_buffer"}
    write("nag", MOMENTUM, lambda w: sgd(w, True), velocity)
    write("sgd", MOMENTUM, lambda w: sgd(w, False), velocity)
    write("adamw", ADAMW, adamw, {"first_moment": "exp_avg", "second_moment": "exp_avg_sq"})


def write(name, numbers, optimizer, buffers):
    start = torch.from_numpy(signal(0, (7,), 2.0)).double()
    gradients = [torch.from_numpy(signal(i, (7,), 2.0)).double() for i in range(1, len(RATES) + 1)]
    w = start.clone().requires_grad_()
    rule = optimizer(w)
    expected, seen = [], {key: [] for key in buffers}
    for rate, gradient in zip(RATES, gradients):
        rule.param_groups[0]["lr"] = rate
        w.grad = gradient.clone()
        rule.step()
        expected.append(w.detach().tolist())
        for key, theirs in buffers.items():
            seen[key].append(rule.state[w][theirs].tolist())
    vectors = {
        **numbers,
        "rates": RATES,
        "weights": start.tolist(),
        "gradients": [g.tolist() for g in gradients],
        "expected": expected,
        **seen,
    }
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.json"
    lines = ",\n".join(f"  {json.dumps(k)}: {rows(v)}" for k, v in vectors.items())
    path.write_text("{\n" + lines + "\n}\n")
    print(path.name, path.stat().st_size, "bytes")


def rows(value):
    """One line for a list, one line a row for a list of lists."""
    if isinstance(value, list) and isinstance(value[0], list):
        return "[\n" + ",\n".join("    " + json.dumps(row) for row in value) + "\n  ]"
    return json.dumps(value)


if __name__ == "__main__":
    main()
