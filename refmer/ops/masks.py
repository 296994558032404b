"""Masks of attention: bool, True where a query may look. They broadcast to scores (B, H, T, S) and combine by `&`."""

import numpy as np


def key_mask(valid):
    """Every query sees the valid keys only. valid (B, S) -> (B, 1, 1, S)."""
    if valid.dtype != bool or valid.ndim != 2:
        raise ValueError(f"valid has dtype {valid.dtype} and shape {valid.shape}; accepted: bool, (clips, keys)")
    return valid[:, None, None, :]


def causal(queries, keys):
    """Query t sees keys up to t; where lengths differ, the last query sees the last key. -> (queries, keys)."""
    return np.tri(queries, keys, keys - queries, dtype=bool)


def banded(queries, keys, width):
    """Query t sees keys s with |t - s| <= width. -> (queries, keys)."""
    if width < 0:
        raise ValueError(f"width is {width}; accepted: 0 (itself only) or more")
    return np.abs(np.arange(queries)[:, None] - np.arange(keys)) <= width


def fitting(mask, x):
    """The mask, if it is bool and broadcasts to x.

    Raises
    ------
    ValueError
        Otherwise, with both shapes.
    """
    if mask.dtype != bool:
        raise ValueError(f"mask has dtype {mask.dtype}; accepted: bool, True where there is something to see")
    try:
        fits = np.broadcast_shapes(mask.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"mask has shape {mask.shape}; accepted: a shape that broadcasts to {x.shape}")
    return mask
