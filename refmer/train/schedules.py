"""Learning rates over epochs: functions of the recipe and of the history up to now."""

import math


def constant(recipe, history):
    """lr."""
    return recipe.lr


def cosine(recipe, history):
    """From lr in the first epoch to `floor` in the last along half a cosine (Loshchilov and Hutter 2017, eq. 5)."""
    turn = math.cos(math.pi * len(history) / max(recipe.epochs - 1, 1))
    return recipe.floor + (recipe.lr - recipe.floor) * 0.5 * (1 + turn)


def step(recipe, history):
    """lr factor^k, k the number of steps taken: at epoch `start` (counted from 1) and every `every` epochs after it."""
    epoch = len(history) + 1
    return recipe.lr * recipe.factor ** max(0, (epoch - recipe.start) // recipe.every + 1)


def plateau(recipe, history):
    """lr factor^k, k the number of times that more than `every` epochs passed without a smaller development loss."""
    lowest, waited, k = math.inf, 0, 0
    for entry in history:
        lowest, waited = (entry["dev_loss"], 0) if entry["dev_loss"] < lowest else (lowest, waited + 1)
        if waited > recipe.every:  # as PyTorch's ReduceLROnPlateau
            waited, k = 0, k + 1
    return recipe.lr * recipe.factor**k


SCHEDULES = {"constant": constant, "cosine": cosine, "step": step, "plateau": plateau}
