"""Measures of made-up detections by pycocotools and by the authors' metric (gluoncv 0.3.0).

    python3.11 -m venv gluon && gluon/bin/pip install numpy==1.23.5 scipy==1.10.1 pillow==10.4.0 'graphviz<0.9' \
        'requests<3' tqdm matplotlib portalocker && gluon/bin/pip install --no-deps mxnet==1.9.1 gluoncv==0.3.0 pycocotools==2.0.11
    gluon/bin/python refs/detection_measures.py > crates/detect/src/measure/tests/vectors.json

The scenes are drawn by a congruential generator that the Rust test repeats, so only the results are stored: COCO's twelve
numbers, then the mean average precision by 11 points and by the area, for each of 200 sets of images.
"""
import contextlib
import io
import json

import numpy as np
from gluoncv.utils.metrics.voc_detection import VOC07MApMetric, VOCMApMetric
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

CLASSES = 3


class Draw:
    def __init__(self, seed):
        self.state = seed

    def bits(self):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return self.state >> 40

    def below(self, count):
        return self.bits() % count


def box(draw):
    x, y = draw.below(1600) / 4, draw.below(1200) / 4
    width, height = (8 + draw.below(2 ** (3 + draw.below(6)))) / 4 * 2, (8 + draw.below(2 ** (3 + draw.below(6)))) / 4 * 2
    return [x, y, x + width, y + height]


def moved(draw, corners):
    x0, y0, x1, y1 = corners
    shift = lambda side: (draw.below(64) - 32) / 128 * side
    width, height = x1 - x0, y1 - y0
    # In quarters of pixels, so that 32-bit floats hold them.
    quarter = lambda value: np.floor(value * 4) / 4
    x, y = quarter(x0 + shift(width)), quarter(y0 + shift(height))
    return [x, y, x + max(1.0, quarter(width + shift(width))), y + max(1.0, quarter(height + shift(height)))]


def images(seed):
    draw, made = Draw(seed), []
    for _ in range(1 + draw.below(4)):
        objects, found = [], []
        for _ in range(draw.below(7)):
            objects.append((box(draw), draw.below(CLASSES), draw.below(8) == 0))
        for corners, label, _ in objects:
            for _ in range(draw.below(3)):
                seen = label if draw.below(8) else draw.below(CLASSES)
                found.append((moved(draw, corners), seen, draw.bits() / 2**24))
        for _ in range(draw.below(4)):
            corners = box(draw)
            found.append((corners, draw.below(CLASSES), draw.bits() / 2**24))
        made.append((objects, found))
    return made


def by_coco(made):
    wh = lambda c: [c[0], c[1], c[2] - c[0], c[3] - c[1]]
    truth = {"images": [{"id": i} for i in range(len(made))], "categories": [{"id": k} for k in range(CLASSES)]}
    truth["annotations"], answers = [], []
    for image, (objects, found) in enumerate(made):
        for corners, label, crowd in objects:
            area = (corners[2] - corners[0]) * (corners[3] - corners[1])
            truth["annotations"].append({"id": len(truth["annotations"]) + 1, "image_id": image, "category_id": label,
                                         "bbox": wh(corners), "area": area, "iscrowd": int(crowd)})
        for corners, label, score in found:
            answers.append({"image_id": image, "category_id": label, "bbox": wh(corners), "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(answers), "bbox")
        run.evaluate()
        run.accumulate()
        run.summarize()
    return [float(value) for value in run.stats]


def by_gluon(metric, made):
    inclusive = lambda corners: [corners[0], corners[1], corners[2] - 1, corners[3] - 1]
    for objects, found in made:
        array = lambda rows, width: np.array(rows, dtype="float64").reshape(1, -1, width) if width > 1 else np.array(rows, dtype="float64").reshape(1, -1)
        metric.update(array([inclusive(c) for c, _, _ in found], 4), array([k for _, k, _ in found], 1), array([s for _, _, s in found], 1),
                      array([inclusive(c) for c, _, _ in objects], 4), array([k for _, k, _ in objects], 1), array([int(d) for _, _, d in objects], 1))
    value = metric.get()[1]
    value = value[-1] if isinstance(value, list) else value
    return None if np.isnan(value) else float(value)


def main():
    rows = []
    seed = 0
    while len(rows) < 200:
        seed += 1
        made = images(seed)
        scores = [score for _, found in made for *_, score in found]
        objects = [one for objects, _ in made for one in objects]
        if len(set(scores)) < len(scores) or not scores or not objects:
            continue
        voc = [by_gluon(metric(iou_thresh=0.5), made) for metric in (VOC07MApMetric, VOCMApMetric)]
        rows.append([seed] + by_coco(made) + voc)
    print("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]")


main()
