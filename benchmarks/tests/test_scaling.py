"""Scaling: exponents, measured points, the table and the figure."""

import json

import pytest

import scaling
from memory import STATUS


def power_law(axis="frames", b=2.0, values=(16, 32, 64, 128, 256, 512), floor=0.0):
    return [{axis: x, "clips": 8, "seconds": floor + 1e-5 * x**b, "bytes": 100 * x} for x in values]


@pytest.mark.parametrize("b", [0.0, 1.0, 2.5])
def test_a_power_law_gives_its_exponent(b):
    assert scaling.exponent(power_law(b=b), "frames", "seconds") == pytest.approx(b, abs=1e-9)
    bent = [row | {"seconds": row["seconds"] if row["frames"] > 90 else 7.0} for row in power_law(b=b)]
    assert scaling.exponent(bent, "frames", "seconds") == pytest.approx(b, abs=1e-9)  # the lower half does not count


def test_no_exponent_without_values():
    unknown = [row | {"bytes": None} for row in power_law()]
    assert scaling.exponent(unknown, "frames", "bytes") is None
    assert scaling.exponent(power_law(values=(16,)), "frames", "seconds") is None


@pytest.mark.parametrize("axis", scaling.AXES)
def test_every_axis_spans_a_factor_of_32(axis):
    values, _ = scaling.AXES[axis]
    assert max(values) >= 32 * min(values) and axis != "frames" or max(values) >= 512


@pytest.mark.slow
@pytest.mark.parametrize("system", ["auxformer", "openface_adaptive", "of_cmaer_cat", "raver", "tlab_jca"])
def test_a_point_of_every_system_is_measured(system):
    result = scaling.train(system, clips=3, frames=16, width=8, epochs=2)
    assert result["seconds"] > 0 and (result["bytes"] is None or result["bytes"] > 0)


def test_all_frames_attend_to_all_frames():
    config, batch = scaling.noise(scaling.find("auxformer"), 2, 50, {"width": 8})
    assert batch["audio"].shape[:2] == batch["visual"].shape[:2] == (2, 50) and batch["audio_mask"].all() and config.width == 8


@pytest.mark.slow
def test_a_run_writes_figure_and_table(tmp_path):
    axes = {"clips": ((32, 64), {"frames": 4}), "width": ((8, 256), {"clips": 4, "frames": 4})}
    text = scaling.run(["openface_adaptive"], tmp_path, axes)
    result = json.loads((tmp_path / "scaling.json").read_text())
    assert [row["width"] for row in result["axes"]["width"]] == [8, 256] and result["threads"] == 1
    assert "exponent" in text and f"{result['axes']['clips'][0]['seconds']:.4f}" in text
    if STATUS.exists():
        assert result["axes"]["width"][1]["bytes"] > result["axes"]["width"][0]["bytes"] > 0
    assert (tmp_path / "scaling.png").read_bytes()[:4] == b"\x89PNG"


def test_a_figure_is_drawn_without_memory():
    rows = {"frames": power_law(), "width": power_law("width", values=(8, 256))}
    rows = {axis: [row | {"system": "raver", "bytes": None} for row in part] for axis, part in rows.items()}
    figure = scaling.draw(rows)
    texts = [t.get_text() for ax in figure.axes for t in (*ax.texts, *(ax.get_legend().texts if ax.get_legend() else ()))]
    assert "measured on Linux only" in texts and "raver 2.00" in texts
    assert [line.split() for line in scaling.table(rows).splitlines()][1] == ["16", "0.0026", "-"]


def test_errors_come_before_the_work(tmp_path):
    with pytest.raises(KeyError, match="no system is called 'wave'"):
        scaling.run(["wave"], tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder"):
        scaling.run(out=tmp_path / "none")
