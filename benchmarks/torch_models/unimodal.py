"""One modality alone (paper 002, baseline 4) in PyTorch, with the tiny switches of refmer/baselines/unimodal.py."""

from torch import nn
from torch.nn import functional as F

from torch_models import auxformer
from torch_models.auxformer import LONGEST, PASSES, Encoder, Head, lengths, mean, sight, sinusoidal
from torch_models.loading import copy, demand_classes, demand_defaults


class Model(nn.Module):
    """batch: the modality (B, T, D) and its mask -> out: logits (B, K), and those of the branches: main, auxiliary."""

    def __init__(self, config):
        super().__init__()
        demand_classes(config)
        demand_defaults(config, "audio_conv", "positions", "causal", "hide_padding", "token", "mix", "positions_within")
        C, self.modality = config.width, config.modality
        self.project = nn.Linear(getattr(config, self.modality), C, bias=False)
        self.within, self.auxiliary = Encoder(config, config.drop_self, learned=True), Encoder(config, config.drop_self)
        self.head, self.auxiliary_head = Head(C, (C,), config), Head(C, config.auxiliary_hidden, config)
        self.register_buffer("positions", sinusoidal(LONGEST, C), persistent=False)

    def forward(self, batch):
        valid = batch[f"{self.modality}_mask"]
        n = lengths(valid)
        inside = sight(n, n, valid, valid)
        x = self.project(batch[self.modality])
        h = self.within(x, inside, place=self.positions[: x.shape[1]].to(x.dtype))
        for _ in range(PASSES):
            x = self.auxiliary(x, inside)
        main, alone = self.head(mean(h, valid)), self.auxiliary_head(mean(x, valid))
        return {"logits": (main + alone) / 2, "main": main, "auxiliary": alone}


def loss(out, batch, config):
    """The mean of the two branches' cross-entropies, with soft targets."""
    return sum(F.cross_entropy(out[branch], batch["target"]) for branch in ("main", "auxiliary")) / 2


def load(model, named):
    """Copy refmer's parameters, {path: array}, into the model."""
    copy(pairs(model), named)


def pairs(model):
    """As auxformer.pairs."""
    result = {"sequence.project.W": (model.project.weight, lambda w: w.T)}
    result |= auxformer.encoder("main.within", model.within) | auxformer.head("main.head", model.head)
    return (
        result
        | auxformer.encoder("auxiliary.encoder", model.auxiliary)
        | auxformer.head("auxiliary.head", model.auxiliary_head)
    )
