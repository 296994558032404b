"""Matrix product for use inside kernels: c += a b, at any size, without packing. This is the last file to read, not the first.

A tile of c, ROWS x 2 vectors, stays in registers while k runs; each step loads two vectors of b and multiplies them with one
number of every row of a. numba's plain loops never keep such a tile in registers (5 to 10 times slower), so the tile is written
in vector instructions of LLVM, as in int8/kernels.py. BLAS does not help: it repacks b on every call, which costs 20 to 45 %
at the 16 to 32 rows of a batch, and numba's np.dot would load a second BLAS with its own threads.

The tile is 16 float32 wide where the CPU has AVX-512 and 8 elsewhere; remaining columns are masked.
"""

from llvmlite import ir
from numba import njit, types
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

AVX512 = "+avx512f" in cpu_target.target_context.codegen().magic_tuple()[2]
BYTES = 64 if AVX512 else 32  # of a vector
ROWS = 8 if AVX512 else 4  # of a tile: 2 ROWS accumulators, of 32 or 16 registers
DEPTH = 256  # steps of k per pass: the part of b in use stays in the first cache


def _tile(rows, vectors):
    """Make the intrinsic for tiles of one size: tile(a, i, ra, ca, b, j, rb, c, k, rc, depth, columns).

    c[k + r rc + n] += sum_p a[i + r ra + p ca] b[j + p rb + n] for r < rows, n < columns; offsets and strides in elements.
    """

    def codegen(context, builder, signature, args):
        number = context.get_data_type(signature.args[0].dtype)
        lanes = BYTES // (4 if signature.args[0].dtype == types.float32 else 8)
        vector, index = ir.VectorType(number, lanes), ir.IntType(64)
        mask_type = ir.VectorType(ir.IntType(1), lanes)
        suffix = f"v{lanes}f{32 if lanes * 4 == BYTES else 64}"
        module = builder.module
        fma = module.declare_intrinsic(f"llvm.fmuladd.{suffix}", fnty=ir.FunctionType(vector, [vector] * 3))
        align = ir.Constant(ir.IntType(32), BYTES // lanes)
        load = module.declare_intrinsic(
            f"llvm.masked.load.{suffix}.p0",
            fnty=ir.FunctionType(vector, [vector.as_pointer(), align.type, mask_type, vector]),
        )
        store = module.declare_intrinsic(
            f"llvm.masked.store.{suffix}.p0",
            fnty=ir.FunctionType(ir.VoidType(), [vector, vector.as_pointer(), align.type, mask_type]),
        )
        zero = ir.Constant(vector, [0.0] * lanes)

        def splat(x, kind):
            one = builder.insert_element(ir.Constant(kind, ir.Undefined), x, ir.Constant(ir.IntType(32), 0))
            return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes))

        def at(kind, value, offset):
            pointer = make_array(kind)(context, builder, value).data
            return builder.gep(pointer, [offset])

        def wide(pointer):
            return builder.bitcast(pointer, vector.as_pointer())

        a, i, ra, ca, b, j, rb, c, k, rc, depth, columns = args
        pa, pb, pc = (
            at(t, x, o)
            for t, x, o in zip((signature.args[0], signature.args[4], signature.args[7]), (a, b, c), (i, j, k), strict=True)
        )
        many = ir.VectorType(index, lanes)
        masks = [
            builder.icmp_signed("<", ir.Constant(many, [v * lanes + n for n in range(lanes)]), splat(columns, many))
            for v in range(vectors)
        ]
        steps = [ir.Constant(index, v * lanes) for v in range(vectors)]

        before = builder.block
        body = builder.append_basic_block("step")
        after = builder.append_basic_block("done")
        builder.branch(body)
        builder.position_at_end(body)
        p = builder.phi(index)
        p.add_incoming(ir.Constant(index, 0), before)
        sums = [[builder.phi(vector) for _ in range(vectors)] for _ in range(rows)]
        row = builder.gep(pb, [builder.mul(p, rb)])
        bs = [builder.call(load, [wide(builder.gep(row, [s])), align, m, zero]) for s, m in zip(steps, masks, strict=True)]
        column = builder.gep(pa, [builder.mul(p, ca)])
        new = []
        for r in range(rows):
            x = splat(builder.load(builder.gep(column, [builder.mul(ra, ir.Constant(index, r))])), vector)
            new.append([builder.call(fma, [x, y, s]) for y, s in zip(bs, sums[r], strict=True)])
        following = builder.add(p, ir.Constant(index, 1))
        p.add_incoming(following, body)
        for old_row, new_row in zip(sums, new, strict=True):
            for old, value in zip(old_row, new_row, strict=True):
                old.add_incoming(zero, before)
                old.add_incoming(value, body)
        builder.cbranch(builder.icmp_signed("<", following, depth), body, after)
        builder.position_at_end(after)
        for r in range(rows):
            line = builder.gep(pc, [builder.mul(rc, ir.Constant(index, r))])
            for v in range(vectors):
                place = wide(builder.gep(line, [steps[v]]))
                total = builder.fadd(builder.call(load, [place, align, masks[v], zero]), new[r][v])
                builder.call(store, [total, place, align, masks[v]])
        return context.get_dummy_value()

    @intrinsic
    def tile(typingctx, a, i, ra, ca, b, j, rb, c, k, rc, depth, columns):
        n = types.int64
        return types.none(a, n, n, n, b, n, n, c, n, n, n, n), codegen

    return tile


def _strip(rows, wide, narrow):
    """Make c += a b for `rows` rows from row i on, in tiles `wide` vectors wide, or `narrow` where that is enough."""
    wide_tile, narrow_tile = _tile(rows, wide), _tile(rows, narrow)

    @njit(error_model="numpy")
    def strip(a, b, c, i, p, depth):
        size = a.itemsize
        lanes = BYTES // size
        n = b.shape[1]
        ra, ca, rb, rc = a.strides[0] // size, a.strides[1] // size, b.strides[0] // size, c.strides[0] // size
        j = 0
        while j < n:
            if n - j > narrow * lanes:
                wide_tile(a, i * ra + p * ca, ra, ca, b, p * rb + j, rb, c, i * rc + j, rc, depth, n - j)
                j += wide * lanes
            else:
                narrow_tile(a, i * ra + p * ca, ra, ca, b, p * rb + j, rb, c, i * rc + j, rc, depth, n - j)
                j += narrow * lanes

    return strip


_rows, _half, _one = _strip(ROWS, 2, 1), _strip(ROWS // 2, 4, 1), _strip(1, 8, 2)


@njit(cache=True, error_model="numpy")
def gemm(a, b, c):
    """c (M, N) += a (M, K) b (K, N). a may have any strides (x.T costs nothing), b and c unit stride along their last axis.

    Error: as BLAS, from another order of the sums.
    """
    m, k = a.shape
    for p in range(0, k, DEPTH):
        depth = min(DEPTH, k - p)
        i = 0
        while i + ROWS <= m:
            _rows(a, b, c, i, p, depth)
            i += ROWS
        while i + ROWS // 2 <= m:
            _half(a, b, c, i, p, depth)
            i += ROWS // 2
        while i < m:
            _one(a, b, c, i, p, depth)
            i += 1
