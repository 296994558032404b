"""Lost moments of clips, drawn once in continuous time and read at the frames of any stream."""

from dataclasses import dataclass

import numpy as np

from refmer.choices import SHARE, check_fields
from refmer.ops.markov import markov

SHARES = {  # shares of the frames that the papers let go missing
    "002": tuple(k / 10 for k in range(1, 10)),  # section 5.2.2
    "004": tuple(k / 100 for k in (*range(0, 91, 10), *range(95, 101))),  # section IV-C1
}
STARTS = ("good", "stationary")
SLOTS = (lambda x: 0 < x <= 10_000, "slots per second above 0, up to 10,000")


@dataclass(frozen=True)
class Gaps:
    """Lost moments of N clips: one draw, which several streams and senses can share.

    lost (N, S) bool: slot s is the time from s / rate to (s + 1) / rate seconds; rate: slots per second.
    """

    lost: np.ndarray
    rate: float

    def at(self, stream):
        """Return (N, T) bool: True for frames centred in a lost slot; frames after the last slot are like it."""
        slot = (centres(stream) * self.rate).astype(int)
        return self.lost[:, np.minimum(slot, self.lost.shape[1] - 1)]


@dataclass(frozen=True)
class GilbertElliott:
    """A channel with a good and a bad state (Gilbert 1960; Elliott 1963), a Markov chain that loses frames in bursts.

    Paper 004 (section IV-C2) loses every frame in the bad state and none in the good one, and starts in the good one. It leaves
    open whether its p_L and p_N are probabilities of staying or of switching; if of staying, then p_good_to_bad = 1 - p_N and
    p_bad_to_good = 1 - p_L. netem's `gemodel p r 1-h 1-k` has p_good_to_bad, p_bad_to_good, loss_bad, loss_good in this order.

    Parameters
    ----------
    p_good_to_bad, p_bad_to_good : float
        Probabilities of switching from one slot to the next.
    loss_good, loss_bad : float
        Share of slots that are lost in each state.
    start : "good" or "stationary"
        State of the first slot: good, or drawn from the chain's long-run shares. A start in the good state loses fewer slots of
        a short clip than the long run, the more so the longer the bursts.
    rate : float
        Slots per second.
    """

    p_good_to_bad: float
    p_bad_to_good: float
    loss_good: float = 0.0
    loss_bad: float = 1.0
    start: str = "good"
    rate: float = 25.0

    def __post_init__(self):
        shares = dict.fromkeys(("p_good_to_bad", "p_bad_to_good", "loss_good", "loss_bad"), SHARE)
        check_fields(self, {"start": STARTS}, shares | {"rate": SLOTS})
        if self.start == "stationary" and self.p_good_to_bad + self.p_bad_to_good == 0:
            raise ValueError(
                "start is 'stationary', but the chain never switches; accepted: a probability of switching above 0"
            )

    def bad_share(self, slots=None):
        """Return the expected share of bad slots among the first `slots`; None: in the long run, p / (p + r)."""
        p, r = self.p_good_to_bad, self.p_bad_to_good
        if p == 0 and self.start == "good":
            return 0.0
        if slots is None or self.start == "stationary":
            return p / (p + r)
        return p / (p + r) * (1 - (1 - (1 - p - r) ** slots) / (slots * (p + r)))

    def expected_loss(self, slots=None):
        """Return the expected share of lost slots among the first `slots`; None: in the long run."""
        return self.loss_good + (self.loss_bad - self.loss_good) * self.bad_share(slots)

    def mean_burst(self):
        """Return the mean stay in the bad state, in slots: 1 / r."""
        return 1 / self.p_bad_to_good if self.p_bad_to_good else np.inf

    def autocorrelation(self, lag):
        """Return the correlation of the states `lag` slots apart: (1 - p - r)^lag."""
        return (1 - self.p_good_to_bad - self.p_bad_to_good) ** lag

    def states(self, rng, clips, slots):
        """Draw the chain: (clips, slots) bool, True in the bad state."""
        u = rng.random((slots, clips))
        first = u[:1] < (self.bad_share() if self.start == "stationary" else 0)
        return markov(u, first, float(self.p_good_to_bad), float(self.p_bad_to_good)).T


def scattered(rng, streams, share):
    """Lose every slot with probability `share`, independently; slots are the fastest stream's frames. Returns Gaps."""
    clock = streams[fastest(streams)]
    return Gaps(rng.random(clock.mask.shape) < share, clock.rate)


def block(rng, streams, share):
    """Lose one contiguous part of every clip, `share` of its duration; slots are the fastest stream's frames. Returns Gaps."""
    clock = streams[fastest(streams)]
    duration = np.max([extent(s.mask).sum(1) / s.rate for s in streams.values()], axis=0)[:, None]  # (N, 1)
    start = duration * (1 - share) * rng.random(duration.shape)
    t = centres(clock)
    return Gaps((t >= start) & (t < start + duration * share), clock.rate)


def bursty(rng, streams, chain):
    """Lose slots as a GilbertElliott chain does, at its rate. Returns Gaps."""
    slots = int(np.ceil(max(s.mask.shape[1] / s.rate for s in streams.values()) * chain.rate))
    bad = chain.states(rng, len(next(iter(streams.values())).mask), slots)
    return Gaps(rng.random(bad.shape) < np.where(bad, chain.loss_bad, chain.loss_good), chain.rate)


def fastest(streams):
    """Return the name of the stream whose frames are the slots of a draw."""
    return max(streams, key=lambda name: streams[name].rate * streams[name].mask.shape[1])


def extent(mask):
    """Return (N, T) bool: True up to each clip's last frame, gaps included."""
    return np.logical_or.accumulate(mask[:, ::-1], axis=1)[:, ::-1]


def centres(stream):
    """Return the centres (T,) of a stream's frames in seconds."""
    return (np.arange(stream.mask.shape[1]) + 0.5) / stream.rate
