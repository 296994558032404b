# %% [markdown]
# # Exercise 20. RAVER: class balance and the Brier score
#
# Write the weights of class-balanced cross-entropy, the way to undo their tilt, and the Brier score of a softmax with its
# gradient. Replace every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 20_raver_training.py
#
# The equations are derived in tutorial 20, "RAVER: class balance, lost frames and calibration". Sizes: $B$ clips, $K$ classes.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# **Balance.** $n_k$ clips have a share of votes above $1/K$ for class $k$. With $N = \sum_k n_k$ and $\beta = (N - 1) / N$,
#
# $$w_k \propto \frac{1 - \beta}{1 - \beta^{n_k}}, \qquad \sum_k w_k = K .$$
#
# **Undo the weights.** What a network learns with these weights is tilted. $p_{bk} / w_k$, scaled to a sum of 1 for each clip,
# undoes it.
#
# **Brier score.** $p$ is the softmax of the logits, and $y_{bk}$ is 1 if class $k$ is present, and else 0:
#
# $$\text{BS} = \frac1{BK} \sum_{bk} (p_{bk} - y_{bk})^2 .$$


# %%
def our_balance(shares):
    """Return the number n of clips that hold each class (a share above 1/K) and its weight
    w; weights sum to K.

    beta = (N - 1) / N, where N is the sum of n. Every class has at least one clip.

    shares (B, K) -> n (K,), w (K,)
    """
    ...


def our_undone(p, w):
    """Return probabilities without the tilt of the weights: p / w, scaled so that rows sum
    to 1.

    p (B, K), w (K,) -> q (B, K)
    """
    ...


def our_brier(x, y):
    """Return the probabilities p, a softmax of the logits x, and the Brier score, the mean of
    squared errors over clips and classes.

    x (B, K), y (B, K) of 0 and 1, any number of ones in a row -> p (B, K), brier
    """
    ...


# %% [markdown]
# ## By hand
#
# Three clips, two classes: two hold the first class, one the second. $N = 3$, $\beta = 2/3$, so $w \propto (1 / (1 - 4/9), 1 /
# (1 - 2/3)) = (1.8, 3)$.
#
#     >>> n, w = our_balance(np.array([[1.0, 0.0], [0.7, 0.3], [0.2, 0.8]]))
#     >>> n.tolist(), w.round(6).tolist()
#     ([2, 1], [0.75, 1.25])
#     >>> our_undone(np.array([[0.5, 0.5]]), np.array([0.5, 1.5])).tolist()
#     [[0.75, 0.25]]
#
# One clip with the logits $(\ln 3, 0)$, of which the first class is present: $p = (3/4, 1/4)$, and the score is $(1/16 + 1/16)
# / 2$.
#
#     >>> p, brier = our_brier(np.log([[3.0, 1.0]]), np.array([[1.0, 0.0]]))
#     >>> p.round(6).tolist(), round(float(brier), 6)
#     ([[0.75, 0.25]], 0.0625)
#
# ## Backward
#
# Of the Brier score: $dp$ (the square), then $dx$ (the softmax). The probabilities of a clip depend on all of its logits.


# %%
def our_brier_backward(y, p):
    """Return the gradients of the Brier score in the probabilities p and in the logits x.

    y (B, K) of 0 and 1, p (B, K) -> dp, dx (B, K)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * A very small weight: dividing by it makes its class nearly certain.
# * Logits of thousands: their exponentials overflow.
# * A clip without a present class: its row of $y$ is 0, and it counts as any other.
