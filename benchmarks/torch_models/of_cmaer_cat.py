"""OF-CMAER-CAT (paper 001) in PyTorch.

The maps of alignment and weighting are shared by the modalities, so the steps of all modalities stand side by side, (B, S, C):
`kind` (S) says whose a step is, and `share` (B, M, S) @ x is the mean over the valid steps of each modality.
"""

import torch
from torch import nn
from torch.nn import functional as F

from torch_models import loading
from torch_models.tlab_jca import Patches
from torch_models.transformer import MLP, Encoder, masked_softmax, positions


class FaceEncoder(nn.Module):
    """Nine patches of each frame with maps of their own; a convolution over time."""

    def __init__(self, size, width):
        super().__init__()
        self.image = Patches((1, *size), width)
        self.time = nn.Conv1d(len(self.image.maps) * width, width, 3, padding=1)

    def forward(self, x, mask):
        h = self.image(x.flatten(0, 1)[:, None]).flatten(1).unflatten(0, mask.shape).transpose(1, 2)
        return (self.time(h * mask[:, None]) * mask[:, None]).transpose(1, 2)


class SoundEncoder(nn.Module):
    def __init__(self, n_in, width):
        super().__init__()
        self.conv1 = nn.Conv1d(n_in, width, 5, padding=2)
        self.conv2 = nn.Conv1d(width, width, 5, padding=2)
        self.conv3 = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, x, mask):
        h, mask = x.transpose(1, 2), mask[:, None]
        for conv in (self.conv1, self.conv2):
            h = F.max_pool1d(F.relu(conv(h * mask)) * mask, 2, ceil_mode=True)
            mask = mask[..., ::2]
        return (self.conv3(h * mask) * mask).transpose(1, 2)


class SequenceEncoder(nn.Module):
    def __init__(self, n_in, width):
        super().__init__()
        self.conv1 = nn.Conv1d(n_in, width, 3, padding=1)
        self.conv2 = nn.Conv1d(width, width, 3, padding=1)

    def forward(self, x, mask):
        h, mask = x.transpose(1, 2), mask[:, None]
        h = F.relu(self.conv1(h * mask))
        return (self.conv2(h * mask) * mask).transpose(1, 2)


class Projection(nn.Linear):
    """A linear map of each frame, in place of an encoder."""

    def forward(self, x, mask):
        return super().forward(x) * mask[..., None]


class CMAA(nn.Module):
    """Cross-modal attention alignment."""

    def __init__(self, width, hidden):
        super().__init__()
        self.qkv = loading.Stacked(width, width, "query", "key", "value", bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.compatibility = nn.Linear(width, width, bias=False)
        self.gate, self.norm = MLP(2 * width, hidden, width), nn.LayerNorm(width)

    def forward(self, x, means, valid, present, kind):
        others = present[:, :, None] & present[:, None] & ~torch.eye(present.shape[1], dtype=torch.bool)
        alpha = masked_softmax(self.compatibility(means) @ means.transpose(1, 2), others)[:, kind]  # (B, S, M)
        q, k, v = self.qkv(x).chunk(3, -1)
        lengths, mixed = kind.bincount().tolist(), 0
        for j, (kj, vj, mask) in enumerate(zip(*(z.split(lengths, 1) for z in (k, v, valid)), strict=True)):
            heads = q[:, None], kj[:, None], vj[:, None], mask[:, None, None]
            mixed = mixed + alpha[..., j, None] * F.scaled_dot_product_attention(*heads)[:, 0]
        mixed = self.out(mixed)
        return self.norm(x + torch.sigmoid(self.gate(torch.cat([x, mixed], -1))) * mixed)


class AWOM(nn.Module):
    """Adaptive weights of the modalities, from the means and variances of their steps.   -> (B, M)."""

    def __init__(self, width, hidden):
        super().__init__()
        self.score = MLP(2 * width, hidden, 1)

    def forward(self, x, means, share, present, kind):
        variances = share @ (x - means[:, kind]) ** 2
        return masked_softmax(self.score(torch.cat([means, variances], -1))[..., 0], present)


class Context(nn.Module):
    """A Transformer over all steps of all modalities."""

    def __init__(self, config):
        super().__init__()
        self.modality = nn.Embedding(len(config.modalities), config.width)
        rates = [config.dropout] * 3
        self.encoder = Encoder(config.width, config.ffn, config.heads, config.layers, *rates)

    def forward(self, x, valid, kind):
        table = torch.cat([positions(n, x.shape[-1], x.dtype) for n in kind.bincount().tolist()])
        return self.encoder(x + self.modality.weight[kind], mask=valid, positions=table)


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        loading.demand_classes(config)
        loading.demand_defaults(config, "face", "cmaa", "awom", "transformer", "mask_attention")
        loading.demand_defaults(config, "literal_entropy", "balanced")
        if not config.reconstruction:
            raise ValueError("reconstruction is 0; accepted by the torch model: above 0")
        d, M = config.width, len(config.modalities)
        self.config = config
        self.encoders = nn.ModuleDict({m: encoder(m, config) for m in config.modalities})
        self.cmaa, self.awom = CMAA(d, config.hidden), AWOM(d, config.hidden)
        self.decoder, self.context = nn.Linear(d, M * d), Context(config)
        self.norm = nn.LayerNorm(M * d)
        self.head = MLP(M * d, config.head, config.classes, dropout=config.head_dropout)

    def forward(self, batch):
        x = torch.cat([encode(batch[m], batch[f"{m}_mask"]) for m, encode in self.encoders.items()], 1)
        steps = masks(batch, self.config)
        kind = torch.cat([torch.full((mask.shape[1],), i) for i, mask in enumerate(steps)])
        valid = torch.cat(steps, 1)
        inside = valid[:, None] & (kind == torch.arange(len(steps))[:, None])  # (B, M, S)
        present = inside.any(-1)
        share = inside.to(x.dtype) / inside.sum(-1, keepdim=True).clamp(min=1)

        means = share @ x
        aligned = self.cmaa(x, means, valid, present, kind)
        w = self.awom(x, means, share, present, kind)
        h = (w[:, None] @ (share @ aligned))[:, 0]
        z = share @ self.context(w[:, kind, None] * aligned, valid, kind)
        decoded = self.decoder(h).view_as(means)
        return {"logits": self.head(self.norm(z.flatten(1))), "weights": w, "means": means, "decoded": decoded}


def encoder(modality, config):
    """Return the encoder of a modality."""
    size = getattr(config, modality)
    if not config.encoders:
        return Projection(size[0] if modality == "visual" else size, config.width)
    kinds = {"visual": FaceEncoder, "audio": SoundEncoder}
    return kinds.get(modality, SequenceEncoder)(size, config.width)


def masks(batch, config):
    """Return the masks of the steps that each encoder returns."""
    return [batch[f"{m}_mask"][:, :: 4 if m == "audio" and config.encoders else 1] for m in config.modalities]


def info_nce(features, present, temperature):
    """InfoNCE: positives are the other modalities of the same clip, negatives those of other clips.   features (B, M, C)."""
    B, M, _ = features.shape
    z = F.normalize(features, dim=-1).transpose(0, 1)
    s = z[:, None] @ z[None].transpose(-1, -2) / temperature  # (M, M, B, B)
    present = present.T
    itself = torch.eye(B, dtype=torch.bool)
    logp = s.masked_fill(~(present[:, None] | itself), -torch.inf).log_softmax(-1).diagonal(dim1=2, dim2=3)
    counted = present[:, None] & present & ~torch.eye(M, dtype=torch.bool)[..., None]  # (M, M, B)
    return -(logp * counted).sum() / counted.sum().clamp(min=1)


def loss(out, batch, config):
    present = torch.stack([mask.any(1) for mask in masks(batch, config)], 1)
    w, error = out["weights"], (out["decoded"] - out["means"].detach()) * present[..., None]
    reconstruction = (error**2).sum() / (present.sum().clamp(min=1) * error.shape[-1])
    entropy = (w * torch.log(w + 1e-8)).sum(1).mean()
    return (
        config.classification * F.cross_entropy(out["logits"], batch["target"])
        + config.contrastive * info_nce(out["means"], present, config.temperature)
        + config.reconstruction * reconstruction
        + config.entropy * entropy
    )


pairs, load = loading.pairs, loading.load
