"""Tables in text files: cells between commas, semicolons or tabs, with decimal points or commas."""

import csv
import re
from itertools import chain

import numpy as np

UTF16 = (b"\xff\xfe", b"\xfe\xff")
MISSING = r"\??|[+-]?nan.*"  # cells without a number
ACCEPTED = "lines of text with commas, semicolons or tabs between the cells"


def read_lines(path, file, accepted=ACCEPTED):
    """Yield the separator of a file, then the number and the cells of each line that is neither blank nor "sep=;".

    Raises
    ------
    ValueError
        If the file is no table.
    """
    with open(path, "rb") as f:
        encoding = "utf-16" if f.read(2) in UTF16 else "utf-8-sig"
    try:
        with open(path, newline="", encoding=encoding, errors="replace") as f:
            lines = (line for line in f if line.strip(' \t\r\n,;"') and not line.strip(' "').startswith("sep="))
            first = next(lines, "")
            separator = max(",;\t", key=first.count)
            yield separator
            reader = csv.reader(chain([first], lines), delimiter=separator, skipinitialspace=True)
            yield from ((reader.line_num, [cell.strip() for cell in line]) for line in reader)
    except (csv.Error, OSError, UnicodeError) as error:
        raise ValueError(f"{file} cannot be read ({error}); accepted: {accepted}") from error


def read_cells(path, file):
    """Return the first line of a file as a list of cells, the other lines as lists of as many, and the separator."""
    lines = read_lines(path, file)
    separator = next(lines)
    header = next(lines)[1]
    while len(header) > 1 and not header[-1]:
        header.pop()
    rows = []
    for k, line in lines:
        if any(line[len(header) :]) or len(line) < len(header):
            hint = "; decimal commas need semicolons between the columns" if len(line) > len(header) else ""
            raise ValueError(f"{file}: line {k} has {len(line)} cells, the first {len(header)}; accepted: as many{hint}")
        rows.append(line[: len(header)])
    return header, rows, separator


def number(text, separator):
    """Return the number in a cell, NaN for any other text ("-nan(ind)", which Windows writes)."""
    try:
        return float(text if separator == "," else text.replace(",", "."))
    except ValueError:
        return np.nan


def numbers(file, header, rows, separator):
    """Return the numbers (T, D) of rows of cells, NaN for one that is missing: empty, "?" or a form of "nan".

    Raises ValueError, which names row and column, for other text.
    """
    try:
        x = np.array(rows, float)
    except ValueError:
        x = np.array([[number(cell, separator) for cell in row] for row in rows])
        for row, column in np.argwhere(np.isnan(x)):
            if not re.fullmatch(MISSING, rows[row][column], re.I):
                name = header[column] if header else column + 1
                raise ValueError(
                    f"{file}: column {name} of row {row + 1} is {rows[row][column]!r}; accepted: numbers"
                ) from None
    return x.reshape(len(rows), -1)


def read_numbers(path, file):
    """Return the names of the columns of a file, () without a header, and its numbers (T, D)."""
    header, rows, separator = read_cells(path, file)
    if not any(np.isnan(number(cell, separator)) for cell in header):
        header, rows = [], [header, *rows]
    return tuple(header), numbers(file, header, rows, separator)
