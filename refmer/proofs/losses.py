"""Cases of the losses."""

import numpy as np

from refmer.layers import cmaer as rec
from refmer.ops import losses
from refmer.proofs import Case

B, T, M, D, K = 5, 7, 3, 2, 4


def cases():
    return classification() + regressions() + of_paper_001() + layers()


def classification():
    rng = np.random.default_rng(3)
    logits = 2 * rng.normal(size=(B, K))
    soft = {"target": rng.dirichlet(np.ones(K), B), "weight": losses.class_balanced_weights([9, 3, 1, 7], 0.9)}
    votes = {"target": rng.random((B, K)).round(1), "weight": soft["weight"]}
    one = soft | {"target": soft["target"][:1]}
    return [
        Case("cross_entropy", losses.cross_entropy, (logits[:1],), variant="one", options=one),
        Case("sample_weighted_cross_entropy", losses.sample_weighted_cross_entropy, (logits,), options=soft),
        Case("binary_cross_entropy", losses.binary_cross_entropy, (logits,), options=votes),
    ]


def regressions():
    rng = np.random.default_rng(4)
    x, y, mask = rng.normal(size=(B, T, D)), rng.normal(1, 2, (B, T, D)), rng.random((B, T)) > 0.4
    rows = [
        Case("mse", losses.mse, (x,), options={"target": y}),
        Case("mse", losses.mse, (x,), options={"target": y, "mask": mask}, variant="masked"),
    ]
    for f in (losses.ccc, losses.ccc_loss):
        rows += [
            Case(f.__name__, f, (x,), options={"target": y}),
            Case(f.__name__, f, (x,), options={"target": y, "mask": mask, "ddof": 1}, variant="masked, ddof=1"),
        ]
    small = {"target": 1e-6 * y[0]}
    return rows + [Case("ccc", losses.ccc, (1e-6 * x[0],), options=small, variant="variance 1e-12")]


def of_paper_001():
    rng = np.random.default_rng(5)
    features, available = rng.normal(size=(B, M, D + 4)), rng.random((B, M)) > 0.3
    available[2] = False
    weight = rng.dirichlet(np.ones(M), B)
    return [
        Case("info_nce", losses.info_nce, (features,)),
        Case("info_nce", losses.info_nce, (features,), options={"temperature": 1.5}, variant="temperature 1.5"),
        Case("info_nce", losses.info_nce, (features,), options={"available": available}, variant="missing modalities"),
        Case("weight_entropy", losses.weight_entropy, (weight,)),
        Case("weight_entropy", losses.weight_entropy, (weight,), options={"literal": True}, variant="literal"),
    ]


def layers():
    h, description = np.random.default_rng(6).normal(size=(B, 6)), rec.describe_reconstruction(6, M, D)
    return [Case("reconstruction", lambda p, h: rec.reconstruction(p, h, M), (h,), description)]
