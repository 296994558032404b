"""The process that runs a student's function: started as a script, so that nothing of refmer is loaded.

`worker.py FOLDER` reads FOLDER/request.pickle (the text, the function, the calls), and writes FOLDER/N.npz for call N as soon
as it is finished. Limits are against accidents, not against attackers.
"""

import contextlib
import io
import json
import os
import pickle
import sys
import traceback
from pathlib import Path

import numpy as np

MEMORY = 2 * 2**30  # bytes
LARGEST = 10**7  # numbers in a result
ACCEPTED = sys.stdlib_module_names | {"numpy"}
PROCESSES = ("os.fork", "os.exec", "os.spawn", "os.posix_spawn", "os.system", "subprocess.Popen", "_winapi.CreateProcess")
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.link", "os.symlink")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND


class Printed(io.TextIOBase):
    """A stream that counts characters and keeps none."""

    count = 0

    def write(self, text):
        self.count += len(text)
        return len(text)


def main(folder):
    """Run the calls of a request."""
    request = pickle.loads((folder / "request.pickle").read_bytes())
    limit(request["seconds"])
    printed, guarded = Printed(), Guard()
    sys.addaudithook(guarded.check)
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        names, error = {"__name__": "exercise"}, None
        try:
            with guarded:
                exec(compile(request["text"], request["file"], "exec"), names)
            run = names.get(request["function"])
            error = None if callable(run) else f"{request['function']} is not defined"
        except BaseException as e:
            error = f"the file raises {said(e, request['file'])}"
        (folder / "loaded").write_bytes(b"")
        for i, arguments in enumerate(request["calls"]):
            about, arrays = ({"error": error}, []) if error else call(run, arguments, guarded, request["file"])
            about["printed"] = printed.count
            np.savez(folder / "part.npz", *arrays, about=json.dumps(about))
            os.replace(folder / "part.npz", folder / f"{i}.npz")  # whole, or not there


def call(run, arguments, guarded, file):
    """Return a description of one call and the arrays that it returned."""
    results, given = [], [pickle.loads(pickle.dumps(arguments)) for _ in range(2)]
    try:
        for mine in given:
            with guarded, np.errstate(all="ignore"):
                results.append(run(*mine))
    except BaseException as e:
        return {"error": f"raises {said(e, file)}"}, []
    values, again = (result if isinstance(result, tuple) else (result,) for result in results)
    if bad := [
        type(value).__name__ for value in values if not isinstance(value, np.ndarray | np.number | np.bool | float | int)
    ]:
        return {"error": f"returns {bad[0].replace('NoneType', 'None')}; expected: arrays"}, []
    arrays, again = [np.asarray(value) for value in values], [np.asarray(value) for value in again]
    if (numbers := sum(array.size for array in arrays)) > LARGEST:
        return {"error": f"returns {numbers:,} numbers"}, []
    if bad := [array.dtype for array in arrays if array.dtype.kind not in "biuf"]:
        return {"error": f"returns numbers of the type {bad[0]}; expected: real ones"}, []
    changed = [i for i, (a, b) in enumerate(zip(arguments, given[0], strict=True)) if not same(a, b)]
    return {"changed": changed, "same": len(arrays) == len(again) and all(map(same, arrays, again))}, arrays


def same(a, b):
    """Return whether two arrays (or other values) are equal in every bit that counts."""
    return np.array_equal(a, b, equal_nan=isinstance(a, np.ndarray) and a.dtype.kind in "fc")


def said(error, file):
    """Return type, message and line of an error."""
    if isinstance(error, MemoryError):
        return f"MemoryError: more than {MEMORY // 2**30} GB are needed"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    message = " ".join(str(error).split())
    where = f" (line {lines[-1]})" if lines else ""
    return f"{type(error).__name__}{': ' * bool(message)}{message[:300]}{where}"


class Guard:
    """Refuses, while it is entered, imports of other packages, new processes, connections, and changes of files."""

    active = False

    def __enter__(self):
        self.active = True

    def __exit__(self, *_):
        self.active = False

    def check(self, event, details):
        """Raise an error for a refused event of Python's audit."""
        if not self.active:
            return
        if event == "import" and details[0].partition(".")[0] not in ACCEPTED:
            raise ImportError(f"{details[0]} is imported; accepted: numpy and the standard library")
        if event in PROCESSES:
            raise PermissionError("another process is started; accepted: none")
        if event == "socket.connect":
            raise PermissionError("a connection is opened; accepted: none")
        if event in CHANGES or (event == "open" and isinstance(details[2], int) and details[2] & WRITING):
            raise PermissionError(f"the file {details[0]} is written or changed; accepted: none")


def limit(seconds):
    """Limit time, memory and the size of files of this process, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = {"CPU": int(seconds) + 2, "AS": MEMORY, "FSIZE": 2 * 8 * LARGEST, "CORE": 0}
    for name, value in limits.items():
        with contextlib.suppress(ValueError, OSError):  # not on every system
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file
    main(Path(sys.argv[1]))
