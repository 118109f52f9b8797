"""One training step and one evaluation of a small Faster-RCNN in PyTorch, for the tests of crates/detect.

    python detection_vectors.py        writes crates/detect/testdata/step.safetensors

Network: timm's ResNet of basic blocks [1, 1, 1, 1] with channels (8, 8, 16, 16), a deep stem of 8 and pooled shortcuts; batch
norms use their running statistics. Heads: 3x3 of 12 channels, 6 anchors a cell (base 16, scales 1 and 2, ratios 0.5, 1, 2), 4
classes. Weights: names sorted, t is the position, timm_vectors.py's "calm" formula; those of bbox_pred a tenth of it.

Image [3, 96, 128]: t = the image's below, 4 * u of torch_formula.py. Objects: OBJECTS. Every anchor with a label and every region is
sampled, so nothing is drawn. Targets, proposals, codes, losses and answers are written here from the description of the
authors' code, with torchvision's roi_align and nms; everything is computed once in f64 and once in f32. A tensor Q is of f64;
Q.error is max |f32 - f64| / max |f64|, at least 1e-7. The image is one for which f32 and f64 propose the same regions and
find the same boxes.
"""
import sys

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from timm.models.resnet import BasicBlock, ResNet
from torchvision.ops import nms, roi_align

from timm_vectors import fill
from torch_formula import signal

CLASSES, WIDTH, BASE, SCALES, RATIOS, STRIDE = 4, 12, 16, (1.0, 2.0), (0.5, 1.0, 2.0), 16
HEIGHT_WIDTH = (96, 128)
OBJECTS = [((10.0, 12.0, 30.5, 40.0), 2), ((50.0, 20.0, 90.0, 60.25), 0), ((70.0, 50.0, 100.0, 90.0), 3)]
STD = (0.1, 0.1, 0.2, 0.2)
GRADIENTS = ["conv1.0.weight", "layer2.0.conv1.weight", "layer3.0.downsample.1.weight", "layer4.0.conv2.weight",
             "rpn.head.conv.0.0.weight", "rpn.head.cls_logits.weight", "rpn.head.bbox_pred.bias",
             "roi_heads.box_predictor.cls_score.weight", "roi_heads.box_predictor.bbox_pred.weight"]


def build(dtype):
    net = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=1, channels=(8, 8, 16, 16), stem_width=4, stem_type="deep", avg_down=True)
    anchors = len(SCALES) * len(RATIOS)
    heads = {"rpn.head.conv.0.0": (WIDTH, 16, 3, 3), "rpn.head.cls_logits": (anchors, WIDTH, 1, 1),
             "rpn.head.bbox_pred": (4 * anchors, WIDTH, 1, 1), "roi_heads.box_predictor.cls_score": (CLASSES + 1, 16),
             "roi_heads.box_predictor.bbox_pred": (4 * CLASSES, 16)}
    shapes = {n: tuple(v.shape) for n, v in net.state_dict().items() if not n.endswith("num_batches_tracked") and not n.startswith("fc.")}
    for name, shape in heads.items():
        shapes[name + ".weight"], shapes[name + ".bias"] = shape, shape[:1]
    values = {}
    for t, name in enumerate(sorted(shapes, key=str.encode)):
        scale = np.float32(0.1) if "bbox_pred" in name else np.float32(1)
        values[name] = np.asarray(fill(t, name, shapes[name], True)) * scale
    net.load_state_dict({n: torch.tensor(np.asarray(v)) for n, v in values.items() if n in net.state_dict()}, strict=False)
    net = net.to(dtype).eval()
    head = {n: torch.tensor(v, dtype=dtype, requires_grad=True) for n, v in values.items() if n not in net.state_dict()}
    return net, head


def anchors_of(rows, columns):
    cell = []
    for ratio in RATIOS:
        w = np.round(np.sqrt(BASE * BASE / ratio))
        h = np.round(w * ratio)
        for scale in SCALES:
            c, x, y = (BASE - 1) / 2, (w * scale - 1) / 2, (h * scale - 1) / 2
            cell.append([c - x, c - y, c + x, c + y])
    return np.array([[a[0] + j * STRIDE, a[1] + i * STRIDE, a[2] + j * STRIDE, a[3] + i * STRIDE]
                     for i in range(rows) for j in range(columns) for a in cell])


def iou(a, b):
    w = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    h = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def encode(g, a, std=(1, 1, 1, 1)):
    aw, ah, gw, gh = a[2] - a[0], a[3] - a[1], g[2] - g[0], g[3] - g[1]
    code = [(g[0] + gw / 2 - a[0] - aw / 2) / aw, (g[1] + gh / 2 - a[1] - ah / 2) / ah, np.log(gw / aw), np.log(gh / ah)]
    return [c / s for c, s in zip(code, std)]


def decode(code, boxes, std=(1, 1, 1, 1)):
    code = code * torch.tensor(std, dtype=code.dtype)
    w, h = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    x, y = code[:, 0] * w + boxes[:, 0] + w / 2, code[:, 1] * h + boxes[:, 1] + h / 2
    w, h = code[:, 2].exp() * w / 2, code[:, 3].exp() * h / 2
    return torch.stack([x - w, y - h, x + w, y + h], 1)


def clip(boxes):
    height, width = HEIGHT_WIDTH
    return torch.stack([boxes[:, 0].clamp(0, width), boxes[:, 1].clamp(0, height), boxes[:, 2].clamp(0, width), boxes[:, 3].clamp(0, height)], 1)


def targets_of(anchors):
    """Labels and matched objects."""
    height, width = HEIGHT_WIDTH
    objects = [g for g, _ in OBJECTS]
    inside = [a[0] >= 0 and a[1] >= 0 and a[2] < width and a[3] < height for a in anchors]
    table = np.array([[iou(a, g) if ok else -1 for g in objects] for a, ok in zip(anchors, inside)])
    labels = np.full(len(anchors), -1)
    for k in range(len(objects)):
        labels[table[:, k] + 2.0**-23 > table[:, k].max()] = 1
    most = table.max(1)
    labels[most >= 0.7] = 1
    labels[(most >= 0) & (most < 0.3)] = 0
    return labels, table.argmax(1)


def proposals(anchors, logits, codes, before, after):
    boxes = clip(decode(codes.detach(), anchors))
    ok = ((boxes[:, 2] - boxes[:, 0] >= 8) & (boxes[:, 3] - boxes[:, 1] >= 8)).nonzero()[:, 0]
    order = ok[logits.detach()[ok].argsort(descending=True, stable=True)][:before]
    kept = order[nms(boxes[order], logits.detach()[order], 0.7)[:after]]
    return kept, boxes[kept]


def judge(net, head, features, regions):
    crops = roi_align(features, [regions], 6, 1 / STRIDE, 2, False)
    pooled = net.layer4(crops).mean((2, 3))
    linear = lambda name: F.linear(pooled, head[f"roi_heads.box_predictor.{name}.weight"], head[f"roi_heads.box_predictor.{name}.bias"])
    return linear("cls_score"), linear("bbox_pred")


def run(dtype, image):
    net, head = build(dtype)
    x = torch.tensor(image, dtype=dtype)
    features = net.layer3(net.layer2(net.layer1(net.maxpool(net.act1(net.bn1(net.conv1(x)))))))
    hidden = F.relu(F.conv2d(features, head["rpn.head.conv.0.0.weight"], head["rpn.head.conv.0.0.bias"], padding=1))
    logits = F.conv2d(hidden, head["rpn.head.cls_logits.weight"], head["rpn.head.cls_logits.bias"])
    codes = F.conv2d(hidden, head["rpn.head.bbox_pred.weight"], head["rpn.head.bbox_pred.bias"])
    rows, columns = features.shape[2:]
    logits, codes = logits.permute(0, 2, 3, 1).reshape(-1), codes.permute(0, 2, 3, 1).reshape(-1, 4)
    anchors = anchors_of(rows, columns)
    boxes = torch.tensor(anchors, dtype=dtype)
    labels, matched = targets_of(anchors)
    sampled, positive = np.nonzero(labels >= 0)[0], np.nonzero(labels == 1)[0]
    n = len(sampled)
    rpn_class = F.binary_cross_entropy_with_logits(logits[sampled], torch.tensor(labels[sampled], dtype=dtype), reduction="sum") / n
    wanted = torch.tensor([encode(OBJECTS[matched[a]][0], anchors[a]) for a in positive], dtype=dtype)
    rpn_box = F.smooth_l1_loss(codes[positive], wanted, beta=1 / 9, reduction="sum") / n
    kept, regions = proposals(boxes, logits, codes, 200, 40)
    regions = torch.cat([regions, torch.tensor([g for g, _ in OBJECTS], dtype=dtype)])
    table = np.array([[iou(r, g) for g, _ in OBJECTS] for r in regions.double().numpy()])
    held = np.where(table.max(1) >= 0.5, table.argmax(1), -1)
    order = np.concatenate([np.nonzero(held >= 0)[0], np.nonzero(held < 0)[0]])
    regions, held = regions[order], held[order]
    z, moves = judge(net, head, features, regions)
    kinds = torch.tensor([OBJECTS[h][1] + 1 if h >= 0 else 0 for h in held])
    cls = F.cross_entropy(z, kinds)
    box = sum(F.smooth_l1_loss(moves[i, 4 * OBJECTS[h][1]:][:4], torch.tensor(encode(OBJECTS[h][0], r, STD), dtype=dtype), beta=1.0, reduction="sum")
              for i, (h, r) in enumerate(zip(held, regions.double().numpy())) if h >= 0) / len(held)
    total = rpn_class + rpn_box + cls + box
    parameters = dict(net.named_parameters()) | head
    gradients = torch.autograd.grad(total, [parameters[n] for n in GRADIENTS])
    out = {"losses": torch.stack([total, rpn_class, rpn_box, cls, box]).detach(), "regions": regions}
    out |= {f"grad.{name}": g.reshape(-1) for name, g in zip(GRADIENTS, gradients)}
    with torch.no_grad():
        tested, regions = proposals(boxes, logits, codes, 100, 20)
        z, moves = judge(net, head, features, regions)
        scores, found = z.softmax(1), []
        for k in range(CLASSES):
            which = (scores[:, k + 1] > 0.05).nonzero()[:, 0]
            placed = decode(moves[which, 4 * k:4 * k + 4], regions[which], STD)
            for i in nms(placed, scores[which, k + 1], 0.3):
                corners = clip(placed[i:i + 1])[0]
                if (corners[2] - corners[0]) * (corners[3] - corners[1]) > 0:
                    found.append([float(scores[which[i], k + 1]), k, *map(float, corners)])
        found.sort(key=lambda one: -one[0])
    out["found.scores"] = torch.tensor([one[0] for one in found])
    out["found.corners"] = torch.tensor([one[2:] for one in found])
    marks = (kept.tolist(), tested.tolist(), held.tolist(), [one[1] for one in found])
    return out, marks


def main():
    for t in range(1_000_000, 1_000_200):
        image = signal(t, (1, 3, *HEIGHT_WIDTH), 4.0)
        (exact, marks), (rounded, other) = run(torch.float64, image), run(torch.float32, image)
        if marks == other and sum(h >= 0 for h in marks[2]) >= 4 and len(set(marks[3])) >= 2:
            break
    tensors = {"image": np.array([t], dtype=np.int64), "found.classes": np.array(marks[3], dtype=np.int64)}
    for name, value in exact.items():
        value, near = value.double().numpy(), rounded[name].double().numpy()
        error = max(np.abs(value - near).max() / np.abs(value).max(), 1e-7)
        step = max(1, -(-value.size // 300)) if name.startswith("grad.") else 1
        tensors[name] = np.ascontiguousarray(value.reshape(-1)[::step])
        tensors[name + ".error"] = np.array([error])
    save_file(tensors, sys.path[0] + "/../crates/detect/testdata/step.safetensors")
    print(t, exact["losses"], len(marks[2]), sum(h >= 0 for h in marks[2]), len(marks[3]), {n: float(v[0]) for n, v in tensors.items() if n.endswith("error")})


main()
