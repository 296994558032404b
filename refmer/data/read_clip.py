"""A clip of one's own: a sound file, what OpenFace 2 wrote about the face, vectors of the words."""

import csv
import warnings
from pathlib import Path

import numpy as np
from scipy.io import wavfile

from refmer.data.clips import Clips, Stream
from refmer.data.front_end import PROSODY, derived, front_end
from refmer.data.synthetic import face, words

SHORTEST, LONGEST = 0.2, 600.0  # seconds
LARGEST = 2**30  # bytes of a file
SPEECH = 0.1  # seconds of voiced sound that make speech
VOICE_RATE = 2 * face.RATE
FIRST = ("frame", "timestamp", "confidence", "success")
ACCEPTED = "a CSV that OpenFace 2 FeatureExtraction wrote (-aus -pose -gaze), with one face"


def read_clip(wav=None, openface_csv=None, words=None, *, name=None, speaker="you", confidence=0.7):
    """One clip from files, with the streams of the bundled corpus: what a trained Recognizer can be asked about.

    Parameters
    ----------
    wav : path, optional
        A WAV file of 0.2 to 600 s with speech: any sample rate, up to 8 channels (averaged), 8 to 32 bit integers or floating
        point. Gives "logmel", "prosody", "mfcc" and "layers" (voice).
    openface_csv : path, optional
        What OpenFace 2 wrote about one face: columns frame, timestamp (s), confidence, success, AUnn_r, AUnn_c, pose_T.,
        pose_R. and gaze_.; others are ignored. Gives "units" at 25 Hz: intensities, pose and gaze are interpolated between
        frames, presences (AUnn_c) are those of the nearest frame.
    words : array (T, D), optional
        A vector per word. The corpus's own have D = 16; a model asks for the width it has learned.
    name : str, optional
        Of the clip. Default: that of the first file.
    speaker : str
        Who it is.
    confidence : float
        Frames of the face with less, or with success 0, are masked: there is no face then.

    Returns
    -------
    Clips
        One clip without labels. Where sound and face differ in length, the shorter one is masked at its end. There are no
        "frames" and no "body": a system that needs them, or what was not given, says so.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If nothing is given, or a file is unreadable, too short or long, silent, without speech, without a column or a face, or
        has NaN where there should be numbers.
    """
    if wav is None and openface_csv is None and words is None:
        raise ValueError("nothing to read; accepted: at least one of wav, openface_csv and words")
    if isinstance(confidence, bool | str) or not 0 <= confidence <= 1:
        raise ValueError(f"confidence is {confidence!r}; accepted: a number from 0 to 1")
    heard = None if wav is None else read_voice(existing("wav", wav))
    seen = None if openface_csv is None else read_face(existing("openface_csv", openface_csv), confidence)
    T = max(0 if heard is None else -(-len(heard["logmel"]) // 2), 0 if seen is None else len(seen[0]))  # at 25 Hz
    streams = {}
    if heard is not None:
        for k, features in (("logmel", ()), ("prosody", PROSODY)):
            streams[k] = filled(heard[k], np.ones(len(heard[k]), bool), 2 * T, VOICE_RATE, "voice", features)
        streams |= derived(streams["logmel"])
    if seen is not None:
        streams["units"] = filled(*seen, T, face.RATE, "face", face.FEATURES)
    if words is not None:
        streams["words"] = word_stream(words, T / face.RATE)
    files = [Path(path).name for path in (wav, openface_csv) if path is not None]
    name = Path(files[0]).stem if name is None and files else name or "clip"
    return Clips(streams, name=np.array([name]), speaker=np.array([speaker]), source=", ".join(files) or "given words")


def existing(label, path):
    """The path of a file of bearable size."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{label} is {str(path)!r}: no such file")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{label} {path.name} has {path.stat().st_size} bytes; accepted: at most {LARGEST}")
    return path


def read_voice(path):
    """The front end's features of a sound file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # about chunks that hold no sound
            rate, wave = wavfile.read(path)
    except Exception as error:  # a damaged header makes scipy raise anything, struct.error and UnboundLocalError too
        raise ValueError(f"wav {path.name} cannot be read ({error}); accepted: a WAV file, PCM or floating point") from error
    seconds = len(wave) / rate if rate > 0 else 0.0
    if not SHORTEST <= seconds <= LONGEST:
        raise ValueError(f"wav {path.name} lasts {seconds:.3f} s; accepted: {SHORTEST:g} to {LONGEST:g} s")
    try:
        heard = front_end(wave, rate)
    except ValueError as error:
        raise ValueError(f"wav {path.name}: {error}") from error
    voiced = spoken(heard["prosody"])
    if voiced < SPEECH:
        raise ValueError(
            f"wav {path.name} has {voiced:.2f} s of voice in {seconds:.2f} s; accepted: speech, at least {SPEECH} s"
        )
    return {k: heard[k].astype(np.float32) for k in ("logmel", "prosody")}


def spoken(prosody):
    """Seconds of sound with a pitch that holds for three frames and more, not 35 dB under the loudest.   prosody (T, 6)."""
    f0, _, energy = prosody[:, :3].T
    on = (f0 > 0) & (energy > energy.max() - 35)
    on[1:] &= (np.abs(np.log(np.maximum(f0[1:], 1) / np.maximum(f0[:-1], 1))) < 0.15) | ~on[:-1]
    edges = np.flatnonzero(np.diff(np.r_[0, on, 0]))  # begin, end, begin, end, ...
    runs = edges[1::2] - edges[::2]
    return runs[runs >= 3].sum() / VOICE_RATE


def read_face(path, confidence):
    """Features (T, 49) at 25 Hz and where there is a face (T,)."""
    header, rows = read_table(path)
    missing = [column for column in (*FIRST, *face.FEATURES) if column not in header]
    if missing:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        raise ValueError(f"openface_csv {path.name} lacks the columns {', '.join(missing[:4])}{more}; accepted: {ACCEPTED}")
    if len(rows) < 2:
        raise ValueError(f"openface_csv {path.name} has {len(rows)} frames; accepted: at least 2")
    at = {column: k for k, column in enumerate(header)}
    if "face_id" in at and len(np.unique(rows[:, at["face_id"]])) > 1:
        raise ValueError(f"openface_csv {path.name} has {len(np.unique(rows[:, at['face_id']]))} faces; accepted: {ACCEPTED}")
    number, seconds, sure, success = (rows[:, at[column]] for column in FIRST)
    good = (success == 1) & (sure >= confidence)
    x = rows[:, [at[column] for column in face.FEATURES]]
    check_numbers(path, number, seconds, x, good)
    if not 5 <= (len(rows) - 1) / (seconds[-1] - seconds[0]) <= 1000:
        raise ValueError(
            f"openface_csv {path.name} has {len(rows)} frames in {np.ptp(seconds):.3f} s; accepted: 5 to 1000 a second"
        )
    if seconds[-1] > LONGEST:
        raise ValueError(f"openface_csv {path.name} lasts {seconds[-1]:.1f} s; accepted: at most {LONGEST:g} s")
    if not good.any():
        raise ValueError(
            f"openface_csv {path.name} has {len(rows)} frames and none with success 1 and a confidence of {confidence:g}; "
            "accepted: at least one frame with a face"
        )
    return to_rate(x.astype(np.float64), number, seconds, good)


def read_table(path):
    """Names of the columns, and numbers (rows, columns), NaN for what is none."""
    try:
        with open(path, newline="", encoding="utf-8-sig", errors="replace") as f:
            lines = [line for line in csv.reader(f) if line]
    except (csv.Error, OSError) as error:
        raise ValueError(f"openface_csv {path.name} cannot be read ({error}); accepted: {ACCEPTED}") from error
    header = [column.strip() for column in lines[0]] if lines else []  # OpenFace writes ", timestamp"
    for k, line in enumerate(lines[1:], 2):
        if len(line) != len(header):
            raise ValueError(f"openface_csv {path.name}: line {k} has {len(line)} columns, the header {len(header)}")
    rows = [[number_of(text) for text in line] for line in lines[1:]]
    return header, np.array(rows).reshape(len(rows), len(header))


def number_of(text):
    try:
        return float(text)
    except ValueError:  # "-nan(ind)", which Windows writes
        return np.nan


def check_numbers(path, number, seconds, x, good):
    """Times rise, and every frame with a face has numbers."""
    if not (np.isfinite(number).all() and np.isfinite(seconds).all() and (np.diff(seconds) > 0).all() and (seconds >= 0).all()):
        raise ValueError(f"openface_csv {path.name}: frame or timestamp is missing or does not rise; accepted: rising numbers")
    bad = np.argwhere(~np.isfinite(x) & good[:, None])
    if len(bad):
        frame, column = number[bad[0][0]], face.FEATURES[bad[0][1]]
        raise ValueError(
            f"openface_csv {path.name}: {column} is no finite number in frame {frame:g} ({len(bad)} such values where there "
            "is a face); accepted: finite numbers"
        )


def to_rate(x, number, seconds, good):
    """Frames at any rate to 25 Hz: frame t is centred at (t + 0.5) / 25 s.   -> (T, 49) float32, (T,) bool."""
    step = (seconds[-1] - seconds[0]) / (number[-1] - number[0])
    regular = seconds[0] + step * (number - number[0])
    if np.abs(regular - seconds).max() < 0.002:
        seconds = regular  # timestamps are rounded to milliseconds
    middle = seconds + step / 2
    T = max(round((seconds[-1] + step) * face.RATE), 1)
    t = (np.arange(T) + 0.5) / face.RATE
    after = np.clip(np.searchsorted(middle, t), 1, len(middle) - 1)
    nearest = after - (t - middle[after - 1] < middle[after] - t)
    there = good[nearest] & (np.abs(middle[nearest] - t) <= max(step, 1 / face.RATE))
    known = np.flatnonzero(good)
    y = np.stack([np.interp(t, middle[known], column) for column in x[known].T], axis=1)
    presence = [k for k, column in enumerate(face.FEATURES) if column.endswith("_c")]
    y[:, presence] = np.where(there[:, None], x[nearest][:, presence], 0)
    return y.astype(np.float32), there


def filled(x, there, T, rate, sense, features):
    """A stream of one clip of T frames, masked where nothing is there."""
    fill = T - len(x)
    mask = np.pad(there, (0, fill))
    x = np.where(mask[:, None], np.pad(x, ((0, fill), (0, 0))), np.float32(0))
    return Stream(x[None], float(rate), mask[None], sense, features)


def word_stream(vectors, seconds):
    """Words at even distances; 2.5 a second if nothing tells how long they took."""
    x = np.asarray(vectors)
    if x.ndim != 2 or 0 in x.shape or x.dtype.kind not in "fiu":
        raise ValueError(f"words has shape {x.shape} and dtype {x.dtype}; accepted: numbers (words, width), at least one word")
    if not np.isfinite(x).all():
        raise ValueError(
            f"words has NaN or infinite values in {(~np.isfinite(x)).any(1).sum()} words; accepted: finite numbers"
        )
    rate = len(x) / seconds if seconds else words.RATE
    return Stream(x[None].astype(np.float32), float(rate), np.ones((1, len(x)), bool), "words")
