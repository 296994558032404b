"""Matrix product for use inside kernels: c += a b, at any size. This is the last file to read, not the first.

A tile of c, rows x vectors, stays in registers while k runs; each step loads the vectors of b and multiplies them with one
number of every row of a. numba's plain loops never keep such a tile in registers (5 to 10 times slower), so the tile is written
in vector instructions of LLVM, as in int8/kernels.py. BLAS does not help: it repacks b on every call, which costs 20 to 45 % at
the 16 to 32 rows of a batch, and numba's np.dot would load a second BLAS with its own threads.

A vector is 16 float32 wide where the CPU has AVX-512 and 8 elsewhere; remaining columns are masked. The part of b in use stays
in the second cache. With short vectors it is packed: lines of b that are a multiple of 4 KB apart would displace one another.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from refmer.kernels import njit

AVX512 = "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2]
BYTES = 64 if AVX512 else 32  # of a vector
TILES = ((8, 2), (4, 4), (1, 8)) if AVX512 else ((6, 2), (4, 3), (1, 8))  # rows x vectors: what 32 or 16 registers hold
DEPTH, WIDTH = 256, 128  # rows and columns of the part of b in use
NO_ROOM = np.empty(0, np.uint8)


def _tile(rows, vectors, lanewise=False, masked=True):
    """Make the intrinsic for tiles of one size: tile(zero, a, b, c, ra, ca, rb, rc, depth, columns), for the dtype of `zero`.

    c[r rc + n] += sum_p a[r ra + p ca] b[p rb + n] for r < rows, n < columns; addresses, and strides in elements. Not masked:
    all columns of the tile are there.
    lanewise: tile(zero, a, b, c, ra, ca, rb, rc, depth, sb, sc) for a, b and c of vectors, whose numbers stay apart:
    c[r rc + v sc] += sum_p a[r ra + p ca] b[p rb + v sb] for r < rows, v < vectors.
    """

    def codegen(context, builder, signature, args):
        number = context.get_data_type(signature.args[0])
        pointers = [builder.inttoptr(address, number.as_pointer()) for address in args[1:4]]
        builder.call(_function(builder.module, number, rows, vectors, lanewise, masked), [*pointers, *args[4:]])
        return context.get_dummy_value()

    if lanewise:

        def tile(typingctx, zero, a, b, c, ra, ca, rb, rc, depth, sb, sc):
            return types.none(zero, *[types.int64] * 10), codegen

    else:

        def tile(typingctx, zero, a, b, c, ra, ca, rb, rc, depth, columns):
            return types.none(zero, *[types.int64] * 9), codegen

    return intrinsic(tile)


def _function(module, number, rows, vectors, lanewise, masked):
    """Return the function of a tile, tile(a, b, c, ra, ca, rb, rc, depth, ...), in a module of LLVM.

    It must not be inlined: among the variables of a caller, the addresses of the rows would not stay in registers.
    """
    bits = 32 if number == ir.FloatType() else 64
    name = f"refmer.{'lanes' if lanewise else 'masked' if masked else 'full'}.{rows}.{vectors}.{bits}"
    if name in module.globals:
        return module.globals[name]
    index, word = ir.IntType(64), ir.IntType(32)
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [number.as_pointer()] * 3 + [index] * (6 + lanewise)), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    a, b, c, ra, ca, rb, rc, depth, *rest = function.args
    before, body, after = (function.append_basic_block(block) for block in ("start", "step", "done"))
    builder = ir.IRBuilder(before)

    lanes = 8 * BYTES // bits
    vector, mask = ir.VectorType(number, lanes), ir.VectorType(ir.IntType(1), lanes)
    pointer, suffix = vector.as_pointer(), f"v{lanes}f{bits}"
    load_type, store_type = ir.FunctionType(vector, [pointer, word, mask, vector]), [vector, pointer, word, mask]
    load = module.declare_intrinsic(f"llvm.masked.load.{suffix}.p0", fnty=load_type)
    store = module.declare_intrinsic(f"llvm.masked.store.{suffix}.p0", fnty=ir.FunctionType(ir.VoidType(), store_type))
    fma = module.declare_intrinsic(f"llvm.fmuladd.{suffix}", fnty=ir.FunctionType(vector, [vector] * 3))
    align, zero = ir.Constant(word, bits // 8), ir.Constant(vector, [0.0] * lanes)

    def splat(x, kind):
        one = builder.insert_element(ir.Constant(kind, ir.Undefined), x, ir.Constant(word, 0))
        return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(word, lanes), [0] * lanes))

    def parts(row, step):
        """Return the addresses of the vectors of a row."""
        return [builder.bitcast(builder.gep(row, [builder.mul(step, ir.Constant(index, v))]), pointer) for v in range(vectors)]

    steps, masks = rest if lanewise else [ir.Constant(index, lanes)] * 2, [ir.Constant(mask, [1] * lanes)] * vectors
    if masked and not lanewise:
        indices = ir.VectorType(index, lanes)
        numbers = [ir.Constant(indices, list(range(v * lanes, (v + 1) * lanes))) for v in range(vectors)]
        masks = [builder.icmp_signed("<", n, splat(rest[0], indices)) for n in numbers]
    builder.branch(body)
    builder.position_at_end(body)
    p, sums = builder.phi(index), [[builder.phi(vector) for _ in range(vectors)] for _ in range(rows)]
    bs = [
        builder.call(load, [x, align, m, zero])
        for x, m in zip(parts(builder.gep(b, [builder.mul(p, rb)]), steps[0]), masks, strict=True)
    ]
    column, new = builder.gep(a, [builder.mul(p, ca)]), []
    for r in range(rows):
        place = builder.gep(column, [builder.mul(ra, ir.Constant(index, r))])
        if lanewise:
            x = builder.load(builder.bitcast(place, pointer), align=bits // 8)
        else:
            x = splat(builder.load(place), vector)
        new.append([builder.call(fma, [x, y, total]) for y, total in zip(bs, sums[r], strict=True)])
    following = builder.add(p, ir.Constant(index, 1))
    turns = [(p, ir.Constant(index, 0), following)]
    for r in range(rows):
        turns += [(total, zero, later) for total, later in zip(sums[r], new[r], strict=True)]
    for phi, first, later in turns:
        phi.add_incoming(first, before)
        phi.add_incoming(later, body)
    builder.cbranch(builder.icmp_signed("<", following, depth), body, after)
    builder.position_at_end(after)
    for r in range(rows):
        places = parts(builder.gep(c, [builder.mul(rc, ir.Constant(index, r))]), steps[1])
        for place, m, total in zip(places, masks, new[r], strict=True):
            total = builder.fadd(builder.call(load, [place, align, m, zero]), total)
            builder.call(store, [total, place, align, m])
    builder.ret_void()
    return function


def _strip(rows, wide):
    """Make c += a b for `rows` rows, in tiles `wide` vectors wide; at the end masked, a quarter of that where it is enough."""
    narrow = max(1, wide // 4)
    full_tile, wide_tile, narrow_tile = _tile(rows, wide, masked=False), _tile(rows, wide), _tile(rows, narrow)

    @njit
    def strip(zero, size, a, b, c, ra, ca, rb, rc, depth, n):
        lanes, j = BYTES // size, 0
        while j < n:
            if n - j >= wide * lanes:
                full_tile(zero, a, b + j * size, c + j * size, ra, ca, rb, rc, depth, n - j)
                j += wide * lanes
            elif n - j > narrow * lanes:
                wide_tile(zero, a, b + j * size, c + j * size, ra, ca, rb, rc, depth, n - j)
                j += wide * lanes
            else:
                narrow_tile(zero, a, b + j * size, c + j * size, ra, ca, rb, rc, depth, n - j)
                j += narrow * lanes

    return strip


(MANY, _), (FEW, WIDE), _ = TILES
_many, _few, _one = (_strip(rows, vectors) for rows, vectors in TILES)
_few_wide, _few_narrow, _one_wide, _one_narrow = (_tile(m, n, lanewise=True) for m in (FEW, 1) for n in (WIDE, 1))


@intrinsic
def _copy(typingctx, to, source, size):
    """Copy so many bytes from one address to another."""

    def codegen(context, builder, signature, args):
        to, source = (builder.inttoptr(address, ir.IntType(8).as_pointer()) for address in args[:2])
        cgutils.raw_memcpy(builder, to, source, args[2], 1)
        return context.get_dummy_value()

    return types.none(*[types.int64] * 3), codegen


@njit
def gemm(a, b, c):
    """c (M, N) += a (M, K) b (K, N). a may have any strides (x.T costs nothing), b and c unit stride along their last axis.

    Error: as BLAS, from another order of the sums.
    """
    size, (m, k), n = a.itemsize, a.shape, b.shape[1]
    ra, ca, rb, rc = a.strides[0] // size, a.strides[1] // size, b.strides[0] // size, c.strides[0] // size
    _gemm(a.dtype.type(0), size, a.ctypes.data, b.ctypes.data, c.ctypes.data, ra, ca, rb, rc, m, n, k)


@njit(cache=True)
def _gemm(zero, size, a, b, c, ra, ca, rb, rc, m, n, k):
    """gemm of addresses and strides: one compiled version for all layouts."""
    packs = not AVX512 and m >= 32 and rb > 256  # else it costs more than it gains
    room, step = np.empty(DEPTH * WIDTH * size, np.uint8) if packs else NO_ROOM, WIDTH if packs else rb
    for j in range(0, n, WIDTH):
        for p in range(0, k, DEPTH):
            width, depth, y, i = min(WIDTH, n - j), min(DEPTH, k - p), b + (p * rb + j) * size, 0
            if packs:
                for q in range(depth):
                    _copy(room.ctypes.data + q * WIDTH * size, y + q * rb * size, width * size)
                y = room.ctypes.data
            while i < m:
                x, z = a + (i * ra + p * ca) * size, c + (i * rc + j) * size
                if i + MANY <= m:
                    _many(zero, size, x, y, z, ra, ca, step, rc, depth, width)
                    i += MANY
                elif i + FEW <= m:
                    _few(zero, size, x, y, z, ra, ca, step, rc, depth, width)
                    i += FEW
                else:
                    _one(zero, size, x, y, z, ra, ca, step, rc, depth, width)
                    i += 1


@njit
def gemm_lanes(a, b, c, turn_a, turn_b):
    """c (M, N, L) += a (M, K, L) b (K, N, L), for each of the L numbers of a vector by itself: small products side by side.

    turn_a: a is (K, M, L); turn_b: b is (N, K, L).
    """
    zero, size, (m, n, lanes), i = a.dtype.type(0), a.itemsize, c.shape, 0
    ra, ca, depth = (lanes, a.shape[1] * lanes, a.shape[0]) if turn_a else (a.shape[1] * lanes, lanes, a.shape[1])
    rb, sb = (lanes, b.shape[1] * lanes) if turn_b else (b.shape[1] * lanes, lanes)
    rc, sc = n * lanes, lanes
    while i < m:
        few, j = i + FEW <= m, 0
        while j < n:
            x, y, z = a.ctypes.data + i * ra * size, b.ctypes.data + j * sb * size, c.ctypes.data + (i * rc + j * sc) * size
            wide = j + WIDE <= n
            if few and wide:
                _few_wide(zero, x, y, z, ra, ca, rb, rc, depth, sb, sc)
            elif few:
                _few_narrow(zero, x, y, z, ra, ca, rb, rc, depth, sb, sc)
            elif wide:
                _one_wide(zero, x, y, z, ra, ca, rb, rc, depth, sb, sc)
            else:
                _one_narrow(zero, x, y, z, ra, ca, rb, rc, depth, sb, sc)
            j += WIDE if wide else 1
        i += FEW if few else 1
