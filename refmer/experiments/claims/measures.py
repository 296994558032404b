"""Measures of a trained model: scores under conditions, and probes of its inner variables."""

from copy import copy
from dataclasses import replace

import numpy as np
from sklearn.metrics import roc_auc_score

from refmer.data.corrupt import corrupt
from refmer.evaluate.calibration import brier_labels
from refmer.experiments import gates
from refmer.experiments.gates import COVERED
from refmer.int8.model import quantize
from refmer.layers.attention import attention, embed
from refmer.layers.dense import layer_norm

SIGMAS, SNRS, LOST = (0.5, 1.0, 2.0, 4.0), (20.0, 10.0, 0.0), (0.5, 0.9, 0.95, 1.0)
BURSTS = {"25 %": (0.05, 0.15), "50 %": (0.1, 0.1), "75 %": (0.15, 0.05)}  # long-run loss: switching to bad, to good
WHITE = {"sense": "voice", "kind": "white", "amount": 0.0}
HAND = {"sense": "face", "kind": "hand", "amount": 1.0}
LAUGHTER = {"sense": "voice", "kind": "laughter", "amount": -10.0}
CONDITIONS = {"clean": ()}  # corruptions, one after the other
CONDITIONS |= {f"face noise {s:g}": ({"sense": "face", "kind": "gaussian", "amount": s},) for s in SIGMAS}
CONDITIONS |= {f"white {s:g} dB": (WHITE | {"amount": s},) for s in SNRS}
CONDITIONS |= {
    f"{sense} lost {s:g}": ({"sense": sense, "kind": "missing", "amount": s},) for sense in ("face", "voice") for s in LOST
}
CONDITIONS |= {
    f"bursts {name}": ({"sense": "voice+face", "kind": "bursty", "amount": chain},) for name, chain in BURSTS.items()
}
CONDITIONS |= {"hand": (HAND,), "laughter": (LAUGHTER,), "hand and laughter": (LAUGHTER, HAND)}


def measure(model, cell, train, test):
    """The named numbers of one cell."""
    if cell["kind"] == "probe":
        return PROBES[cell["column"]](model, train, test, cell["seed"])
    return score(model, disturb(test, cell["corruptions"], train, cell["seed"]))


def disturb(clips, corruptions, train, seed):
    """Clips after several corruptions."""
    for corruption in corruptions:
        clips = corrupt(clips, **corruption, scale_from=train, seed=seed)
    return clips


def score(model, clips):
    """All scores; of classes also the Brier score (of one-hot labels, paper 004), and macro F1 of short and of long clips."""
    answer = model.predict(clips)
    scores = model.scores(answer, clips)
    if model.task in ("classes", "ordinal"):
        label = model.labels(clips).targets
        scores["brier"] = brier_labels(np.eye(len(model.classes_))[label], model.predict_proba(clips))
        length = clips.streams["units"].mask.sum(1)
        long = length > np.median(length)
        for name, part in (("short", ~long), ("long", long)):
            scores[f"macro_f1_{name}"] = model.scores(answer[part], clips[part])["macro_f1"] if part.any() else 0.0
    return {name: value for name, value in scores.items() if isinstance(value, float)}


def trust(model, train, test, seed):
    """Area under the ROC curve of 1 - gate as a detector of disturbed clips, and the seconds until the gate falls by half.

    If the gate of the face does not fall below half of what it was, the seconds are those for which the face was covered.
    """
    numbers, clean = {}, model.explain(test)
    for condition, gate in (("face noise 2", "visual"), ("hand", "visual"), ("white 0 dB", "audio")):
        broken = model.explain(disturb(test, CONDITIONS[condition], train, seed))
        alpha = np.concatenate([t[f"{gate}.gate"][:, 0] for t in (clean, broken)])
        numbers[condition] = float(roc_auc_score(np.repeat([0, 1], len(test)), 1 - alpha))
    ends, alpha = gates.alphas(model, gates.synthetic_scene(train))
    return numbers | {"seconds": seconds_to_half(ends.round(6), alpha["visual"].mean(0))}


def seconds_to_half(time, alpha):
    """Seconds after the face is covered until the gate alpha (W,) is below half of its mean before; the whole span if never."""
    low = (time > COVERED[0]) & (time <= COVERED[1]) & (alpha < alpha[time <= COVERED[0]].mean() / 2)
    return float(time[low][0] - COVERED[0]) if low.any() else COVERED[1] - COVERED[0]


def weights(model, train, test, seed):
    """The mean change of a modality's weight w~ when it is disturbed; mean entropy of the weights on clean clips."""
    w = model.explain(test)["weights"]  # (N, M)
    numbers = {"entropy": float(-(w * np.log(np.maximum(w, 1e-12))).sum(1).mean())}
    visual = [(condition, "visual") for condition in ("face noise 2", "hand", "face lost 1")]
    for condition, modality in (*visual, ("white 0 dB", "audio")):
        column = model.config_.modalities.index(modality)
        broken = model.explain(disturb(test, CONDITIONS[condition], train, seed))["weights"]
        numbers[condition] = float((broken - w)[:, column].mean())
    return numbers


def consistency(model, train, test, seed):
    """Mean cosine of the features of two modalities, of the same clip minus of different clips."""
    return {"cosine": matched_cosine(model.outputs(test)["means"])}


def matched_cosine(means):
    """Over all pairs of modalities: mean cosine of matched clips minus that of all others.   means (N, M, d)."""
    f = means / np.maximum(np.linalg.norm(means, axis=-1, keepdims=True), 1e-12)
    cosine = np.einsum("nid,mjd->ijnm", f, f)[np.triu_indices(f.shape[1], 1)]  # (pairs, N, N)
    same = np.eye(len(f), dtype=bool)
    return float(cosine[:, same].mean() - cosine[:, ~same].mean())


def update(model, train, test, seed):
    """Norm of the first cross-modal attention to a missing modality, over that to a present one (RAVER)."""
    norm = {}
    for condition in ("clean", "face lost 1"):
        trace = model.explain(disturb(test, CONDITIONS[condition], train, seed))
        p = model.p_.audio.cross.layers[0]
        x, memory = (layer_norm(p.norm1, embed(trace[f"{m}.context"], None, 0.0, None)[0])[0] for m in ("audio", "visual"))
        y, _ = attention(p.attend, x, memory, model.config_.heads)
        norm[condition] = np.linalg.norm(y, axis=-1).mean()
    return {"ratio": float(norm["face lost 1"] / norm["clean"])}


def alignment(model, train, test, seed):
    """Correlation over clips of the lag in cross-attention with the true one (the face leads the voice).

    Lag: the time of the voice's step minus that of the face's step it attends to most, averaged over heads and steps.
    """
    trace = model.explain(test)
    name = next(k for k in ("audio.cross.attention", "main.audio.cross.layers.0.attention") if k in trace)
    face = trace[name].argmax(-1)  # (N, H, T)
    valid = model.batch(test)["audio_mask"][:, None]  # (N, 1, T)
    steps = ((np.arange(face.shape[-1]) - face) * valid).sum((1, 2)) / (face.shape[1] * valid.sum((1, 2)))
    lag = steps / model.config_.fps
    steady = np.ptp(lag) < 1e-9
    return {"r": 0.0 if steady else float(np.corrcoef(lag, test.truth["lag"])[0, 1])}


def zeroed(model, train, test, seed):
    """Scores when missing frames are zeros for the queries instead of masked, other than in training (RAVER)."""
    unmasked = copy(model)
    unmasked.config_ = replace(model.config_, mask_context=False)
    return {
        c: score(unmasked, disturb(test, CONDITIONS[c], train, seed))["macro_f1"] for c in ("face lost 0.9", "voice lost 0.9")
    }


def int8(model, train, test, seed):
    """The change of the accuracy when the recognizer is quantized, and the share of equal answers."""
    a, b = model.predict(test), quantize(model).predict(test)
    label = model.labels(test).targets
    return {"change": float((b == label).mean() - (a == label).mean()), "agreement": float((a == b).mean())}


PROBES = {f.__name__: f for f in (trust, weights, consistency, update, alignment, zeroed, int8)}
