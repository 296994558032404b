"""RAVER (paper 004) in PyTorch."""

import torch
from torch import nn
from torch.nn import functional as F

from torch_models import loading
from torch_models.transformer import MLP, Attention, Encoder, FeedForward, positions

MODALITIES = ("audio", "visual")


class LayerSum(nn.Module):
    """Weighted sum of the layers of a speech model.   (B, T, L, D) -> (B, T, D)."""

    def __init__(self, layers):
        super().__init__()
        self.score = nn.Parameter(torch.zeros(layers))

    def forward(self, x):
        return torch.einsum("l,btld->btd", self.score.softmax(0), x)


class DecoderLayer(nn.Module):
    """Queries attend to each other, then to the frames. Dropout as in SparseSync: none inside the feed-forward part."""

    def __init__(self, width, hidden, heads, dropout):
        super().__init__()
        self.norm1, self.attend = nn.LayerNorm(width), Attention(width, heads, dropout)
        self.norm2, self.cross = nn.LayerNorm(width), Attention(width, heads, dropout, cross=True)
        self.norm3, self.ffn = nn.LayerNorm(width), FeedForward(width, hidden, 0.0, F.gelu)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, context, mask, blind):
        x = x + self.dropout(self.attend(self.norm1(x)))
        read = self.cross(self.norm2(x), context, mask=mask).masked_fill(blind, 0)
        x = x + self.dropout(read)
        return x + self.dropout(self.ffn(self.norm3(x)))


class Summary(nn.Module):
    """Learned queries attend to a sequence.   (B, T, C) -> (B, N, C)."""

    def __init__(self, config):
        super().__init__()
        self.queries, self.dropout = nn.Embedding(config.n_context, config.width), nn.Dropout(config.dropout)
        sizes = config.width, config.hidden, config.heads, config.dropout
        self.layers = nn.ModuleList(DecoderLayer(*sizes) for _ in range(config.summary_layers))

    def forward(self, x, mask):
        queries, context = self.dropout(self.queries.weight.expand(len(x), -1, -1)), self.dropout(x)
        blind = ~mask.any(1)[:, None, None]  # without frames not even the bias is added
        for layer in self.layers:
            queries = layer(queries, context, mask, blind)
        return queries


class StatisticsPool(nn.Module):
    """Attentive mean and standard deviation.   (B, T, C) -> (B, 2 C)."""

    def __init__(self, width):
        super().__init__()
        self.hidden, self.score = nn.Linear(width, width), nn.Linear(width, 1, bias=False)

    def forward(self, x):
        a = self.score(torch.tanh(self.hidden(x))).softmax(1)
        mean = (a * x).sum(1, keepdim=True)
        var = (a * (x - mean) ** 2).sum(1)
        return torch.cat([mean[:, 0], var.clamp(min=1e-5).sqrt()], -1)


class Branch(nn.Module):
    """The layers of one modality."""

    def __init__(self, n_in, layers, config):
        super().__init__()
        d = config.width
        if layers:
            self.layers = LayerSum(layers)
        if not layers or n_in != d:
            self.project = nn.Linear(n_in, d)
        self.summary = Summary(config)
        sizes = d, config.encoder_hidden, config.heads, config.layers, config.dropout, 0.0, config.embed_dropout
        self.cross, self.encode = Encoder(*sizes, cross=True), Encoder(*sizes)
        self.pool, self.reduce = StatisticsPool(d), nn.Linear(2 * d, d)

    def summarize(self, x, mask):
        x = self.layers(x) if hasattr(self, "layers") else x
        x = self.project(x) if hasattr(self, "project") else x
        return self.summary(x + positions(*x.shape[1:], x.dtype), mask)

    def fuse(self, summary, other):
        return self.reduce(self.pool(self.encode(self.cross(summary, other))))


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        loading.demand_classes(config)
        loading.demand_defaults(config, "positions", "summarizer", "mask_context", "head", "output")
        loading.demand_defaults(config, "balance", "beta", "normalise", "modality_dropout")
        self.audio = Branch(config.audio, config.audio_layers, config)
        self.visual = Branch(config.visual, 0, config)
        self.head = MLP(2 * config.width, *config.head_hidden, config.classes)

    def forward(self, batch):
        audio = self.audio.summarize(batch["audio"], batch["audio_mask"])
        visual = self.visual.summarize(batch["visual"], batch["visual_mask"])
        h = torch.cat([self.audio.fuse(audio, visual), self.visual.fuse(visual, audio)], -1)
        return {"logits": self.head(h)}


def loss(out, batch, config):
    """Cross-entropy with soft targets, classes weighted by their effective number of clips, beta = 1 - 1 / N."""
    counts = batch["class_count"]
    weight = -1 / torch.expm1(counts * torch.log1p(-1 / counts.sum()))
    return F.cross_entropy(out["logits"], batch["target"], weight * len(weight) / weight.sum())


pairs, load = loading.pairs, loading.load
