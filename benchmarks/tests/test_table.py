"""The table of times: the same work on every side, times in turn, text and JSON."""

import json
import re

import numpy as np
import pytest

import hardware
import out_of_core
import scaling
import table
from cases import CASES, Work
from command import main
from refmer.ops import twins
from refmer.systems import SYSTEMS
from steps import PUBLISHED, STEPS, STREAMS, step

RANDOM = ("dropout", "markov", "adamw", "clip_norm")  # random, or in place
NO_TORCH = "PyTorch is not installed: pip install torch"
KEYS = ["name", "shape", "threads", "numpy_s", "kernel_s", "torch_s", "ratio_to_torch"]


def test_rows_are_the_same_on_the_command_line_and_in_the_list(tmp_path, capsys):
    arguments = ["--quick", "--rows", "ccc,layer_norm,step:openface_adaptive,stream:openface_adaptive"]
    assert main([*arguments, "--json", "--out", str(tmp_path / "bench.json")]) == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "bench.json").read_text() == printed
    rows = json.loads(printed)
    names = [row["name"] for row in rows if not row["name"].endswith(":fused")]
    assert names == ["layer_norm", "ccc", "step:openface_adaptive", "stream:openface_adaptive"]
    for row in rows:
        assert list(row) == KEYS and row["threads"] == 1 and all(isinstance(n, int) for n in row["shape"])
        assert row["numpy_s"] > 0 and row["kernel_s"] > 0
        if row["torch_s"] is None:
            assert row["ratio_to_torch"] is None
        else:
            assert row["ratio_to_torch"] == pytest.approx(row["torch_s"] / row["kernel_s"])
    assert rows[-1]["torch_s"] is None  # PyTorch has no stream
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.json"]


def test_without_pytorch_its_columns_are_empty(monkeypatch, capsys):
    monkeypatch.setattr(table, "pytorch", lambda threads: None)
    monkeypatch.setattr(hardware, "version_of", lambda package: "-")
    table.main(quick=True, only=["ccc"])
    text = capsys.readouterr().out
    assert re.search(r"^ccc +32 x 2 +\S+ us +\S+ us +- +\S+ +-", text, re.M)
    assert "pip install torch" in text and "GF/s" in text and "threads    1" in text
    table.main(quick=True, only=["ccc"], as_list=True)
    (row,) = json.loads(capsys.readouterr().out)
    assert row["torch_s"] is None and row["ratio_to_torch"] is None


@pytest.mark.parametrize(
    "arguments, message", [(["--rows", "gru"], "no rows are called gru; accepted: lstm"), (["--threads", "0"], "1 or more")]
)
def test_wrong_options_are_named(capsys, arguments, message):
    assert main(arguments) == 1
    assert message in capsys.readouterr().err


def test_scaling_and_out_of_core_run_instead(monkeypatch, capsys):
    for module in (scaling, out_of_core):
        monkeypatch.setattr(module, "run", lambda *given: given)
    for arguments, given in (
        (["--scaling"], (tuple(SYSTEMS), ".")),
        (["--scaling", "raver", "--out", "figures"], (("raver",), "figures")),
        (["--out-of-core"], (4.0,)),
        (["--out-of-core", "0.25"], (0.25,)),
    ):
        assert main(arguments) == 0
        assert capsys.readouterr().out == f"{given}\n"


def test_sides_take_turns_with_definitions_on_the_first_only(monkeypatch):
    ran = []
    sides = {side: lambda side=side: ran.append((side, twins.kernels_on())) for side in ("numpy", "kernel", "torch")}
    monkeypatch.setattr(table, "calls_in", lambda *_: 2)
    times = table.medians(sides, 0.0, threads=1)
    assert list(times) == list(sides) and all(s >= 0 for s in times.values())
    order = [side for side, _ in ran[::4]]  # blocks of two untimed and two timed calls
    assert order[:9] == ["numpy", "kernel", "torch", "torch", "kernel", "numpy", "numpy", "kernel", "torch"]
    assert all(on == (side != "numpy" and twins.kernels_on()) for side, on in ran)


def test_a_fused_optimizer_has_a_row_of_its_own():
    seconds = {"numpy": 3.0, "kernel": 1.0, "torch": 2.0, "fused": 1.5}
    eager, fused = table.parts("step:x", Work((2,), None, {}), seconds, 1)
    assert (eager.name, table.ratio(eager, "torch")) == ("step:x", 2.0)
    assert (fused.name, table.ratio(fused, "torch")) == ("step:x:fused", 1.5)


def test_the_limit_is_the_slower_of_product_and_copy_and_empty_where_a_call_costs_more(monkeypatch):
    monkeypatch.setattr(hardware, "product_rate", lambda threads: 1e9)
    monkeypatch.setattr(hardware, "copy_rate", lambda size, threads: 1e8)
    assert table.limits(Work((), None, {}, flops=1e6, bytes=1e4), 1) == (pytest.approx(1e-3), "product")
    assert table.limits(Work((), None, {}, flops=1e3, bytes=1e4), 1) == (pytest.approx(1e-4), "copy")
    assert table.limits(Work((), None, {}, flops=1e3), 1) == (None, "")


def test_durations_have_three_digits():
    assert [table.duration(s) for s in (1.234e-6, 12.34e-6, 123.4e-6, 1.234e-3, 1.234, None)] == [
        "1.23 us",
        "12.3 us",
        "123 us",
        "1.23 ms",
        "1234 ms",
        "-",
    ]


@pytest.mark.parametrize("case", [c for c in CASES if c.name not in RANDOM], ids=lambda c: c.name)
def test_pytorch_does_the_same_work(case):
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    work = case.make(torch)
    for ours, theirs in zip(work.ours(), work.torch["torch"](), strict=True):
        theirs = np.asarray(theirs)
        if theirs.shape != np.shape(ours):  # a convolution: (B, C, T)
            theirs = theirs.swapaxes(1, 2)
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-4 * np.abs(ours).max())


def test_every_case_runs_without_pytorch():
    for case in CASES:
        work = case.make(None)
        work.ours()
        assert work.torch == {} and all(n > 0 for n in work.shape)


@pytest.mark.parametrize("case", STREAMS, ids=lambda c: c.name)
def test_a_stream_answers_once_a_call(case):
    work = case.make(None)
    (first,), (second,) = work.ours(), work.ours()
    assert second.time_s == pytest.approx(first.time_s + 0.4)
    assert work.shape == (255, 1_835_493 if case.name.endswith("paper") else 25_349) and work.flops > 0


@pytest.mark.slow
@pytest.mark.parametrize("case", STEPS, ids=lambda c: c.name)
def test_a_step_of_pytorch_has_a_loss(case):
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    name = case.name.removeprefix("step:")
    work = step(name, torch)
    assert set(work.torch) == {"torch", "fused"} and work.flops > 0
    assert all(np.isfinite(run()) for run in work.torch.values())
    work.ours()


@pytest.mark.slow
def test_a_step_of_a_published_size_has_its_parameters_and_a_loss():
    work = PUBLISHED[0].make(None)
    assert work.shape == (32, 1_962_503) and np.isfinite(work.ours())
