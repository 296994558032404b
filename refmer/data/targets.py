"""What is learned: the labels of clips, by name of the target."""

import numpy as np

SENTIMENT_CLASSES = ("-3", "-2", "-1", "0", "+1", "+2", "+3")
TARGETS = ("sentiment", "emotion")


def sentiment_class(sentiment):
    """Seven classes 0..6: clipped to [-3, 3] and rounded, halves to even (numpy.round), as MulT and MMSA do."""
    return np.round(np.clip(sentiment, -3, 3)).astype(int) + 3


def class_names(clips, target):
    """Names of the classes of a target."""
    return SENTIMENT_CLASSES if target == "sentiment" else clips.classes


def labels(clips, target):
    """Class of each clip, (N,) int.

    Raises
    ------
    ValueError
        If the target is unknown or the clips have no such labels.
    """
    if target not in TARGETS:
        raise ValueError(f"target is {target!r}; accepted: {', '.join(TARGETS)}")
    value = getattr(clips, target)
    if value is None:
        raise ValueError(f"these clips have no {target} labels ({clips.source})")
    return sentiment_class(value) if target == "sentiment" else value.astype(int)


def one_hot(label, classes):
    """(N,) int -> (N, K) float32."""
    return np.eye(classes, dtype=np.float32)[label]
