"""Masks: bool. Of attention True where a query may look; they broadcast to scores (B, H, T, S) and combine by `&`."""

import numpy as np

from refmer.ops.twins import twin


def key_mask(valid):
    """Every query sees the valid keys only. valid (B, S) -> (B, 1, 1, S)."""
    if valid.dtype != bool or valid.ndim != 2:
        raise ValueError(f"valid has dtype {valid.dtype} and shape {valid.shape}; accepted: bool, (clips, keys)")
    return valid[:, None, None, :]


def causal(queries, keys):
    """Query t sees keys up to t; where lengths differ, the last query sees the last key. -> (queries, keys)."""
    return np.tri(queries, keys, keys - queries, dtype=bool)


def causal_between(queries, keys):
    """Query t sees keys up to t + |N_q - N_k|: the rule of MulT's and paper 002's code, on each clip's own lengths.

    queries (B, T), keys (B, S) bool, True where there is a step -> (B, 1, T, S). N counts the steps up to the last valid one:
    padding changes nothing. Unlike `causal` it leaves no query blind where N_q > N_k; from N_q = 2 N_k - 1 on it hides nothing.
    """
    T, S = queries.shape[1], keys.shape[1]
    n_q, n_k = ((valid * np.arange(1, valid.shape[1] + 1)).max(1, initial=0) for valid in (queries, keys))
    return np.arange(S) <= np.arange(T)[:, None] + np.abs(n_q - n_k)[:, None, None, None]


def banded(queries, keys, width):
    """Query t sees keys s with |t - s| <= width. -> (queries, keys)."""
    if width < 0:
        raise ValueError(f"width is {width}; accepted: 0 (itself only) or more")
    return np.abs(np.arange(queries)[:, None] - np.arange(keys)) <= width


@twin
def markov(u, first, p, r):
    """States of N Markov chains, False to True with probability p, back with r.   u (S, N) uniform, first (1, N) bool."""
    states = np.zeros(u.shape, bool)
    states[:1] = first
    for s in range(1, len(u)):
        states[s] = np.where(states[s - 1], u[s] >= r, u[s] < p)
    return states


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
