"""INT8: `refmer.quantize(model, clips)` is the model with its learned maps in 8 bits; the parts are in this package."""

import sys
from types import ModuleType


class _Quantize(ModuleType):
    """The package and the function of this name in one."""

    def __call__(self, model, calibration_clips=None, **options):
        from refmer.quantize.model import quantize

        return quantize(model, calibration_clips, **options)


sys.modules[__name__].__class__ = _Quantize
