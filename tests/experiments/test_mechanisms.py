"""The mechanisms: numbers from constructed values, and one run on tiny corpora."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refmer.data.synthetic.synthesize import synthesize_recordings
from refmer.experiments.claims.measures import CONDITIONS
from refmer.experiments.mechanisms import PAPERS, measure, paper003, paper004
from refmer.experiments.run import run
from refmer.recognizer import Recognizer


@pytest.fixture(scope="module")
def recordings():
    """5 recordings of 5 speakers."""
    return synthesize_recordings(speakers=5, takes=1, seed=3, duration=(6.0, 8.0))


@pytest.mark.parametrize("paper", PAPERS)
def test_every_number_reads_what_its_rows_measure_and_is_0_where_nothing_differs(paper, clips, recordings):
    module = PAPERS[paper]
    row, (system, changes) = next(iter(module.ROWS.items()))
    clips = recordings if paper == "003" else clips[:24]
    model = Recognizer(system, config=changes, epochs=1).fit(clips, dev=clips, progress=False)
    numbers = measure(model, {"kind": paper, "seed": 0}, clips, clips)
    for function, operands in module.NUMBERS.values():
        assert {name for _, name in operands} <= set(numbers) and {r for r, _ in operands} <= set(module.ROWS)
        same = 1.0 if "W_J" in operands[0][1] else 0.5
        assert function(*(np.full(3, same) for _ in operands)) == pytest.approx(np.zeros(3))
    assert all(np.isfinite(value) for value in numbers.values())


@given(st.integers(0, 2**32 - 1), st.sampled_from(paper003.OFFSETS))
def test_the_profile_of_a_map_along_time_peaks_at_its_offset(seed, offset):
    W = np.random.default_rng(seed).uniform(-0.1, 0.1, (16, 16)) + np.eye(16, k=-offset)
    profile = paper003.profile(W)
    assert paper003.OFFSETS[int(np.argmax(profile))] == offset
    assert paper003.profile(np.full((16, 16), -2.0)) == pytest.approx([1.0] * len(paper003.OFFSETS))


def test_what_is_kept_under_losses_does_not_count_a_lead_on_clean_clips():
    ours, other = np.array([0.8, 0.7, 0.6, 0.5]), np.array([0.7, 0.6, 0.5, 0.4])
    assert paper004.kept(*ours, *other) == pytest.approx(0)
    assert paper004.kept(*(ours + [0, 0.1, 0.1, 0.1]), *other) == pytest.approx(0.1)
    assert len(paper004.LOST) == 4 and all(c in CONDITIONS for c in paper004.LOST.values())


@pytest.mark.slow
def test_a_run_has_tables_figures_and_a_verdict_for_each_number(clips, recordings, tmp_path, monkeypatch):
    monkeypatch.setattr("refmer.experiments.run.Recognizer", partial(Recognizer, epochs=1))
    result = run("mechanisms", tmp_path, quick=True, corpora={"clips": clips, "recordings": recordings})
    text = (tmp_path / "results.md").read_text()
    for k, paper in PAPERS.items():
        assert set(result["papers"][k]["numbers"]) == set(paper.NUMBERS)
        assert all(x["verdict"] in ("holds", "reversed", "undecided") for x in result["papers"][k]["numbers"].values())
        assert (tmp_path / "figures" / f"mechanism-{k}.png").stat().st_size > 10_000
        assert all(name in text for name in paper.NUMBERS)
