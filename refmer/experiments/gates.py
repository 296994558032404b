"""Trust over time (paper 000, Fig. 3): the gates on a sliding window while the face is covered and then the sound is noisy."""

import numpy as np
from sklearn.metrics import roc_auc_score

from refmer.data.corrupt import corrupt
from refmer.data.synthetic.synthesize import synthesize
from refmer.data.windows import windows

SECONDS, WINDOW, HOP = 6.0, 0.5, 0.1
COVERED, NOISY = (2.0, 3.0), (4.0, 5.0)
SPANS = {"visual": COVERED, "audio": NOISY}  # what befalls which gate
SEED = 1  # of new clips, with speakers of their own: the bundled corpus is seed 0


def gates(model, train):
    """Mean and standard deviation over clips of both gates at the end of each window: a summary of `alphas`.

    Returns
    -------
    dict
        n, time (W,) in s, and for visual and audio the lists mean (W,) and sd (W,).
    """
    return curve(*alphas(model, train))


def curve(ends, alpha):
    """What `gates` returns, from what `alphas` does."""
    found = {"n": len(alpha["visual"]), "time": ends.round(6).tolist()}
    return found | {m: {"mean": a.mean(0).tolist(), "sd": a.std(0, ddof=1).tolist()} for m, a in alpha.items()}


def alphas(model, train):
    """Both gates on every window of some new clips.

    The clips are synthetic, 6 s long, with 4 new speakers. From 2 to 3 s a hand covers the whole face (the tracker guesses:
    refmer/data/corrupt_face.py); from 4 to 5 s there is white noise as loud as the voice (0 dB), before the front end.

    Returns
    -------
    ends : array (W,)
        Second at which each window ends.
    alpha : {"visual", "audio": array (N, W)}
    """
    clips = synthesize(speakers=4, takes=1, seed=SEED, duration=(SECONDS, SECONDS))
    clips = corrupt(clips, "voice", "white", 0.0, span=NOISY, seed=SEED)
    clips = corrupt(clips, "face", "hand", 1.0, scale_from=train, span=COVERED, seed=SEED)
    parts, ends = windows(clips, WINDOW, HOP)
    trace = model.explain(parts)
    return ends, {m: trace[f"{m}.gate"].reshape(len(clips), len(ends)).astype(float) for m in SPANS}


def detection(alpha, ends, span, window=WINDOW):
    """How a gate sees a disturbance of its modality.

    A window of (end - window, end] is corrupted if all of it lies in the span and clean if none of it does; what lies in
    between belongs to neither.

    Parameters
    ----------
    alpha : array (N, W)
        The gate on W windows of N clips.
    ends : array (W,)
        Second at which each window ends.
    span : (start, end)
        Seconds of the disturbance.
    window : float
        Seconds.

    Returns
    -------
    dict
        before, during, after: mean gate on clean windows before the span, on corrupted ones, and on clean ones after it;
        fall: seconds from the start of the span until the mean over clips is below half of `before`, None if that does not
        happen while a window touches the span; auroc: area under the ROC curve of 1 - alpha as a detector of corrupted
        windows among corrupted and clean ones, of all clips together (1/2: it sees nothing).

    Raises
    ------
    ValueError
        If no window is clean before the span, none corrupted, or none clean after it.
    """
    slack, (start, stop) = 1e-9, span
    parts = {
        "before": ends <= start + slack,
        "during": (ends - window >= start - slack) & (ends <= stop + slack),
        "after": ends - window >= stop - slack,
    }
    if not all(part.any() for part in parts.values()):
        raise ValueError(f"windows end at {ends.tolist()} s, the span is {span}; accepted: some before, inside and after it")
    found = {name: float(alpha[:, part].mean()) for name, part in parts.items()}
    touched = (ends > start + slack) & ~parts["after"]
    below = ends[touched & (alpha.mean(0) < found["before"] / 2)]
    corrupted, clean = alpha[:, parts["during"]].ravel(), alpha[:, parts["before"] | parts["after"]].ravel()
    truth = np.repeat([1, 0], [corrupted.size, clean.size])
    auroc = float(roc_auc_score(truth, 1 - np.concatenate([corrupted, clean])))
    return found | {"fall": round(float(below[0] - start), 6) if below.size else None, "auroc": auroc}
