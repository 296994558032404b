"""Protocols of the papers: splits, repetitions and intervals."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """A way to repeat an experiment."""

    seeds: int  # repetitions, each with its own split, shared by all systems
    test: float = 0.25  # shares of the groups in the test set and in the development set
    dev: float = 0.1125  # 15 % of the rest
    by: str = "speaker"  # kept apart: speakers, or only recordings ("name"; then a speaker may be in all three parts)
    bootstrap: int = 0  # resamples of the test clips for an interval, and (a fiftieth) of the corruption's own draws; 0: none

    @property
    def test_per_train(self):
        """Clips tested for each clip trained on."""
        return self.test / (1 - self.test - self.dev)

    def split(self, clips, seed):
        """(train, dev, test) clips."""
        rest, test = clips.split(by=self.by, test_size=self.test, seed=seed)
        train, dev = rest.split(by=self.by, test_size=self.dev / (1 - self.test), seed=seed)
        return train, dev, test


PROTOCOLS = {
    "default": Protocol(seeds=3),
    "001": Protocol(seeds=5),  # five runs, speaker-independent; the shares are not stated
    "002": Protocol(seeds=20, test=0.15, dev=0.15),  # 70 / 15 / 15 by speaker, the same 20 splits for all models
    "003": Protocol(seeds=10, test=0.2, dev=0.2, by="name"),  # 60 / 20 / 20 by recording
    "004": Protocol(seeds=1, bootstrap=1000),  # intervals by bootstrap over the test set
}


def find(name):
    """Return a protocol by its name; KeyError if it is unknown."""
    if name not in PROTOCOLS:
        raise KeyError(f"no protocol is called {name!r}; accepted: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]
