"""Augmentation: batch -> batch, nothing written into. A batch is a dict of arrays, a row per clip, and `class_weight`."""

import numpy as np


def mixup(rng, batch, a):
    """x' = lam x + (1 - lam) x[order], and the same for the targets; lam ~ Beta(a, a), one for the batch (Zhang et al. 2018).

    A mixed clip has a stream if either of its two clips has it.
    """
    if a == 0:
        return batch
    lam, order = np.float32(rng.beta(a, a)), rng.permutation(len(batch["target"]))
    mixed = {}
    for name, x in batch.items():
        if name == "class_weight":
            mixed[name] = x
        else:
            mixed[name] = x | x[order] if x.dtype == bool else lam * x + (1 - lam) * x[order]
    return mixed
