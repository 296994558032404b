"""Training on a synthetic corpus of CREMA-D's shape, beside PyTorch: `python benchmarks --corpus`."""

import json
import multiprocessing
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from unittest.mock import patch

import numpy as np
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import hardware
import refmer
from memory import ResidentPeak
from refmer import params
from refmer.data.clips import Stream
from refmer.data.files import check_writable, write_text
from refmer.systems import BASELINES, SYSTEMS, find
from refmer.text import table as aligned
from refmer.train import batches
from refmer.train.fit import Training

CLIPS, SPEAKERS, CLASSES = 7442, 91, ("anger", "disgust", "fear", "happiness", "neutral", "sadness")
SHORTEST, LONGEST = 40, 200  # frames of the face; their mean is CREMA-D's, 2.5 s
STREAMS = {"face": (30.0, 35), "voice": (50.0, 24), "words": (3.0, 32)}  # rate and width
MODALITIES = {"visual": "face", "audio": "voice", "text": "words", "mfcc": "voice"}
SIGNAL = 0.1  # distance of the classes' means, in standard deviations
QUICK = 8  # the share of the clips, and of the speakers
ROUNDS = 3
SIDES = ("refmer", "padded", "torch", "torch padded")
GUIDE = """\
{clips:,} synthetic clips of {shortest} to {longest} frames (mean {mean:.0f}) of {speakers} speakers; random vectors: {streams}.
Seconds of an epoch of training, medians of {rounds} in turn with the other columns; CPU time of one thread. Both sides train
the tiny size in the same mini-batches: of clips of similar length, trimmed, or ("padded") of any clips, as long as the longest
of the corpus. PyTorch: eager. MB: the inputs, and the largest rise of resident memory in an epoch. Ratios: above 1, the
second is faster."""


@dataclass(frozen=True)
class Row:
    """Seconds of an epoch and bytes of memory (None where they cannot be measured) of a system, by side."""

    system: str
    seconds: dict
    bytes: dict


def corpus(n=CLIPS, speakers=SPEAKERS, seed=0):
    """Return clips of random vectors with a weak signal of the class."""
    rng = np.random.default_rng(seed)
    emotion = rng.integers(len(CLASSES), size=n)
    frames = SHORTEST + np.round((LONGEST - SHORTEST) * rng.beta(2, 7, n)).astype(int)
    frames[:2] = SHORTEST, LONGEST
    parts = {}
    for sense, (rate, width) in STREAMS.items():
        length = np.ceil(frames * rate / 30.0).astype(int)
        means = SIGNAL * rng.standard_normal((len(CLASSES), width), np.float32)
        x = rng.standard_normal((n, length.max(), width), np.float32) + means[emotion][:, None]
        mask = np.arange(length.max()) < length[:, None]
        x[~mask] = 0
        parts[sense] = Stream(x, rate, mask, sense)
    labels = {"emotion": refmer.Label(emotion, "classes", CLASSES)}
    return refmer.Clips(parts, speaker=np.arange(n) % speakers, labels=labels, source="synthetic corpus of CREMA-D's shape")


def run(only=None, quick=False, as_list=False, out=None, rounds=ROUNDS):
    """Measure systems and baselines, each in its own process.

    Parameters
    ----------
    only : list of str, optional
        Names of systems and baselines. Default: all.
    quick : bool
        An eighth of the clips, which is too few for some systems to make batches by length (`batches.SMALL`).
    as_list : bool
        A JSON list instead of a table.
    out : str or path, optional
        A file that the result is written to.
    rounds : int
        Epochs of each side.

    Returns
    -------
    str

    Raises
    ------
    KeyError
        For an unknown name.
    """
    names = [find(name).name for name in only or (*SYSTEMS, *BASELINES)]
    if out is not None:
        check_writable(out)
    size = (CLIPS // QUICK, SPEAKERS // QUICK) if quick else (CLIPS, SPEAKERS)
    with tqdm(names, desc="corpus", unit="system", disable=None) as bar:
        rows = [alone(name, *size, rounds) for name in bar]
    text = json.dumps([asdict(row) | {"clips": size[0]} for row in rows], indent=1) if as_list else as_text(rows, *size, rounds)
    if out is not None:
        write_text(out, text + "\n")
    return text


def alone(*arguments):
    """Run `measure` in a new process, so that its memory is that of the measurement alone."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


def measure(name, n, speakers, rounds):
    """Return the Row of a system; without PyTorch, or a PyTorch model of the system, it has the sides of refmer alone."""
    with threadpool_limits(1), warnings.catch_warnings(action="ignore"):
        sides, data = epochs(name, corpus(n, speakers))
        seconds, peak, order = {side: [] for side in sides}, {}, list(sides)
        for _ in range(rounds):
            for side in order:
                with ResidentPeak() as memory:
                    start = hardware.clock(1)()
                    sides[side]()
                    seconds[side].append(hardware.clock(1)() - start)
                peak[side] = max(peak.get(side, 0), memory.bytes + data)
            order.reverse()
    peak = {side: size if np.isfinite(size) else None for side, size in peak.items()}
    return Row(name, {side: median(values) for side, values in seconds.items()}, peak)


def streams(name):
    """Return the stream of each modality of a system."""
    return {m: MODALITIES[m] for m in find(name).MODALITIES if m in MODALITIES}


def epochs(name, clips):
    """Return ({side: () -> None, an epoch of training}, the bytes of the inputs); what is compiled has been."""
    model = refmer.Recognizer(name, streams=streams(name), label="emotion", epochs=1).fit(clips[:200], progress=False)
    batch, recipe = model.labelled_batch(clips, clips), model.recipe_
    start = find(name), model.config_, params.init(model.p_.description, 0)
    training = Training(*start, recipe, np.random.default_rng(0))
    steps = {"refmer": partial(training.step, lr=recipe.lr)}
    if find_spec(f"torch_models.{name}") and hardware.version_of("torch") != "-":
        import_module("torch").set_num_threads(1)
        steps["torch"] = import_module("torch_models.training").updates(name, *start, recipe, recipe.lr)
    sides = {}
    for side, step in steps.items():
        sides[side] = partial(epoch, step, batch, recipe.batch)
        sides["padded" if side == "refmer" else f"{side} padded"] = partial(epoch, step, batch, recipe.batch, padded=True)
    for step in steps.values():
        for part in batches.shuffled(batches.take(batch, slice(2 * recipe.batch)), recipe.batch, np.random.default_rng(0)):
            step(part)
    return sides, sum(x.nbytes for x in batch.values())


def epoch(step, batch, size, padded=False):
    """Train on all clips once, in mini-batches of similar length, or padded to the longest clip."""
    with patch.object(batches, "SMALL", np.inf) if padded else nullcontext():
        for part in batches.shuffled(batch, size, np.random.default_rng(0)):
            step(part)


def as_text(rows, n, speakers, rounds):
    """Return the machine, the table, and the meaning of its columns."""
    head = ["", "padded", "by length", "padded/by length", "PyTorch padded", "PyTorch", "PyTorch/refmer"]
    head += ["MB padded", "MB", "MB PyTorch"]
    body = []
    for row in rows:
        ours, padded, torch, torch_padded = (row.seconds.get(side) for side in SIDES)
        memory = (row.bytes.get(side) for side in ("padded", "refmer", "torch"))
        values = [number(padded), number(ours), number(ratio(padded, ours)), number(torch_padded), number(torch)]
        body.append([row.system, *values, number(ratio(torch, ours)), *(number(b, "{:.0f}", 1e6) for b in memory)])
    lengths = corpus(n, speakers).streams["face"].mask.sum(1)
    senses = ", ".join(f"{sense} {rate:g} Hz x {width}" for sense, (rate, width) in STREAMS.items())
    guide = GUIDE.format(
        clips=n,
        shortest=lengths.min(),
        longest=lengths.max(),
        mean=lengths.mean(),
        speakers=speakers,
        streams=senses,
        rounds=rounds,
    )
    return "\n".join([*hardware.describe(1), "", aligned(head, body, range(1, len(head)), markdown=False), "", guide])


def ratio(a, b):
    """Return a / b, or None if one of them is None."""
    return None if a is None or b is None else a / b


def number(x, form="{:.2f}", unit=1.0):
    """Return a number as text, "-" for None."""
    return "-" if x is None else form.format(x / unit)
