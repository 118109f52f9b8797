"""Writes the table of docs/weights.md: which weights timm registers for each network of the zoo.

    python refs/weights_page.py TRICKBAG        (timm; no network is asked)

Names, licences, sizes, crops and interpolations are those of timm's own source. What stands above the table stays.
"""

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import timm
from timm.models import get_pretrained_cfg, list_pretrained

PAGE = Path(__file__).resolve().parent.parent / "docs/weights.md"
HEAD = "| network | weights `timm/…` | images | licence |\n|---|---|---|---|\n"
# timm's MobileNets have ReLU6; the zoo's have the ReLU of the authors' code and ReLU6 under a name of its own.
OURS = {f"mobilenetv1_{width}": f"mobilenetv1_{width}_relu6" for width in ("100", "075", "050", "025")}


def main():
    told = json.loads(subprocess.run([sys.argv[1], "models", "--json"], capture_output=True, text=True, check=True).stdout)
    names = [model["name"] for model in told]
    groups = defaultdict(list)
    for full in list_pretrained():
        architecture = full.split(".")[0]
        ours = OURS.get(architecture, architecture)
        cfg = get_pretrained_cfg(full)
        if ours not in names or cfg.num_classes == 0 or not cfg.hf_hub_id:
            continue
        level = "" if abs(cfg.mean[0] - 0.485) < 1e-6 else f", mean {cfg.mean[0]}"
        images = f"{cfg.input_size[-1]} px of {int(cfg.input_size[-1] / cfg.crop_pct)}, {cfg.interpolation}{level}"
        groups[(names.index(ours), ours, images, cfg.license or "none stated")].append(cfg.hf_hub_id.removeprefix("timm/"))
    rows = []
    for (_, ours, images, license), weights in sorted(groups.items(), key=lambda item: (item[0][0], item[1])):
        rows.append(f"| `{ours}` | {', '.join(f'`{w}`' for w in sorted(weights))} | {images} | {license} |\n")
    text = PAGE.read_text()
    start = text.index(HEAD)
    PAGE.write_text(text[:start] + HEAD + "".join(rows))
    print(f"timm {timm.__version__}: {sum(map(len, groups.values()))} weights")


if __name__ == "__main__":
    main()
