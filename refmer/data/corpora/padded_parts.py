"""Streams of the parts of a corpus, train, valid and test, stored as arrays that are padded with zeros."""

import warnings

import numpy as np

from refmer.data.arrays import pad


def joined(path, name, parts):
    """Return the frames x (N, T, D) float32 of one stream of all parts, and their mask (N, T)."""
    clips, bad = [], 0
    for key, part in parts.items():
        rows = list(part[name]) if isinstance(part[name], (list, np.ndarray)) else [part[name]]
        shapes = {getattr(x, "shape", ("not an array",))[1:] for x in rows}
        numeric = all(isinstance(x, np.ndarray) and x.ndim == 2 and x.dtype.kind in "biuf" for x in rows)
        if not numeric or not len(rows) == len(set(map(id, rows))) == len(part["id"]) or len(shapes) > 1:
            accepted = f"(N, T, D) for {len(part['id'])} clips; accepted: numbers, or a list of arrays (T, D)"
            raise ValueError(f"{path.name}: {name} of {key} is no array {accepted}")
        for x, n in zip(rows, lengths(name, part, rows), strict=True):
            bad += (~np.isfinite(x)).sum()
            clips.append(np.nan_to_num(x[:n].astype(np.float32), nan=0, posinf=0, neginf=0))
    if bad:
        warnings.warn(f"{path.name}: {bad} values of {name} are not finite and read as 0", stacklevel=3)
    if len(widths := sorted({x.shape[1] for x in clips})) > 1:
        raise ValueError(f"{path.name}: {name} has {widths} features in its parts; accepted: as many in all")
    x, mask = pad(clips)
    return x, mask & (np.cumsum(x.any(-1), axis=1) > 0)  # some versions have zeros before the first frame


def lengths(name, part, rows):
    """Return the numbers of frames of clips: as the file says, or up to the last frame that is not zero."""
    if f"{name}_lengths" in part:
        return [int(n) for n in part[f"{name}_lengths"]]
    if name == "text" and "text_bert" in part:  # (N, 3, T): codes, mask, segments
        return [int(n) for n in np.asarray(part["text_bert"])[:, 1].sum(-1)]
    return [int(np.max(np.flatnonzero(x.any(-1)), initial=-1)) + 1 for x in rows]
