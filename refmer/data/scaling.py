"""Features in units of their spread in training: mean 0, unit variance, within +-BOUND, and 0 where no frame is."""

from dataclasses import replace

import numpy as np

from refmer.data.arrays import listed
from refmer.data.folder import chunks

BOUND = 20.0  # standard deviations; a feature that is seldom other than 0 in training would reach hundreds
LARGEST = 1e9  # standard deviations from the mean of training, beyond which data are taken for damaged


def moments(stream):
    """Return the mean and standard deviation (...) of each feature over the valid frames; that of images is one number.

    The pixels of an image (uint8) share their root mean variance, since many of them hardly vary.
    """
    n, mean, var = 0, np.zeros(stream.x.shape[2:]), np.zeros(stream.x.shape[2:])
    for rows in chunks(stream.x):
        part = stream.read(rows)
        valid = part.x[part.mask].astype(np.float64)
        if len(valid):
            n += len(valid)
            share, step = len(valid) / n, valid.mean(0) - mean
            mean += share * step  # of the chunks so far and this one (Chan et al. 1983)
            var += share * (valid.var(0) - var) + share * (1 - share) * step * step
    if n == 0:
        raise ValueError(f"a {stream.sense} stream has no frame in any clip; accepted: at least one")
    return mean, np.sqrt(np.full_like(var, var.mean()) if stream.x.dtype == np.uint8 else var)


def scaling(stream):
    """Return mean and unit (...) of each feature, float32: `moments`, and unit 1 for what is constant."""
    mean, sd = moments(stream)
    return mean.astype(np.float32), np.where(sd > 1e-6, sd, 1).astype(np.float32)


def standardise(name, stream, mean, sd):
    """Return the stream with (x - mean) / sd, within +-BOUND, 0 where no frame is; raise ValueError beyond LARGEST."""
    if stream.x.shape[2:] != mean.shape:
        raise ValueError(f"stream {name} has frames of shape {stream.x.shape[2:]}; accepted: {mean.shape}, as in training")
    x = standard(stream.x, stream.mask, mean, sd)
    if not (largest := np.abs(x).max(initial=0)) <= LARGEST:
        raise ValueError(
            f"stream {name} is {largest:.1e} standard deviations from the mean of training; accepted: up to {LARGEST:.0e}"
        )
    return replace(stream, x=np.clip(x, -BOUND, BOUND, out=x))


def standard(x, mask, mean, sd):
    """Return (x - mean) / sd of arrays x (N, T, ...), and 0 where `mask` (N, T) is False."""
    with np.errstate(over="ignore", invalid="ignore"):
        x = (np.asarray(x, np.float32) - mean) / sd
    x[~mask] = 0
    return x


def check_features(name, given, learned):
    """Raise ValueError if the names of a stream's features, where both are known, are not those of training."""
    missing = [feature for feature in learned or () if feature not in given]
    if given and missing and len(given) < len(learned):
        raise ValueError(f"stream {name} lacks the features {listed(missing)}; accepted: those of training")
    if given and learned and len(given) == len(learned) and given != learned:
        differ = [i for i in range(len(given)) if given[i] != learned[i]]
        raise ValueError(
            f"features of stream {name} from place {differ[0]} on are {listed([given[i] for i in differ])}; accepted: "
            f"{listed([learned[i] for i in differ])}, the names and the order of training"
        )
