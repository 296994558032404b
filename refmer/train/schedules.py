"""Learning rates over epochs."""

import math


def cosine(lr, floor, epoch, epochs):
    """From `lr` at epoch 0 to `floor` at the last along half a cosine (Loshchilov and Hutter 2017, eq. 5)."""
    return floor + (lr - floor) * 0.5 * (1 + math.cos(math.pi * epoch / max(epochs - 1, 1)))
