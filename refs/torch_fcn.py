"""Writes crates/segment/testdata/fcn_resnet50.safetensors: a step and an evaluation of torchvision's `fcn_resnet50`.

    python refs/torch_fcn.py        (torch, torchvision, safetensors; versions are printed)

Weights are formulas of `torch_formula.py`, tensor number t in the order of names: matrices 2u √(3/fan in), weights of batch
norms 0.35 + 0.14u, biases and running means 1 + 0.2u and 0.2u, biases of the last layers 0.2u, running variances 1 + 0.4u.
Images are 4u of tensor 1000006, [2, 3, 64, 64]; the class of a pixel is ⌊26 (u + ½)⌋ of tensor 1000007, of which 21 and above
are ignored. No dropout.

For both ways to lay out the upsampling: the loss of head and auxiliary head in training, and the gradients of
head + 0.5 auxiliary, every so manieth number; the coarse logits in evaluation. Each in f64, with the greatest error of f32.
"""

import pathlib

import torch
import torchvision
from safetensors.torch import save_file
from torch.nn import functional

from torch_formula import uniform

TARGET = pathlib.Path(__file__).resolve().parent.parent / "crates/segment/testdata/fcn_resnet50.safetensors"
CLASSES, IGNORED, SIDE, BATCH, KEPT = 21, 255, 64, 2, 60


def fill(t, name, shape):
    count = int(torch.tensor(shape).prod()) if shape else 1
    u = torch.from_numpy(uniform(t, count))
    leaf = name.rsplit(".", 1)[1]
    if leaf == "weight" and len(shape) >= 2:
        values = (2 * u) * (3 / torch.tensor(shape[1:], dtype=torch.float64).prod()).sqrt()
    elif leaf == "weight":
        values = 0.35 + 0.14 * u
    elif leaf == "running_var":
        values = 1 + 0.4 * u
    elif leaf == "running_mean" or name.endswith(".4.bias"):
        values = 0.2 * u
    else:
        values = 1 + 0.2 * u
    return values.float().reshape(shape)


def model():
    net = torchvision.models.segmentation.fcn_resnet50(
        weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=True
    )
    state = net.state_dict()
    names = sorted(name for name in state if not name.endswith("num_batches_tracked"))
    net.load_state_dict({name: fill(t, name, list(state[name].shape)) for t, name in enumerate(names)}, strict=False)
    for part in net.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return net


images = (4 * torch.from_numpy(uniform(1000006, BATCH * 3 * SIDE * SIDE))).float().reshape(BATCH, 3, SIDE, SIDE)
labels = ((torch.from_numpy(uniform(1000007, BATCH * SIDE * SIDE)) + 0.5) * 26).floor().long().reshape(BATCH, SIDE, SIDE)
labels[labels >= CLASSES] = IGNORED


def coarse(net, x):
    features = net.backbone(x)
    return net.classifier(features["out"]), net.aux_classifier(features["aux"])


def measured(dtype):
    found = {}
    net = model().to(dtype).eval()
    with torch.no_grad():
        found["logits"], found["auxiliary_logits"] = (z.permute(0, 2, 3, 1).flatten() for z in coarse(net, images.to(dtype)))
    for corners in (False, True):
        net = model().to(dtype).train()
        losses = []
        for z in coarse(net, images.to(dtype)):
            z = functional.interpolate(z, size=SIDE, mode="bilinear", align_corners=corners)
            losses.append(functional.cross_entropy(z, labels, ignore_index=IGNORED))
        (losses[0] + 0.5 * losses[1]).backward()
        prefix = "corners" if corners else "centers"
        found[f"{prefix}.losses"] = torch.stack(losses)
        for name, parameter in net.named_parameters():
            found[f"{prefix}.{name}"] = parameter.grad.flatten()
    return {name: tensor.detach() for name, tensor in found.items()}


if __name__ == "__main__":
    exact, rough = measured(torch.float64), measured(torch.float32)
    out = {}
    for name, tensor in exact.items():
        step = -(-tensor.numel() // KEPT)
        error = (rough[name].double() - tensor).abs().max()
        out[name] = tensor[::step].clone()
        out[f"{name}.facts"] = torch.stack([error, tensor.abs().max()])
    TARGET.parent.mkdir(exist_ok=True)
    save_file(out, TARGET)
    print(f"{TARGET.name}: torch {torch.__version__}, torchvision {torchvision.__version__}, {TARGET.stat().st_size} bytes")
