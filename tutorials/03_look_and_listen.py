# %% [markdown]
# # 3. Look and listen
#
# Introduces: `refmer.Clips`, `refmer.raw_signals`, `refmer.synthesize`, `refmer.data.front_end.front_end`,
# `refmer.data.front_end.mel_filters`
#
# **After this page** you can turn a wave into a log-mel spectrogram and pictures of faces into action units, read valence and
# arousal, say why annotations come late, and show what a split that mixes speakers costs.
#
# **Time.** 60 minutes to read, 10 seconds to run.
#
# **You need** tutorial 1: a trained layer; and $e^{i\varphi} = \cos\varphi + i \sin\varphi$.

# %%
import matplotlib.pyplot as plt
import numpy as np

import refmer
from refmer.data.front_end import front_end, mel_filters

clips: refmer.Clips = refmer.load_samples()
for name, stream in clips.streams.items():
    shape, filled = str(stream.x.shape), stream.mask.mean()
    print(f"{name:8s} {stream.sense:6s} {shape:18s} at {stream.rate:4g} Hz, {filled:.0%} filled")

# %% [markdown]
# A `Clips` holds *streams*: arrays of shape $(N, T, \dots)$, with $N$ clips of $T$ frames. Each stream belongs to one modality
# (face, voice, words or body; the second column above).
#
# Clips differ in length, so the shorter ones are padded with zeros at the end. The `mask` of a stream tells frames from
# padding.
#
# **Everything here is synthetic**: nobody was recorded. A voice or a face may show another emotion than the intended one; how
# often follows people's answers on the corpus CREMA-D (see `data_samples/README.md`).
#
# ## From a wave to a spectrum
#
# `raw_signals` makes the sound of a bundled clip again, as 16,000 samples per second. We cut frames out of it: $N = 512$
# samples (32 ms), starting every 320 samples (20 ms). From here on $N$ counts the samples of a frame.
#
# The discrete Fourier transform of frame $x_t$ gives a complex number for each frequency, and $P$ is its power:
#
# $$X_{tk} = \sum_{n=0}^{N-1} w_n\, x_{tn}\, e^{-2\pi i k n / N}, \qquad P_{tk} = \frac{|X_{tk}|^2}{N} .$$
#
# Bin $k$ stands for the frequency $k \cdot 16000 / N$ Hz.
#
# ### The window
#
# The *Hann window* $w_n$ fades each frame in and out:
#
# $$w_n = \tfrac12 - \tfrac12 \cos \tfrac{2\pi n}{N} = \tfrac12 - \tfrac14 e^{2\pi i n/N} - \tfrac14 e^{-2\pi i n/N} .$$
#
# Its effect on a pure tone $x_n = e^{2\pi i m n/N}$ of bin $m$ follows from two facts. Products of exponentials add their
# exponents, and $\sum_n e^{2\pi i (m-k) n/N}$ is $N$ for $k = m$ and 0 for every other bin. So
#
# $$X_k = \tfrac N2 \delta_{k,m} - \tfrac N4 \delta_{k,m+1} - \tfrac N4 \delta_{k,m-1} .$$
#
# *Four samples* and a tone of bin 1: $x = (1, i, -1, -i)$ and $w = (0, \frac12, 1, \frac12)$, so
# $wx = (0, \frac i2, -1, -\frac i2)$. Its sum is $X_0 = -1 = -\frac N4$. For $X_1$ the terms are multiplied by $1, -i, -1, i$:
# $\frac12 + 1 + \frac12 = 2 = \frac N2$.
#
# A tone of one bin appears in three: the neighbours have a quarter of the power. That is the price of the window. Without it, a
# tone *between* two bins would spread over all of them.

# %%
window = np.array([0, 0.5, 1, 0.5])
np.testing.assert_allclose(np.fft.fft(window * [1, 1j, -1, -1j]), [-1, 2, -1, 0], atol=1e-15)

N, HOP, RATE = 512, 320, 16000
w = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N) / N)
tone = np.exp(2j * np.pi * 40 * np.arange(N) / N)  # m = 40
power = np.abs(np.fft.fft(w * tone)) ** 2

# Lesson 1: a windowed tone appears in its bin and two neighbours, these with a quarter of the power, and nowhere else.
np.testing.assert_allclose(power[[39, 40, 41]] / (N / 2) ** 2, [0.25, 1, 0.25])
assert np.delete(power, [39, 40, 41]).max() < 1e-12 * power.max()

# %% [markdown]
# ## From a spectrum to log-mel
#
# Hearing resolves low frequencies finely and high ones coarsely. The mel scale has steps that it resolves about equally:
#
# $$\operatorname{mel}(f) = 2595 \log_{10}(1 + f/700) .$$
#
# *Two steps of 700 Hz*: from 0 to 700 Hz there are $2595 \log_{10} 2 = 781$ mel. From 7000 to 7700 Hz there are
# $2595 \log_{10} \frac{12}{11} = 98$ mel.
#
# `mel_filters` returns 40 triangles $F_{kj}$ over the bins $k$, of equal width *in mel*, each of sum 1. Loudness is perceived
# in ratios, so a logarithm follows:
#
# $$S_{tj} = \ln \Bigl( \sum_k P_{tk} F_{kj} + 10^{-10} \Bigr) .$$

# %%
mel = 2595 * np.log10(1 + np.array([0, 700, 7000, 7700]) / 700)
assert (mel[1] - mel[0]).round() == 781 and (mel[3] - mel[2]).round() == 98

# %% [markdown]
# Two steps come before the frames:
#
# * *Gain.* If the wave is $a$ times as large, $P$ is $a^2$ times as large, and every $S_{tj}$ grows by the same $2 \ln a$. The
#   distance of a microphone must not look like an emotion, so each clip is scaled to a root mean square of 0.1.
# * *Pre-emphasis.* Voices have little power at high frequencies. To raise it, 0.97 of the previous sample is subtracted from
#   each sample.
#
# So the front end has four steps: gain, pre-emphasis, frames, log-mel. We write each with its backward. The functions take $B$
# waves at once; $x_n$ is one of them, with $n$ from 0 to $L - 1$.
#
# ### Gain
#
# $$y_n = g x_n, \qquad g = 0.1\, v^{-1/2}, \qquad v = \frac1L \sum_n x_n^2 .$$
#
# Every $x_n$ is used twice: as a factor of $y_n$, and in $g$. The derivative of $g$ is
#
# $$\frac{\partial g}{\partial x_n} = -\tfrac12 \cdot 0.1\, v^{-3/2} \cdot \frac2L x_n = -\frac{g}{vL}\, x_n,$$
#
# and $g$ is used by every sample of its wave, so
#
# $$dg = \sum_n dy_n x_n, \qquad dx_n = g\, dy_n - \frac{g}{vL}\, x_n\, dg .$$
#
# *The wave* $(3, 4)$ has $v = 12.5$ and $g = 0.1 / \sqrt{12.5} = 0.0283$. For $dy = (1, 0)$, $dg = 3$ and $vL = 25$, so
# $dx = g\, (1 - \frac{9}{25}, -\frac{12}{25}) = g\, (0.64, -0.48)$.


# %%
def our_gain(x):
    """Return g = 0.1 / (root mean square of each wave) and y = g x.

    x (B, L) -> g (B, 1), y (B, L)
    """
    g = 0.1 * ((x * x).mean(-1, keepdims=True)) ** -0.5
    y = g * x
    return g, y


def our_gain_backward(dy, x, g):
    """Return the gradients of g and x for the upstream gradient dy.

    dy (B, L), x (B, L), g (B, 1) -> dg (B, 1), dx (B, L)
    """
    dg = (dy * x).sum(-1, keepdims=True)
    v = (x * x).mean(-1, keepdims=True)
    dx = g * dy - g / (v * x.shape[-1]) * x * dg
    return dg, dx


x, dy = np.array([[3.0, 4.0]]), np.array([[1.0, 0.0]])
g, y = our_gain(x)
np.testing.assert_allclose(g, 0.0283, atol=5e-5)
np.testing.assert_allclose(our_gain_backward(dy, x, g)[1], g * [[0.64, -0.48]])

# %% [markdown]
# ### Pre-emphasis
#
# $$y_0 = x_0, \qquad y_n = x_n - 0.97\, x_{n-1} .$$
#
# Each sample is used by $y_n$ and by $y_{n+1}$, the last one by $y_{L-1}$ alone:
#
# $$dx_n = dy_n - 0.97\, dy_{n+1}, \qquad dx_{L-1} = dy_{L-1} .$$
#
# *Three equal samples* $(1, 1, 1)$ become $(1, 0.03, 0.03)$. The upstream gradient $(1, 1, 1)$ becomes $(0.03, 0.03, 1)$.


# %%
def our_emphasis(x):
    """Return y: each sample minus 0.97 of the one before it; the first sample of a wave
    stays as it is.

    x (B, L) -> y (B, L)
    """
    y = x.copy()
    y[:, 1:] = x[:, 1:] - 0.97 * x[:, :-1]
    return y


def our_emphasis_backward(dy):
    """Return the gradient of x for the upstream gradient dy.

    dy (B, L) -> dx (B, L)
    """
    dx = dy.copy()
    dx[:, :-1] = dy[:, :-1] - 0.97 * dy[:, 1:]
    return dx


np.testing.assert_allclose(our_emphasis(np.ones((1, 3))), [[1, 0.03, 0.03]])
np.testing.assert_allclose(our_emphasis_backward(np.ones((1, 3))), [[0.03, 0.03, 1]])

# %% [markdown]
# ### Frames
#
# $$y_{tn} = x_{t \cdot \text{hop} + n}, \qquad t = 0 \dots \text{count} - 1, \qquad n = 0 \dots N - 1 .$$
#
# Frames overlap, so a sample may be in several. Its gradient is the sum of theirs ("overlap and add"). Samples in no frame, as
# those behind the last one, get 0.
#
# *Two frames* of two samples with a hop of 1: $(5, 6, 7)$ is cut into $(5, 6)$ and $(6, 7)$. If the upstream gradient of each
# frame is $(1, 2)$, that of the wave is $(1, 2 + 1, 2)$.


# %%
def our_frames(x, size, hop, count):
    """Return the first `count` frames: frame t has the samples from t * hop to t * hop +
    size - 1.

    x (B, L), size N, hop and count integers, (count - 1) * hop + N at most L
    -> y (B, count, N)
    """
    y = np.stack([x[:, t * hop : t * hop + size] for t in range(count)], axis=1)
    return y


def our_frames_backward(dy, length, hop):
    """Return the gradient of x, waves of `length` samples, for the upstream gradient dy.

    dy (B, count, N), length L and hop integers -> dx (B, L)
    """
    dx = np.zeros((len(dy), length), dy.dtype)
    for t in range(dy.shape[1]):
        dx[:, t * hop : t * hop + dy.shape[2]] += dy[:, t]
    return dx


np.testing.assert_array_equal(our_frames(np.array([[5, 6, 7]]), 2, 1, 2), [[[5, 6], [6, 7]]])
np.testing.assert_array_equal(our_frames_backward(np.array([[[1, 2], [1, 2]]]), 3, 1), [[1, 3, 2]])

# %% [markdown]
# ### Log-mel
#
# For the backward we write the transform with real numbers, $X = R + iQ$. With $u_{tn} = w_n y_{tn}$ and $k = 0 \dots N/2$ (the
# other bins are the complex conjugates of these):
#
# $$R_{tk} = \sum_n u_{tn} \cos \frac{2\pi kn}{N}, \qquad Q_{tk} = -\sum_n u_{tn} \sin \frac{2\pi kn}{N},$$
#
# $$P_{tk} = \frac{R_{tk}^2 + Q_{tk}^2}{N}, \qquad M_{tj} = \sum_k P_{tk} F_{kj}, \qquad S_{tj} = \ln (M_{tj} + 10^{-10}) .$$
#
# Backward, from the last line to the first:
#
# $$dM_{tj} = \frac{dS_{tj}}{M_{tj} + 10^{-10}}, \quad dP_{tk} = \sum_j dM_{tj} F_{kj}, \quad
#   dR_{tk} = \tfrac2N R_{tk}\, dP_{tk}, \quad dQ_{tk} = \tfrac2N Q_{tk}\, dP_{tk},$$
#
# $$du_{tn} = \sum_k \Bigl( dR_{tk} \cos \tfrac{2\pi kn}{N} - dQ_{tk} \sin \tfrac{2\pi kn}{N} \Bigr), \qquad
#   dy_{tn} = w_n\, du_{tn} .$$
#
# *A frame of two samples* $(1, 1)$, with a window of ones and one filter for each of the two bins: $R = (2, 0)$, $Q = (0, 0)$,
# $M = P = (2, 0)$ and $S_0 = \ln 2$. For $dS = (1, 0)$: $dM = dP = (\frac12, 0)$, $dR = \frac22 \cdot 2 \cdot \frac12 = 1$ in
# bin 0, and $du = (1, 1)$.


# %%
def our_log_mel(y, w, F):
    """Return real and imaginary part of the spectra of windowed frames, their powers P in
    mel bands, M, and S = ln(M + 1e-10).

    y (B, T, N) with N even, window w (N,), filters F (N/2 + 1, J)
    -> R, Q (B, T, N/2 + 1), M (B, T, J), S (B, T, J)
    """
    N = y.shape[-1]
    angle = 2 * np.pi / N * np.outer(np.arange(N), np.arange(N // 2 + 1))  # (N, N/2 + 1)
    u = w * y
    R, Q = u @ np.cos(angle), -u @ np.sin(angle)
    P = (R * R + Q * Q) / N
    M = P @ F
    S = np.log(M + 1e-10)
    return R, Q, M, S


def our_log_mel_backward(dy, w, F, R, Q, M):
    """Return the gradients of M, P, R, Q, of the windowed frames u, and of the frames, for
    the upstream gradient dy of S.

    dy (B, T, J), the others as in our_log_mel
    -> dM (B, T, J), dP, dR, dQ (B, T, N/2 + 1), du, dframes (B, T, N)
    """
    N = len(w)
    angle = 2 * np.pi / N * np.outer(np.arange(N), np.arange(N // 2 + 1))
    dM = dy / (M + 1e-10)
    dP = dM @ F.T
    dR, dQ = 2 / N * R * dP, 2 / N * Q * dP
    du = dR @ np.cos(angle).T - dQ @ np.sin(angle).T
    dframes = w * du
    return dM, dP, dR, dQ, du, dframes


window, filters = np.ones(2), np.eye(2)
R, Q, M, S = our_log_mel(np.ones((1, 1, 2)), window, filters)
dM, dP, dR, dQ, du, _ = our_log_mel_backward(np.array([[[1.0, 0.0]]]), window, filters, R, Q, M)
stages = np.squeeze([R, M, dM, dR, du])
np.testing.assert_allclose(stages, [[2, 0], [2, 0], [0.5, 0], [1, 0], [1, 1]], atol=1e-9)

# %% [markdown]
# ### The front end on two clips
#
# The four steps in a row. Before the frames are cut, the wave is continued by reflection at both ends, so that frame $t$ is
# centred at $(t + 0.5) \cdot 320$ samples.


# %%
def log_mel(wave):
    _, x = our_gain(wave[None])
    x = our_emphasis(x)
    x = np.pad(x, ((0, 0), ((N - HOP) // 2, N)), mode="reflect")
    frames = our_frames(x, N, HOP, len(wave) // HOP)
    *_, S = our_log_mel(frames, w, mel_filters(RATE, N, 40))
    return S[0]  # (T, 40)


centres = mel_filters(RATE, N, 40).argmax(0) * RATE / N  # Hz in the middle of each band
ticks = [0, 10, 20, 30, 39]
fig, axes = plt.subplots(2, 2, figsize=(9, 4.5), sharex="col", height_ratios=[1, 2], layout="constrained")
for name, (top, bottom) in zip(("s01-anger-0", "s01-sadness-0"), axes.T, strict=True):
    raw = refmer.raw_signals(name)
    ours, theirs = log_mel(raw.wave.astype(float)), front_end(raw.wave, raw.rate)
    f0 = theirs["prosody"][:, 0]
    f0 = np.where(f0 > 0, f0, np.nan)  # 0 where unvoiced

    top.plot(np.arange(len(raw.wave)) / raw.rate, raw.wave, lw=0.3)
    top.set(ylim=(-0.4, 0.4), title=f"{name}: F0 median {np.nanmedian(f0):.0f} Hz, sd {np.nanstd(f0):.0f} Hz")
    extent = (0, len(ours) / 50, -0.5, 39.5)
    bottom.imshow(ours.T, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-15)
    seconds = (np.arange(len(f0)) + 0.5) / 50
    bottom.plot(seconds, np.interp(f0, centres, np.arange(40)), "c.", ms=3, label="pitch (F0)")
    bottom.set_yticks(ticks, [f"{centres[j]:.0f} Hz" for j in ticks])
    bottom.set(xlabel="seconds")
    bottom.legend(loc="upper right", labelcolor="w", facecolor="k", fontsize=8)
axes[0, 0].set(ylabel="wave")
axes[1, 0].set(ylabel="log-mel, 40 bands")
plt.show()

# Lesson 2: refmer's front end is what we wrote, and the bundled stream is its output, rounded for storage.
np.testing.assert_allclose(ours, theirs["logmel"], atol=1e-9)
sad = clips.name.tolist().index("s01-sadness-0")
assert np.abs(clips.streams["logmel"].x[sad, : len(ours)] - ours).max() < 0.1

# %% [markdown]
# Dark columns are pauses, light ones are syllables. Bands that bend slowly are formants, the resonances of mouth and throat.
# The angry voice is fast, and its pitch varies more: compare the two standard deviations.
#
# The sad voice has a small amplitude. Its log-mel does not show that: the gain has removed it.
#
# A wave that is three times as large has the same log-mel. So a change of the wave by a multiple of itself changes no loss, and
# the gradient has no part along the wave: $\sum_n dx_n x_n = g\, dg - \frac{g}{vL} \cdot vL \cdot dg = 0$. In the example
# above, $0.64 \cdot 3 - 0.48 \cdot 4 = 0$.

# %%
# Lesson 3: a larger amplitude changes nothing, so no gradient points along the wave itself.
wave = raw.wave.astype(float)
np.testing.assert_allclose(front_end(3 * wave, RATE)["logmel"], theirs["logmel"], atol=1e-9)
x, dy = wave[None], np.random.default_rng(0).normal(size=(1, len(wave)))
g, _ = our_gain(x)
_, dx = our_gain_backward(dy, x, g)
assert abs((dx * x).sum()) < 1e-9 * np.abs(dx * x).sum()

# %% [markdown]
# Listen: `data_samples/` has a wav file of each emotion. In Jupyter, `IPython.display.Audio(raw.wave, rate=raw.rate)` plays any
# clip.
#
# ## From a face to action units
#
# Action units describe a face by its elementary movements. AU12 pulls the corners of the lips up, AU04 lowers the brows; each
# has an intensity from 0 to 5. OpenFace and other programs estimate them from pictures.
#
# **In this corpus it is the other way round**: action units moved the drawing of a face. The stream `units` has these units
# with noise added, like that of a tracker.

# %%
units, frames = clips.streams["units"], clips.streams["frames"]
happy = clips.name.tolist().index("s01-happiness-1")
T = frames.mask[happy].sum()
times = np.linspace(0, T - 1, 9).astype(int)  # of the pictures
movements = {"AU12": "lip corners up", "AU06": "cheeks up", "AU25": "lips apart", "AU04": "brows down"}

fig, (top, bottom) = plt.subplots(2, 1, figsize=(9, 4), height_ratios=[1, 1.6], layout="constrained")
top.imshow(np.hstack([frames.x[happy, t] for t in times]), cmap="gray")
top.set(title="Pictures and action units of clip s01-happiness-1", yticks=[])
top.set_xticks([24 * j + 11.5 for j in range(9)], [f"{(t + 0.5) / 25:.1f} s" for t in times])
for name, movement in movements.items():
    intensity = units.x[happy, :T, units.features.index(f"{name}_r")]
    bottom.plot((np.arange(T) + 0.5) / 25, intensity, label=f"{name}, {movement}")
bottom.set(xlabel="seconds", ylabel="intensity", xlim=(0, T / 25), ylim=(-0.2, 5.9))
bottom.legend(ncols=4, loc="upper center", fontsize=8)
plt.show()

# %% [markdown]
# ### A linear map from pixels to units
#
# Let $x_b$ be the $24 \cdot 24$ pixels of picture $b$ and $u_b$ its 17 intensities, both with their means subtracted. We
# minimise the squared error and a penalty on the weights (ridge regression):
#
# $$\sum_b |W^\top x_b - u_b|^2 + \lambda |W|^2 .$$
#
# With pictures as rows of $X$ and intensities as rows of $U$, the gradient is $2 X^\top (X W - U) + 2 \lambda W$. Where it is
# zero,
#
# $$W = (X^\top X + \lambda I)^{-1} X^\top U .$$
#
# The score is $R^2$, one minus the ratio of the squared error to that of always answering the mean: 1 is perfect, 0 no better
# than the mean.
#
# *Two pictures of one pixel*, $x = (1, -1)$ with $u = (2, -2)$ and $\lambda = 2$: $W = 4 / (2 + 2) = 1$. The answers are
# $(1, -1)$, the squared errors add up to 2 and those of the mean 0 to 8, so $R^2 = 1 - \frac28 = 0.75$.


# %%
def read_units(X, U, X_test, U_test, ridge=10.0):
    """Return W, fitted to pictures X and intensities U, and its mean R2 on the test pictures."""
    x_mean, u_mean = X.mean(0), U.mean(0)
    A, B = X - x_mean, U - u_mean
    W = np.linalg.solve(A.T @ A + ridge * np.eye(A.shape[1]), A.T @ B)
    error = (X_test - x_mean) @ W + u_mean - U_test
    spread = U_test - U_test.mean(0)
    return W, np.mean(1 - (error**2).sum(0) / (spread**2).sum(0))


X, U = np.array([[1.0], [-1.0]]), np.array([[2.0], [-2.0]])
W, score = read_units(X, U, X, U, ridge=2.0)
assert W == 1 and score == 0.75

# %% [markdown]
# ### Three ways to leave out test data
#
# We take every fifth picture, and leave a quarter out of training in three ways: a quarter of the *pictures*, of the *clips*,
# or of the *speakers*. Each is done with three seeds.


# %%
def pictures(clips):
    """Return pixels (B, 576) from 0 to 1 and intensities (B, 17) of every fifth picture."""
    mask = clips.streams["frames"].mask[:, ::5]
    x = clips.streams["frames"].x[:, ::5][mask]
    u = clips.streams["units"].x[:, ::5][mask]
    return x.reshape(-1, 24 * 24) / 255, u[:, :17]


X, U = pictures(clips)
scores = {"pictures": [], "clips": [], "speakers": []}
for seed in range(3):
    new = np.random.default_rng(seed).random(len(X)) < 0.25
    scores["pictures"].append(read_units(X[~new], U[~new], X[new], U[new])[1])
    for kind, by in (("clips", "name"), ("speakers", "speaker")):
        train, test = clips.split(by=by, test_size=0.25, seed=seed)
        W, score = read_units(*pictures(train), *pictures(test))
        scores[kind].append(score)

fig, axes = plt.subplots(1, 3, figsize=(10, 3), width_ratios=[1, 1, 1.7], layout="constrained")
for ax, name, movement in zip(axes, ("AU04", "AU26"), ("brows down", "jaw drops"), strict=False):
    weights = W[:, units.features.index(f"{name}_r")].reshape(24, 24)
    ax.imshow(frames.x[frames.mask].mean(0), cmap="gray", alpha=0.4)
    image = ax.imshow(weights, cmap="RdBu_r", vmin=-0.5, vmax=0.5, alpha=0.7)
    ax.set(title=f"{name}: {movement}", xticks=[], yticks=[])
fig.colorbar(image, ax=axes[:2], label="weight of a light pixel")
axes[2].bar(list(scores), [np.mean(s) for s in scores.values()], color=["0.8", "0.6", "C0"])
for kind, values in scores.items():
    axes[2].plot([kind] * 3, values, "k.")
axes[2].set(title="Mean of 17 units and 3 seeds (dots)")
axes[2].set(xlabel="left out of training", ylabel="R² of the test")
plt.show()

# %% [markdown]
# The left part shows the weights of two units over the mean face, for the split by speakers with seed 2. Where pixels get
# lighter or darker as the brows or the jaw move, the weights are large.
#
# The right part shows what the split costs. With pictures left out, the score is more than 0.1 higher than with speakers left
# out. Pictures 0.2 s apart are nearly the same, with nearly the same units, so the test repeats the training data. With clips
# left out, the faces of the test are known from training.
#
# A system is used for people who are not in its training data. From here on, every score is of speakers who are not in the
# training data.

# %%
# Lesson 4: with the same clips, or the same people, in both parts the score is too high. Split by speaker.
assert min(scores["pictures"]) > max(scores["speakers"]) + 0.1 and not set(train.speaker) & set(test.speaker)

# %% [markdown]
# ## Valence and arousal
#
# The other part of the corpus is 36 recordings in which the emotion changes slowly. Two numbers describe it: valence
# (unpleasant to pleasant) and arousal (calm to excited). Four simulated annotators follow both; `affect` is the mean of the
# four.
#
# Annotators need time to react. This corpus has the emotion that was felt, $f_t$, as well as the annotation $a_t$. So the delay
# can be measured: it is the $d$ at which the correlation between $f_{t-d}$ and $a_t$ is largest. At 25 frames a second, one
# frame is 0.04 s.

# %%
recordings = refmer.load_samples("recordings")
affect, felt, mask = recordings.affect, recordings.truth["affect"], recordings.labels["affect"].mask
delays = np.arange(26)  # in frames: up to 1 s
agreement = np.zeros(26)
for d in delays:
    correlations = []
    for f, a, m in zip(felt, affect, mask, strict=True):
        for k in (0, 1):  # valence, arousal
            later, earlier = a[m, k][d:], f[m, k][: m.sum() - d]
            correlations.append(np.corrcoef(earlier, later)[0, 1])
    agreement[d] = np.mean(correlations)

# Lesson 5: annotators are 0.2 to 0.6 s behind.
print(f"largest agreement at a delay of {np.argmax(agreement) / 25:.2f} s")
assert 0.2 <= np.argmax(agreement) / 25 <= 0.6

# %% [markdown]
# Which feature indicates which number? We compare the smile (AU12) with the voice's flux, the speed at which its spectrum
# changes. Prosody has 50 frames a second, so every second one is taken.

# %%
prosody = recordings.streams["prosody"]
smile = recordings.streams["units"].x[mask][:, units.features.index("AU12_r")]
flux = prosody.x[:, ::2][:, : mask.shape[1]][mask][:, prosody.features.index("flux")]
valence, arousal = affect[mask].T

fig, (left, middle, right) = plt.subplots(1, 3, figsize=(10, 3.4), layout="constrained")
left.plot(delays / 25, agreement)
left.set(xlabel="delay (s)", ylabel="correlation of felt and annotated", title="Delay, mean of 36 recordings")
for n in (0, 10, 20):
    middle.plot(*affect[n][mask[n]].T, lw=1)
middle.set(title="Annotations of three recordings", xlabel="valence", ylabel="arousal")
middle.set(xlim=(-1.05, 1.05), ylim=(-1.05, 1.05))
hexagons = right.hexbin(valence, arousal, smile, gridsize=14, extent=(-1, 1, -1, 1), cmap="viridis", mincnt=5)
right.set(title="Mean smile, all frames", xlabel="valence", ylabel="arousal")
fig.colorbar(hexagons, ax=right, label="AU12")
plt.show()

correlation = np.corrcoef([valence, arousal, smile, flux])
for name, row in (("smile", correlation[2]), ("flux", correlation[3])):
    print(f"correlation of {name} with valence {row[0]:.2f}, with arousal {row[1]:.2f}")

# Lesson 6: a smile indicates valence more than arousal; the flux of the voice indicates arousal more than valence.
assert correlation[2, 0] > correlation[2, 1] and correlation[3, 1] > correlation[3, 0]

# %% [markdown]
# ## Confusions of raters
#
# Back to the clips. Ten raters voted on each. $C_{ik}$ is the share of votes for emotion $k$ among the clips in which $i$ was
# intended.
#
# Two more tables show which emotion the voice and the face display. Only a synthetic corpus has that information.

# %%
names = clips.labels["votes"].names
K = len(names)
intended = np.eye(K)[clips.intended]  # (N, K)
answers = {
    "answered by people": clips.votes / clips.votes.sum(1, keepdims=True),
    "shown by the voice": np.eye(K)[clips.truth["shown_voice"]],
    "shown by the face": np.eye(K)[clips.truth["shown_face"]],
}
C = {}
for title, y in answers.items():
    C[title] = intended.T @ y / intended.sum(0)[:, None]  # (K, K)

fig, axes = plt.subplots(1, 3, figsize=(10, 4), sharey=True, layout="constrained")
for ax, (title, share) in zip(axes, C.items(), strict=True):
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i, k in np.ndindex(K, K):
        colour = "w" if share[i, k] > 0.6 else "k"
        ax.text(k, i, f"{100 * share[i, k]:.0f}", ha="center", va="center", fontsize=7, color=colour)
    ax.set(title=f"{title} (%)", yticks=range(K), yticklabels=names)
    ax.set_xticks(range(K), names, rotation=45, ha="right")
axes[0].set(ylabel="intended")
fig.suptitle("288 clips, 48 of each intended emotion")
plt.show()

# %% [markdown]
# People recognise happiness best. Sadness gets more votes for neutral than for sadness, while neutral gets hardly any for
# sadness. The face has the same pattern.

# %%
people, happiness, neutral, sadness = C["answered by people"], 3, 4, 5
# Lesson 7: happiness is easiest. Sadness is more often called neutral than sadness; neutral is hardly ever called sadness.
assert people.diagonal().argmax() == happiness
assert people[sadness, neutral] > people[sadness, sadness] and people[neutral, sadness] < 0.1

# %% [markdown]
# A sad clip that looks neutral has two labels. `intended` is sadness; `emotion`, the plurality of votes, may be neutral. The
# systems of these tutorials learn what people perceive, not what was intended. What neither face nor voice shows, no system can
# find.
#
# ## On your own
#
# Write it yourself: exercise file `03_look_and_listen.py` (`refmer exercises --out DIR`, then
# `refmer grade DIR/03_look_and_listen.py`).
#
# 1. How often can the best guess of `intended` from `shown_voice` alone be right?
# 2. How far do raters agree? Compute the mean share of votes that the winning emotion gets.
# 3. Make two new people with `refmer.synthesize(2, 1, seed=1)`. Which of them is a woman?

# %% tags=["hide-cell"]
# Solution 1: guess, for each emotion shown, the one that most often meant it; all were intended equally often.
assert 0.4 < C["shown by the voice"].max(0).sum() / K < 0.55

# Solution 2: about two thirds. The "votes" of paper 004 keep the other third.
assert 0.5 < (clips.votes.max(1) / clips.votes.sum(1)).mean() < 0.85

# Solution 3: the second. Women's voices here are about 205 Hz high, men's 115 Hz.
people = refmer.synthesize(2, 1, seed=1)
first, second = people.streams["prosody"].x[..., 0].reshape(2, -1)  # F0 of both, 0 where unvoiced
assert np.median(second[second > 0]) > 1.3 * np.median(first[first > 0])
