"""The integer product, 8 bits by 8 bits into 32: with the CPU's own instruction for it where it has one, else in plain loops.

AVX512-VNNI's vpdpbusd multiplies 64 unsigned by 64 signed bytes and adds each four neighbouring products to one of 16 sums: 64
multiplications and additions in one instruction, without overflow in between. No compiler finds it in a loop, so `_tile` writes
it, as kernels/gemm.py writes its own. What it wants is that four consecutive k of one column lie side by side:

    packed[n // 16, k // 4, n % 16, k % 4] = q[k, n],  zero beyond K and N.

The plain loops read the same layout. Their compiler makes them 4 to 10 times slower, and every CPU can run them.
"""

import numpy as np
from llvmlite import ir
from llvmlite.binding import llvm_version_info
from numba import njit, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

VNNI = "+avx512vnni" in cpu_target.target_context.codegen().magic_tuple()[2]
LANES = 16  # int32 sums in a vector
ROWS = 8


def pack(q):
    """q (K, N) int8 -> (ceil(N / 16), ceil(K / 4), 16, 4), zero where there is nothing."""
    k, n = q.shape
    full = np.zeros((-(-k // 4) * 4, -(-n // LANES) * LANES), np.int8)
    full[:k, :n] = q
    return np.ascontiguousarray(full.reshape(len(full) // 4, 4, -1, LANES).transpose(2, 0, 3, 1))


def _tile(rows, vectors):
    """The intrinsic tile(x, i, sx, packed, j, steps, sums): sums[r, v] += dot products of rows i to i + rows with vectors j to j + vectors.

    x (M, sx) uint8; sums (ROWS, ?, 16) int32 of a block of rows: its row r and vector v are written.
    """

    def codegen(context, builder, signature, args):
        index, byte, word = ir.IntType(64), ir.IntType(8), ir.IntType(32)
        bytes64, words16 = ir.VectorType(byte, 64), ir.VectorType(word, LANES)
        x, i, sx, packed, j, steps, sums = args
        px, pw, ps = (make_array(signature.args[n])(context, builder, args[n]).data for n in (0, 3, 6))
        operand = bytes64 if llvm_version_info[0] >= 22 else words16
        dot = builder.module.declare_intrinsic(
            "llvm.x86.avx512.vpdpbusd.512", fnty=ir.FunctionType(words16, [words16, operand, operand])
        )
        zero = ir.Constant(words16, [0] * LANES)
        splat = ir.Constant(ir.VectorType(word, LANES), [0] * LANES)

        def constant(n):
            return ir.Constant(index, n)

        before = builder.block
        body, after = builder.append_basic_block("step"), builder.append_basic_block("done")
        first = builder.gep(px, [builder.mul(i, sx)])
        stride = builder.mul(steps, constant(64))  # bytes of one vector's column of packed
        column = builder.gep(pw, [builder.mul(j, stride)])
        builder.branch(body)
        builder.position_at_end(body)
        p = builder.phi(index)
        p.add_incoming(constant(0), before)
        acc = [[builder.phi(words16) for _ in range(vectors)] for _ in range(rows)]
        here = builder.gep(column, [builder.mul(p, constant(64))])
        weights = [
            builder.load(builder.bitcast(builder.gep(here, [builder.mul(stride, constant(v))]), operand.as_pointer()), align=1)
            for v in range(vectors)
        ]
        four = builder.gep(first, [builder.mul(p, constant(4))])
        new = []
        for r in range(rows):
            at = builder.bitcast(builder.gep(four, [builder.mul(sx, constant(r))]), word.as_pointer())
            one = builder.insert_element(ir.Constant(words16, ir.Undefined), builder.load(at, align=1), ir.Constant(word, 0))
            data = builder.bitcast(builder.shuffle_vector(one, one, splat), operand)
            new.append([builder.call(dot, [a, data, w]) for a, w in zip(acc[r], weights, strict=True)])
        following = builder.add(p, constant(1))
        p.add_incoming(following, body)
        for old_row, new_row in zip(acc, new, strict=True):
            for old, value in zip(old_row, new_row, strict=True):
                old.add_incoming(zero, before)
                old.add_incoming(value, body)
        builder.cbranch(builder.icmp_signed("<", following, steps), body, after)
        builder.position_at_end(after)
        for r in range(rows):
            for v in range(vectors):
                place = builder.gep(ps, [constant((r * vectors + v) * LANES)])
                builder.store(new[r][v], builder.bitcast(place, words16.as_pointer()), align=4)
        return context.get_dummy_value()

    @intrinsic
    def tile(typingctx, x, i, sx, packed, j, steps, sums):
        n = types.int64
        return types.none(x, n, n, packed, n, n, sums), codegen

    return tile


def _strip(rows, vectors):
    """The dot products of so many rows with so many vectors of columns, by the instruction or in loops."""
    if VNNI:
        tile = _tile(rows, vectors)

        @njit(error_model="numpy")
        def strip(x, i, packed, j, sums):
            tile(x, i, x.shape[1], packed, j, packed.shape[1], sums)

    else:

        @njit(error_model="numpy")
        def strip(x, i, packed, j, sums):
            sums[: rows * vectors] = 0
            for r in range(rows):
                for v in range(vectors):
                    acc = sums[r * vectors + v]
                    for p in range(packed.shape[1]):
                        block = packed[j + v, p]
                        for c in range(4):
                            one = np.int32(x[i + r, 4 * p + c])
                            for lane in range(LANES):
                                acc[lane] += one * np.int32(block[lane, c])

    return strip


_strips = [_strip(8, 2), _strip(4, 4), _strip(1, 8), _strip(8, 1), _strip(4, 1), _strip(1, 1)]
_8x2, _4x4, _1x8, _8x1, _4x1, _1x1 = _strips


@njit(error_model="numpy", fastmath={"contract"})
def _finish(y, i, j, rows, vectors, sums, step, zero, scale, total, b, relu):
    for r in range(rows):
        s, z = step[i + r], zero[i + r]
        for v in range(vectors):
            at = (j + v) * LANES
            width = min(LANES, y.shape[1] - at)
            out, acc = y[i + r, at : at + width], sums[r * vectors + v]
            sw, t, shift = scale[at : at + width], total[at : at + width], b[at : at + width]
            for n in range(width):
                out[n] = np.float32(acc[n] - z * t[n]) * (s * sw[n]) + shift[n]
            if relu:
                for n in range(width):
                    out[n] = out[n] if out[n] > 0 else np.float32(0)


@njit(cache=True, error_model="numpy")
def product(x, step, zero, packed, scale, total, b, relu, n):
    """y (M, n) = step (x - zero) times the matrix, + b."""
    m, blocks = x.shape[0], packed.shape[0]
    y = np.empty((m, n), np.float32)
    sums = np.empty((16, LANES), np.int32)
    j = 0
    while j < blocks:
        i = 0
        if blocks - j >= 8 and m < 4:
            while i < m:
                _1x8(x, i, packed, j, sums)
                _finish(y, i, j, 1, 8, sums, step, zero, scale, total, b, relu)
                i += 1
            j += 8
        elif blocks - j >= 2 and m >= 8:
            while i + 8 <= m:
                _8x2(x, i, packed, j, sums)
                _finish(y, i, j, 8, 2, sums, step, zero, scale, total, b, relu)
                i += 8
            while i < m:
                for v in range(2):
                    _1x1(x, i, packed, j + v, sums)
                    _finish(y, i, j + v, 1, 1, sums, step, zero, scale, total, b, relu)
                i += 1
            j += 2
        else:
            while i < m:
                _1x1(x, i, packed, j, sums)
                _finish(y, i, j, 1, 1, sums, step, zero, scale, total, b, relu)
                i += 1
            j += 1
    return y


@njit(cache=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "reassoc"})
def quantize_rows(x):
    """x (M, K) float32 -> uint8 (M, K rounded up to 4), step (M), zero (M)."""
    m, k = x.shape
    q = np.zeros((m, -(-k // 4) * 4), np.uint8)
    step, zero = np.empty(m, np.float32), np.empty(m, np.int32)
    for i in range(m):
        low, high, row, out = np.float32(0), np.float32(0), x[i], q[i]
        for c in range(k):
            low = min(low, row[c])
            high = max(high, row[c])
        s = (high - low) / np.float32(255)
        s = s if s > 0 else np.float32(1)
        z = np.float32(np.rint(-low / s))
        r = np.float32(1) / s
        for c in range(k):
            out[c] = np.uint8(min(max(np.rint(row[c] * r) + z, np.float32(0)), np.float32(255)))
        step[i], zero[i] = s, np.int32(z)
    return q, step, zero
