"""Trains quickstart for 30,000 steps and tells memory, descriptors and speed at ten moments.

    python3 campaigns/endurance.py target/release/trickbag --steps 30000

Memory may not grow by more than a twentieth after the first tenth, descriptors not at all; speed is told, since other programs
disturb it."""

import json
import os
import pathlib
import shutil
import subprocess
import time

import common


def status(process):
    text = pathlib.Path(f"/proc/{process}/status").read_text()
    resident = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))
    return resident / 1024, len(os.listdir(f"/proc/{process}/fd"))


def last_step(path):
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            rows = file.read().splitlines()[1:]
        return max((json.loads(row)["step"] for row in rows if row.endswith(b"}")), default=0)
    except OSError:
        return 0


def main():
    parser = common.arguments(__doc__)
    parser.add_argument("--steps", type=int, default=30_000)
    args = parser.parse_args()
    work = pathlib.Path(args.work).resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    out = work / "run"
    command = [args.trickbag, "train", "quickstart", "--out", out, "--set", f"train.duration={args.steps} steps"]
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    rows, due, start, before = [], args.steps // 10, time.monotonic(), (0, time.monotonic())
    while process.poll() is None:
        time.sleep(0.5)
        step = last_step(out / "metrics.jsonl")
        if step >= due and process.poll() is None:
            resident, descriptors = status(process.pid)
            now = time.monotonic()
            rows.append(
                {"step": step, "resident_mb": round(resident, 1), "descriptors": descriptors, "steps_per_second": round((step - before[0]) / (now - before[1]), 1)}
            )
            print(rows[-1], flush=True)
            before, due = (step, now), due + args.steps // 10
    error = process.stderr.read().decode(errors="replace")
    failures = [] if process.returncode == 0 else [f"exit {process.returncode}: {error[-400:]}"]
    if rows and max(row["resident_mb"] for row in rows) > 1.05 * rows[0]["resident_mb"]:
        failures.append("memory grew")
    if len({row["descriptors"] for row in rows}) > 1:
        failures.append("the number of descriptors changed")
    common.report({"steps": args.steps, "seconds": round(time.monotonic() - start), "rows": rows, "failures": failures}, args.json)
    raise SystemExit(bool(failures))


if __name__ == "__main__":
    main()
