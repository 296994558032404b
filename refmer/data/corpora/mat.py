"""Matrices and lists of text in MATLAB files of version 5 to 7. Damaged files crash the process in scipy.io.loadmat."""

import struct
import zlib

import numpy as np

from refmer.data.read_clip import LARGEST, existing

MATRIX, COMPRESSED, UTF8 = 14, 15, 16  # types of elements, beside those of numbers
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8", UTF8: "u1"}
CELL, CHAR, NUMERIC = 1, 4, range(6, 16)  # classes of matrices


def read_mat(path):
    """Return {name: array of float64, text, tuple of text, or None for anything else} of a file.

    Raises
    ------
    ValueError
        If the file is of another version, cut off or damaged.
    """
    data = existing("mat", path).read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None or struct.unpack(f"{order}H", data[124:126]) != (0x0100,):
        raise ValueError(f"it begins with {data[:20]!r}")
    variables = {}
    for kind, content in elements(data[128:], order):
        if kind == COMPRESSED:
            unpack = zlib.decompressobj()
            try:
                content = unpack.decompress(content, LARGEST)
            except zlib.error as error:
                raise ValueError(f"a variable is damaged: {error}") from error
            (kind, content), *_ = elements(content, order)
        if kind == MATRIX:
            name, value = matrix(content, order)
            variables[name] = value
    return variables


def elements(data, order):
    """Yield the type and the bytes of each element."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        start = at + 8
        if kind >> 16:  # a small one, in the place of its size
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
        if start + size > len(data):
            raise ValueError("it is cut off")
        yield kind, data[start : start + size]
        at = max(at + 8, start + size + (-size % 8 if kind != COMPRESSED and start == at + 8 else 0))


def matrix(data, order, cells=True):
    """Return the name and the value of a matrix; a cell holds text if `cells`, else it is None."""
    (_, flags), (_, shape), (_, name), *parts = elements(data, order)
    kind, shape = np.frombuffer(flags, f"{order}u4")[0] & 0xFF, np.frombuffer(shape, f"{order}i4")
    value = None
    if kind == CELL and cells:
        value = tuple(matrix(content, order, cells=False)[1] for _, content in parts)
    elif kind in (CHAR, *NUMERIC) and parts and parts[0][0] in NUMBERS:
        storage, content = parts[0]
        value = np.frombuffer(content, order + NUMBERS[storage])
        if kind == CHAR:
            value = content.decode() if storage == UTF8 else "".join(map(chr, value))
        else:
            value = value.astype(float).reshape(shape, order="F")
    return name.decode("latin1"), value
