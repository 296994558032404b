"""Files of Weka (ARFF), also with text, which scipy.io.arff refuses."""

import csv
import re

from refmer.data.read_clip import existing

ATTRIBUTE = r"""@attribute\s+('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+)\s+(.+)"""


def read_arff(path):
    """Return [(name, type)] of the attributes of a file, and its rows of cells.

    A type is "numeric", "string" or the tuple of the names of a nominal attribute. A missing cell is "?".

    Raises
    ------
    ValueError
        If the file is no ARFF, or one with sparse rows.
    """
    text = existing("arff", path).read_text("utf-8-sig", "replace")
    lines = (line.strip() for line in text.splitlines())
    lines = (line for line in lines if line and not line.startswith("%"))
    attributes = []
    for line in lines:
        if match := re.fullmatch(ATTRIBUTE, line, re.I):
            attributes.append((bare(match[1]), type_of(path.name, match[2].strip())))
        elif line.lower().startswith("@data"):
            break
        elif not line.lower().startswith("@relation"):
            raise ValueError(f"{path.name} has the line {line[:60]!r} in its header; accepted: an ARFF file")
    rows = []
    for k, line in enumerate(lines, 1):
        if line.startswith("{"):
            raise ValueError(f"{path.name} has sparse rows; accepted: a value for each attribute")
        row = [bare(cell) for cell in cells(line)]
        if len(row) != len(attributes):
            raise ValueError(f"{path.name}: row {k} has {len(row)} values; accepted: {len(attributes)}, one for each attribute")
        rows.append(row)
    return attributes, rows


def type_of(file, text):
    if text.startswith("{") and text.endswith("}"):
        return tuple(bare(cell) for cell in cells(text[1:-1]))
    kind = text.split()[0].lower()
    if kind not in ("numeric", "real", "integer", "string"):
        raise ValueError(
            f"{file} has an attribute of type {text[:40]!r}; accepted: numeric, real, integer, string or {{a, b, ...}}"
        )
    return "string" if kind == "string" else "numeric"


def cells(line):
    """Return the cells of a line, of which those in quotes may hold commas."""
    quote = '"' if '"' in line and "'" not in line else "'"
    return next(csv.reader([line], quotechar=quote, escapechar="\\", doublequote=False, skipinitialspace=True))


def bare(cell):
    """Return a name without quotes."""
    cell = cell.strip()
    return cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] and cell[0] in "'\"" else cell
