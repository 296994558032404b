"""The unpickler builds arrays, lists, dicts, text and numbers; anything else is refused before anything of it runs."""

import copyreg
import pickle
import struct
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from refmer.data.corpora.safe_pickle import load


def objects(items):
    array = np.empty(len(items), object)
    for i, item in enumerate(items):
        array[i] = item
    return array


PROTOCOLS = range(6)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary())
KINDS = ("?", "i1", "<i4", ">i8", "u2", "<f4", ">f8", "c8", "S3", "U2", "f2", "O")
kinds = st.sampled_from(KINDS[:-1])
tables = arrays.arrays(kinds, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0), elements=None)
numbers = st.sampled_from([np.float32(1.5), np.int64(-3), np.bool_(True), np.str_("word"), np.bytes_(b"b"), np.float64(2)])
leaves = scalars | tables | numbers
values = st.recursive(
    leaves,
    lambda x: st.lists(x) | st.dictionaries(st.text(), x) | st.tuples(x, x) | st.lists(x, max_size=3).map(objects),
    max_leaves=12,
)


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)) or isinstance(a, np.ndarray) and a.dtype.hasobject:
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return a == b


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("pickles") / "data.pkl"


@given(value=values, protocol=st.sampled_from(PROTOCOLS))
def test_values_are_those_that_were_written(file, value, protocol):
    file.write_bytes(pickle.dumps(value, protocol))
    assert same(load(file), value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_number_keeps_its_bytes(file, kind):
    array = np.arange(6).reshape(2, 3).astype(kind)
    for protocol in PROTOCOLS:
        file.write_bytes(pickle.dumps([array, array.T, array[0, 1]], protocol))
        assert same(load(file), [array, array.T, array[0, 1]])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_array_stored_once_is_read_once(file, protocol):
    array = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    file.write_bytes(pickle.dumps({"a": array, "b": [array, np.arange(9)[::2]]}, protocol))
    value = load(file)
    assert value["b"][0] is value["a"] and np.array_equal(value["a"], array) and np.array_equal(value["b"][1], [0, 2, 4, 6, 8])


def test_a_file_of_python_2_is_read_as_latin_1(file):
    head = b"\x80\x02}q\x00U\x05audioq\x01cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85q\x04U\x01b\x87R"
    dtype = (
        b"cnumpy\ndtype\nq\x07U\x02f8q\x08K\x00K\x01\x87q\x09Rq\x0a(K\x03U\x01<q\x0bNNN" + b"J\xff\xff\xff\xff" * 2 + b"K\x00tb"
    )
    file.write_bytes(head + b"(K\x01K\x01\x85" + dtype + b"\x89U\x08" + struct.pack("<d", -2.5) + b"tbsU\x04nameU\x02\xe9as.")
    value = load(file)
    assert value["audio"].tolist() == [-2.5] and value["name"] == "éa"


class Call:
    """An object whose pickle calls a function."""

    def __init__(self, function, *arguments, state=None):
        self.reduced = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.reduced


def touched():
    raise AssertionError("code of a pickle was run")


class Registered:
    pass


def array(
    shape=b"K\x03\x85",
    dtype=b"\x8c\x02f8",
    state=b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
    data=b"C\x08" + bytes(8),
):
    """A pickle of an array, of which parts may be changed."""
    head = b"\x80\x04cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01" + shape
    return head + b"cnumpy\ndtype\n" + dtype + b"\x89\x88\x87R" + state + b"\x89" + data + b"tb."


def call(module, name, arguments=b")"):
    return (
        b"\x80\x04\x8c"
        + bytes([len(module)])
        + module.encode()
        + b"\x8c"
        + bytes([len(name)])
        + name.encode()
        + b"\x93"
        + arguments
        + b"R."
    )


def command(path):
    return f"touch {path}"


HOSTILE = {
    "os.system": lambda mark: pickle.dumps(Call(__import__("os").system, command(mark))),
    "eval": lambda mark: pickle.dumps(Call(eval, f"open({str(mark)!r}, 'w')")),
    "exec": lambda mark: pickle.dumps(Call(exec, f"open({str(mark)!r}, 'w')"), 0),
    "open": lambda mark: pickle.dumps(Call(open, str(mark), "w")),
    "getattr": lambda mark: pickle.dumps(Call(getattr, Call(__import__, "os"), "system")),
    "numpy.load": lambda mark: pickle.dumps(Call(np.load, str(mark), None, True)),
    "numpy.memmap": lambda mark: call(
        "numpy", "memmap", b"\x8c" + bytes([len(str(mark))]) + str(mark).encode() + b"\x8c\x02f8\x8c\x02w+\x87"
    ),
    "runstring": lambda mark: call("numpy.testing._private.utils", "runstring", b"\x8c\x04os.x}\x86"),
    "a dotted method": lambda mark: call("numpy", "ndarray.tofile"),
    "a dotted class": lambda mark: call("numpy", "dtype.__class__"),
    "a dotted module": lambda mark: call("numpy._core.multiarray", "sys.modules"),
    "a partial": lambda mark: pickle.dumps(partial(touched)),
    "a function": lambda mark: pickle.dumps(touched),
    "an object": lambda mark: pickle.dumps(Path("x")),
    "a class of its own": lambda mark: pickle.dumps(Registered(), 2),
    "a persistent id": lambda mark: b"\x80\x04\x8c\x01aQ.",
    "a text id": lambda mark: b"Pa\n.",
    "an extension": lambda mark: b"\x80\x02\x82\xf0)\x81.",
    "INST": lambda mark: b"(S'x'\nios\nsystem\n.",
    "OBJ": lambda mark: b"(cos\nsystem\n\x8c\x01xo.",
    "NEWOBJ of ndarray": lambda mark: b"\x80\x04cnumpy\nndarray\nK\x01\x85\x81.",
    "another subtype": lambda mark: array().replace(b"cnumpy\nndarray", b"cnumpy\nmatrix"),
    "reconstructed shape": lambda mark: (
        b"cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nJ\xff\xff\xff\x7f\x85C\x01b\x87R."
    ),
    "a call of ndarray": lambda mark: call("numpy", "ndarray", b"J\xff\xff\xff\x7f\x85\x85"),
    "a bare function": lambda mark: b"\x80\x04c_codecs\nencode\n.",
    "a state of a function": lambda mark: b"\x80\x04cnumpy._core.numeric\n_frombuffer\n}\x8c\x0c__defaults__)sb.",
    "an encoding": lambda mark: call("_codecs", "encode", b"\x8c\x01a\x8c\x04zlib\x86"),
    "too large a shape": lambda mark: array(shape=b"J\xff\xff\xff\x7f\x85"),
    "a shape with a fraction": lambda mark: array(shape=b"G" + struct.pack(">d", 1) + b"\x85"),
    "a negative shape": lambda mark: array(shape=b"J\xff\xff\xff\xff\x85"),
    "a shape that overflows": lambda mark: array(shape=b"\x8a\x08" + b"\x00" * 7 + b"\x40K\x04\x86", data=b"C\x00"),
    "objects as bytes": lambda mark: array(dtype=b"\x8c\x01O"),
    "an object scalar": lambda mark: (
        b"cnumpy._core.multiarray\nscalar\ncnumpy\ndtype\n\x8c\x01O\x89\x88\x87R(K\x03\x8c\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb]\x8c\x01xa\x86R."
    ),
    "fields": lambda mark: pickle.dumps(np.zeros(2, [("a", "i4")])),
    "dates": lambda mark: pickle.dumps(np.zeros(2, "M8[s]")),
    "an array without state": lambda mark: array()[: array().index(b"(K\x01")] + b".",
    "an array that holds itself": lambda mark: pickle.dumps(cycle()),
    "a set": lambda mark: pickle.dumps({1, 2}),
    "a key of tuples": lambda mark: b"\x80\x04})\x94" + b"".join(b"h%c\x86\x94" % k for k in range(9)) + b"K\x01s.",
    "a memo of 2**31": lambda mark: b"\x80\x02]r\xff\xff\xff\x7f\x8c\x01x.",
    "a string of 2**62 bytes": lambda mark: b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
    "an empty file": lambda mark: b"",
    "no pickle": lambda mark: b"name,speaker\n1,2\n",
    "half a pickle": lambda mark: pickle.dumps([1, 2, np.arange(9.0)])[:-20],
    "an empty stack": lambda mark: b"a.",
    "no mark": lambda mark: b"]e.",
}


def cycle():
    array = np.empty(1, object)
    array[0] = array
    return array


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_is_refused_and_nothing_of_it_runs(tmp_path, name, monkeypatch):
    monkeypatch.setitem(copyreg._inverted_registry, 0xF0, (__name__, "Registered"))
    monkeypatch.setitem(copyreg._extension_cache, 0xF0, Registered)
    file, mark = tmp_path / "hostile.pkl", tmp_path / "mark"
    file.write_bytes(HOSTILE[name](mark))
    with pytest.raises(
        ValueError, match="hostile.pkl is not read, and nothing of it was run: .*; accepted: a pickle of NumPy arrays"
    ):
        load(file)
    assert not mark.exists()


@given(content=st.binary(max_size=60), cut=st.integers(0, 400), at=st.integers(0, 400), byte=st.integers(0, 255))
def test_damage_is_a_value_error_or_a_plain_value(file, content, cut, at, byte):
    whole = bytearray(pickle.dumps({"a": np.arange(3.0), "b": ["x", np.float32(1)]}, 4))
    whole[at % len(whole)] = byte
    for data in (content, bytes(whole), bytes(whole[:cut])):
        file.write_bytes(data)
        try:
            value = load(file)
        except ValueError as error:
            assert "nothing of it was run" in str(error)
        else:
            assert isinstance(value, (dict, list, tuple, str, bytes, int, float, type(None), np.ndarray, np.generic))


def test_the_message_names_what_a_file_asks_for(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(Call(eval, "1")))
    with pytest.raises(ValueError, match=r"asks for builtins\.eval"):
        load(tmp_path / "x.pkl")
