"""Scores of predictions: scikit-learn's where it has them; where there are several conventions, the name says which."""

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from refmer.ops.regression import ccc


def acc2_has0(y, prediction):
    """Share of right signs, 0 counted as positive: (y >= 0) against (y < 0), as MMSA's regression branch."""
    return float(np.mean((np.asarray(y) >= 0) == (np.asarray(prediction) >= 0)))


def acc2_non0(y, prediction):
    """Share of right signs among clips with y != 0: (y > 0) against (y < 0), as MulT's training script. nan if none is left."""
    y, prediction = np.asarray(y), np.asarray(prediction)
    kept = y != 0
    return float(np.mean((y[kept] > 0) == (prediction[kept] > 0))) if kept.any() else float("nan")


def votes(y, answer):
    """Scores of multi-label answers, y and answer (N, K) bool: n, macro and micro F1, and sample precision (paper 004, V)."""
    precision = (y & answer).sum(1) / np.maximum(answer.sum(1), 1)
    return {
        "n": len(y),
        "macro_f1": float(f1_score(y, answer, average="macro", zero_division=0)),
        "micro_f1": float(f1_score(y, answer, average="micro", zero_division=0)),
        "sample_precision": float(precision.mean()),
    }


def regression(y, answer, mask):
    """Concordance (population moments) of valence and arousal over all valid steps of all clips.   y, answer (N, T, 2)."""
    valence, arousal = ccc(answer.astype(np.float64), y.astype(np.float64), mask)[0].tolist()
    return {"n": len(y), "ccc": (valence + arousal) / 2, "ccc_valence": valence, "ccc_arousal": arousal}


def classification(y, prediction, names, target):
    """All scores of class predictions.

    y, prediction: (N,) ints below K = len(names). -> dict: n, accuracy, macro_f1 (over classes that occur), weighted_f1, for
    sentiment also acc2_has0 and acc2_non0 on the classes -3..3; confusion (K, K), rows true, columns predicted.
    """
    scores = {
        "n": len(y),
        "accuracy": float(accuracy_score(y, prediction)),
        "macro_f1": float(f1_score(y, prediction, average="macro", labels=np.unique(y), zero_division=0)),
        "weighted_f1": float(f1_score(y, prediction, average="weighted", zero_division=0)),
    }
    if target == "sentiment":
        scores |= {"acc2_has0": acc2_has0(y - 3, prediction - 3), "acc2_non0": acc2_non0(y - 3, prediction - 3)}
    return scores | {"confusion": confusion_matrix(y, prediction, labels=range(len(names))).tolist()}
