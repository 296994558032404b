"""Clips and recordings of the synthetic corpus: sound, images and features without any real person.

A clip depends on its name and the seed only, so each can be generated again, raw sound and frames included.
"""

import re
from dataclasses import dataclass

import numpy as np

from refmer.data.arrays import pad
from refmer.data.clips import EMOTIONS, WORD_RATE, Clips, Stream
from refmer.data.front_end import sound_streams
from refmer.data.labels import SENTIMENT, Label
from refmer.data.openface import FACE_RATE, FEATURES
from refmer.data.synthetic import voice
from refmer.data.synthetic.signals import BODY_RATE, CLIP_SECONDS, RECORDING_SECONDS, act_clip, act_recording

STREAMS = {  # name: (rate, sense, features)
    "units": (FACE_RATE, "face", FEATURES),
    "frames": (FACE_RATE, "face", ()),
    "words": (WORD_RATE, "words", ()),
    "body": (BODY_RATE, "body", ("skin_conductance", "heart_rate")),
}
LABELS = {  # name: (kind, names)
    "intended": ("classes", EMOTIONS),
    "votes": ("votes", EMOTIONS),
    "emotion": ("classes", EMOTIONS),
    "sentiment": ("ordinal", SENTIMENT),
}


@dataclass(frozen=True)
class RawSignals:
    """One clip before any front end: wave (S,) float32 in [-1, 1] at `rate` Hz, frames (T, 24, 24) uint8."""

    wave: np.ndarray
    rate: int
    frames: np.ndarray
    frame_rate: int


@dataclass(frozen=True)
class Remake:
    """Generator of a corpus's raw signals: called with a name, as `Clips.raw`. The defaults are the bundled corpus's."""

    seed: int = 0
    duration: tuple | None = None

    def __call__(self, name):
        return raw_signals(name, self.seed, self.duration)


def synthesize(speakers=24, takes=2, seed=0, duration=CLIP_SECONDS):
    """Generate acted clips: every speaker acts each of six emotions, `takes` times.

    Parameters
    ----------
    speakers, takes : int
        Their product times 6 is the number of clips.
    seed : int
        A clip depends on the seed, the duration and its own name only, not on how many clips are made.
    duration : float or (float, float)
        Length of all clips, or the shortest and the longest, in seconds.

    Returns
    -------
    Clips
        With `intended`, `votes` of 10 raters, `emotion`, `sentiment`; truth: "lag" (s, by which the face leads the
        sound), "shown_voice", "shown_face" (classes), "sentence".

    Raises
    ------
    ValueError
        If an argument is out of range.
    """
    check_counts(speakers, takes)
    names = [f"s{s:02d}-{e}-{k}" for s in range(speakers) for e in EMOTIONS for k in range(takes)]
    return synthesize_named(names, seed, duration)


def synthesize_recordings(speakers=18, takes=2, seed=0, duration=RECORDING_SECONDS):
    """Generate long recordings, in which valence and arousal vary, of other speakers than those of the clips.

    Parameters and errors as `synthesize`, with `duration` (12, 24) s by default.

    Returns
    -------
    Clips
        With `affect`, the mean of 4 annotators at 25 Hz, truth["affect"] (N, T, 2) without their errors, and without labels of
        emotion and sentiment.
    """
    check_counts(speakers, takes)
    return synthesize_named([f"r{s:02d}-{k}" for s in range(speakers) for k in range(takes)], seed, duration)


def synthesize_named(names, seed=0, duration=None):
    """Generate the clips (or recordings) of these names, as `synthesize` (or `synthesize_recordings`) does."""
    kinds = {parse(name)[0] for name in names}
    if len(kinds) != 1:
        raise ValueError(f"names are {list(names)[:3]}...; accepted: at least one, and clips or recordings, not both")
    duration = None if duration is None else length_range(duration)
    made = [make_signals(name, seed, duration) for name in names]
    sound = sound_streams([m["wave"] for m in made], voice.RATE)
    streams = {k: sound[k] for k in ("logmel", "prosody")}  # first, the derived ones last: as in the files of the corpus
    for k, (rate, sense, features) in STREAMS.items():
        x, mask = pad([m[k] for m in made])
        streams[k] = Stream(x, float(rate), mask, sense, features)
    streams |= sound
    drawn = {k: np.array([m["labels"][k] for m in made]) for k in made[0]["labels"]}
    truth = {k: np.array([m["truth"][k] for m in made]) for k in made[0]["truth"]}
    source, raw = f"synthetic corpus of refmer, seed {seed}", Remake(seed, duration)
    speaker = drawn.pop("speaker")
    if kinds == {"s"}:
        labels = {k: Label(values, *LABELS[k]) for k, values in drawn.items()}
    else:
        values, mask = pad([m["affect"] for m in made])
        labels = {"affect": Label(values, "regression", ("valence", "arousal"), FACE_RATE, mask)}
        truth["affect"] = pad([m["felt"] for m in made])[0].astype(np.float32)
    return Clips(streams, np.array(names), speaker, labels, truth, source, raw)


def raw_signals(name, seed=0, duration=None):
    """Generate the sound and the frames of one synthetic clip, before any front end.

    Parameters
    ----------
    name : str
        As in `Clips.name`: "s03-anger-1" or, for a recording, "r03-1".
    seed, duration
        Those of the corpus; the defaults are the bundled corpus's.

    Returns
    -------
    RawSignals
        wave (S,) at 16 kHz, frames (T, 24, 24) at 25 Hz.

    Raises
    ------
    ValueError
        If the name is not that of a synthetic clip.
    """
    made = make_signals(name, seed, duration)
    return RawSignals(made["wave"], voice.RATE, made["frames"], FACE_RATE)


def parse(name):
    """Parse a name: "s03-anger-1" -> ("s", 3, 0, 1) and "r03-1" -> ("r", 3, None, 1)."""
    match = re.fullmatch(rf"(?:s(\d+)-({'|'.join(EMOTIONS)})|r(\d+))-(\d+)", str(name))
    if not match:
        raise ValueError(f"name is {name!r}; accepted: a synthetic clip's, such as 's03-anger-1', or a recording's, 'r03-1'")
    clip, emotion, recording, take = match.groups()
    if clip is None:
        return "r", int(recording), None, int(take)
    return "s", int(clip), EMOTIONS.index(emotion), int(take)


def make_signals(name, seed, duration):
    """Return signals, features, labels and truth of one name; duration None is the bundled corpus's."""
    kind, speaker, emotion, take = parse(name)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed is {seed!r}; accepted: a whole number of at least 0")
    usual = CLIP_SECONDS if kind == "s" else RECORDING_SECONDS
    duration = length_range(usual if duration is None else duration)
    if kind == "s":
        return act_clip(name, speaker, emotion, take, seed, duration)
    return act_recording(name, speaker, seed, duration)


def length_range(duration):
    """Return (shortest, longest) in seconds of a number or a pair of numbers."""
    try:
        low, high = (duration, duration) if np.ndim(duration) == 0 else duration
        if 0.2 <= low <= high <= 600:
            return float(low), float(high)
    except (TypeError, ValueError):  # no numbers, no pair
        pass
    raise ValueError(
        f"duration is {duration!r}; accepted: seconds, or (shortest, longest) with 0.2 <= shortest <= longest <= 600"
    )


def check_counts(speakers, takes):
    for k, value in (("speakers", speakers), ("takes", takes)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"{k} is {value!r}; accepted: a positive whole number")
