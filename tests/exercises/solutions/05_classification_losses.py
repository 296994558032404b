"""An independent solution of exercise 5, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_log_softmax(x):
    top = np.max(x, axis=1)[:, None]
    # mistake[overflow]: top = np.zeros((len(x), 1))
    # mistake[largest of all]: top = np.max(x) * np.ones((len(x), 1))
    total = np.exp(x - top) @ np.ones((x.shape[1], 1))
    # mistake[softmax over clips]: total = np.ones((1, len(x))) @ np.exp(x - top)
    log_p = x - (top + np.log(total))
    # mistake[largest of all]: log_p = x - top - np.log(total)
    # mistake[log of p]: log_p = np.log(np.exp(x - (top + np.log(total))))
    return log_p, np.exp(log_p)


def our_cross_entropy(x, y, w):
    log_p, p = our_log_softmax(x)
    terms = np.einsum("k,bk,bk->b", w, y, log_p)
    # mistake[no class weights]: terms = np.einsum("bk,bk->b", y, log_p)
    # mistake[mean of all]: terms = np.einsum("k,bk,bk->b", w, y, log_p) / len(w)
    return p, -terms.mean()


def our_cross_entropy_backward(y, w, p):
    dx = np.zeros(p.shape)
    for b in range(len(y)):
        for k in range(len(w)):
            dx[b] -= w[k] * y[b, k] * (np.eye(len(w))[k] - p[b])
            # mistake[p - y]: dx[b] -= w[k] * y[b, k] * np.eye(len(w))[k] - p[b] / len(w)
            # mistake[weights outside]: dx[b] -= w * y[b, k] * (np.eye(len(w))[k] - p[b])
    return dx / len(y)
    # mistake[slope not over B]: return dx


def softmax(x):
    e = np.exp(x)
    return e / e.sum(1)[:, None]


def stages_of_our_cross_entropy_backward(y, w, p):
    return {"dx": (np.log(p), lambda x: -(w * y * np.log(softmax(x))).sum() / len(x))}


def our_focal(x, y, gamma):
    log_p, p = our_log_softmax(x)
    log_q = np.array([[row[k]] for row, k in zip(log_p, y.argmax(1), strict=True)])
    factor = (1 - np.exp(log_q)) ** gamma
    # mistake[factor of p]: factor = np.exp(log_q) ** gamma
    return p, log_q, -np.mean(factor * log_q)


def our_focal_backward(y, gamma, p, log_q):
    q = np.exp(log_q)
    of_factor = gamma * (1 - q) ** (gamma - 1) * q
    # mistake[factor constant]: of_factor = 0 * q
    # mistake[no q]: of_factor = gamma * (1 - q) ** (gamma - 1)
    # mistake[exponent of factor]: of_factor = gamma * (1 - q) ** gamma * q
    dlog_q = (of_factor * log_q - (1 - q) ** gamma) / len(y)
    dx = dlog_q * y - dlog_q * p
    # mistake[focal sign]: dx = dlog_q * p - dlog_q * y
    return dlog_q, dx


def stages_of_our_focal_backward(y, gamma, p, log_q):
    def loss(log_q):
        return -((1 - np.exp(log_q)) ** gamma * log_q).sum() / len(y)

    return {
        "dlog_q": (log_q, loss),
        "dx": (np.log(p), lambda x: loss((y * np.log(softmax(x))).sum(1))),
    }


def our_class_weights(n, beta):
    series = np.array([sum(beta**i for i in range(int(count))) for count in n])
    w = 1 / series
    # mistake[weights of inverse]: w = series
    return w / w.mean()
    # mistake[sum is 1]: return w / w.sum()
