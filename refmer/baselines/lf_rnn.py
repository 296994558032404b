"""LF-RNN, with which paper 000 compares: an LSTM per modality, their last valid states concatenated, two linear maps."""

from dataclasses import dataclass

import numpy as np

from refmer.baselines import tfn
from refmer.layers.dense import describe_mlp, mlp
from refmer.layers.sequence import describe_lstm
from refmer.ops.contracts import closure

MODALITIES = tfn.MODALITIES
RECIPE = "baselines"
VARIANTS = {"lf_rnn": ({}, None)}  # paper 000 prints 12 MB, no number of parameters and no width
loss, example = tfn.loss, tfn.example


@dataclass(frozen=True)
class Config(tfn.Sequences):
    """Sizes: those of tfn.Sequences, `hidden` and `dropout` between the two maps, and this.

    Parameters
    ----------
    width : int
        Of the LSTMs.
    """

    TINY = tfn.Sequences.TINY | {"width": 16}

    width: int = 128


def describe(config):
    readers = {m: {"lstm": describe_lstm(getattr(config, m), config.width)} for m in config.modalities}
    return readers | {"head": describe_mlp(len(config.modalities) * config.width, config.hidden, config.classes)}


@closure
def forward(p, batch, config, rng=None, trace=None):
    """logits = W2 dropout(relu(W1 [h_V; h_A; h_T] + b1)) + b2, h_m the last valid state of modality m's LSTM."""
    parts = [tfn.last_state(getattr(p, m), batch[m], batch[f"{m}_mask"]) for m in config.modalities]  # (B, C) each
    logits, back_head = mlp(p.head, np.concatenate([h for h, _ in parts], -1), config.dropout, rng)

    def backward(dout, g):
        dstates = np.split(back_head(dout["logits"], g.head), len(config.modalities), -1)
        return {m: back(ds, getattr(g, m)) for m, (_, back), ds in zip(config.modalities, parts, dstates, strict=True)}

    return {"logits": logits}, backward
