"""Sinusoidal positions: a fixed table, added to a sequence so that attention can tell its steps apart."""

import math

import numpy as np


def sinusoidal(length, width):
    """Row t is [sin((t + 1) f) | cos((t + 1) f)], f_i = exp(-i ln(10^4) / (half - 1)), half = width // 2. -> (length, width).

    The layout of fairseq and of paper 002's code: positions from 1, sines first (Vaswani et al. 2017 interleave them); a last
    odd channel is 0.
    """
    if length < 0 or width < 2:
        raise ValueError(f"length is {length} and width {width}; accepted: lengths from 0, widths from 2")
    half = width // 2
    f = np.exp(-np.arange(half) * math.log(1e4) / max(half - 1, 1))
    angle = np.arange(1, length + 1)[:, None] * f  # (length, half)
    return np.concatenate([np.sin(angle), np.cos(angle), np.zeros((length, width % 2))], axis=1)
