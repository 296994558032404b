"""A clip from files: a WAV file, a CSV that OpenFace 2 wrote about the face, and vectors of the words."""

import warnings
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from refmer.choices import SHARE, plain, typed
from refmer.data.clips import WORD_RATE, Clips, Stream
from refmer.data.files import FileName
from refmer.data.front_end import PROSODY, derived
from refmer.data.openface import FACE_RATE, read_face
from refmer.data.voice import VOICE_RATE, kept_voice

LARGEST = 2**30  # bytes of a file
DIFFER = 0.1  # share of its length by which the longer stream may be longer
FRAME_RATES = (lambda x: 5 <= x <= 1000, "frames per second from 5 to 1000")


def read_clip(
    wav: FileName | None = None,
    openface_csv: FileName | None = None,
    words: Any = None,
    *,
    name: str | None = None,
    speaker: str = "you",
    confidence: float = 0.7,
    face: str | int | None = None,
    rate: float | None = None,
) -> Clips:
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
    streams, T = file_streams([read_files(wav, openface_csv, confidence, face, rate)])
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


def read_files(wav, openface_csv, confidence=0.7, face=None, rate=None, cache=None, columns="units"):
    """Return what the files of a clip hold: features of the voice by name, and (x, present, features) of the face, or None."""
    confidence = typed("confidence", plain(confidence), float, SHARE)
    rate = typed("rate", plain(rate), float | None, FRAME_RATES)
    voice, tracked, sound = None, None, 0.0
    if wav is not None:
        voice = kept_voice(existing("wav", wav), cache)
        sound = len(voice["logmel"]) / VOICE_RATE
    if openface_csv is not None:
        tracked = read_face(existing("openface_csv", openface_csv), confidence, face, rate, sound, columns)
        seconds = len(tracked[0]) / FACE_RATE
        if sound and abs(sound - seconds) > DIFFER * max(sound, seconds):
            warnings.warn(f"the sound lasts {sound:.2f} s and the face {seconds:.2f} s: are they one clip?", stacklevel=2)
    return voice, tracked


def file_streams(clips, seconds=None):
    """Return the streams of the voice and the face, and frames at 25 Hz, of clips as `read_files` returns them.

    seconds: of each clip, those after them are left out.
    """
    lengths = [[-(-len(voice["logmel"]) // 2) if voice else 0, len(tracked[0]) if tracked else 0] for voice, tracked in clips]
    T = max(map(max, lengths), default=0)
    T = T if seconds is None else min(T, max(round(seconds * FACE_RATE), 1))
    streams = {}
    if any(voice for voice, _ in clips):
        for k, features in (("logmel", ()), ("prosody", PROSODY)):
            parts = [(v[k], np.ones(len(v[k]), bool)) if v else () for v, _ in clips]
            streams[k] = filled(parts, VOICE_RATE, "voice", features, 2 * T)
        streams |= derived(streams["logmel"])
    if features := next((tracked[2] for _, tracked in clips if tracked), None):
        parts = [tracked[:2] if tracked else () for _, tracked in clips]
        streams["units"] = filled(parts, FACE_RATE, "face", features, T)
    return streams, T


def filled(parts, rate, sense, features=(), T=None):
    """Return a stream of clips, each (x (t, ...), present (t,)), or () for one without a frame; 0 where no frame is present.

    T: the number of frames, and the most of a clip; default: those of the longest.
    """
    first = next(part[0] for part in parts if part)
    T = max(len(part[1]) for part in parts if part) if T is None else T
    x, mask = np.zeros((len(parts), T, *first.shape[1:]), first.dtype), np.zeros((len(parts), T), bool)
    for k, part in enumerate(parts):
        if part:
            frames, present = (values[:T] for values in part)
            mask[k, : len(present)] = present
            x[k, : len(present)][present] = frames[present]
    return Stream(x, float(rate), mask, sense, features)


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
