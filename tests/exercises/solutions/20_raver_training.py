"""An independent solution of exercise 20, with its mistakes, and the rest of the forward from each stage."""

import numpy as np


def our_balance(shares):
    K = shares.shape[1]
    n = np.array([np.count_nonzero(shares[:, k] > 1 / K) for k in range(K)])
    # mistake[mass of shares]: n = shares.sum(axis=0)
    # mistake[winners]: n = np.bincount(shares.argmax(axis=1), minlength=K)
    N = n.sum()
    # mistake[clips]: N = len(shares)
    beta = (N - 1) / N
    w = 1 / (1 - beta**n)
    return n, w / w.mean()
    # mistake[sum is 1]: return n, w / w.sum()


def our_undone(p, w):
    q = np.einsum("bk,k->bk", p, 1 / w)
    # mistake[tilted twice]: q = np.einsum("bk,k->bk", p, w)
    return q / np.einsum("bk->b", q)[:, None]
    # mistake[not normalised]: return q


def softmax(x):
    return np.array([np.exp(row - row.real.max()) / np.exp(row - row.real.max()).sum() for row in x])


def our_brier(x, y):
    p = softmax(x)
    # mistake[no shift]: p = np.exp(x) / np.exp(x).sum(1)[:, None]
    # mistake[over clips]: p = np.exp(x - x.max(1)[:, None]) / np.exp(x - x.max(1)[:, None]).sum(0)
    gap = p - y
    brier = np.einsum("bk,bk->", gap, gap) / (len(y) * y.shape[1])
    # mistake[of 1950]: brier = np.einsum("bk,bk->", gap, gap) / len(y)
    # mistake[absolute]: brier = np.abs(gap).mean()
    return p, brier


def our_brier_backward(y, p):
    B, K = y.shape
    dp = (p - y) / (B * K / 2)
    # mistake[no 2]: dp = (p - y) / (B * K)
    # mistake[clips alone]: dp = (p - y) / (B / 2)
    dx = np.stack([(np.diag(row) - np.outer(row, row)) @ d for row, d in zip(p, dp, strict=True)])
    # mistake[inner sum]: dx = np.einsum("bk,bk->bk", p, dp)
    # mistake[no softmax]: dx = dp.copy()
    return dp, dx


def stages_of_our_brier_backward(y, p):
    def score(p):
        return ((p - y) ** 2).mean()

    return {"dp": (p, score), "dx": (np.log(p), lambda x: score(softmax(x)))}
