"""Pictures of the data flow: one for each system, whose boxes are all drawn and do not overlap."""

import pytest

from refmer.diagrams import FLOWS, Cross, draw
from refmer.systems import SYSTEMS


def test_every_system_has_a_picture():
    assert set(FLOWS) == set(SYSTEMS)


@pytest.mark.parametrize("name", FLOWS)
def test_every_box_is_drawn_once(name):
    texts = []
    for column in FLOWS[name]:
        boxes = (column,) if isinstance(column, str) else column.boxes if isinstance(column, Cross) else column
        assert len(boxes) in (1, len(FLOWS[name][0]))
        texts += [text for text in boxes if text]
    assert [text.get_text() for text in draw(name).axes[0].texts] == texts


@pytest.mark.parametrize("name", FLOWS)
def test_no_text_leaves_its_box(name):
    figure = draw(name)
    figure.canvas.draw()
    ax = figure.axes[0]
    boxes = [patch.get_window_extent() for patch in ax.patches if hasattr(patch, "get_x")]
    for text, box in zip(ax.texts, boxes, strict=True):
        extent = text.get_window_extent()
        assert box.x0 <= extent.x0 and extent.x1 <= box.x1 and box.y0 <= extent.y0 and extent.y1 <= box.y1
