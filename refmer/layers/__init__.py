"""Layers: parameters and wiring. Each layer has `describe_x(...)`, the tree of its parameters, and `x(p, ...) -> y, backward`.

The contract:

1. `p` is a tree of arrays and `g` a tree of the same shape: the gradient of `p.W` is `g.W`. Both are views of flat vectors
   (params.py). A second flat vector, `state`, holds batch norm's running statistics: no parameters.
2. `y, backward = layer(p, x, ...)` reads `p` and changes nothing. Batch norm's backward adds (batch - running) into the state
   leaves of `g`; the fit loop applies `p.state += momentum * g.state`.
3. `dx = backward(dy, g)` returns the gradients of the inputs and adds those of the parameters into `g`. A layer without
   parameters takes no p: `y, backward = dropout(rng, x, rate)`, `dx = backward(dy)`.
4. No function writes into `x`, `dy`, or an array that a backward holds.
5. Randomness is an argument; `rng=None` means evaluation (for batch norm too). No training flag, no global seed.
6. Every learned map is `x @ p.W` with W (in, out).
7. The dtype of the result is that of x and the parameters together: float32, float64 and complex128 each stay what they are.

The closure is the cache: backward holds exactly what it mentions, a layer called five times gives five closures, and shared
weights need no special case. `trace=None` comes last; a dict collects named intermediates (trace.py).
"""
