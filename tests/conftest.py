"""Small corpora that tests share; nobody writes into them."""

import pytest
from hypothesis import settings

import refmer

settings.register_profile("patient", deadline=None)  # a kernel compiles in its first example
settings.load_profile("patient")


@pytest.fixture(scope="session")
def clips():
    """48 synthetic clips of 4 speakers."""
    return refmer.synthesize(speakers=4, takes=2, seed=5)


@pytest.fixture(scope="session")
def model(clips):
    """A recognizer of emotions, trained for a moment."""
    return refmer.Recognizer("openface_adaptive", config={"target": "emotion"}, seed=1).fit(clips, epochs=4, progress=False)
