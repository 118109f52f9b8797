"""The numbers every reference script and its Rust twin compute alike, to the bit.

Tensor number t, element i (flat index in PyTorch's layout):

    h = (i * 2654435761 + (t + 1) * 40503 * 65537) mod 2^32
    h = h ^ (h >> 16)
    h = (h * 0x45d9f3b) mod 2^32
    h = h ^ (h >> 16)
    u = h / 2^32 - 0.5            in f64, exact; u is in [-0.5, 0.5)

i and t are 64-bit: no product above reaches 2^64.
"""

import numpy as np


def uniform(t, count):
    """u of tensor number t for i = 0 .. count - 1, f64."""
    i = np.arange(count, dtype=np.uint64)
    low = np.uint64(0xFFFFFFFF)
    h = (i * np.uint64(2654435761) + np.uint64((t + 1) * 40503 * 65537)) & low
    h ^= h >> np.uint64(16)
    h = (h * np.uint64(0x45D9F3B)) & low
    h ^= h >> np.uint64(16)
    return h.astype(np.float64) / 4294967296.0 - 0.5


def signal(t, shape, scale):
    """scale * u rounded to f32, so that f32 and f64 code start from the same numbers."""
    values = scale * uniform(t, int(np.prod(shape)))
    return values.astype(np.float32).reshape(shape)
