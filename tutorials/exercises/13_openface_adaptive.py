# %% [markdown]
# # Exercise 13. OpenFace-Adaptive
#
# Write what makes a node of OpenFace-Adaptive's graph: batch norm in training and in evaluation, and the gated projection.
# Replace every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 13_openface_adaptive.py
#
# The equations are derived in tutorial 13, "OpenFace-Adaptive". Sizes: $B$ clips, $C$ features, $D$ numbers before the
# projection, $H$ hidden numbers of the gate.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# **Batch norm in training.** Of each feature $c$, with $\mu_c$ and $v_c$ the mean and variance (divided by $B$) over the batch
# and $\epsilon = 10^{-5}$:
#
# $$r_c = (v_c + \epsilon)^{-1/2}, \qquad z_{bc} = (x_{bc} - \mu_c)\, r_c, \qquad y_{bc} = \gamma_c z_{bc} + \beta_c .$$
#
# **Running moments.** After a batch they move a tenth of the way to the batch's mean and to its *unbiased* variance (divided
# by $B - 1$).
#
# **In evaluation** they take the place of $\mu$ and $v$, with the same $\epsilon$.
#
# **Node.** $u = nW + b$, $r = \max(u, 0)$, $t = rV_1 + c_1$, $\alpha = \sigma(\max(t, 0)\, V_2 + c_2)$, $h = \alpha r$.


# %%
def our_batch_norm(x, gamma, beta):
    """Return z, each column of x centred and scaled with the batch's moments, r, the scale
    of each column, and y.

    x (B, C), gamma (C,), beta (C,) -> z (B, C), r (C,), y (B, C)
    """
    ...


def our_running(mean, var, x):
    """Return the running mean and variance after a batch: a tenth of the way to the batch's
    mean and unbiased variance.

    mean (C,), var (C,), x (B, C) with B at least 2 -> new_mean (C,), new_var (C,)
    """
    ...


def our_evaluation(x, mean, var, gamma, beta):
    """Return z and y with the running mean and variance in place of the batch's.

    x (B, C), mean, var, gamma, beta (C,) -> z (B, C), y (B, C)
    """
    ...


def our_node(n, W, b, V1, c1, V2, c2):
    """Return u = n W + b, r = max(u, 0), t = r V1 + c1, the gate alpha = sigmoid(max(t, 0)
    V2 + c2), and h = alpha r.

    n (B, D), W (D, C), b (C,), V1 (C, H), c1 (H,), V2 (H, 1), c2 (1,)
    -> u, r (B, C), t (B, H), alpha (B, 1), h (B, C)
    """
    ...


# %% [markdown]
# ## By hand
#
# Two clips with one feature, 1 and 3: $\mu = 2$, $v = 1$, so $z = \mp 1$ to five digits. The unbiased variance is 2: from
# running moments 0 and 1 they move to 0.2 and 1.1.
#
#     >>> x, one = np.array([[1.0], [3.0]]), np.ones(1)
#     >>> z, r, y = our_batch_norm(x, 2 * one, one)
#     >>> z.round(4).tolist(), y.round(4).tolist()
#     ([[-1.0], [1.0]], [[-1.0], [3.0]])
#     >>> mean, var = our_running(0 * one, one, x)
#     >>> mean.round(6).tolist(), var.round(6).tolist()
#     ([0.2], [1.1])
#     >>> our_evaluation(x, 2 * one, one, 2 * one, one)[1].round(4).tolist()
#     [[-1.0], [3.0]]
#
# Four clips, $z = (-1, 1, -1, 1)$, $r = 1$, $\gamma = 1$ and $dy = (1, 0, 0, 0)$: the means of $dy$ and of $dy\, z$ are $1/4$
# and $-1/4$. A gradient of the first clip alone moves the third, too.
#
#     >>> z, dy = np.array([[-1.0], [1.0], [-1.0], [1.0]]), np.array([[1.0], [0.0], [0.0], [0.0]])
#     >>> dz, dx, dgamma, dbeta = our_batch_norm_backward(dy, z, one, one)
#     >>> dx.tolist(), dgamma.tolist(), dbeta.tolist()
#     ([[0.5], [0.0], [-0.5], [0.0]], [-1.0], [1.0])
#
# A node of one number: $n = 2$, $W = 1$, $b = 0$; $V_1 = 1$, $c_1 = -5$: $t = -3$, cut to 0. So $\alpha = \sigma(0) = 1/2$ and
# $h = 1$.
#
#     >>> a = np.ones((1, 1))
#     >>> u, r, t, alpha, h = our_node(2 * a, a, 0 * one, a, -5 * one, a, 0 * one)
#     >>> t.tolist(), alpha.tolist(), h.tolist()
#     ([[-3.0]], [[0.5]], [[1.0]])
#
# For $dh = 1$: $d\alpha = r = 2$, $ds = 2 \cdot \frac14$, $dt = 0$ as $t$ is cut, and $dr = \alpha\, dh = 1/2$.
#
#     >>> dalpha, ds, dt, dr, du, dn, dW, *_ = our_node_backward(a, 2 * a, a, a, a, u, r, t, alpha)
#     >>> dalpha.item(), ds.item(), dt.item(), dr.item(), dW.item()
#     (2.0, 0.5, 0.0, 0.5, 1.0)
#
# ## Backward
#
# Of batch norm in training every clip moves $\mu$ and $v$; in evaluation they are constants. In the node $r$ is used twice, as
# what passes and as what decides. Return the stages, too.


# %%
def our_batch_norm_backward(dy, z, r, gamma):
    """Return the gradients of z, x, gamma and beta.

    dy (B, C), z (B, C), r (C,), gamma (C,) -> dz, dx (B, C), dgamma, dbeta (C,)
    """
    ...


def our_evaluation_backward(dy, z, var, gamma):
    """Return the gradients of x, gamma and beta; the running moments are constants.

    dy (B, C), z (B, C), var (C,), gamma (C,) -> dx (B, C), dgamma, dbeta (C,)
    """
    ...


def our_node_backward(dy, n, W, V1, V2, u, r, t, alpha):
    """Return the gradients of alpha, s, t, r, u, n, and of the weights; dy is the upstream
    gradient of h.

    dy (B, C), the others as in our_node
    -> dalpha, ds (B, 1), dt (B, H), dr, du (B, C), dn (B, D), dW, db, dV1, dc1, dV2, dc2 in
    their shapes
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * A feature that is the same in all clips; small numbers, for which $\epsilon$ counts.
# * A single clip in evaluation, and two clips in training.
# * A gate that is shut: $\alpha$ near 0. What reaches $W$?
