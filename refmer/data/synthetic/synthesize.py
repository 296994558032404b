"""Clips and recordings of the synthetic corpus: sound, images and features without any real person.

A clip depends on its name and the seed only, so each can be generated again, raw sound and frames included.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from refmer.choices import choose, plain, typed
from refmer.data.arrays import names as names_of
from refmer.data.arrays import pad
from refmer.data.clips import EMOTIONS, WORD_RATE, Clips, Stream
from refmer.data.front_end import front_end, streams_of
from refmer.data.labels import SENTIMENT, Label
from refmer.data.openface import FACE_RATE, FEATURES
from refmer.data.synthetic import voice
from refmer.data.synthetic.signals import BODY_RATE, CLIP_SECONDS, RECORDING_SECONDS, act_clip, act_recording

VOICE = ("logmel", "prosody")
DERIVED = ("mfcc", "layers")  # from the log-mel
STREAMS = {  # name: (rate, sense, features)
    "units": (FACE_RATE, "face", FEATURES),
    "frames": (FACE_RATE, "face", ()),
    "words": (WORD_RATE, "words", ()),
    "body": (BODY_RATE, "body", ("skin_conductance", "heart_rate")),
}
STORED = (*VOICE, *STREAMS)
ALL = (*STORED, *DERIVED)  # in the order of `Clips.streams`
CHUNK = 16  # clips that a process makes at a time
FEW = 300  # clips for which no processes are started
IDLE = 10  # seconds without work after which a process ends, so also after a killed parent
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


def synthesize(
    speakers: int = 24,
    takes: int = 2,
    seed: int = 0,
    duration: float | tuple[float, float] = CLIP_SECONDS,
    streams: Sequence[str] | None = None,
    jobs: int | None = None,
) -> Clips:
    """Generate acted clips: every speaker acts each of six emotions, `takes` times.

    Parameters
    ----------
    speakers, takes : int
        Their product times 6 is the number of clips.
    seed : int
        A clip depends on the seed, the duration and its own name only, not on how many clips are made.
    duration : float or (float, float)
        Length of all clips, or the shortest and the longest, in seconds.
    streams : tuple of str, optional
        Names of the streams to make: "logmel", "prosody", "units", "frames", "words", "body", "mfcc", "layers". Default: all.
        Each is the same with and without the others.
    jobs : int, optional
        Number of processes; the clips are the same for any. Default: one for each processor core, a single one for few clips.

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
    return synthesize_named(names, seed, duration, streams, jobs)


def synthesize_recordings(
    speakers: int = 18,
    takes: int = 2,
    seed: int = 0,
    duration: float | tuple[float, float] = RECORDING_SECONDS,
    streams: Sequence[str] | None = None,
    jobs: int | None = None,
) -> Clips:
    """Generate long recordings, in which valence and arousal vary, of other speakers than those of the clips.

    Parameters and errors as `synthesize`, with `duration` (12, 24) s by default.

    Returns
    -------
    Clips
        With `affect`, the mean of 4 annotators at 25 Hz, truth["affect"] (N, T, 2) without their errors, and without labels of
        emotion and sentiment.
    """
    check_counts(speakers, takes)
    names = [f"r{s:02d}-{k}" for s in range(speakers) for k in range(takes)]
    return synthesize_named(names, seed, duration, streams, jobs)


def synthesize_named(names, seed=0, duration=None, streams=None, jobs=None):
    """Generate the clips (or recordings) of these names, as `synthesize` (or `synthesize_recordings`) does."""
    kinds = {parse(name)[0] for name in names}
    if len(kinds) != 1:
        raise ValueError(f"names are {list(names)[:3]}...; accepted: at least one, and clips or recordings, not both")
    wanted = ALL if streams is None else names_of("streams", streams)
    for name in wanted:
        choose("a stream", name, ALL)
    duration = None if duration is None else length_range(duration)
    made = make_all(names, seed, duration, wanted, typed("jobs", plain(jobs), int | None))
    sound = streams_of([m["sound"] for m in made]) if set(wanted) & {*VOICE, *DERIVED} else {}
    streams = {}
    for k in (name for name in ALL if name in wanted):
        if k in sound:
            streams[k] = sound[k]
        else:
            rate, sense, features = STREAMS[k]
            x, mask = pad([m[k] for m in made])
            streams[k] = Stream(x, float(rate), mask, sense, features)
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


def make_all(names, seed, duration, wanted, jobs):
    """Make the signals and features of all names, with progress, on `jobs` processes: [dict]."""
    from joblib import Parallel, delayed
    from tqdm import tqdm

    parts = [names[i : i + CHUNK] for i in range(0, len(names), CHUNK)]
    spread, made = Parallel(jobs or (1 if len(names) < FEW else -1), return_as="generator", idle_worker_timeout=IDLE), []
    with tqdm(total=len(names), desc="corpus", unit="clip", disable=None) as bar:
        for part in spread(delayed(make_some)(part, seed, duration, wanted) for part in parts):
            made += part
            bar.update(len(part))
    return made


def make_some(names, seed, duration, wanted):
    """Make the signals and features of some names."""
    made = []
    np.empty(3 * 2**20)  # its release makes glibc keep the memory of smaller arrays: a tenth of the time
    with threadpool_limits(1):
        for name in names:
            made.append(make_signals(name, seed, duration, "frames" in wanted))
            wave = made[-1].pop("wave")
            if set(wanted) & {*VOICE, *DERIVED}:
                made[-1]["sound"] = front_end(wave, voice.RATE)
    return made


def raw_signals(name: str, seed: int = 0, duration: float | tuple[float, float] | None = None) -> RawSignals:
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


def make_signals(name, seed, duration, drawn=True):
    """Return signals, labels and truth of one name, with frames if `drawn`; duration None is the bundled corpus's."""
    kind, speaker, emotion, take = parse(name)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed is {seed!r}; accepted: a whole number of at least 0")
    usual = CLIP_SECONDS if kind == "s" else RECORDING_SECONDS
    duration = length_range(usual if duration is None else duration)
    if kind == "s":
        return act_clip(name, speaker, emotion, take, seed, duration, drawn)
    return act_recording(name, speaker, seed, duration, drawn)


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
