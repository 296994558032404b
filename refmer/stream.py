"""Predictions on a sliding window while frames arrive (paper 000, live demonstration)."""

import math
from time import perf_counter
from typing import NamedTuple

import numpy as np

from refmer.choices import SECONDS, plain, typed
from refmer.data.inputs import Frames
from refmer.data.scaling import BOUND, LARGEST, standard
from refmer.layers.trace import stacked
from refmer.systems import find
from refmer.systems.protocol import probabilities

SLACK = 1e-6  # frames: rounding error of a time that is a whole number of frames


class Step(NamedTuple):
    """The prediction for one window.

    Parameters
    ----------
    time_s : float
        End of the window, in seconds since the first frame of the stream.
    probabilities : array (K,)
        Of the classes (of votes: expected shares), as `Recognizer.predict_proba`.
    gates : dict of str to float or array
        Traced gates, and AWOM's `weights` of the modalities, as `Recognizer.explain` without the axis of clips; a single
        number is a float. Empty if the system has none.
    delay_s : float
        Age of the window's end when the prediction was ready: the time by which the farthest stream, including the frames of
        this push, is past `time_s`, plus the seconds since the call of push.
    """

    time_s: float
    probabilities: np.ndarray
    gates: dict
    delay_s: float


class Ring:
    """The newest standardised frames of one stream: frame t is in row t % capacity; `end` is the next frame expected."""

    def __init__(self, rate, capacity, mean, sd):
        self.rate, self.mean, self.sd, self.end = rate, mean, sd, 0
        self.x, self.mask = np.zeros((capacity, *mean.shape), np.float32), np.zeros(capacity, bool)

    def write(self, start, x, mask):
        """Write frames from number `start` on. Skipped frames are missing; frames older than the ring are dropped."""
        n, end = len(self.mask), max(self.end, start + len(x))
        self.mask[np.arange(max(self.end, start - n), start) % n] = False
        first = max(end - n - start, 0)  # older frames have left the ring
        rows = np.arange(start + first, start + len(x)) % n
        self.x[rows], self.mask[rows], self.end = x[first:], mask[first:], end

    def read(self, end, count):
        """Return the `count` frames before `end` as a clip: x (1, T, ...), mask (1, T) and rate, which `inputs` reads.

        The arrays are new: a quantized matrix recognises its last input by identity.
        """
        t, n = np.arange(end - count, end), len(self.mask)
        rows = t % n
        mask = self.mask[rows] & (t >= max(self.end - n, 0)) & (t < self.end)
        x = self.x.take(rows, 0)
        x[~mask] = 0
        return Frames(x[None], mask[None], self.rate)


class Stream:
    """Predictions of a recognizer on a sliding window; made by `Recognizer.stream`, which documents the arguments.

    Step k ends at window_s + k hop_s; the first one at the first full window. The window of a stream consists of its newest
    floor(window_s rate) frames (at least one) that are complete at that time. A step is computed when all streams have these
    frames, or when another stream is `patience_s` past the end of the window: then the frames of a silent stream are missing
    (mask False). The result is that of `Recognizer.predict_proba` for a clip of these frames, standardised with the
    recognizer's own mean and standard deviation. Memory is one ring of frames per stream, allocated here.
    """

    def __init__(self, model, window_s, hop_s, patience_s):
        window_s, hop_s = typed("window_s", plain(window_s), float, SECONDS), typed("hop_s", plain(hop_s), float, SECONDS)
        patience_s = typed("patience_s", plain(patience_s), float, (lambda x: 0 <= x <= 3600, "seconds, 0 or more, up to 3600"))
        self.system, self.p, self.config, self.inputs = find(model.system), model.p_, model.config_, model.inputs
        self.window_s, self.hop_s, self.patience_s, self.steps = window_s, hop_s, patience_s, 0
        self.rings, self.counts = {}, {}
        for name, rate in model.rates_.items():
            self.counts[name] = max(before(window_s, rate), 1)
            self.rings[name] = Ring(rate, self.counts[name] + math.ceil(patience_s * rate) + 2, *model.scaling_[name])

    def push(self, frames, valid=None, start=None):
        """Add frames of one or several streams; frames of the same time are best given together.

        Parameters
        ----------
        frames : dict of str to array (n, ...)
            Raw features by name of the stream, n frames of each at its own rate (`Recognizer.rates_`).
        valid : dict of str to bool array (n,), optional
            False marks a missing frame (no face found, packet lost), whose features are ignored. Default: all valid.
        start : dict of str to float, optional
            Second at which the first of these frames begins, to the nearest frame. Skipped frames are missing; late frames
            count in later windows. Default: they follow the stream's last frame or, where steps were computed without it, the
            last step; so a sender that stopped, and then sends stored frames, must give their start.

        Returns
        -------
        list of Step
            The steps that can be computed now, oldest first; often empty.

        Raises
        ------
        ValueError
            For an unknown stream, frames of another shape than in training, valid frames that are not finite, a start that is
            negative or more than window_s + patience_s ahead of all streams. The stream is then unchanged.
        """
        begun = perf_counter()
        valid, start = valid or {}, start or {}
        for label, names, accepted in (("stream", frames, self.rings), ("valid", valid, frames), ("start", start, frames)):
            if unknown := [name for name in names if name not in accepted]:
                raise ValueError(f"{label} {', '.join(map(repr, unknown))} is not among {', '.join(accepted)}")
        given = {name: self._checked(name, frames, valid, start) for name in frames}
        ends = [(at + len(x)) / self.rings[name].rate for name, (at, x, _) in given.items()]
        farthest = max([self._reached(), *ends])
        steps = []
        while self._ready(given):
            steps.append(self._step(farthest, begun))
        return steps

    def _checked(self, name, frames, valid, start):
        """Return (number of the first frame, standardised frames, mask)."""
        ring, x = self.rings[name], np.asarray(frames[name])
        if x.dtype.kind not in "fiu" or x.shape[1:] != ring.mean.shape:
            accepted = f"real numbers ({', '.join(['n', *map(str, ring.mean.shape)])})"
            raise ValueError(f"frames of {name} are {x.dtype} of shape {x.shape}; accepted: {accepted}, as in training")
        mask = np.asarray(valid.get(name, np.ones(len(x), bool)))
        if mask.dtype != bool or mask.shape != x.shape[:1]:
            raise ValueError(f"valid of {name} is {mask.dtype} of shape {mask.shape}; accepted: bool {x.shape[:1]}")
        x = standard(x, mask, ring.mean, ring.sd)
        if bad := len(x) - int((np.abs(x) <= LARGEST).all(tuple(range(1, x.ndim))).sum()):
            raise ValueError(
                f"{bad} of {len(x)} frames of {name} are not finite, or {LARGEST:.0e} standard deviations from the mean;"
                " accepted: other features, or valid False"
            )
        x = np.clip(x, -BOUND, BOUND)
        if name not in start:
            last = before(self._end(self.steps - 1), ring.rate) if self.steps else 0
            return max(ring.end, last), x, mask
        if not 0 <= start[name] <= self._reached() + self.window_s + self.patience_s:
            raise ValueError(
                f"start of {name} is {start[name]} s; accepted: 0 to {self._reached():g} s, where the streams are, plus "
                f"window_s + patience_s. After a longer pause make a new stream"
            )
        return round(start[name] * ring.rate), x, mask

    def _reached(self):
        """Return the end of the farthest stream, in seconds."""
        return max(ring.end / ring.rate for ring in self.rings.values())

    def _end(self, k):
        return self.window_s + k * self.hop_s

    def _ready(self, given):
        """Write the given frames that the next step may need; return whether it can be computed."""
        end, late = self._end(self.steps), self._end(self.steps) + self.patience_s
        for name, (at, x, mask) in given.items():
            ring = self.rings[name]
            limit = math.ceil(late * ring.rate - SLACK)  # no further, so that the ring still holds the window
            n = min(max(limit - at, 0), len(x))
            if n or at > ring.end:
                ring.write(min(at, limit), x[:n], mask[:n])
                given[name] = at + n, x[n:], mask[n:]
        rings = self.rings.values()
        return all(r.end >= before(end, r.rate) for r in rings) or any(r.end >= late * r.rate - SLACK for r in rings)

    def _step(self, farthest, begun):
        """Return the Step of the next window, in a push that began at `begun` and whose farthest stream ends at `farthest`."""
        time_s, trace = self._end(self.steps), {}
        self.steps += 1
        windows = {k: ring.read(before(time_s, ring.rate), self.counts[k]) for k, ring in self.rings.items()}
        out, _ = self.system.forward(self.p, self.inputs(windows), self.config, trace=trace)
        gates = {k: a[0] for k, a in stacked(trace).items() if k.rpartition(".")[2] == "gate" or k == "weights"}
        gates = {k: float(a[0]) if a.shape == (1,) else a for k, a in gates.items()}
        return Step(time_s, probabilities(out)[0], gates, max(farthest - time_s, 0.0) + perf_counter() - begun)


def before(seconds, rate):
    """Return the number of frames that are complete after so many seconds."""
    return math.floor(seconds * rate + SLACK)
