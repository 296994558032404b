"""Larger synthetic corpora, made on first use and kept in the user's cache folder."""

import hashlib
import sys
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import scipy

import refmer
from refmer.cache import is_writable, users_folder
from refmer.choices import plain, typed
from refmer.data.files import replacing
from refmer.data.pack import BITS, pack, unpack
from refmer.data.synthetic.synthesize import STORED, synthesize, synthesize_recordings

MAKE = {"clips": synthesize, "recordings": synthesize_recordings}
SPEAKERS = (lambda x: 1 <= x <= 2000, "integers from 1 to 2000")
HERE = Path(__file__).parent


def load_larger(kind, speakers):
    """Return the corpus of `speakers` speakers, seed 0, without the streams that are computed from others.

    Its values are rounded as those of the bundled files are. Two processes may make it at once: the file is replaced whole.
    """
    speakers = typed("speakers", plain(speakers), int, SPEAKERS)
    path = file_of(kind, speakers)
    if path is not None and path.is_file():
        try:
            return unpack(path)
        except ValueError:
            warnings.warn(f"{path} is damaged: the corpus is made again", stacklevel=3)
    where = "in memory: no cache folder can be written (REFMER_CACHE names one)" if path is None else f"once: {path}"
    print(f"refmer: making the {kind} of {speakers} speakers, {where}", file=sys.stderr, flush=True)
    content = BytesIO()
    pack(content, MAKE[kind](speakers, streams=STORED), BITS, compressed=False)
    if path is not None:
        try:
            with replacing(path) as file:
                file.write(content.getbuffer())
        except OSError as error:
            warnings.warn(f"{path} cannot be written ({error.strerror})", stacklevel=3)
    content.seek(0)
    return unpack(content)


def file_of(kind, speakers):
    """Return the file of a corpus in the user's cache folder, or None if that cannot be written.

    Its name has a hash of all that the values depend on, the sources of this package and versions: a changed generator reads
    no old file.
    """
    parent = users_folder()
    if parent is None or not is_writable(folder := Path(parent, "refmer")):
        return None
    digest = hashlib.sha256(repr((refmer.__version__, np.__version__, scipy.__version__)).encode())
    for source in sorted([*HERE.glob("*.py"), *HERE.glob("synthetic/*.py")]):
        digest.update(source.read_bytes())
    return folder / f"{kind}-{speakers}-{digest.hexdigest()[:16]}.npz"
