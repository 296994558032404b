"""When kernels compile, the line they print, the folder of their cache, and BLAS threads."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import refmer
import refmer.kernels
from refmer.train import fit

PACKAGE = Path(refmer.__file__).parent
LINE = "refmer: compiling kernels for this machine, once (refmer warm-up does it ahead)"
UPDATE = """
import numpy as np
from refmer.ops.optimizers import adamw
x = np.ones(5, np.float32)
adamw(x, 2 * x, 0 * x, 0 * x, 1, 0.1, decay=0.0)
assert np.allclose(x, 0.9)
"""
KERNEL = """
from refmer.kernels.optimizers import adamw as kernel
print(sum(kernel.stats.cache_misses.values()), sum(kernel.stats.cache_hits.values()))
"""
PASSED_ON = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "OMP_NUM_THREADS")


def python(code, path=None, **environment):
    """Run code in a process with its own environment; return the completed process."""
    root = str(path or PACKAGE.parent)
    passed_on = {k: os.environ[k] for k in PASSED_ON if k in os.environ}
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],
        capture_output=True,
        text=True,
        env=passed_on
        | {"PYTHONPATH": os.pathsep.join([root, *filter(None, sys.path)])}
        | {k: str(v) for k, v in environment.items()},
        cwd=root,
    )
    assert done.returncode == 0, done.stderr
    return done


def copy_without_cache(folder):
    """A copy of refmer whose kernels have no writable folder beside them, not even for root."""
    shutil.copytree(PACKAGE, folder / "refmer", ignore=shutil.ignore_patterns("__pycache__", "samples"))
    (folder / "refmer" / "kernels" / "__pycache__").touch()
    return folder


def test_nothing_compiles_at_import():
    python(
        "from numba.core import event\n"
        "class No(event.Listener):\n"
        "    def on_start(self, event): raise AssertionError(event.data)\n"
        "    on_end = on_start\n"
        "event.register('numba:compile', No())\n"
        "import refmer.kernels\n"
        "from numba import config; assert not config.CACHE_DIR"
    )


def test_the_first_compilation_prints_one_line_and_the_next_process_reads_it(tmp_path):
    first = python(UPDATE + UPDATE.replace("32", "64") + KERNEL, NUMBA_CACHE_DIR=tmp_path)
    assert first.stderr.splitlines() == [LINE] and first.stdout.split() == ["2", "0"]
    second = python(UPDATE + KERNEL, NUMBA_CACHE_DIR=tmp_path)
    assert second.stderr == "" and second.stdout.split() == ["0", "1"]


def test_damaged_code_is_compiled_again_with_a_warning(tmp_path):
    python(UPDATE, NUMBA_CACHE_DIR=tmp_path)
    for kind, damage in (
        ("nbi", lambda content: content[: len(content) // 2]),
        ("nbc", lambda content: content[:-9]),
        ("nbc", lambda content: content.replace(b"\x00", b"\x01", 1)),  # in the middle of the code: only the hash can tell
    ):
        path = max(tmp_path.rglob(f"*.{kind}"), key=lambda path: path.stat().st_mtime)
        path.write_bytes(damage(path.read_bytes()))
        done = python(UPDATE + UPDATE + KERNEL, NUMBA_CACHE_DIR=tmp_path)
        assert done.stdout.split() == ["1", "0"] and done.stderr.count("is damaged: kernels are compiled again") == 1
    assert python(UPDATE + KERNEL, NUMBA_CACHE_DIR=tmp_path).stdout.split() == ["0", "1"]


def test_variants_that_two_processes_mixed_up_are_compiled_again(tmp_path):
    python(UPDATE + UPDATE.replace("32", "64"), NUMBA_CACHE_DIR=tmp_path)
    first, second = tmp_path.rglob("*.nbc")
    first.write_bytes(second.read_bytes())
    done = python(UPDATE + UPDATE.replace("32", "64") + KERNEL, NUMBA_CACHE_DIR=tmp_path)
    assert "is damaged" in done.stderr and int(done.stdout.split()[0]) >= 1


def test_a_full_disk_costs_the_cache_alone(tmp_path):
    pytest.importorskip("resource")
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))" + UPDATE + KERNEL
    done = python(code, NUMBA_CACHE_DIR=tmp_path)
    assert done.stdout.split() == ["1", "0"] and "cannot be written (File too large)" in done.stderr


@pytest.mark.slow
def test_workers_print_nothing(tmp_path):
    code = f"from joblib import Parallel, delayed\nprint(Parallel(2)(delayed(exec)(c) for c in [{UPDATE!r}] * 2))"
    assert LINE not in python(code, NUMBA_CACHE_DIR=tmp_path).stderr
    assert list(tmp_path.rglob("*.nbi"))


def test_what_others_compile_is_not_announced(tmp_path):
    code = "import refmer.kernels, numba; print(numba.njit(lambda x: x + 1)(1))"
    assert python(code, NUMBA_CACHE_DIR=tmp_path).stderr == ""


def test_compiled_code_is_cached_beside_the_kernels(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "refmer", ignore=shutil.ignore_patterns("__pycache__", "samples"))
    python(UPDATE, tmp_path, HOME=os.devnull)
    assert list((tmp_path / "refmer" / "kernels" / "__pycache__").rglob("*.nbi"))


@pytest.mark.parametrize("home", ["home", "nowhere"])
def test_the_cache_of_a_read_only_package_is_elsewhere(tmp_path, home):
    copy_without_cache(tmp_path)
    elsewhere = {name: tmp_path / name for name in ("home", "temporary")}
    for folder in elsewhere.values():
        folder.mkdir()
    (tmp_path / "nowhere").touch()  # a file, not a folder
    python(UPDATE, tmp_path, HOME=tmp_path / home, XDG_CACHE_HOME="", TMPDIR=elsewhere["temporary"])
    used = [name for name, folder in elsewhere.items() if list(folder.rglob("*.nbi"))]
    assert used == ["home" if home == "home" else "temporary"]
    if used == ["temporary"]:
        (private,) = elsewhere["temporary"].iterdir()
        assert private.stat().st_mode & 0o777 == 0o700


def test_without_a_writable_folder_kernels_run_without_a_cache(tmp_path):
    copy_without_cache(tmp_path)
    code = "import tempfile\ndef nowhere(): raise FileNotFoundError\ntempfile.gettempdir = nowhere\n" + UPDATE + KERNEL
    done = python(code, tmp_path, HOME=os.devnull, XDG_CACHE_HOME=os.devnull)
    assert done.stdout.split() == ["1", "0"] and done.stderr.splitlines() == [LINE]


def test_a_temporary_folder_that_others_can_enter_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(refmer.kernels.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = refmer.kernels.temporary_folder()
    folder.chmod(0o755)
    assert refmer.kernels.temporary_folder() is None
    folder.rmdir()
    folder.symlink_to(tmp_path)
    assert refmer.kernels.temporary_folder() is None


def test_a_change_in_any_kernel_file_leaves_the_old_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(refmer.kernels.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(refmer.kernels, "HERE", tmp_path)
    (tmp_path / "a.py").write_text("1")
    before = refmer.kernels.cache_folder()
    assert before == refmer.kernels.cache_folder()
    (tmp_path / "a.py").write_text("2")
    assert refmer.kernels.cache_folder() != before


@pytest.mark.parametrize("off", [{"REFMER_KERNELS": "0"}, {"NUMBA_DISABLE_JIT": "1"}])
def test_definitions_run_where_kernels_are_off(tmp_path, off):
    code = UPDATE + "import sys; assert 'refmer.kernels' not in sys.modules; assert 'numba' not in sys.modules"
    assert python(code, NUMBA_CACHE_DIR=tmp_path, **off).stderr == ""
    printed = python("from refmer.warm_up import main; main()", **off).stdout
    assert printed.startswith("kernels are off")


def blas_threads():
    return {b["num_threads"] for b in threadpool_info() if b["user_api"] == "blas"}


@pytest.mark.parametrize("large, threads", [(1_000_000, 1), (1, 2)])
def test_fit_uses_one_blas_thread_for_small_systems(clips, monkeypatch, large, threads):
    threads_in, step = [], fit.Training.step

    def watched(*args):
        threads_in.append(blas_threads())
        return step(*args)

    model = refmer.Recognizer("concatenation", label="emotion", epochs=1)
    monkeypatch.setattr(fit.Training, "step", watched)
    monkeypatch.setattr(fit, "LARGE", large)
    with threadpool_limits(2, user_api="blas"):
        model.fit(clips, progress=False)
        assert blas_threads() == {2}
    assert threads_in[0] == {threads}
