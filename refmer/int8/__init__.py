"""INT8: a recognizer of a quarter of the size, in integer arithmetic; `refmer.quantize` makes it."""

from importlib import import_module

_HOME = {"QuantizedMatrix": "matrix", "quantize": "model", "sensitivity": "model", "size_table": "model"}


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'refmer.int8' has no attribute {name!r}; public names: {', '.join(_HOME)}")
    return getattr(import_module(f"refmer.int8.{_HOME[name]}"), name)
