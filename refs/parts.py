"""One step over a batch of eight parts, each with batch norm statistics of its own, for the tests of the step.

    python parts.py            writes crates/zoo/testdata/parts.safetensors
    python parts.py --search   prints, for forty inputs, how far ReLU inputs stay from zero

Network: timm's resnet18d with 1000 classes. Its weights and running statistics are those of timm_vectors.py (names sorted,
t is the position, same formulas) in the calm form that it uses for 50-layer nets: gamma 0.35 + 0.14 * u, beta 1 + 0.2 * u.

Input: x [32, 3, 64, 64] in NCHW order with t = IMAGE below, 4 * u of torch_formula.py rounded to f32.
Target: p [32, 1000], row r has 0.9 at class (37 r + 5) mod 1000 and 0.1 at class (91 r + 400) mod 1000.
Parts: part k, of 0 to 7, is rows 4 k to 4 k + 3 of both.

Each part is one forward pass in training mode, from the same weights and the same running statistics; its loss is the mean
over its four rows of -sum p log softmax(z). Then

    loss                  the mean of the eight losses
    gradient              the mean of the eight gradients
    running statistics    moved once: 0.9 * before + 0.1 * the mean over the parts of what each observed, which is its
                          batch's mean and its batch's unbiased variance (divided by n - 1)

PyTorch moves the statistics in every forward pass; each part starts from the same ones, so the mean over the parts of what
they become is exactly that single move.

Everything is computed once in f64 and once in f32 (oneDNN on, one thread). Each quantity Q is an F64 tensor of the f64 result:

    train.losses                                 [8]: the loss of each part
    train.loss                                   [1]: their mean
    grad.NAME                                    for conv1.0.weight, bn1.weight, bn1.bias, layer1.0.conv1.weight,
                                                 layer2.0.conv2.weight, layer3.0.downsample.2.weight, layer4.1.conv2.weight,
                                                 fc.weight and fc.bias
    running.NORM.running_mean, .running_var      for conv1.1 (the first norm), bn1, layer2.0.downsample.2, layer4.1.bn2

A gradient is flat, in PyTorch's layout; of n numbers every ceil(n / 500)-th is kept, from the first on. Beside each Q stands
`Q.error`, F64 [1]: max |f32 - f64| / max |f64| over the elements kept, PyTorch's own rounding error, floored at 1e-7. It is a
single draw: our error, measured alike, may be 8 times as much.

Where an input of a ReLU changes sign between f64 and f32, the gradient jumps. Of the forty t from 1000000 on, IMAGE keeps these
inputs farthest from zero, measured by the rounding of f32 in their layer.
"""

import sys
from pathlib import Path

import numpy as np
import timm
import torch
from safetensors.numpy import save_file

from timm_vectors import ERROR_FLOOR, fill
from torch_formula import signal

OUT = Path(__file__).resolve().parent.parent / "crates/zoo/testdata/parts.safetensors"
IMAGE = 1000035
PARTS, ROWS, SIDE, CLASSES = 8, 4, 64, 1000
GRADIENTS = [
    "conv1.0.weight",
    "bn1.weight",
    "bn1.bias",
    "layer1.0.conv1.weight",
    "layer2.0.conv2.weight",
    "layer3.0.downsample.2.weight",
    "layer4.1.conv2.weight",
    "fc.weight",
    "fc.bias",
]
NORMS = ["conv1.1", "bn1", "layer2.0.downsample.2", "layer4.1.bn2"]


def build(dtype):
    """The network and the tensors that each part starts from."""
    model = timm.create_model("resnet18d", pretrained=False, num_classes=CLASSES).to(dtype)
    state = model.state_dict()
    names = sorted((n for n in state if not n.endswith("num_batches_tracked")), key=str.encode)
    start = {n: fill(t, n, tuple(state[n].shape), calm=True).to(dtype) for t, n in enumerate(names)}
    return model.train(), start


def batch(image, dtype):
    """The parts' inputs and targets."""
    rows = PARTS * ROWS
    x = torch.from_numpy(signal(image, (rows, 3, SIDE, SIDE), 4.0)).to(dtype)
    p = torch.zeros(rows, CLASSES, dtype=dtype)
    for r in range(rows):
        p[r, (37 * r + 5) % CLASSES] = 0.9
        p[r, (91 * r + 400) % CLASSES] = 0.1
    return zip(x.split(ROWS), p.split(ROWS))


def thin(gradient):
    flat = gradient.flatten()
    return flat[:: -(-flat.numel() // 500)]


def measure(image, dtype):
    model, start = build(dtype)
    parameters = dict(model.named_parameters())
    statistics = {f"{norm}.{leaf}": 0 for norm in NORMS for leaf in ("running_mean", "running_var")}
    losses = []
    for x, p in batch(image, dtype):
        model.load_state_dict(start, strict=True)
        loss = -(p * torch.log_softmax(model(x), dim=1)).sum(dim=1).mean()
        # Gradients of all parts add up in the parameters.
        loss.backward()
        losses.append(loss.detach())
        state = model.state_dict()
        statistics = {name: total + state[name] for name, total in statistics.items()}
    out = {"train.losses": torch.stack(losses), "train.loss": torch.stack(losses).mean().reshape(1)}
    out |= {f"grad.{name}": thin(parameters[name].grad / PARTS) for name in GRADIENTS}
    out |= {f"running.{name}": total / PARTS for name, total in statistics.items()}
    return {q: v.detach().to(torch.float64).numpy().copy() for q, v in out.items()}


def margin(image):
    """How many times the rounding of f32 the nearest ReLU input is away from zero, and how many inputs ReLU cuts."""
    inputs = {}
    for dtype in (torch.float64, torch.float32):
        model, start = build(dtype)
        model.load_state_dict(start, strict=True)
        seen = inputs[dtype] = []
        for module in model.modules():
            if isinstance(module, torch.nn.ReLU):
                # The network's ReLUs work in place.
                module.register_forward_pre_hook(lambda _, given: seen.append(given[0].double().clone()))
        with torch.no_grad():
            for x, _ in batch(image, dtype):
                model(x)
    pairs = list(zip(inputs[torch.float64], inputs[torch.float32]))
    least = min(float((exact.abs().min() / (single - exact).abs().max())) for exact, single in pairs)
    flips = sum(int(((exact > 0) != (single > 0)).sum()) for exact, single in pairs)
    return least, flips, sum(int((exact < 0).sum()) for exact, _ in pairs)


def search():
    for image in range(10**6, 10**6 + 40):
        least, flips, cut = margin(image)
        print(f"t {image}  nearest {least:.4f} of the rounding, {flips} flips, ReLU cuts {cut}", flush=True)


def main():
    exact, single = measure(IMAGE, torch.float64), measure(IMAGE, torch.float32)
    tensors = {}
    for q, value in exact.items():
        error = np.abs(single[q] - value).max() / np.abs(value).max()
        tensors[q] = value
        tensors[f"{q}.error"] = np.array([max(error, ERROR_FLOOR)])
        print(f"{q:42} {str(list(value.shape)):8} max {np.abs(value).max():10.4g}  error {error:.1e}")
    save_file(tensors, OUT)
    print(f"{OUT.stat().st_size} bytes")


if __name__ == "__main__":
    torch.set_num_threads(1)
    search() if sys.argv[1:] == ["--search"] else main()
