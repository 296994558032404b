"""Windows of long recordings for training."""

import numpy as np


def one_window(batch, rng, steps):
    """Return `steps` consecutive steps of every recording, from a random first step; the batch itself if it has no more.

    Arrays of the batch are (B, S, ...), except `class_count` and, without a `target_mask`, `target`. A window ends at the last
    step that is valid in any mask, or before it, where the recording is long enough. Without a generator (evaluation) the
    batch is returned unchanged.
    """
    cut = set(batch) - ({"class_count"} if "target_mask" in batch else {"class_count", "target"})
    B, S = batch[min(cut)].shape[:2]
    if rng is None or S <= steps:
        return batch
    valid = np.any([batch[k] for k in cut if k.endswith("_mask")], 0)  # (B, S)
    length = (valid * np.arange(1, S + 1)).max(1)
    begins = rng.integers(0, np.maximum(length - steps, 0) + 1)
    rows, index = np.arange(B)[:, None], begins[:, None] + np.arange(steps)
    return {k: x[rows, index] if k in cut else x for k, x in batch.items()}
