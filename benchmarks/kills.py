"""Kills: commands ended at random moments, two runs in one folder, damaged files, a full disk: `python benchmarks --kills`.

Every trial has a new folder with old files in it. After the disturbance each file must have the bytes of the old one or those
of a run that nothing disturbed; the same command again must then end well, with the bytes of that run.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from tqdm import tqdm

from refmer.text import table

SAVE = """
import refmer
from pathlib import Path
clips = refmer.load_samples()
if not Path("corpus").exists():
    refmer.save_folder((clips[i : i + 24] for i in range(0, len(clips), 24)), "corpus")
"""
OLD = b"old"
WAIT = 600  # seconds that a command may take at most


class Job(NamedTuple):
    """A command that is disturbed."""

    command: tuple  # arguments of Python, run in the folder of the trial
    old: tuple = ()  # files that it replaces
    varying: str = ".part"  # suffix of files that differ from run to run, for instance because they contain times
    cold: bool = False  # with an empty kernel cache, in the folder


def refmer(*arguments, **options):
    """Return the Job of a command of refmer."""
    return Job(("-m", "refmer", *arguments), **options)


TABLES, QUICK = ("results.json", "results.md"), ("--quick", "--out", ".", "--jobs")
COMPARE = ("compare", "--systems", "concatenation,openface_adaptive", *QUICK)
JOBS = {
    "compare": refmer(*COMPARE, "2", old=TABLES),
    "compare --jobs 1": refmer(*COMPARE, "1", old=TABLES),
    "train": refmer("train", "concatenation", "--epochs", "20", "--out", "m.npz", old=("m.npz",)),
    "quantize": refmer(
        *("quantize", "model.npz", "--folds", "3", "--seeds", "1", "--jobs", "2", "--folder", "."),
        old=("model-int8.npz",),
        varying=".png",
    ),
    "claims": refmer("claims", *QUICK, "2", old=TABLES),
    "save_folder": Job(("-c", SAVE)),
    "warm-up": refmer("warm-up", cold=True),
}
TRIED, ENDED, PARTS, WHOLE, SAME = "tried", "ended before", "parts left", "old or new", "same bytes after"


class Bench:
    """The folder of all trials, the undisturbed runs, and what was counted.

    Parameters
    ----------
    folder : Path
    seed : int
    """

    def __init__(self, folder, seed=0):
        self.folder, self.random = folder, random.Random(seed)
        self.expected, self.seconds, self.counts, self.wrong = {}, {}, {}, []

    def start(self, job, cwd, limit=None):
        """Start a job in a folder; limit: bytes that a file can have."""
        cache = cwd / "cache" if job.cold else self.folder / "cache"
        full = None if limit is None else partial(limit_files, limit)
        return subprocess.Popen(
            [sys.executable, *job.command],
            cwd=cwd,
            env=os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=full,
        )

    def finish(self, process):
        """Return (exit status, stderr) of a process that nothing disturbs."""
        _, error = process.communicate(timeout=WAIT)
        return process.returncode, error

    def prepare(self, name):
        """Make a folder with the files that a job needs and replaces."""
        cwd = Path(tempfile.mkdtemp(dir=self.folder, prefix=f"{name}-"))
        for file in JOBS[name].old:
            (cwd / file).write_bytes(OLD)
        if name == "quantize":
            if not (model := self.folder / "model.npz").exists():
                train = refmer("train", "concatenation", "--epochs", "3", "--out", str(model))
                self.check(name, "training", *self.finish(self.start(train, self.folder)))
            shutil.copy(model, cwd)
        return cwd

    def measure(self, name):
        """Run a job undisturbed, twice where the first run compiles: its files and its seconds."""
        for _ in range(1 if JOBS[name].cold else 2):
            cwd, begin = self.prepare(name), perf_counter()
            self.check(name, "undisturbed", *self.finish(self.start(JOBS[name], cwd)))
            self.expected[name], self.seconds[name] = self.files(name, cwd), perf_counter() - begin
            shutil.rmtree(cwd)

    def files(self, name, cwd):
        """Return {name: bytes} of the files that a job has written whole."""
        paths = (path for path in cwd.rglob("*") if path.is_file() and "cache" not in path.relative_to(cwd).parts)
        whole = {str(path.relative_to(cwd)): path.read_bytes() for path in paths if ".part" not in str(path)}
        return {path: content for path, content in whole.items() if not path.endswith(JOBS[name].varying)}

    def check(self, name, what, status, error):
        """Note a command that should have ended well; return True if it has, without a warning of damage."""
        good = status == 0 and "damaged" not in error
        if not good:
            self.wrong.append(f"{name}, {what}: status {status}\n{error[-2000:]}")
        return good

    def resume(self, name, cwd, what):
        """Check the files after a disturbance, run the job again, compare its files, and remove the folder."""
        count, expected = self.counts.setdefault((name, what), Counter()), self.expected[name]
        count[TRIED] += 1
        count[PARTS] += any(cwd.rglob("*.part"))
        left = dict.fromkeys(JOBS[name].old) | self.files(name, cwd)
        foreign = [path for path, content in left.items() if content not in (OLD, expected.get(path))]
        count[WHOLE] += not foreign
        good = self.check(name, f"again after {what}", *self.finish(self.start(JOBS[name], cwd)))
        count[SAME] += good and self.files(name, cwd) == expected
        foreign += [path for path, content in expected.items() if self.files(name, cwd).get(path) != content]
        if foreign:
            self.wrong.append(f"{name}, {what}: {foreign}")
        shutil.rmtree(cwd)

    def kill(self, name):
        """Kill a job and its workers at a random moment."""
        cwd = self.prepare(name)
        process = self.start(JOBS[name], cwd)
        try:
            process.communicate(timeout=self.random.uniform(0, self.seconds[name]))
            self.counts.setdefault((name, "killed"), Counter())[ENDED] += 1
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        self.resume(name, cwd, "killed")

    def interrupt(self, name):
        """Send Ctrl-C at a random moment of a run that compiles."""
        cwd = self.prepare(name)
        process = self.start(JOBS[name]._replace(cold=True), cwd)
        count = self.counts.setdefault((name, "Ctrl-C"), Counter())
        try:
            process.communicate(timeout=self.random.uniform(1, 3 * self.seconds[name]))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            begin = perf_counter()
            status, error = self.finish(process)
            late = perf_counter() - begin
            count["slowest (s)"] = max(count["slowest (s)"], round(late, 2))
            if status != 130 or late > 1:
                self.wrong.append(f"{name}, Ctrl-C: status {status} after {late:.1f} s\n{error[-2000:]}")
        self.resume(name, cwd, "Ctrl-C")

    def twice(self, name):
        """Run a job twice at the same time in one folder, with an empty kernel cache in common."""
        cwd = self.prepare(name)
        for process in [self.start(JOBS[name]._replace(cold=True), cwd) for _ in range(2)]:
            self.check(name, "two at once", *self.finish(process))
        self.resume(name, cwd, "two at once")

    def damage_cell(self, name):
        """Damage a file of a finished cell: it is computed again, with a warning."""
        cwd = self.prepare(name)
        for path, content in self.expected[name].items():
            (cwd / path).parent.mkdir(exist_ok=True)
            (cwd / path).write_bytes(content)
        path = self.random.choice(sorted(cwd.glob("cells/*.json")))
        path.write_bytes(damaged(path.read_bytes(), self.random))
        status, error = self.finish(self.start(JOBS[name], cwd))
        if status or f"{path.name} is damaged" not in error:
            self.wrong.append(f"{name}, damaged cell: status {status}\n{error[-2000:]}")
        self.resume(name, cwd, "damaged cell")

    def damage_cache(self, name):
        """Damage a file of the kernel cache: it is compiled again, with a warning."""
        cwd = self.prepare(name)
        path = self.random.choice(sorted((self.folder / "cache").rglob("*.nb[ic]")))
        path.write_bytes(damaged(path.read_bytes(), self.random))
        status, error = self.finish(self.start(JOBS[name], cwd))
        self.counts.setdefault((name, "damaged cache"), Counter())["warned"] += error.count("is damaged")
        if status:
            self.wrong.append(f"{name}, damaged cache {path}: status {status}\n{error[-2000:]}")
        self.resume(name, cwd, "damaged cache")

    def fill(self, name):
        """Let the disk be full from a random size of a file on: one line names the file, and the old one stays."""
        cwd = self.prepare(name)
        limit = self.random.randrange(1, max(map(len, self.expected[name].values())))
        status, error = self.finish(self.start(JOBS[name], cwd, limit))
        clear = "File too large: '" in error or "room for it" in error
        if status != 1 or not clear or "Traceback" in error or any(cwd.rglob("*.part")):
            self.wrong.append(f"{name}, full disk at {limit} bytes: status {status}\n{error[-2000:]}")
        self.resume(name, cwd, "full disk")


def limit_files(size):
    """Limit the files that this process writes to so many bytes."""
    import resource  # not on Windows, where the other benchmarks run

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def damaged(content, choose):
    """Return bytes cut short, with one bit changed, or empty."""
    at = choose.randrange(len(content)) if content else 0
    flipped = content[:at] + bytes([content[at] ^ 1 << choose.randrange(8)]) + content[at + 1 :] if content else b""
    return choose.choice([content[:at], flipped, b""])


DISTURBANCES = {
    **{name: (Bench.kill, name) for name in JOBS if name != "compare --jobs 1"},
    "ctrl-c": (Bench.interrupt, "train"),
    "twice": (Bench.twice, "compare"),
    "cells": (Bench.damage_cell, "compare"),
    "cache": (Bench.damage_cache, "train"),
    "full": (Bench.fill, "train"),
    "full-cells": (Bench.fill, "compare --jobs 1"),
    "full-workers": (Bench.fill, "compare"),
}


def run(trials=30, only=None, seed=0):
    """Disturb the commands and return the counts as text.

    Parameters
    ----------
    trials : int
        Of each disturbance.
    only : iterable of str, optional
        Names in DISTURBANCES.
    seed : int
        Of the moments and the damage.

    Returns
    -------
    str
        A table, and what was wrong.

    Raises
    ------
    ValueError
        If `trials` is below 1 or a disturbance does not exist.
    """
    if trials < 1:
        raise ValueError(f"kills is {trials}; accepted: 1 or more")
    if unknown := set(only or ()) - set(DISTURBANCES):
        raise ValueError(f"no rows are called {', '.join(sorted(unknown))}; accepted: {', '.join(DISTURBANCES)}")
    chosen = [DISTURBANCES[name] for name in only or DISTURBANCES]
    with tempfile.TemporaryDirectory(prefix="refmer-") as folder:
        bench = Bench(Path(folder), seed)
        for name in dict.fromkeys(name for _, name in chosen):
            bench.measure(name)
        for disturb, name in chosen:
            for _ in tqdm(range(trials), desc=f"{disturb.__name__} {name}", disable=None):
                disturb(bench, name)
    return text(bench)


def text(bench):
    """Return the counts of a bench as a table, and what was wrong."""
    head = ["command", "disturbance", TRIED, ENDED, PARTS, WHOLE, SAME, "also"]
    body = [
        [*key, *(str(count[k]) for k in head[2:7]), ", ".join(f"{k} {v}" for k, v in count.items() if k not in head)]
        for key, count in bench.counts.items()
    ]
    return "\n".join([table(head, body, range(2, 7), markdown=False), "", *(bench.wrong or ["Nothing was wrong."])])
