"""Tables in text files: cells between commas, semicolons or tabs, with decimal points or commas."""

import csv
from itertools import chain

import numpy as np

UTF16 = (b"\xff\xfe", b"\xfe\xff")
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


def read_numbers(path, file, text=()):
    """Return the names of the columns (none without a header), numbers (T, D), and the cells of the columns `text`, by name.

    Raises ValueError, which names line and column, for a cell that is no number.
    """
    header, rows, separator = read_cells(path, file)
    if not any(np.isnan(number(cell, separator)) for cell in header):
        header, rows = [], [header, *rows]
    taken = {name: [row[header.index(name)] for row in rows] for name in text if name in header}
    columns = [i for i, name in enumerate(header or rows[0]) if name not in taken]
    x = np.array([[number(row[i], separator) for i in columns] for row in rows], float).reshape(len(rows), len(columns))
    if len(bad := np.argwhere(np.isnan(x))):
        row, column = bad[0]
        name = header[columns[column]] if header else columns[column] + 1
        cell = rows[row][columns[column]]
        if cell.lower().lstrip("+-") != "nan":
            raise ValueError(f"{file}: column {name} is {cell!r} in row {row + 1}; accepted: numbers")
    return tuple(header[i] for i in columns) if header else (), x, taken
