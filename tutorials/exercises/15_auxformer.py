# %% [markdown]
# # Exercise 15. AuxFormer: residual, mask, token and heads
#
# Write the parts of AuxFormer: the scaled residual, the mask by lengths, the token of the last valid step, and the head that
# two networks share. Replace every `...` by your code and use NumPy alone. Then, in a terminal:
#
#     refmer grade 15_auxformer.py
#
# The equations are derived in tutorial 15, "AuxFormer: encoders, tokens and heads". Sizes: $B$ clips, $T$ queries or steps,
# $S$ keys, $C$ channels, $H$ hidden numbers, $K$ classes.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# **Residual.** $y = \alpha r + (1 - \alpha) z$ with one learned number $\alpha$.
#
# **Mask.** Query $t$ attends to key $s$ if $s \le t + |N_q - N_k|$ and step $s$ of the keys is valid. Steps are counted from 0.
# $N$ is the number of steps up to and with the last valid one, and 0 if there is none.
#
# **Token.** The last valid step of each clip; 0 if there is none.
#
# **Head.** $u = zP_1 + c_1$, $s = z + \max(u, 0)\, P_2 + c_2$, $y = sW + b$.


# %%
def our_residual(r, z, alpha):
    """Return y = alpha r + (1 - alpha) z.

    r (B, T, C), z (B, T, C), alpha a number -> y (B, T, C)
    """
    ...


def our_mask(queries, keys):
    """Return which steps each query may look at: s <= t + |N_q - N_k|, and step s is valid.

    N counts the steps up to the last valid one, and is 0 where none is; steps are counted
    from 0.

    queries (B, T), keys (B, S) of bool, True for valid steps -> mask (B, T, S) of bool
    """
    ...


def our_token(x, valid):
    """Return the last valid step of each clip, 0 where there is none. Valid steps may have
    gaps.

    x (B, T, C), valid (B, T) of bool -> y (B, C)
    """
    ...


def our_head(z, P1, c1, P2, c2, W, b):
    """Return u = z P1 + c1, s = z + max(u, 0) P2 + c2, and y = s W + b.

    z (B, C), P1 (C, H), c1 (H,), P2 (H, C), c2 (C,), W (C, K), b (K,)
    -> u (B, H), s (B, C), y (B, K)
    """
    ...


# %% [markdown]
# ## By hand
#
# Three queries, of which two are valid ($N_q = 2$), and two keys, both valid ($N_k = 2$): the offset is 0. With a single valid
# key ($N_k = 1$) the offset is 1, but the second key is padding.
#
#     >>> queries = np.array([[True, True, False]])
#     >>> our_mask(queries, np.array([[True, True]])).astype(int).tolist()
#     [[[1, 0], [1, 1], [1, 1]]]
#     >>> our_mask(queries, np.array([[True, False]])).astype(int).tolist()
#     [[[1, 0], [1, 0], [1, 0]]]
#
# $r = 4$, $z = 8$, $\alpha = 1/4$: $y = 1 + 6 = 7$, and for $dy = 1$: $dr = 1/4$, $dz = 3/4$, $d\alpha = 4 - 8$.
#
#     >>> r, z = np.array([[[4.0]]]), np.array([[[8.0]]])
#     >>> our_residual(r, z, 0.25).tolist()
#     [[[7.0]]]
#     >>> [float(d.sum()) for d in our_residual_backward(np.ones((1, 1, 1)), r, z, 0.25)]
#     [0.25, 0.75, -4.0]
#
# The token of the steps 5, 6, 7, of which the last is padding, is 6, and its gradient goes to the second step.
#
#     >>> valid = np.array([[True, True, False]])
#     >>> our_token(np.array([[[5.0], [6.0], [7.0]]]), valid).tolist()
#     [[6.0]]
#     >>> our_token_backward(np.array([[1.0]]), valid).tolist()
#     [[[0.0], [1.0], [0.0]]]
#
# ## Backward
#
# **Residual.** $\alpha$ is one number for all clips, steps and channels.
#
# **Token.** The gradient goes to one step of each clip.
#
# **Head.** $z$ is used twice. Return $ds$, then $du$, then $dz$ and the weights.


# %%
def our_residual_backward(dy, r, z, alpha):
    """Return the gradients of r, z and alpha; that of alpha is one number for all clips,
    steps and channels.

    dy, r, z (B, T, C), alpha a number -> dr, dz (B, T, C), dalpha, a number
    """
    ...


def our_token_backward(dy, valid):
    """Return the gradient of x.

    dy (B, C), valid (B, T) of bool -> dx (B, T, C)
    """
    ...


def our_head_backward(dy, z, P1, P2, W, u, s):
    """Return the gradients of s, u, z, and of the six weights in the order of the forward.

    dy (B, K), the others as in our_head
    -> ds (B, C), du (B, H), dz (B, C), dP1, dc1, dP2, dc2, dW, db in their shapes
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * Clips without a valid step; valid steps with gaps between them.
# * A head that is used twice, for the token of the voice and for that of the face. What are the gradients of its weights?
# * Tokens that are 0.


# %%
def our_shared_head_backward(dy_voice, dy_face, voice, face, P1, c1, P2, c2, W, b):
    """Return the gradients of a head that is used twice, for the token of the voice and for
    that of the face.

    dy_voice, dy_face (B, K), the tokens voice, face (B, C), weights as in our_head
    -> dvoice, dface (B, C), dP1, dc1, dP2, dc2, dW, db in their shapes
    """
    ...
