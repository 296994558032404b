"""INT8: recognizers of a quarter of the size, in integer arithmetic."""

from refmer.int8.matrix import QuantizedMatrix
from refmer.int8.model import quantize, sensitivity, size_table

__all__ = ["QuantizedMatrix", "quantize", "sensitivity", "size_table"]
