# %% [markdown]
# # Exercise 16. AuxFormer: loss, removed modalities and learning rate
#
# Write what the training of AuxFormer needs: the loss of three networks and its gradient, the removal of a modality from exact
# shares of a batch, and the learning rate on a plateau. Replace every `...` by your code and use NumPy alone. Then, in a
# terminal:
#
#     refmer grade 16_auxformer_training.py
#
# The equations are derived in tutorial 16, "AuxFormer: training and results". Sizes: $B$ clips, $K$ classes, $T$ and $S$ frames
# of voice and face with $D$ and $E$ features, $N$ epochs.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# **Loss.** $L = \frac13 (L_{main} + L_{voice} + L_{face})$. Each is a cross-entropy of its own logits,
# $-\frac1B \sum_{bk} y_{bk} \log p_{bk}$ with $p = \text{softmax}$ of the logits along the classes.
#
# **Removed modalities.** $u_b = (\text{order}_b + o) / B$ with the offset $o$. Clip $b$ loses the voice if $u_b < \rho$, and
# the face if $\rho \le u_b < 2\rho$, with the rate $\rho$. What is lost becomes 0.
#
# **Learning rate.** Keep the lowest loss up to now, and count the epochs in a row without a lower one. When the count exceeds
# `every`, multiply the rate of all later epochs by `factor`, and count from 0 again.


# %%
def our_loss(main, voice, face, y):
    """Return the mean over three networks of their cross-entropies, each a mean over clips.

    logits main, voice, face (B, K), y (B, K) with one 1 in each row -> L, a number
    """
    ...


def our_modality_dropout(voice, face, order, offset, rate):
    """Return which clips keep the voice and which the face, and both streams, 0 where they
    are lost. Let u = (order + offset) / B. A clip loses the voice where u < rate, and the
    face where rate <= u < 2 rate. Features that are lost may be nan.

    voice (B, T, D), face (B, S, E), order (B,) the numbers 0 to B - 1 in any order, offset
    a number from 0 below 1, rate a number from 0 to 1/2
    -> has_voice, has_face (B,) of bool, new_voice (B, T, D), new_face (B, S, E)
    """
    ...


def our_plateau_rates(losses, lr, factor, every):
    """Return the learning rate of each epoch, lr in the first. After an epoch the rate is
    multiplied by factor if more than `every` epochs in a row, that one included, had no
    loss below all earlier ones; then the count starts at 0 again.

    losses (N,), of the development data after each epoch, lr and factor numbers, every an
    integer from 0 -> rates (N,)
    """
    ...


# %% [markdown]
# ## By hand
#
# One clip, two classes, the first is right. The probabilities of the right class are $\frac12$, $\frac34$ and $\frac14$:
# $L = \frac13 (\log 2 + \log \frac43 + \log 4)$. Each gradient is $\frac13 (p - y)$.
#
#     >>> logits = np.zeros((1, 2)), np.log([[3.0, 1.0]]), np.log([[1.0, 3.0]])
#     >>> y = np.array([[1.0, 0.0]])
#     >>> round(float(our_loss(*logits, y)), 3)
#     0.789
#     >>> [(12 * d).round(9).tolist() for d in our_loss_backward(*logits, y)]
#     [[[-2.0, 2.0]], [[-1.0, 1.0]], [[-3.0, 3.0]]]
#
# Five clips in the order $(3, 0, 4, 1, 2)$, with the offset $0.5$: $u = (0.7, 0.1, 0.9, 0.3, 0.5)$. With the rate $0.2$ clip 1
# loses the voice and clip 3 the face.
#
#     >>> voice, face = np.arange(1.0, 6).reshape(5, 1, 1), np.arange(6.0, 11).reshape(5, 1, 1)
#     >>> has_voice, has_face, new_voice, new_face = our_modality_dropout(voice, face, np.array([3, 0, 4, 1, 2]), 0.5, 0.2)
#     >>> has_voice.astype(int).tolist(), has_face.astype(int).tolist()
#     ([1, 0, 1, 1, 1], [1, 1, 1, 0, 1])
#     >>> new_voice.ravel().tolist(), new_face.ravel().tolist()
#     ([1.0, 0.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 0.0, 10.0])
#
# With `every` = 1, the epochs 3 and 4 are two in a row without a lower loss than 2. From epoch 5 on the rate is lower.
#
#     >>> our_plateau_rates(np.array([3, 2, 2.5, 2, 1.5, 1]), 1.0, 0.1, 1).tolist()
#     [1.0, 1.0, 1.0, 1.0, 0.1, 0.1]
#
# ## Backward
#
# The loss has a gradient for each network. None depends on the logits of another network.


# %%
def our_loss_backward(main, voice, face, y):
    """Return the gradients of the three logits.

    main, voice, face (B, K), y (B, K) -> dmain, dvoice, dface (B, K)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * Logits of 1000. A single clip.
# * Lost features that are nan; $u_b$ equal to $\rho$ or $2\rho$; a rate of $\frac12$.
# * A loss equal to the lowest one; `every` = 0; losses that fall in every epoch.
