"""Reads a run folder's TensorBoard events by TensorBoard's own EventAccumulator.

    python tensorboard_read.py DIR

Prints {tag: [[step, value], ...]} with every scalar, none sampled away. Events in a subfolder get its path in front
of the tag (`sub/tag`). No events at all is an error.
"""

import json
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray


def scalars(folder):
    """Scalars written as `simple_value`, and as a tensor of one element (what newer writers do)."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    out = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    for tag in events.Tags()["tensors"]:
        values = [(e.step, make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)]
        if all(v.size == 1 and v.dtype.kind == "f" for _, v in values):
            out[tag] = [[step, float(v.item())] for step, v in values]
    return out


def main(root):
    tags = {}
    for folder in sorted({p.parent for p in root.rglob("*tfevents*")}):
        prefix = "" if folder == root else folder.relative_to(root).as_posix() + "/"
        tags.update({prefix + tag: points for tag, points in scalars(folder).items()})
    if not tags:
        sys.exit(f"{root}: no TensorBoard scalars")
    print(json.dumps(tags))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: tensorboard_read.py DIR")
    main(Path(sys.argv[1]))
