"""Opens a model folder as timm does, and measures its accuracy by PyTorch and Pillow alone.

    python timm_open.py RUN/model --data PATH [--limit N]

The folder holds `config.json` and `model.safetensors`; timm builds it from `local-dir:`. First the file is compared
with the model timm built: the same names, the same shapes, and after loading the same bits. Only
`num_batches_tracked` may be missing. Any difference is an error.

PATH is a folder of class folders or a tar of one (plain or compressed), with or without one folder around it. Of its
parts `val`, else `validation`, else `test` is used; class folders in byte-wise order are classes 0, 1, ... When
`label_names` of config.json has all these names, its order decides. --limit N takes N images evenly spaced.

Preprocessing: the image in RGB (grey when input_size says one channel), EXIF rotation ignored; short side to
floor(input_size / crop_pct), which is timm's rule, by Pillow's bilinear, long side to int(resize * long / short); centre
crop at int(round((h - crop) / 2)); / 255, mean, std.

Prints {"top1": percent, "top5": percent, "images": count}.
"""

import argparse
import io
import json
import math
import sys
import tarfile
from pathlib import Path, PurePosixPath

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import load_file

PARTS = ["val", "validation", "test"]
SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".webp", ".tif", ".tiff"}
BATCH = 50


def open_model(folder):
    """The model, or an error that names every tensor that does not fit."""
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    built, file = model.state_dict(), load_file(folder / "model.safetensors")
    wrong = [f"{n}: not in timm's model" for n in sorted(file.keys() - built.keys())]
    for n, tensor in built.items():
        if n not in file:
            if not n.endswith("num_batches_tracked"):
                wrong.append(f"{n}: not in the file")
        elif tensor.shape != file[n].shape:
            wrong.append(f"{n}: {list(file[n].shape)} in the file, {list(tensor.shape)} in timm's model")
        elif tensor.dtype != file[n].dtype or not torch.equal(tensor, file[n]):
            wrong.append(f"{n}: other values after loading")
    if wrong:
        sys.exit("\n".join([f"{folder}: state dict differs", *wrong]))
    return model


def images(path):
    """(class, name, read) of every image of the validation part, sorted byte-wise by class, then name."""
    if path.is_dir():
        files = ((PurePosixPath(p.relative_to(path).as_posix()), p.read_bytes) for p in path.rglob("*") if p.is_file())
    else:
        tar = tarfile.open(path)
        files = ((PurePosixPath(m.name), lambda m=m: tar.extractfile(m).read()) for m in tar if m.isfile())
    found = {part: [] for part in PARTS}
    for name, read in files:
        if name.suffix.lower() in SUFFIXES and not name.name.startswith(".") and len(name.parts) >= 3:
            part, label = name.parts[-3:-1]
            if part in found:
                found[part].append((label, str(name), read))
    for part in PARTS:
        if found[part]:
            return sorted(found[part], key=lambda entry: (entry[0].encode(), entry[1].encode()))
    sys.exit(f"{path}: no images under val/CLASS, validation/CLASS or test/CLASS")


def numbering(classes, config):
    names = config.get("label_names") or config["pretrained_cfg"].get("label_names") or []
    if set(classes) <= set(names):
        return {c: names.index(c) for c in classes}
    return {c: i for i, c in enumerate(classes)}


class Preprocess:
    def __init__(self, config):
        cfg = config["pretrained_cfg"]
        self.mode = {1: "L", 3: "RGB"}[cfg["input_size"][0]]
        self.crop = cfg["input_size"][-1]
        self.resize = math.floor(self.crop / cfg["crop_pct"])
        if self.resize < self.crop:
            sys.exit(f"config.json: crop {self.crop} is larger than resize {self.resize}")
        if cfg.get("interpolation", "bilinear") != "bilinear":
            print(f"note: config.json says {cfg['interpolation']}, this script resizes bilinearly", file=sys.stderr)
        self.mean = np.array(cfg["mean"], dtype=np.float32)
        self.std = np.array(cfg["std"], dtype=np.float32)

    def __call__(self, data):
        image = Image.open(io.BytesIO(data)).convert(self.mode)
        w, h = image.size
        short, long = min(w, h), max(w, h)
        if short != self.resize:
            longer = int(self.resize * long / short)
            w, h = (self.resize, longer) if w <= h else (longer, self.resize)
            image = image.resize((w, h), Image.BILINEAR)
        top, left = int(round((h - self.crop) / 2)), int(round((w - self.crop) / 2))
        image = image.crop((left, top, left + self.crop, top + self.crop))
        pixels = np.asarray(image, dtype=np.float32).reshape(self.crop, self.crop, -1) / np.float32(255)
        return torch.from_numpy((pixels - self.mean) / self.std).permute(2, 0, 1)


def main():
    parser = argparse.ArgumentParser(description="accuracy of a model folder, by timm")
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    config = json.loads((args.model / "config.json").read_text())
    model, preprocess = open_model(args.model), Preprocess(config)
    entries = images(args.data)
    number = numbering(sorted({label for label, _, _ in entries}, key=str.encode), config)
    if max(number.values()) >= model.num_classes:
        sys.exit(f"{args.data}: {len(number)} classes, the model has {model.num_classes}")
    if args.limit is not None and args.limit < len(entries):
        entries = [entries[k * len(entries) // args.limit] for k in range(args.limit)]

    top1 = top5 = 0
    for start in range(0, len(entries), BATCH):
        chunk = entries[start : start + BATCH]
        x = torch.stack([preprocess(read()) for _, _, read in chunk])
        labels = torch.tensor([number[label] for label, _, _ in chunk])
        with torch.inference_mode():
            best = model(x).topk(min(5, model.num_classes), dim=1).indices
        hit = best == labels[:, None]
        top1 += int(hit[:, 0].sum())
        top5 += int(hit.any(dim=1).sum())
    count = len(entries)
    print(json.dumps({"top1": 100 * top1 / count, "top5": 100 * top5 / count, "images": count}))


if __name__ == "__main__":
    main()
