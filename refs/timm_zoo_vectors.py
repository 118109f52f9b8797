"""Logits, gradients and running statistics of the networks that are not plain ResNets, for the tests of the zoo.

    python timm_zoo_vectors.py [NAME...]      writes crates/zoo/testdata/NAME.safetensors

Names are the zoo's; `case` says on how many images of which side. Weights, images,
targets and loss are timm_vectors.py's, except that images and targets have as many rows as the case says, and the case
says t of the images. "calm" is timm_vectors.py's formula for a 50-layer net, "wild" the one for 18 layers, and "lifted"
is wild with 3 more in every bias but the classifier's, so that activations reach 0 and 6. No dropout. Where there is an
auxiliary classifier, the loss is the classifier's plus 0.4 times the auxiliary one's.

Quantities, each an F64 tensor of the f64 result with `Q.error`, PyTorch's own f32 error, beside it:

    eval.logits, train.logits       [batch, 100]: the first 100 classes
    train.loss                      [1]
    grad.NAME                       of up to eight parameters, evenly spaced from the first to the last in timm's order;
                                    flat, every ceil(n / 500)-th of n elements, of the BRIEF ones ceil(n / 100)-th
    running.NAME                    mean and variance of the first, the middle and (not of the BRIEF ones) the last batch
                                    norm, after the training pass

A quantity with an f32 error above 1e-4 is left out: a gradient that is zero but for rounding (a beta whose ReLU cuts
nothing, in front of another batch norm; a bias in front of one), or, with Inception's many max pools at 299 pixels, one
that a tie broken the other way made jump. For inception_v3 at 107 pixels t was chosen so that none jumps, for vgg19_bn it is that of the
sixty from 1000000 on whose max pools are farthest from ties, for resnext101_32x4d one by which PyTorch's own gradients are the
same in NCHW and NHWC, for vgg16 one by which they bear a millionth of noise on the images.
"""

import sys

import numpy as np
import torch
from safetensors.numpy import save_file

from timm_build import build as timms
from timm_vectors import ERROR_FLOOR, IMAGE, OUT, fill
from torch_formula import signal

NAMES = [
    "resnet50_original", "resnet50s", "resnext50_32x4d", "seresnet50", "seresnet50_original", "seresnext50_32x4d",
    "inception_v3", "inception_v3_aux", "mobilenetv1_100", "mobilenetv1_100_relu6", "mobilenetv1_025", "densenet121",
    "densenet201", "vgg19", "vgg19_bn",
]
# Of the same families: fewer numbers of each.
BRIEF = [
    "resnet18_original", "resnet18c", "resnet34_original", "resnet34", "resnet34c", "resnet34d",
    *(f"resnet{depth}{tweak}" for depth in (101, 152) for tweak in ("_original", "", "c", "d", "s")),
    "resnext101_32x4d", "seresnet101", "seresnet152", "seresnext101_32x4d",
    "mobilenetv1_025_relu6", *(f"mobilenetv1_{width}{act}" for width in ("050", "075") for act in ("", "_relu6")),
    "densenet169", "vgg16", "vgg16_bn",
]


def case(name):
    """Images, their side, the formula and t of the images."""
    if name == "inception_v3":
        return 4, 107, "calm", 1_000_013
    if name == "inception_v3_aux":
        return 2, 299, "calm", IMAGE
    if name in ("vgg16_bn", "vgg19_bn"):
        return 4, 32, "calm", 1_000_046
    if name == "vgg16":
        return 4, 32, "calm", 1_000_043
    if name == "resnext101_32x4d":
        return 4, 64, "calm", 1_000_040
    if name.endswith("_relu6"):
        return 4, 64, "lifted", IMAGE
    return 4, 64, "wild" if name in ("vgg19", "resnet18_original") else "calm", IMAGE


def build(name):
    _, _, formula, _ = case(name)
    # The first hidden layer of a VGG has 64 units: 4096 would make a file of half a gigabyte of every test.
    model = timms(name, num_classes=1000, **({"mlp_ratio": 1 / 64} if name.startswith("vgg") else {}))
    state = model.state_dict()
    names = sorted((n for n in state if not n.endswith("num_batches_tracked")), key=str.encode)
    values = {n: fill(t, n, tuple(state[n].shape), formula == "calm") for t, n in enumerate(names)}
    if formula == "lifted":
        for n in names:
            if n.endswith("bias") and n != "classifier.bias":
                values[n] += 3.0
    missing, unexpected = model.load_state_dict(values, strict=False)
    assert not unexpected and all(n.endswith("num_batches_tracked") for n in missing)
    return model


def batch(name, dtype):
    images, side, _, t = case(name)
    x = torch.from_numpy(signal(t, (images, 3, side, side), 4.0)).to(dtype)
    p = torch.zeros(images, 1000, dtype=dtype)
    for r in range(images):
        p[r, (37 * r + 5) % 1000] = 0.9
        p[r, (91 * r + 400) % 1000] = 0.1
    return x, p


def evenly(items, count):
    items = list(items)
    return [items[round(k * (len(items) - 1) / (count - 1))] for k in range(count)]


def thin(gradient, kept):
    flat = gradient.flatten()
    return flat[:: -(-flat.numel() // kept)]


def measure(name, dtype):
    model = build(name).to(dtype)
    x, p = batch(name, dtype)
    cross_entropy = lambda z: -(p * torch.log_softmax(z, dim=1)).sum(dim=1).mean()
    out = {}
    model.eval()
    with torch.no_grad():
        z = model(x)
        out["eval.logits"] = (z[0] if isinstance(z, tuple) else z)[:, :100]
    model.train()
    z = model(x)
    z, auxiliary = z if isinstance(z, tuple) else (z, None)
    loss = cross_entropy(z)
    if auxiliary is not None:
        loss = loss + 0.4 * cross_entropy(auxiliary)
    loss.backward()
    out["train.logits"] = z[:, :100]
    out["train.loss"] = loss.reshape(1)
    parameters = dict(model.named_parameters())
    for n in evenly(parameters, 8):
        out[f"grad.{n}"] = thin(parameters[n].grad, 100 if name in BRIEF else 500)
    state = model.state_dict()
    norms = [n.removesuffix(".running_mean") for n in state if n.endswith(".running_mean")]
    for norm in (evenly(norms, 3) if norms else [])[: 2 if name in BRIEF else 3]:
        for leaf in ("running_mean", "running_var"):
            out[f"running.{norm}.{leaf}"] = state[f"{norm}.{leaf}"]
    return {q: v.detach().to(torch.float64).numpy().copy() for q, v in out.items()}


def main(names):
    torch.set_num_threads(1)
    for name in names:
        exact, single = measure(name, torch.float64), measure(name, torch.float32)
        tensors = {}
        print(name)
        for q, value in exact.items():
            error = np.abs(single[q] - value).max() / np.abs(value).max()
            if error > 1e-4:
                print(f"  {q:48} left out: error {error:.1e}")
                continue
            tensors[q] = value
            tensors[f"{q}.error"] = np.array([max(error, ERROR_FLOOR)])
            print(f"  {q:48} {str(list(value.shape)):12} max {np.abs(value).max():10.4g}  error {error:.1e}", flush=True)
        path = OUT / f"{name}.safetensors"
        save_file(tensors, path)
        print(f"  {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:] or NAMES + BRIEF)
