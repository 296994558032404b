"""OpenFace-Adaptive (paper 000) in PyTorch."""

import torch
from torch import nn
from torch.nn import functional as F

from torch_models import loading
from torch_models.transformer import MLP, Attention, FeedForward


class Gate(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.hidden, self.score = nn.Linear(width, hidden), nn.Linear(hidden, 1)

    def forward(self, x):
        s = self.score(F.relu(self.hidden(x)))
        return x * torch.sigmoid(s), s


class Node(nn.Module):
    """One modality: batch norm, projection, ReLU; with a gate, also its score."""

    def __init__(self, n_in, config, gated):
        super().__init__()
        self.norm, self.project = nn.BatchNorm1d(n_in), nn.Linear(n_in, config.width)
        self.gate = Gate(config.width, config.gate_hidden) if gated else nn.Identity()

    def forward(self, x):
        return self.gate(F.relu(self.project(self.norm(x))))


class PostNormLayer(nn.Module):
    """nn.TransformerEncoderLayer without its run-time checks."""

    def __init__(self, width, hidden, heads, dropout):
        super().__init__()
        self.attend, self.norm1 = Attention(width, heads, dropout), nn.LayerNorm(width)
        self.ffn, self.norm2 = FeedForward(width, hidden, dropout), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        x = self.norm1(x + self.dropout(self.attend(x)))
        return self.norm2(x + self.dropout(self.ffn(x)))


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        loading.demand_classes(config)
        loading.demand_defaults(config, "modalities", "gate", "gate_text", "transformer", "modality_embedding", "hide_missing")
        loading.demand_defaults(config, "literal_focal")
        self.visual = Node(config.visual, config, gated=True)
        self.audio = Node(config.audio, config, gated=True)
        self.text = Node(config.text, config, gated=False)
        sizes = config.width, config.hidden, config.heads, config.dropout
        self.layers = nn.Sequential(*(PostNormLayer(*sizes) for _ in range(config.layers)))
        self.head = MLP(3 * config.width, config.head, config.classes, dropout=config.head_dropout)

    def forward(self, batch):
        (visual, s_visual), (audio, s_audio), text = (getattr(self, m)(batch[m]) for m in ("visual", "audio", "text"))
        logits = self.head(self.layers(torch.stack([visual, audio, text], 1)).flatten(1))
        return {"logits": logits, "scores": torch.cat([s_visual, s_audio], 1)}


def loss(out, batch, config):
    """Focal loss with soft targets, and the cross-entropy of the gates' scores where the states of the sensors are known."""
    counts = batch["class_count"]
    weight = torch.where(counts > 0, counts.sum() / ((counts > 0).sum() * counts), 0) if config.balanced else 1.0
    logp = F.log_softmax(out["logits"], -1)
    value = -(weight * batch["target"] * (1 - logp.exp()) ** config.gamma * logp).sum(-1).mean()
    if "visual_state" not in batch:
        return value
    states = torch.stack([batch[f"{m}_state"] * batch[f"{m}_mask"] for m in ("visual", "audio")], 1)
    return value + config.reliability * F.binary_cross_entropy_with_logits(out["scores"], states)


pairs, load = loading.pairs, loading.load
