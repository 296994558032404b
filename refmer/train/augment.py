"""Augmentation of training batches: functions from batch to batch, which do not change their input.

A batch is a dict of arrays: streams by name (floats, clips first), their masks `<stream>_mask` (bool), `target` (soft), and
`class_count`, which has no clips. Without a generator (evaluation) the batch is returned unchanged.
"""

import numpy as np

from refmer.choices import choose


def mixup(batch, rng, a=0.2):
    """Mix each clip with another clip of the batch: inputs and soft targets by the same share.

    x' = s x + (1 - s) x_other, s ~ Beta(a, a), drawn once per batch (Zhang et al. 2018; paper 000's code has a = 0.2). A step
    is valid if it is valid in either clip; padding counts as 0.

    Parameters
    ----------
    batch : dict of arrays
    rng : numpy.random.Generator or None
    a : float
        Above 0; for a small value s is close to 0 or 1.

    Returns
    -------
    dict of arrays
    """
    if not a > 0:
        raise ValueError(f"a is {a}; accepted: above 0")
    if rng is None:
        return batch
    share = float(rng.beta(a, a))
    other = rng.permutation(_clips(batch))
    mixed = dict(batch)
    for name, x in batch.items():
        if name == "class_count" or x is None:
            continue
        if x.dtype.kind not in "bf":
            raise ValueError(f"{name} has dtype {x.dtype}; accepted: float (features, soft targets) or bool (masks)")
        mixed[name] = x | x[other] if x.dtype == bool else share * x + (1 - share) * x[other]
    return mixed


def modality_dropout(batch, rng, rates, per="sample"):
    """Remove one stream from a part of the clips: its features become 0, its mask False.

    Each clip loses at most one stream. With per="sample" the batch is split into groups of the given shares (paper 002: 20 %
    without audio, 20 % without video, 60 % with both), exact up to one clip; with per="batch" one draw holds for all clips
    (its code; paper 004).

    Parameters
    ----------
    batch : dict of arrays
    rng : numpy.random.Generator or None
    rates : dict
        {stream: share of the clips that lose it}, as {"logmel": 0.2, "units": 0.2}; together at most 1.
    per : "sample" or "batch"

    Returns
    -------
    dict of arrays
    """
    choose("per", per, ("sample", "batch"))
    if not all(0 <= rate < 1 for rate in rates.values()) or sum(rates.values()) > 1 + 1e-9:
        raise ValueError(f"rates are {rates}; accepted: 0 <= rate < 1 each, at most 1 together")
    if unknown := set(rates) - set(batch):
        raise ValueError(f"rates name {sorted(unknown)}; accepted: streams of the batch, {sorted(batch)}")
    if rng is None:
        return batch
    B = _clips(batch)
    u = (rng.permutation(B) + rng.random()) / B if per == "sample" else np.full(B, rng.random())  # uniform in [0, 1)
    lost = np.searchsorted(np.cumsum(list(rates.values())), u, side="right")
    changed = dict(batch)
    for i, stream in enumerate(rates):
        for name in {stream, f"{stream}_mask"} & set(batch):
            x = batch[name]
            keep = (lost != i).reshape(-1, *[1] * (x.ndim - 1))
            changed[name] = np.where(keep, x, x.dtype.type(0))
    return changed


def _clips(batch):
    """Return the number of clips, checked to be the same in all arrays."""
    counts = {name: len(x) for name, x in batch.items() if name != "class_count" and x is not None}
    if len(set(counts.values())) != 1 or 0 in counts.values():
        raise ValueError(f"the arrays of the batch have {counts} clips; accepted: the same number, at least 1")
    return next(iter(counts.values()))
