"""Tensor fusion network (Zadeh et al. 2017), named in papers 000 and 001: products of features of any subset of modalities.

A vector z_m per modality -> [z_V; 1] x [z_A; 1] x [z_T; 1] -> MLP -> classes. As in that paper, an LSTM reads the words and the
other modalities are means over the clip; `recurrent` changes this.
"""

from dataclasses import dataclass

from refmer.baselines import concatenation
from refmer.layers.dense import describe_linear, dropout, linear
from refmer.layers.fusion import describe_tensor_fusion, tensor_fusion
from refmer.layers.sequence import describe_lstm, last_valid_step, lstm, mean_pool
from refmer.ops.activations import relu, relu_backward
from refmer.ops.contracts import closure

MODALITIES = concatenation.MODALITIES
RECIPE = "baselines"
VARIANTS = {"tfn": ({}, None)}
loss = concatenation.loss


@dataclass(frozen=True)
class Sequences(concatenation.Config):
    """Sizes of a baseline that reads frames: those of concatenation, and these.

    Parameters
    ----------
    fps : float, optional
        Frames per second, of which those of the streams are averages (words are fewer). None: all frames.
    """

    TINY = {"hidden": 32, "fps": 5.0}

    fps: float | None = None


@dataclass(frozen=True)
class Config(Sequences):
    """Sizes and switches: those of Sequences, and these. Published: Zadeh et al. 2017, on the features of paper 000.

    Parameters
    ----------
    vectors : (int, int, int)
        Widths of z_V, z_A, z_T; those of Zadeh et al. 2017 are 32, 32, 128.
    recurrent : tuple
        The modalities whose frames an LSTM reads; of the others the mean frame is used.
    """

    TINY = Sequences.TINY | {"vectors": (8, 8, 8)}

    vectors: tuple[int, ...] = (32, 32, 128)
    recurrent: tuple[str, ...] = ("text",)

    def __post_init__(self):
        super().__post_init__()
        if len(self.vectors) != len(MODALITIES):
            raise ValueError(f"vectors is {self.vectors}; accepted: three widths, of {', '.join(MODALITIES)}")
        if set(self.recurrent) - set(MODALITIES):
            raise ValueError(f"recurrent is {self.recurrent}; accepted: any of {', '.join(MODALITIES)}")


def describe(config):
    fusion = {
        "fuse": describe_tensor_fusion(vectors(config), config.hidden),
        "classes": describe_linear(config.hidden, config.classes),
    }
    return describe_vectors(config) | fusion


def vectors(config):
    """Return the widths of the vectors of the modalities that are used."""
    return {m: C for m, C in zip(MODALITIES, config.vectors, strict=True) if m in config.modalities}


def describe_vectors(config):
    tree = {}
    for m, C in vectors(config).items():
        n = getattr(config, m)
        reader = m in config.recurrent
        tree[m] = {"map": describe_linear(C if reader else n, C)} | ({"lstm": describe_lstm(n, C)} if reader else {})
    return tree


@closure
def forward(p, batch, config, rng=None, trace=None):
    """logits = W2 dropout(relu(W1 ([z_V; 1] x [z_A; 1] x [z_T; 1]) + b1)) + b2."""
    z, back_vectors = read_vectors(p, batch, config)
    u, back_fuse = tensor_fusion(p.fuse, z)
    r = relu(u)
    h, back_drop = dropout(rng, r, config.dropout)
    logits, back_classes = linear(p.classes, h)

    def backward(dout, g):
        du = relu_backward(back_drop(back_classes(dout["logits"], g.classes)), r)
        return back_vectors(back_fuse(du, g.fuse), g)

    return {"logits": logits}, backward


def read_vectors(p, batch, config):
    """z_m = relu(W s + b); s the mean frame, or the last state of an LSTM.   -> {modality: (B, C_m)}."""
    z, backs = {}, {}
    for m in config.modalities:
        summary = last_state if m in config.recurrent else mean_frame
        z[m], backs[m] = read_vector(getattr(p, m), summary, batch[m], batch[f"{m}_mask"])
    return z, lambda dz, g: {m: back(dz[m], getattr(g, m)) for m, back in backs.items()}


def read_vector(p, summary, x, mask):
    s, back_summary = summary(p, x, mask)
    u, back_map = linear(p.map, s)
    z = relu(u)
    return z, lambda dz, g: back_summary(back_map(relu_backward(dz, z), g.map), g)


def mean_frame(p, x, mask):
    """The mean over valid frames.   x (B, T, D) -> (B, D)."""
    s, back = mean_pool(x, mask)
    return s, lambda ds, g: back(ds)


def last_state(p, x, mask):
    """The state of an LSTM after the last valid frame; 0 without a frame.   x (B, T, D) -> (B, C)."""
    y, back_lstm = lstm(p.lstm, x, mask=mask)
    s, back_last = last_valid_step(y, mask)
    return s, lambda ds, g: back_lstm(back_last(ds), g.lstm)


def example(config):
    """Return the shapes of 10 s of the features of paper 000."""
    return {
        m: (frames, getattr(config, m)) for m, frames in zip(MODALITIES, (300, 1000, 25), strict=True) if m in config.modalities
    }
