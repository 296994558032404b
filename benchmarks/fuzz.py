"""Malformed calls over the public interface, in child processes: `python benchmarks --fuzz [N]`.

A call follows from its part and seed. It is "refused" if it raises one of the accepted errors with the name of an argument,
"answered" if it returns finite numbers, and else "unnamed", "error" (another exception) or "silent" (a number that is not
finite). A child that ends by a signal or takes over a minute for a call counts one "signal" or "hang"; the next child goes on
after that call.
"""

import io
import json
import signal
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from functools import cache
from importlib import import_module
from pathlib import Path

import numpy as np
from tqdm import tqdm

import refmer
import refmer.ops
from refmer import params
from refmer.data import openface
from refmer.data.corrupt import KINDS
from refmer.evaluate import calibration, metrics, robustness, statistics
from refmer.int8.matrix import QuantizedMatrix
from refmer.ops import dense, recurrent
from refmer.ops.contracts import Contract
from refmer.proofs import all_cases, moved
from refmer.proofs.arguments import damage, draw
from refmer.proofs.required import ROOT, required
from refmer.systems import BASELINES, SYSTEMS, find
from refmer.text import table

ERRORS = (ValueError, TypeError, KeyError, OSError, FloatingPointError, IndexError)
OUTCOMES = ("refused", "answered", "unnamed", "error", "silent", "signal", "hang")
SECONDS = 60  # for one call
SHARES = {
    "operations": 0.75,
    "integers": 0.05,
    "gradients": 0.08,
    "config": 0.04,
    "metrics": 0.04,
    "clips": 0.02,
    "corrupt": 0.01,
}
SHARES |= {"sound": 0.004, "table": 0.003, "model": 0.002, "predict": 0.001}
JUNK = (
    None,
    -1,
    0,
    1.5,
    "3",
    "",
    np.nan,
    np.inf,
    [],
    {},
    (1, 2),
    True,
    10**12,
    np.int64(2),
    np.float32(0.5),
    b"x",
    np.zeros(2),
)


def pick(rng, values):
    return list(values)[rng.integers(len(values))]


# --- Parts: rng -> (names of which an error mentions one, function) ---
def operations(rng):
    f = pick(rng, functions())
    values = draw(f.contract, rng, rng.choice([np.float32, np.float64]), int(rng.integers(2)))
    values = {name: np.abs(x) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for name, x in values.items()}
    values = damage(f.contract, values, rng)  # a variance is not negative

    def call():
        result = f(**values)
        return (result[0] if isinstance(result, tuple) else result) if finite(values) else None  # not the saved arrays

    return values, call


@cache
def functions():
    """Return the operations whose arguments their contract can draw."""
    paths = sorted(Path(refmer.ops.__path__[0]).glob("*.py"))
    every = [f for path in paths for f in vars(import_module(f"refmer.ops.{path.stem}")).values()]
    unique = {id(f): f for f in every if isinstance(getattr(f, "contract", None), Contract)}
    return [f for f in unique.values() if f.__name__ != "windows_backward"]  # it needs the index of windows


def integers(rng):
    """An operation with a quantized matrix."""
    f, matrix = pick(rng, ((dense.linear, "W"), (recurrent.lstm, "U")))
    values = draw(f.contract, rng, np.float32)
    values[matrix] = QuantizedMatrix.of(np.abs(values[matrix]))
    values = damage(f.contract, values, rng)
    return values, lambda: f(**values)[0] if finite(values) else f(**values) and None


def gradients(rng):
    """A closure's backward with a gradient of another shape, dtype or type."""
    case = pick(rng, layers())
    p = None if case.description is None else moved(case.description)
    y, backward = case.f(*case.inputs) if p is None else case.f(p, *case.inputs)
    g = () if p is None else (params.zeros_like(p),)
    dy = wrong(y, rng)
    return ("dy",), lambda: (backward(dy, *g), g and g[0].vector)


@cache
def layers():
    own = {(kind, name) for kind, _, name in required(ROOT)}
    return [
        case for case in all_cases() if (case.kind, case.name) in own and case.description is not None and case.kind == "layer"
    ]


def wrong(y, rng):
    """Return a gradient that does not fit y."""
    if isinstance(y, dict):
        name = pick(rng, y)
        return {**{k: np.ones(v.shape) for k, v in y.items()}, name: wrong(y[name], rng)}
    if isinstance(y, (tuple, list)):
        return type(y)(wrong(part, rng) for part in y)
    ways = (lambda: np.ones((2, *y.shape)), lambda: np.ones(y.shape[1:]), lambda: np.ones(y.shape[:-1] + (y.shape[-1] + 3,)))
    return pick(rng, (*ways, lambda: y.tolist(), lambda: 1.0, lambda: "dy"))()


def config(rng):
    name = pick(rng, (*SYSTEMS, *BASELINES))
    config = find(name).Config
    field = pick(rng, config.__dataclass_fields__)
    value = pick(rng, JUNK)
    return (field,), lambda: config.tiny(**{field: value}) and None


def measures(rng):
    f = pick(rng, (metrics.acc2_has0, metrics.acc5, metrics.within_one, metrics.votes, metrics.regression,
                   calibration.brier_labels, calibration.reliability, calibration.ece_macro, robustness.drop,
                   statistics.paired_test, statistics.holm, statistics.spread))  # fmt: skip
    names = list(f.__code__.co_varnames[: f.__code__.co_argcount])
    required = names[: len(names) - len(f.__defaults__ or ())]
    values = [array(rng) if rng.random() < 0.7 else pick(rng, JUNK) for _ in required]
    return names, lambda: f(*values)


def array(rng):
    shape = pick(rng, ((), (0,), (5,), (6,), (5, 3), (6, 3), (2, 5, 2)))
    return pick(
        rng, (rng.normal(size=shape), rng.integers(-1, 4, shape), rng.random(shape) < 0.5, rng.normal(size=shape).astype("O"))
    )


def clips(rng):
    """A Stream, a Label or Clips with one argument that is wrong."""
    x, mask = rng.normal(size=(3, 4, 5)), np.ones((3, 4), bool)
    stream = {"x": x, "rate": 10.0, "mask": mask, "sense": "voice"}
    whole = {"streams": {"mfcc": refmer.Stream(**stream)}, "name": np.array(list("abc")), "speaker": np.array(list("aab"))}
    label = {"values": np.arange(3), "kind": "classes", "names": ("a", "b", "c"), "rate": None, "mask": None}
    whole["labels"] = {"emotion": refmer.Label(**label), "votes": np.ones((3, 6), int)}
    make, values = pick(rng, ((refmer.Stream, stream), (refmer.Label, label), (refmer.Clips, whole)))
    name = pick(rng, values)
    values = values | {name: array(rng) if rng.random() < 0.5 else pick(rng, JUNK)}
    return (name, "stream", "label", "clips", "values"), lambda: make(**values) and None


def corrupt(rng):
    arguments = {"sense": "voice", "kind": pick(rng, KINDS), "amount": 0.3, "space": "standard", "seed": 0}
    arguments |= {"span": None, "scale_from": None, "per": "clip"}
    name = pick(rng, arguments)
    arguments[name] = pick(rng, JUNK)

    given = samples()

    def call():
        result = refmer.corrupt(given, **arguments)
        return [stream.x for stream in result.streams.values()]

    return (*arguments, "p_good_to_bad", "p_bad_to_good"), call


@cache
def samples():
    return refmer.load_samples()[:6]


# --- Files: bytes changed, lost or added at random ---
def damaged(content, rng):
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(content)) if rng.random() < 0.5 else rng.integers(min(64, len(content))))
        way = rng.integers(4)
        if way == 0:
            content[at] = rng.integers(256)
        elif way == 1:
            del content[at:]
        elif way == 2:
            del content[at : at + int(rng.integers(1, 9))]
        else:
            content[at:at] = rng.bytes(4)
        content = content or bytearray(b"x")
    return bytes(content)


def file(name, content, read):
    """Return the call that reads a damaged file of this name."""
    path = folder() / name
    path.write_bytes(content)
    return (str(path), name), lambda: read(path)


@cache
def folder():
    return Path(tempfile.mkdtemp(prefix="refmer-fuzz-"))


def sound(rng):
    t = np.arange(12000) / 16000
    wave = (9000 * np.sin(2 * np.pi * 130 * t) * (1 + np.sin(2 * np.pi * 3 * t))).astype("<i2")
    buffer = io.BytesIO()
    import_module("scipy.io.wavfile").write(buffer, 16000, wave)
    return file("voice.wav", damaged(buffer.getvalue(), rng), lambda path: streams(refmer.read_clip(wav=path)))


def table_of_face(rng):
    return file("face.csv", damaged(face(), rng), lambda path: streams(refmer.read_clip(openface_csv=path)))


@cache
def face():
    """Return a table as OpenFace writes it, of invented numbers."""
    rng, header = np.random.default_rng(0), ["frame", "face_id", "timestamp", "confidence", "success", *openface.FEATURES]
    rows = [[k + 1, 0, k / 25, 0.98, 1, *rng.random(len(openface.FEATURES)).round(3)] for k in range(40)]
    return "\n".join(", ".join(map(str, row)) for row in (header, *rows)).encode()


def streams(clips):
    return [stream.x for stream in clips.streams.values()]


def model(rng):
    content = damaged(saved(), rng) if rng.random() < 0.3 else changed(saved(), rng)
    return file("model.npz", content, lambda path: refmer.load_recognizer(path).predict_proba(samples()))


def changed(content, rng):
    """Return the file of a recognizer in which one entry, or one value of its description, is another."""
    arrays = dict(np.load(io.BytesIO(content)))
    name = pick(rng, arrays)
    if name == "meta":
        meta = json.loads(str(arrays["meta"]))
        key = pick(rng, meta)
        inner = meta[key] if isinstance(meta[key], dict) and meta[key] and rng.random() < 0.7 else meta
        inner[pick(rng, inner)] = pick(rng, (None, -1, 1.5, "3", [], {}, [[1]], 10**30, True))
        arrays["meta"] = np.array(json.dumps(meta))
    else:
        x = arrays[name]
        arrays[name] = pick(
            rng, (x[..., None], x[:0], x.astype(str), x * np.nan, x.astype("c8"), np.float64(1e300) * np.sign(x), x[..., 0])
        )
    if rng.random() < 0.1:
        del arrays[name]
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@cache
def fitted():
    return refmer.Recognizer("openface_adaptive", epochs=1).fit(refmer.load_samples(), progress=False)


@cache
def saved():
    buffer = io.BytesIO()
    fitted().save(buffer)
    return buffer.getvalue()


def predict(rng):
    """A fitted recognizer, in float or INT8, on clips that it was not fitted for."""
    recognizer, given = pick(rng, (fitted, quantized))(), samples()
    name = pick(rng, given.streams)
    stream = given.streams[name]
    x = pick(rng, (stream.x[..., :-1], stream.x * 1e20, stream.x * 1e-30, stream.x[:, :0], stream.x * 0))
    other = refmer.Stream(x, stream.rate, stream.mask[:, : x.shape[1]], stream.sense)
    clips = pick(rng, (given.with_streams(**{name: other}), pick(rng, JUNK), stream, given[:0], {name: stream.x}))
    method = pick(rng, (recognizer.predict_proba, recognizer.explain, recognizer.predict))
    return ("clips", *given.streams, *(s.sense for s in given.streams.values())), lambda: method(clips)


@cache
def quantized():
    return refmer.quantize(fitted(), samples())


PARTS = {
    "operations": operations,
    "integers": integers,
    "gradients": gradients,
    "config": config,
    "metrics": measures,
    "clips": clips,
}
PARTS |= {"corrupt": corrupt, "sound": sound, "table": table_of_face, "model": model, "predict": predict}


# --- Counting ---
def outcome(names, call):
    """Return how a call ends, and the text of what is wrong with it."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            result = call()
        except ERRORS as error:
            named = any(name in str(error) for name in names)
            return ("refused", "") if named else ("unnamed", f"{type(error).__name__}: {error}"[:200])
        except Exception as error:
            return "error", f"{type(error).__name__}: {error}"[:200]
    return ("answered", "") if finite(result) else ("silent", "a number is not finite")


def finite(result):
    if isinstance(result, dict):
        return all(map(finite, result.values()))
    if isinstance(result, (tuple, list)):
        return all(map(finite, result))
    return np.asarray(result).dtype.kind not in "fc" or bool(np.isfinite(result).all())


def child(part, first, last):
    """Make the calls of some seeds; print a line before each, and its outcome."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for seed in range(first, last):
        print(seed, flush=True)
        rng = np.random.default_rng([list(PARTS).index(part), seed])
        names, call = PARTS[part](rng)
        signal.alarm(SECONDS)
        print(json.dumps(outcome(list(names), call)), flush=True)
        signal.alarm(0)


def count(part, calls, bar):
    """Return the outcomes of so many calls of a part, and a line for each that is neither refused nor answered."""
    outcomes, problems, seed = Counter(), [], 0
    while seed < calls:
        command = [sys.executable, __file__, part, str(seed), str(calls)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            for line in process.stdout:
                if line.startswith("["):
                    kind, text = json.loads(line)
                    outcomes[kind] += 1
                    problems += [f"{part} {seed}: {kind}: {text}"] * (kind not in ("refused", "answered"))
                    seed += 1
                    bar.update()
        if process.returncode:
            kind = "hang" if process.returncode == -signal.SIGALRM else "signal" if process.returncode < 0 else "error"
            outcomes[kind] += 1
            problems.append(f"{part} {seed}: {kind}: the process ended with {process.returncode}")
            seed += 1
    return outcomes, problems


def run(calls, only=None):
    """Make the calls of all parts, or of those in `only`; return the table of their outcomes and the problems."""
    parts = {part: max(1, round(calls * SHARES[part])) for part in PARTS if only is None or part in only}
    rows, problems = [], []
    with tqdm(total=sum(parts.values()), desc="fuzz", unit="call", disable=None) as bar:
        for part, number in parts.items():
            outcomes, texts = count(part, number, bar)
            rows.append([part, str(number), *(str(outcomes[kind]) for kind in OUTCOMES)])
            problems += texts
    totals = ["all", *(str(sum(int(row[i]) for row in rows)) for i in range(1, len(OUTCOMES) + 2))]
    return "\n".join([table(["", "calls", *OUTCOMES], [*rows, totals], range(1, len(OUTCOMES) + 2), markdown=False), *problems])


if __name__ == "__main__":
    child(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
