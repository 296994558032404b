"""The voice of a sound file: the front end's features, computed once and kept in a folder."""

import hashlib
import inspect
import warnings
from functools import cache

import numpy as np

from refmer.data import front_end, recording, wav
from refmer.data.files import read_npz, replacing
from refmer.data.openface import LONGEST

SHORTEST = 0.2  # seconds
SPEECH = 0.1  # seconds of voiced sound that make speech
RECORDED = front_end.FrontEnd(recorded=True)
VOICE_RATE = RECORDED.rate // RECORDED.hop
KEPT = {"logmel", "prosody", "notes"}  # arrays of a file in the folder


def read_voice(path):
    """Return the front end's features of a sound file, {"logmel": (T, 40), "prosody": (T, 6)} float32 at VOICE_RATE."""
    sound = wav.open_wav(path)
    seconds = sound.frames / sound.rate
    if not SHORTEST <= seconds <= LONGEST:
        raise ValueError(f"wav {path.name} lasts {seconds:.3f} s; accepted: {SHORTEST:g} to {LONGEST:g} s")
    wave = recording.recording(sound, RECORDED.rate, RECORDED.level, RECORDED.hop)
    features = front_end.analyse(wave, RECORDED)
    voiced = spoken(features["prosody"])
    if voiced < SPEECH:
        warnings.warn(
            f"wav {path.name} has {voiced:.2f} s of voice in {seconds:.2f} s: F0 and voicing say little about it", stacklevel=2
        )
    return {name: x.astype(np.float32) for name, x in features.items()}


def spoken(prosody):
    """Return seconds with a steady pitch for three frames or more, at most 35 dB below the loudest.   prosody (T, 6)."""
    f0, _, energy = prosody[:, :3].T
    on = (f0 > 0) & (energy > energy.max() - 35)
    on[1:] &= (np.abs(np.log(np.maximum(f0[1:], 1) / np.maximum(f0[:-1], 1))) < 0.15) | ~on[:-1]
    edges = np.flatnonzero(np.diff(np.r_[0, on, 0]))  # begin, end, begin, end, ...
    runs = edges[1::2] - edges[::2]
    return runs[runs >= 3].sum() / VOICE_RATE


def kept_voice(path, folder):
    """Return `read_voice(path)` from the file in `folder` for this content, or write it; warnings are given again.

    The file's name is the SHA-256 of the sound file and of the code that computes the features. A damaged file is replaced.
    Without a folder, nothing is kept.
    """
    if folder is None:
        return read_voice(path)
    with open(path, "rb") as f:
        digest = hashlib.file_digest(f, "sha256")
    digest.update(code())
    file = folder / f"{digest.hexdigest()}.npz"
    named = f"wav {path.name}"
    try:
        kept = read_npz(file, "features of a voice")
        if set(kept) != KEPT:
            raise ValueError(f"{file} has the arrays {sorted(kept)}; accepted: {sorted(KEPT)}")
    except (FileNotFoundError, ValueError):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            kept = read_voice(path)
        kept["notes"] = np.array([str(w.message).removeprefix(named) for w in caught], str)
        with replacing(file) as f:
            np.savez(f, **kept)  # compressed, the numbers would be as large
    for note in kept.pop("notes"):
        warnings.warn(f"{named}{note}", stacklevel=2)
    return kept


@cache
def code():
    """Return the source and the settings of what computes the features: a change of them makes every kept file old."""
    return "".join([repr(RECORDED), *map(inspect.getsource, (wav, recording, front_end, read_voice))]).encode()
