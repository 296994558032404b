"""Parts of the readers of features: files of a folder, numbers that are not finite, time steps, and streams."""

import re
import warnings
from pathlib import Path

import numpy as np
from tqdm import tqdm

from refmer.data.arrays import listed
from refmer.data.clips import Clips

SENSES = {  # sense: words in the names of its streams
    "voice": "audio|voice|acoustic|speech|sound|egemaps|compare|mfcc|covarep|opensmile|logmel|prosody|wav2vec|hubert|wavlm",
    "face": "video|visual|vision|face|vgg|facet|units|frames|gaze|aus?|resnet",
    "words": "text|words?|glove|bert|roberta|linguistic|bow",
    "body": "body|physio|eda|gsr|ecg|hr",
}


def sense_of(name):
    """Return the sense that the name of a stream has by custom, or the name."""
    parts = re.split("[^a-z0-9]+|(?<=[a-z])[0-9]+$", name.lower())
    return next((sense for sense, words in SENSES.items() if any(re.fullmatch(f"(open)?({words})", p) for p in parts)), name)


def data_files(path, endings):
    """Return {name without ending: file} of a file, or of all files of a folder, at any depth, with one of the endings."""
    path = Path(path).expanduser()
    if path.is_file():
        return {path.stem: path}
    if not path.is_dir():
        raise FileNotFoundError(
            f"no file or folder {path}; accepted: files that end in {' or '.join(endings)}, or their folder"
        )
    chosen = [f for f in sorted(path.rglob("*")) if f.suffix.lower() in endings and f.is_file() and f.name[0] != "."]
    if not chosen:
        raise ValueError(f"{path} has no files that end in {' or '.join(endings)}; accepted: a folder of such files")
    stems = [f.stem for f in chosen]
    return {f.stem if stems.count(f.stem) == 1 else f.relative_to(path).with_suffix("").as_posix(): f for f in chosen}


def collect(source, files, read):
    """Return {name: read(file)} of the files that can be read, and warn once of the others.

    Raises ValueError, with all reasons, if none can be read.
    """
    contents, unread = {}, []
    for name, file in tqdm(files.items(), desc=Path(source).name, unit="file", disable=None):
        try:
            contents[name] = read(file)
        except (ValueError, OSError) as error:
            unread.append(str(error))
    if not contents:
        raise ValueError(f"nothing of {source} can be read:\n" + "\n".join(unread))
    if unread:
        warnings.warn(f"{len(unread)} of {len(files)} files of {source} are left out:\n" + "\n".join(unread), stacklevel=3)
    return contents


def finite(source, parts):
    """Return arrays as float32 with 0 for every value that is not finite; warn once of their number."""
    bad = sum(int((~np.isfinite(x)).sum()) for x in parts)
    if bad:
        warnings.warn(f"{source}: {bad} values are missing or not finite, and read as 0", stacklevel=3)
    return [np.nan_to_num(x.astype(np.float32), nan=0, posinf=0, neginf=0) for x in parts]


def step_of(file, seconds):
    """Return the time step of rows, the lower median of the differences of their seconds, and the number of each row.

    Raises ValueError unless the seconds rise by whole steps.
    """
    steps = np.diff(seconds)
    if not len(steps):
        return None, np.zeros(len(seconds), int)
    if not (np.isfinite(steps).all() and (steps > 0).all()):
        raise ValueError(f"{file}: times do not rise, or are missing; accepted: one time for each row, in order")
    step = np.quantile(steps, 0.5, method="lower")
    at = (seconds - seconds[0]) / step
    if np.abs(at - np.round(at)).max() > 0.25 or at[-1] > 100 * len(at):
        raise ValueError(f"{file}: times rise by {steps.min():g} to {steps.max():g} s; accepted: whole steps")
    return step, np.round(at).astype(int)


def placed(x, at):
    """Return rows x (n, ...) at their time steps, (T, ...), and where there is one, (T,)."""
    present = np.zeros(at[-1] + 1 if len(at) else 0, bool)
    present[at] = True
    frames = np.zeros((len(present), *x.shape[1:]), x.dtype)
    frames[at] = x
    return frames, present


def shared(kind, tables):
    """Return the names of the columns and the rate of all files of a folder."""
    kinds = {table[:2]: name for name, table in tables.items()}
    if len(kinds) > 1:
        given = "; ".join(f"{name}: {len(names)} columns, {rate:g} Hz" for (names, rate), name in kinds.items())
        raise ValueError(f"the files of {kind} differ ({given}); accepted: the same columns and time steps")
    return next(iter(kinds))


def remark(corpus, remarks):
    """Warn, once, of what is not as published: {text: names}; a text without names is left out."""
    if lines := lines_of(remarks):
        warnings.warn(f"{corpus} is not as published: " + "; ".join(lines), stacklevel=3)


def lines_of(remarks):
    """Return a line for each of {text: names} that has names."""
    return [f"{text} ({len(names)}): {listed(names)}" for text, names in remarks.items() if names]


def clips_of_streams(streams, names, speaker, labels, source):
    """Return Clips; speaker: a function of a clip's name, or None for a speaker of its own for each clip."""
    speakers = [speaker(name) for name in names] if callable(speaker) else None
    return Clips(streams, list(names), speakers, labels, source=source)
