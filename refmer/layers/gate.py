"""The reliability gate of paper 000 (OpenFace-Adaptive), eq. 2-3."""

from refmer.layers.dense import describe_linear, linear
from refmer.layers.trace import note
from refmer.ops.activations import relu, relu_backward, sigmoid, sigmoid_backward
from refmer.ops.contracts import closure


def describe_gate(width, hidden):
    return {"hidden": describe_linear(width, hidden), "score": describe_linear(hidden, 1)}


@closure
def gate(p, x, trace=None):
    """alpha = sigmoid(s), s = W2 relu(W1 x + b1) + b2, eq. (2);  y = alpha x, eq. (3).   x (..., C), s (..., 1) -> y, s."""
    u, back_hidden = linear(p.hidden, x)
    r = relu(u)
    s, back_score = linear(p.score, r)
    alpha = sigmoid(s)
    note(trace, "gate", alpha)

    def backward(dy, ds, g):
        dalpha = (dy * x).sum(-1, keepdims=True)  # y = alpha x
        dr = back_score(sigmoid_backward(dalpha, alpha) + ds, g.score)
        return alpha * dy + back_hidden(relu_backward(dr, r), g.hidden)

    return alpha * x, s, backward
