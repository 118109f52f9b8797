"""Logits, gradients and running statistics of timm's ResNets, for the tests of the zoo.

    python timm_vectors.py [NAME...]      writes crates/zoo/testdata/NAME.safetensors

Networks: resnet18, resnet50, resnet50c, resnet50d, resnet18d, 1000 classes.

Weights. The state dict's names without `num_batches_tracked`, sorted byte-wise; t is the position in that order,
u = uniform(t, i) of torch_formula.py, i the flat index in PyTorch's layout (OIHW for convolutions). In f64, in this
order of operations, then rounded to f32:

    two or more dims (fan_in = product of dims 1..)    (2 * u) * sqrt(3 / fan_in)
    `weight` of one dim (gamma)                         1 + 0.4 * u, in a 50-layer net 0.35 + 0.14 * u
    `bias` of a batch norm (beta)                       0.2 * u, in a 50-layer net 1 + 0.2 * u
    `bias` of fc                                        0.2 * u
    `running_mean`                                      0.2 * u
    `running_var`                                       1 + 0.4 * u

Input: x [4, 3, 64, 64] in NCHW order with t = 1000006, 4 * u rounded to f32. Of the forty t from 1000000 on it is
the one that keeps the inputs of ReLUs farthest from zero in all five nets, measured by the rounding of f32.
Target: p [4, 1000], row r has 0.9 at class (37 r + 5) mod 1000 and 0.1 at class (91 r + 400) mod 1000.
Loss: mean over rows of -sum p log softmax(z).

One evaluation (running statistics from the formula), then one training pass (batch statistics, momentum 0.1),
once in f64 and once in f32 (oneDNN on, one thread). Each quantity Q is an F64 tensor of the f64 result:

    eval.logits, train.logits                    [4, 100]: the first 100 classes
    train.loss                                   [1]
    running.bn1.running_mean, .running_var       after the training pass: the stem's last batch norm
    running.layer4.0.bn1.running_mean, .running_var
    grad.conv1.weight (grad.conv1.0.weight where the stem is deep)
    grad.layer1.0.conv1.weight
    grad.layer3.0.downsample.1.weight (.2.weight in D, whose shortcut starts with a pool): gamma

Gradients are flat, in PyTorch's layout; of more than 10,000 elements every seventh is kept (0, 7, 14, ...).
Beside each stands `Q.error`, F64 [1]: max |f32 - f64| / max |f64| over the elements kept, PyTorch's own rounding
error, floored at 1e-7. It is a single draw: allow a few times as much.

Where an input of a ReLU changes sign between f64 and f32, the gradient jumps. The 18-layer nets have no such flip
here, with oneDNN or without, and test gradients to 5e-6 with four tenths of all inputs cut. In the 50-layer nets,
filled alike, batch statistics over 16 pixels amplify rounding to 1e-4 at the last block, 6 to 12 inputs flip, and any
f32 gradient is off by 1 to 5 percent. So there gamma is small and beta far from zero: ReLU still cuts 4,500 to 6,700
inputs, none flips, and gradients are exact to 1e-5.
"""

import sys
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.numpy import save_file

from torch_formula import signal, uniform

NETWORKS = ["resnet18", "resnet50", "resnet50c", "resnet50d", "resnet18d"]
OUT = Path(__file__).resolve().parent.parent / "crates" / "zoo" / "testdata"
ERROR_FLOOR = 1e-7
IMAGE = 10**6 + 6


def fill(t, name, shape, calm):
    """Tensor number t; `calm` keeps the inputs of ReLUs away from zero."""
    u = uniform(t, int(np.prod(shape)))
    leaf = name.rsplit(".", 1)[1]
    if len(shape) >= 2:
        values = (2.0 * u) * np.sqrt(3.0 / np.prod(shape[1:]))
    elif leaf == "weight" and calm:
        values = 0.35 + 0.14 * u
    elif leaf in ("weight", "running_var"):
        values = 1.0 + 0.4 * u
    elif leaf == "bias" and calm and name != "fc.bias":
        values = 1.0 + 0.2 * u
    elif leaf in ("bias", "running_mean"):
        values = 0.2 * u
    else:
        raise ValueError(f"no formula for {name}")
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


def build(name):
    model = timm.create_model(name, pretrained=False, num_classes=1000)
    state = model.state_dict()
    names = sorted((n for n in state if not n.endswith("num_batches_tracked")), key=str.encode)
    calm = not name.startswith("resnet18")
    values = {n: fill(t, n, tuple(state[n].shape), calm) for t, n in enumerate(names)}
    model.load_state_dict(values, strict=True)
    return model


def batch(dtype):
    x = torch.from_numpy(signal(IMAGE, (4, 3, 64, 64), 4.0)).to(dtype)
    p = torch.zeros(4, 1000, dtype=dtype)
    for r in range(4):
        p[r, (37 * r + 5) % 1000] = 0.9
        p[r, (91 * r + 400) % 1000] = 0.1
    return x, p


def thin(gradient):
    flat = gradient.flatten()
    return flat[::7] if flat.numel() > 10_000 else flat


def measure(name, dtype):
    model = build(name).to(dtype)
    x, p = batch(dtype)
    out = {}
    model.eval()
    with torch.no_grad():
        out["eval.logits"] = model(x)[:, :100]

    model.train()
    z = model(x)
    loss = -(p * torch.log_softmax(z, dim=1)).sum(dim=1).mean()
    loss.backward()
    out["train.logits"] = z[:, :100]
    out["train.loss"] = loss.reshape(1)

    parameters = dict(model.named_parameters())
    deep, pooled = "conv1.0.weight" in parameters, name.endswith("d")
    kept = ["conv1.0.weight" if deep else "conv1.weight", "layer1.0.conv1.weight"]
    kept.append(f"layer3.0.downsample.{2 if pooled else 1}.weight")
    for n in kept:
        out[f"grad.{n}"] = thin(parameters[n].grad)
    state = model.state_dict()
    for norm in ("bn1", "layer4.0.bn1"):
        for leaf in ("running_mean", "running_var"):
            out[f"running.{norm}.{leaf}"] = state[f"{norm}.{leaf}"]
    return {q: v.detach().to(torch.float64).numpy().copy() for q, v in out.items()}


def main(names):
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for name in names:
        exact, single = measure(name, torch.float64), measure(name, torch.float32)
        tensors = {}
        print(name)
        for q, value in exact.items():
            error = np.abs(single[q] - value).max() / np.abs(value).max()
            tensors[q] = value
            tensors[f"{q}.error"] = np.array([max(error, ERROR_FLOOR)])
            print(f"  {q:42} {str(list(value.shape)):12} max {np.abs(value).max():10.4g}  error {error:.1e}")
        path = OUT / f"{name}.safetensors"
        save_file(tensors, path)
        print(f"  {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:] or NETWORKS)
