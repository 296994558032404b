"""Pure pairs: an operation and its gradient, one under the other. NumPy (and SciPy's erf), arrays in, arrays out.

`y, *saved = f(x, ...)` and `f_backward(dy, *saved)` returns the gradients of the array inputs, in order. Where backward needs
y only, f returns y alone and the pair is `y = f(x)`, `dx = f_backward(dy, y)`. A mask has no gradient. No argument is modified
and no state is kept; float32, float64 and complex128 each keep their dtype. `check.assert_pair` proves a pair.
"""
