"""One measurement of one peer, as JSON: peer.py PEER KIND MODEL SIDE BATCH SMALL_STEM STEPS THREADS."""

import io
import json
import resource
import statistics
import sys
import time
from pathlib import Path

import torch
from torch import nn

sys.path.append(str(Path(__file__).resolve().parents[2] / "refs"))
from timm_build import build

peer, kind, name, side, batch, small, steps, threads = sys.argv[1:]
side, batch, small, steps, threads = int(side), int(batch), int(small), int(steps), int(threads)
torch.set_num_threads(threads)
torch.manual_seed(1)

model = build(name)
if small:
    model.conv1[0].stride = (1, 1)
    model.maxpool = nn.Identity()
layout = torch.channels_last if peer in ["torch-channels-last", "torch-compile"] else torch.contiguous_format
model = model.to(memory_format=layout)
x = torch.randn(batch, 3, side, side).to(memory_format=layout)

if kind == "step":
    model.train()
    target = torch.full((batch, 1000), 1e-3)
    update = torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9, nesterov=True, weight_decay=1e-4)
    loss = nn.CrossEntropyLoss()
    if peer == "torch-compile":
        model = torch.compile(model)

    def once():
        update.zero_grad(set_to_none=True)
        y = model(x)
        # Inception's auxiliary classifier, where it has one, counts 0.4.
        y = loss(y[0], target) + 0.4 * loss(y[1], target) if isinstance(y, tuple) else loss(y, target)
        y.backward()
        update.step()
elif peer == "onnxruntime":
    import onnxruntime

    file = io.BytesIO()
    torch.onnx.export(model.eval(), (x,), file, dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: x.numpy()}

    def once():
        session.run(None, feed)
else:
    model.eval()

    def once():
        with torch.inference_mode():
            model(x)


for _ in range(3):
    once()
seconds = []
for _ in range(steps):
    started = time.perf_counter()
    once()
    seconds.append(time.perf_counter() - started)
print(json.dumps({
    "images_per_second": batch / statistics.median(seconds),
    "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
