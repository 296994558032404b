"""The solution of exercise 22: a recognizer of emotions from face and voice, whose face passes a gate."""

import numpy as np


def our_standard(train, x):
    """Return x with the mean of each column of train subtracted, and divided by its
    standard deviation.

    A column that is constant in train is divided by 1. Moments are divided by the number of
    clips of train.

    train (N, F), x (B, F) -> y (B, F)
    """
    sd = np.sqrt(((train - train.mean(0)) ** 2).mean(0))
    y = (x - train.mean(0)) / np.where(sd > 0, sd, 1)
    return y


def our_model(face, voice, W1, b1, W2, b2, W, b):
    """Return every stage: u, the gate alpha, the features h, and the probabilities p.

    u = face W1 + b1, alpha = sigmoid(max(u, 0) W2 + b2), h = (alpha face, voice) side by
    side, p = softmax(h W + b)

    face (B, F), voice (B, G), W1 (F, H), b1 (H,), W2 (H, 1), b2 (1,), W (F + G, K), b (K,)
    -> u (B, H), alpha (B, 1), h (B, F + G), p (B, K)
    """
    u = face @ W1 + b1
    s = np.where(u.real > 0, u, 0) @ W2 + b2
    alpha = 0.5 * (1 + np.tanh(s / 2))
    h = np.concatenate([alpha * face, voice], axis=1)
    x = h @ W + b
    e = np.exp(x - x.real.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    return u, alpha, h, p


def our_loss(p, y):
    """Return cross-entropy, the mean over clips of -log p of the true class.

    p (B, K), y (B, K) with one 1 in each row -> L, a number
    """
    L = -np.log((p * y).sum(1)).mean()
    return L


def our_model_backward(y, face, W1, W2, W, u, alpha, h, p):
    """Return the gradients of our_loss: first of the stages, then of the weights.

    dx is that of the logits x = h W + b, ds that of the score s, of which alpha is the
    sigmoid.

    y (B, K) with one 1 in each row, the others as in our_model
    -> dx (B, K), dh (B, F + G), dalpha (B, 1), ds (B, 1), du (B, H), then each weight's in
    its own shape
    """
    dx = (p - y) / len(y)
    dh = dx @ W.T
    dalpha = (dh[:, : face.shape[1]] * face).sum(1, keepdims=True)
    ds = dalpha * alpha * (1 - alpha)
    du = np.where(u.real > 0, ds @ W2.T, 0)
    dW1, db1 = face.T @ du, du.sum(0)
    dW2, db2 = np.where(u.real > 0, u, 0).T @ ds, ds.sum(0)
    dW, db = h.T @ dx, dx.sum(0)
    return dx, dh, dalpha, ds, du, dW1, db1, dW2, db2, dW, db


def our_training(face, voice, y, W1, b1, W2, b2, W, b, rate, steps):
    """Return the weights after steps of gradient descent on all clips, and the loss before
    each step.

    rate a number, steps an integer, the others as in our_model
    -> W1, b1, W2, b2, W, b, losses (steps,)
    """
    losses = np.zeros(steps)
    for t in range(steps):
        u, alpha, h, p = our_model(face, voice, W1, b1, W2, b2, W, b)
        losses[t] = our_loss(p, y)
        dW1, db1, dW2, db2, dW, db = our_model_backward(y, face, W1, W2, W, u, alpha, h, p)[5:]
        W1, b1, W2, b2 = W1 - rate * dW1, b1 - rate * db1, W2 - rate * dW2, b2 - rate * db2
        W, b = W - rate * dW, b - rate * db
    return W1, b1, W2, b2, W, b, losses
