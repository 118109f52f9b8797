"""Opens a trained detector as torchvision's FasterRCNN, and compares the boxes that both find.

    python torchvision_open.py RUN/model IMAGE... [--trickbag target/release/trickbag] [--save detector.pth]

The folder's weights have timm's and torchvision's names: the stem to layer3 become `backbone.`, layer4 `roi_heads.box_head.`,
and bbox_pred gets four rows of zeros for background. The recipe in config.json says everything else. Images are resized here
by Pillow, as trickbag does, since torchvision's own resize is another one. With --trickbag, prints for each image how many boxes
trickbag found, how many of them torchvision found too (same class, overlap of at least 0.99, score within 1e-4), and the
reverse.
"""
import argparse
import json
import math
import subprocess
import tomllib
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.rpn import AnchorGenerator, RPNHead
from torchvision.ops import MultiScaleRoIAlign, box_iou

STRIDE = 16
DEPTHS = {18: (BasicBlock, [2, 2, 2, 2]), 34: (BasicBlock, [3, 4, 6, 3]), 50: (Bottleneck, [3, 4, 6, 3]),
          101: (Bottleneck, [3, 4, 23, 3]), 152: (Bottleneck, [3, 8, 36, 3])}


def resnet(network):
    name = network["model"].removeprefix("resnet")
    depth, tweak = int(name.rstrip("cd")), name.lstrip("0123456789")
    block, layers = DEPTHS[depth]
    shape = network.get("shape", {"blocks": layers, "channels": [64, 128, 256, 512], "stem_channels": 64})
    deep = {"stem_type": "deep", "stem_width": shape["stem_channels"] // 2} if tweak in ("c", "d") else {"stem_width": shape["stem_channels"]}
    return ResNet(block, shape["blocks"], num_classes=1, channels=tuple(shape["channels"]), avg_down=tweak == "d", **deep)


class Backbone(nn.Sequential):
    def __init__(self, net):
        parts = ["conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3"]
        super().__init__(OrderedDict((name, getattr(net, name)) for name in parts))
        self.out_channels = net.feature_info[3]["num_chs"]


class Head(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.layer4 = net.layer4

    def forward(self, x):
        return self.layer4(x).mean((2, 3))


class Anchors(AnchorGenerator):
    """Cells are STRIDE pixels apart; torchvision divides the image's size by the features', which is less at odd sizes."""

    def forward(self, images, features):
        sizes = [feature.shape[-2:] for feature in features]
        strides = [[torch.tensor(STRIDE)] * 2] * len(sizes)
        boxes = torch.cat(self.grid_anchors(sizes, strides))
        return [boxes for _ in images.image_sizes]


class Predictor(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.cls_score, self.bbox_pred = nn.Linear(channels, classes + 1), nn.Linear(channels, 4 * (classes + 1))

    def forward(self, x):
        return self.cls_score(x), self.bbox_pred(x)


def cell(anchors):
    boxes = []
    for ratio in anchors["ratios"]:
        w = np.round(math.sqrt(anchors["base"] ** 2 / ratio))
        h = np.round(w * ratio)
        for scale in anchors["scales"]:
            c, x, y = (anchors["base"] - 1) / 2, (w * scale - 1) / 2, (h * scale - 1) / 2
            boxes.append([c - x, c - y, c + x, c + y])
    return torch.tensor(boxes, dtype=torch.float32)


def load(folder):
    config = json.loads((folder / "config.json").read_text())
    recipe, classes = tomllib.loads(config["recipe"]), len(config["label_names"])
    by = recipe["detect"]
    net = resnet(recipe["network"])
    backbone, anchors = Backbone(net), cell(by["anchors"])
    generator = Anchors(sizes=((16,),), aspect_ratios=((1.0,),))
    rpn_head = RPNHead(backbone.out_channels, len(anchors))
    rpn_head.conv = nn.Sequential(nn.Sequential(nn.Conv2d(backbone.out_channels, by["proposals"]["channels"], 3, padding=1), nn.ReLU()))
    rpn_head.cls_logits = nn.Conv2d(by["proposals"]["channels"], len(anchors), 1)
    rpn_head.bbox_pred = nn.Conv2d(by["proposals"]["channels"], 4 * len(anchors), 1)
    normalize, kept = recipe["preprocess"]["normalize"], by["proposals"]["test"]
    regions = by["regions"]
    pool = MultiScaleRoIAlign(["0"], regions["size"], regions["samples"])
    model = FasterRCNN(
        backbone, rpn_anchor_generator=generator, rpn_head=rpn_head, box_roi_pool=pool, box_head=Head(net),
        box_predictor=Predictor(net.num_features, classes), size_divisible=1,
        image_mean=[m / 255 for m in normalize["mean"]], image_std=[s / 255 for s in normalize["std"]],
        rpn_pre_nms_top_n_test=kept["before"], rpn_post_nms_top_n_test=kept["after"], rpn_nms_thresh=by["proposals"]["overlap"],
        box_score_thresh=by["answers"]["score"], box_nms_thresh=by["answers"]["overlap"], box_detections_per_img=100_000,
        bbox_reg_weights=tuple(1 / s for s in regions["scales"]))
    model.rpn.anchor_generator.cell_anchors = [anchors]
    model.rpn.min_size = by["proposals"]["least_side"]
    model.rpn.box_coder.bbox_xform_clip = model.roi_heads.box_coder.bbox_xform_clip = math.inf
    tensors = {}
    for name, value in load_file(folder / "model.safetensors").items():
        if name.startswith("roi_heads.box_predictor.bbox_pred"):
            value = torch.cat([torch.zeros_like(value[:4]), value])
        place = "" if name.startswith(("rpn.", "roi_heads.")) else "roi_heads.box_head." if name.startswith("layer4.") else "backbone."
        tensors[place + name] = value
    model.load_state_dict(tensors)
    return model.eval(), config["label_names"], by


def size(by, width, height):
    scale = by["side"] / min(width, height)
    if round(scale * max(width, height)) > by["longest"]:
        scale = by["longest"] / max(width, height)
    return round(scale * width), round(scale * height)


def find(model, by, path):
    image = Image.open(path).convert("RGB")
    width, height = size(by, *image.size)
    x = torch.from_numpy(np.array(image.resize((width, height), Image.BILINEAR))).permute(2, 0, 1).float() / 255
    model.transform.min_size, model.transform.max_size = (min(width, height),), max(width, height)
    with torch.no_grad():
        found = model([x])[0]
    scale = torch.tensor([image.size[0] / width, image.size[1] / height] * 2)
    return found["boxes"] * scale, found["labels"] - 1, found["scores"]


def matched(a, b):
    """How many of a are in b."""
    boxes, labels, scores = a
    if not len(boxes) or not len(b[0]):
        return 0
    same = (box_iou(boxes, b[0]) >= 0.99) & (labels[:, None] == b[1][None]) & ((scores[:, None] - b[2][None]).abs() <= 1e-4)
    return int(same.any(1).sum())


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("model", type=Path)
    arguments.add_argument("images", nargs="+")
    arguments.add_argument("--trickbag")
    arguments.add_argument("--save")
    args = arguments.parse_args()
    model, names, by = load(args.model)
    if args.save:
        torch.save(model.state_dict(), args.save)
    ours = {}
    if args.trickbag:
        told = subprocess.run([args.trickbag, "predict", args.model, *args.images, "--score", "0", "--json"], check=True, capture_output=True)
        ours = {one["image"]: one["boxes"] for one in json.loads(told.stdout)}
    totals = [0, 0, 0, 0]
    for path in args.images:
        theirs = find(model, by, path)
        if path not in ours:
            print(path, [(names[k], round(float(s), 4), [round(float(v), 1) for v in b]) for b, k, s in zip(*theirs)])
            continue
        boxes = ours[path]
        own = (torch.tensor([one["box"] for one in boxes]).reshape(-1, 4), torch.tensor([names.index(one["class"]) for one in boxes]),
               torch.tensor([one["score"] for one in boxes]))
        counts = [len(own[0]), matched(own, theirs), len(theirs[0]), matched(theirs, own)]
        totals = [a + b for a, b in zip(totals, counts)]
        print(f"{path}: {counts[1]} of {counts[0]} boxes are torchvision's, {counts[3]} of {counts[2]} of its are ours")
    if ours:
        print(f"all: {totals[1]} of {totals[0]}, {totals[3]} of {totals[2]}")


main()
