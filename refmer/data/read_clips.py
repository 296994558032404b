"""Clips of many files, read by all processor cores; what cannot be read is listed at the end."""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed
from tqdm import tqdm

from refmer.choices import SECONDS, plain, typed
from refmer.data.clips import Clips
from refmer.data.files import FileName
from refmer.data.read_clip import file_streams, read_files

ARGUMENTS = {".wav": "wav", ".csv": "openface_csv"}  # of read_files, by the ending of a file
FEW = 16  # clips for which no processes are started


def read_clips(folder: FileName, *, speaker: str | Callable[..., str] = "you", **options: Any) -> Clips:
    """Read the clips of a folder: a WAV file and an OpenFace CSV of the same name, or one of the two, are a clip.

    Parameters
    ----------
    folder : path
        Its files are read, in the order of their names; those of folders inside it are not.
    speaker : str or callable
        Name of the speaker of all clips, or a function of a clip's name: `lambda name: name[:4]` for CREMA-D.
    **options
        cache : path, optional
            Folder that keeps the features of each sound, made if it does not exist: the same sound is not analysed again.
        jobs : int, optional
            Number of processes. Default: one for each processor core.
        seconds : float, optional
            What follows the first `seconds` of a clip is left out. Default: nothing. Clips are padded to the longest.
        confidence, face, rate
            As in `refmer.read_clip`.

    Returns
    -------
    Clips
        Clips without labels. A clip has no frame of a stream that it lacks.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    ValueError
        If none of its clips can be read.

    Warns
    -----
    UserWarning
        At the end: the clips that could not be read, each with the reason; those of which `refmer.read_clip` would warn; clips
        that have the same sound or face.
    """
    folder, files = Path(folder).expanduser(), {}
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; accepted: a folder of .wav and .csv files")
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in ARGUMENTS:
            files.setdefault(path.stem, {})[ARGUMENTS[path.suffix.lower()]] = path
    speakers = {name: speaker(name) if callable(speaker) else speaker for name in files}
    return clips_of(files, speakers, str(folder), **options)


def clips_of(files, speakers, source, *, seconds=None, **options):
    """Return the Clips of {name: {"wav": path, "openface_csv": path}}, one of the two or both, with {name: speaker}."""
    seconds = typed("seconds", plain(seconds), float | None, SECONDS)
    contents = read_contents(files, source, **options)
    streams, _ = file_streams(list(contents.values()), seconds)
    return Clips(streams, name=list(contents), speaker=[speakers[name] for name in contents], source=source)


def read_contents(files, source, *, cache=None, jobs=None, **options):
    """Return {name: what `read_files` returns} of the clips that can be read; warn once of the others, and of single clips."""
    jobs = typed("jobs", plain(jobs), int | None)
    if cache is not None:
        cache = Path(cache).expanduser().absolute()
        cache.mkdir(parents=True, exist_ok=True)
    parallel = Parallel(1 if len(files) < FEW else jobs or -1, return_as="generator")
    # absolute: a process may have been started in another folder
    places = ({argument: Path(path).expanduser().absolute() for argument, path in paths.items()} for paths in files.values())
    results = parallel(delayed(attempt)(paths, cache=cache, **options) for paths in places)
    results = tqdm(results, desc=Path(source).name, total=len(files), unit="clip", disable=None)
    contents, unread, notes, copies, features = {}, [], [], {}, None
    for name, (content, said) in zip(files, results, strict=True):
        if content is None:
            unread += said
            continue
        voice, face = content
        features = features or (face and face[2])
        if face and face[2] != features:
            unread.append(f"{name} has other features than the clips before it")
            continue
        contents[name] = content
        notes += said
        for x in ([voice["logmel"]] if voice else []) + ([face[0]] if face else []):
            copies.setdefault(hashlib.sha256(x.tobytes()).digest(), []).append(name)
    if not contents:
        raise ValueError(f"no clip of {source} can be read; accepted: .wav and .csv files\n" + "\n".join(unread))
    same = sorted({" = ".join(group) for group in copies.values() if len(group) > 1})
    for text, entries in (
        (f"{len(unread)} of {len(files)} clips of {source} are left out:\n", unread),
        (f"clips of {source} were read with these remarks:\n", notes),
        ("clips with the same sound or face, a part of which a model may have seen: ", same),
    ):
        if entries:
            warnings.warn(text + "\n".join(entries), stacklevel=4)
    return contents


def attempt(paths, **options):
    """Return what `read_files` returns and the warnings that it gave; None and the error if it cannot read the files."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            content = read_files(paths.get("wav"), paths.get("openface_csv"), **options)
        except (ValueError, OSError) as error:
            return None, [str(error)]
    return content, [str(w.message) for w in caught]
