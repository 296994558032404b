"""Make all files of this folder: python data_samples/make.py. Takes ten seconds, needs refmer and matplotlib."""

import hashlib
from pathlib import Path

import matplotlib.image
import numpy as np
from scipy.io import wavfile
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from refmer.data.clips import EMOTIONS, Stream
from refmer.data.pack import BITS, pack
from refmer.data.read import load_samples
from refmer.data.synthetic.raters import ceiling
from refmer.data.synthetic.synthesize import STORED, raw_signals, synthesize, synthesize_recordings

HERE = Path(__file__).resolve().parent
SEED = 0
SENSES = {"voice": ("logmel", "prosody"), "face": ("units",)}
UNITS = {
    "logmel": "ln of power in 40 mel bands, 50 Hz to 8 kHz",
    "mfcc": "computed from logmel at load: 13 coefficients, deltas, delta-deltas",
    "layers": "computed from logmel at load: 4 resolutions of its time, a stand-in for the layers of a pretrained encoder",
    "prosody": "F0 (Hz), voicing (0 to 1), energy (dB), slope (dB per kHz), centroid (Hz), flux",
    "units": "17 intensities (0 to 5), 18 presences (0, 1), pose (mm, rad), gaze (unit vectors, rad); OpenFace's names",
    "frames": "grey levels 0 to 255, 16 of them",
    "words": "word vectors, one per spoken word",
    "body": "skin conductance (microsiemens), heart rate (beats per minute)",
    "affect": "valence, arousal: mean of 4 annotators, -1 to 1",
}


def summary(stream):
    """Return mean and standard deviation over each clip's frames (N, 2 C)."""
    return np.array([np.concatenate([x[m].mean(0), x[m].std(0)]) for x, m in zip(stream.x, stream.mask, strict=True)])


def machine(clips):
    """Return the share of clips whose intended emotion a simple classifier predicts: {"voice", "face", "both"}.

    Per sense: summaries of its streams, standardised, linear discriminant analysis with shrinkage; six-fold
    cross-validation in which no speaker is in both parts. "both" multiplies the two senses' probabilities.
    """
    model = make_pipeline(StandardScaler(), LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"))
    p = {}
    for sense, names in SENSES.items():
        x = np.concatenate([summary(clips.streams[k]) for k in names], axis=1)
        p[sense] = cross_val_predict(model, x, clips.intended, groups=clips.speaker, cv=GroupKFold(6), method="predict_proba")
    p["both"] = p["voice"] * p["face"]
    return {sense: float((p[sense].argmax(1) == clips.intended).mean()) for sense in p}


def concordance(clips):
    """Return the concordance of ridge regression, per second of a recording, with annotated valence and arousal, by speaker."""
    affect, x, y, groups = clips.labels["affect"], [], [], []
    for i in range(len(clips)):
        seconds = int(affect.mask[i].sum() / affect.rate)
        for s in range(seconds):
            cut = {k: clips.streams[k].x[i, int(s * r) : int((s + 1) * r)] for k, r in rates(clips).items()}
            x.append(np.concatenate([v.mean(0) for v in cut.values()]))
            y.append(affect.values[i, int(s * 25) : int((s + 1) * 25)].mean(0))
            groups.append(clips.speaker[i])
    x, y = np.array(x), np.array(y)
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 4, 9)))
    z = cross_val_predict(model, x, y, groups=groups, cv=GroupKFold(6))
    cov = ((z - z.mean(0)) * (y - y.mean(0))).mean(0)
    return 2 * cov / (z.var(0) + y.var(0) + (z.mean(0) - y.mean(0)) ** 2)


def rates(clips):
    return {k: clips.streams[k].rate for k in ("logmel", "prosody", "units")}


def write_examples():
    """Write six waves of clips whose voice and face show the intended emotion, and their faces on one sheet."""
    clips = load_samples()
    rows = []
    for k, emotion in enumerate(EMOTIONS):
        plain = (clips.truth["shown_voice"] == k) & (clips.truth["shown_face"] == k) & (clips.intended == k)
        name = clips.name[plain][0]
        raw = raw_signals(name, SEED)
        wavfile.write(HERE / f"{emotion}.wav", raw.rate, np.rint(raw.wave / np.abs(raw.wave).max() * 30000).astype(np.int16))
        rows.append(np.concatenate(list(raw.frames[np.linspace(4, len(raw.frames) - 4, 12).astype(int)]), axis=1))
    sheet = np.kron(np.concatenate(rows), np.ones((4, 4)))
    matplotlib.image.imsave(HERE / "faces.png", sheet, cmap="gray", vmin=0, vmax=255)


def stream_table(clips):
    streams = dict(clips.streams)
    if "affect" in clips.labels:
        affect = clips.labels["affect"]
        streams["affect"] = Stream(affect.targets, affect.rate, affect.mask, "face")
    lines = ["| stream | sense | width | rate (Hz) | frames | range | what |", "|---|---|---|---|---|---|---|"]
    for k, s in streams.items():
        v = s.x[s.mask]
        width = " x ".join(map(str, s.x.shape[2:]))
        lines.append(f"| `{k}` | {s.sense} | {width} | {s.rate:g} | {len(v)} | {v.min():.4g} to {v.max():.4g} | {UNITS[k]} |")
    return "\n".join(lines)


def class_table(clips):
    lines = ["| emotion | intended | by votes | shown by voice | shown by face |", "|---|---|---|---|---|"]
    columns = (clips.intended, clips.emotion, clips.truth["shown_voice"], clips.truth["shown_face"])
    counts = [np.bincount(c, minlength=len(EMOTIONS)) for c in columns]
    lines += [f"| {e} | {' | '.join(str(c[k]) for c in counts)} |" for k, e in enumerate(EMOTIONS)]
    return "\n".join(lines)


def people_table(accuracy):
    lines = ["| sense | people (CREMA-D) | machine (this corpus) |", "|---|---|---|"]
    lines += [f"| {k} | {100 * ceiling('intended', k):.1f} % | {100 * accuracy[k]:.1f} % |" for k in accuracy]
    return "\n".join(lines)


def seconds(clips):
    s = clips.streams["frames"]
    each = s.mask.sum(1) / s.rate
    return f"{each.min():.2f} to {each.max():.2f} s, mean {each.mean():.2f} s"


def checksums():
    files = sorted(p for p in HERE.iterdir() if p.suffix in (".npz", ".wav", ".png"))
    return "\n".join(f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}" for p in files)


def write_card():
    clips, recordings = load_samples("clips"), load_samples("recordings")
    valence, arousal = concordance(recordings)
    card = (HERE / "card.md").read_text(encoding="utf-8").format(
        clips=len(clips), clip_speakers=len(set(clips.speaker)), clip_seconds=seconds(clips),
        recordings=len(recordings), recording_speakers=len(set(recordings.speaker)),
        recording_seconds=seconds(recordings), clip_streams=stream_table(clips),
        recording_streams=stream_table(recordings), classes=class_table(clips),
        people=people_table(machine(clips)), valence=valence, arousal=arousal,
        lag=1000 * clips.truth["lag"].mean(), lag_sd=1000 * clips.truth["lag"].std(),
        sentiment=" ".join(map(str, np.bincount(np.rint(clips.sentiment).astype(int) + 3, minlength=7))),
        checksums=checksums(),
    )  # fmt: skip
    (HERE / "README.md").write_text(card, encoding="utf-8")


def main():
    pack(HERE / "clips.npz", synthesize(seed=SEED, streams=STORED), BITS)
    pack(HERE / "recordings.npz", synthesize_recordings(seed=SEED, streams=STORED), BITS)
    write_examples()
    write_card()
    total = sum(p.stat().st_size for p in HERE.iterdir() if p.is_file())
    print(f"{HERE}: {total / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
