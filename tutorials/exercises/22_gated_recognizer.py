# %% [markdown]
# # Exercise 22. Project: a gated recognizer, trained by your own code
#
# Write a small recognizer of emotions from the mean features of face and voice, its backward with all weights, and the loop
# that trains it. No step is new; all have to fit together. Replace every `...` by your code and use NumPy alone. Then, in a
# terminal:
#
#     refmer grade 22_gated_recognizer.py
#
# It needs tutorials 1, 5 and 4. Sizes: $B$ clips, $F$ features of the face, $G$ of the voice, $H$ hidden numbers of the gate,
# $K$ classes.

# %%
import numpy as np

# %% [markdown]
# ## Forward
#
# Features have different units, so each is standardised with mean and standard deviation of the *training* clips. A feature
# that is constant there is divided by 1.
#
# The face passes a gate, which is made from the face itself; the voice stands beside it:
#
# $$u = \text{face}\, W_1 + b_1, \qquad s = \max(u, 0)\, W_2 + b_2, \qquad \alpha = \frac1{1 + e^{-s}},$$
#
# $$h = (\alpha\, \text{face},\ \text{voice}), \qquad x = h W + b, \qquad p = \text{softmax}(x), \qquad
#   L = -\frac1B \sum_b \log p_{b, \text{true}} .$$


# %%
def our_standard(train, x):
    """Return x with the mean of each column of train subtracted, and divided by its
    standard deviation.

    A column that is constant in train is divided by 1. Moments are divided by the number of
    clips of train.

    train (N, F), x (B, F) -> y (B, F)
    """
    ...


def our_model(face, voice, W1, b1, W2, b2, W, b):
    """Return every stage: u, the gate alpha, the features h, and the probabilities p.

    u = face W1 + b1, alpha = sigmoid(max(u, 0) W2 + b2), h = (alpha face, voice) side by
    side, p = softmax(h W + b)

    face (B, F), voice (B, G), W1 (F, H), b1 (H,), W2 (H, 1), b2 (1,), W (F + G, K), b (K,)
    -> u (B, H), alpha (B, 1), h (B, F + G), p (B, K)
    """
    ...


def our_loss(p, y):
    """Return cross-entropy, the mean over clips of -log p of the true class.

    p (B, K), y (B, K) with one 1 in each row -> L, a number
    """
    ...


# %% [markdown]
# ## By hand
#
# The training values 1 and 3 have mean 2 and standard deviation 1, so 5 becomes 3. One clip with one number of the face, 2,
# and one of the voice, 1; $W_1 = 1$, $b_1 = -3$: $u = -1$, which the maximum cuts to 0. So $s = b_2 = 0$ and $\alpha = 1/2$:
# $h = (1, 1)$.
#
#     >>> our_standard(np.array([[1.0], [3.0]]), np.array([[5.0]])).tolist()
#     [[3.0]]
#     >>> face, voice, one = np.array([[2.0]]), np.array([[1.0]]), np.ones((1, 1))
#     >>> W = np.array([[np.log(3), 0.0], [0.0, 0.0]])
#     >>> u, alpha, h, p = our_model(face, voice, one, np.array([-3.0]), one, np.zeros(1), W, np.zeros(2))
#     >>> u.tolist(), alpha.tolist(), h.tolist(), p.round(6).tolist()
#     ([[-1.0]], [[0.5]], [[1.0, 1.0]], [[0.75, 0.25]])
#     >>> round(float(our_loss(p, np.array([[1.0, 0.0]]))), 6)
#     0.287682
#
# ## Backward
#
# Go up the page: $dx$, then $dh$, $d\alpha$, $ds$, $du$, then the gradient of each weight, in the order `W1, b1, W2, b2, W,
# b`. The first $F$ columns of $h$ are those of the face.


# %%
def our_model_backward(y, face, W1, W2, W, u, alpha, h, p):
    """Return the gradients of our_loss: first of the stages, then of the weights.

    dx is that of the logits x = h W + b, ds that of the score s, of which alpha is the
    sigmoid.

    y (B, K) with one 1 in each row, the others as in our_model
    -> dx (B, K), dh (B, F + G), dalpha (B, 1), ds (B, 1), du (B, H), then each weight's in
    its own shape
    """
    ...


# %% [markdown]
# ## Training
#
# Gradient descent on all clips at once: in each step compute the gradient of every weight, then subtract `rate` times it. All
# weights of a step are updated from the same gradients. Return the loss before each step, too. Do not write into the given
# weights.


# %%
def our_training(face, voice, y, W1, b1, W2, b2, W, b, rate, steps):
    """Return the weights after steps of gradient descent on all clips, and the loss before
    each step.

    rate a number, steps an integer, the others as in our_model
    -> W1, b1, W2, b2, W, b, losses (steps,)
    """
    ...


# %% [markdown]
# ## Hard cases
#
# * Logits of 1000.
# * A clip without face, whose features are 0: what is its gate, and what its $d\alpha$?
# * Twelve steps on the 288 clips of the bundled corpus.
#
# ## What it is good for
#
# With refmer installed, append these lines to your file and run it: the recognizer learns emotions of 18 speakers and is asked
# about six others, as they are and with a hand before the face. (The grader does not run what stands under `__main__`.)
#
#     if __name__ == "__main__":
#         import refmer
#
#         def means(clips, name):
#             stream = clips.streams[name]
#             return (stream.x * stream.mask[..., None]).sum(1) / np.maximum(stream.mask.sum(1), 1)[:, None]
#
#         train, test = refmer.load_samples().split(by="speaker", test_size=0.25, seed=0)
#         covered = refmer.corrupt(test, "face", "hand", 1.0, scale_from=train)
#         every = train, test, covered
#         face = [our_standard(means(train, "units"), means(clips, "units")) for clips in every]
#         voice = [our_standard(means(train, "prosody"), means(clips, "prosody")) for clips in every]
#         F, G, rng = face[0].shape[1], voice[0].shape[1], np.random.default_rng(0)
#         shapes = (F, 8), (8,), (8, 1), (1,), (F + G, 6), (6,)
#         weights = [0.1 * rng.normal(size=shape) for shape in shapes]
#         *weights, losses = our_training(face[0], voice[0], np.eye(6)[train.emotion], *weights, 0.5, 300)
#         for name, f, v in zip(("new speakers", "hand before the face"), face[1:], voice[1:]):
#             u, alpha, h, p = our_model(f, v, *weights)
#             print(f"{name}: accuracy {(p.argmax(1) == test.emotion).mean():.2f}, mean gate {alpha.mean():.2f}")
#
# Does the gate close when the face is covered? Nothing in the loss asks it to: see tutorial 4, "Labels of reliability".
