"""From a sequence in windows to what is asked for, and how that is scored (paper 003 and its baselines).

`head(p, h) -> y, backward` is the regressor; h (B W, T, D) and valid (B W, T) are B clips of `steps` steps in windows.
"""

import numpy as np

from refmer.layers.sequence import mean_pool
from refmer.layers.subsequences import unfold
from refmer.ops.losses import balanced_weights, ccc_loss, ccc_loss_backward, cross_entropy, cross_entropy_backward


def every_step(head, p, h, valid, clips, steps):
    """affect (B, S, 2), valence and arousal of every step."""
    y, back_head = head(p, h)
    y, back_unfold = unfold(y, clips, steps)
    return {"affect": y}, lambda dout, g: back_head(back_unfold(dout["affect"]), g)


def every_window(head, p, h, valid, clips, steps):
    """affect (B, S, 2), one answer for all steps of a window, from the mean over its valid steps."""
    mean, back_mean = mean_pool(h, valid)
    y, back_head = head(p, mean)  # (B W, 2)
    same, back_unfold = unfold(np.repeat(y[:, None], h.shape[1], 1), clips, steps)
    return {"affect": same}, lambda dout, g: back_mean(back_head(back_unfold(dout["affect"]).sum(1), g))


def whole_clip(head, p, h, valid, clips, steps):
    """logits (B, K), from the mean over all valid steps of a clip."""
    long, back_unfold = unfold(h, clips, steps)
    mean, back_mean = mean_pool(long, unfold(valid, clips, steps)[0])
    y, back_head = head(p, mean)
    return {"logits": y}, lambda dout, g: back_unfold(back_mean(back_head(dout["logits"], g)))


def answer_for(target, pooled=False):
    """One of the three, by what is learned."""
    return whole_clip if target == "emotion" else every_window if pooled else every_step


def concordance(out, batch, ddof=0):
    """L = 1 - (rho_v + rho_a) / 2 over all valid steps of the batch (paper 003, eq. 15-16)."""
    value, *saved = ccc_loss(out["affect"], batch["target"], batch["target_mask"], ddof)
    return value, {"ccc": value}, {"affect": ccc_loss_backward(1.0, *saved)}


def classification(out, batch, ddof=0):
    """Cross-entropy, classes weighted against their `class_count` (K,)."""
    value, *saved = cross_entropy(out["logits"], batch["target"], balanced_weights(batch["class_count"]))
    return value, {"cross_entropy": value}, {"logits": cross_entropy_backward(1.0, *saved)}


LOSSES = {"affect": concordance, "emotion": classification}
