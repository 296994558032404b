"""What the papers compare with, one file each, with the interface of refmer.systems."""

BASELINES = {"concatenation": "refmer.baselines.concatenation"}
