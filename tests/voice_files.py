"""Short sound files with a voice, for tests of the readers."""

import numpy as np
from scipy.io import wavfile


def write_voice(path, pitch=150, seconds=0.4):
    """Write a WAV file of a sawtooth that swells, 16 bit at 16 kHz, and the folders it is in; return its path."""
    t = np.arange(round(seconds * 16000)) / 16000
    path.parent.mkdir(parents=True, exist_ok=True)
    wavfile.write(path, 16000, ((pitch * t % 1 - 0.5) * (0.1 + t) * 2**15).astype(np.int16))
    return path


def write_bytes(path, content):
    """Write a file and the folders it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
