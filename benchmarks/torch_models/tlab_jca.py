"""TLAB-JCA (paper 003) in PyTorch, with the switches of the tiny config of refmer/systems/tlab_jca.py.

Padding is at the end of a clip.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from torch_models.loading import copy, demand_defaults

SIZE = 3  # of every convolution


class Model(nn.Module):
    """batch: audio (B, S, F, mel), visual (B, S, F, h, w), or (B, S, A) and (B, S, N, V), masks (B, S).

    -> out: logits (B, S, K) of a regression over time, (B, K) of classes of clips.
    """

    def __init__(self, config):
        super().__init__()
        demand_defaults(config, "bands_as_channels", "face_encoder", "variant", "tcn", "lstm")
        demand_defaults(config, "attention", "residual", "band", "pooled", "ddof")
        if config.over_time != (config.task == "regression"):
            raise ValueError(
                f"over_time is {config.over_time}; accepted by the torch model: a regression over time, classes of clips"
            )
        C = config.width
        self.steps, self.over_time, self.encode_sound, self.encode_face = config.steps, config.over_time, None, None
        if config.encoders:
            self.encode_sound = Trunk(config.sound[-1], (*config.sound_trunk, C))
            self.encode_face = Patches(config.face, C)
        elif config.sound[-1] != C:
            self.encode_sound = nn.Linear(config.sound[-1], C)
        self.audio, self.visual = TLAB(config), TLAB(config)
        self.avga = AVGA(C if config.encoders else config.face[-1], C, config.positions)
        self.fuse_audio, self.fuse_visual = JointCrossAttention(config), JointCrossAttention(config)
        drop = config.dropout_lstm if config.joint_layers > 1 else 0.0
        self.join = nn.LSTM(2 * C, config.joint // 2, config.joint_layers, batch_first=True, dropout=drop, bidirectional=True)
        first, last = nn.Linear(config.joint, config.head), nn.Linear(config.head, config.classes)
        self.head = nn.Sequential(first, nn.ReLU(), nn.Dropout(config.dropout_head), last)

    def forward(self, batch):
        sound, face, audible, visible = (batch[name] for name in ("audio", "visual", "audio_mask", "visual_mask"))
        B, S = audible.shape
        if self.encode_face is not None:
            sound = each(self.encode_sound, sound.transpose(2, 3).unsqueeze(-1), audible).mean((-1, -2))  # (B, S, C)
            face = each(self.encode_face, face, visible)  # (B, S, N, C)
        elif self.encode_sound is not None:
            sound = hide(self.encode_sound(sound), audible)
        sound, face, audible, visible = (fold(z, self.steps) for z in (sound, face, audible, visible))
        valid = audible | visible
        a = self.audio(sound, audible)
        x = self.avga(face, a)
        v = self.visual(x, visible)
        ha, hv = hide(a, valid), hide(v, valid)
        joint = torch.cat([ha, hv], -1)
        fa = self.fuse_audio(ha, joint) + hide(sound, audible)  # the residual: the input of TLAB
        fv = self.fuse_visual(hv, joint) + hide(x, visible)
        h = blstm(self.join, torch.cat([fv, fa], -1), valid).unflatten(0, (B, -1)).flatten(1, 2)  # 0 where not valid
        if self.over_time:
            return {"logits": self.head(h)[:, :S]}
        return {"logits": self.head(h.sum(1) / valid.reshape(B, -1).sum(1, keepdim=True).clamp(min=1))}


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels at each position.   x (B, C, ...)."""

    def forward(self, x):
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


def image_convolution(n_in, n_out, stride=1):
    return nn.Conv2d(n_in, n_out, SIZE, stride, padding=SIZE // 2)


class Patches(nn.Module):
    """relu of a linear map for each of nine patches of the images.   x (B, F, h, w) -> (B, N, C)."""

    def __init__(self, shape, width):
        super().__init__()
        parts = patches(torch.zeros(shape))
        self.maps = nn.ModuleList(nn.Linear(part.numel(), width) for part in parts)

    def forward(self, x):
        return torch.relu(torch.stack([linear(part.flatten(1)) for linear, part in zip(self.maps, patches(x), strict=True)], 1))


def patches(x):
    """The nine parts of images (..., h, w), row by row; neighbours share pixels where three does not divide a side."""
    rows, columns = ([(i * n // 3, -(-(i + 1) * n // 3)) for i in range(3)] for n in x.shape[-2:])
    return [x[..., top:bottom, left:right] for top, bottom in rows for left, right in columns]


class Trunk(nn.Sequential):
    """Stem with stride 2, a residual block with stride 1, then one with stride 2 per further width."""

    def __init__(self, n_in, widths):
        blocks = [Residual(widths[0], widths[0], 1)]
        blocks += [Residual(a, b, 2) for a, b in zip(widths[:-1], widths[1:], strict=True)]
        super().__init__(image_convolution(n_in, widths[0], 2), ChannelNorm(widths[0]), nn.ReLU(), *blocks)


class Residual(nn.Module):
    """y = relu(LN(conv(relu(LN(conv(x))))) + skip(x))."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        first, second = image_convolution(n_in, n_out, stride), image_convolution(n_out, n_out)
        self.body = nn.Sequential(first, ChannelNorm(n_out), nn.ReLU(), second, ChannelNorm(n_out))
        self.skip = nn.Identity() if n_in == n_out and stride == 1 else nn.Conv2d(n_in, n_out, 1, stride)

    def forward(self, x):
        return torch.relu(self.body(x) + self.skip(x))


class TLAB(nn.Module):
    """y = A_G (A_L v), with queries from an LSTM keys and values from a TCN; eq. (1)-(6).   x (B, T, C), valid (B, T)."""

    def __init__(self, config):
        super().__init__()
        C, layers = config.width, config.lstm_layers
        self.lstm = nn.LSTM(C, C, layers, batch_first=True, dropout=config.dropout_lstm if layers > 1 else 0.0)
        self.tcn = nn.ModuleList(TCNBlock(C, dilation, config.dropout_tcn) for dilation in config.dilations)
        self.query, self.key_value = nn.Linear(C, C, bias=False), nn.Linear(C, 2 * C, bias=False)

    def forward(self, x, valid):
        h = x.transpose(1, 2)
        for block in self.tcn:
            h = block(h)
        q = self.query(hide(self.lstm(x)[0], valid)).unsqueeze(1)  # one head: (B, 1, T, C)
        k, v = self.key_value(h.transpose(1, 2)).unsqueeze(1).chunk(2, -1)
        mask = valid[:, None, None]
        inner = F.scaled_dot_product_attention(k, q, v, mask)
        return F.scaled_dot_product_attention(q, k, inner, mask).squeeze(1)


class TCNBlock(nn.Module):
    """y = relu(F(x) + x), F twice drop(relu(causal convolution)).   x (B, C, T): padding at the end reaches no valid step."""

    def __init__(self, width, dilation, rate):
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv1d(width, width, SIZE, dilation=dilation) for _ in range(2))
        self.drop = nn.Dropout(rate)
        self.before = dilation * (SIZE - 1)

    def forward(self, x):
        h = self.drop(torch.relu(self.conv1(F.pad(x, (self.before, 0)))))
        h = self.drop(torch.relu(self.conv2(F.pad(h, (self.before, 0)))))
        return torch.relu(h + x)


class AVGA(nn.Module):
    """Audio-guided attention over positions of the frame.   visual (B, T, N, V), audio (B, T, C) -> (B, T, C)."""

    def __init__(self, visual, width, hidden):
        super().__init__()
        self.visual, self.audio, self.out = nn.Linear(visual, width), nn.Linear(width, width), nn.Linear(visual, width)
        self.from_visual, self.from_audio = (nn.Linear(width, hidden, bias=False) for _ in range(2))
        self.score = nn.Linear(hidden, 1, bias=False)

    def forward(self, visual, audio):
        m = self.from_visual(torch.relu(self.visual(visual)))
        n = self.from_audio(torch.relu(self.audio(audio)))
        a = self.score(torch.tanh(m + n.unsqueeze(2))).softmax(2)  # (B, T, N, 1)
        return self.out((a * visual).sum(2))


class JointCrossAttention(nn.Module):
    """y = (H W_H)^T, H = relu(x^T W_x + C W_C), C = tanh(x^T W_J J / sqrt(D)), eq. (9)-(11).   x (B, T, C), J (B, T, D)."""

    def __init__(self, config):
        super().__init__()
        T, D, hidden = config.steps, 2 * config.width, config.hidden
        self.correlate, self.time = nn.Linear(T, T, bias=False), nn.Linear(T, hidden, bias=False)
        self.relate, self.expand = nn.Linear(D, hidden, bias=False), nn.Linear(hidden, T, bias=False)
        self.scale = D**-0.5

    def forward(self, x, joint):
        xt = x.transpose(1, 2)
        c = torch.tanh(self.correlate(xt) @ joint * self.scale)  # (B, C, D)
        h = torch.relu(self.time(xt) + self.relate(c))
        return self.expand(h).transpose(1, 2)


def each(encode, x, valid):
    """encode on every valid sub-sequence; 0 for the others.   x (B, S, ...), valid (B, S)."""
    y = encode(x[valid])
    full = y.new_zeros(*valid.shape, *y.shape[1:])
    full[valid] = y
    return full


def fold(x, steps):
    """Consecutive windows, the last one filled with 0.   x (B, S, ...) -> (B W, steps, ...)."""
    fill = -x.shape[1] % steps
    if fill:
        x = torch.cat([x, x.new_zeros(len(x), fill, *x.shape[2:])], 1)
    return x.reshape(-1, steps, *x.shape[2:])


def hide(x, valid):
    """0 where not valid.   x (B, T, C)."""
    return x * valid.unsqueeze(-1)


def blstm(lstm, x, valid):
    """The backward direction begins at the last valid step.   x (B, T, C), valid (B, T)."""
    length = valid.sum(1).clamp(min=1).cpu()  # an empty window is read, and hidden
    packed = pack_padded_sequence(x, length, batch_first=True, enforce_sorted=False)
    y, _ = pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=x.shape[1])
    return hide(y, valid)


def loss(out, batch, config):
    """L = 1 - (rho_v + rho_a) / 2 over all valid steps of the batch, eq. (15)-(16); of classes, balanced cross-entropy."""
    if config.task != "regression":
        counts = batch["class_count"]
        weight = torch.where(counts > 0, counts.sum() / ((counts > 0).sum() * counts), 0)
        return F.cross_entropy(out["logits"], batch["target"], weight)
    x, y = out["logits"][batch["target_mask"]], batch["target"][batch["target_mask"]]  # (N, 2)
    (var_x, mean_x), (var_y, mean_y) = (torch.var_mean(z, 0, correction=0) for z in (x, y))
    covariance = ((x - mean_x) * (y - mean_y)).mean(0)
    return 1 - (2 * covariance / (var_x + var_y + (mean_x - mean_y) ** 2)).mean()


def load(model, named):
    """Copy refmer's parameters, {path: array}, into the model."""
    copy(pairs(model), named)


def pairs(model):
    """Return {path in refmer: (parameter, its view in refmer's order of axes)}; one parameter may have several paths."""
    result = {}
    if model.encode_face is not None:
        result = _trunk("encoders.sound", model.encode_sound)
        for n, part in enumerate(model.encode_face.maps):
            result |= _map(f"encoders.face.maps.{n}", part)
    elif model.encode_sound is not None:
        result = _map("encoders.sound", model.encode_sound)
    for name in ("audio", "visual"):
        part, fuse = getattr(model, name), getattr(model, f"fuse_{name}")
        result |= _lstm(f"{name}.lstm", part.lstm)
        for i, block in enumerate(part.tcn):
            result |= _map(f"{name}.tcn.blocks.{i}.conv1", block.conv1) | _map(f"{name}.tcn.blocks.{i}.conv2", block.conv2)
        result |= _map(f"{name}.attention.query", part.query)
        for k, role in enumerate(("key", "value")):
            result[f"{name}.attention.{role}.W"] = part.key_value.weight, lambda w, k=k: w.chunk(2)[k].T
        for role in ("correlate", "time", "relate", "expand"):
            result |= _map(f"fuse.{name}.{role}", getattr(fuse, role))
    for role in ("visual", "audio", "from_visual", "from_audio", "score", "out"):
        result |= _map(f"avga.{role}", getattr(model.avga, role))
    result |= _lstm("join", model.join)
    return result | _map("head.maps.0", model.head[0]) | _map("head.maps.1", model.head[-1])


def _trunk(path, trunk):
    stem, norm, _, *blocks = trunk
    result = _map(f"{path}.stem", stem) | _norm(f"{path}.norm", norm)
    for i, block in enumerate(blocks):
        conv1, norm1, _, conv2, norm2 = block.body
        at = f"{path}.blocks.{i}"
        result |= _map(f"{at}.conv1", conv1) | _norm(f"{at}.norm1", norm1)
        result |= _map(f"{at}.conv2", conv2) | _norm(f"{at}.norm2", norm2)
        if not isinstance(block.skip, nn.Identity):
            result |= _map(f"{at}.skip", block.skip)
    return result


def _map(path, part):
    """A linear map or a convolution: (out, in, taps...) is (taps..., in, out) in refmer."""
    weight = {f"{path}.W": (part.weight, lambda w: w.movedim((1, 0), (-2, -1)))}
    return weight if part.bias is None else weight | {f"{path}.b": (part.bias, torch.detach)}


def _norm(path, part):
    return {f"{path}.gamma": (part.weight, torch.detach), f"{path}.beta": (part.bias, torch.detach)}


def _lstm(path, part):
    result = {}
    for k in range(part.num_layers):
        for way, end in enumerate(("", "_reverse")[: 1 + part.bidirectional]):
            for name, short in (("inputs", "ih"), ("hidden", "hh")):
                at = f"{path}.layers.{k}.{way}.{name}"
                result[f"{at}.W"] = getattr(part, f"weight_{short}_l{k}{end}"), torch.t
                result[f"{at}.b"] = getattr(part, f"bias_{short}_l{k}{end}"), torch.detach
    return result
