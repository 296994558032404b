"""Small corpora that tests share; nobody writes into them."""

import pytest

import refmer


@pytest.fixture(scope="session")
def clips():
    """48 synthetic clips of 4 speakers."""
    return refmer.synthesize(speakers=4, takes=2, seed=5)


@pytest.fixture(scope="session")
def model(clips):
    """A recognizer of emotions, trained for a moment."""
    return refmer.Recognizer("openface_adaptive", config={"target": "emotion"}, seed=1).fit(clips, epochs=4, progress=False)
