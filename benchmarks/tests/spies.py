"""Spies on refmer's dropout."""

import numpy as np

import refmer.layers.attention
import refmer.ops.dense


def dropped(monkeypatch):
    """Return a list that receives (numbers, rate) of each later call of dropout, which then drops nothing."""
    calls = []

    def dropout(x, key, rate):
        calls.append((x.size, rate))
        return x

    def kept(n, key, rate):
        calls.append((n, rate))
        return np.ones(n, bool)

    monkeypatch.setattr(refmer.ops.dense, "dropout", dropout)
    monkeypatch.setattr(refmer.ops.dense, "dropout_backward", lambda dy, key, rate: dy)
    monkeypatch.setattr(refmer.layers.attention, "kept", kept)
    return calls
