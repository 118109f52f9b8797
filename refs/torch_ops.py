"""One small case of each operation by PyTorch in f64, for the tests of nn.

    python torch_ops.py                   writes crates/nn/testdata/ops.safetensors

Tensors are F64 and named `case.tensor`. Activations are stored NHWC, convolution weights OHWI (of PyTorch's
(out, in/groups, kh, kw) as (out, kh, kw, in/groups)). Inputs are rounded to f32 first, so that f32 code starts from
the same numbers; `dy` is the gradient given for the output, and dx, dw, dgamma, dbeta, dz are what PyTorch returns.

    conv2d          x [2, 9, 7, 6], w [4, 3, 3, 3], kernel 3x3, stride 2, padding 1, dilation 2, groups 2, no bias;
                    y [2, 4, 3, 4], dy, dx, dw
    batch_norm      x [2, 5, 3, 4] in training, eps 1e-5, momentum 0.1 (weight of the new value), gamma, beta;
                    mean, var: running statistics before; new_mean, new_var: after; y, dy, dx, dgamma, dbeta
    max_pool        x [2, 9, 7, 3], kernel 3, stride 2, padding 1 (never wins, also among negatives);
                    y [2, 5, 4, 3], dy, dx
    avg_pool        x [2, 9, 7, 3], kernel 2, stride 2, ceil_mode, count_include_pad false: the last window of a row
                    or column divides by what it covers; y [2, 5, 4, 3], dy, dx
    cross_entropy   z [5, 7], p [5, 7] (rows of multiples of 1/256 that sum to exactly 1);
                    loss [1]: mean over rows of -sum p log softmax(z), dz
    bilinear        x [2, 5, 7, 3] resized to 9x4, align_corners false, no antialias; y [2, 9, 4, 3], dy, dx
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

from torch_formula import signal, uniform

OUT = Path(__file__).resolve().parent.parent / "crates" / "nn" / "testdata"


class Signals:
    """Leaf tensors in PyTorch's layout, t counting up from 0 as they are taken."""

    def __init__(self):
        self.t = -1

    def take(self, *shape, scale=4.0, offset=0.0):
        self.t += 1
        values = (offset + signal(self.t, shape, scale)).astype(np.float32)
        return torch.from_numpy(values).double().requires_grad_()


def stored(tensor):
    """f64 array; four dims go from NCHW to NHWC, and from OIHW to OHWI."""
    tensor = tensor.detach()
    if tensor.dim() == 4:
        tensor = tensor.permute(0, 2, 3, 1)
    return np.array(tensor.numpy(), dtype=np.float64, order="C")


def conv2d(signals):
    x, w, dy = signals.take(2, 6, 9, 7), signals.take(4, 3, 3, 3, scale=1.0), signals.take(2, 4, 4, 3)
    y = F.conv2d(x, w, stride=2, padding=1, dilation=2, groups=2)
    dx, dw = torch.autograd.grad(y, (x, w), dy)
    return dict(x=x, w=w, y=y, dy=dy, dx=dx, dw=dw)


def batch_norm(signals):
    x, dy = signals.take(2, 4, 5, 3, offset=0.5), signals.take(2, 4, 5, 3)
    gamma, beta = signals.take(4, scale=1.0, offset=1.0), signals.take(4, scale=1.0)
    mean, var = signals.take(4, scale=1.0), signals.take(4, scale=1.0, offset=1.0)
    new_mean, new_var = mean.detach().clone(), var.detach().clone()
    y = F.batch_norm(x, new_mean, new_var, gamma, beta, training=True, momentum=0.1, eps=1e-5)
    dx, dgamma, dbeta = torch.autograd.grad(y, (x, gamma, beta), dy)
    return dict(
        x=x, gamma=gamma, beta=beta, mean=mean, var=var, new_mean=new_mean, new_var=new_var,
        y=y, dy=dy, dx=dx, dgamma=dgamma, dbeta=dbeta,
    )


def max_pool(signals):
    x, dy = signals.take(2, 3, 9, 7, offset=-0.5), signals.take(2, 3, 5, 4)
    y = F.max_pool2d(x, 3, stride=2, padding=1)
    (dx,) = torch.autograd.grad(y, x, dy)
    return dict(x=x, y=y, dy=dy, dx=dx)


def avg_pool(signals):
    x, dy = signals.take(2, 3, 9, 7), signals.take(2, 3, 5, 4)
    y = F.avg_pool2d(x, 2, stride=2, ceil_mode=True, count_include_pad=False)
    (dx,) = torch.autograd.grad(y, x, dy)
    return dict(x=x, y=y, dy=dy, dx=dx)


def cross_entropy(signals):
    z = signals.take(5, 7, scale=8.0)
    signals.t += 1
    parts = np.floor(40.0 * (uniform(signals.t, 35).reshape(5, 7) + 0.5))
    parts[:, 6] = 256.0 - parts[:, :6].sum(axis=1)
    p = torch.from_numpy(parts / 256.0)
    loss = F.cross_entropy(z, p)
    (dz,) = torch.autograd.grad(loss, z)
    return dict(z=z, p=p, loss=loss.reshape(1), dz=dz)


def bilinear(signals):
    x, dy = signals.take(2, 3, 5, 7), signals.take(2, 3, 9, 4)
    y = F.interpolate(x, size=(9, 4), mode="bilinear", align_corners=False, antialias=False)
    (dx,) = torch.autograd.grad(y, x, dy)
    return dict(x=x, y=y, dy=dy, dx=dx)


def main():
    torch.set_num_threads(1)
    signals = Signals()
    tensors = {}
    for case in (conv2d, batch_norm, max_pool, avg_pool, cross_entropy, bilinear):
        for name, tensor in case(signals).items():
            tensors[f"{case.__name__}.{name}"] = stored(tensor)
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / "ops.safetensors"
    save_file(tensors, path)
    for name, value in tensors.items():
        print(f"{name:24} {list(value.shape)}")
    print(path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
