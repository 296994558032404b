"""The synthetic corpus: its bundled files and its clips."""

from dataclasses import replace

from refmer.choices import choose
from refmer.data.clips import Clips
from refmer.data.files import bundled
from refmer.data.front_end import derived
from refmer.data.larger import load_larger
from refmer.data.pack import unpack
from refmer.data.synthetic.synthesize import Remake

KINDS = ("clips", "recordings")


def load_samples(kind: str = "clips", speakers: int | None = None) -> Clips:
    """Load the synthetic corpus: the bundled part, or a larger one. See the data card, data_samples/README.md.

    Parameters
    ----------
    kind : "clips" or "recordings"
        Acted clips of six emotions, 12 for each speaker, or recordings in which valence and arousal vary, 2 for each.
    speakers : int, optional
        Default: the bundled corpus, 288 clips of 24 speakers or 36 recordings of 18. Any number of speakers is made by all
        processor cores on first use (200 in about ten seconds) and kept in the user's cache folder, or in the folder that the
        environment variable REFMER_CACHE names.

    Returns
    -------
    Clips
        Streams "logmel", "prosody", "mfcc", "layers" (voice), "units", "frames" (face), "words", "body".

    Raises
    ------
    ValueError
        If an argument is not accepted or a bundled file is damaged.
    FileNotFoundError
        If the samples are neither in the package nor beside it.

    Warns
    -----
    UserWarning
        If a file of the cache is damaged (the corpus is made again) or cannot be written.
    """
    choose("kind", kind, KINDS)
    clips = unpack(samples_folder() / f"{kind}.npz") if speakers is None else load_larger(kind, speakers)
    return replace(clips.with_streams(**derived(clips.streams["logmel"])), raw=Remake())


def samples_folder():
    """Return the folder of the samples: inside an installed package, or data_samples/ of a checkout."""
    return bundled("samples", "data_samples", "clips.npz", ", or run data_samples/make.py")
