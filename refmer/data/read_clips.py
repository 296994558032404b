"""All clips of a folder of recordings; what cannot be read is listed at the end."""

import hashlib
import warnings
from pathlib import Path

from tqdm import tqdm

from refmer.data.clips import Clips
from refmer.data.read_clip import read_clip

ARGUMENTS = {".wav": "wav", ".csv": "openface_csv"}  # of read_clip, by the ending of a file
COMPARED = ("logmel", "units")  # streams of which no two clips have the same


def read_clips(folder, *, speaker="you", **options):
    """Read the clips of a folder: a WAV file and an OpenFace CSV of the same name, or one of the two, are a clip.

    Parameters
    ----------
    folder : path
        Its files are read, in the order of their names; those of folders inside it are not.
    speaker : str or callable
        Name of the speaker of all clips, or a function of a clip's name: `lambda name: name[:4]` for CREMA-D.
    **options
        Of `refmer.read_clip`: confidence, face, rate.

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
        At the end: the clips that could not be read, each with the reason, and clips that have the same sound or face. For
        single clips: see `refmer.read_clip`.
    """
    folder, files = Path(folder).expanduser(), {}
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}; accepted: a folder of .wav and .csv files")
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in ARGUMENTS:
            files.setdefault(path.stem, {})[ARGUMENTS[path.suffix.lower()]] = path
    clips, unread, features, names = [], [], {}, {}
    for name, paths in tqdm(files.items(), desc=folder.name, unit="clip", disable=None):
        try:
            clip = read_clip(**paths, name=name, speaker=speaker(name) if callable(speaker) else speaker, **options)
        except (ValueError, OSError) as error:
            unread.append(str(error))
            continue
        if any(s.features != features.setdefault(k, s.features) for k, s in clip.streams.items()):
            unread.append(f"{name} has other features than the clips before it")
            continue
        clips.append(clip)
        for k in set(COMPARED) & set(clip.streams):
            names.setdefault(hashlib.sha256(clip.streams[k].x.tobytes()).digest(), []).append(name)
    same = sorted({" = ".join(group) for group in names.values() if len(group) > 1})
    if not clips:
        raise ValueError(f"no clip of {folder} can be read; accepted: .wav and .csv files\n" + "\n".join(unread))
    if unread:
        warnings.warn(f"{len(unread)} of {len(files)} clips of {folder} are left out:\n" + "\n".join(unread), stacklevel=2)
    if same:
        warnings.warn(
            f"clips with the same sound or face, a part of which a model may have seen: {', '.join(same)}", stacklevel=2
        )
    return Clips.concatenate(clips)
