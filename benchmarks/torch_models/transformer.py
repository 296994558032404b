"""Attention and what is built of it, as used by more than one system."""

from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional as F

from refmer.layers.sequence import sinusoidal
from torch_models.loading import Stacked


class Attention(nn.Module):
    """Multi-head attention; the query, key and value maps of one sequence are one product, as in nn.MultiheadAttention."""

    def __init__(self, width, heads, dropout, cross=False):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        roles = [("query",), ("key", "value")] if cross else [("query", "key", "value")]
        self.maps = nn.ModuleList(Stacked(width, width, *names) for names in roles)
        self.out = nn.Linear(width, width)

    def forward(self, *sequences, mask=None):
        """One sequence (B, T, C), or one of queries and one of keys and values; mask (B, S) is True for valid keys."""
        maps = zip(self.maps, sequences, strict=True)
        q, k, v = (z for project, x in maps for z in self.split(project(x), len(project.names)))
        mask = None if mask is None else mask[:, None, None]
        y = F.scaled_dot_product_attention(q, k, v, mask, self.dropout if self.training else 0.0)
        return self.out(y.transpose(1, 2).flatten(2))

    def split(self, x, parts):
        """(B, T, parts C) -> parts times (B, H, T, D)."""
        return x.unflatten(-1, (parts, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind()


class FeedForward(nn.Module):
    def __init__(self, width, hidden, dropout, activation=F.relu):
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.activation, self.dropout = activation, nn.Dropout(dropout)

    def forward(self, x):
        return self.down(self.dropout(self.activation(self.up(x))))


class MLP(nn.Module):
    def __init__(self, *widths, dropout=0.0):
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(*pair) for pair in zip(widths[:-1], widths[1:], strict=True))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        for linear in self.maps[:-1]:
            x = self.dropout(F.relu(linear(x)))
        return self.maps[-1](x)


class PreNormLayer(nn.Module):
    """Attention and a feed-forward part, layer norm before each; the norm of queries is that of a memory too."""

    def __init__(self, width, hidden, heads, dropout, relu_dropout, cross):
        super().__init__()
        self.attend, self.norm1 = Attention(width, heads, dropout, cross), nn.LayerNorm(width)
        self.ffn, self.norm2 = FeedForward(width, hidden, relu_dropout), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, *memory, mask=None):
        x = x + self.dropout(self.attend(*map(self.norm1, (x, *memory)), mask=mask))
        return x + self.dropout(self.ffn(self.norm2(x)))


class Encoder(nn.Module):
    """The encoder of MulT: scaled input, pre-norm layers, a last norm."""

    def __init__(self, width, hidden, heads, layers, dropout, relu_dropout, embed_dropout, cross=False):
        super().__init__()
        self.scale, self.dropout = width**0.5, nn.Dropout(embed_dropout)
        sizes = width, hidden, heads, dropout, relu_dropout, cross
        self.layers = nn.ModuleList(PreNormLayer(*sizes) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x, *memory, mask=None, positions=None):
        x = self.dropout(self.scale * x if positions is None else self.scale * x + positions)
        memory = [self.dropout(self.scale * m) for m in memory]
        for layer in self.layers:
            x = layer(x, *memory, mask=mask)
        return self.norm(x)


@lru_cache
def positions(length, width, dtype):
    """Sinusoidal positions (length, width), made once."""
    return torch.as_tensor(sinusoidal(length, width), dtype=dtype)


def masked_softmax(x, mask):
    """Softmax over the entries where the mask is True; 0 if there is none."""
    return x.masked_fill(~mask, torch.finfo(x.dtype).min).softmax(-1) * mask
