"""A larger corpus is made once and read again, but not from a damaged or outdated file; without a cache it is in memory."""

import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

import refmer
from refmer.data import larger
from refmer.experiments.run import checksum

KIND = pytest.mark.parametrize("kind, clips", [("clips", 12), ("recordings", 2)])


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of its own for each test."""
    monkeypatch.setenv("REFMER_CACHE", str(tmp_path))
    return tmp_path / "refmer"


@pytest.fixture
def no_generator(monkeypatch):
    """Nothing can be made."""
    monkeypatch.setattr(larger, "MAKE", {})


@KIND
def test_a_corpus_is_made_once(kind, clips, cache, monkeypatch, capsys):
    made = refmer.load_samples(kind, speakers=1)
    (path,) = cache.iterdir()
    assert capsys.readouterr().err.startswith(f"refmer: making the {kind} of 1 speakers, once: {path}")
    monkeypatch.setattr(larger, "MAKE", {})
    again = refmer.load_samples(kind, speakers=1)
    assert capsys.readouterr().err == ""
    assert len(again) == clips and checksum(again) == checksum(made)
    assert list(again.streams) == list(refmer.load_samples(kind).streams)


@KIND
def test_its_values_are_those_of_the_generator_rounded_to_steps(kind, clips):
    exact, loaded = larger.MAKE[kind](1), refmer.load_samples(kind, speakers=1)
    assert loaded.name.tolist() == exact.name.tolist() and loaded.source == exact.source
    np.testing.assert_array_equal(loaded.streams["frames"].x, exact.streams["frames"].x)
    for name in larger.STORED:
        s, t = exact.streams[name], loaded.streams[name]
        np.testing.assert_array_equal(s.mask, t.mask)
        step = np.ptp(s.x[s.mask].astype(float), axis=0) / (2 ** larger.BITS.get(name, 8) - 1)
        assert (np.abs(s.x[s.mask].astype(float) - t.x[t.mask]) <= 0.5 * step + 1e-3).all(), name
    raw = loaded.raw(loaded.name[0])
    np.testing.assert_array_equal(raw.wave, exact.raw(exact.name[0]).wave)


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[: len(content) // 2], lambda content: b"", lambda content: content.replace(b"\x11", b"\x22", 999)],
)
def test_a_damaged_file_is_made_again_with_a_warning(damage, cache):
    made = refmer.load_samples("clips", speakers=1)
    (path,) = cache.iterdir()
    content = path.read_bytes()
    path.write_bytes(damage(content))
    with pytest.warns(UserWarning, match=f"{path.name} is damaged: the corpus is made again"):
        again = refmer.load_samples("clips", speakers=1)
    assert checksum(again) == checksum(made) and path.read_bytes() == content


def test_a_changed_generator_reads_no_old_file(cache, tmp_path, monkeypatch):
    before = larger.file_of("clips", 1)
    assert before == larger.file_of("clips", 1) != larger.file_of("clips", 2)
    copy = tmp_path / "data"
    (copy / "synthetic").mkdir(parents=True)
    for source in [*larger.HERE.glob("*.py"), *larger.HERE.glob("synthetic/*.py")]:
        (copy / source.relative_to(larger.HERE)).write_bytes(source.read_bytes())
    monkeypatch.setattr(larger, "HERE", copy)
    assert larger.file_of("clips", 1) == before
    for changed in ("front_end.py", "synthetic/face.py"):
        (copy / changed).write_text((copy / changed).read_text() + "\n")
        assert larger.file_of("clips", 1) != before
        before = larger.file_of("clips", 1)
    monkeypatch.setattr(larger.np, "__version__", "0")
    assert larger.file_of("clips", 1) != before


def test_without_a_cache_folder_it_is_made_in_memory(cache, monkeypatch, capsys):
    kept = refmer.load_samples("clips", speakers=1)
    monkeypatch.setenv("REFMER_CACHE", os.devnull)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = refmer.load_samples("clips", speakers=1)
    assert "in memory: no cache folder can be written (REFMER_CACHE names one)" in capsys.readouterr().err
    assert checksum(made) == checksum(kept)


def test_a_full_disk_costs_the_file_alone(cache, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(larger, "replacing", full)
    with pytest.warns(UserWarning, match="cannot be written .No space left on device"):
        clips = refmer.load_samples("clips", speakers=1)
    assert len(clips) == 12 and not list(cache.iterdir())


HALF = """
import os, signal
from contextlib import contextmanager
from refmer.data import larger

class Half:
    def __init__(self, file):
        self.file = file

    def write(self, content):
        self.file.write(content[:1000])
        self.file.flush()
        os.kill(os.getpid(), signal.SIGKILL)

@contextmanager
def half(path, replacing=larger.replacing):
    with replacing(path) as file:
        yield Half(file)

larger.replacing = half
refmer.load_samples("clips", speakers=1)
"""


def process(code):
    return subprocess.Popen([sys.executable, "-c", "import refmer\n" + code], stdout=subprocess.PIPE, text=True)


def test_two_processes_at_once_read_the_same(cache):
    code = "from refmer.experiments.run import checksum\nprint(checksum(refmer.load_samples('clips', speakers=1)))"
    both = [process(code) for _ in range(2)]
    sums = [p.communicate(timeout=120)[0] for p in both]
    assert sums[0] == sums[1] == checksum(refmer.load_samples("clips", speakers=1)) + "\n"
    assert len(list(cache.iterdir())) == 1


def test_a_killed_process_leaves_no_file_that_is_read(cache):
    with process(HALF) as killed:
        assert killed.wait(timeout=120) == -signal.SIGKILL
    (part,) = cache.iterdir()
    assert part.stat().st_size == 1000
    assert len(refmer.load_samples("clips", speakers=1)) == 12


@pytest.mark.parametrize("speakers", [0, 1.5, True, "many", 2001])
def test_a_wrong_number_of_speakers_is_named(speakers, cache):
    with pytest.raises(ValueError, match=f"speakers is {speakers!r}; accepted: integers from 1 to 2000"):
        refmer.load_samples("clips", speakers=speakers)
    assert not cache.exists()
