"""Pure pairs: what an operation computes, and its gradient, one under the other. NumPy (and SciPy's erf), arrays in,
arrays out.

`y, *saved = f(x, ...)` and `f_backward(dy, *saved)` returns the gradients of the array inputs, in order. Where y is all that
backward needs, f returns y alone and the pair is `y = f(x)`, `dx = f_backward(dy, y)`. Masks are no inputs of this kind.
Nothing is written into, nothing is remembered; float32, float64 and complex128 each keep their dtype. `check.assert_pair`
proves a pair.
"""
