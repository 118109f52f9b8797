"""Lets each single change of a file fail once: a full disk, an input/output error, a short write. Needs a C compiler and Linux.

    python3 campaigns/faults.py target/release/trickbag

For a run, a packed copy and two exports, the changes (create, write, sync, cut, rename, make a folder) are counted, and the command is
started once for each of them and each kind. It has to end with exit code 1 and a message that names a file of its
own, or succeed; never by a panic. The same command, given again without a fault, has to leave the same bytes as ever."""

import collections
import os
import pathlib
import shutil

import common


def scenarios(program, work):
    data = common.dataset(work / "colors")
    path = common.recipe(work / "tiny.toml", steps=10)
    out = work / "out"
    source = work / "source"
    common.succeed([program, "train", path, "--data", data, "--out", source])
    train = [program, "train", path, "--data", data, "--out", out, "--threads", "1"]
    return {
        "train": (out, train, ["--resume"], ["model", "predictions.jsonl", "metrics.jsonl"]),
        "data pack": (out, [program, "data", "pack", data, "-o", out], [], [""]),
        "export timm": (out, [program, "export", source, "--format", "timm", "-o", out], [], [""]),
        "export onnx": (out / "model.onnx", [program, "export", source, "--format", "onnx", "-o", out / "model.onnx"], [], [""]),
    }


def clear(out):
    folder = out.parent if out.suffix == ".onnx" else out
    shutil.rmtree(folder, ignore_errors=True)
    if out.suffix == ".onnx":
        folder.mkdir()
    return folder


def hashes(folder, results):
    return common.contents(folder, results)


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--every", type=int, default=1, help="only each so-many-th change")
    args = parser.parse_args()
    program, work = pathlib.Path(args.trickbag).resolve(), pathlib.Path(args.work).resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    shim = work / "faults.so"
    source = pathlib.Path(__file__).with_name("faults.c")
    common.succeed(["cc", "-O2", "-shared", "-fPIC", "-Wall", source, "-o", shim, "-ldl"])
    counts, failures = collections.Counter(), []
    for name, (out, command, resume, results) in scenarios(program, work).items():
        folder = clear(out)
        environment = {**os.environ, "LD_PRELOAD": str(shim), "FAULT_UNDER": str(folder), "FAULT_COUNT": str(work / "count")}
        common.succeed(command, env=environment)
        changes = int((work / "count").read_text())
        assert changes > 3, f"{name}: the shim saw {changes} changes"
        counts[f"changes of {name}"] = changes
        expected = hashes(folder, results)
        for kind in ("enospc", "eio", "short"):
            for at in range(0, changes, args.every):
                clear(out)
                done = common.run(command, env={**environment, "FAULT_AT": str(at), "FAULT_KIND": kind})
                text = done.stderr.decode(errors="replace")
                counts["faults"] += 1
                counts[f"{kind}: exit {done.returncode}"] += 1
                where = f"{name}, {kind} at change {at}"
                if done.returncode not in (0, 1):
                    failures.append(f"{where}: exit {done.returncode}: {text[-400:]}")
                elif done.returncode == 1 and str(folder) not in text:
                    failures.append(f"{where}: no file is named: {text[-400:]}")
                elif kind == "short" and done.returncode != 0:
                    failures.append(f"{where}: a short write is no error: {text[-400:]}")
                elif done.returncode == 0 and hashes(folder, results) != expected:
                    failures.append(f"{where}: exit 0 with other bytes: {text[-400:]}")
                again = command + (resume if (folder / "recipe.toml").exists() else [])
                done = common.run(again)
                if done.returncode != 0:
                    failures.append(f"{where}: and then: exit {done.returncode}: {done.stderr.decode(errors='replace')[-400:]}")
                elif hashes(folder, results) != expected:
                    failures.append(f"{where}: and then other bytes")
                if len(failures) > 40:
                    break
    common.report({**counts, "failures": failures}, args.json)
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
