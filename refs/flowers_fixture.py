"""Writes crates/data/testdata/flowers102-{imagelabels,setid}.mat: the two files of Oxford 102 Flowers, of six images.

    python refs/flowers_fixture.py        (scipy)
"""

import pathlib

import numpy
from scipy.io import savemat

TARGET = pathlib.Path(__file__).resolve().parent.parent / "crates/data/testdata"


def row(*values: int, kind: type) -> numpy.ndarray:
    return numpy.array([values], dtype=kind)


savemat(TARGET / "flowers102-imagelabels.mat", {"labels": row(3, 1, 3, 102, 1, 7, kind=numpy.uint8)}, do_compression=True)
parts = {"trnid": row(1, 2, 4, kind=numpy.uint16), "valid": row(3, 5, kind=numpy.float64), "tstid": row(6, kind=numpy.uint16)}
savemat(TARGET / "flowers102-setid.mat", parts, do_compression=True)
