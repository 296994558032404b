"""Running a student's functions, each in a process of its own, with a limit of time and memory."""

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

WORKER = Path(__file__).with_name("worker.py")
LONGEST = 100_000  # printed characters that need no remark


class Answer(NamedTuple):
    """The result of one call: arrays, or one line that says why there are none."""

    arrays: tuple = ()
    problem: str = ""
    changed: tuple = ()  # places of the arguments that were written into
    same: bool = True  # whether a second call gave the same
    printed: int = 0


def run(text, file, calls, seconds):
    """Return {function: [Answer of each call]}.

    Parameters
    ----------
    text : bytes
        The student's file.
    file : str
        Its name, for messages.
    calls : dict of str to list of tuple
        Arguments of the calls of each function.
    seconds : float
        Limit for all functions together; they run at the same time.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as top:
        folders, running = {name: Path(top) / name for name in calls}, {}
        try:
            for name, folder in folders.items():
                folder.mkdir()
                request = {"text": text, "file": file, "function": name, "calls": calls[name], "seconds": seconds}
                (folder / "request.pickle").write_bytes(pickle.dumps(request))
                running[name] = start(folder)
            deadline = time.monotonic() + seconds
            endings = {name: ending(process, deadline, seconds) for name, process in running.items()}
        finally:
            for process in running.values():
                stop(process)
        return {name: [answer(folder, i, endings[name]) for i in range(len(calls[name]))] for name, folder in folders.items()}


def start(folder):
    """Start the process of a request, in a group of its own."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    group = {"start_new_session": True} if os.name == "posix" else {}
    return subprocess.Popen([sys.executable, "-B", WORKER, folder], cwd=folder, env=environment, **quiet, **group)


def ending(process, deadline, seconds):
    """Return why a process has not finished its calls, if it has not."""
    try:
        status = process.wait(max(0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return f"takes longer than {seconds:g} s and is stopped"
    if os.name == "posix" and status in (-signal.SIGXCPU, -signal.SIGKILL):
        return "needs more time or memory than is allowed and is stopped"
    return f"ends the process without a result (status {status})"


def stop(process):
    """Stop a process and its children."""
    if os.name == "posix":
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # it has ended
            pass
    else:
        process.kill()
    process.wait()


def answer(folder, i, ending):
    """Return the answer to call `i`."""
    try:
        with np.load(folder / f"{i}.npz") as file:
            about = json.loads(str(file["about"]))
            arrays = tuple(file[f"arr_{k}"] for k in range(len(file.files) - 1))
    except (OSError, ValueError, KeyError):
        started = (folder / "loaded").exists()
        return Answer(problem=ending if started else f"the file {ending} before a function is called")
    printed = about["printed"]
    if "error" in about:
        return Answer(problem=about["error"], printed=printed)
    return Answer(arrays, "", tuple(about["changed"]), about["same"], printed)
