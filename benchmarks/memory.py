"""Memory of this process, as counted by Linux."""

import ctypes
import threading
from pathlib import Path

STATUS = Path("/proc/self/status")


def status(key):
    """Return the bytes in a line of /proc/self/status, such as RssAnon (resident, no pages of files); nan without it."""
    for line in STATUS.read_text().splitlines() if STATUS.exists() else ():
        if line.startswith(f"{key}:"):
            return 1024 * int(line.split()[1])
    return float("nan")


class AnonymousPeak:
    """Context manager: anonymous memory at its start (`start`) and its peak (`bytes`), sampled every 10 ms."""

    def __enter__(self):
        self.start = self.bytes = status("RssAnon")
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def _watch(self):
        while not self.stop.wait(0.01):
            self.bytes = max(self.bytes, status("RssAnon"))

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()
        self.bytes = max(self.bytes, status("RssAnon"))


class ResidentPeak:
    """Context manager: rise of resident memory above its start (`bytes`, from VmHWM, exact)."""

    def __enter__(self):
        try:
            ctypes.CDLL(None).malloc_trim(0)  # returns freed memory to the system, so that using it again counts
            Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
        except (OSError, AttributeError, TypeError):
            pass  # then only a rise above an earlier peak of the process counts
        self.start = status("VmRSS")
        return self

    def __exit__(self, *_):
        self.bytes = status("VmHWM") - self.start
