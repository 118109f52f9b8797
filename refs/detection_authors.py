"""Anchors, targets and proposals by the authors' own code (gluoncv 0.3.0 on mxnet 1.9.1), for the tests of crates/detect.

    gluon/bin/python refs/detection_authors.py > crates/detect/testdata/authors.json

`gluon` is the environment of detection_measures.py. Images have SIZE (width, height); with a stride of 16 their features have
ROWS x COLUMNS cells of 15 anchors. Numbers come from torch_formula.py: of scene k, object j is tensor 100 k + j, four numbers u in
[-0.5, 0.5): x, y, width and height as below; the score of an anchor is 0.5 + u of tensor 100 k + 90, its code 0.6 u of 100 k + 91.

For each scene: the positive anchors with their objects, how many are negative and the sum of their places, the first codes,
and the proposals of training (500 before, 60 after suppression). Nothing is drawn: more anchors are sampled than there are.
"""
import json

import mxnet as mx
import numpy as np
from gluoncv.model_zoo.rpn.anchor import RPNAnchorGenerator
from gluoncv.model_zoo.rpn.proposal import RPNProposal
from gluoncv.model_zoo.rpn.rpn_target import RPNTargetGenerator

from torch_formula import uniform

SIZE, ROWS, COLUMNS = (427, 320), 20, 27
COUNTS = [1, 4, 9, 20]


def objects(scene, count):
    found = []
    for j in range(count):
        x, y, w, h = uniform(100 * scene + j, 4) + 0.5
        w, h = 12 + w * w * 250, 12 + h * h * 200
        x, y = x * (SIZE[0] - w), y * (SIZE[1] - h)
        # In quarters of pixels, so that 32-bit floats hold them.
        found.append([np.floor(4 * v) / 4 for v in (x, y, x + w, y + h)])
    return np.array(found, dtype="float32")


def main():
    generator = RPNAnchorGenerator(16, 16, (0.5, 1, 2), (2, 4, 8, 16, 32), (128, 128))
    generator.initialize()
    anchors = generator(mx.nd.zeros((1, 1, ROWS, COLUMNS))).reshape((-1, 4))
    target = RPNTargetGenerator(num_sample=100000, pos_ratio=0.5)
    propose = RPNProposal(None, 0.7, 500, 60, 500, 60, 16, (1.0, 1.0, 1.0, 1.0))
    scenes = []
    for scene, count in enumerate(COUNTS):
        boxes = objects(scene, count)
        with mx.autograd.pause():
            labels, codes, mask = target(mx.nd.array(boxes), anchors, SIZE[0], SIZE[1])
        labels, codes = labels.asnumpy().reshape(-1), codes.asnumpy().reshape(-1, 4)
        positive, negative = np.nonzero(labels == 1)[0], np.nonzero(labels == 0)[0]
        n = len(labels)
        score = (0.5 + uniform(100 * scene + 90, n)).astype("float32").reshape(1, n, 1)
        moves = (0.6 * uniform(100 * scene + 91, 4 * n)).astype("float32").reshape(1, n, 4)
        image = mx.nd.zeros((1, 3, SIZE[1], SIZE[0]))
        with mx.autograd.train_mode():
            _, found = propose(anchors.reshape((1, -1, 4)), mx.nd.array(score), mx.nd.array(moves), image)
        found = [row for row in found.asnumpy()[0].tolist() if row[2] > row[0]]
        scenes.append({"objects": boxes.tolist(), "positive": positive.tolist(), "codes": codes[positive].tolist()[:12],
                       "negatives": len(negative), "negative_sum": int(negative.sum()), "proposals": found})
    print(json.dumps({"cell": anchors[:15].asnumpy().tolist(), "last": anchors[-1].asnumpy().tolist(), "scenes": scenes}))


main()
