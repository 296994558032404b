"""The integer product, 8 bits by 8 bits into 32; the same call quantizes its input and dequantizes its result.

This is not where to start: arithmetic.py defines the same numbers in NumPy.

AVX512-VNNI's vpdpbusd multiplies 64 unsigned by 64 signed bytes and adds each four adjacent products to one of 16 sums: 128
exact operations in one instruction. Compilers do not generate it from a loop, so `_tile` writes it, as kernels/gemm.py writes
its instructions. It reads GROUP = 4 consecutive k of one column. CPUs without it get 16-bit numbers, GROUP = 2 consecutive k
and a b + a' b' instead: one instruction of AVX2 and AVX-512 (pmaddwd), a plain expression elsewhere.

A tile, up to ROWS rows of x by COLUMNS columns, stays in registers while k runs and is stored as floats. All paths, and the
definition in arithmetic.py, give the same bits: the sums are exact, and no two float operations are fused.

Rows and groups of columns are packed into one array each (numba spends 0.1 us on every array of a call):
    a row of x       step, zero, q[0], q[1], ...        padded to whole groups
    COLUMNS columns  totals, scales, w[0:GROUP, first column], w[0:GROUP, second column], ...        padded with zeros
"""

import numpy as np
from llvmlite import ir
from llvmlite.binding import llvm_version_info
from numba import types
from numba.core.errors import TypingError
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numba.np.arrayobj import make_array
from numba.np.numpy_support import from_dtype

from refmer.int8.arithmetic import BY_ROW, BY_TENSOR, TINY
from refmer.kernels import njit
from refmer.kernels.vectors import apply_sigmoid, apply_tanh, copy

_FEATURES = cpu_target.target_context.codegen().magic_tuple()[2].split(",")
VNNI = "+avx512vnni" in _FEATURES
LANES, VECTORS = (16, 4) if "+avx512bw" in _FEATURES else (8, 2)  # 32-bit sums in a vector, vectors in a tile
GROUP, SIGNED, UNSIGNED = (4, np.dtype(np.int8), np.dtype(np.uint8)) if VNNI else (2, np.dtype(np.int16), np.dtype(np.int16))
COLUMNS = LANES * VECTORS
FLOAT32 = np.dtype(np.float32)
TILED = tuple((from_dtype(np.dtype(t)), n, "C") for t, n in ((UNSIGNED, 2), (SIGNED, 2), ("f4", 1), ("f4", 2)))
HEAD = 2 * GROUP  # of a row of x: 8 bytes
ROWS = 4  # of a tile at most
BLOCK = 64  # rows that are multiplied with the whole matrix before the next: they stay in the second cache


def pack(q, scale):
    """Pack q (K, N) int8 and scale (N) for the tiles, aligned to cache lines: (tiles, ...)."""
    k, n = q.shape
    groups, tiles = -(-k // GROUP), -(-n // COLUMNS)
    full = np.zeros((groups * GROUP, tiles * COLUMNS), SIGNED)
    full[:k, :n] = q
    heads = np.zeros((2, tiles * COLUMNS), np.int32)
    heads[:, :n] = q.sum(0, dtype=np.int32), np.ascontiguousarray(scale).view(np.int32)
    parts = (
        heads.reshape(2, tiles, COLUMNS).swapaxes(0, 1).reshape(tiles, -1).view(SIGNED),
        full.reshape(groups, GROUP, tiles, COLUMNS).transpose(2, 0, 3, 1).reshape(tiles, -1),
    )
    size = parts[0].shape[1] + parts[1].shape[1]
    room = np.empty(tiles * size + 64, SIGNED)
    packed = room[-room.ctypes.data % 64 // room.itemsize :][: tiles * size].reshape(tiles, size)
    return np.concatenate(parts, 1, out=packed)


def _tile(rows):
    """Make the intrinsic tile(q, packed, b, y, floor, i, j): for `rows` rows from i on and the columns n of packed[j],

    y[i, n] = max(floor, step[i] scale[n] (sum_k q[i, k] w[k, n] - zero[i] total[n]) + b[n]).
    """

    def codegen(context, builder, signature, args):
        index, word, number = ir.IntType(64), ir.IntType(32), ir.FloatType()
        words, floats = ir.VectorType(word, LANES), ir.VectorType(number, LANES)
        bits = 32 // GROUP
        cells = ir.VectorType(ir.IntType(bits), LANES * GROUP)
        indices, mask_type = ir.VectorType(index, LANES), ir.VectorType(ir.IntType(1), LANES)
        q, packed, b, y = (make_array(t)(context, builder, a) for t, a in zip(signature.args[:4], args[:4], strict=True))
        floor, i, j = args[4:]
        width, depth, columns = (builder.extract_value(array.shape, 1) for array in (q, packed, y))
        declare = builder.module.declare_intrinsic
        align = ir.Constant(word, 4)
        load_type = ir.FunctionType(floats, [floats.as_pointer(), word, mask_type, floats])
        store_type = ir.FunctionType(ir.VoidType(), [floats, floats.as_pointer(), word, mask_type])
        masked_load = declare(f"llvm.masked.load.v{LANES}f32.p0", fnty=load_type)
        masked_store = declare(f"llvm.masked.store.v{LANES}f32.p0", fnty=store_type)

        def fixed(n):
            return ir.Constant(index, n)

        def at(pointer, offset):
            return builder.gep(pointer, [fixed(offset) if isinstance(offset, int) else offset])

        def load(kind, pointer, offset):
            return builder.load(builder.bitcast(at(pointer, offset), kind.as_pointer()), align=4)

        def splat(x, kind):
            one = builder.insert_element(ir.Constant(kind, ir.Undefined), x, ir.Constant(word, 0))
            return builder.shuffle_vector(one, one, ir.Constant(words, [0] * LANES))

        def every_other(x, start):
            half = builder.shuffle_vector(x, x, ir.Constant(words, list(range(start, 2 * LANES, 2))))
            return builder.sext(half, words)

        if VNNI:
            operand = cells if llvm_version_info[0] >= 22 else words
            dot = declare("llvm.x86.avx512.vpdpbusd.512", fnty=ir.FunctionType(words, [words, operand, operand]))

            def add(sums, x, w):
                return builder.call(dot, [sums, builder.bitcast(x, operand), builder.bitcast(w, operand)])

        elif "+avx2" in _FEATURES:
            name = "llvm.x86.avx512.pmaddw.d.512" if LANES == 16 else "llvm.x86.avx2.pmadd.wd"
            dot = declare(name, fnty=ir.FunctionType(words, [cells, cells]))

            def add(sums, x, w):
                return builder.add(sums, builder.call(dot, [builder.bitcast(x, cells), w]))

        else:

            def add(sums, x, w):
                x = builder.bitcast(x, cells)
                even, odd = (builder.mul(every_other(x, n), every_other(w, n)) for n in (0, 1))
                return builder.add(sums, builder.add(even, odd))

        xs = [at(q.data, builder.mul(builder.add(i, fixed(r)), width)) for r in range(rows)]
        head = at(packed.data, builder.mul(j, depth))
        weights = at(head, 2 * COLUMNS * GROUP)
        groups = builder.sdiv(builder.sub(width, fixed(HEAD)), fixed(GROUP))
        starts = [v * LANES for v in range(VECTORS)]
        totals = [load(words, head, start * GROUP) for start in starts]
        zeros = [splat(load(word, x, GROUP), words) for x in xs]
        first = [[builder.neg(builder.mul(zero, total)) for total in totals] for zero in zeros]

        before = builder.block
        body, after = builder.append_basic_block("step"), builder.append_basic_block("done")
        builder.branch(body)
        builder.position_at_end(body)
        p = builder.phi(index)
        p.add_incoming(fixed(0), before)
        sums = [[builder.phi(words) for _ in starts] for _ in xs]
        place = at(weights, builder.mul(p, fixed(COLUMNS * GROUP)))
        ws = [load(cells, place, start * GROUP) for start in starts]
        here = builder.add(builder.mul(p, fixed(GROUP)), fixed(HEAD))
        new = []
        for x, old in zip(xs, sums, strict=True):
            group = splat(load(word, x, here), words)
            new.append([add(s, group, w) for s, w in zip(old, ws, strict=True)])
        following = builder.add(p, fixed(1))
        p.add_incoming(following, body)
        for r in range(rows):
            for v in range(VECTORS):
                sums[r][v].add_incoming(first[r][v], before)
                sums[r][v].add_incoming(new[r][v], body)
        builder.cbranch(builder.icmp_signed("<", following, groups), body, after)
        builder.position_at_end(after)

        nothing, bottom = ir.Constant(floats, [0.0] * LANES), splat(floor, floats)
        steps = [splat(load(number, x, 0), floats) for x in xs]
        lines = [builder.mul(builder.add(i, fixed(r)), columns) for r in range(rows)]
        for v, start in enumerate(starts):
            column = builder.add(builder.mul(j, fixed(COLUMNS)), fixed(start))
            inside = splat(builder.sub(columns, column), indices)
            mask = builder.icmp_signed("<", ir.Constant(indices, list(range(LANES))), inside)
            bias = builder.call(masked_load, [builder.bitcast(at(b.data, column), floats.as_pointer()), align, mask, nothing])
            scale = load(floats, head, (COLUMNS + start) * GROUP)
            for r in range(rows):
                value = builder.fmul(builder.sitofp(new[r][v], floats), builder.fmul(steps[r], scale))
                value = builder.fadd(value, bias)
                value = builder.select(builder.fcmp_ordered("<", value, bottom), bottom, value)  # nan stays
                out = builder.bitcast(at(y.data, builder.add(lines[r], column)), floats.as_pointer())
                builder.call(masked_store, [value, out, align, mask])
        return context.get_dummy_value()

    @intrinsic
    def tile(typingctx, q, packed, b, y, floor, i, j):
        if tuple((a.dtype, a.ndim, a.layout) for a in (q, packed, b, y)) != TILED:
            raise TypingError("q, packed, b or y is not contiguous, or has another dtype than arithmetic needs")
        return types.none(q, packed, b, y, types.float32, types.int64, types.int64), codegen

    return tile


_4, _3, _2, _1 = (_tile(rows) for rows in (4, 3, 2, 1))


@njit
def _check(q, packed, b, y):
    tiles, columns = (len(b) + COLUMNS - 1) // COLUMNS, COLUMNS * (q.shape[1] - HEAD + 2 * GROUP)
    if y.shape != (len(q), len(b)) or packed.shape != (tiles, columns):
        raise ValueError("the shapes do not fit; expected q (M, width(K)), packed of W (K, N), b (N), y (M, N)")


@njit
def _product(q, packed, b, floor, y, low, high):
    """Rows low to high of y."""
    for j in range(packed.shape[0]):
        i = low
        while i + ROWS <= high:
            _4(q, packed, b, y, floor, i, j)
            i += ROWS
        if high - i == 3:
            _3(q, packed, b, y, floor, i, j)
        elif high - i == 2:
            _2(q, packed, b, y, floor, i, j)
        elif high - i == 1:
            _1(q, packed, b, y, floor, i, j)


@njit
def _ordered(bits):
    """Map the bits of a float to an integer of the same order (nan beyond the infinities), and back."""
    return np.int32(bits ^ ((bits >> 31) & 0x7FFFFFFF))


@njit
def _range(row, low, high):
    """Least and greatest number of a row and of low and high, all as ordered integers: this loop vectorises."""
    bits = row.view(np.int32)
    for k in range(len(bits)):
        n = _ordered(bits[k])
        low = min(low, n)
        high = max(high, n)
    return low, high


@njit
def _floats(low, high):
    low, high = np.int32(_ordered(low)), np.int32(_ordered(high))
    return low.view(np.float32), high.view(np.float32)


@njit
def _affine(x, s, z, q):
    none, top = np.float32(0), np.float32(255)
    for k in range(len(x)):
        q[k] = np.int32(min(max(np.rint(x[k] / s) + z, none), top))


@njit
def _quantize(x, whole, least, greatest, q, start, stop):
    """Quantize rows start to stop; `whole`: with one range, least to greatest, for all."""
    for i in range(start, stop):
        low, high = _floats(*_range(x[i], np.int32(0), np.int32(0)))
        if whole and high - low < np.inf:
            low, high = least, greatest
        width, s, z = high - low, np.float32(np.nan), np.float32(0)
        if width < np.inf:
            s = width / np.float32(255)
            s = s if s >= TINY else np.float32(1)
            z = np.rint(-low / s)
        q[i, :GROUP].view(np.float32)[0] = s
        q[i, GROUP:HEAD].view(np.int32)[0] = np.int32(z)
        _affine(x[i], s, z, q[i, HEAD : HEAD + x.shape[1]])


@njit
def width(k):
    """Length of a quantized row of k numbers."""
    return HEAD + (k + GROUP - 1) // GROUP * GROUP


@njit
def _linear(x, kind, least, greatest, q, packed, b, floor, y):
    _check(q, packed, b, y)
    if not (x.dtype == FLOAT32 and q.shape == (len(x), width(x.shape[1]))):
        raise ValueError("x does not fit; expected x (M, K) float32, q (M, width(K))")
    low, high = np.float32(min(least, 0.0)), np.float32(max(greatest, 0.0))
    if kind == BY_TENSOR:
        first = last = np.int32(0)
        for row in x:
            first, last = _range(row, first, last)
        low, high = _floats(first, last)
    for start in range(0, len(x), BLOCK):
        stop = min(start + BLOCK, len(x))
        _quantize(x, kind != BY_ROW, low, high, q, start, stop)
        _product(q, packed, b, np.float32(floor), y, start, stop)


@njit(cache=True)
def linear(x, kind, least, greatest, q, packed, b, floor, y):
    """Write quantized x into q, and y (M, N) = max(floor, x times the matrix + b).   x (M, K) float32, b (N).

    Definition: arithmetic.affine_rows, accumulate, dequantize. Error: none. Gain over x @ W + b in float32 (one
    thread, M, K, N): 4.4 times at (1, 192, 1024), 6 at (32, 192, 1024) with VNNI; 2.5 and 2.1 with AVX2.
    """
    _linear(x, kind, least, greatest, q, packed, b, floor, y)


@njit(cache=True)
def product(q, packed, b, floor, y):
    """As `linear`, for an x that is already quantized."""
    _check(q, packed, b, y)
    for start in range(0, len(q), BLOCK):
        _product(q, packed, b, np.float32(floor), y, start, min(start + BLOCK, len(q)))


@njit(cache=True)
def lstm(u, kind, least, greatest, packed, b, h, c, mask, reverse):
    """The LSTM of ops/recurrent.py with U in 8 bits.   b (4H): zeros; h, c (B, H) are written.

    Definition: ops.recurrent.lstm. Error: that of the gates' sigmoid and tanh, 4 ulp, until it moves an h_t to another step of
    its scale. Gain over that definition in float32: 18 times at (1, 50, 128), 7 at (16, 32, 128), sizes (B, T, H).
    """
    B, T, width_z = u.shape
    if h.shape != c.shape or len(h) != B or width_z != 4 * h.shape[1] or mask.shape != (B, T):
        raise ValueError("the shapes do not fit; expected u (B, T, 4H), h (B, H), c (B, H), mask (B, T)")
    y = np.zeros((B, T, h.shape[1]), np.float32)
    z, q = np.empty((B, width_z), np.float32), np.empty((B, width(h.shape[1])), UNSIGNED)
    for n in range(T):
        t = T - 1 - n if reverse else n
        _linear(h, kind, least, greatest, q, packed, b, -np.inf, z)
        for i in range(B):
            if mask[i, t]:
                _cell(u[i, t], z[i], h[i], c[i])
                copy(h[i], y[i, t])
    return y


@njit(fastmath={"contract"})
def _cell(u, z, h, c):
    """One step of one clip: turn z = h U into the gates, then h and c into the new state."""
    H = len(h)
    for k in range(len(z)):
        z[k] += u[k]
    apply_sigmoid(z[: 2 * H])
    apply_tanh(z[2 * H : 3 * H])
    apply_sigmoid(z[3 * H :])
    i, f, g, o = z[:H], z[H : 2 * H], z[2 * H : 3 * H], z[3 * H :]
    for k in range(H):
        c[k] = f[k] * c[k] + i[k] * g[k]
    copy(c, h)
    apply_tanh(h)
    for k in range(H):
        h[k] *= o[k]
