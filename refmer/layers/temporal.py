"""The temporal block of paper 003 (TLAB): an LSTM and a TCN over one sequence, and attention between the two.

Also what eq. (11) adds to the output of joint cross-attention: RESIDUALS.
"""

from typing import NamedTuple

import numpy as np

from refmer.layers import tlab_jca_code, tlab_jca_paper
from refmer.layers.convolution import describe_tcn, hide, tcn
from refmer.layers.trace import scope

PARTS = {"paper": tlab_jca_paper, "code": tlab_jca_code}


class Rates(NamedTuple):
    """Dropout in the TCN, between LSTM layers, on attention weights, in dense co-attention, in the regressor."""

    tcn: float = 0.0
    lstm: float = 0.0
    attention: float = 0.0
    fusion: float = 0.0
    head: float = 0.0


NO_DROPOUT = Rates()


def describe_temporal(variant, width, layers=1, blocks=2, use=("tcn", "lstm", "attention")):
    """`use` names what is there (paper 003, Table 4)."""
    part = PARTS[variant]
    tree = {
        "tcn": describe_tcn(width, [width] * blocks),
        "lstm": part.describe_recur(width, layers),
        "attention": part.describe_attend(width),
    }
    return {name: tree[name] for name in use}


def temporal(p, x, valid, variant, rates=NO_DROPOUT, rng=None, band=None, dilations=None, trace=None):
    """y = Attention(LSTM(x), TCN(x)), eq. (1)-(6).   x (B, T, C), valid (B, T).

    What p has not is left out: x itself takes the place of a missing LSTM or TCN; without attention the LSTM and the TCN are
    added, and where neither is left y = x.
    """
    part = PARTS[variant]
    x, back_hide = hide(x, valid)
    backs = {}
    recurrent = convolved = x
    if hasattr(p, "lstm"):
        recurrent, backs["lstm"] = part.recur(p.lstm, x, valid, rates, rng)
    if hasattr(p, "tcn"):
        convolved, backs["tcn"] = tcn(p.tcn, x, 3, dilations, mask=valid, rate=rates.tcn, rng=rng)
    if hasattr(p, "attention"):
        y, back_join = part.attend(p.attention, recurrent, convolved, valid, rates, rng, band, scope(trace, "attention"))
    else:
        y, back_join = _add(recurrent, convolved, backs)

    def backward(dy, g):
        drecurrent, dconvolved = back_join(dy, getattr(g, "attention", None))
        dx = backs["lstm"](drecurrent, g.lstm) if "lstm" in backs else drecurrent
        return back_hide(dx + (backs["tcn"](dconvolved, g.tcn) if "tcn" in backs else dconvolved))

    return y, backward


def _add(recurrent, convolved, there):
    """The sum of those of the two that are there; x, which both are, if none is."""
    r, c = float("lstm" in there or not there), float("tcn" in there)
    return r * recurrent + c * convolved, lambda dy, g: (r * dy, c * dy)


def of_tlab(fa, fv, a, v, sound, x, heard, seen):
    """Nothing to do: JCA has added its own inputs."""
    return fa, fv, lambda dfa, dfv, da, dv: (da, dv, 0.0, 0.0)


def of_input(fa, fv, a, v, sound, x, heard, seen):
    """The inputs of TLAB in place of its outputs (0 where the modality has no step)."""
    valid = heard | seen
    before = [hide(z, m)[0] - hide(y, valid)[0] for z, y, m in ((sound, a, heard), (x, v, seen))]

    def backward(dfa, dfv, da, dv):
        kept = [np.where(valid[..., None], d, 0) for d in (dfa, dfv)]
        return da - kept[0], dv - kept[1], np.where(heard[..., None], dfa, 0), np.where(seen[..., None], dfv, 0)

    return fa + before[0], fv + before[1], backward


RESIDUALS = {"tlab": of_tlab, "input": of_input}
