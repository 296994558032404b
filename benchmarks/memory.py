"""Memory of this process, as Linux counts it."""

import ctypes
import threading
from pathlib import Path

STATUS = Path("/proc/self/status")


def status(key):
    """Bytes of a line of /proc/self/status, such as RssAnon (resident, no pages of files); nan where there is none."""
    for line in STATUS.read_text().splitlines() if STATUS.exists() else ():
        if line.startswith(f"{key}:"):
            return 1024 * int(line.split()[1])
    return float("nan")


class AnonymousPeak:
    """with AnonymousPeak() as peak: ... -> peak.start, peak.bytes: anonymous memory at the start and at most (every 10 ms)."""

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
    """with ResidentPeak() as peak: ... -> peak.bytes: how far resident memory rose above the start (VmHWM, exact)."""

    def __enter__(self):
        try:
            ctypes.CDLL(None).malloc_trim(0)  # memory freed before is given back, so that its use shows again
            Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins anew
        except (OSError, AttributeError, TypeError):
            pass  # then what fits into an earlier peak of the process does not show
        self.start = status("VmRSS")
        return self

    def __exit__(self, *_):
        self.bytes = status("VmHWM") - self.start
