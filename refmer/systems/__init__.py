"""The five systems, one file per paper, and their look-up by name; protocol.py defines the parts of a system."""

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
        If no system has that name; the message lists all names.
    """
    modules = SYSTEMS | BASELINES
    if not isinstance(name, str) or name not in modules:
        raise KeyError(f"no system is called {name!r}; accepted: {', '.join(modules)}")
    return System(import_module(modules[name]))
