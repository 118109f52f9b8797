"""Compares predictions of folders that ask for bicubic interpolation, by timm and by trickbag. Writes nothing.

    python refs/timm_bicubic.py TRICKBAG [--images N]

A resnet18d with random weights, saved by timm's own `save_for_hf` with `interpolation: bicubic`, answers N images of odd
sizes: through timm's own transforms (`create_transform` of `resolve_model_data_config`), through `trickbag predict` on
the folder, and on the folder that `trickbag import` makes of its file and `config.json`. All classes must be the same and probabilities
within 2e-5; a bilinear resize must differ by more, or the images would show nothing.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
from timm.models import save_for_hf

CLASSES = 10
RANDOM = np.random.default_rng(20181204)


def picture(width, height):
    """Waves and noise: details that a cubic keeps and a triangle blurs."""
    y, x = np.mgrid[0:height, 0:width]
    k = RANDOM.uniform(0.2, 2.5, (3, 2))
    waves = np.stack([np.sin(a * x + b * y) for a, b in k], -1) * 70 + RANDOM.normal(128, 40, (height, width, 3))
    return Image.fromarray(waves.clip(0, 255).astype(np.uint8))


def predicted(trickbag, model, files):
    command = [trickbag, "predict", model, *files, "--top", str(CLASSES), "--json"]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
    rows = []
    for image in json.loads(done.stdout):
        by_class = {entry["class"]: entry["probability"] for entry in image["classes"]}
        rows.append([by_class[f"class {k}"] for k in range(CLASSES)])
    return np.array(rows)


def main():
    parser = argparse.ArgumentParser(description="bicubic predictions, by timm and by trickbag")
    parser.add_argument("trickbag", type=Path)
    parser.add_argument("--images", type=int, default=40)
    args = parser.parse_args()
    torch.manual_seed(1)
    torch.set_num_threads(1)
    net = timm.create_model("resnet18d", num_classes=CLASSES).eval()
    with torch.no_grad():
        net.fc.weight.mul_(30)
    data = {"input_size": (3, 96, 96), "crop_pct": 0.95, "interpolation": "bicubic", "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        config = {"label_names": [f"class {k}" for k in range(CLASSES)]}
        save_for_hf(net, root / "timm", model_config=config, safe_serialization=True, data_config=data)
        imported = [args.trickbag, "import", root / "timm/model.safetensors", "--model", "resnet18d", "-o", root / "ours"]
        subprocess.run([str(word) for word in imported], check=True, capture_output=True)
        files = []
        for k in range(args.images):
            width, height = (int(edge) for edge in RANDOM.integers(31, 320, 2))
            files.append(root / f"{k:03}.png")
            picture(width, height).save(files[-1])
        opened = timm.create_model(f"local-dir:{root / 'timm'}", pretrained=True).eval()
        known = resolve_model_data_config(opened)
        assert known["interpolation"] == "bicubic", known

        def by_timm(**edits):
            transform = create_transform(**{**known, **edits}, is_training=False)
            x = torch.stack([transform(Image.open(file).convert("RGB")) for file in files])
            with torch.inference_mode():
                return opened(x).softmax(1).numpy()

        expected, bilinear = by_timm(), by_timm(interpolation="bilinear")
        for name in ("timm", "ours"):
            found = predicted(args.trickbag, root / name, files)
            worst = np.abs(found - expected).max()
            same = int((found.argmax(1) == expected.argmax(1)).sum())
            print(f"{name}: {same} of {len(files)} the same class, probabilities within {worst:.1e}")
            assert same == len(files) and worst < 2e-5
    other = int((bilinear.argmax(1) != expected.argmax(1)).sum())
    away = np.abs(bilinear - expected).max()
    print(f"resized bilinearly: {other} of {len(files)} another class, probabilities up to {away:.1e} away")
    assert away > 1e-3


if __name__ == "__main__":
    main()
