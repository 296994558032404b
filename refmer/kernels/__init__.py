"""Numba twins of hot operations: same file name, same function, same signature as in refmer.ops (see ops/twins.py).

Each states its oracle, its error bound and its measured gain. Nothing compiles at import; compiled code is cached on disk.
"""
