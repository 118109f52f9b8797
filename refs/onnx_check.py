"""Takes every network the round trip timm -> trickbag -> timm -> trickbag -> ONNX Runtime, and measures its logits.

    python onnx_check.py TRICKBAG [NAME...] [--side PIXELS]

TRICKBAG is the command; without names, every network that `trickbag models --json` lists. For each, in a folder that is
deleted again:

1. timm builds the network (where timm has none, its own net with the strides or the width changed) with
   timm_vectors.py's formula weights ("calm"; "wild" where a net has no batch norm, "lifted" where it has ReLU6); they are
   saved as a model folder.
2. `trickbag export --format timm` writes a second folder. timm opens it by `local-dir:` (where timm can build it) with
   every tensor to the bit, and saves a third folder by its own `save_for_hf`; elsewhere the second one goes on.
3. `trickbag export --format onnx` writes the third folder twice, batch norms folded and kept; onnx.checker checks both,
   with full shape inference, and the metadata must give back the class names and the preprocessing.
4. Two images of the network's own size, or of --side, go through ONNX Runtime (CPU, two threads), together and one by one, and through
   timm's first model in f64 and f32.

Errors are max |z - z64| / max |z64| over the logits: PyTorch's own f32, then ONNX Runtime folded and kept, with the larger
of the two over PyTorch's (at least 1e-7). The script fails where that is above 8, or where anything else is not as said.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.models import save_for_hf

from timm_build import build, named
from timm_vectors import ERROR_FLOOR, IMAGE, fill
from torch_formula import signal

ALLOWED = 8
CLASSES = 1000


def weigh(name, net):
    state = net.state_dict()
    names = sorted((n for n in state if not n.endswith("num_batches_tracked")), key=str.encode)
    norms = any(n.endswith("running_mean") for n in names)
    calm = norms and "relu6" not in name
    values = {n: fill(t, n, tuple(state[n].shape), calm) for t, n in enumerate(names)}
    if "relu6" in name:
        for n in names:
            if n.endswith("bias") and n != "classifier.bias":
                values[n] += 3.0
    net.load_state_dict(values, strict=False)
    return net.eval()


def labels():
    return [f'kind "{k}" & ä' for k in range(CLASSES)]


def save(name, net, side, folder):
    folder.mkdir()
    save_file({n: t.contiguous() for n, t in net.state_dict().items()}, folder / "model.safetensors")
    config = {
        "architecture": name,
        "num_classes": CLASSES,
        "label_names": labels(),
        "pretrained_cfg": {
            "input_size": [3, side, side], "crop_pct": 0.875, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
        },
        "trickbag": {"network": name},
    }
    (folder / "config.json").write_text(json.dumps(config))


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {done.stderr}")
    return done


def through_timm(trickbag, name, state, ours, root):
    """The folder that timm saves of the one trickbag wrote."""
    done = run(trickbag, "export", root / "first", "--format", "timm", "-o", root / "second", "--json")
    builds = json.loads(done.stdout)["timm"]
    assert builds == ours, f"{name}: timm builds it: {ours}, trickbag says {builds}"
    if not builds:
        said = json.loads((root / "second/config.json").read_text())["trickbag"]["timm"]
        assert said.startswith("cannot build it: ") and "note: timm cannot build" in done.stderr
        written = load_file(root / "second/model.safetensors")
        different = [n for n in state if not torch.equal(state[n], written[n])]
        assert not different and written.keys() == state.keys(), f"{name}: {different}"
        return root / "second", None
    net = timm.create_model(f"local-dir:{root / 'second'}", pretrained=True).eval()
    for n, tensor in net.state_dict().items():
        assert torch.equal(tensor, state[n]), f"{name}: {n} after timm opened the folder"
    config = json.loads((root / "second/config.json").read_text())
    names = {"label_names": config["label_names"]}
    preprocessing = {k: config["pretrained_cfg"][k] for k in ("input_size", "crop_pct", "mean", "std", "interpolation")}
    save_for_hf(net, root / "third", model_config=names, safe_serialization=True, data_config=preprocessing)
    return root / "third", net


def infer(path, x):
    """Logits, which must not depend on how many images come at once."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    [taken], [given] = session.get_inputs(), session.get_outputs()
    assert taken.shape[0] == given.shape[0] == "batch" and given.shape[1] == CLASSES
    [both] = session.run(None, {"images": x})
    for k in range(len(x)):
        [one] = session.run(None, {"images": x[k : k + 1]})
        assert np.allclose(one[0], both[k], rtol=1e-4, atol=1e-5 * np.abs(both).max())
    return both


def check_file(path, side):
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(path, load_external_data=False)
    assert [o.version for o in model.opset_import] == [17]
    found = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert found["label_names"] == labels() and found["input_size"] == [3, side, side]
    assert np.allclose(found["mean"], [0.485, 0.456, 0.406]) and np.allclose(found["std"], [0.229, 0.224, 0.225])
    assert found["interpolation"] == "bilinear" and abs(found["crop_pct"] - 0.875) < 0.01


def logits(net, x):
    with torch.inference_mode():
        z = net(x)
    # timm's Inception-V3 gives its auxiliary classifier's too.
    return (z[0] if isinstance(z, tuple) else z).numpy().astype(np.float64)


def measure(trickbag, name, side, root):
    net, (_, _, ours) = build(name, num_classes=CLASSES), named(name)
    weigh(name, net)
    save(name, net, side, root / "first")
    x = signal(IMAGE, (2, 3, side, side), 4.0)
    single = logits(net, torch.from_numpy(x))
    folder, opened = through_timm(trickbag, name, net.state_dict(), ours, root)
    if opened is not None:
        assert np.array_equal(logits(opened, torch.from_numpy(x)), single), f"{name}: timm's logits after the round trip"
        del opened
    results = []
    for options in ([], ["--keep-batch-norms"]):
        path = root / "net.onnx"
        run(trickbag, "export", folder, "--format", "onnx", "-o", path, *options)
        check_file(path, side)
        results.append(infer(path, x))
    exact = logits(net.double(), torch.from_numpy(x).double())
    error = lambda z: np.abs(z - exact).max() / np.abs(exact).max()
    return error(single), [error(z) for z in results], ours


def main():
    parser = argparse.ArgumentParser(description="every network from timm to ONNX Runtime")
    parser.add_argument("trickbag")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--side", type=int)
    args = parser.parse_args()
    torch.set_num_threads(2)
    sides = {net["name"]: net["input"][0] for net in json.loads(run(args.trickbag, "models", "--json").stdout)}
    failed = []
    print("| network | timm opens it | PyTorch f32 | ONNX, folded | ONNX, kept | largest / PyTorch's |")
    print("|---|---|---|---|---|---|")
    for name in args.names or sides:
        with tempfile.TemporaryDirectory() as root:
            theirs, (folded, kept), ours = measure(args.trickbag, name, args.side or sides[name], Path(root))
        ratio = max(folded, kept) / max(theirs, ERROR_FLOOR)
        opens = "yes" if ours else "no"
        print(f"| {name} | {opens} | {theirs:.1e} | {folded:.1e} | {kept:.1e} | {ratio:.2f} |", flush=True)
        if not ratio <= ALLOWED:
            failed.append(name)
    if failed:
        sys.exit(f"above {ALLOWED}: {', '.join(failed)}")


if __name__ == "__main__":
    main()
