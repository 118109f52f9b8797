"""Training samples a second from original JPEGs: torchvision and trickbag, in turn, as a Markdown table.

    python bench/peers/loader.py TRICKBAG FOLDER PACKED [--rounds N] [--seconds S] [--threads T]

FOLDER holds one folder for each class, PACKED is a copy of it by `trickbag data pack`. Both sides use T workers, and the two
change places from round to round; a table cell is the median of the rounds, with the least and the greatest. torchvision's
`paper` is the paper's hue, saturation and brightness with PCA noise; `jitter` is what the authors' code does, brightness,
contrast and saturation, which spares the costly hue: trickbag runs the paper's against both.
"""

import argparse
import functools
import json
import statistics
import subprocess
import time

import torch
import torchvision
from torch.utils.data import DataLoader, RandomSampler
from torchvision import transforms
from torchvision.datasets import ImageFolder

VALUES = torch.tensor([55.46, 4.794, 1.148]) / 255
VECTORS = torch.tensor([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


def pca_noise(image):
    return image + (VECTORS * (torch.randn(3) * 0.1) * VALUES).sum(1)[:, None, None]


def steps(augment):
    color = {
        "crop-flip": [],
        # A hue of 0.6 to 1.4 turns by up to 0.4π, a fifth of a turn.
        "paper": [transforms.ColorJitter(brightness=0.4, saturation=0.4, hue=0.2)],
        "jitter": [transforms.ColorJitter(brightness=0.4, contrast=0.4, saturation=0.4)],
    }[augment]
    noise = [pca_noise] if color else []
    crop = [transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip()]
    normalize = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return transforms.Compose([*crop, *color, transforms.ToTensor(), *noise, normalize])


@functools.cache
def batches_of(folder, augment, workers):
    """Batches without end; made once, since the workers take seconds to start. They sleep while nobody asks."""
    torch.set_num_threads(1)
    dataset = ImageFolder(folder, steps(augment))
    sampler = RandomSampler(dataset, replacement=True, num_samples=1_000_000)
    return iter(DataLoader(dataset, 50, sampler=sampler, num_workers=workers))


def by_torchvision(folder, augment, options):
    batches = batches_of(folder, augment, options.threads)
    # What was fetched ahead is for free.
    for _ in range(2 * options.threads + 1):
        next(batches)
    images, started = 0, time.perf_counter()
    while time.perf_counter() - started < options.seconds:
        images += len(next(batches)[1])
    rate = images / (time.perf_counter() - started)
    # The workers fetch ahead once more: what is measured next must not share the cores with them.
    time.sleep(1.2)
    return rate, {}


def by_trickbag(folder, augment, options):
    command = [options.trickbag, "bench", "loader", "--data", folder, "--augment", augment, "--json", "--rounds", "1"]
    command += ["--size", "224", "--threads", str(options.threads), "--seconds", str(options.seconds)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found["images_per_second"], found["shares"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trickbag")
    parser.add_argument("folder")
    parser.add_argument("packed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    original, packed = options.folder, options.packed
    peers = {augment: (by_torchvision, original, augment) for augment in ("crop-flip", "paper", "jitter")}
    ours = {
        (data, augment): (by_trickbag, folder, augment)
        for data, folder in (("original", original), ("packed", packed))
        for augment in ("crop-flip", "paper")
    }
    runs = peers | ours
    rates, shares = {key: [] for key in runs}, {}
    for round in range(options.rounds):
        for key in runs if round % 2 == 0 else reversed(runs):
            run, folder, augment = runs[key]
            rate, shares[key] = run(folder, augment, options)
            rates[key].append(rate)

    def cell(key):
        low, middle, high = min(rates[key]), statistics.median(rates[key]), max(rates[key])
        return f"{middle:.0f} ({low:.0f}–{high:.0f})"

    print(f"torchvision {torchvision.__version__}, {options.threads} workers or threads, images/s, median of {options.rounds}")
    print()
    print("| augmentation | torchvision | trickbag | ratio | from the packed copy | ratio |")
    print("|---|---|---|---|---|---|")
    rows = [("crop and flip", "crop-flip", "crop-flip"), ("the paper's", "paper", "paper")]
    rows += [("the paper's, the peer without hue", "jitter", "paper")]
    for name, peer, augment in rows:
        cells = [name, cell(peer)]
        for data in ("original", "packed"):
            ratio = statistics.median(rates[data, augment]) / statistics.median(rates[peer])
            cells += [cell((data, augment)), f"{ratio:.1f}×"]
        print("| " + " | ".join(cells) + " |")
    print()
    print("| share of a thread's time | read | decode | copy | resize | color |")
    print("|---|---|---|---|---|---|")
    for data, augment in ours:
        found = shares[data, augment]
        cells = [f"{100 * found[step]:.0f} %" for step in ("read", "decode", "copy", "resize", "color")]
        print(f"| {data}, {augment} | " + " | ".join(cells) + " |")


main()
