"""Training samples a second from a tar of class folders, by torchvision: loader.py TAR AUGMENT WORKERS, as JSON.

AUGMENT is `crop-flip`; `paper`, the paper's hue, saturation and brightness with PCA noise; `jitter`, the authors' brightness,
contrast and saturation with PCA noise, which spares the costly hue; or `decode`: Pillow alone, in this process.
"""

import io
import json
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from torch.utils.data import DataLoader, RandomSampler
from torchvision import transforms
from torchvision.datasets import ImageFolder

SECONDS = 10
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


def decode(root):
    files = [path.read_bytes() for path in sorted(root.glob("*/*"))]
    images, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        for file in files:
            Image.open(io.BytesIO(file)).convert("RGB")
        images += len(files)
    return images / (time.perf_counter() - started)


def load(root, augment, workers):
    torch.set_num_threads(1)
    dataset = ImageFolder(root, steps(augment))
    sampler = RandomSampler(dataset, replacement=True, num_samples=1_000_000)
    loader = DataLoader(dataset, 50, sampler=sampler, num_workers=workers)
    batches = iter(loader)
    for _ in range(2 * workers + 1):
        next(batches)
    images, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        images += len(next(batches)[1])
    return images / (time.perf_counter() - started)


def main(archive, augment, workers):
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        root = next(path for name in ("train", "val") if (path := Path(folder) / name).is_dir())
        rate = decode(root) if augment == "decode" else load(root, augment, workers)
    print(json.dumps({"images_per_second": rate}))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
