"""Tables in text files."""

import numpy as np
import pytest
from error_table import errors
from hypothesis import given
from hypothesis import strategies as st

from refmer.data.delimited import read_cells, read_numbers


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    def write(text, encoding="utf-8"):
        path = tmp_path_factory.mktemp("tables") / "x.csv"
        path.write_bytes(text.encode(encoding))
        return path, "x.csv"

    return write


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    "text", ["a,b\n1.5,-2\n", "a;b\r\n1,5;-2\r\n", 'sep=;\n"a";"b"\n\n1.5; -2\n;\n', "a\tb\t\n1.5\t-2\t\n"]
)
def test_separators_line_ends_and_decimal_commas(write, text, encoding):
    names, x = read_numbers(*write(text, encoding))
    assert names == ("a", "b") and x.tolist() == [[1.5, -2]]


def test_a_file_without_names_and_missing_numbers(write):
    names, x = read_numbers(*write("1,2\n3,\n?,-nan(ind)\n"))
    assert names == () and x[0].tolist() == [1, 2] and np.isnan(x[1:]).tolist() == [[False, True], [True, True]]


@given(rows=st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3), min_size=1))
def test_numbers_are_those_that_were_written(write, rows):
    for separator in ",;\t":
        _, x = read_numbers(
            *write("\n".join(separator.join(map(repr, row)) for row in [["a", "b", "c"], *rows]).replace("'", ""))
        )
        assert x.tolist() == rows


def test_cells_stay_text(write):
    assert read_cells(*write('name,text\n a ,"b, c"\n')) == (["name", "text"], [["a", "b, c"]], ",")


test_errors = errors(
    (lambda write: read_numbers(*write("a,b\n1,x\n")), "x.csv: column b of row 1 is 'x'; accepted: numbers"),
    (lambda write: read_numbers(*write("1,2\n3,x\n")), "x.csv: column 2 of row 2 is 'x'; accepted: numbers"),
    (lambda write: read_cells(*write("a,b\n1\n")), "x.csv: line 2 has 1 cells, the first 2; accepted: as many$"),
    (
        lambda write: read_cells(*write("a,b\n1,2,3\n")),
        "line 2 has 3 cells.*decimal commas need semicolons between",
    ),
    (lambda write: read_cells(*write("a\n" + "b" * 200_000 + "\n")), "x.csv cannot be read .field larger than field limit"),
)
