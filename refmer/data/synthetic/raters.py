"""Raters: the emotions that voice and face show, and the votes for them, drawn from people's answers.

The shares are those of CREMA-D (Cao et al. 2014, made available under the Open Database License): given the emotion
that was intended (row), the share of clips whose raters' majority answered each emotion (column), ties shared.
"""

from functools import cache
from itertools import combinations

import numpy as np
from scipy.stats import multinomial

from refmer.data.clips import EMOTIONS
from refmer.data.labels import above_chance, plurality
from refmer.data.noise import generator

RATERS = 10
BLOCK = (24, 2)  # speakers and takes over which the shown emotions follow the shares exactly
# Log-odds that an answer gains from a sense that shows it. Where voice and face differ, the plurality of the votes
# then is what the voice shows in 20 % of clips and what the face shows in 69 %; on CREMA-D, 20 % and 68 % of 2,794 clips.
TILT = {"voice": 0.6, "face": 1.0}

# fmt: off
SHARES = {
    #          anger  disgust fear  happiness neutral sadness
    "voice": ((0.635, 0.136, 0.031, 0.007, 0.189, 0.002),    # anger was intended
              (0.092, 0.304, 0.061, 0.009, 0.482, 0.051),    # disgust
              (0.046, 0.019, 0.350, 0.010, 0.483, 0.091),    # fear
              (0.050, 0.028, 0.061, 0.296, 0.556, 0.009),    # happiness
              (0.009, 0.007, 0.009, 0.000, 0.966, 0.009),    # neutral
              (0.005, 0.021, 0.070, 0.000, 0.703, 0.200)),   # sadness
    "face":  ((0.685, 0.128, 0.021, 0.018, 0.139, 0.009),
              (0.044, 0.661, 0.060, 0.005, 0.038, 0.192),
              (0.068, 0.058, 0.546, 0.006, 0.219, 0.102),
              (0.003, 0.002, 0.003, 0.961, 0.030, 0.001),
              (0.006, 0.018, 0.004, 0.016, 0.933, 0.023),
              (0.012, 0.050, 0.075, 0.005, 0.499, 0.360)),
    "both":  ((0.650, 0.203, 0.042, 0.008, 0.087, 0.010),
              (0.076, 0.605, 0.127, 0.006, 0.083, 0.102),
              (0.047, 0.058, 0.567, 0.011, 0.185, 0.132),
              (0.007, 0.013, 0.016, 0.853, 0.107, 0.004),
              (0.038, 0.053, 0.050, 0.018, 0.787, 0.054),
              (0.020, 0.076, 0.172, 0.006, 0.393, 0.334)),
}
# fmt: on
SHARES = {sense: np.array(rows) / np.sum(rows, axis=1, keepdims=True) for sense, rows in SHARES.items()}  # rows sum to 1


def draw_shown(seed, speaker, emotion, take):
    """Draw the emotions that the voice and the face of one clip show: (voice, face), indices into EMOTIONS.

    A random draw would scatter: 48 clips per emotion are few. So 24 speakers x 2 takes are dealt 48 equal slots of
    [0, 1] in random order, each sense in its own, and the shares cut them. The corpus follows the table to one clip,
    while a clip depends only on its own four numbers.
    """
    rng = generator(seed, "shown", emotion, speaker // BLOCK[0], take // BLOCK[1])
    slots = BLOCK[0] * BLOCK[1]
    mine = speaker % BLOCK[0] * BLOCK[1] + take % BLOCK[1]
    u = [(rng.permutation(slots)[mine] + 0.5) / slots for _ in TILT]
    return tuple(int(np.searchsorted(SHARES[sense][emotion].cumsum()[:-1], x)) for sense, x in zip(TILT, u, strict=True))


@cache
def rater_shares():
    """Return P (intended, voice, face, answer), the probabilities of a rater's answer.

    Every answer's odds are raised by exp(TILT) for each sense that shows it. Weights per intended emotion, found by
    iterative proportional fitting, make the average over the shown emotions equal to the shares of "both".
    """
    k = np.eye(len(EMOTIONS))
    tilt = np.exp(TILT["voice"] * k[:, None, :] + TILT["face"] * k[None, :, :])  # (voice, face, answer)
    joint = SHARES["voice"][:, :, None] * SHARES["face"][:, None, :]  # (intended, voice, face)
    weight = np.ones_like(SHARES["both"])  # (intended, answer)
    for _ in range(100):
        p = weight[:, None, None, :] * tilt
        p /= p.sum(-1, keepdims=True)
        weight *= SHARES["both"] / np.einsum("ivf,ivfk->ik", joint, p)
    return p


def ceiling(label, sense="both"):
    """Return the best score that a guess can expect from the emotions that "voice", "face" or "both" show.

    label: "intended", the emotion that was acted, or "emotion", the plurality of the votes: accuracy; "votes", the classes
    above chance: macro F1, over many clips. All emotions are intended equally often; what the voice and what the face show are
    drawn independently of each other, given the intended emotion.
    """
    shown = SHARES["voice"][:, :, None] * SHARES["face"][:, None, :] / len(EMOTIONS)  # P(intended, voice, face)
    hidden = {"voice": 1, "face": 0, "both": ()}[sense]
    joint = np.einsum("ivf,ivfk->vfk", shown, _given_shown(label)).sum(hidden).reshape(-1, len(EMOTIONS))
    if label != "votes":
        return float(joint.max(-1).sum())
    given = shown.sum(0).sum(hidden).ravel()
    best = []
    for p in joint.T:  # F1 is highest if a class is named wherever it is likelier than some threshold
        order = np.argsort(-p / given)
        best.append((2 * p[order].cumsum() / (given[order].cumsum() + p.sum())).max())
    return float(np.mean(best))


def _given_shown(label):
    """Return P (intended, voice, face, class): of each class, that it is the label (of votes: one of its classes)."""
    K = len(EMOTIONS)
    if label == "intended":
        return np.broadcast_to(np.eye(K)[:, None, None], (K, K, K, K))
    bars = np.array(list(combinations(range(RATERS + K - 1), K - 1)))
    counts = np.diff(bars, prepend=-1, append=RATERS + K - 1) - 1  # all votes of RATERS for K classes
    p = multinomial.pmf(counts, RATERS, rater_shares()[..., None, :])  # (intended, voice, face, counts)
    if label == "votes":
        return p @ above_chance(counts / RATERS)
    named = np.eye(K)[[plurality(counts, np.full(len(counts), k)) for k in range(K)]]  # (intended, counts, class)
    return np.einsum("ivfc,ick->ivfk", p, named)
