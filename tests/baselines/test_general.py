"""TFN, LMF, LF-RNN and late fusion."""

from dataclasses import replace

import numpy as np
import pytest

from refmer import params
from refmer.baselines import late_fusion, lf_rnn, lmf, tfn
from refmer.ops.activations import softmax
from refmer.proofs import moved
from refmer.proofs.paper001 import facts, sequences
from refmer.proofs.systems import vectors

SEQUENCES = sequences({"visual": 3, "audio": 2, "text": 5}, {"visual": 4, "audio": 3, "text": 2})
COMMON = {"visual": 3, "audio": 2, "text": 5, "classes": 4}
TFN = tfn.Config(**COMMON, vectors=(2, 3, 4), hidden=7)
LMF = lmf.Config(**COMMON, vectors=(2, 3, 4), rank=3)
RNN = lf_rnn.Config(**COMMON, width=3, hidden=7)
LATE = late_fusion.Config(visual=7, audio=3, text=2, classes=4, hidden=6)


def lstm_size(n_in, width):
    return 4 * width * (n_in + width + 2)


def test_parameters_follow_from_the_equations():
    maps = (3 * 2 + 2) + (2 * 3 + 3) + (lstm_size(5, 4) + 4 * 4 + 4)  # text is read by an LSTM
    assert params.count(tfn.describe(TFN)) == maps + (3 * 4 * 5 * 7 + 7) + (7 * 4 + 4)
    assert params.count(lmf.describe(LMF)) == maps + 3 * 4 * (3 + 4 + 5) + 4
    assert params.count(lf_rnn.describe(RNN)) == sum(lstm_size(n, 3) for n in (3, 2, 5)) + (9 * 7 + 7) + (7 * 4 + 4)
    assert params.count(late_fusion.describe(LATE)) == sum((n * 6 + 6) + (6 * 4 + 4) for n in (7, 3, 2))


def test_low_rank_is_tensor_fusion_with_a_weight_of_that_rank():
    p = moved(lmf.describe(LMF))
    logits = lmf.forward(p, SEQUENCES, LMF)[0]["logits"]
    z = tfn.read_vectors(p, SEQUENCES, LMF)[0]
    ones = {m: np.concatenate([x, np.ones((len(x), 1))], 1) for m, x in z.items()}
    factors = {m: np.vstack([f.W, f.b]).reshape(-1, 3, 4) for m, f in vars(p.fuse.factors).items()}
    W = np.einsum("irk,jrk,lrk->ijlk", *(factors[m] for m in z))
    np.testing.assert_allclose(logits, np.einsum("bi,bj,bl,ijlk->bk", *(ones[m] for m in z), W) + p.fuse.b, rtol=1e-10)


@pytest.mark.parametrize("system, config", [(tfn, TFN), (lmf, LMF), (lf_rnn, RNN)])
def test_padding_and_other_clips_change_nothing_and_a_silent_clip_is_finite(system, config):
    p = moved(system.describe(config))
    together = system.forward(p, SEQUENCES, config)[0]["logits"]
    longer = {k: np.pad(x, [(0, 0), (0, 3), *[(0, 0)] * (x.ndim - 2)]) for k, x in SEQUENCES.items()}
    np.testing.assert_allclose(system.forward(p, longer, config)[0]["logits"], together, rtol=1e-12)
    alone = {k: x[2:3] for k, x in SEQUENCES.items()}
    np.testing.assert_allclose(system.forward(p, alone, config)[0]["logits"], together[2:3], rtol=1e-12)
    silent = {k: np.zeros_like(x) for k, x in SEQUENCES.items()}
    assert np.isfinite(system.forward(p, silent, config)[0]["logits"]).all()


def test_an_lstm_depends_on_the_order_of_frames_and_a_mean_does_not():
    turned = SEQUENCES | {"visual": SEQUENCES["visual"][:, ::-1], "visual_mask": SEQUENCES["visual_mask"][:, ::-1]}
    for recurrent, same in (((), True), (("visual",), False)):
        config = replace(TFN, recurrent=recurrent)
        p = moved(tfn.describe(config))
        a, b = (tfn.forward(p, batch, config)[0]["logits"] for batch in (SEQUENCES, turned))
        assert np.allclose(a, b, rtol=1e-12) == same


def test_late_fusion_averages_probabilities_or_logits_of_available_modalities():
    batch, p = vectors(), moved(late_fusion.describe(LATE))
    out = late_fusion.forward(p, batch, LATE)[0]
    each = softmax(out["each"])
    np.testing.assert_allclose(softmax(out["logits"])[0], each[0].mean(0), rtol=1e-12)
    np.testing.assert_allclose(softmax(out["logits"])[3], each[3, [0, 2]].mean(0), rtol=1e-12)  # clip 3 has no audio
    logits = late_fusion.forward(p, batch, replace(LATE, average="logits"))[0]["logits"]
    np.testing.assert_allclose(logits[3], out["each"][3, [0, 2]].mean(0), rtol=1e-12)


def test_late_fusion_with_very_sure_classifiers_stays_finite():
    each = np.array([[[900.0, 0, 0], [0, 900.0, 0]]], np.float32)
    y = late_fusion.mean_probabilities(each, np.full((1, 2, 1), 0.5, np.float32))[0]
    np.testing.assert_allclose(softmax(y), [[0.5, 0.5, 0]], atol=1e-6)
    assert np.isfinite(y).all()


def test_late_classifiers_learn_alone_unless_joint():
    batch, p = vectors(), moved(late_fusion.describe(LATE))
    truth = facts(batch)

    def gradient(config, batch):
        out, backward = late_fusion.forward(p, batch, config)
        g = params.zeros_like(p)
        backward(late_fusion.loss(out, truth, config)[2], g)
        return g.visual.maps[0].W

    other = batch | {"text": batch["text"] + 1.0}
    np.testing.assert_array_equal(gradient(LATE, batch), gradient(LATE, other))
    joint = replace(LATE, joint=True)
    assert np.abs(gradient(joint, batch) - gradient(joint, other)).max() > 1e-6


def test_a_missing_modality_does_not_train_its_classifier():
    batch, p = vectors(), moved(late_fusion.describe(LATE))
    out = late_fusion.forward(p, batch, LATE)[0]
    each = late_fusion.loss(out, facts(batch), LATE)[2]["each"]
    assert (each[3, 1] == 0).all() and (each[3, 0] != 0).all()


@pytest.mark.parametrize(
    "config, change, message",
    [
        (TFN, {"vectors": (1, 2)}, r"vectors is \(1, 2\); accepted: three widths"),
        (TFN, {"recurrent": ("smell",)}, "smell"),
        (LMF, {"rank": 0}, "rank is 0; accepted: integers, 1 or more"),
        (RNN, {"modalities": ("smell",)}, "smell"),
        (LATE, {"average": "votes"}, "average is 'votes'; accepted: 'probabilities', 'logits'"),
    ],
)
def test_a_wrong_switch_is_named(config, change, message):
    with pytest.raises(ValueError, match=message):
        replace(config, **change)
