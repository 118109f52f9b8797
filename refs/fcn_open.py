"""Opens a segmenter's model folder by torchvision's FCN and evaluates it: `python refs/fcn_open.py RUN/model --data PATH`.

PATH is a folder in ADE20K's layout. The network is torchvision's own, its stages with the blocks and channels of the recipe; its
tensors are loaded strictly. Every validation image is given whole; logits are upsampled as the recipe says. Prints the benchmark's
pixel accuracy and mean IoU (absent classes 0) in percent, as JSON.
"""

import argparse
import json
import pathlib
import tomllib

import numpy
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.models.segmentation.fcn import FCN, FCNHead


class Narrow(ResNet):
    """torchvision's ResNet with other channels: its own code fixes them in the constructor."""

    def __init__(self, blocks, channels, stem):
        super().__init__(Bottleneck, blocks, replace_stride_with_dilation=[False, True, True])
        self.conv1 = torch.nn.Conv2d(3, stem, 7, 2, 3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(stem)
        self.inplanes, self.dilation = stem, 1
        strides, dilates = [1, 2, 2, 2], [False, False, True, True]
        for number in range(4):
            layer = self._make_layer(Bottleneck, channels[number], blocks[number], strides[number], dilates[number])
            setattr(self, f"layer{number + 1}", layer)


def network(recipe, classes):
    assert recipe["network"]["model"] == "resnet50", "torchvision has the tensors of ResNet-50-B only"
    shape = recipe["network"].get("shape")
    if shape is None:
        return torchvision.models.segmentation.fcn_resnet50(
            weights=None, weights_backbone=None, num_classes=classes, aux_loss=True
        )
    body = Narrow(shape["blocks"], shape["channels"], shape["stem_channels"])
    layers = {"layer4": "out", "layer3": "aux"}
    body = torchvision.models._utils.IntermediateLayerGetter(body, return_layers=layers)
    wide = [4 * channels for channels in shape["channels"]]
    return FCN(body, FCNHead(wide[3], classes), FCNHead(wide[2], classes))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    args = parser.parse_args()
    config = json.loads((args.model / "config.json").read_text())
    recipe, classes = tomllib.loads(config["recipe"]), len(config["label_names"])
    net = network(recipe, classes)
    net.load_state_dict(load_file(args.model / "model.safetensors"), strict=True)
    net.eval()
    mean, std = (torch.tensor(recipe["preprocess"]["normalize"][key]).reshape(1, 3, 1, 1) for key in ("mean", "std"))
    corners = recipe["segment"]["upsampling"] == "corners"
    images = sorted((args.data / "images/validation").iterdir())
    both, truth_pixels, answer_pixels = (numpy.zeros(classes, numpy.int64) for _ in range(3))
    for path in images:
        image = numpy.array(Image.open(path).convert("RGB"), numpy.float32)
        x = (torch.from_numpy(image).permute(2, 0, 1)[None] - mean) / std
        with torch.no_grad():
            z = net.classifier(net.backbone(x)["out"])
            z = functional.interpolate(z, size=x.shape[2:], mode="bilinear", align_corners=corners)
        answer = z.argmax(1)[0].numpy()
        truth = numpy.array(Image.open(args.data / "annotations/validation" / f"{path.stem}.png")).astype(int) - 1
        labelled = truth >= 0
        truth, answer = truth[labelled], answer[labelled]
        truth_pixels += numpy.bincount(truth, minlength=classes)
        answer_pixels += numpy.bincount(answer, minlength=classes)
        both += numpy.bincount(truth[truth == answer], minlength=classes)
    iou = both / numpy.maximum(truth_pixels + answer_pixels - both, 1)
    print(json.dumps({
        "pixel_accuracy": 100 * both.sum() / truth_pixels.sum(),
        "mean_iou": 100 * iou.mean(),
        "images": len(images),
    }))


main()
