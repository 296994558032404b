"""WAV files: the fields of the header, checked, and any part of the samples: a long file is never whole in memory."""

import struct
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RATES = (1000, 384_000)  # samples per second
CHANNELS = 8
PCM, FLOAT, A_LAW, MU_LAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
WIDTHS = {PCM: (1, 2, 3, 4), FLOAT: (4, 8), A_LAW: (1,), MU_LAW: (1,)}  # bytes of a sample
CONVERT = "convert it to PCM, for instance with: ffmpeg -i FILE -c:a pcm_s16le NEW.wav"
STORES = {b"version https://git-lfs": "git lfs pull", b"/annex/objects/": "git annex get"}


@dataclass(frozen=True)
class Wav:
    """A WAV file whose header was read."""

    path: Path
    code: int  # a key of WIDTHS
    width: int  # bytes of a sample
    channels: int
    rate: int  # samples of each channel per second
    start: int  # place of the first sample in the file
    order: str  # of bytes: "<" or ">"
    frames: int  # samples of each channel

    def read(self, first, last):
        """Return samples `first` to `last` of every channel, (last - first, channels) float64; integers become [-1, 1)."""
        size = self.width * self.channels
        with open(self.path, "rb") as f:
            f.seek(self.start + first * size)
            data = f.read((last - first) * size)
        return self.decode(data).reshape(-1, self.channels)

    def decode(self, data):
        if self.code in (A_LAW, MU_LAW):
            return (expand_a_law if self.code == A_LAW else expand_mu_law)(np.frombuffer(data, np.uint8)) / 2**15
        if self.code == FLOAT:
            with np.errstate(invalid="ignore"):  # of a signalling NaN
                return np.frombuffer(data, f"{self.order}f{self.width}").astype(np.float64)
        if self.width == 1:  # unsigned
            return np.frombuffer(data, np.uint8) / 2**7 - 1.0
        if self.width == 3:  # as the upper bytes of four
            pad = (1, 0) if self.order == "<" else (0, 1)
            data = np.pad(np.frombuffer(data, np.uint8).reshape(-1, 3), ((0, 0), pad)).tobytes()
        width = self.width + (self.width == 3)
        return np.frombuffer(data, f"{self.order}i{width}") / 2.0 ** (8 * width - 1)

    @property
    def step(self):
        """Least difference of two samples near 0; 0 for floating point."""
        return 0.0 if self.code == FLOAT else 2.0 ** (1 - 8 * self.width)


def expand_mu_law(code):
    """Return 16-bit samples of mu-law codes (ITU-T G.711)."""
    code = ~code
    size = (((code & 15).astype(int) << 3) + 132 << (code >> 4 & 7)) - 132
    return np.where(code & 128, -size, size)


def expand_a_law(code):
    """Return 16-bit samples of A-law codes (ITU-T G.711)."""
    code = code ^ 0x55
    exponent = code >> 4 & 7
    size = ((code & 15).astype(int) << 4) + 8 + 256 * (exponent > 0) << np.maximum(exponent, 1) - 1
    return np.where(code & 128, size, -size)


def open_wav(path):
    """Return the Wav of a file.

    Raises
    ------
    ValueError
        If the file is no WAV, or a field of its header is missing or has a value that cannot be read; says what to do.
    """
    total = path.stat().st_size
    with open(path, "rb") as f:
        head = f.read(40)
        for start, command in STORES.items():
            if head.startswith(start):
                raise ValueError(f"wav {path.name} is a pointer into a large-file store, not the sound; get it with: {command}")
        if head[:4] not in (b"RIFF", b"RIFX", b"RF64") or head[8:12] != b"WAVE":
            what = f"begins with {head[:12]!r}" if head else "is empty"
            raise ValueError(f"wav {path.name} {what}; accepted: a WAV file; another kind of sound: {CONVERT}")
        order = ">" if head[:4] == b"RIFX" else "<"
        chunks = read_chunks(f, order, total)
    for name, size in (("fmt ", 16), ("data", 0)):
        if name not in chunks or len(chunks[name][2]) < size:
            raise ValueError(f"wav {path.name} is cut off or damaged: it has no whole {name.strip()} chunk; copy it again")
    code, channels, rate, width = read_format(path, chunks["fmt "][2], order)
    start, size = chunks["data"][:2]
    if "ds64" in chunks and size == 0xFFFFFFFF:
        size = int.from_bytes(chunks["ds64"][2][8:16], "little")
    riff = struct.unpack(f"{order}I", head[4:8])[0]
    if size == 0xFFFFFFFF or size == 0 and riff != total - 8:  # written by a program that could not know the length
        size = total - start
    if size > total - start:
        warnings.warn(
            f"wav {path.name} is cut off: its header says {size} bytes of sound, the file has {total - start}", stacklevel=2
        )
    return Wav(path, code, width, channels, rate, start, order, min(size, total - start) // (width * channels))


def read_chunks(f, order, total):
    """Return {name: (place, size, first 40 bytes)} of the chunks up to "data"."""
    chunks, at = {}, 12
    while at + 8 <= total and "data" not in chunks:
        f.seek(at)
        name, size = struct.unpack(f"{order}4sI", f.read(8))
        chunks.setdefault(name.decode("latin-1"), (at + 8, size, f.read(min(size, 40))))
        at += 8 + size + size % 2
    return chunks


def read_format(path, fmt, order):
    """Return code, channels, rate and bytes of a sample from a "fmt " chunk."""
    code, channels, rate, _, block, bits = struct.unpack(f"{order}HHIIHH", fmt[:16])
    if code == EXTENSIBLE and len(fmt) >= 26:
        code = struct.unpack(f"{order}H", fmt[24:26])[0]
    if code not in WIDTHS:
        raise ValueError(
            f"wav {path.name} holds compressed sound (format {code:#06x}); accepted: PCM, floating point, A-law, mu-law; "
            f"{CONVERT}"
        )
    if not 1 <= channels <= CHANNELS:
        raise ValueError(f"wav {path.name}: its header says {channels} channels; accepted: 1 to {CHANNELS}")
    if not RATES[0] <= rate <= RATES[1]:
        raise ValueError(f"wav {path.name}: its header says {rate} samples per second; accepted: {RATES[0]} to {RATES[1]}")
    width, rest = divmod(block, channels)
    if rest or width not in WIDTHS[code] or bits > 8 * width:
        raise ValueError(
            f"wav {path.name}: its header says {bits} bits and {block} bytes for {channels} channels; "
            f"accepted: samples of {' or '.join(map(str, WIDTHS[code]))} bytes"
        )
    return code, channels, rate, width
