"""Training on a corpus on disk, which is not in memory."""

import shutil
import time
from collections import namedtuple

import numpy as np
import pytest

import out_of_core
import refmer
from memory import STATUS, AnonymousPeak, ResidentPeak, status

linux = pytest.mark.skipif(not STATUS.exists(), reason="memory is read from /proc")


@linux
def test_anonymous_and_resident_memory_are_measured():
    with ResidentPeak() as resident, AnonymousPeak() as anonymous:
        x, end = np.ones(8_000_000), time.monotonic() + 300
        while anonymous.bytes < anonymous.start + 60e6 and time.monotonic() < end:  # until the thread has looked
            time.sleep(0.01)
        del x
    assert 60e6 < anonymous.bytes - anonymous.start < 90e6 and 60e6 < resident.bytes < 90e6
    assert np.isnan(status("NoSuchLine"))


@linux
@pytest.mark.slow
def test_training_on_256_megabytes_takes_little_memory(tmp_path):
    out_of_core.demonstrate(0.001, tmp_path, "openface_adaptive")  # loads and compiles
    shutil.rmtree(tmp_path / "corpus")
    result = out_of_core.demonstrate(0.256, tmp_path, "openface_adaptive")
    assert result["gigabytes"] >= 0.256 and len(result["history"]) == 1
    assert result["peak_bytes"] - result["start_bytes"] < 100e6
    on_disk = refmer.load_folder(tmp_path / "corpus")
    assert len(on_disk) == len(np.unique(on_disk.name)) == result["clips"] and len(np.unique(on_disk.speaker)) > 24


@pytest.mark.parametrize("peak, message", [(4e8, "400 MB, below the limit of 1000"), (2e9, "NOT BELOW"), (np.nan, "on Linux")])
def test_the_verdict_follows_the_peak(monkeypatch, peak, message):
    result = {"system": "s", "clips": 9, "gigabytes": 4.0, "write_s": 1.0, "train_s": 2.0, "start_bytes": 1e8}
    monkeypatch.setattr(out_of_core, "demonstrate", lambda *args: result | {"peak_bytes": peak})
    assert message in out_of_core.run() and "9 clips, 4.00 GB" in out_of_core.run()


def test_wrong_sizes_and_a_full_disk_are_errors_before_the_work(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="gigabytes is 0"):
        out_of_core.demonstrate(0, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: namedtuple("Usage", "free")(4e9))
    with pytest.raises(OSError, match=r"has 4.0 GB free; a corpus of 4 GB needs 4.4"):
        out_of_core.demonstrate(4.0, tmp_path)
    assert not list(tmp_path.iterdir())
