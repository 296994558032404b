"""Pickles of arrays, lists, dicts, strings and numbers, read as data: nothing that a file names is imported or called."""

import math
import mmap
import pickletools
import re

import numpy as np

ACCEPTED = "NumPy arrays, lists, tuples, dicts, strings, bytes and numbers"
PLAIN = (str, bytes, bool, int, float, type(None), np.bool_, np.number, np.str_, np.bytes_)
GLOBALS = {
    **{f"numpy.{core}.multiarray {name}": name for core in ("core", "_core") for name in ("_reconstruct", "scalar")},
    **{f"numpy.{core}.numeric _frombuffer": "_frombuffer" for core in ("core", "_core")},
    **{"numpy ndarray": "ndarray", "numpy dtype": "dtype", "_codecs encode": "encode"},
    **{f"{module} bytes": "bytes" for module in ("__builtin__", "builtins")},
}
VALUES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


class Global:
    """The name of one of GLOBALS, an entry of the stack that is never called."""

    def __init__(self, name):
        self.name = name


class Pending:
    """An array or dtype whose state follows, or is now known: `value`."""

    def __init__(self, kind, code=None):
        self.kind, self.code, self.value = kind, code, None


def load(path):
    """Return the value in a pickle of protocol 0 to 5; text of Python 2 is read as Latin-1.

    Raises
    ------
    ValueError
        If it holds anything but ACCEPTED (the message names it), or is cut off or damaged. Memory grows with the file's size.
    """
    with open(path, "rb") as f:
        try:
            with mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return Machine().run(data)
        except (ValueError, TypeError, LookupError, OverflowError, MemoryError, AttributeError, UnicodeError) as error:
            raise ValueError(
                f"{path.name} is not read, and nothing of it was run: {error}; accepted: a pickle of {ACCEPTED}"
            ) from error


class Machine:
    """The stack machine of a pickle: `stack` of values, `marks` in it, `memo` of values by number."""

    def __init__(self):
        self.stack, self.marks, self.memo = [], [], {}

    def run(self, data):
        """Return the value of an open file."""
        for op, value, place in pickletools.genops(data):
            if op.name in VALUES:
                self.stack.append(value)
            elif op.name in CONSTANTS:
                self.stack.append(CONSTANTS[op.name])
            elif op.name in ("PUT", "BINPUT", "LONG_BINPUT"):
                self.memo[value] = self.stack[-1]
            elif op.name in ("GET", "BINGET", "LONG_BINGET"):
                self.stack.append(built(self.memo[value]))
            elif (do := getattr(self, f"op_{op.name.lower()}", None)) is None:
                raise ValueError(f"its byte {place} is the instruction {op.name}")
            else:
                do(value)
        result, *rest = self.stack
        if rest:
            raise ValueError("it holds more than one value")
        return checked(result)

    def op_proto(self, _):
        pass

    op_frame = op_stop = op_proto

    def op_memoize(self, _):
        self.memo[len(self.memo)] = self.stack[-1]

    def op_mark(self, _):
        self.marks.append(len(self.stack))

    def since_mark(self):
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def op_empty_list(self, _):
        self.stack.append([])

    def op_empty_dict(self, _):
        self.stack.append({})

    def op_list(self, _):
        self.stack.append(self.since_mark())

    def op_tuple(self, _):
        self.stack.append(tuple(self.since_mark()))

    def op_tuple1(self, _, n=1):
        items = [self.stack.pop() for _ in range(n)]
        self.stack.append(tuple(items[::-1]))

    def op_tuple2(self, _):
        self.op_tuple1(_, 2)

    def op_tuple3(self, _):
        self.op_tuple1(_, 3)

    def op_append(self, _):
        item = self.stack.pop()
        of_type(list, self.stack[-1]).append(item)

    def op_appends(self, _):
        items = self.since_mark()
        of_type(list, self.stack[-1]).extend(items)

    def op_dict(self, _):
        items = self.since_mark()
        self.stack.append({})
        self.set_items(items)

    def op_setitem(self, _):
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def op_setitems(self, _):
        self.set_items(self.since_mark())

    def set_items(self, items):
        target = of_type(dict, self.stack[-1])
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[of_type(PLAIN, key)] = value  # no tuple: the hash of nested ones may take forever

    def op_global(self, name):
        if name not in GLOBALS:
            raise ValueError(f"it asks for {name.replace(' ', '.')}")
        self.stack.append(Global(GLOBALS[name]))

    def op_stack_global(self, _):
        name, module = self.stack.pop(), self.stack.pop()
        self.op_global(f"{of_type(str, module)} {of_type(str, name)}")

    def op_reduce(self, _):
        arguments, function = of_type(tuple, self.stack.pop()), of_type(Global, self.stack.pop()).name
        if function not in CALLS:
            raise ValueError(f"it calls {function}")
        self.stack.append(CALLS[function](*arguments))

    def op_build(self, _):
        state, target = of_type(tuple, self.stack.pop()), of_type(Pending, self.stack.pop())
        target.value = array_of(*state) if target.kind == "array" else dtype_of(target.code, *state)
        self.stack.append(target.value)


def built(value):
    """Return the value of an array or dtype that was built after it was stored."""
    return value.value if isinstance(value, Pending) and value.value is not None else value


def of_type(kind, value):
    """Return a value of an accepted type."""
    if not isinstance(value, kind):
        raise ValueError(f"{type(value).__name__} stands where {getattr(kind, '__name__', 'text or a number')} is expected")
    return value


def encoded(data, encoding="latin1"):
    """Return bytes that protocol 2 stores as text, _codecs.encode(text, "latin1")."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"it encodes text as {encoding!r}")
    return of_type(str, data).encode("latin1")


def dtype_of(code, version, order, *rest):
    """Return the dtype of a code such as "f8" and the state that numpy.dtype has in pickles."""
    if not re.fullmatch("[biufcSU][1-9][0-9]{0,8}|O8?", code, re.ASCII):
        raise ValueError(f"an array has dtype {code!r}")
    return np.dtype(code if code[0] != "O" else "O").newbyteorder(order if order != "|" else "=")


def array_of(version, shape, dtype, fortran, data):
    """Return the array of the state that numpy.ndarray has in pickles."""
    return from_buffer(data, dtype, shape, "F" if fortran else "C")


def from_buffer(data, dtype, shape, order):
    """Return an array of bytes or of a list of objects; raise ValueError unless these are as many as the shape has."""
    size = math.prod(of_type(tuple, shape))
    data = data.encode("latin1") if isinstance(data, str) else data
    is_object = of_type(np.dtype, dtype).hasobject
    if len(of_type(list if is_object else (bytes, bytearray), data)) != size * (1 if is_object else dtype.itemsize):
        raise ValueError(f"an array {shape} of {dtype} has data of length {len(data)}")
    if not is_object:
        return np.ndarray(shape, dtype, data, order=order)
    array = np.empty(size, object)
    for i, item in enumerate(data):
        array[i] = item
    return array.reshape(shape)


def scalar(dtype, data):
    array = from_buffer(data, dtype, (), "C")
    if dtype.hasobject:
        raise ValueError("it has a scalar of objects")
    return array[()]


CALLS = {
    "_reconstruct": lambda *arguments: Pending("array"),
    "_frombuffer": from_buffer,
    "scalar": scalar,
    "dtype": lambda code, align=False, copy=True: Pending("dtype", of_type(str, code)),
    "encode": encoded,
    "bytes": lambda: b"",
}


def checked(result):
    """Return a value; raise ValueError if anything in it is none of ACCEPTED."""
    rest, seen = [result], set()
    while rest:
        value = rest.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            rest.extend(value.values())
        elif isinstance(value, (list, tuple)):
            rest.extend(value)
        elif isinstance(value, np.ndarray):
            rest.extend(value.ravel() if value.dtype.hasobject else ())
        elif not isinstance(value, PLAIN):
            raise ValueError(f"it holds a {getattr(value, 'name', None) or getattr(value, 'kind', type(value).__name__)}")
    return result
