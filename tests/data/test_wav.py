"""WAV files: every encoding is decoded to the same sound, and every field of a header that cannot be read is named."""

import struct

import numpy as np
import pytest

from refmer.data.wav import CONVERT, expand_a_law, expand_mu_law, open_wav

WAVE = 0.5 * np.sin(np.arange(400) / 7) * np.linspace(0.2, 1, 400)
PCM16 = (WAVE * 2**15).astype("<i2").tobytes()


def chunk(name, data, size=None, order="<"):
    return struct.pack(f"{order}4sI", name, len(data) if size is None else size) + data + b"\0" * (len(data) % 2)


def header(code=1, channels=1, rate=16000, width=2, more=b"", order="<"):
    block = channels * width
    return struct.pack(f"{order}HHIIHH", code, channels, rate, rate * block, block, 8 * width) + more


def riff(*chunks, kind=b"RIFF", size=None):
    body = b"WAVE" + b"".join(chunks)
    return kind + struct.pack(">I" if kind == b"RIFX" else "<I", len(body) if size is None else size) + body


def simple(data=PCM16, **fields):
    return riff(chunk(b"fmt ", header(**fields)), chunk(b"data", data))


def write(folder, content):
    (folder / "me.wav").write_bytes(content)
    return folder / "me.wav"


def whole(folder, content):
    wav = open_wav(write(folder, content))
    return wav.read(0, wav.frames)


def mu_law(x):
    """The codes nearest to 16-bit samples, by search over the expansion of G.711 as its table states it."""
    codes = np.arange(256)
    exponent, mantissa = (~codes >> 4) & 7, ~codes & 15
    table = np.where(codes < 128, -1, 1) * (((2 * mantissa + 33) << exponent) - 33) * 4
    return np.abs(x[:, None] - table).argmin(1).astype(np.uint8).tobytes()


def a_law(x):
    codes = np.arange(256) ^ 0x55
    exponent, mantissa = (codes >> 4) & 7, codes & 15
    table = np.where(codes < 128, -1, 1) * np.where(
        exponent, (2 * mantissa + 33) << np.maximum(exponent - 1, 0), 2 * mantissa + 1
    )
    return np.abs(x[:, None] - 8 * table).argmin(1).astype(np.uint8).tobytes()


THREE = np.rint(WAVE * 2**23).astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
EXTENDED = struct.pack("<HHIH", 22, 16, 1, 1) + bytes(14)
FMT = chunk(b"fmt ", header())
DS64 = chunk(b"ds64", struct.pack("<QQQI", 0, 800, 400, 0))
ENCODINGS = {
    "8 bit": (simple(np.rint(WAVE * 2**7 + 2**7).astype(np.uint8).tobytes(), width=1), 2**-8),
    "16 bit": (simple(), 2**-15),
    "24 bit": (simple(THREE, width=3), 2**-23),
    "32 bit": (simple((WAVE * 2**31).astype("<i4").tobytes(), width=4), 2**-31),
    "float": (simple(WAVE.astype("<f4").tobytes(), code=3, width=4), 1e-7),
    "double": (simple(WAVE.tobytes(), code=3, width=8), 0),
    "mu-law": (simple(mu_law(WAVE * 2**15), code=7, width=1), 0.02),
    "A-law": (simple(a_law(WAVE * 2**15), code=6, width=1), 0.02),
    "extensible": (simple(code=0xFFFE, more=EXTENDED), 2**-15),
    "other chunks": (riff(chunk(b"LIST", b"odd"), FMT, chunk(b"data", PCM16), chunk(b"id3 ", b"x" * 9)), 2**-15),
    "size 0": (riff(FMT, chunk(b"data", PCM16, 0), size=0), 2**-15),
    "size unknown": (riff(FMT, chunk(b"data", PCM16, 0xFFFFFFFF), size=0xFFFFFFFF), 2**-15),
    "64-bit sizes": (riff(DS64, FMT, chunk(b"data", PCM16, 0xFFFFFFFF), b"id3 more", kind=b"RF64"), 2**-15),
    "big-endian": (
        riff(
            chunk(b"fmt ", header(width=3, order=">"), order=">"),
            chunk(b"data", np.frombuffer(THREE, np.uint8).reshape(-1, 3)[:, ::-1].tobytes(), order=">"),
            kind=b"RIFX",
        ),
        2**-23,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_encoding_is_the_same_sound(tmp_path, name):
    content, error = ENCODINGS[name]
    wave = whole(tmp_path, content)
    assert wave.shape == (400, 1) and wave.dtype == np.float64
    assert np.abs(wave[:, 0] - WAVE).max() <= error


def test_codes_of_telephones_are_those_of_g_711():
    for expand, codes, samples in (
        (expand_mu_law, (0x00, 0x7F, 0xFF, 0xFE, 0xF0, 0xEF, 0x80), (-32124, 0, 0, 8, 120, 132, 32124)),
        (expand_a_law, (0x2A, 0x55, 0xD5, 0xDA, 0xC5, 0xAA), (-32256, -8, 8, 248, 264, 32256)),
    ):
        assert expand(np.array(codes, np.uint8)).tolist() == list(samples)


def test_any_part_of_any_channels_is_read(tmp_path):
    x = np.arange(60, dtype="<i2").reshape(20, 3)
    wav = open_wav(write(tmp_path, simple(x.tobytes(), channels=3)))
    assert (wav.frames, wav.channels, wav.rate, wav.step) == (20, 3, 16000, 2**-15)
    np.testing.assert_array_equal(wav.read(4, 9) * 2**15, x[4:9])


def test_a_file_that_is_cut_off_is_read_with_a_warning(tmp_path):
    with pytest.warns(UserWarning, match="me.wav is cut off: its header says 800 bytes of sound, the file has 699"):
        assert len(whole(tmp_path, simple()[:-101])) == 349


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "me.wav is empty; accepted: a WAV file"),
        (b"ID3\3" + bytes(99), r"me.wav begins with b'ID3\\x03.*ffmpeg -i FILE"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
            "pointer into a large-file store.*git lfs pull",
        ),
        (b"/annex/objects/SHA256E-s9--0.wav\n", "git annex get"),
        (riff(FMT), "no whole data chunk"),
        (simple()[:30], "no whole fmt chunk"),
        (riff(chunk(b"data", PCM16)), "no whole fmt chunk"),
        (simple(code=0x55), "compressed sound .format 0x0055.; accepted: PCM, .*A-law, mu-law; " + CONVERT[:20]),
        (simple(channels=0), "header says 0 channels; accepted: 1 to 8"),
        (simple(channels=9), "header says 9 channels"),
        (simple(rate=0), "header says 0 samples per second; accepted: 1000 to 384000"),
        (simple(rate=2_000_000_000), "2000000000 samples per second"),
        (simple(width=5), "header says 40 bits and 5 bytes for 1 channels; accepted: samples of 1 or 2 or 3 or 4 bytes"),
        (simple(code=3, width=2), "accepted: samples of 4 or 8 bytes"),
    ],
)
def test_headers_that_cannot_be_read_are_named(tmp_path, content, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        open_wav(write(tmp_path, content))
