"""Features in units of their spread in training: zero mean, unit standard deviation, and 0 where no frame is."""

from dataclasses import replace

import numpy as np

from refmer.data.arrays import listed
from refmer.data.folder import chunks

LARGEST = 1e9  # standard deviations from the mean of training; the fourth power of a feature is finite in float32


def scaling(stream):
    """Return mean and standard deviation of each feature over the valid frames; a constant feature gets 1."""
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
    sd = np.sqrt(var)
    return mean.astype(np.float32), np.where(sd > 1e-6, sd, 1).astype(np.float32)


def moments(stream):
    """Return the mean and standard deviation (...) of each feature of a stream in memory, in double precision."""
    valid = stream.x[stream.mask].astype(np.float64)
    return valid.mean(0), valid.std(0)


def standardise(name, stream, mean, sd):
    """Return the stream with (x - mean) / sd, and 0 where no frame is; raise ValueError for features beyond LARGEST."""
    if stream.x.shape[2:] != mean.shape:
        raise ValueError(f"stream {name} has frames of shape {stream.x.shape[2:]}; accepted: {mean.shape}, as in training")
    x = standard(stream.x, stream.mask, mean, sd)
    if not (largest := np.abs(x).max(initial=0)) <= LARGEST:
        raise ValueError(
            f"stream {name} is {largest:.1e} standard deviations from the mean of training; accepted: up to {LARGEST:.0e}"
        )
    return replace(stream, x=x)


def standard(x, mask, mean, sd):
    """Return the same for arrays x (N, T, ...) and mask (N, T), unchecked."""
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
