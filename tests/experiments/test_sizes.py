"""The table of published sizes."""

import io
import json

from refmer.experiments.sizes import main, sizes


def test_exact_counts_and_their_parts():
    found = sizes()
    assert found["openface_adaptive"]["parameters"] == found["openface_adaptive"]["published"] == 1_962_503
    assert found["openface_adaptive@d192"]["parameters"] == 3_086_663
    for label, size in found.items():
        assert sum(size["parts"].values()) == size["parameters"], label
        assert size["macs"] > 0 and size["memory_bytes"] > 4 * size["parameters"]


def test_table_and_json_say_the_same():
    text, data = io.StringIO(), io.StringIO()
    main(out=text)
    main(as_json=True, out=data)
    assert json.loads(data.getvalue()) == sizes()
    for label, size in sizes().items():
        (line,) = [line for line in text.getvalue().splitlines() if line.startswith(f"| {label} ")]
        assert f"{size['parameters']:,}" in line
