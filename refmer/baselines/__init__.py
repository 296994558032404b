"""The systems that the papers compare with, one file each, with the protocol of refmer/systems."""
