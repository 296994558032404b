"""A clip from files: a WAV file, a CSV that OpenFace 2 wrote about the face, and vectors of the words."""

import warnings
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from refmer.data.clips import WORD_RATE, Clips, Stream
from refmer.data.front_end import PROSODY, derived, front_end
from refmer.data.openface import FACE_RATE, FEATURES, LONGEST, read_face

SHORTEST = 0.2  # seconds
LARGEST = 2**30  # bytes of a file
SPEECH = 0.1  # seconds of voiced sound that make speech
VOICE_RATE = 2 * FACE_RATE


def read_clip(wav=None, openface_csv=None, words=None, *, name=None, speaker="you", confidence=0.7):
    """Read one clip from files, with the streams of the bundled corpus that a trained Recognizer needs.

    Parameters
    ----------
    wav : path, optional
        A WAV file of 0.2 to 600 s with speech: any sample rate, up to 8 channels (averaged), 8 to 32 bit integers or floating
        point. Gives "logmel", "prosody", "mfcc" and "layers" (voice).
    openface_csv : path, optional
        A file of OpenFace 2 about one face: columns frame, timestamp (s), confidence, success, AUnn_r, AUnn_c, pose_T.,
        pose_R. and gaze_.; others are ignored. Gives "units" at 25 Hz: intensities, pose and gaze are interpolated between
        frames, presences (AUnn_c) are those of the nearest frame.
    words : array (T, D), optional
        A vector per word. The bundled corpus has D = 16; a Recognizer requires the width of its training clips.
    name : str, optional
        Name of the clip. Default: that of the first file.
    speaker : str
        Name of the speaker.
    confidence : float
        Frames of the face with a lower confidence, or with success 0, are masked.

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
        If nothing is given, or a file is unreadable, too short or long, silent, without speech, without a column or a face, or
        has NaN instead of numbers.
    """
    if wav is None and openface_csv is None and words is None:
        raise ValueError("nothing to read; accepted: at least one of wav, openface_csv and words")
    if isinstance(confidence, bool | str) or not 0 <= confidence <= 1:
        raise ValueError(f"confidence is {confidence!r}; accepted: a number from 0 to 1")
    voice = None if wav is None else read_voice(existing("wav", wav))
    face = None if openface_csv is None else read_face(existing("openface_csv", openface_csv), confidence)
    T = max(0 if voice is None else -(-len(voice["logmel"]) // 2), 0 if face is None else len(face[0]))  # at 25 Hz
    streams = {}
    if voice is not None:
        for k, features in (("logmel", ()), ("prosody", PROSODY)):
            streams[k] = filled(voice[k], np.ones(len(voice[k]), bool), 2 * T, VOICE_RATE, "voice", features)
        streams |= derived(streams["logmel"])
    if face is not None:
        streams["units"] = filled(*face, T, FACE_RATE, "face", FEATURES)
    if words is not None:
        streams["words"] = word_stream(words, T / FACE_RATE)
    files = [Path(path).name for path in (wav, openface_csv) if path is not None]
    name = Path(files[0]).stem if name is None and files else name or "clip"
    return Clips(streams, name=np.array([name]), speaker=np.array([speaker]), source=", ".join(files) or "given words")


def existing(label, path):
    """Return the path of a file; raise unless it exists and has at most LARGEST bytes."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{label} is {str(path)!r}: no such file")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{label} {path.name} has {path.stat().st_size} bytes; accepted: at most {LARGEST}")
    return path


def read_voice(path):
    """Return the front end's features of a sound file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # about chunks without sound
            rate, wave = wavfile.read(path)
    except Exception as error:  # a damaged header makes scipy raise anything, struct.error and UnboundLocalError too
        raise ValueError(f"wav {path.name} cannot be read ({error}); accepted: a WAV file, PCM or floating point") from error
    file, seconds = f"wav {path.name}", len(wave) / rate if rate > 0 else 0.0
    if not SHORTEST <= seconds <= LONGEST:
        raise ValueError(f"{file} lasts {seconds:.3f} s; accepted: {SHORTEST:g} to {LONGEST:g} s")
    try:
        features = front_end(wave, rate)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error
    voiced = spoken(features["prosody"])
    if voiced < SPEECH:
        raise ValueError(f"{file} has {voiced:.2f} s of voice in {seconds:.2f} s; accepted: speech, at least {SPEECH} s")
    return {k: features[k].astype(np.float32) for k in ("logmel", "prosody")}


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
    x = np.asarray(vectors)
    if x.ndim != 2 or 0 in x.shape or x.dtype.kind not in "fiu":
        raise ValueError(f"words has shape {x.shape} and dtype {x.dtype}; accepted: numbers (words, width), at least one word")
    bad = (~np.isfinite(x)).any(1).sum()
    if bad:
        raise ValueError(f"words has NaN or infinite values in {bad} words; accepted: finite numbers")
    rate = len(x) / seconds if seconds else WORD_RATE
    return Stream(x[None].astype(np.float32), float(rate), np.ones((1, len(x)), bool), "words")
