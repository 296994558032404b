"""Fusion of one vector per modality by multiplication: the tensor fusion network (TFN) and its low-rank form (LMF)."""

import math

import numpy as np

from refmer.layers.dense import describe_linear, linear
from refmer.ops.contracts import closure
from refmer.ops.fusion import outer_with_ones, outer_with_ones_backward
from refmer.params import Leaf, xavier, zeros


def describe_tensor_fusion(widths, n_out):
    """widths: {modality: C_m}."""
    return describe_linear(math.prod(C + 1 for C in widths.values()), n_out)


@closure
def tensor_fusion(p, z):
    """y = W ([z_1; 1] x [z_2; 1] x ...) + b.   z {modality: (B, C_m)} -> (B, D)   (Zadeh et al. 2017, eq. 2)."""
    fused, *saved = outer_with_ones(*z.values())
    y, back = linear(p, fused)

    def backward(dy, g):
        return dict(zip(z, outer_with_ones_backward(back(dy, g), *saved), strict=True))

    return y, backward


def describe_low_rank_fusion(widths, rank, n_out):
    """widths: {modality: C_m}. The bias of a factor is the row for the 1 in [z; 1], initialised like the other rows."""
    factor = {m: {"W": Leaf((C, rank * n_out), xavier), "b": Leaf((rank * n_out,), xavier)} for m, C in widths.items()}
    return {"factors": factor, "b": Leaf((n_out,), zeros)}


@closure
def low_rank_fusion(p, z):
    """y = sum_r prod_m W_mr [z_m; 1] + b.   z {modality: (B, C_m)} -> (B, D)   (Liu et al. 2018, eq. 6).

    Tensor fusion with a weight that is a sum of R outer products of factors; the outer product itself is not formed.
    """
    if set(z) != set(vars(p.factors)):
        raise ValueError(f"z has the modalities {sorted(z)}; accepted: {sorted(vars(p.factors))}")
    D = len(p.b)
    maps = {m: linear(getattr(p.factors, m), z_m) for m, z_m in z.items()}
    u = np.stack([y.reshape(len(y), -1, D) for y, _ in maps.values()])  # (M, B, R, D)

    def backward(dy, g):
        g.b += dy.sum(0)
        dz = {}
        for i, (m, (_, back)) in enumerate(maps.items()):
            du = dy[:, None] * np.delete(u, i, 0).prod(0)  # y = sum_r prod_m u_mr; no division: u may be 0
            dz[m] = back(du.reshape(len(dy), -1), getattr(g.factors, m))
        return dz

    return u.prod(0).sum(1) + p.b, backward
