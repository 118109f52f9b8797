"""Writes crates/weights/testdata: small files as torch.save writes them, and what they hold as safetensors.

    python torch_files.py

One small state dict, `expected.safetensors`, is in all of them: a convolution, a batch norm with its counter, a transposed
and a sliced view, f64, f16 and bf16 tensors of numbers that f32 holds too. Each file wraps it as training programs do:

    zip.pth            torch.save(state_dict)
    legacy.pth         the same before PyTorch 1.6
    protocol4.pth      the same by pickle protocol 4
    wrapped.pth        names with `module.` and `_orig_mod.` before them, values that are parameters
    timm.pth.tar       timm's training file: optimizer, arguments, `state_dict` of zeros, `state_dict_ema`
    torchvision.pth    torchvision's: optimizer, scheduler, arguments, `model` of zeros, `model_ema` with its counter

and some that are to be refused:

    command.pth        a pickle that would run a command
    module.pth         a whole module, which asks for its class
    nan.pth            a weight that is NaN
    optimizer.pth      a state dict with a number among its tensors
"""

import argparse
import os
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch.optim.swa_utils import AveragedModel

from torch_formula import signal

HERE = Path(__file__).parent.parent / "crates/weights/testdata"


def state_dict():
    def tensor(number, *shape):
        # Eighths: whatever the type, the number is the same.
        return torch.from_numpy((signal(number, shape, 64) // 1 / 8).reshape(shape))

    return OrderedDict(
        {
            "conv.weight": tensor(0, 4, 3, 3, 3).contiguous(memory_format=torch.channels_last),
            "bn.weight": tensor(1, 4),
            "bn.bias": tensor(2, 4).double(),
            "bn.running_mean": tensor(3, 4).half(),
            "bn.running_var": tensor(4, 4).bfloat16(),
            "bn.num_batches_tracked": torch.tensor(123456789),
            "fc.weight": tensor(5, 5, 6).t(),
            "fc.bias": tensor(6, 4, 6)[1:3, ::2].reshape(2, 3)[1],
            "part.weight": tensor(7, 9)[2:8].view(2, 3),
            "empty": torch.zeros(0, 3),
            "scalar": torch.tensor(0.625),
        }
    )


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3, bias=False)
        self.bn = torch.nn.BatchNorm2d(4)
        self.fc = torch.nn.Linear(4, 2)


class Command:
    def __reduce__(self):
        return os.system, ("echo the pickle was executed",)


def save(name, value, **options):
    torch.save(value, HERE / name, **options)


def training(model):
    """An optimizer and a scheduler after a step."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [30, 60])
    model.fc(model.bn(model.conv(torch.ones(2, 3, 5, 5))).mean((2, 3))).sum().backward()
    optimizer.step()
    scheduler.step()
    return optimizer.state_dict(), scheduler.state_dict()


def main():
    torch.manual_seed(1)
    HERE.mkdir(exist_ok=True)
    expected = state_dict()
    zeros = OrderedDict((name, torch.zeros_like(tensor)) for name, tensor in expected.items())
    numbers = {name: tensor.float() for name, tensor in expected.items() if tensor.dtype != torch.int64}
    save_file({name: tensor.contiguous().clone() for name, tensor in numbers.items()}, HERE / "expected.safetensors")
    save("zip.pth", expected)
    save("legacy.pth", expected, _use_new_zipfile_serialization=False)
    save("protocol4.pth", dict(expected), pickle_protocol=4)
    prefixes = ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", ""]
    wrapped = OrderedDict()
    for index, (name, tensor) in enumerate(expected.items()):
        floating = tensor.is_floating_point()
        wrapped[prefixes[index % 5] + name] = torch.nn.Parameter(tensor) if floating else tensor
    save("wrapped.pth", wrapped)

    model = Small()
    optimizer, scheduler = training(model)
    args = argparse.Namespace(model="small", lr=0.1, device="cpu", mean=None, opt_betas=(0.9, 0.999))
    timm = {
        "epoch": 3,
        "arch": "small",
        "state_dict": OrderedDict((f"module.{name}", tensor) for name, tensor in zeros.items()),
        "optimizer": optimizer,
        "version": 2,
        "args": args,
        "metric": 76.5,
        "state_dict_ema": expected,
    }
    save("timm.pth.tar", timm)
    averaged = AveragedModel(model).state_dict()
    averaged = OrderedDict({"n_averaged": averaged["n_averaged"]})
    averaged.update((f"module.{name}", tensor) for name, tensor in expected.items())
    vision = {"model": zeros, "optimizer": optimizer, "lr_scheduler": scheduler, "epoch": 3, "args": args}
    save("torchvision.pth", {**vision, "model_ema": averaged})

    save("command.pth", {"state_dict": expected, "note": Command()})
    save("module.pth", model)
    save("nan.pth", {**expected, "bn.weight": torch.tensor([1.0, float("nan"), 2.0, 3.0])})
    save("optimizer.pth", {**expected, "lr": 0.1})


if __name__ == "__main__":
    main()
