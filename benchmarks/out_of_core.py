"""Training on a corpus larger than the memory it may take: `python benchmarks --out-of-core`."""

import shutil
import tempfile
import time
from dataclasses import replace

import numpy as np

import refmer
from memory import AnonymousPeak
from refmer.systems import find

LIMIT = 1e9  # bytes of anonymous memory that a run stays below


def run(gigabytes=4.0, system="auxformer"):
    """Run `demonstrate` in a temporary folder (in TMPDIR), which is removed afterwards.

    Returns
    -------
    str
        The corpus, the times and the peak of memory.
    """
    with tempfile.TemporaryDirectory(prefix="refmer-") as folder:
        return text(demonstrate(gigabytes, folder, system))


def demonstrate(gigabytes, folder, system="auxformer"):
    """Write a corpus of noisy copies of the bundled clips, part by part, and train one epoch from it.

    Parameters
    ----------
    gigabytes : float
        Size of the corpus (1e9 bytes each).
    folder : str or path
        An existing folder; the corpus becomes its subfolder `corpus`.
    system : str

    Returns
    -------
    dict
        system, gigabytes, clips, write_s, train_s, start_bytes and peak_bytes of anonymous memory over the whole run (nan
        without /proc), history.

    Raises
    ------
    ValueError
        If `gigabytes` is not positive.
    OSError
        If the disk lacks space.
    """
    if not gigabytes > 0:
        raise ValueError(f"gigabytes is {gigabytes}; accepted: a positive number")
    free = shutil.disk_usage(folder).free
    if free < 1.1e9 * gigabytes:
        raise OSError(f"{folder} has {free / 1e9:.1f} GB free; a corpus of {gigabytes:g} GB needs {1.1 * gigabytes:.1f}")
    with AnonymousPeak() as peak:
        start = time.perf_counter()
        refmer.save_folder(noisy_copies(gigabytes, system), f"{folder}/corpus")
        written = time.perf_counter()
        clips = refmer.load_folder(f"{folder}/corpus")
        model = refmer.Recognizer(system, epochs=1).fit(clips)
        trained = time.perf_counter()
    return {
        "system": system,
        "gigabytes": size(clips) / 1e9,
        "clips": len(clips),
        "write_s": written - start,
        "train_s": trained - written,
        "start_bytes": peak.start,
        "peak_bytes": peak.bytes,
        "history": model.history_,
    }


def noisy_copies(gigabytes, system):
    """Yield parts of a corpus of this size: the bundled clips repeatedly, with noise and with other names of speakers."""
    module, rng = find(system), np.random.default_rng(0)
    clips = refmer.load_samples("recordings" if system == "tlab_jca" else "clips")
    names = [name for names in module.modalities(module.Config.tiny()).values() for name in names]
    clips = replace(clips, streams={name: clips.streams[name] for name in names}, truth={})
    for part in range(int(np.ceil(1e9 * gigabytes / size(clips)))):
        streams = {k: replace(s, x=noisy(s, rng)) for k, s in clips.streams.items()}
        names = {key: np.char.add(getattr(clips, key), f"-{part}") for key in ("name", "speaker")}
        yield replace(clips, streams=streams, **names)


def noisy(stream, rng):
    """Return the features of a stream with noise of a tenth of their deviation; images unchanged."""
    if stream.x.dtype.kind != "f":
        return stream.x
    noise = rng.standard_normal(stream.x.shape, stream.x.dtype) * (0.1 * stream.x.std((0, 1)))
    return stream.x + noise * stream.mask.reshape(stream.mask.shape + (1,) * (stream.x.ndim - 2))


def size(clips):
    """Return the bytes of the streams."""
    return sum(int(np.prod(a.shape)) * a.dtype.itemsize for s in clips.streams.values() for a in (s.x, s.mask))


def text(result):
    """Return a result as three lines of text."""
    memory = "memory is measured on Linux only"
    if np.isfinite(peak := result["peak_bytes"]):
        verdict = "below" if peak < LIMIT else "NOT BELOW"
        memory = (
            f"anonymous memory: at most {peak / 1e6:.0f} MB, {verdict} the limit of {LIMIT / 1e6:.0f} MB "
            f"({result['start_bytes'] / 1e6:.0f} MB at the start)"
        )
    return "\n".join(
        [
            f"corpus: {result['clips']:,} clips, {result['gigabytes']:.2f} GB on disk, written in {result['write_s']:.1f} s",
            f"{result['system']}: an epoch in {result['train_s']:.1f} s (85 % of the speakers trained on, 15 % evaluated)",
            memory,
        ]
    )
