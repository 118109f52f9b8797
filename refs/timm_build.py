"""How timm builds each network of the zoo."""

import timm
from timm.models.efficientnet import _gen_mobilenet_v1


def named(name):
    """timm's architecture and arguments for a network of ours, and whether they alone build the same function."""
    if name.endswith("_original"):
        base = name.removesuffix("_original")
        # A basic block has no 1x1 to stride.
        return base, {}, base in ("resnet18", "resnet34")
    if name in ("resnet18c", "resnet34c"):
        return name[:-1], {"stem_type": "deep", "stem_width": 32}, True
    if name == "inception_v3_aux":
        return "inception_v3", {"aux_logits": True}, True
    if name.startswith("mobilenetv1_"):
        width, _, relu6 = name.removeprefix("mobilenetv1_").partition("_")
        arguments = {} if relu6 else {"act_layer": "relu"}
        if width != "100":
            arguments["width"] = int(width) / 100
        return "mobilenetv1_100", arguments, width == "100"
    return name, {}, True


def build(name, **more):
    """The net, with its strides moved or its width changed where timm has no name for that."""
    architecture, arguments, same = named(name)
    arguments |= more
    if "width" in arguments:
        return _gen_mobilenet_v1(architecture, arguments.pop("width"), pretrained=False, **arguments)
    model = timm.create_model(architecture, **arguments)
    if not same:
        # Stride 2 in the first 1x1 of a bottleneck instead of its 3x3.
        for stage in (model.layer2, model.layer3, model.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    return model
