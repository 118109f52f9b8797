"""timm or torchvision → trickbag → timm: the same numbers, for every network of the zoo.

    python round_trip.py [--trickbag target/release/trickbag] [NAME...]

For each network it builds timm's (and torchvision's, where that has it) with random weights and random running statistics, saves
it as one of the files that training programs write (safetensors; a state dict with `module.` before its names; the same as PyTorch
wrote it before 1.6; a training file of timm's with arguments, optimizer and `state_dict_ema`), runs `trickbag import`, and then:

    tensors   the folder holds the same bits under timm's names
    timm      timm opens the folder by `local-dir:`, and its logits of an image are the same bits as before
    ratio     the logarithms of the probabilities that `trickbag predict` gives of that image against timm's in f64:
              max|difference| / max|reference|, over the same of timm's own f32. The rule is at most 8.

torchvision's VGG computes its hidden layers as matrices, so its own logits and timm's differ by roundings: there `timm` is the
largest relative difference. Of networks that timm cannot open (the original strides, narrow MobileNets) only the tensors are
compared. Prints a table in Markdown; exits with 1 where a cell breaks its rule.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file

from timm_build import build, named

KINDS = ["safetensors", "module.", "legacy", "timm training"]
RULE = 8
COUNTER = "num_batches_tracked"


def randomized(model, seed):
    """Weights of a size that keeps the signal's, and statistics as after some training.

    Residuals add up in deep networks: the last matrix is made smaller where they would make a probability zero.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name.endswith(COUNTER):
                tensor.fill_(1000 + seed)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif tensor.dim() > 1:
                tensor.normal_(0, math.sqrt(2 / tensor[0].numel()), generator=generator)
            elif name.endswith("weight"):
                tensor.uniform_(0.5, 1, generator=generator)
            else:
                tensor.uniform_(-0.1, 0.1, generator=generator)
        model.eval()
        last = [tensor for tensor in model.state_dict().values() if tensor.dim() > 1][-1]
        last /= max(1, logits(model, torch.randn(1, 3, 299, 299, generator=generator)).abs().max() / 5)
    return model


def save(model, kind, folder):
    state = OrderedDict(model.state_dict())
    wrapped = OrderedDict((f"module.{name}", tensor) for name, tensor in state.items())
    if kind == "safetensors":
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "w.safetensors")
        return folder / "w.safetensors"
    path = folder / "w.pth"
    if kind == "module.":
        torch.save(wrapped, path)
    elif kind == "legacy":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    elif kind == "timm training":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        small = {"state_dict": OrderedDict((name, torch.zeros(1)) for name in state)}
        training = {"epoch": 3, "arch": "x", "optimizer": optimizer.state_dict(), "version": 2, "metric": 76.5}
        torch.save({**training, **small, "args": argparse.Namespace(lr=0.1), "state_dict_ema": state}, path)
    else:
        torch.save({"model": state, "epoch": 3, "args": argparse.Namespace(lr=0.1)}, path)
    return path


def logits(model, x):
    with torch.inference_mode():
        y = model(x)
    return y[0] if isinstance(y, tuple) else y


def prepared(config, image):
    cfg = config["pretrained_cfg"]
    crop, resize = cfg["input_size"][-1], math.floor(cfg["input_size"][-1] / cfg["crop_pct"])
    assert image.size == (resize, resize)
    start = (resize - crop) // 2
    pixels = np.asarray(image, dtype=np.float32)[start : start + crop, start : start + crop] / np.float32(255)
    mean, std = (np.array(cfg[key], dtype=np.float32) for key in ("mean", "std"))
    return torch.from_numpy((pixels - mean) / std).permute(2, 0, 1)[None]


def picture(side):
    at = np.arange(side, dtype=np.float32) / side
    waves = [np.sin(7 * at[:, None] + k) * np.cos((11 - 3 * k) * at[None, :]) for k in range(3)]
    noise = np.random.default_rng(1).normal(0, 20, (side, side, 3))
    return Image.fromarray((128 + 80 * np.stack(waves, 2) + noise).clip(0, 255).astype(np.uint8))


def trickbag(program, *arguments):
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{arguments}: {done.stderr}")
    return json.loads(done.stdout)


def relative(a, b):
    return float((a.double() - b.double()).abs().max() / b.double().abs().max())


def check(program, name, source, kind, opens, exact, folder):
    """A row of the table, and whether it keeps the rules. `opens` opens the folder by timm, None where timm cannot."""
    file = save(source, kind, folder)
    model = folder / "model"
    told = trickbag(program, "import", file, "--model", name, "-o", model, "--json")
    file.unlink()
    config = json.loads((model / "config.json").read_text())
    found = load_file(model / "model.safetensors")
    mine, theirs = (list(each.values()) for each in (found, source.state_dict()))
    total = [sum(float(t.double().sum()) for t in each) for each in (mine, theirs)]
    if exact:
        tensors = found.keys() == source.state_dict().keys() and all(
            torch.equal(found[n], t) for n, t in source.state_dict().items()
        )
    else:
        tensors = math.isclose(*total, rel_tol=1e-9)
    side = math.floor(config["pretrained_cfg"]["input_size"][-1] / config["pretrained_cfg"]["crop_pct"])
    image = picture(side)
    image.save(folder / "x.png")
    x = prepared(config, image)
    opened = opens(model)
    good, same, ratio = tensors, "–", "–"
    if opened is not None:
        before, after = logits(source, x), logits(opened.eval(), x)
        equal = torch.equal(before, after)
        same = "same bits" if equal else f"{relative(after, before):.0e}"
        good &= equal or not exact and relative(after, before) < 1e-5
        classes = trickbag(program, "predict", model, folder / "x.png", "--top", told["classes"], "--json")[0]["classes"]
        ours = torch.zeros(told["classes"], dtype=torch.float64)
        for entry in classes:
            ours[int(entry["class"].split()[1])] = math.log(entry["probability"])
        exactly = logits(opened.double(), x.double()).log_softmax(1)[0]
        error = relative(ours, exactly) / relative(after.double().log_softmax(1)[0], exactly)
        ratio = f"{error:.2f}"
        good &= error <= RULE
    return [name, kind, told["section"] or "", "same bits" if tensors else "DIFFER", same, ratio], good


def main():
    parser = argparse.ArgumentParser(description="timm or torchvision → trickbag → timm")
    parser.add_argument("--trickbag", default="target/release/trickbag")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(2)
    names = args.names or [model["name"] for model in trickbag(args.trickbag, "models", "--json")]
    print("| network | file | part | tensors | timm | ratio |\n|---|---|---|---|---|---|", flush=True)
    broken = 0
    for index, name in enumerate(names):
        _, _, is_timms = named(name)
        timms_own = randomized(build(name), index)
        opens = lambda folder: timm.create_model(f"local-dir:{folder}", pretrained=True) if is_timms else None
        rows = [("timm", timms_own, KINDS[index % 4], True)]
        if name in torchvision.models.list_models(torchvision.models):
            options = {"init_weights": False} if name.startswith(("vgg", "inception")) else {}
            if name == "inception_v3":
                options |= {"aux_logits": False}
            visions = randomized(torchvision.models.get_model(name, weights=None, **options), index)
            rows.append(("torchvision", visions, "torchvision training", not name.startswith("vgg")))
        for origin, source, kind, exact in rows:
            with tempfile.TemporaryDirectory() as folder:
                row, good = check(args.trickbag, name, source, kind, opens, exact, Path(folder))
            broken += not good
            mark = "" if good else " ✗"
            print("| " + " | ".join([f"{row[0]} ({origin}){mark}", *row[1:]]) + " |", flush=True)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
