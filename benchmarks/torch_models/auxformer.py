"""AuxFormer (paper 002) in PyTorch, with the tiny switches of refmer/systems/auxformer.py."""

import torch
from torch import nn
from torch.nn import functional as F

from torch_models.loading import copy, demand_classes, demand_defaults

MODALITIES = ("audio", "visual")
PASSES = 3  # of an auxiliary network through its encoder
LONGEST = 4096  # frames that have a position


class Model(nn.Module):
    """batch: audio (B, T, D), visual (B, S, D), masks -> out: logits (B, K), and those of the networks: av, audio, visual."""

    def __init__(self, config):
        super().__init__()
        demand_classes(config)
        demand_defaults(config, "audio_conv", "positions", "causal", "hide_padding", "token")
        demand_defaults(config, "scale", "mix", "within", "positions_within", "average")
        C = config.width
        self.project = nn.ModuleDict({m: nn.Linear(getattr(config, m), C, bias=False) for m in MODALITIES})
        self.cross = nn.ModuleDict({m: Encoder(config, config.drop_cross) for m in MODALITIES})
        self.within = nn.ModuleDict({m: Encoder(config, config.drop_self, learned=True) for m in MODALITIES})
        self.head = Head(2 * C, (2 * C,), config)
        self.auxiliary = nn.ModuleDict({m: Encoder(config, config.drop_self) for m in MODALITIES})
        self.auxiliary_head = Head(C, config.auxiliary_hidden, config)
        self.register_buffer("positions", sinusoidal(LONGEST, C), persistent=False)

    def forward(self, batch):
        valid = {m: batch[f"{m}_mask"] for m in MODALITIES}
        length = {m: lengths(valid[m]) for m in MODALITIES}
        z = {m: self.project[m](batch[m]) for m in MODALITIES}
        place = {m: self.positions[: x.shape[1]].to(x.dtype) for m, x in z.items()}  # on padding, too, which is masked
        tokens, alone = [], {}
        for m, other in zip(MODALITIES, reversed(MODALITIES), strict=True):
            across = sight(length[m], length[other], valid[m], valid[other])
            inside = sight(length[m], length[m], valid[m], valid[m])
            h = self.cross[m](z[m], across, z[other], place[m], place[other])
            tokens.append(mean(self.within[m](h, inside), valid[m]))
            x = z[m]
            for _ in range(PASSES):
                x = self.auxiliary[m](x, inside)
            alone[m] = self.auxiliary_head(mean(x, valid[m]))
        av = self.head(torch.cat(tokens, -1))
        return {"logits": (av + alone["audio"] + alone["visual"]) / 3, "av": av} | alone


class Encoder(nn.Module):
    """LN(layer_L(... layer_1(x))) of scaled x, with positions and dropout; x attends to a memory or to itself."""

    def __init__(self, config, drop_attention, learned=False):
        super().__init__()
        self.layers = nn.ModuleList(Layer(config, drop_attention, learned) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        self.drop = nn.Dropout(config.drop_embed)
        self.scale = config.width**0.5

    def forward(self, x, sight, memory=None, place=None, place_memory=None):
        h = self.embed(x, place)
        m = None if memory is None else self.embed(memory, place_memory)
        for layer in self.layers:
            h = layer(h, sight, m)
        return self.norm(h)

    def embed(self, x, place):
        return self.drop(self.scale * x if place is None else torch.add(place, x, alpha=self.scale))


class Layer(nn.Module):
    """h = R(x, Attention(LN(x), LN(memory)));  y = R(h, FFN(LN'(h)));  R(r, z) = r + z, or alpha r + (1 - alpha) z."""

    def __init__(self, config, drop_attention, learned):
        super().__init__()
        C = config.width
        self.attend = Attention(C, config.heads, drop_attention)
        self.norm1, self.norm2 = nn.LayerNorm(C), nn.LayerNorm(C)
        self.ffn = nn.Sequential(nn.Linear(C, 4 * C), nn.ReLU(), nn.Dropout(config.drop_relu), nn.Linear(4 * C, C))
        self.drop = nn.Dropout(config.drop_residual)
        self.alpha = nn.Parameter(torch.rand(1)) if learned else None

    def forward(self, x, sight, memory=None):
        n = self.norm1(x)
        a = self.attend(n, n if memory is None else self.norm1(memory), *sight)
        h = self.residual(x, self.drop(a))
        return self.residual(h, self.drop(self.ffn(self.norm2(h))))

    def residual(self, r, z):
        return r + z if self.alpha is None else torch.lerp(z, r, self.alpha)


class Attention(nn.Module):
    """Attention with heads; the result of a query without keys is 0."""

    def __init__(self, width, heads, rate):
        super().__init__()
        self.query, self.memory, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.heads, self.rate = heads, rate

    def forward(self, x, memory, mask, blind):
        q = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, T, D)
        k, v = (z.unflatten(-1, (self.heads, -1)).transpose(1, 2) for z in self.memory(memory).chunk(2, -1))
        y = F.scaled_dot_product_attention(q, k, v, mask, self.rate if self.training else 0.0)
        return self.out(y.transpose(1, 2).flatten(2)).masked_fill(blind, 0)


class Head(nn.Module):
    """W_o (z + MLP(z)) + b_o."""

    def __init__(self, width, hidden, config):
        super().__init__()
        parts = [nn.Linear(width, hidden[0])]
        for a, b in zip(hidden, (*hidden[1:], width), strict=True):
            parts += [nn.ReLU(), nn.Dropout(config.drop_out), nn.Linear(a, b)]
        self.mlp, self.out = nn.Sequential(*parts), nn.Linear(width, config.classes)

    def forward(self, z):
        return self.out(z + self.mlp(z))


def sinusoidal(length, width):
    """[sin | cos] of positions from 1, in float64.   (length, width)."""
    half = width // 2
    f = 1e4 ** -(torch.arange(half, dtype=torch.float64) / max(half - 1, 1))
    angle = torch.arange(1, length + 1, dtype=torch.float64)[:, None] * f
    return F.pad(torch.cat([angle.sin(), angle.cos()], 1), (0, width % 2))


def lengths(valid):
    """Number of steps up to the last valid one.   (B, T) -> (B)."""
    return (valid * torch.arange(1, valid.shape[1] + 1, device=valid.device)).amax(1)


def sight(n_queries, n_keys, queries, keys):
    """Query t attends to the valid keys up to t + |N_q - N_k|: mask (B, 1, T, S), and queries without keys (B, T, 1)."""
    t, s = (torch.arange(z.shape[1], device=z.device) for z in (queries, keys))
    last = t + (n_queries - n_keys).abs()[:, None]  # (B, T)
    mask = (s <= last[..., None]) & keys[:, None]
    return mask[:, None], ~mask.any(-1, keepdim=True)


def mean(x, valid):
    """Mean of x over valid steps; 0 without valid steps.   x (B, T, C), valid (B, T)."""
    return (x * valid[..., None]).sum(1) / valid.sum(1, keepdim=True).clamp(min=1)


def loss(out, batch, config):
    """The weighted sum of the three networks' cross-entropies, with soft targets."""
    return sum(w * F.cross_entropy(out[m], batch["target"]) for m, w in zip(("av", *MODALITIES), config.weights, strict=True))


def load(model, named):
    """Copy refmer's parameters, {path: array}, into the model."""
    copy(pairs(model), named)


def pairs(model):
    """Return {path in refmer: (parameter, its view in refmer's order of axes)}; one parameter may have several paths."""
    result = {}
    for m in MODALITIES:
        result[f"{m}.project.W"] = model.project[m].weight, torch.t
        result |= encoder(f"main.{m}.cross", model.cross[m])
        result |= encoder(f"main.{m}.within", model.within[m])
        result |= encoder(f"auxiliary.{m}", model.auxiliary[m])
    return result | head("main.head", model.head) | head("auxiliary.head", model.auxiliary_head)


def encoder(path, part):
    """Return the pairs of an encoder."""
    result = _norm(f"{path}.norm", part.norm)
    for i, layer in enumerate(part.layers):
        at, attend = f"{path}.layers.{i}", layer.attend
        result |= _linear(f"{at}.attend.query", attend.query) | _linear(f"{at}.attend.out", attend.out)
        for k, name in enumerate(("key", "value")):
            result[f"{at}.attend.{name}.W"] = attend.memory.weight, lambda w, k=k: w.chunk(2)[k].T
            result[f"{at}.attend.{name}.b"] = attend.memory.bias, lambda b, k=k: b.chunk(2)[k]
        result |= _norm(f"{at}.norm1", layer.norm1) | _norm(f"{at}.norm2", layer.norm2)
        result |= _linear(f"{at}.ffn.up", layer.ffn[0]) | _linear(f"{at}.ffn.down", layer.ffn[-1])
        if layer.alpha is not None:
            result[f"{at}.alpha"] = layer.alpha, torch.detach
    return result


def head(path, part):
    """Return the pairs of a head."""
    maps = [layer for layer in part.mlp if isinstance(layer, nn.Linear)]
    result = _linear(f"{path}.out", part.out)
    for i, layer in enumerate(maps):
        result |= _linear(f"{path}.mlp.maps.{i}", layer)
    return result


def _linear(path, part):
    return {f"{path}.W": (part.weight, torch.t), f"{path}.b": (part.bias, torch.detach)}


def _norm(path, part):
    return {f"{path}.gamma": (part.weight, torch.detach), f"{path}.beta": (part.bias, torch.detach)}
