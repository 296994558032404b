"""Cases of the losses."""

import numpy as np

from refmer.layers import cmaer
from refmer.ops import losses
from refmer.proofs import Case

B, T, M, D, K = 5, 7, 3, 2, 4


def cases():
    return classification() + regressions() + of_paper_001()


def classification():
    rng = np.random.default_rng(3)
    logits = 2 * rng.normal(size=(B, K))
    soft = {"target": rng.dirichlet(np.ones(K), B), "weight": losses.class_balanced_weights([9, 3, 1, 7], 0.9)}
    votes = {"target": rng.random((B, K)).round(1), "weight": soft["weight"]}
    return [
        Case("cross_entropy", losses.cross_entropy, (logits,), options=soft),
        Case("cross_entropy", losses.cross_entropy, (logits[:1],), None, "one", soft | {"target": soft["target"][:1]}),
        Case("sample_weighted_cross_entropy", losses.sample_weighted_cross_entropy, (logits,), options=soft),
        Case("binary_cross_entropy", losses.binary_cross_entropy, (logits,), options=votes),
        *(
            Case("focal", losses.focal, (logits,), None, f"{gamma=}, {literal=}", soft | {"gamma": gamma, "literal": literal})
            for gamma in (0.0, 0.5, 2.0)
            for literal in (True, False)
        ),
    ]


def regressions():
    rng = np.random.default_rng(4)
    x, y, mask = rng.normal(size=(B, T, D)), rng.normal(1, 2, (B, T, D)), rng.random((B, T)) > 0.4
    masked = {"target": y, "mask": mask}
    rows = [Case("ccc", losses.ccc, (1e-6 * x[0],), None, "variance 1e-12", {"target": 1e-6 * y[0]})]
    rows += [Case(f.__name__, f, (x,), options={"target": y}) for f in (losses.mse, losses.ccc, losses.ccc_loss)]
    rows += [Case(f.__name__, f, (x,), None, "masked, ddof=1", masked | {"ddof": 1}) for f in (losses.ccc, losses.ccc_loss)]
    return rows + [Case("mse", losses.mse, (x,), None, "masked", masked)]


def of_paper_001():
    rng = np.random.default_rng(5)
    features, available, h = rng.normal(size=(B, M, D + 4)), rng.random((B, M)) > 0.3, rng.normal(size=(B, 6))
    available[2] = False
    weight, decoder = rng.dirichlet(np.ones(M), B), cmaer.describe_reconstruction(6, M, D)
    return [
        Case("info_nce", losses.info_nce, (features,)),
        Case("info_nce", losses.info_nce, (features,), None, "temperature 1.5", {"temperature": 1.5}),
        Case("info_nce", losses.info_nce, (features,), None, "missing modalities", {"available": available}),
        Case("weight_entropy", losses.weight_entropy, (weight,)),
        Case("weight_entropy", losses.weight_entropy, (weight,), None, "literal", {"literal": True}),
        Case("reconstruction", lambda p, h: cmaer.reconstruction(p, h, M), (h,), decoder),
    ]
