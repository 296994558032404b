"""MOSI, MOSEI and SIMS as the pickles of MMSA (Mao et al. 2022)."""

import warnings
from pathlib import Path

import numpy as np

from refmer.data.arrays import pad
from refmer.data.clips import WORD_RATE, Clips, Stream
from refmer.data.corpora.safe_pickle import load
from refmer.data.labels import SENTIMENT, Label

PARTS = ("train", "valid", "test")
LAYOUT = "id, text, audio, vision (N, T, D) and regression_labels"
TOTALS = {"MOSI": (1284, 229, 686), "MOSEI": (16326, 1871, 4659), "SIMS": (1368, 456, 457), "SIMS v2": (2722, 647, 1034)}
STREAMS = {"text": "words", "audio": "voice", "vision": "face"}  # key and name of the stream: sense
RATES = {"text": WORD_RATE, "audio": 20.0, "vision": 15.0}  # of MOSEI (Tsai et al. 2019), where rates= does not say it
SINGLE = {"T": "text", "A": "audio", "V": "vision"}  # SIMS also rates each stream alone


def read(path, *, rates=None):
    """Read MOSI, MOSEI or SIMS from a pickle of MMSA, aligned or unaligned.

    The files are linked from github.com/thuiar/MMSA; MOSI and MOSEI are asked for at CMU (multicomp.cs.cmu.edu), SIMS at
    github.com/thuiar/ch-sims-v2, for research only. Layout: a dict of "train", "valid" and "test", each a dict of "id"
    (VIDEO$_$SEGMENT), "text", "audio", "vision" (N, T, D), "regression_labels", and in most versions "annotations",
    "text_bert", "audio_lengths", "vision_lengths", for SIMS also "regression_labels_T", "_A" and "_V". Published: TOTALS.
    The pickle is read as data: a file that holds anything but arrays, lists, dicts, text and numbers is refused.

    Parameters
    ----------
    path : path
    rates : dict of str to float, optional
        Frames per second by stream. Default: text 2.5, audio 20, vision 15; 2.5 for all in an aligned file, a frame per word.

    Returns
    -------
    Clips
        Streams "text" (words), "audio" (voice), "vision" (face). Labels "part" (train, valid, test), "sentiment" (from -3 to 3,
        ordinal; of SIMS a regression in [-1, 1], also "sentiment_text", "sentiment_audio", "sentiment_vision") and "polarity".
        The speaker is the video. Values that are not finite, as COVAREP has them, are 0; a warning counts them.

    Raises
    ------
    ValueError
        If the file is another pickle, or damaged.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}; accepted: a pickle of MMSA, e.g. aligned_50.pkl")
    data = load(path)
    if not isinstance(data, dict) or not set(PARTS) & set(data):
        given = f"a dict of {', '.join(map(str, list(data)[:5]))}" if isinstance(data, dict) else type(data).__name__
        raise ValueError(f"{path.name} is {given}; accepted: a pickle of MMSA, a dict of train, valid and test")
    parts = {name: data[name] for name in PARTS if name in data}
    for name, part in parts.items():
        if missing := {"id", "regression_labels", *STREAMS} - set(part if isinstance(part, dict) else ()):
            raise ValueError(f"{path.name}: {name} has no {', '.join(sorted(missing))}; accepted: a part with {LAYOUT}")
    names = [str(entry) for part in parts.values() for entry in part["id"]]
    sims = any(f"regression_labels_{key}" in part for part in parts.values() for key in SINGLE)
    frames = {name: joined(path, name, parts) for name in STREAMS}
    aligned = len({max(map(len, part[name]), default=0) for name in STREAMS for part in parts.values()}) == 1
    rates = {name: WORD_RATE if aligned else rate for name, rate in RATES.items()} | (rates or {})
    labels = {"part": Label([name for name, part in parts.items() for _ in part["id"]], names=tuple(parts))}
    keys = {"sentiment": "regression_labels"} | {f"sentiment_{name}": f"regression_labels_{k}" for k, name in SINGLE.items()}
    for label, key in keys.items():
        if all(key in part for part in parts.values()):
            values = np.concatenate([np.asarray(part[key], float).ravel() for part in parts.values()])
            labels[label] = Label(values, "regression") if sims else Label(values, "ordinal", SENTIMENT)
    if all("annotations" in part for part in parts.values()):
        labels["polarity"] = Label([str(entry) for part in parts.values() for entry in part["annotations"]])
    sizes = tuple(len(part["id"]) for part in parts.values())
    if sizes not in TOTALS.values():
        published = "; ".join(f"{name} {', '.join(map(str, total))}" for name, total in TOTALS.items())
        warnings.warn(
            f"{path.name} has {', '.join(map(str, sizes))} clips in {', '.join(parts)}; published: {published}", stacklevel=2
        )
    source = next((name for name, total in TOTALS.items() if total == sizes), "MMSA")
    streams = {name: Stream(x, rates[name], mask, STREAMS[name]) for name, (x, mask) in frames.items()}
    speakers = [name.split("$_$")[0] for name in names]
    return Clips(streams, names, speakers, labels, source=f"{source}, {path.name}")


def joined(path, name, parts):
    """Return the frames x (N, T, D) float32 of one stream of all parts, and their mask (N, T)."""
    clips, bad = [], 0
    for key, part in parts.items():
        rows = list(part[name]) if isinstance(part[name], (list, np.ndarray)) else [part[name]]
        shapes = {getattr(x, "shape", ("not an array",))[1:] for x in rows}
        numeric = all(isinstance(x, np.ndarray) and x.ndim == 2 and x.dtype.kind in "biuf" for x in rows)
        if not numeric or not len(rows) == len(set(map(id, rows))) == len(part["id"]) or len(shapes) > 1:
            raise ValueError(
                f"{path.name}: {name} of {key} is no array (N, T, D) for {len(part['id'])} clips; accepted: {LAYOUT}"
            )
        for x, n in zip(rows, lengths(name, part, rows), strict=True):
            bad += (~np.isfinite(x)).sum()
            clips.append(np.nan_to_num(x[:n].astype(np.float32), nan=0, posinf=0, neginf=0))
    if bad:
        warnings.warn(f"{path.name}: {bad} values of {name} are not finite and read as 0", stacklevel=3)
    if len(widths := {x.shape[1] for x in clips}) > 1:
        raise ValueError(
            f"{path.name}: {name} has {', '.join(map(str, sorted(widths)))} features in its parts; accepted: as many in all"
        )
    x, mask = pad(clips)
    return x, mask & (np.cumsum(x.any(-1), axis=1) > 0)  # some versions have zeros before the first frame


def lengths(name, part, rows):
    """Return the numbers of frames of clips: as the file says, or up to the last frame that is not zero."""
    if f"{name}_lengths" in part:
        return [int(n) for n in part[f"{name}_lengths"]]
    if name == "text" and "text_bert" in part:  # (N, 3, T): codes, mask, segments
        return [int(n) for n in np.asarray(part["text_bert"])[:, 1].sum(-1)]
    return [int(np.max(np.flatnonzero(x.any(-1)), initial=-1)) + 1 for x in rows]
