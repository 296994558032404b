"""Jupyter notebooks from the percent scripts of the tutorials: `# %%` begins a cell of code, `# %% [markdown]` one of text."""

import json
import re

CELL = re.compile(r"^# %%( \[markdown\])?(.*)\n", re.M)
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def notebook(script):
    """Return a percent script as the text of a notebook without output (nbformat 4.5).

    Parameters
    ----------
    script : str
        Its first line begins a cell. `# %% tags=["hide-cell"]` begins a cell that is folded.

    Returns
    -------
    str
        JSON, which Jupyter, VS Code and Colab read.

    Raises
    ------
    ValueError
        If the script does not begin with a cell.
    """
    before, *parts = CELL.split(script)
    if before or not parts:
        raise ValueError(f"the script begins with {script[:20]!r}; accepted: '# %%', which begins a cell")
    cells = []
    for kind, options, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        lines = body.strip("\n").splitlines(keepends=True)
        cell = {"id": f"cell-{len(cells)}", "metadata": {}}
        if tags := re.findall(r'"([\w-]+)"', options):
            cell["metadata"] = {"tags": tags, "jupyter": {"source_hidden": "hide-cell" in tags}}
        if kind:
            source = [re.sub("^# ?", "", line) for line in lines]
            cells.append(cell | {"cell_type": "markdown", "source": source})
        else:
            cells.append(cell | {"cell_type": "code", "execution_count": None, "outputs": [], "source": lines})
    return json.dumps({"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"
