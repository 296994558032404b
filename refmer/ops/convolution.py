"""What a convolution needs besides a matrix product: windows along an axis, and weight normalisation.

A convolution is (windows) @ W. Three rules of padding, with reach = dilation (size - 1), the distance from a window's first
tap to its last: "valid" adds nothing; "same" adds reach zeros, half before and half after (an odd one after), so that stride
1 keeps the length; "causal" adds them all before, so that output t sees nothing later than input stride * t.
"""

import numpy as np


def padding_of(padding, size, dilation=1):
    """How many zeros go (before, after) the sequence."""
    if size < 1 or dilation < 1:
        raise ValueError(f"size is {size} and dilation {dilation}; accepted: integers from 1")
    reach = dilation * (size - 1)
    rules = {"valid": (0, 0), "same": (reach // 2, reach - reach // 2), "causal": (reach, 0)}
    if padding not in rules:
        raise ValueError(f"padding is {padding!r}; accepted: {', '.join(rules)}")
    return rules[padding]


def windows(x, size, stride=1, dilation=1, padding="same", axis=1):
    """y[:, t, j] = x[:, stride t + dilation j - before], 0 outside.   x (B, T, C) -> (B, T', size, C).

    Along another axis likewise: the taps j always become the last axis but one. T' = floor((T + before + after - reach - 1) /
    stride) + 1.
    """
    before, after = padding_of(padding, size, dilation)
    T = x.shape[axis]
    steps = (T + before + after - dilation * (size - 1) - 1) // stride + 1 if stride >= 1 else 0
    if steps < 1:
        asked = f"size {size}, stride {stride}, dilation {dilation}, padding {padding!r}"
        raise ValueError(f"no window fits: axis {axis} has length {T} (shape {x.shape}), asked for {asked}")
    index = stride * np.arange(steps)[:, None] + dilation * np.arange(size)  # (T', size), into the padded axis
    padded = np.pad(x, [(before, after) if a == axis else (0, 0) for a in range(x.ndim)])
    return np.moveaxis(np.take(padded, index, axis), axis + 1, -2), index, slice(before, before + T), padded.shape[axis], axis


def windows_backward(dy, index, inside, length, axis):
    dy = np.moveaxis(dy, (axis, -2), (0, 1))  # (T', size, ...)
    dx = np.zeros((length, *dy.shape[2:]), dy.dtype)
    for j in range(index.shape[1]):  # an input is in many windows; within one tap the steps are distinct
        dx[index[:, j]] += dy[:, j]
    return np.moveaxis(dx[inside], 0, axis)


def thin_mask(mask, size, stride=1, dilation=1, padding="same"):
    """Mask of the windows: valid where the clip without its padding would have had a window.   (B, T) -> (B, T').

    That is where input stride t ("same", "causal") or the last tap ("valid") is valid.
    """
    return mask[:, dilation * (size - 1) - sum(padding_of(padding, size, dilation)) :: stride]


def weight_norm(v, gain):
    """W = gain v / |v|, a length and a direction per output.   v (D, E), gain (E)   (Salimans and Kingma 2016, eq. 2)."""
    rnorm = 1 / np.sqrt((v * v).sum(0))
    unit = v * rnorm
    return gain * unit, unit, rnorm, gain


def weight_norm_backward(dW, unit, rnorm, gain):
    # W = gain unit, unit = v / |v|:  only what is perpendicular to v turns it
    dgain = (dW * unit).sum(0)
    return gain * rnorm * (dW - dgain * unit), dgain
