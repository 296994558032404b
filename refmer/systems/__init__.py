"""The five systems, one file per paper, and their look-up by name; protocol.py says what a system is."""

from importlib import import_module

from refmer.systems.protocol import System

_SYSTEMS = "openface_adaptive of_cmaer_cat auxformer tlab_jca raver"
_BASELINES = (
    "concatenation late_fusion tfn lmf lf_rnn mult auxformer_baseline1 parthasarathy unimodal jca leader_follower sfav vavl"
    " transformer_lstm"
)
SYSTEMS = {name: f"refmer.systems.{name}" for name in _SYSTEMS.split()}
BASELINES = {name: f"refmer.baselines.{name}" for name in _BASELINES.split()}


def find(name):
    """Return a system or baseline by name.

    Raises
    ------
    KeyError
        If there is none of that name; the message lists all names.
    """
    known = SYSTEMS | BASELINES
    if name not in known:
        raise KeyError(f"no system is called {name!r}; accepted: {', '.join(known)}")
    return System(import_module(known[name]))
