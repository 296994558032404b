"""Cases and mistakes of exercise 22, a gated recognizer."""

import numpy as np

from refmer.exercises.case import Case, Mistake


def columns(rng, ours, N, B, F):
    return 3 * rng.normal(size=(N, F)) + 1, rng.normal(size=(B, F))


def constant(rng, ours, N, B, F):
    train, x = columns(rng, ours, N, B, F)
    train[:, 0] = 2.0
    return train, x


def model(rng, ours, B, F, G, H, K):
    face, voice = rng.normal(size=(B, F)), rng.normal(size=(B, G))
    return face, voice, *weights(rng, F, G, H, K)


def weights(rng, F, G, H, K):
    shapes = (F, H), (H,), (H, 1), (1,), (F + G, K), (K,)
    return [rng.normal(size=shape) / np.sqrt(shape[0]) for shape in shapes]


def large(rng, ours, B, F, G, H, K):
    face, voice, *rest = model(rng, ours, B, F, G, H, K)
    return face, 1e5 * voice, *rest


def labels(rng, B, K):
    return np.eye(K)[rng.integers(K, size=B)]


def loss(rng, ours, B, K):
    return rng.dirichlet(np.ones(K), B), labels(rng, B, K)


def backward(rng, ours, B, F, G, H, K):
    face, voice, W1, b1, W2, b2, W, b = model(rng, ours, B, F, G, H, K)
    stages = ours.our_model(face, voice, W1, b1, W2, b2, W, b)
    return labels(rng, B, K), face, W1, W2, W, *stages


def no_face(rng, ours, B, F, G, H, K):
    face, voice, W1, b1, W2, b2, W, b = model(rng, ours, B, F, G, H, K)
    face[0] = 0
    stages = ours.our_model(face, voice, W1, b1, W2, b2, W, b)
    return labels(rng, B, K), face, W1, W2, W, *stages


def training(rng, ours, B, F, G, H, K):
    face, voice, *rest = model(rng, ours, B, F, G, H, K)
    return face, voice, labels(rng, B, K), *rest, 0.3, 4


def corpus(rng, ours):
    """Draw weights for 12 steps on mean features of the bundled corpus, standardised."""
    import refmer

    clips = refmer.load_samples()
    means = []
    for name in ("units", "prosody"):
        stream = clips.streams[name]
        x = (stream.x * stream.mask[..., None]).sum(1) / np.maximum(stream.mask.sum(1), 1)[:, None]
        means.append(ours.our_standard(x.astype(float), x.astype(float)))
    y = np.eye(6)[clips.emotion]
    return *means, y, *weights(rng, means[0].shape[1], means[1].shape[1], 5, 6), 0.5, 12


CASES = [
    Case("forward", "our_standard", columns),
    Case("hard", "our_standard", constant, "a constant feature"),
    Case("forward", "our_model", model),
    Case("hard", "our_model", large, "large logits"),
    Case("forward", "our_loss", loss),
    Case("backward", "our_model_backward", backward),
    Case("hard", "our_model_backward", no_face, "a clip without face"),
    Case("forward", "our_training", training),
    Case("hard", "our_training", corpus, "the bundled corpus"),
]

MODEL, BACK, TRAIN = "Forward", "Backward", "Training"
G, M, D, T = "our_standard", "our_model", "our_model_backward", "our_training"
MISTAKES = [
    Mistake(
        "moments of x",
        G,
        "y = (x - train.mean(0))",
        "y = (x - x.mean(0))",
        "the mean is that of x: test clips need the mean of train",
        MODEL,
    ),
    Mistake(
        "N - 1", G, "** 2).mean(0))", "** 2).sum(0) / (len(train) - 1))", "the variance is divided by N - 1, not by N", MODEL
    ),
    Mistake("no guard", G, "np.where(sd > 0, sd, 1)", "sd", "a constant feature is divided by 0: divide by 1 there", MODEL),
    Mistake(
        "one mean", G, "y = (x - train.mean(0))", "y = (x - train.mean())", "one mean for all features: each has its own", MODEL
    ),
    Mistake("no relu", M, "np.where(u.real > 0, u, 0) @ W2", "u @ W2", "the maximum with 0 is left out of the gate", MODEL),
    Mistake(
        "tanh gate",
        M,
        "0.5 * (1 + np.tanh(s / 2))",
        "np.tanh(s)",
        "the gate is a tanh, from -1 to 1: it asks for a sigmoid",
        MODEL,
    ),
    Mistake(
        "gate of voice", M, "[alpha * face, voice]", "[face, alpha * voice]", "the gate is on the voice, not on the face", MODEL
    ),
    Mistake(
        "overflow",
        M,
        "np.exp(x - x.real.max(1, keepdims=True))",
        "np.exp(x)",
        "large logits overflow: subtract the largest of the row",
        MODEL,
    ),
    Mistake("loss sum", "our_loss", ".mean()", ".sum()", "the loss is a mean over clips, not their sum", MODEL),
    Mistake("dx not over B", D, "(p - y) / len(y)", "(p - y)", "the loss is a mean over clips, so dx is divided by B", BACK),
    Mistake(
        "dalpha of h",
        D,
        "* face).sum(1, keepdims=True)",
        "* h[:, : face.shape[1]]).sum(1, keepdims=True)",
        "dalpha is made with alpha face: h = alpha face asks for face",
        BACK,
    ),
    Mistake(
        "dalpha of voice",
        D,
        "(dh[:, : face.shape[1]] * face)",
        "(dh[:, -face.shape[1] :] * face)",
        "dalpha takes the part of dh that belongs to the voice",
        BACK,
    ),
    Mistake(
        "no sigmoid",
        D,
        "dalpha * alpha * (1 - alpha)",
        "dalpha * 1",
        "the derivative of the sigmoid, alpha (1 - alpha), is missing",
        BACK,
    ),
    Mistake(
        "half sigmoid",
        D,
        "dalpha * alpha * (1 - alpha)",
        "dalpha * alpha",
        "the factor 1 - alpha of the sigmoid's derivative is missing",
        BACK,
    ),
    Mistake(
        "no relu back", D, "du = np.where(u.real > 0, ds @ W2.T, 0)", "du = ds @ W2.T", "du is not 0 where u is negative", BACK
    ),
    Mistake(
        "dW2 of u",
        D,
        "np.where(u.real > 0, u, 0).T @ ds",
        "u.T @ ds",
        "dW2 is made with u: s = max(u, 0) W2 asks for max(u, 0)",
        BACK,
    ),
    Mistake(
        "uphill",
        T,
        "W1 - rate * dW1, b1 - rate * db1, W2 - rate * dW2, b2 - rate * db2",
        "W1 + rate * dW1, b1 + rate * db1, W2 + rate * dW2, b2 + rate * db2",
        "the gate's weights go uphill: subtract the gradient",
        TRAIN,
    ),
    Mistake(
        "loss after",
        T,
        "losses[t] = our_loss(p, y)",
        "losses[t - 1] = our_loss(p, y)",
        "the losses are shifted by one step: losses[t] is that before step t",
        TRAIN,
    ),
    Mistake(
        "frozen gate",
        T,
        "W1, b1, W2, b2 = W1 - rate * dW1, b1 - rate * db1, W2 - rate * dW2, b2 - rate * db2",
        "W1 = W1 + 0 * rate",
        "only W and b are trained: the gate's weights stay",
        TRAIN,
    ),
    Mistake("no bias training", T, "b - rate * db\n", "b\n", "the bias b is not trained", TRAIN),
]
LAWS = []
