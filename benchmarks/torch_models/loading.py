"""Correspondence of the tensors of a torch module and the leaves of refmer's parameters.

Submodules have refmer's names, so that their paths agree; names and layouts inside them differ.
"""

import torch
from torch import nn


class Stacked(nn.Linear):
    """Several linear maps of one input in one product, their outputs side by side; `names` are those of refmer."""

    def __init__(self, n_in, n_out, *names, bias=True):
        super().__init__(n_in, len(names) * n_out, bias)
        self.names = names


def _same(x):
    return x


NORM = {"weight": ("gamma", _same), "bias": ("beta", _same)}
VIEWS = {
    nn.Linear: {"weight": ("W", torch.t), "bias": ("b", _same)},
    nn.Embedding: {"weight": ("W", _same)},
    nn.LayerNorm: NORM,
    nn.BatchNorm1d: NORM | {"running_mean": ("mean", _same), "running_var": ("var", _same)},
    nn.Conv1d: {"weight": ("W", lambda w: w.permute(2, 1, 0)), "bias": ("b", _same)},
    nn.Conv2d: {"weight": ("W", lambda w: w.permute(2, 3, 1, 0)), "bias": ("b", _same)},
}


def pairs(model):
    """Return {path in refmer: (tensor, view)}: view(tensor), or view(tensor.grad), has refmer's order of axes.

    Taps and channels of a convolution remain two axes, which are one in refmer.
    """
    result = {}
    for path, module in model.named_modules():
        tensors = {**dict(module.named_parameters(recurse=False)), **dict(module.named_buffers(recurse=False))}
        tensors.pop("num_batches_tracked", None)  # of batch norm, not in refmer
        kind = nn.Linear if isinstance(module, nn.Linear) else type(module)
        for name, tensor in tensors.items():
            leaf, view = VIEWS.get(kind, {}).get(name, (name, _same))
            if isinstance(module, Stacked):
                above = path.rpartition(".")[0].removesuffix(".maps")
                result |= {f"{above}.{part}.{leaf}": (tensor, _part(module, part, view)) for part in module.names}
            else:
                result[f"{path}.{leaf}"] = tensor, view
    return result


def _part(stacked, name, view):
    """Return the view of one of the maps."""
    names = stacked.names
    return lambda x: view(x.chunk(len(names))[names.index(name)])


def load(model, named):
    """Copy refmer's parameters {path: array} into the model.

    Raises
    ------
    ValueError
        If names are missing or unknown, or sizes differ.
    """
    copy(pairs(model), named)


def copy(pairs, named):
    """Copy refmer's parameters {path: array} into the tensors of `pairs`."""
    if set(pairs) != set(named):
        raise ValueError(f"parameters do not fit: {sorted(set(pairs) ^ set(named))[:6]} are on one side only")
    with torch.no_grad():
        for path, (tensor, view) in pairs.items():
            part = view(tensor)
            if part.numel() != named[path].size:
                raise ValueError(f"parameter {path} has shape {named[path].shape}; accepted: {tuple(part.shape)}")
            part.copy_(torch.as_tensor(named[path]).reshape(part.shape))


def demand_classes(config):
    """Raise ValueError for a regression."""
    if config.task == "regression":
        raise ValueError(f"task is {config.task!r}; accepted by the torch model: classes, votes, ordinal")


def demand_defaults(config, *switches):
    """Raise ValueError unless the switches are those of the tiny configuration."""
    tiny = type(config).tiny()
    for name in switches:
        if getattr(config, name) != getattr(tiny, name):
            raise ValueError(f"{name} is {getattr(config, name)!r}; accepted by the torch model: {getattr(tiny, name)!r}")
