"""refmer: five multimodal emotion recognition systems to read, prove, train, break and make small, without autograd."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "1.0.0"

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


if TYPE_CHECKING:  # the same for type checkers; a test compares them
    from refmer.data.clips import Clips as Clips
    from refmer.data.clips import Stream as Stream
    from refmer.data.corpora import read_data as read_data
    from refmer.data.corpora.table import read_table as read_table
    from refmer.data.corrupt import corrupt as corrupt
    from refmer.data.folder import load_folder as load_folder
    from refmer.data.folder import save_folder as save_folder
    from refmer.data.labels import Label as Label
    from refmer.data.read import load_samples as load_samples
    from refmer.data.read_clip import read_clip as read_clip
    from refmer.data.read_clips import read_clips as read_clips
    from refmer.data.synthetic.synthesize import raw_signals as raw_signals
    from refmer.data.synthetic.synthesize import synthesize as synthesize
    from refmer.data.synthetic.synthesize import synthesize_recordings as synthesize_recordings
    from refmer.int8.model import quantize as quantize
    from refmer.recognizer import Recognizer as Recognizer
    from refmer.recognizer import load_recognizer as load_recognizer
else:

    def __getattr__(name: str) -> Any:
        if name not in _HOME:
            raise AttributeError(f"module 'refmer' has no attribute {name!r}; public names: {', '.join(sorted(_HOME))}")
        return getattr(import_module(f"refmer.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
