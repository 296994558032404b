"""Packed clips are read back within half a quantization step, and damaged files are refused."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refmer.data import files, read
from refmer.data.arrays import pad
from refmer.data.clips import Clips, Stream
from refmer.data.files import read_npz, write_npz
from refmer.data.labels import Label
from refmer.data.pack import pack, unpack

BITS = {"a": 8, "b": 16, "affect": 16}


def some_clips(lengths=(5, 2, 7), seed=0):
    rng = np.random.default_rng(seed)
    a, mask = pad([rng.normal(size=(n, 3)).astype(np.float32) * (1, 10, 0) for n in lengths])
    b, mask_b = pad([rng.normal(size=(2 * n, 4)).astype(np.float32) for n in lengths])
    v, mask_v = pad([17 * rng.integers(0, 16, (n, 6, 8)).astype(np.uint8) for n in lengths])
    streams = {
        "a": Stream(a, 25.0, mask, "face", ("x", "y", "z")),
        "b": Stream(b, 50.0, mask_b, "voice"),
        "frames": Stream(v, 25.0, mask, "face"),
    }
    n = len(lengths)
    return Clips(
        streams,
        np.array([f"c{i}" for i in range(n)]),
        np.array(["p"] * n),
        {"intended": Label(np.arange(n) % 6, names=list("abcdef")), "affect": Label(np.tanh(a[..., :2]), rate=25.0, mask=mask)},
        {"lag": rng.normal(size=n)},
        "made here",
    )


@settings(max_examples=20)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5), seed=st.integers(0, 99))
def test_packed_clips_are_read_back(tmp_path_factory, lengths, seed):
    path = tmp_path_factory.mktemp("pack") / "c.npz"
    clips = some_clips(tuple(lengths), seed)
    pack(path, clips, BITS)
    back = unpack(path)
    for k, s in clips.streams.items():
        t = back.streams[k]
        assert (t.rate, t.sense, t.features, t.x.shape) == (s.rate, s.sense, s.features, s.x.shape)
        np.testing.assert_array_equal(t.mask, s.mask)
        if k == "frames":
            np.testing.assert_array_equal(t.x, s.x)
        else:
            step = np.ptp(s.x[s.mask], axis=0) / (2 ** BITS[k] - 1)
            assert (np.abs(t.x - s.x).max((0, 1)) <= 0.5 * step + 1e-5).all() and not t.x[~t.mask].any()
    np.testing.assert_array_equal(back.intended, clips.intended)
    np.testing.assert_array_equal(back.truth["lag"], clips.truth["lag"])
    assert back.source == "made here" and list(back.labels) == list(clips.labels)
    for name, label in clips.labels.items():
        assert back.labels[name].describe() == label.describe()
        np.testing.assert_array_equal(back.labels[name].present, label.present)
    np.testing.assert_allclose(back.affect, clips.affect, atol=2**-15)


def test_gaps_and_fine_greys_cannot_be_packed(tmp_path):
    clips = some_clips()
    a, frames = clips.streams["a"], clips.streams["frames"]
    gappy, fine = replace(a, mask=a.mask & (np.arange(7) != 3)), replace(frames, x=frames.x // 2)
    for bad, message in (({"a": gappy}, "a has gaps"), ({"frames": fine}, "multiples of 17")):
        with pytest.raises(ValueError, match=message):
            pack(tmp_path / "f", clips.with_streams(**bad), BITS)


@pytest.mark.parametrize(
    "change",
    [
        {"a/length": np.array([5, 2, 8])},
        {"a/length": np.array([5, -2, 11])},
        {"a/length": np.array(["5", "2", "7"])},
        {"a/length": np.array([2**40, 2, 7])},
        {"a/code": np.zeros((14, 7), np.uint8)},
        {"a/sense": np.array("a+b")},
        {"a/rate": np.float64(-1)},
        {"label/intended/values": np.array([0, 1, 6])},
        {"label/intended/kind": np.array("smell")},
        {"label/intended/names": None},
        {"affect/code": None},
        {"a/step": None},
        {"name": None},
        {"a/low": np.full(3, np.nan)},
    ],
)
def test_a_file_whose_parts_do_not_fit_is_refused(tmp_path, change):
    pack(tmp_path / "c.npz", some_clips(), BITS)
    arrays = read_npz(tmp_path / "c.npz", "test") | change
    write_npz(tmp_path / "c.npz", {k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(ValueError, match="c.npz does not hold clips .*accepted: a file of clips"):
        unpack(tmp_path / "c.npz")
    (tmp_path / "c.npz").write_bytes((tmp_path / "c.npz").read_bytes()[:-100])
    with pytest.raises(ValueError, match="c.npz cannot be read .*accepted: a file of clips"):
        unpack(tmp_path / "c.npz")


def test_samples_are_found_in_the_package_first_then_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "PACKAGE", tmp_path / "refmer")
    with pytest.raises(FileNotFoundError, match="no samples in .*samples or .*data_samples"):
        read.samples_folder()
    for folder in (tmp_path / "data_samples", tmp_path / "refmer" / "samples"):
        folder.mkdir(parents=True)
        (folder / "clips.npz").touch()
        assert read.samples_folder() == folder


def test_load_samples_gives_every_stream():
    for kind, n in (("clips", 288), ("recordings", 36)):
        c = read.load_samples(kind)
        assert len(c) == n and set(c.streams) == {"logmel", "prosody", "mfcc", "layers", "units", "frames", "words", "body"}
        assert "synthetic" in c.source and c.streams["frames"].x.dtype == np.uint8
        assert all(s.x.dtype == np.float32 for k, s in c.streams.items() if k != "frames")
        assert c.streams["logmel"].rate == 2 * c.streams["units"].rate == 50
    with pytest.raises(ValueError, match="kind is 'movies'; accepted: 'clips', 'recordings'"):
        read.load_samples("movies")
