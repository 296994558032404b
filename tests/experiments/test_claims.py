"""The table of claims: complete, its contrasts in the right direction; a planted effect is found, a planted null is not."""

import json
from dataclasses import replace

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refmer import systems
from refmer.experiments import claims as module
from refmer.experiments import protocols
from refmer.experiments.claims import contrasts, figures, measures
from refmer.experiments.claims.models import CHEAP, ROWS
from refmer.experiments.claims.table import CLAIMS
from refmer.experiments.run import Setup, run
from refmer.recognizer import Recognizer

pytestmark = pytest.mark.slow

IDS = (
    "000-a 000-b 000-c 000-d 000-e 000-f 001-a 001-b 001-c 001-d 002-a 002-b 002-c 002-d 002-e 002-f 002-g 002-h 002-i 002-j"
    " 002-k 003-a 003-b 003-c 003-d 004-a 004-b 004-c 004-d 004-e 004-f 004-g 004-h 004-i all-a all-b"
).split()
TINY = ("000-a", "000-f", "004-g")
PLAN = protocols.find("default")


def line_of(claim, place=0):
    return [line for line in CLAIMS if line.id == claim][place]


def by_hand(line, default=0.5, **special):
    """Values of all scores of a line, 1 seed; special: {row or condition or name: value}, spaces written as _."""
    special |= {k.replace("_", " "): v for k, v in special.items()}
    scores = {s for x in line.contrasts.values() for s in x.scores}
    return {s: np.array([next((special[k] for k in s if k in special), default)]) for s in scores}


def effects(line, values):
    return {name: float(x.function(*(values[s] for s in x.scores))[0]) for name, x in line.contrasts.items()}


def test_the_table_has_every_claim_and_a_reason_for_what_is_not_tested():
    assert list(dict.fromkeys(line.id for line in CLAIMS)) == IDS
    assert [(x.id, bool(x.note)) for x in CLAIMS if not x.contrasts] == [("002-j", True)]
    assert len({(x.id, x.text) for x in CLAIMS}) == len(CLAIMS)


def test_what_goes_around_a_part_is_said_where_the_part_is_ablated():
    assert systems.find("tlab_jca").Config.tiny().residual == "input"
    assert all("goes around TLAB" in line.note for line in CLAIMS if line.id == "003-b")


def test_every_score_can_be_measured_and_every_row_is_used():
    needs = module.needs(CLAIMS)
    assert set(needs) == set(ROWS) and len(CHEAP) == len(ROWS) // 2
    assert {c for conditions in needs.values() for c in conditions} <= set(measures.CONDITIONS) | set(measures.PROBES)
    for row in ROWS.values():
        assert systems.find(row.system).Config.tiny(**row.changes).target == row.changes["target"]


@pytest.mark.parametrize(
    "claim, place, values, expected",
    [
        ("000-a", 0, {"gated": 0.7, "ungated": 0.6}, [0.1, 0.0]),
        ("000-b", 0, {"gated": 0.7}, [0.2] * 3),
        ("000-c", 0, {"hand": 0.9}, [0.0, 0.4, 0.0]),
        ("000-c", 1, {"seconds": 0.2}, [0.3]),
        ("000-d", 0, {"clean": 0.9, "white_0_dB": 0.3}, [-0.08, -0.1]),
        ("000-d", 1, {"concatenation": 0.1}, [0.0, 0.0]),
        ("000-e", 0, {"within_one": 0.9, "accuracy": 0.3}, [0.9 - 0.3 - 0.7 * 2 / 7]),
        ("001-a", 0, {"+_AWOM": 0.8}, [0.0, 0.3, -0.3, 0.0]),
        ("001-c", 0, {"001,_no_entropy": 0.1}, [0.0, 0.4]),
        ("001-d", 0, {"001,_no_contrast": 0.2}, [0.3]),
        ("002-a", 0, {"auxformer": 0.8}, [0.3] * 3 + [0.0] * 3),
        ("002-d", 0, {"voice_alone": 0.3}, [0.2, 0.0]),
        ("002-d", 1, {"face_lost_0.5": 0.4}, [0.09, -0.01]),
        ("002-e", 0, {"auxformer": 0.6}, [0.1, 0.0]),
        ("002-g", 1, {"auxformer, token last_valid": 0.6}, [0.11]),
        ("002-h", 1, {"auxformer": 0.6}, [0.1] * 3),
        ("002-j", 0, {"MulT": 0.6}, [-0.11]),
        ("003-a", 0, {"JCA": 0.6}, [-0.1, 0.1]),
        ("003-d", 0, {"hand": 0.2}, [0.0, 0.0]),
        ("004-a", 1, {"face_lost_1": 0.3}, [0.15, -0.05]),
        ("004-d", 0, {"RAVER": 0.1}, [-0.4] * 6),
        ("004-g", 0, {"ratio": 0.05}, [-0.05]),
        ("004-h", 0, {"RAVER": 0.6}, [0.1] * 3),
        ("004-i", 0, {"zeroed": 0.2}, [0.3, 0.3]),
        ("all-b", 0, {"visual_alone": 0.7, "voice_alone": 0.3}, [-0.2, 0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_effects_by_hand(claim, place, values, expected):
    line = line_of(claim, place)
    np.testing.assert_allclose(list(effects(line, by_hand(line, **values)).values()), expected, atol=1e-12)


def test_more_of_the_disturbed_dimension_is_lost():
    line = line_of("003-d")
    values = by_hand(line)
    lost = {("hand", "ccc_valence"): 0.1, ("hand", "ccc_arousal"): 0.4, ("laughter", "ccc_arousal"): 0.3}
    values |= {s: np.array([lost[s.condition, s.name]]) for s in values if (s.condition, s.name) in lost}
    np.testing.assert_allclose(list(effects(line, values).values()), [0.3, 0.2])


def test_a_lead_under_noise_is_corrected_for_that_on_clean_inputs():
    a, b, a_clean, b_clean = (np.array([x]) for x in (0.6, 0.3, 0.8, 0.7))
    assert contrasts.beyond_clean(a, b, a_clean, b_clean) == pytest.approx(0.2)


@given(arrays(float, (5, 3), elements=st.floats(-1, 1)))
def test_trends_are_least_squares_slopes(scores):
    slopes = np.polyfit(np.arange(5), scores, 1)[0]
    np.testing.assert_allclose(contrasts.trend(*scores), slopes, atol=1e-12)
    steep = contrasts.flatter(*scores, *(scores - np.arange(5)[:, None]))
    np.testing.assert_allclose(steep, 1, atol=1e-9)  # the second falls by 1 a step more


@given(arrays(float, 5, elements=st.floats(0, 1)), st.floats(-3, 3))
def test_steadier_is_the_smaller_deviation_whatever_the_level(x, level):
    np.testing.assert_allclose(contrasts.steadier(x + level, 3 * x), 2 * np.abs(x - np.median(x)), atol=1e-9)


def test_the_best_of_others_is_chosen_by_its_mean_not_seed_by_seed():
    best = contrasts.over_best(np.array([0.5, 0.5]), np.array([0.6, 0.2]), np.array([0.5, 0.4]))
    np.testing.assert_allclose(best, [0.0, 0.1])


def test_neighbours_is_the_mean_over_all_renamings():
    rng = np.random.default_rng(0)
    y, answer = rng.integers(5, size=40), rng.integers(5, size=40)
    accuracy = np.mean(y == answer)
    renamed = [np.mean(np.abs(names[y] - names[answer]) <= 1) for names in (rng.permutation(5) for _ in range(20000))]
    assert contrasts.neighbours(np.mean(renamed), accuracy, classes=5) == pytest.approx(0, abs=0.005)


def planted(gain, noise, seeds=5):
    """Values of claim 000-a: the gate gains so much under noise, over what it gains on clean inputs."""
    rng, values = np.random.default_rng(3), {}
    for score in {s for x in line_of("000-a").contrasts.values() for s in x.scores}:
        lead = gain * (score.row == "gated" and score.condition != "clean")
        values[score] = 0.5 + lead + noise * rng.standard_normal(seeds)
    return values


@pytest.mark.parametrize("gain, verdict", [(0.2, "holds"), (-0.2, "reversed"), (0.0, "undecided")])
def test_a_planted_effect_is_found_and_a_planted_null_is_not(gain, verdict):
    result = module.judge(line_of("000-a"), planted(gain, 0.02), set(), PLAN)
    assert result["verdict"] == verdict and [x["verdict"] for x in result["contrasts"].values()] == [verdict] * 2
    for x in result["contrasts"].values():
        assert x["interval"][0] < gain < x["interval"][1] and x["detectable"] > 0


@pytest.mark.parametrize(
    "each, whole",
    [
        (["holds", "holds"], "holds"),
        (["holds", "undecided"], "undecided"),
        (["holds", "reversed"], "reversed"),
        (["undecided"], "undecided"),
    ],
)
def test_a_line_is_the_conjunction_of_its_contrasts(each, whole):
    assert module.together(each) == whole


def test_a_ratio_of_times_is_given_as_one_of_products():
    result = module.judge(line_of("002-j", 1), {}, set(), PLAN)
    assert result["verdict"] == "not tested" and result["note"].endswith("one forward: 27.5 times")


def test_seconds_until_a_gate_has_fallen_by_half():
    time = np.arange(5, 40) / 10  # the face is covered from 2 to 3 s
    assert measures.seconds_to_half(time, np.where(time > 2.35, 0.1, 0.8)) == pytest.approx(0.4)
    assert measures.seconds_to_half(time, np.full(len(time), 0.8)) == 1.0
    assert measures.seconds_to_half(time, np.where(time > 2.35, 0.16, 0.3)) == 1.0  # not by half of what it was
    assert measures.seconds_to_half(time, np.where(time < 1.5, 0.1, 0.8)) == 1.0  # low before is not fallen


def test_matched_cosine_is_high_only_for_the_same_clip():
    f = np.eye(3, 5)[:, None].repeat(2, 1)  # (3, 2, 5): both modalities alike, clips orthogonal
    assert measures.matched_cosine(f) == pytest.approx(1.0)
    assert measures.matched_cosine(np.ones((3, 2, 5))) == pytest.approx(0.0)


def test_the_expected_time_grows_with_the_clips_of_the_corpus(clips, monkeypatch):
    monkeypatch.setattr(module, "BUNDLED", {"clips": 1})
    setup = Setup(module.rows(True, ["000-a"]), PLAN, "default", {"clips": clips}, {}, quick=True, jobs=1, options={})
    seconds = sum(ROWS[row].seconds for row in setup.rows) * PLAN.seeds
    for n in (12, 48):
        assert module.expected(replace(setup, corpora={"clips": clips[:n]})).endswith(f"about {n * seconds / 60:.1f} minutes")


@pytest.fixture(scope="module")
def halves(clips):
    return clips.split(test_size=0.25, seed=0)


def fitted(row, train):
    r = ROWS[row]
    return Recognizer(r.system, config=r.changes, seed=0, epochs=1).fit(train, progress=False)


@pytest.mark.parametrize(
    "row, probe",
    [
        ("gated", "trust"),
        ("gated", "int8"),
        ("+ Transformer (OF-CMAER-CAT)", "weights"),
        ("+ Transformer (OF-CMAER-CAT)", "consistency"),
        ("RAVER", "update"),
        ("RAVER", "zeroed"),
        ("auxformer", "alignment"),
        ("Transformer-LSTM", "alignment"),
    ],
)
def test_probes_give_the_numbers_that_the_table_reads(halves, row, probe, monkeypatch):
    train, test = halves
    falling = np.array([1.5, 2.0, 2.5]), {"visual": np.array([[0.9, 0.7, 0.2]])}
    monkeypatch.setattr(measures.gates, "alphas", lambda *_: falling)  # it takes seconds, and has its own test
    numbers = measures.PROBES[probe](fitted(row, train), train, test, 0)
    read = {
        s.name for line in CLAIMS for x in line.contrasts.values() for s in x.scores if (s.row, s.condition) == (row, probe)
    }
    assert read and read <= set(numbers) and np.isfinite(list(numbers.values())).all()
    assert numbers.get("seconds", 0.5) == 0.5


def test_the_weight_of_a_missing_modality_falls_to_zero(halves):
    train, test = halves
    model = fitted("+ Transformer (OF-CMAER-CAT)", train)
    result = measures.weights(model, train, test, 0)
    assert result["face lost 1"] == pytest.approx(-model.explain(test)["weights"][:, 0].mean())
    assert 0 < result["entropy"] <= np.log(3) + 1e-6


def test_scores_of_short_and_long_clips_and_brier(halves):
    train, test = halves
    model = fitted("gated", train)
    result = measures.score(model, test)
    frames = test.streams["units"].mask.sum(1)
    long = frames > np.median(frames)
    assert result["macro_f1_long"] == model.scores(model.predict(test[long]), test[long])["macro_f1"]
    assert result["macro_f1_short"] == model.scores(model.predict(test[~long]), test[~long])["macro_f1"]
    p, y = model.predict_proba(test), test.emotion
    assert result["brier"] == pytest.approx(np.mean((p - np.eye(6)[y]) ** 2))


@pytest.fixture(scope="module")
def done(clips, tmp_path_factory):
    out = tmp_path_factory.mktemp("claims")
    return out, run("claims", out, quick=True, ids=TINY, corpora={"clips": clips})


def test_a_quick_run_tests_what_it_can_and_says_what_it_left_out(done):
    out, result = done
    assert json.loads((out / "results.json").read_text()) == result and result["seeds"] == [0, 1]
    gate, quantized, update = result["claims"]
    assert gate["verdict"] in ("holds", "reversed", "undecided") and len(gate["contrasts"]) == 2
    assert all(len(x["effect"]["values"]) == 2 for x in gate["contrasts"].values())
    assert quantized["direction"] == "equal" and quantized["verdict"] in ("holds", "undecided")
    assert update["verdict"] == "not tested" and update["note"] == "needs RAVER: left out of --quick"
    text = (out / "results.md").read_text()
    assert "**synthetic**" in text and "41.2 against 37.6" in text and "(--quick)" in text and "left out of --quick" in text


def test_finished_models_are_kept(done, clips, monkeypatch):
    out, result = done
    monkeypatch.setattr("refmer.experiments.run.train_and_measure", None)  # nothing is trained again
    assert run("claims", out, quick=True, ids=TINY, corpora={"clips": clips}) == result


def test_the_figure_shows_each_contrast_and_where_its_claim_would_hold():
    judged = [module.judge(line_of("000-a"), planted(0.2, 0.02), set(), PLAN) | {"direction": "less", "margin": 0.03}]
    ax = figures.forest("000", judged, 5).axes[0]
    assert [t.get_text() for t in ax.get_yticklabels()] == list(judged[0]["contrasts"])
    assert "n = 5 seeds" in ax.get_xlabel()
    for bar in ax.patches:
        assert (bar.get_x(), bar.get_x() + bar.get_width()) == pytest.approx((-figures.REACH, -0.03))


def test_the_run_time_is_stated_before_it_starts(clips, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("refmer.experiments.run.execute", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("claims", tmp_path, seeds=80, ids=("000-a",), jobs=2, corpora={"clips": clips})
    assert "2 models x 80 seeds, 2 at a time: about 0.5 minutes" in capsys.readouterr().err


test_errors_name_the_cause = errors(
    (lambda tmp_path: run("claims", tmp_path, ids=("000-z",)), "no claim is called 000-z; accepted: 000-a"),
    (lambda tmp_path: run("claims", tmp_path, seeds=1), "seeds is 1, jobs is 1; accepted: at least 2 and 1"),
    error=(KeyError, ValueError),
)
