"""INT8: a recognizer of a quarter of the size, in true integer arithmetic.

This package is also the function that a user calls: `small = refmer.quantize(model, calibration_clips)`; see `quantize` in
model.py. `refmer.quantize.sensitivity` and `refmer.quantize.size_table` tell where the error and the bytes are.
"""

import sys
from importlib import import_module
from types import ModuleType

_HOME = {"QuantizedMatrix": "matrix", "quantize": "model", "sensitivity": "model", "size_table": "model"}


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'refmer.quantize' has no attribute {name!r}; public names: {', '.join(_HOME)}")
    return getattr(import_module(f"refmer.quantize.{_HOME[name]}"), name)


class _Callable(ModuleType):
    def __call__(self, model, calibration_clips=None, **options):
        """A recognizer in 8 bits: `quantize` in model.py, which describes the arguments."""
        return self.quantize(model, calibration_clips, **options)


sys.modules[__name__].__class__ = _Callable
