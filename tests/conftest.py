"""Corpora and recognizers that tests share: read only."""

from functools import cache

import pytest
from hypothesis import settings

import refmer
from refmer.ops import twins

# a kernel compiles in its first example; the examples are the same in every run
settings.register_profile("refmer", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("refmer")


@pytest.fixture(params=[False, True], ids=["definition", "kernel"])
def on(request):
    """Whether kernels are on: a test runs without and with them (without only, where REFMER_KERNELS=0)."""
    if request.param and not twins.AVAILABLE:
        pytest.skip("kernels are off")
    with twins.kernels(request.param):
        yield request.param


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """The folder of corpora that tests make, instead of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("REFMER_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def clips():
    """48 synthetic clips of 4 speakers."""
    return refmer.synthesize(speakers=4, takes=2, seed=5)


@pytest.fixture(scope="session")
def model(clips):
    """A recognizer of emotions, trained for four epochs."""
    return refmer.Recognizer("openface_adaptive", label="emotion", seed=1, epochs=4).fit(clips, progress=False)


@pytest.fixture(scope="session")
def fitted(clips):
    """fitted(name): that recognizer of emotions, trained for one epoch, once in a session."""

    @cache
    def train(name):
        return refmer.Recognizer(name, label="emotion", epochs=1).fit(clips, progress=False)

    return train
