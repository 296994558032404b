"""Random arguments for the kernels of refmer/kernels/attention.py."""


def attend(rng, dtype, n):
    B, H, D = 3, 2, int(rng.integers(1, 20))
    T, S = (4, 1 + n % 4) if rng.random() < 0.3 else (3 * n, n + 1)  # short, or up to two blocks of queries
    q, k, v = (rng.normal(size=(B, length, H * D)).astype(dtype) for length in (T, S, S))
    c = rng.uniform(0.2, 1, (B, 1, 1, 1)).astype(dtype) if rng.random() < 0.3 else D**-0.5
    shape = [(B, 1, 1, S), (1, 1, T, S), (B, 1, T, S), (B, H, T, S), None][rng.integers(5)]
    mask = None if shape is None else rng.random(shape) < 0.6
    if mask is not None:
        mask[0, 0, 0] = False  # one or all queries without a key
    keep = rng.random((B, H, T, S)) < 0.8 if rng.random() < 0.5 else None
    return [q, k, v, H, c, mask, keep, 0.0 if keep is None else 0.2]


def attend_backward(rng, dtype, n):
    arguments = attend(rng, dtype, n)
    return [rng.normal(size=arguments[0].shape).astype(dtype), *arguments]


ARGUMENTS = {"attention.attend": attend, "attention.attend_backward": attend_backward}
FLOAT32 = {"attention.attend": 3e-6, "attention.attend_backward": 3e-6}  # sums of up to 210 terms
