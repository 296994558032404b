"""refmer: five multimodal emotion recognition systems to read, prove, train, break and make small, without autograd."""

from importlib import import_module

__version__ = "0.1.0"

_HOME = {  # public name -> module that defines it; loaded on first use, so that `import refmer` costs nothing
    "Clips": "data.clips",
    "Label": "data.labels",
    "Stream": "data.clips",
    "corrupt": "data.corrupt",
    "load_folder": "data.folder",
    "load_recognizer": "recognizer",
    "load_samples": "data.read",
    "read_clip": "data.read_clip",
    "read_clips": "data.read_clips",
    "read_data": "data.corpora",
    "raw_signals": "data.synthetic.synthesize",
    "synthesize": "data.synthetic.synthesize",
    "synthesize_recordings": "data.synthetic.synthesize",
    "save_folder": "data.folder",
    "read_table": "data.corpora.table",
    "Recognizer": "recognizer",
    "quantize": "int8.model",
}
__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'refmer' has no attribute {name!r}; public names: {', '.join(sorted(_HOME))}")
    return getattr(import_module(f"refmer.{_HOME[name]}"), name)


def __dir__():
    return __all__
