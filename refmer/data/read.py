"""The bundled corpus: its folder and its clips."""

from dataclasses import replace
from pathlib import Path

from refmer.choices import choose
from refmer.data.front_end import derived
from refmer.data.pack import unpack
from refmer.data.synthetic.synthesize import Remake

PACKAGE = Path(__file__).resolve().parent.parent
KINDS = ("clips", "recordings")


def load_samples(kind="clips"):
    """Load the bundled corpus. It is synthetic: see the data card, data_samples/README.md.

    Parameters
    ----------
    kind : "clips" or "recordings"
        288 acted clips of six emotions, or 36 recordings in which valence and arousal vary.

    Returns
    -------
    Clips
        Streams "logmel", "prosody", "mfcc", "layers" (voice), "units", "frames" (face), "words", "body".

    Raises
    ------
    ValueError
        If `kind` is not accepted or the file is damaged.
    FileNotFoundError
        If the samples are neither in the package nor beside it.
    """
    choose("kind", kind, KINDS)
    clips = unpack(samples_folder() / f"{kind}.npz")
    return replace(clips.with_streams(**derived(clips.streams["logmel"])), raw=Remake())


def samples_folder():
    """Return the folder of the samples: inside an installed package, or data_samples/ of a checkout."""
    return bundled("samples", "data_samples", "clips.npz", ", or run data_samples/make.py")


def bundled(inside, beside, name, otherwise=""):
    """Return the folder that holds the file `name`: `inside` of an installed package, or `beside` it in a checkout."""
    places = (PACKAGE / inside, PACKAGE.parent / beside)
    for place in places:
        if (place / name).is_file():
            return place
    raise FileNotFoundError(f"no {inside} in {' or '.join(map(str, places))}; reinstall refmer{otherwise}")
