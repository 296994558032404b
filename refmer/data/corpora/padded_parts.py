"""Streams of the parts of a corpus, train, valid and test, stored as arrays that are padded with zeros."""

import warnings

import numpy as np

from refmer.data.arrays import pad


def joined(path, name, parts):
    """Return the frames x (N, T, D) float32 of one stream of all parts, and their mask (N, T)."""
    arrays = [padded_array(f"{path.name}: {name} of {key}", part, name) for key, part in parts.items()]
    N, T, D = zip(*(array.shape for array in arrays), strict=True)
    if len(set(D)) > 1:
        raise ValueError(f"{path.name}: {name} has {sorted(set(D))} features in its parts; accepted: as many in all")
    x, mask = np.zeros((sum(N), max(T), D[0]), np.float32), np.zeros((sum(N), max(T)), bool)
    start = 0
    for array, part in zip(arrays, parts.values(), strict=True):
        rows = slice(start, start := start + len(array))
        x[rows, : array.shape[1]] = array
        mask[rows] = np.arange(max(T)) < lengths(name, part, x[rows])[:, None]
    finite = np.isfinite(x)
    if bad := x.size - np.count_nonzero(finite):
        warnings.warn(f"{path.name}: {bad} values of {name} are not finite and read as 0", stacklevel=3)
        x[~finite] = 0
    mask &= np.cumsum(x.any(-1), axis=1) > 0  # some versions have zeros before the first frame
    x[~mask] = 0
    return x, mask


def padded_array(label, part, name):
    """Return the frames (N, T, D) of a part, of which a list of arrays (T, D) is padded."""
    value, n = part[name], len(part["id"])
    if isinstance(value, list) and value and all(isinstance(x, np.ndarray) and x.ndim == 2 for x in value):
        if len(set(map(id, value))) == len({x.shape[1] for x in value}) * len(value):  # not one array many times
            value = pad(value)[0]
    if not isinstance(value, np.ndarray) or value.ndim != 3 or value.dtype.kind not in "biuf" or len(value) != n:
        raise ValueError(f"{label} is no array (N, T, D) for {n} clips; accepted: numbers, or a list of arrays (T, D)")
    return value


def lengths(name, part, x):
    """Return the numbers of frames (N,) of clips: as the file says, or up to the last frame that is not zero."""
    if f"{name}_lengths" in part:
        return np.asarray(part[f"{name}_lengths"]).ravel()
    if name == "text" and "text_bert" in part:  # (N, 3, T): codes, mask, segments
        return np.asarray(part["text_bert"])[:, 1].sum(-1)
    valid = (x != 0).any(-1)
    return np.where(valid.any(1), x.shape[1] - valid[:, ::-1].argmax(1), 0)
