"""Writes crates/segment/testdata/scales.safetensors: the authors' final score at several scales.

    python refs/torch_scales.py        (torch, torchvision, safetensors; versions are printed)

What is written down here is `MultiEvalModel` of gluoncv 0.3.0 (gluoncv/model_zoo/segbase.py), line by line, over torchvision's
FCN with one Bottleneck a stage, upsampled with aligned corners. Weights are those of `torch_fcn.py`, without the auxiliary head.
Images are 80 + 160 (u + ½) of tensor 1000008, [1, 3, h, w], less the mean, divided by the deviation. Kept are every 97th of
the scores [h, w, classes], in f64, with the greatest error of f32.
"""

import math
import pathlib

import torch
import torchvision
from safetensors.torch import save_file
from torch.nn import functional
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.models.segmentation.fcn import FCNHead

from torch_fcn import fill
from torch_formula import uniform

TARGET = pathlib.Path(__file__).resolve().parent.parent / "crates/segment/testdata/scales.safetensors"
CLASSES, CROP, BASE, STEP = 5, 48, 52, 97
SIZES = [(40, 60), (61, 50), (30, 30)]
MEAN, STD = [123.68, 116.779, 103.939], [58.393, 57.12, 57.375]


class Fcn(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = ResNet(Bottleneck, [1, 1, 1, 1], replace_stride_with_dilation=[False, True, True])
        del self.backbone.fc
        self.classifier = FCNHead(2048, CLASSES)
        state = self.state_dict()
        names = sorted(name for name in state if not name.endswith("num_batches_tracked"))
        self.load_state_dict({name: fill(t, name, list(state[name].shape)) for t, name in enumerate(names)}, strict=False)

    def forward(self, x):
        net = self.backbone
        z = net.maxpool(net.relu(net.bn1(net.conv1(x))))
        z = self.classifier(net.layer4(net.layer3(net.layer2(net.layer1(z)))))
        return resize(z, *x.shape[2:])


def resize(x, height, width):
    return functional.interpolate(x, size=(height, width), mode="bilinear", align_corners=True)


def pad_image(image, size):
    height, width = image.shape[2:]
    right, below = max(size - width, 0), max(size - height, 0)
    planes = [
        functional.pad(image[:, c : c + 1], (0, right, 0, below), value=-MEAN[c] / STD[c]) for c in range(3)
    ]
    return torch.cat(planes, 1)


def flip_inference(net, image):
    return (net(image) + net(image.flip(3)).flip(3)).exp()


def scores_of(net, image):
    height, width = image.shape[2:]
    stride = int(CROP * (2.0 / 3.0))
    scores = torch.zeros(1, CLASSES, height, width, dtype=image.dtype)
    for scale in [0.5, 0.75, 1.0, 1.25, 1.5, 1.75]:
        longer = int(math.ceil(BASE * scale))
        if height > width:
            tall, wide = longer, int(1.0 * width * longer / height + 0.5)
        else:
            tall, wide = int(1.0 * height * longer / width + 0.5), longer
        current = resize(image, tall, wide)
        if longer <= CROP:
            outputs = flip_inference(net, pad_image(current, CROP))[:, :, :tall, :wide]
        else:
            padded = pad_image(current, CROP) if min(tall, wide) < CROP else current
            high, broad = padded.shape[2:]
            rows = int(math.ceil(1.0 * (high - CROP) / stride)) + 1
            columns = int(math.ceil(1.0 * (broad - CROP) / stride)) + 1
            outputs = torch.zeros(1, CLASSES, high, broad, dtype=image.dtype)
            count = torch.zeros(1, 1, high, broad, dtype=image.dtype)
            for row in range(rows):
                for column in range(columns):
                    top, left = row * stride, column * stride
                    bottom, right = min(top + CROP, high), min(left + CROP, broad)
                    window = pad_image(padded[:, :, top:bottom, left:right], CROP)
                    output = flip_inference(net, window)
                    outputs[:, :, top:bottom, left:right] += output[:, :, : bottom - top, : right - left]
                    count[:, :, top:bottom, left:right] += 1
            outputs = (outputs / count)[:, :, :tall, :wide]
        scores += resize(outputs, height, width)
    return scores.permute(0, 2, 3, 1).flatten()


def main():
    out = {}
    for number, (height, width) in enumerate(SIZES):
        u = torch.from_numpy(uniform(1000008 + number, 3 * height * width)).reshape(1, 3, height, width)
        pixels = (80 + 160 * (u + 0.5)).floor()
        mean, std = (torch.tensor(values, dtype=torch.float64).reshape(1, 3, 1, 1) for values in (MEAN, STD))
        image = (pixels - mean) / std
        with torch.no_grad():
            exact = scores_of(Fcn().double().eval(), image)
            rough = scores_of(Fcn().float().eval(), image.float())
        name = f"{height}x{width}"
        out[name] = exact[::STEP].clone()
        out[f"{name}.facts"] = torch.stack([(rough.double() - exact).abs().max(), exact.abs().max()])
        print(name, out[f"{name}.facts"].tolist(), exact.min().item())
    save_file(out, TARGET)
    print(f"{TARGET.name}: torch {torch.__version__}, torchvision {torchvision.__version__}, {TARGET.stat().st_size} bytes")


main()
