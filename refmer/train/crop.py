"""Windows of long recordings for training."""

import numpy as np


def one_window(batch, rng, steps):
    """`steps` consecutive steps of every recording, from a step drawn anew each time; all if there are no more.

    Arrays of the batch are (B, S, ...), but `class_count` and, where there is no `target_mask`, `target`. A window begins
    between the first step and the one from which on `steps` are left up to the last step that any mask shows. Without a
    generator (evaluation) the batch comes back unchanged.
    """
    cut = set(batch) - ({"class_count"} if "target_mask" in batch else {"class_count", "target"})
    B, S = batch[min(cut)].shape[:2]
    if rng is None or S <= steps:
        return batch
    shown = np.any([batch[k] for k in cut if k.endswith("_mask")], 0)  # (B, S)
    length = (shown * np.arange(1, S + 1)).max(1)
    begins = rng.integers(0, np.maximum(length - steps, 0) + 1)
    rows, index = np.arange(B)[:, None], begins[:, None] + np.arange(steps)
    return {k: x[rows, index] if k in cut else x for k, x in batch.items()}
