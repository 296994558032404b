"""Operations forward and backward, as a user of refmer and a user of PyTorch call them.

A case is a name and `make(torch)`, where torch is the module or None. It returns the Work, the same on both sides, from the
same parameters and inputs (a test compares the results of everything that is not random).
"""

from collections.abc import Callable
from functools import partial
from math import prod
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from refmer import params
from refmer.data.gaps import GilbertElliott
from refmer.layers import convolution, dense, sequence
from refmer.ops import activations, losses, optimizers
from refmer.ops.attention import attend, attend_backward
from refmer.systems import auxformer, find

FLOAT = 4  # bytes


class Work(NamedTuple):
    """The functions that a row times.

    Parameters
    ----------
    shape : tuple of int
    ours : function () -> arrays
    torch : {"torch": function, "fused": function}
        Empty without PyTorch; "fused" only with an optimizer.
    flops, bytes : float
        Multiplications and additions of the matrix products, forward and backward; bytes that must be read and written.
    """

    shape: tuple
    ours: Callable
    torch: dict
    flops: float = 0.0
    bytes: float = 0.0


class Case(NamedTuple):
    """One row of the table."""

    name: str
    make: Callable


def normal(*shape, seed=0):
    """Return Gaussian float32 numbers."""
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def layer(describe, run, x, module, names, *, flip=False, flops=0.0):
    """Return the work of a layer of refmer, of a module of PyTorch with the same parameters, and its limits.

    module(torch) makes it; names {its parameter: path in refmer's tree} fill it, transposed. flip: it reads (B, C, T).
    """
    p = params.init(describe, 0)
    p.vector += 0.1 * normal(len(p.vector), seed=1)  # no bias is 0
    g, dy = params.zeros_like(p), normal(*run(p, x)[0].shape, seed=2)

    def ours():
        y, backward = run(p, x)
        return y, backward(dy, g)

    def theirs(torch):
        made = module(torch)
        for name, path in names.items():
            own = dict(made.named_parameters())[name]
            w = params.get(p, path).T
            if own.ndim == 3:  # of a convolution: (E, C, taps)
                w = w.reshape(len(w), own.shape[2], -1).swapaxes(1, 2)
            own.data = torch.tensor(np.ascontiguousarray(w))
        turned = np.swapaxes if flip else lambda a, *_: a
        given, upstream = (torch.tensor(np.ascontiguousarray(turned(a, 1, 2))) for a in (x, dy))
        return differentiated(torch, made, [given], upstream, list(made.parameters()))

    numbers = 2 * x.size + 2 * dy.size + 3 * len(p.vector)  # x, y, dy, dx; p twice, its gradient
    return ours, theirs, {"flops": flops, "bytes": FLOAT * numbers}


def differentiated(torch, f, inputs, upstream=None, parameters=()):
    """Return () -> y and the gradients of the inputs; those of the parameters are computed, too."""
    for x in inputs:
        x.requires_grad_()

    def run():
        y = f(*inputs)
        y = y[0] if isinstance(y, tuple) else y
        return y.detach(), *torch.autograd.grad(y, [*inputs, *parameters], upstream)[: len(inputs)]

    return run


def work(torch, shape, ours, theirs, **limits):
    """Return the Work, with PyTorch's side if it is installed."""
    return Work(shape, ours, {} if torch is None or theirs is None else {"torch": theirs(torch)}, **limits)


def lstm(B, T, D, H, torch):
    cell = "layers.0.0"
    names = {"weight_ih_l0": "inputs.W", "weight_hh_l0": "hidden.W", "bias_ih_l0": "inputs.b", "bias_hh_l0": "hidden.b"}
    ours, theirs, limits = layer(
        sequence.describe_lstm(D, H),
        sequence.lstm,
        normal(B, T, D),
        lambda torch: torch.nn.LSTM(D, H, batch_first=True),
        {name: f"{cell}.{path}" for name, path in names.items()},
        flops=3 * 2 * B * T * (D + H) * 4 * H,
    )
    return work(torch, (B, T, D, H), ours, theirs, **limits)


def conv1d(B, C, T, torch):
    """Causal convolution, kernel size 3."""

    def module(torch):
        return torch.nn.Sequential(torch.nn.ConstantPad1d((2, 0), 0.0), torch.nn.Conv1d(C, C, 3))

    ours, theirs, limits = layer(
        convolution.describe_conv1d(C, C, 3),
        partial(convolution.conv1d, size=3, padding="causal"),
        normal(B, T, C),
        module,
        {"1.weight": "W", "1.bias": "b"},
        flip=True,
        flops=3 * 2 * B * T * 3 * C * C,
    )
    return work(torch, (B, C, T), ours, theirs, **limits)


def attention(B, T, C, heads, torch):
    """Attention between the maps: split heads, softmax(q k^T / sqrt(D)) v, merge heads."""
    q, k, v, dy = (normal(B, T, C, seed=i) for i in range(4))

    def ours():
        y, *saved = attend(q, k, v, heads, (C // heads) ** -0.5)
        return y, *attend_backward(dy, *saved)

    def theirs(torch):
        def run(*qkv):
            apart = (z.view(B, T, heads, C // heads).transpose(1, 2) for z in qkv)
            return torch.nn.functional.scaled_dot_product_attention(*apart).transpose(1, 2).reshape(B, T, C)

        return differentiated(torch, run, [torch.tensor(z) for z in (q, k, v)], torch.tensor(dy))

    return work(torch, (B, T, C, heads), ours, theirs, flops=3 * 2 * 2 * B * T * T * C, bytes=FLOAT * 12 * B * T * C)


def layer_norm(N, C, torch):
    names = {"weight": "gamma", "bias": "beta"}
    describe = dense.describe_layer_norm(C)
    ours, theirs, limits = layer(describe, dense.layer_norm, normal(N, C), lambda torch: torch.nn.LayerNorm(C), names)
    return work(torch, (N, C), ours, theirs, **limits)


def linear(N, D, E, torch):
    names = {"weight": "W", "bias": "b"}
    ours, theirs, limits = layer(
        dense.describe_linear(D, E),
        dense.linear,
        normal(N, D),
        lambda torch: torch.nn.Linear(D, E),
        names,
        flops=3 * 2 * N * D * E,
    )
    return work(torch, (N, D, E), ours, theirs, **limits)


def pointwise(f, backward, shape, theirs, torch):
    """Return the work of an f of refmer.ops, which saves its output or what it returns in addition."""
    x, dy = normal(*shape), normal(*shape, seed=1)

    def ours():
        result = f(x)
        y, *saved = result if isinstance(result, tuple) else (result, result)
        return y, backward(dy, *saved)

    def other(torch):
        return differentiated(torch, theirs(torch), [torch.tensor(x)], torch.tensor(dy))

    return work(torch, shape, ours, other, bytes=FLOAT * 5 * x.size)  # x, y, dy, y again, dx


def softmax(B, H, T, torch):
    """Softmax over the keys of attention, with padding."""
    valid = np.arange(T) < np.random.default_rng(0).integers(1, T + 1, B)[:, None]  # (B, T)
    mask = valid[:, None, None]

    def theirs(torch):
        hidden = torch.tensor(~mask)
        return lambda x: torch.softmax(x.masked_fill(hidden, -torch.inf), -1)

    run = partial(activations.softmax, mask=mask)
    return pointwise(run, activations.softmax_backward, (B, H, T, T), theirs, torch)


def relu(*shape, torch):
    return pointwise(activations.relu, activations.relu_backward, shape, lambda torch: torch.relu, torch)


def gelu(*shape, torch):
    return pointwise(activations.gelu, activations.gelu_backward, shape, lambda torch: torch.nn.functional.gelu, torch)


def dropout(*shape, torch):
    x, dy, rng = normal(*shape), normal(*shape, seed=1), np.random.default_rng(0)

    def ours():
        y, backward = dense.dropout(rng, x, 0.1)
        return y, backward(dy)

    def theirs(torch):
        return differentiated(torch, torch.nn.Dropout(0.1), [torch.tensor(x)], torch.tensor(dy))

    return work(torch, shape, ours, theirs, bytes=FLOAT * 6 * x.size)


def statistics_pool(B, T, C, torch):
    x, dy = normal(B, T, C), normal(B, 2 * C, seed=1)
    p = params.init(sequence.describe_statistics_pool(C), 0)
    g = params.zeros_like(p)

    def ours():
        y, backward = sequence.statistics_pool(p, x)
        return y, backward(dy, g)

    def theirs(torch):
        hidden, score = torch.nn.Linear(C, C), torch.nn.Linear(C, 1, bias=False)
        for made, part in ((hidden, p.hidden), (score, p.score)):
            made.weight.data = torch.tensor(np.ascontiguousarray(part.W.T))
        hidden.bias.data = torch.tensor(p.hidden.b)

        def run(x):
            a = torch.softmax(score(torch.tanh(hidden(x))), 1)  # (B, T, 1)
            mean = (a * x).sum(1)
            var = (a * (x - mean[:, None]) ** 2).sum(1)
            return torch.cat([mean, var.clamp(min=1e-5).sqrt()], -1)

        return differentiated(torch, run, [torch.tensor(x)], torch.tensor(dy), [*hidden.parameters(), *score.parameters()])

    flops = 3 * 2 * B * T * C * (C + 1)
    return work(torch, (B, T, C), ours, theirs, flops=flops, bytes=FLOAT * 4 * x.size)


def loss(f, backward, theirs, N, K, torch):
    """A loss of logits (N, K), soft targets and class weights."""
    logits, weight = normal(N, K), np.linspace(0.5, 2, K, dtype=np.float32)
    target = activations.softmax(normal(N, K, seed=1))

    def ours():
        value, *saved = f(logits, target, weight)
        return value, backward(1.0, *saved)

    def other(torch):
        y, w = torch.tensor(target), torch.tensor(weight)
        return differentiated(torch, lambda x: theirs(torch, x, y, w), [torch.tensor(logits)])

    return work(torch, (N, K), ours, other)


def cross_entropy(N, K, torch):
    def theirs(torch, x, y, w):
        return torch.nn.functional.cross_entropy(x, y, w)

    return loss(losses.cross_entropy, losses.cross_entropy_backward, theirs, N, K, torch)


def focal(N, K, torch):
    def theirs(torch, x, y, w):
        logp = torch.log_softmax(x, -1)
        return -(w * y * (1 - logp.exp()) ** 2 * logp).sum(-1).mean()

    return loss(losses.focal, losses.focal_backward, theirs, N, K, torch)


def ccc(N, D, torch):
    x, y = normal(N, D), normal(N, D, seed=1)

    def ours():
        value, *saved = losses.ccc_loss(x, y)
        return value, losses.ccc_loss_backward(1.0, *saved)

    def theirs(torch):
        y_ = torch.tensor(y)

        def run(x):
            covariance = ((x - x.mean(0)) * (y_ - y_.mean(0))).mean(0)
            spread = x.var(0, unbiased=False) + y_.var(0, unbiased=False) + (x.mean(0) - y_.mean(0)) ** 2
            return 1 - (2 * covariance / spread).mean()

        return differentiated(torch, run, [torch.tensor(x)])

    return work(torch, (N, D), ours, theirs)


def with_gradients(torch, leaves):
    """Return PyTorch parameters of these shapes, each with its gradient."""
    made = [torch.nn.Parameter(torch.tensor(normal(*leaf.shape))) for leaf in leaves]
    for x in made:
        x.grad = 0.01 * torch.randn_like(x)
    return made


def adamw(torch):
    """AdamW on the 78 arrays (2 million parameters) of paper 000's published network."""
    system = find("openface_adaptive")
    leaves = [leaf for _, leaf in params.walk(system.describe(system.Config.paper())) if not leaf.state]
    n = sum(prod(leaf.shape) for leaf in leaves)
    x, grad, m, v = (normal(n, seed=i) for i in range(4))
    v *= v
    count = SimpleNamespace(steps=0)

    def ours():
        count.steps += 1
        optimizers.adamw(x, grad, m, v, count.steps, 1e-4)

    sides = {}
    if torch is not None:
        for side, fused in (("torch", None), ("fused", True)):
            made = torch.optim.AdamW(with_gradients(torch, leaves), lr=1e-4, fused=fused)
            sides[side] = made.step
    return Work((n,), ours, sides, bytes=FLOAT * 7 * n)  # x, m, v read and written, the gradient read


def clip_norm(torch):
    """Clipping of a gradient of the size of AuxFormer's tiny network, whose norm is always above the limit."""
    leaves = [leaf for _, leaf in params.walk(auxformer.describe(auxformer.Config.tiny()))]
    n = sum(prod(leaf.shape) for leaf in leaves)
    grad = normal(n)
    last = SimpleNamespace(norm=float("inf"))

    def ours():
        last.norm = optimizers.clip_norm(grad, 0.9999 * last.norm)

    sides = {}
    if torch is not None:
        made = with_gradients(torch, leaves)
        sides["torch"] = lambda: torch.nn.utils.clip_grad_norm_(made, 0.01)
    return Work((n,), ours, sides, bytes=FLOAT * 3 * n)


def markov(clips, slots, torch):
    """Bursty loss of frames by a chain of two states per clip."""
    chain, rng = GilbertElliott(0.05, 0.45), np.random.default_rng(0)

    def theirs(torch):
        def run():
            u = torch.rand(slots, clips)
            states = [torch.zeros(clips, dtype=torch.bool)]
            for s in range(1, slots):
                states.append(torch.where(states[-1], u[s] >= chain.p_bad_to_good, u[s] < chain.p_good_to_bad))
            return torch.stack(states, 1)

        return run

    return work(torch, (clips, slots), lambda: chain.states(rng, clips, slots), theirs)


def case(make, *shape):
    return Case(make.__name__, lambda torch: make(*shape, torch=torch))


CASES = [
    case(lstm, 1, 32, 64, 64),
    case(lstm, 16, 32, 128, 128),
    case(lstm, 16, 512, 64, 64),
    case(conv1d, 16, 64, 32),
    case(conv1d, 16, 128, 512),
    case(attention, 32, 3, 192, 4),
    case(attention, 32, 100, 130, 10),
    case(layer_norm, 96, 192),
    case(cross_entropy, 32, 7),
    case(focal, 32, 7),
    case(ccc, 32, 2),
    case(adamw),
    case(softmax, 32, 4, 14),
    case(relu, 32, 14, 96),
    case(gelu, 32, 14, 96),
    case(statistics_pool, 32, 8, 16),
    case(markov, 288, 100),
    case(linear, 448, 24, 96),
    case(dropout, 32, 14, 96),
    case(clip_norm),
]
