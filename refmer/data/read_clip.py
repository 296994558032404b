"""A clip from files: a WAV file, a CSV that OpenFace 2 wrote about the face, and vectors of the words."""

import warnings
from os import PathLike
from pathlib import Path

import numpy as np

from refmer.choices import SHARE, plain, typed
from refmer.data.clips import WORD_RATE, Clips, Stream
from refmer.data.front_end import PROSODY, FrontEnd, analyse, derived
from refmer.data.openface import FACE_RATE, LONGEST, read_face
from refmer.data.recording import recording
from refmer.data.wav import open_wav

SHORTEST = 0.2  # seconds
LARGEST = 2**30  # bytes of a file
SPEECH = 0.1  # seconds of voiced sound that make speech
DIFFER = 0.1  # share of its length by which the longer stream may be longer
VOICE_RATE = 2 * FACE_RATE
FRAME_RATES = (lambda x: 5 <= x <= 1000, "frames per second from 5 to 1000")
RECORDED = FrontEnd(recorded=True)


def read_clip(wav=None, openface_csv=None, words=None, *, name=None, speaker="you", confidence=0.7, face=None, rate=None):
    """Read one clip from files, with the streams of the bundled corpus that a trained Recognizer needs.

    Parameters
    ----------
    wav : path, optional
        A WAV file of 0.2 to 600 s: 1000 to 384,000 samples a second, up to 8 channels (averaged), PCM of 8 to 32 bit, floating
        point, A-law or mu-law. Sound below 60 Hz is removed. Gives "logmel", "prosody", "mfcc" and "layers" (voice).
    openface_csv : path, optional
        A file of OpenFace 2: columns frame, timestamp (s), confidence, success, AUnn_r, AUnn_c, pose_T., pose_R. and gaze_.;
        others are ignored, features that it lacks are left out. Commas, semicolons or tabs between columns, decimal points or
        commas. Gives "units" at 25 Hz: intensities, pose and gaze are interpolated between frames, presences (AUnn_c) are those
        of the nearest frame.
    words : array (T, D), optional
        A vector per word. The bundled corpus has D = 16; a Recognizer requires the width of its training clips.
    name : str, optional
        Name of the clip. Default: that of the first file.
    speaker : str
        Name of the speaker.
    confidence : float
        Frames of the face with a lower confidence, or with success 0, are masked.
    face : "largest", "most confident" or int, optional
        Which of several faces: the nearest to the camera (pose_Tz), the one of highest confidence (medians over its rows), or
        its number in the column face_id. Default: the one in most rows.
    rate : float, optional
        Frames per second of the CSV, for a file without timestamps. Default: as its timestamps say.

    Returns
    -------
    Clips
        One clip without labels. Where sound and face differ in length, the shorter one is masked at its end. It has no
        streams "frames" and "body": a system that needs them, or a file that was not given, raises ValueError.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    ValueError
        If nothing is given, or a file is unreadable, too short or long, silent, without features, times or a face, or has NaN
        instead of numbers.

    Warns
    -----
    UserWarning
        If a file was read, but not as it is or not whole: little voice, channels that cancel each other, a file that is cut
        off, several faces, features left out, streams whose lengths differ by more than a tenth.
    """
    if wav is None and openface_csv is None and words is None:
        raise ValueError("nothing to read; accepted: at least one of wav, openface_csv and words")
    confidence = typed("confidence", plain(confidence), float, SHARE)
    rate = typed("rate", plain(rate), float | None, FRAME_RATES)
    voice = None if wav is None else read_voice(existing("wav", wav))
    sound = 0 if voice is None else len(voice["logmel"])
    tracked = None
    if openface_csv is not None:
        tracked = read_face(existing("openface_csv", openface_csv), confidence, face, rate, sound / VOICE_RATE)
    lengths = [sound / VOICE_RATE, len(tracked[0]) / FACE_RATE if tracked else 0]
    if min(lengths) and abs(lengths[0] - lengths[1]) > DIFFER * max(lengths):
        warnings.warn(f"the sound lasts {lengths[0]:.2f} s and the face {lengths[1]:.2f} s: are they one clip?", stacklevel=2)
    T = max(-(-sound // 2), len(tracked[0]) if tracked else 0)  # at 25 Hz
    streams = {}
    if voice is not None:
        for k, features in (("logmel", ()), ("prosody", PROSODY)):
            streams[k] = filled(voice[k], np.ones(len(voice[k]), bool), 2 * T, VOICE_RATE, "voice", features)
        streams |= derived(streams["logmel"])
    if tracked is not None:
        x, present, features = tracked
        streams["units"] = filled(x, present, T, FACE_RATE, "face", features)
    if words is not None:
        streams["words"] = word_stream(words, T / FACE_RATE)
    files = [Path(path).name for path in (wav, openface_csv) if path is not None]
    name = Path(files[0]).stem if name is None and files else name or "clip"
    return Clips(streams, name=np.array([name]), speaker=np.array([speaker]), source=", ".join(files) or "given words")


def existing(label, path):
    """Return the path of a file; raise unless it exists and has at most LARGEST bytes."""
    if not isinstance(path, str | PathLike):
        raise TypeError(f"{label} is {type(path).__name__}; accepted: a path")
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{label} is {str(path)!r}: no such file")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{label} {path.name} has {path.stat().st_size} bytes; accepted: at most {LARGEST}")
    return path


def read_voice(path):
    """Return the front end's features of a sound file."""
    wav = open_wav(path)
    seconds = wav.frames / wav.rate
    if not SHORTEST <= seconds <= LONGEST:
        raise ValueError(f"wav {path.name} lasts {seconds:.3f} s; accepted: {SHORTEST:g} to {LONGEST:g} s")
    features = analyse(recording(wav, RECORDED.rate, RECORDED.level, RECORDED.hop), RECORDED)
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


def filled(x, present, T, rate, sense, features):
    """Return a stream of one clip of T frames, masked where no frame is present."""
    fill = T - len(x)
    mask = np.pad(present, (0, fill))
    x = np.where(mask[:, None], np.pad(x, ((0, fill), (0, 0))), np.float32(0))
    return Stream(x[None], float(rate), mask[None], sense, features)


def word_stream(vectors, seconds):
    """Return a stream of evenly spaced words, WORD_RATE per second if the duration is 0."""
    try:
        x = np.asarray(vectors)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"words is {type(vectors).__name__} ({error}); accepted: numbers (words, width)") from error
    if x.ndim != 2 or 0 in x.shape or x.dtype.kind not in "fiu":
        raise ValueError(f"words has shape {x.shape} and dtype {x.dtype}; accepted: numbers (words, width), at least one word")
    bad = (~(np.abs(x) <= np.finfo(np.float32).max)).any(1).sum()
    if bad:
        raise ValueError(f"words has NaN or infinite values in {bad} words; accepted: finite in float32")
    rate = len(x) / seconds if seconds else WORD_RATE
    return Stream(x[None].astype(np.float32), float(rate), np.ones((1, len(x)), bool), "words")
